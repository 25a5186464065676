package perf

// What the measurements of stores share: servers set as for many users, users of
// the typical record, workers that sign them in, and the lines of the document.

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// measuring reports whether figures are wanted. Otherwise a test does a little of
// everything, to see that it works, and judges no time.
func measuring() bool { return os.Getenv("MFA_PERF") != "" }

func size[T any](tiny, measured T) T {
	if measuring() {
		return measured
	}
	return tiny
}

// fromEnv returns the number in an environment variable, n without one.
func fromEnv(t testing.TB, name string, n int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no number above 0", name, text)
	}
	return n
}

// A table collects lines of the document.
type table []string

func (b *table) add(format string, args ...any) { *b = append(*b, fmt.Sprintf(format, args...)) }

// print writes them under a heading of these columns.
func (b *table) print(t testing.TB, columns ...string) {
	fmt.Fprintf(t.Output(), "\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, line := range *b {
		fmt.Fprintln(t.Output(), line)
	}
}

// among returns the value below which that part of the sorted times lies.
func among(times []time.Duration, part float64) time.Duration {
	return times[min(len(times)-1, int(part*float64(len(times))))]
}

func middle[T float64 | time.Duration](of []T) T {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// ms writes a time with three digits that mean something.
func ms(d time.Duration) string {
	f := float64(d) / float64(time.Millisecond)
	switch {
	case f < 1:
		return fmt.Sprintf("%.3f ms", f)
	case f < 10:
		return fmt.Sprintf("%.2f ms", f)
	}
	return fmt.Sprintf("%.1f ms", f)
}

func openAt(t testing.TB, address string) *servers.Store {
	t.Helper()
	s, err := servers.Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // some tests have closed it by then
	return s
}

// administer runs statements as the one who may do anything, on one connection.
func administer(t testing.TB, server *servers.Server, texts ...string) {
	t.Helper()
	addr := server.Addrs()[0]
	var db *sql.DB
	var err error
	if server.Kind() == servers.PostgreSQL {
		db, err = sql.Open("pgx", "postgres://postgres@"+addr+"/mfa?sslmode=disable")
	} else {
		db, err = sql.Open("mysql", "admin@tcp("+addr+")/mfa")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range texts {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// tuned returns a server of the test's own with the memory and the log that one
// for a million users would have; in tests those are small. What a commit waits
// for stays as it is.
func tuned(t testing.TB, k servers.Kind) *servers.Server {
	t.Helper()
	server := servers.New(t, k)
	if k == servers.PostgreSQL {
		administer(t, server,
			fmt.Sprintf("ALTER SYSTEM SET shared_buffers = '%dMB'", size(64, 3<<10)),
			fmt.Sprintf("ALTER SYSTEM SET max_wal_size = '%dMB'", size(64, 4<<10)))
		restart(t, server)
	}
	started(t, server)
	return server
}

// started says again what MariaDB forgets when it ends. It also lets it forget what
// it had in memory, of which it would read a part when it starts.
func started(t testing.TB, server *servers.Server) {
	t.Helper()
	if server.Kind() == servers.MariaDB {
		administer(t, server,
			fmt.Sprintf("SET GLOBAL innodb_log_file_size = %d<<20", size(96, 1<<10)),
			fmt.Sprintf("SET GLOBAL innodb_buffer_pool_size = %d<<20", size(128, 3<<10)),
			"SET GLOBAL innodb_buffer_pool_dump_at_shutdown = OFF")
	}
}

func restart(t testing.TB, server *servers.Server) {
	t.Helper()
	server.Stop(t)
	server.Start(t)
	started(t, server)
}

// A population are users of the typical record who all have the same app, so that
// a million of them are sealed in a minute. Each record is saved by one Update.
type population struct {
	keys    vault.Keys
	app     *mfatest.App
	factors []vault.Factor
	record  int       // bytes of the record that they were copied from
	latest  time.Time // nobody has signed in after it
}

func newPopulation(t testing.TB) *population {
	t.Helper()
	u := newTypical(t)
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &population{keys: keys, app: u.person.App(), latest: u.Clock.Now()}
	_, err = vault.Read(t.Context(), u.Vault, u.person.UserID, func(a *vault.Account) (struct{}, error) {
		kinds := map[mfa.Kind]bool{}
		for _, f := range a.Factors() {
			if kinds[f.Kind] {
				continue
			}
			kinds[f.Kind] = true
			err := a.Guess(f.Kind, string(mfa.PurposeSignIn), "copied", func(s *vault.Scope) error {
				for _, f := range s.Factors() {
					p.factors = append(p.factors, *f)
				}
				return nil
			})
			if err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := u.Vault.View(t.Context(), u.person.UserID)
	if err != nil {
		t.Fatal(err)
	}
	p.record = s.Size
	return p
}

func (p *population) vault(t testing.TB, st store.Store, clock *mfatest.Clock, cache int) *vault.Vault {
	t.Helper()
	v, err := vault.Open(st, p.keys, &vault.Options{Now: clock.Now, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// userName returns the ID of the n-th user: of the form and in the disorder of
// random UUIDs.
func userName(n int) string {
	h := sha256.Sum256(strconv.AppendInt(nil, int64(n), 10))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// settle makes one user, who has signed in once.
func (p *population) settle(ctx context.Context, v *vault.Vault, id string) error {
	_, err := vault.Update(ctx, v, id, func(a *vault.Account) (struct{}, error) {
		for _, f := range p.factors {
			if f.Key != "" {
				f.Key = string(random(32))
			}
			added, err := a.Scope(f.Kind, string(mfa.PurposeSignIn), "copied").Add(f)
			if err != nil {
				return struct{}{}, err
			}
			if f.Kind == totp.Kind {
				a.Used(added.ID)
			}
		}
		a.Spend(string(random(10)), a.Now(), 10*time.Minute)
		return struct{}{}, nil
	})
	return err
}

// A worker signs users in, by a clock and a vault of its own: each next code is
// of a later time.
type worker struct {
	p     *population
	clock *mfatest.Clock
	guard *mfa.Guard
}

func (p *population) worker(t testing.TB, st store.Store, cache int) *worker {
	t.Helper()
	w := &worker{p: p, clock: mfatest.NewClock(p.latest)}
	g, err := mfa.New(p.vault(t, st, w.clock, cache), mfa.Config{
		Service: mfatest.Service, Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil), passkeyEntry, deviceEntry},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.guard = g
	return w
}

// later moves the clock on: so far that the last sign-in is forgotten, and a
// record stays as large as it is.
func (w *worker) later() { w.clock.Advance(11 * time.Minute) }

func (w *worker) begin(id string) (*mfa.Pending, error) {
	login, err := w.guard.Begin(context.Background(), mfa.FirstFactor{UserID: id, By: mfa.ByPassword})
	if err != nil {
		return nil, err
	}
	if login.Pending == nil {
		return nil, fmt.Errorf("no second factor is asked for: %s", login.Skipped)
	}
	return login.Pending, nil
}

func (w *worker) answer() mfa.Answer {
	return mfa.Answer{Kind: totp.Kind, Code: w.p.app.Code(w.clock.Now())}
}

// crew runs do for each of n workers at once, and fails the test if one fails.
func crew(t testing.TB, n int, do func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// prefixOf returns what the tables or keys behind a URL begin with.
func prefixOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if p := u.Query().Get("prefix"); p != "" {
		return p
	}
	return "mfa_"
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
