// Tests of statements and failures: what is sent, and what is told when the
// database cannot.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// key returns the n-th key.
func key(n int) string { return fmt.Sprintf("key %028d", n) }

// unavailable fails the test unless err is a failure and no answer.
func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%s = %v, want ErrUnavailable", what, err)
	}
	for _, answer := range []error{store.ErrNotFound, store.ErrConflict, store.ErrKeyTaken, store.ErrArgument} {
		if errors.Is(err, answer) {
			t.Errorf("%s = %v, which is also %v", what, err, answer)
		}
	}
}

// allFail fails the test unless every call on s fails.
func allFail(ctx context.Context, t *testing.T, s *sqlstore.Store) {
	t.Helper()
	_, err := s.Load(ctx, "u")
	unavailable(t, "Load", err)
	_, err = s.Owner(ctx, key(1))
	unavailable(t, "Owner", err)
	_, _, err = s.UserIDs(ctx, "", 10)
	unavailable(t, "UserIDs", err)
	for _, c := range changes() {
		unavailable(t, "Apply", s.Apply(ctx, c))
	}
}

// changes are changes of every kind, for a user "u" who is at version 1 and
// owns the key 1.
func changes() []store.Change {
	return []store.Change{
		{UserID: "u", Old: 1, New: 2, Data: []byte("new")},
		{UserID: "u", Old: 1},
		{UserID: "v", New: 2, Data: []byte("new")},
		{UserID: "u", Old: 1, New: 2, Data: []byte("new"), Claim: []string{key(2)}},
		{UserID: "u", Old: 1, New: 2, Data: []byte("new"), Claim: []string{key(1)}}, // asks who owns it
		{UserID: "u", Old: 1, New: 2, Data: []byte("new"), Claim: []string{key(2)}, Release: []string{key(1)}},
		{UserID: "u", Old: 1, Release: []string{key(1)}},
		{UserID: "v", New: 2, Data: []byte("new"), Claim: []string{key(2)}},
	}
}

// start brings the database to where changes begin.
func start(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	if err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1, Data: []byte("old"), Claim: []string{key(1)}}); err != nil {
		t.Fatal(err)
	}
}

// unchanged fails the test unless the database is where start brought it.
func unchanged(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != 1 || string(r.Data) != "old" {
		t.Errorf("the record is at %d with %q, %v; want it unchanged", r.Version, r.Data, err)
	}
	if ids, _, err := s.UserIDs(t.Context(), "", 10); err != nil || len(ids) != 1 {
		t.Errorf("the users are %q, %v; want them unchanged", ids, err)
	}
	for n, want := range map[int]string{1: "u", 2: ""} {
		if owner, err := s.Owner(t.Context(), key(n)); owner != want || want == "" && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("key %d belongs to %q, %v; want %q", n, owner, err, want)
		}
	}
}

