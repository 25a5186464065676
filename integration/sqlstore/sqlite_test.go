package sqlstore

// SQLite: how it is opened, and the conformance suite.

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
	"github.com/seed-f4994bf1/mfa/store/storetest"
)

// recommended are the settings that the documentation of sqlstore gives.
const recommended = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

// newFile returns the name of a database that does not exist yet.
func newFile(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "mfa.db")
}

// dsn returns the data source name of a file.
func dsn(file, settings string) string {
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + settings
}

// openDB opens a pool of one connection.
func openDB(t testing.TB, file, settings string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(file, settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

// A handle is a store and the file it is kept in.
type handle struct {
	*sqlstore.Store
	db   *sql.DB
	file string
}

// openFile opens the store in a file as the documentation advises.
func openFile(t testing.TB, file string) *handle {
	t.Helper()
	return openOn(t, openDB(t, file, recommended), file, nil)
}

func openOn(t testing.TB, db *sql.DB, file string, opts *sqlstore.Options) *handle {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &handle{s, db, file}
}

// TestSettings holds the documentation to its word.
func TestSettings(t *testing.T) {
	t.Parallel()
	s := openFile(t, newFile(t))
	for pragma, want := range map[string]string{"busy_timeout": "5000", "journal_mode": "wal", "synchronous": "2"} {
		var got string
		if err := s.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("PRAGMA %s = %q, %v; want %q", pragma, got, err, want)
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, settings string
		conns          int
	}{
		{"advised", recommended, 1},
		{"eight connections", recommended, 8},
		{"immediate", recommended + "&_txlock=immediate", 1},
		{"rollback journal", "_pragma=busy_timeout(5000)&_pragma=journal_mode(DELETE)&_pragma=synchronous(FULL)", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			open := func(t *testing.T, file string) store.Store {
				db := openDB(t, file, test.settings)
				db.SetMaxOpenConns(test.conns)
				return openOn(t, db, file, nil)
			}
			storetest.RunWith(t, storetest.Config{
				Open:  func(t *testing.T) store.Store { return open(t, newFile(t)) },
				Again: func(t *testing.T, s store.Store) store.Store { return open(t, s.(*handle).file) },
			})
		})
	}
}

// Stores with different prefixes share a database and nothing else.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	db := openDB(t, file, recommended)
	key := fmt.Sprintf("%032d", 1)
	for i, prefix := range []string{"", "a_", "a_mfa_", "select"} {
		s := openOn(t, db, file, &sqlstore.Options{Prefix: prefix})
		c := store.Change{UserID: "u", New: int64(i + 1), Data: []byte(prefix), Claim: []string{key}}
		if err := s.Apply(t.Context(), c); err != nil {
			t.Errorf("prefix %q: Apply = %v", prefix, err)
		}
		if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != int64(i+1) {
			t.Errorf("prefix %q: Load = %d, %v", prefix, r.Version, err)
		}
	}
}
