package perf

// What a sign-in takes and what a user weighs, with a thousand users and with a
// million.

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
)

// A collector is a store in which nobody has anything. It keeps what is saved
// until it is asked for.
type collector struct{ changes []store.Change }

func (c *collector) Load(context.Context, string) (store.Record, error) {
	return store.Record{}, store.ErrNotFound
}

func (c *collector) Apply(_ context.Context, change store.Change) error {
	c.changes = append(c.changes, change)
	return nil
}

func (c *collector) Owner(context.Context, string) (string, error) { return "", store.ErrNotFound }

// chunk is how many users are loaded at once.
const chunk = 500

// seal makes n users and hands them to load, by the chunk and one after the other.
func (p *population) seal(t testing.TB, n int, load func([]store.Change) error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	chunks := make(chan []store.Change)
	var makers sync.WaitGroup
	errs := make(chan error, runtime.NumCPU())
	for maker := range runtime.NumCPU() {
		makers.Go(func() {
			var c collector
			v := p.vault(t, &c, mfatest.NewClock(p.latest), -1)
			for from := maker * chunk; from < n; from += runtime.NumCPU() * chunk {
				c.changes = make([]store.Change, 0, chunk)
				for i := from; i < min(from+chunk, n); i++ {
					if err := p.settle(ctx, v, userName(i)); err != nil {
						errs <- err
						return
					}
				}
				select {
				case chunks <- c.changes:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		makers.Wait()
		close(chunks)
	}()
	loaded := 0
	for changes := range chunks {
		must(t, load(changes))
		loaded += len(changes)
	}
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	if loaded != n {
		t.Fatalf("%d users of %d", loaded, n)
	}
}

// A town is a store with so many users.
type town struct {
	users         int
	server        *servers.Server
	address       string
	prefix        string
	record, claim string // tables
	p             *population
	st            *servers.Store
	teams         [][]*worker // who sign in, one for each of crowds
}

func (c *town) kind() servers.Kind { return c.server.Kind() }

// open opens the store anew, with vaults that have seen nobody yet. Their caches
// are 16 MiB together, as one has by default.
func (c *town) open(t testing.TB) {
	t.Helper()
	c.st = openAt(t, c.address)
	c.teams = nil
	for _, n := range crowds() {
		c.teams = append(c.teams, c.team(t, n))
	}
}

func (c *town) team(t testing.TB, n int) []*worker {
	t.Helper()
	team := make([]*worker, n)
	for i := range team {
		team[i] = c.p.worker(t, c.st, 16<<20/n)
	}
	return team
}

// crowds are how many sign in at once.
func crowds() []int { return size([]int{8}, []int{1, 8}) }

// signIn lets the team sign in n users, drawn uniformly, each member from a part
// of its own, and returns the times in order.
func (c *town) signIn(t testing.TB, team []*worker, n int) []time.Duration {
	t.Helper()
	all := make([][]time.Duration, len(team))
	runtime.GC()
	crew(t, len(team), func(i int) error {
		w := team[i]
		w.clock.Set(c.p.latest)
		part := (c.users - i + len(team) - 1) / len(team)
		for range n / len(team) {
			w.later()
			id, answer := userName(i+len(team)*rand.IntN(part)), w.answer()
			began := time.Now()
			pending, err := w.begin(id)
			if err != nil {
				return err
			}
			if _, err := pending.Verify(context.Background(), answer); err != nil {
				return err
			}
			all[i] = append(all[i], time.Since(began))
		}
		return nil
	})
	for _, w := range team {
		if w.clock.Now().After(c.p.latest) {
			c.p.latest = w.clock.Now()
		}
	}
	times := slices.Concat(all...)
	slices.Sort(times)
	return times
}

// fill makes the users.
func (c *town) fill(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	switch c.kind() {
	case servers.PostgreSQL:
		conn, err := c.st.DB.Conn(ctx)
		must(t, err)
		defer conn.Close()
		c.p.seal(t, c.users, func(changes []store.Change) error {
			return conn.Raw(func(driver any) error { return c.copy(ctx, driver.(*stdlib.Conn).Conn(), changes) })
		})
		administer(t, c.server, "VACUUM ANALYZE "+c.record, "VACUUM ANALYZE "+c.claim)
	case servers.MariaDB:
		c.p.seal(t, c.users, func(changes []store.Change) error {
			tx, err := c.st.DB.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback() // without effect after the commit
			if err := c.insert(ctx, tx, changes); err != nil {
				return err
			}
			return tx.Commit()
		})
		_, err := c.st.DB.Exec("ANALYZE TABLE " + c.record + ", " + c.claim)
		must(t, err)
	case servers.SQLite:
		// In one transaction with all pages in memory: each is written once.
		_, err := c.st.DB.Exec("PRAGMA cache_size = -2500000")
		must(t, err)
		tx, err := c.st.DB.BeginTx(ctx, nil)
		must(t, err)
		defer tx.Rollback() // without effect after the commit
		c.p.seal(t, c.users, func(changes []store.Change) error { return c.insert(ctx, tx, changes) })
		must(t, tx.Commit())
		_, err = c.st.DB.Exec("PRAGMA cache_size = -2000") // as it was
		must(t, err)
	case servers.Redis:
		set := func(name, value string) { must(t, c.st.Client.ConfigSet(ctx, name, value).Err()) }
		set("appendfsync", "no")
		set("auto-aof-rewrite-percentage", "0") // not while something is measured
		c.p.seal(t, c.users, func(changes []store.Change) error { return c.set(ctx, changes) })
		set("appendfsync", "always")
	}
	c.check(t)
}

// rows are those of the record and the claim table.
func rows(changes []store.Change) (records, claims [][]any) {
	for _, ch := range changes {
		records = append(records, []any{[]byte(ch.UserID), ch.New, ch.Data})
		for _, key := range ch.Claim {
			claims = append(claims, []any{[]byte(key), []byte(ch.UserID)})
		}
	}
	return records, claims
}

var (
	recordColumns = []string{"user_id", "version", "data"}
	claimColumns  = []string{"claim_key", "user_id"}
)

func (c *town) copy(ctx context.Context, conn *pgx.Conn, changes []store.Change) error {
	records, claims := rows(changes)
	_, err := conn.CopyFrom(ctx, pgx.Identifier{c.record}, recordColumns, pgx.CopyFromRows(records))
	if err == nil {
		_, err = conn.CopyFrom(ctx, pgx.Identifier{c.claim}, claimColumns, pgx.CopyFromRows(claims))
	}
	return err
}

func (c *town) insert(ctx context.Context, tx *sql.Tx, changes []store.Change) error {
	into := func(table string, columns []string, rows [][]any) error {
		row := ", (?" + strings.Repeat(", ?", len(columns)-1) + ")"
		text := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.Repeat(row, len(rows))[2:]
		_, err := tx.ExecContext(ctx, text, slices.Concat(rows...)...)
		return err
	}
	records, claims := rows(changes)
	if err := into(c.record, recordColumns, records); err != nil {
		return err
	}
	return into(c.claim, claimColumns, claims)
}

// set writes what the documentation of redisstore says is stored; check finds out
// whether it still is.
func (c *town) set(ctx context.Context, changes []store.Change) error {
	_, err := c.st.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, ch := range changes {
			h := sha256.Sum256([]byte(ch.UserID))
			bucket := fmt.Sprintf("%s{%03x}", c.prefix, binary.BigEndian.Uint16(h[:])%1024)
			user := base64.RawURLEncoding.EncodeToString([]byte(ch.UserID))
			pipe.Set(ctx, bucket+"r:"+user, version(ch.New)+string(ch.Data), 0)
			pipe.ZAdd(ctx, bucket+"u", redis.Z{Member: ch.UserID})
			attempt := fmt.Sprintf("%024x%016d", ch.New, 0)
			for _, key := range ch.Claim {
				pipe.HSet(ctx, bucket+"k:"+user, key, attempt)
				pipe.Set(ctx, c.prefix+"k:"+base64.RawURLEncoding.EncodeToString([]byte(key)), attempt+ch.UserID, 0)
			}
		}
		return nil
	})
	return err
}

// check makes sure that the store sees the last users as if it had saved them.
func (c *town) check(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	v := c.p.vault(t, c.st, mfatest.NewClock(c.p.latest), -1)
	for i := max(0, c.users-8); i < c.users; i++ {
		id := userName(i)
		s, err := v.View(ctx, id)
		must(t, err)
		if !s.Exists {
			t.Fatal("the store does not see who was loaded")
		}
		if s.Size < 1000 || s.Size > 1200 || len(s.Factors) != len(c.p.factors) {
			t.Errorf("a user has %d factors in %d bytes, the typical one %d in %d", len(s.Factors), s.Size, len(c.p.factors), c.p.record)
		}
		keys := 0
		for _, f := range s.Factors {
			if f.Key == "" {
				continue
			}
			keys++
			if owner, err := v.Owner(ctx, f.Kind, f.Key); err != nil || owner != id {
				t.Errorf("a key is %q's (%v), want %q's", owner, err, id)
			}
		}
		if keys != 2 {
			t.Errorf("a user has %d unique keys, want 2", keys)
		}
	}
	if _, err := c.st.Load(ctx, userName(c.users)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one user more than there are: %v", err)
	}
}

// weight returns the bytes that the users take in the store, and how they were
// counted.
func (c *town) weight(t testing.TB) (bytes int64, by string) {
	t.Helper()
	number := func(text string, args ...any) (n int64) {
		must(t, c.st.DB.QueryRow(text, args...).Scan(&n))
		return n
	}
	switch c.kind() {
	case servers.PostgreSQL:
		return number("SELECT pg_total_relation_size($1::regclass) + pg_total_relation_size($2::regclass)", c.record, c.claim), "`pg_total_relation_size`"
	case servers.MariaDB:
		return number("SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (?, ?)", c.record, c.claim), "`information_schema.tables`"
	case servers.SQLite:
		var busy, log, moved int
		must(t, c.st.DB.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved))
		return number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"), "the file"
	default:
		text, err := c.st.Client.Info(t.Context(), "memory").Result()
		must(t, err)
		_, rest, _ := strings.Cut(text, "used_memory:")
		_, err = fmt.Sscan(rest, &bytes)
		must(t, err)
		return bytes, "`used_memory`"
	}
}

// settled brings all that was written to where it stays.
func (c *town) settled(t testing.TB) {
	t.Helper()
	switch c.kind() {
	case servers.PostgreSQL:
		administer(t, c.server, "CHECKPOINT")
	case servers.MariaDB:
		administer(t, c.server, "FLUSH TABLES "+c.record+", "+c.claim+" FOR EXPORT", "UNLOCK TABLES")
	}
}

// folder is where the files of the database are, "" where it needs none to read.
func (c *town) folder(t testing.TB) (folder string) {
	t.Helper()
	switch c.kind() {
	case servers.PostgreSQL:
		db, err := sql.Open("pgx", "postgres://postgres@"+c.server.Addrs()[0]+"/mfa?sslmode=disable")
		must(t, err)
		defer db.Close()
		must(t, db.QueryRow("SHOW data_directory").Scan(&folder))
	case servers.MariaDB:
		must(t, c.st.DB.QueryRow("SELECT @@datadir").Scan(&folder))
	case servers.SQLite:
		u, err := url.Parse(c.address)
		must(t, err)
		folder = filepath.Dir(u.Path)
	}
	return folder
}

// cool ends the server, lets the system forget its files where it does, and opens
// the stores anew.
func cool(t testing.TB, server *servers.Server, towns []*town) {
	t.Helper()
	var folders []string
	for _, c := range towns {
		c.settled(t)
		if folder := c.folder(t); folder != "" {
			folders = append(folders, folder)
		}
		must(t, c.st.Close())
	}
	if server.Kind() != servers.SQLite {
		server.Stop(t)
	}
	for _, folder := range folders {
		must(t, filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return forget(name)
		}))
	}
	if server.Kind() != servers.SQLite {
		server.Start(t)
		started(t, server)
	}
	for _, c := range towns {
		c.open(t)
	}
}