// A change without keys is one statement; one with keys is one transaction that
// begins with a write.
func TestStatements(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	rec := &recorder{}
	db := rec.open(t, file)
	s := openOn(t, db, file, nil)
	rec.take()
	sent := func(what string, want ...string) {
		t.Helper()
		got := rec.take()
		ok := len(got) == len(want)
		for i := range got {
			ok = ok && strings.HasPrefix(got[i], want[i])
		}
		if !ok {
			t.Errorf("%s sends %q, want %q", what, got, want)
		}
	}
	apply := func(c store.Change, want error) {
		t.Helper()
		if err := s.Apply(t.Context(), c); !errors.Is(err, want) {
			t.Errorf("Apply = %v, want %v", err, want)
		}
	}
	apply(store.Change{UserID: "u", New: 1, Data: []byte("x")}, nil)
	sent("a create", "exec INSERT INTO mfa_record")
	apply(store.Change{UserID: "u", New: 2}, store.ErrConflict)
	sent("a create that conflicts", "exec INSERT INTO mfa_record")
	apply(store.Change{UserID: "u", Old: 1, New: 2}, nil)
	sent("a swap", "exec UPDATE mfa_record")
	apply(store.Change{UserID: "u", Old: 1, New: 3}, store.ErrConflict)
	sent("a swap that conflicts", "exec UPDATE mfa_record")
	if _, err := s.Load(t.Context(), "u"); err != nil {
		t.Error(err)
	}
	sent("a load", "query SELECT version, data")
	apply(store.Change{UserID: "u", Old: 2, New: 3, Claim: []string{key(1)}}, nil)
	sent("a claim", "begin", "exec UPDATE mfa_record", "exec INSERT INTO mfa_claim", "commit")
	apply(store.Change{UserID: "u", Old: 1, New: 4, Claim: []string{key(2)}}, store.ErrConflict)
	sent("a claim that conflicts", "begin", "exec UPDATE mfa_record", "rollback")
	apply(store.Change{UserID: "u", Old: 3, New: 4, Claim: []string{key(1)}}, nil)
	sent("a claim of one's own", "begin", "exec UPDATE mfa_record", "exec INSERT INTO mfa_claim", "query SELECT user_id", "commit")
	apply(store.Change{UserID: "v", New: 4, Claim: []string{key(1)}}, store.ErrKeyTaken)
	sent("a claim of another's", "begin", "exec INSERT INTO mfa_record", "exec INSERT INTO mfa_claim", "query SELECT user_id", "rollback")
	apply(store.Change{UserID: "u", Old: 4, Release: []string{key(1)}}, nil)
	sent("a delete that releases", "begin", "exec DELETE FROM mfa_record", "exec DELETE FROM mfa_claim", "commit")
}

// Whichever step of a change fails, the change fails, and nothing of it stays.
func TestStepsFail(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	rec := &recorder{}
	db := rec.open(t, file)
	s := openOn(t, db, file, nil)
	start(t, s.Store)
	broken := errors.New("broken")
	for i, c := range changes() {
		alone := len(c.Claim)+len(c.Release) == 0
		steps := 0
		for ; ; steps++ {
			n, hit := 0, ""
			rec.set(func(op string, run func() error) error {
				// What has landed before it fails is the business of TestUnknown.
				if op != "rollback" && (op != "affected" || !alone) {
					if n++; n == steps+1 {
						hit = op
						return broken
					}
				}
				return run()
			})
			err := s.Apply(t.Context(), c)
			rec.set(nil)
			if hit == "" {
				if err != nil {
					t.Errorf("change %d without a failure = %v", i, err)
				}
				break
			}
			unavailable(t, fmt.Sprintf("change %d with a failure at %q", i, hit), err)
			if !errors.Is(err, broken) {
				t.Errorf("change %d: %v does not wrap the driver's error", i, err)
			}
			unchanged(t, s.Store)
		}
		if steps == 0 {
			t.Errorf("change %d has no steps", i)
		}
		mustExec(t, db, "DELETE FROM mfa_record; DELETE FROM mfa_claim")
		start(t, s.Store)
	}
}

// A change that landed though its answer was lost is told as a failure, and is
// there.
func TestUnknown(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	rec := &recorder{}
	s := openOn(t, rec.open(t, file), file, nil)
	start(t, s.Store)
	lost := errors.New("answer lost")
	lose := func(op string) {
		rec.set(func(o string, run func() error) error {
			if err := run(); err != nil || o != op {
				return err
			}
			return lost
		})
	}
	swap := store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("new")}
	lose("affected")
	unavailable(t, "Apply", s.Apply(t.Context(), swap))
	claim := store.Change{UserID: "u", Old: 2, New: 3, Data: []byte("claimed"), Claim: []string{key(2)}, Release: []string{key(1)}}
	lose("commit")
	unavailable(t, "Apply", s.Apply(t.Context(), claim))
	rec.set(nil)
	if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != 3 {
		t.Errorf("Load = %d, %v; want what landed", r.Version, err)
	}
	if owner, err := s.Owner(t.Context(), key(2)); owner != "u" {
		t.Errorf("Owner = %q, %v; want what landed", owner, err)
	}
	if err := s.Apply(t.Context(), claim); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same Apply again = %v, want ErrConflict", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := openFile(t, file)
	start(t, s.Store)
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again = %v", err)
	}
	allFail(t.Context(), t, s.Store)
	if err := s.db.PingContext(t.Context()); err != nil {
		t.Errorf("the pool after Close of the store: %v", err)
	}
	s = openOn(t, s.db, file, nil)
	unchanged(t, s.Store)
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	allFail(t.Context(), t, s.Store)
	_, err := sqlstore.Open(t.Context(), s.db, sqlstore.SQLite, nil)
	unavailable(t, "Open of a closed pool", err)
	unavailable(t, "Migrate of a closed pool", sqlstore.Migrate(t.Context(), s.db, sqlstore.SQLite, nil))
}

