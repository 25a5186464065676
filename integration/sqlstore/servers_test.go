// Tests on every database: how they are opened, and the conformance suite with
// the options of drivers that could make a difference.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
	"github.com/seed-f4994bf1/mfa/store/storetest"
	"github.com/seed-f4994bf1/mfa/vault"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// A database is an empty namespace of a server. Pools on it are of one's own,
// without a store.
type database struct {
	dialect sqlstore.Dialect
	url     string
	prefix  string
}

// fresh returns an empty namespace.
func fresh(t testing.TB, server *servers.Server) database {
	t.Helper()
	return parse(t, server.URL(t))
}

func parse(t testing.TB, address string) database {
	t.Helper()
	base, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	d := database{prefix: values.Get("prefix")}
	if d.prefix == "" {
		d.prefix = "mfa_"
	}
	values.Del("prefix")
	switch scheme, _, _ := strings.Cut(base, ":"); scheme {
	case "sqlite":
		d.dialect = sqlstore.SQLite
	case "postgres":
		d.dialect = sqlstore.PostgreSQL
	default:
		d.dialect = sqlstore.MySQL
	}
	d.url = base + "?" + values.Encode()
	return d
}

// options are those for its prefix.
func (d database) options() *sqlstore.Options { return &sqlstore.Options{Prefix: d.prefix} }

// pool opens a pool with more parameters for the driver, "" for none.
func (d database) pool(t testing.TB, more string) *sql.DB {
	t.Helper()
	base, query, _ := strings.Cut(d.url, "?")
	if query != "" && more != "" {
		query += "&"
	}
	query += more
	var db *sql.DB
	var err error
	conns := 16
	switch d.dialect {
	case sqlstore.SQLite:
		db, err = sql.Open("sqlite", "file:"+strings.TrimPrefix(base, "sqlite:")+"?"+recommended+"&"+query)
		conns = 1
	case sqlstore.PostgreSQL:
		db, err = sql.Open("pgx", base+"?"+query)
	default:
		u, parseErr := url.Parse(base)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		c, parseErr := mysql.ParseDSN(u.User.Username() + "@tcp(" + u.Host + ")" + u.Path + "?" + query)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		c.Logger = &mysql.NopLogger{}
		connector, parseErr := mysql.NewConnector(c)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		db = sql.OpenDB(connector)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

// open opens a store with its own pool.
func (d database) open(t testing.TB) *sqlstore.Store {
	t.Helper()
	return d.openOn(t, d.pool(t, ""), d.options())
}

func (d database) openOn(t testing.TB, db *sql.DB, opts *sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), db, d.dialect, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sqlKinds are the databases of this package.
func sqlKinds() []servers.Kind {
	return []servers.Kind{servers.SQLite, servers.PostgreSQL, servers.MariaDB}
}

// onEach runs a test on a namespace of each database.
func onEach(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	for _, kind := range sqlKinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t, servers.Shared(t, kind)))
		})
	}
}

func long() bool { return os.Getenv("MFA_LONG") != "" }

func TestConformanceOnServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		kind       servers.Kind
		more       string
		unprepared bool
	}{
		{"postgresql", servers.PostgreSQL, "", false},
		{"postgresql unprepared", servers.PostgreSQL, "default_query_exec_mode=exec", true},
		{"postgresql simple protocol", servers.PostgreSQL, "default_query_exec_mode=simple_protocol", true},
		{"mariadb", servers.MariaDB, "", false},
		{"mariadb interpolated", servers.MariaDB, "interpolateParams=true", false},
		{"mariadb unprepared", servers.MariaDB, "", true},
		{"mariadb unprepared, interpolated", servers.MariaDB, "interpolateParams=true", true},
		{"mariadb found rows", servers.MariaDB, "clientFoundRows=true", false},
		{"mariadb found rows, interpolated", servers.MariaDB, "clientFoundRows=true&interpolateParams=true", true},
		{"mariadb read committed", servers.MariaDB, "tx_isolation=%27READ-COMMITTED%27", false},
		{"mariadb serializable", servers.MariaDB, "tx_isolation=%27SERIALIZABLE%27", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := fresh(t, servers.Shared(t, test.kind))
			open := func(t *testing.T) store.Store {
				opts := d.options()
				opts.Unprepared = test.unprepared
				return d.openOn(t, d.pool(t, test.more), opts)
			}
			storetest.RunWith(t, storetest.Config{
				Open:  open,
				Again: func(t *testing.T, _ store.Store) store.Store { return open(t) },
			})
		})
	}
}

const repeatable = "default_transaction_isolation=repeatable%20read"

