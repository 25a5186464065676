// Tests of the schema on every database: racing, scripted, foreign, interrupted.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// Pools that open one empty database at once all succeed.
func TestMigrateRaceOnServers(t *testing.T) {
	t.Parallel()
	rounds := 5
	if long() {
		rounds = 20
	}
	for _, kind := range sqlKinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := servers.Shared(t, kind)
			for round := range rounds {
				d := fresh(t, server)
				dbs := make([]*sql.DB, 8)
				for i := range dbs {
					dbs[i] = d.pool(t, "")
				}
				begin := make(chan struct{})
				var wg sync.WaitGroup
				for i, db := range dbs {
					wg.Go(func() {
						<-begin
						s, err := sqlstore.Open(t.Context(), db, d.dialect, d.options())
						if err != nil {
							t.Errorf("round %d: Open, racing = %v", round, err)
							return
						}
						defer s.Close()
						if err := s.Apply(t.Context(), store.Change{UserID: fmt.Sprint(i), New: 1, Claim: []string{key(i)}}); err != nil {
							t.Errorf("round %d: Apply after a racing Open = %v", round, err)
						}
					})
				}
				close(begin)
				wg.Wait()
				if ids, _, err := d.open(t).UserIDs(t.Context(), "", 100); err != nil || len(ids) != len(dbs) {
					t.Errorf("round %d: %d users, %v; want %d", round, len(ids), err, len(dbs))
				}
				for _, db := range dbs {
					db.Close()
				}
			}
		})
	}
}

// script runs the text of Schema as a migration tool would: statement by
// statement.
func script(t *testing.T, d database, db *sql.DB, n int) (ran int) {
	t.Helper()
	text, err := sqlstore.Schema(d.dialect, d.options())
	if err != nil {
		t.Fatal(err)
	}
	for statement := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(statement) == "" || ran == n {
			break
		}
		mustExec(t, db, statement)
		ran++
	}
	return ran
}

const whole = 1000 // statements: all of them

func TestSchemaByHandOnServers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.pool(t, "")
		opts := d.options()
		opts.NoMigrate = true
		if _, err := sqlstore.Open(t.Context(), db, d.dialect, opts); !errors.Is(err, store.ErrSchema) {
			t.Errorf("Open with NoMigrate of an empty database = %v, want ErrSchema", err)
		}
		script(t, d, db, whole)
		s := d.openOn(t, db, opts)
		start(t, s)
		unchanged(t, s)
		if err := sqlstore.Migrate(t.Context(), db, d.dialect, d.options()); err != nil {
			t.Errorf("Migrate after the script = %v", err)
		}
		unchanged(t, s)
	})
}

// Whatever is not exactly a known schema is an error. Where every table is a
// commit of its own, version 0 with some of the tables is a migration that
// was stopped, and goes on; where they are one commit, it is not.
func TestForeignSchemasOnServers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil  []string
		mySQL  bool // MySQL goes on
		repair bool // every database goes on
	}{
		"newer":              {spoil: []string{"UPDATE @schema SET version = 2"}},
		"much newer":         {spoil: []string{"UPDATE @schema SET version = 9223372036854775807"}},
		"negative":           {spoil: []string{"UPDATE @schema SET version = -1"}},
		"no records":         {spoil: []string{"DROP TABLE @record"}},
		"no keys":            {spoil: []string{"DROP TABLE @claim"}},
		"nothing but it":     {spoil: []string{"DROP TABLE @record", "DROP TABLE @claim"}},
		"version table lost": {spoil: []string{"DROP TABLE @schema"}},
		"version lost":       {spoil: []string{"DELETE FROM @schema"}, mySQL: true},
		"version 0":          {spoil: []string{"UPDATE @schema SET version = 0"}, mySQL: true},
		"0 with half":        {spoil: []string{"UPDATE @schema SET version = 0", "DROP TABLE @claim"}, mySQL: true},
		"lost with half":     {spoil: []string{"DELETE FROM @schema", "DROP TABLE @record"}, mySQL: true},
		"0 with none":        {spoil: []string{"UPDATE @schema SET version = 0", "DROP TABLE @claim", "DROP TABLE @record"}, repair: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, d database) {
				db := d.pool(t, "")
				s := d.openOn(t, db, d.options())
				start(t, s)
				s.Close()
				for _, text := range test.spoil {
					mustExec(t, db, strings.ReplaceAll(text, "@", d.prefix))
				}
				opts := d.options()
				opts.NoMigrate = true
				if _, err := sqlstore.Open(t.Context(), db, d.dialect, opts); !errors.Is(err, store.ErrSchema) {
					t.Errorf("Open with NoMigrate = %v, want ErrSchema", err)
				}
				_, err := sqlstore.Open(t.Context(), db, d.dialect, d.options())
				if goesOn := test.repair || test.mySQL && d.dialect == sqlstore.MySQL; goesOn && err != nil {
					t.Errorf("Open = %v, want it to go on", err)
				} else if !goesOn && !errors.Is(err, store.ErrSchema) {
					t.Errorf("Open = %v, want ErrSchema", err)
				}
			})
		})
	}
}