func TestNoDatabase(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "none", "mfa.db")
	_, err := sqlstore.Open(t.Context(), openDB(t, folder, recommended), sqlstore.SQLite, nil)
	unavailable(t, "Open in a folder that does not exist", err)

	text := newFile(t)
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = sqlstore.Open(t.Context(), openDB(t, text, recommended), sqlstore.SQLite, nil)
	unavailable(t, "Open of a text file", err)

	gone := openFile(t, newFile(t))
	start(t, gone.Store)
	mustExec(t, gone.db, "DROP TABLE mfa_record; DROP TABLE mfa_claim")
	allFail(t.Context(), t, gone.Store)
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	start(t, openFile(t, file).Store)
	for name, settings := range map[string]string{"the file": "mode=ro&" + recommended, "the connection": recommended + "&_pragma=query_only(1)"} {
		s := openOn(t, openDB(t, file, settings), file, nil)
		unchanged(t, s.Store)
		for _, c := range changes() {
			unavailable(t, "Apply while "+name+" is read-only", s.Apply(t.Context(), c))
		}
		unchanged(t, s.Store)
		_, err := sqlstore.Open(t.Context(), s.db, sqlstore.SQLite, &sqlstore.Options{Prefix: "other_"})
		unavailable(t, "Open of new tables while "+name+" is read-only", err)
	}
}

// What was acknowledged stays when the disk is full, what fails leaves nothing,
// and when there is room again the same change works.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := openFile(t, newFile(t))
	start(t, s.Store)
	var pages int
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s.db, fmt.Sprintf("PRAGMA max_page_count = %d", pages+100))
	data := []byte(strings.Repeat("0123456789abcdef", 1000))
	var stored []string
	var failed store.Change
	for i := range 1000 {
		c := store.Change{UserID: fmt.Sprint("user ", i), New: 7, Data: data}
		if i%2 == 0 {
			c.Claim = []string{key(100 + i)}
		}
		err := s.Apply(t.Context(), c)
		if err == nil {
			stored = append(stored, c.UserID)
			continue
		}
		unavailable(t, "Apply on a full disk", err)
		var driver *sqlite.Error
		if !errors.As(err, &driver) || driver.Code() != 13 { // SQLITE_FULL
			t.Errorf("Apply on a full disk = %v, want the driver's error in it", err)
		}
		if failed = c; len(c.Claim) != 0 && len(stored) > 5 {
			break
		}
	}
	if len(failed.Claim) == 0 || len(stored) == 0 {
		t.Fatalf("%d users stored, and the disk is not full", len(stored))
	}
	if _, err := s.Load(t.Context(), failed.UserID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load of what failed = %v, want ErrNotFound", err)
	}
	if owner, err := s.Owner(t.Context(), failed.Claim[0]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Owner of what failed = %q, %v; want ErrNotFound", owner, err)
	}
	for _, id := range stored {
		if r, err := s.Load(t.Context(), id); err != nil || r.Version != 7 || string(r.Data) != string(data) {
			t.Errorf("what was stored before the disk was full: %d, %v", r.Version, err)
		}
	}
	mustExec(t, s.db, fmt.Sprintf("PRAGMA max_page_count = %d", pages+1000))
	if err := s.Apply(t.Context(), failed); err != nil {
		t.Errorf("Apply when there is room again = %v", err)
	}
	var check string
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity_check = %q, %v", check, err)
	}
}