// At a higher level than READ COMMITTED PostgreSQL fails a statement that would
// have conflicted. That is a failure and no answer; one of the racing changes is
// applied all the same, and a vault settles it.
func TestRepeatableRead(t *testing.T) {
	t.Parallel()
	d := fresh(t, servers.Shared(t, servers.PostgreSQL))
	s := d.openOn(t, d.pool(t, repeatable), d.options())
	var level string
	if err := d.pool(t, repeatable).QueryRowContext(t.Context(), "SHOW transaction_isolation").Scan(&level); err != nil || level != "repeatable read" {
		t.Fatalf("the level is %q, %v", level, err)
	}
	at, failures := int64(1), 0
	if err := s.Apply(t.Context(), store.Change{UserID: "u", New: at}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		const writers = 16
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				errs[i] = s.Apply(t.Context(), store.Change{UserID: "u", Old: at, New: at + 1 + int64(i), Data: []byte{byte(i)}})
			})
		}
		wg.Wait()
		winner, winners := 0, 0
		for i, err := range errs {
			switch {
			case err == nil:
				winner = i
				winners++
			case errors.Is(err, store.ErrUnavailable):
				failures++
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("a loser was told %v", err)
			}
		}
		if winners != 1 {
			t.Fatalf("%d racing changes were applied, want 1: %v", winners, errs)
		}
		at += 1 + int64(winner)
		if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != at || r.Data[0] != byte(winner) {
			t.Errorf("Load = %d, %v; want what the winner wrote", r.Version, err)
		}
	}
	t.Logf("%d losers were told a failure", failures)
	if failures == 0 {
		t.Error("no loser was told a failure: the level makes no difference")
	}

	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	const limit, vaults, tries = 10, 4, 40
	var allowed, refused, unknown, busy atomic.Int64
	var wg sync.WaitGroup
	for range vaults {
		v, err := vault.Open(d.openOn(t, d.pool(t, repeatable), d.options()), keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range tries {
			wg.Go(func() {
				ok, err := vault.Update(t.Context(), v, "w", func(a *vault.Account) (bool, error) {
					a.Renew() // so that there is always something to save
					_, ok := a.Allow("test", vault.Limit{N: limit, Per: time.Hour})
					return ok, nil
				})
				switch {
				case errors.Is(err, vault.ErrOutcomeUnknown): // beaten again when it asked what had become of it
					unknown.Add(1)
				case errors.Is(err, vault.ErrBusy): // a slow machine
					busy.Add(1)
				case err != nil:
					t.Errorf("Update = %v", err)
				case ok:
					allowed.Add(1)
				default:
					refused.Add(1)
				}
			})
		}
	}
	wg.Wait()
	t.Logf("%d allowed, %d refused, %d unknown, %d busy", allowed.Load(), refused.Load(), unknown.Load(), busy.Load())
	if n := allowed.Load(); n > limit || n+unknown.Load() < limit {
		t.Errorf("%d allowed and %d unknown, want %d allowed", n, unknown.Load(), limit)
	}
	if n := unknown.Load(); n > vaults*tries/4 {
		t.Errorf("%d of %d are unknown", n, vaults*tries)
	}
}

// A load is one round trip, and so is a save that claims nothing.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		kind       servers.Kind
		more       string
		unprepared bool
	}{
		{"postgresql", servers.PostgreSQL, "", false},
		{"postgresql unprepared", servers.PostgreSQL, "default_query_exec_mode=exec", true},
		{"mariadb", servers.MariaDB, "", false},
		{"mariadb unprepared, interpolated", servers.MariaDB, "interpolateParams=true", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := servers.Shared(t, test.kind)
			proxy := servers.NewProxy(t, server.Addrs()[0])
			d := fresh(t, server)
			d.url = servers.Through(d.url, proxy.Addr())
			opts := d.options()
			opts.Unprepared = test.unprepared
			db := d.pool(t, test.more)
			db.SetMaxOpenConns(1)
			s := d.openOn(t, db, opts)
			at := int64(0)
			apply := func() {
				t.Helper()
				if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: at, New: at + 1, Data: []byte("x")}); err != nil {
					t.Fatal(err)
				}
				at++
			}
			load := func() {
				t.Helper()
				if _, err := s.Load(t.Context(), "u"); err != nil {
					t.Fatal(err)
				}
			}
			apply()
			apply()
			load()
			for what, do := range map[string]func(){"a save": apply, "a load": load} {
				proxy.Reset()
				do()
				if got := proxy.RoundTrips(); got != 1 {
					t.Errorf("%s takes %d round trips, want 1", what, got)
				}
			}
		})
	}
}