// warm reads everything that a sign-in could.
func (c *town) warm(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	switch c.kind() {
	case servers.PostgreSQL:
		conn, err := c.st.DB.Conn(ctx)
		must(t, err)
		defer conn.Close()
		for _, text := range []string{
			"SELECT sum(length(data)) FROM " + c.record, // by the system, fast
			"SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET max_parallel_workers_per_gather = 0",
			"SELECT sum(length(data)) FROM (SELECT data FROM " + c.record + " ORDER BY user_id) r", // by the server, to stay
			"RESET ALL",
		} {
			_, err := conn.ExecContext(ctx, text)
			must(t, err)
		}
	case servers.MariaDB:
		_, err := c.st.DB.Exec("SELECT SUM(LENGTH(data)) FROM " + c.record)
		must(t, err)
	case servers.SQLite:
		f, err := os.Open(filepath.Join(c.folder(t), "mfa.db"))
		must(t, err)
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		must(t, err)
	}
}

// figures are p50 and p95 of the smaller and of the larger town.
type figures struct{ p50, p95 [2]time.Duration }

func (f *figures) of(town int, times []time.Duration) {
	f.p50[town], f.p95[town] = among(times, 0.5), among(times, 0.95)
}

// middles returns the median of each figure.
func middles(of []figures) (m figures) {
	for i := range 2 {
		var p50, p95 []time.Duration
		for _, f := range of {
			p50, p95 = append(p50, f.p50[i]), append(p95, f.p95[i])
		}
		m.p50[i], m.p95[i] = middle(p50), middle(p95)
	}
	return m
}