// A migration whose connection breaks at any of its requests, before the server
// has seen it or after, goes on when it is called again.
func TestMigrateCutOnServers(t *testing.T) {
	t.Parallel()
	for _, kind := range []servers.Kind{servers.PostgreSQL, servers.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := servers.Shared(t, kind)
			for _, cut := range []servers.Cut{servers.CutBeforeServer, servers.CutAfterServer} {
				hits := 0
				for n := 1; ; n++ {
					proxy := servers.NewProxy(t, server.Addrs()[0])
					d := fresh(t, server)
					through := d
					through.url = servers.Through(d.url, proxy.Addr())
					db := through.pool(t, "")
					if err := db.PingContext(t.Context()); err != nil {
						t.Fatal(err)
					}
					// Once it has begun to fail it fails for good: its process is dead.
					ctx, end := context.WithCancel(t.Context())
					reached, seen := false, 0
					var mu sync.Mutex
					proxy.OnRequest(func([]byte) servers.Cut {
						mu.Lock()
						defer mu.Unlock()
						if seen++; seen < n {
							return servers.Pass
						}
						if !reached {
							reached = true
							proxy.Refuse(true)
							time.AfterFunc(50*time.Millisecond, end) // nobody tries for longer
							return cut
						}
						return servers.CutBeforeServer
					})
					err := sqlstore.Migrate(ctx, db, d.dialect, d.options())
					end()
					mu.Lock()
					hit := reached
					mu.Unlock()
					if !hit {
						if err != nil {
							t.Errorf("Migrate without a cut = %v", err)
						}
						break
					}
					hits++
					unavailable(t, fmt.Sprintf("Migrate, cut at request %d", n), err)
					s := d.open(t)
					start(t, s)
					unchanged(t, s)
				}
				if hits < 5 {
					t.Errorf("%d requests were cut: that is no migration", hits)
				}
			}
		})
	}
}

// Stores with different prefixes share a database and nothing else.
func TestPrefixesOnServers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		db := d.pool(t, "")
		for i, prefix := range []string{d.prefix, d.prefix + "a_", d.prefix + "record", strings.Repeat("x", 39-len(d.prefix)) + "_" + d.prefix} {
			s := d.openOn(t, db, &sqlstore.Options{Prefix: prefix})
			c := store.Change{UserID: "u", New: int64(i + 1), Data: []byte(prefix), Claim: []string{key(1)}}
			if err := s.Apply(t.Context(), c); err != nil {
				t.Errorf("prefix %q: Apply = %v", prefix, err)
			}
			if r, err := s.Load(t.Context(), "u"); err != nil || r.Version != int64(i+1) {
				t.Errorf("prefix %q: Load = %d, %v", prefix, r.Version, err)
			}
		}
	})
}

// Three processes open an empty database, and then race for every version of one
// record. They write the same version, so only the affected rows tell who won.
func TestProcessesOnServers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		address := d.url + "&prefix=" + d.prefix
		raced(t, racingRounds, func(i int) *exec.Cmd { return child(t.Context(), "race", address, fmt.Sprint(i)) })
		counted(t, d.open(t), racingRounds)
	})
}