// The caller's own transaction takes back nothing of what the store saved.
func TestCallersTransactionOnServers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.pool(t, "")
		db.SetMaxOpenConns(4)
		s := d.openOn(t, db, d.options())
		start(t, s)
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM "+d.prefix+"record").Scan(&n); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("counted")}); err != nil {
			t.Errorf("Apply beside a transaction = %v", err)
		}
		if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: 2, New: 3, Data: []byte("claimed"), Claim: []string{key(2)}}); err != nil {
			t.Errorf("Apply with a key beside a transaction = %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != 3 || string(r.Data) != "claimed" {
			t.Errorf("after the caller's rollback: %d, %q, %v", r.Version, r.Data, err)
		}
		if owner, err := s.Owner(t.Context(), key(2)); owner != "u" {
			t.Errorf("after the caller's rollback the key belongs to %q, %v", owner, err)
		}
	})
}

// A server that takes no writes: reads answer, saves fail, and nothing changes.
func TestReadOnlyOnServers(t *testing.T) {
	t.Parallel()
	for _, kind := range []servers.Kind{servers.PostgreSQL, servers.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := servers.New(t, kind)
			d := fresh(t, server)
			s := d.open(t)
			start(t, s)
			server.ReadOnly(t, true)
			unchanged(t, s)
			for _, c := range changes() {
				unavailable(t, "Apply while the server is read-only", s.Apply(t.Context(), c))
			}
			unchanged(t, s)
			if err := sqlstore.Migrate(t.Context(), d.pool(t, ""), d.dialect, d.options()); err != nil {
				t.Errorf("Migrate of what is up to date, on a server that is read-only = %v", err)
			}
			other := fresh(t, server)
			unavailable(t, "Migrate of an empty database", sqlstore.Migrate(t.Context(), other.pool(t, ""), other.dialect, other.options()))
			server.ReadOnly(t, false)
			if err := s.Apply(t.Context(), changes()[5]); err != nil {
				t.Errorf("Apply afterwards = %v", err)
			}
		})
	}
}

// Contexts that end at any time: what an Apply says is the truth, or a failure.
func TestCuts(t *testing.T) {
	t.Parallel()
	cuts := 300
	if long() {
		cuts = 2000
	}
	for _, kind := range []servers.Kind{servers.PostgreSQL, servers.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			d := fresh(t, servers.Shared(t, kind))
			s, other := d.open(t), d.open(t)
			start(t, s)
			at, owned := int64(1), 1
			next := at
			counts := map[string]int{}
			pace := 2 * time.Millisecond
			for i := range cuts {
				next++
				c := store.Change{UserID: "u", Old: at, New: next, Data: fmt.Append(nil, next)}
				if i%2 == 0 {
					c.Claim, c.Release = []string{key(int(next))}, []string{key(owned)}
				}
				if i%7 == 0 {
					c.Old = next + 1<<40 // conflicts
				}
				ctx, cancel := context.WithCancel(t.Context())
				timer := time.AfterFunc(pace*time.Duration(i%50)/20, cancel)
				err := s.Apply(ctx, c)
				timer.Stop()
				cancel()
				began := time.Now()
				r := settled(t, other, "u", next+1)
				pace = (pace*7 + time.Since(began)) / 8
				landed := r.Version == c.New
				switch {
				case err == nil:
					counts["told nil"]++
					if !landed {
						t.Fatalf("cut %d: told nil, and not landed", i)
					}
				case errors.Is(err, store.ErrConflict):
					counts["told a conflict"]++
					if landed || c.Old == at {
						t.Fatalf("cut %d: told %v, landed %t", i, err, landed)
					}
				default:
					unavailable(t, "Apply, cut", err)
					if landed {
						counts["landed, told a failure"]++
					} else {
						counts["failed"]++
					}
				}
				for _, k := range append(c.Claim, c.Release...) {
					owner, err := other.Owner(t.Context(), k)
					claimed := len(c.Claim) > 0 && k == c.Claim[0]
					if err != nil && !errors.Is(err, store.ErrNotFound) || (owner == "u") != (claimed == landed) {
						t.Fatalf("cut %d: landed %t, and a key (claimed %t) belongs to %q, %v", i, landed, claimed, owner, err)
					}
				}
				if landed && len(c.Claim) > 0 {
					owned = int(next)
				}
				next++
				at = next
			}
			t.Log(counts)
			if counts["failed"] == 0 || counts["told nil"] == 0 {
				t.Errorf("the cuts come at no good times: %v", counts)
			}
		})
	}
}

// settled returns the record that a change met or left, and moves it on to a
// version of its own, so that nothing that is under way can land any more: the
// swap waits for whoever has the row.
func settled(t *testing.T, s *sqlstore.Store, user string, to int64) store.Record {
	t.Helper()
	for {
		r, err := s.Load(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		switch err := s.Apply(t.Context(), store.Change{UserID: user, Old: r.Version, New: to, Data: r.Data}); {
		case err == nil:
			return r
		case !errors.Is(err, store.ErrConflict): // it landed just now
			t.Fatal(err)
		}
	}
}