// A writer that waits for another process gives up and tells so.
func TestLocked(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := openOn(t, openDB(t, file, strings.Replace(recommended, "(5000)", "(50)", 1)), file, nil)
	start(t, s.Store)
	holder := openDB(t, file, recommended+"&_txlock=immediate")
	tx, err := holder.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	unchanged(t, s.Store) // reading does not wait
	for _, c := range changes() {
		unavailable(t, "Apply while another process writes", s.Apply(t.Context(), c))
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	unchanged(t, s.Store)
	if err := s.Apply(t.Context(), changes()[5]); err != nil {
		t.Errorf("Apply afterwards = %v", err)
	}
}

// A pool without a free connection: the call ends with its context, and tells
// both errors.
func TestContext(t *testing.T) {
	t.Parallel()
	s := openFile(t, newFile(t))
	start(t, s.Store)
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = s.Apply(ctx, changes()[0])
	unavailable(t, "Apply without a connection", err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Apply without a connection = %v, want DeadlineExceeded", err)
	}
	conn.Close()
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	allFail(ctx, t, s.Store)
	if _, err := s.Load(ctx, "u"); !errors.Is(err, context.Canceled) {
		t.Errorf("Load with an ended context = %v, want Canceled", err)
	}
	_, err = sqlstore.Open(ctx, s.db, sqlstore.SQLite, nil)
	unavailable(t, "Open with an ended context", err)
	unchanged(t, s.Store)
}

// A driver that tells the end of the context in words of its own.
func TestContextInOtherWords(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	rec := &recorder{}
	s := openOn(t, rec.open(t, file), file, nil)
	start(t, s.Store)
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancel(t.Context())
	rec.set(func(op string, _ func() error) error {
		cancel()
		return interrupted
	})
	_, err := s.Load(ctx, "u")
	unavailable(t, "Load", err)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, interrupted) {
		t.Errorf("Load = %v, want it to wrap the context's error and the driver's", err)
	}
}

// The store never takes part in a transaction of the caller: one that rolls back
// takes back nothing, and one that holds the lock keeps the change out.
func TestCallersTransaction(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	db := openDB(t, file, strings.Replace(recommended, "(5000)", "(100)", 1))
	db.SetMaxOpenConns(2)
	s := openOn(t, db, file, nil)
	start(t, s.Store)
	mustExec(t, db, "CREATE TABLE orders (id INTEGER)")

	tx, err := db.BeginTx(t.Context(), nil) // on the pool of the store itself
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("counted"), Claim: []string{key(2)}}); err != nil {
		t.Errorf("Apply beside a transaction = %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != 2 || string(r.Data) != "counted" {
		t.Errorf("after the caller's rollback: %d, %q, %v; want what Apply wrote", r.Version, r.Data, err)
	}
	if owner, err := s.Owner(t.Context(), key(2)); owner != "u" {
		t.Errorf("after the caller's rollback the key belongs to %q, %v", owner, err)
	}

	if tx, err = db.BeginTx(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO orders VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	unavailable(t, "Apply while the caller holds the lock", s.Apply(t.Context(), store.Change{UserID: "u", Old: 2, New: 3}))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != 2 {
		t.Errorf("after the caller's commit: %d, %v; want nothing of the change that failed", r.Version, err)
	}
}

// A database that holds what this package never writes is a failure, not an
// answer.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	s := openFile(t, newFile(t))
	for _, spoil := range []string{
		"INSERT INTO mfa_record VALUES (x'75', 0, x'00')",
		"INSERT INTO mfa_record VALUES (x'75', NULL, x'00')",
		"INSERT INTO mfa_record VALUES ('u', 1, x'00')",
		"INSERT INTO mfa_record VALUES (x'75', 1, 'text')",
		"INSERT INTO mfa_record VALUES (x'75', 1, NULL)",
		"INSERT INTO mfa_record VALUES (x'75', 1.5, x'00')",
		"INSERT INTO mfa_schema VALUES (2, 1)",
	} {
		if _, err := s.db.ExecContext(t.Context(), spoil); err == nil {
			t.Errorf("%s is accepted", spoil)
		}
	}
}