// TestMillion fills each store with a thousand users and with a million, weighs
// them, and lets users sign in who are drawn uniformly.
func TestMillion(t *testing.T) {
	few, many := size(20, 1000), fromEnv(t, "MFA_PERF_USERS", size(200, 1_000_000))
	const most = 1.3
	var weights, lines table
	defer func() {
		weights.print(t, "store", "users", "bytes of a user", "counted by")
		lines.print(t, "store", "at once", fmt.Sprintf("p50, %d users", few), fmt.Sprintf("%d users", many),
			fmt.Sprintf("p95, %d users", few), fmt.Sprintf("%d users", many), "ratio of p50", "at most")
	}()
	for _, k := range []servers.Kind{servers.SQLite, servers.PostgreSQL, servers.MariaDB, servers.Redis} {
		t.Run(string(k), func(t *testing.T) {
			server, p := tuned(t, k), newPopulation(t)
			var towns []*town
			for _, users := range []int{few, many} {
				c := &town{users: users, server: server, address: server.URL(t), p: p}
				c.prefix = prefixOf(t, c.address)
				c.record, c.claim = c.prefix+"record", c.prefix+"claim"
				c.open(t)
				towns = append(towns, c)
				var before int64
				if k == servers.Redis { // which counts itself too
					before, _ = c.weight(t)
				}
				began := time.Now()
				c.fill(t)
				t.Logf("%d users in %v; the typical record has %d bytes", users, time.Since(began).Round(time.Millisecond), p.record)
				c.settled(t)
				bytes, by := c.weight(t)
				weights.add("| %s | %d | %.0f | %s |", k, users, float64(bytes-before)/float64(users), by)
			}
			crowds := crowds()
			cold := make([]figures, len(crowds))
			for j := range crowds {
				for i, c := range towns {
					cool(t, server, towns)
					cold[j].of(i, c.signIn(t, c.teams[j], size(16, 1000)))
				}
			}

			for _, c := range towns {
				c.warm(t)
				for j := range crowds { // and the connections too
					c.signIn(t, c.teams[j], size(16, 1000))
				}
			}
			rounds := size(1, 7)
			warm := make([][]figures, len(crowds))
			for j := range crowds {
				warm[j] = make([]figures, rounds)
			}
			for round := range rounds {
				for n := range towns {
					i := (n + round) % len(towns)
					for j := range crowds {
						warm[j][round].of(i, towns[i].signIn(t, towns[i].teams[j], size(16, 2000)))
					}
				}
			}
			for _, c := range towns {
				c.settled(t)
				if k != servers.Redis {
					bytes, _ := c.weight(t)
					t.Logf("%d users, after they have signed in: %d bytes each", c.users, bytes/int64(c.users))
				}
			}

			for j, n := range crowds {
				for _, r := range []struct {
					what string
					f    figures
				}{{"warm", middles(warm[j])}, {"cold", cold[j]}} {
					ratio := float64(r.f.p50[1]) / float64(r.f.p50[0])
					lines.add("| %s, %s | %d | %s | %s | %s | %s | %.2f | %.1f |", k, r.what, n,
						ms(r.f.p50[0]), ms(r.f.p50[1]), ms(r.f.p95[0]), ms(r.f.p95[1]), ratio, most)
					if measuring() && r.what == "warm" && ratio > most {
						t.Errorf("%d at once: %.2f times as long with %d users, want %.1f", n, ratio, many, most)
					}
				}
			}
		})
	}
}
