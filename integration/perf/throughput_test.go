package perf

// How many saves of a sign-in a store carries, beside the smallest save that
// could decide anything.

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

// workers are how many work at once, each with a user of its own.
const workers = 32

// A window is what was done in a stretch of time.
type window struct {
	n             int64
	took          time.Duration
	ours, machine time.Duration // CPU, of this process and of all
}

func (w window) rate() float64 { return float64(w.n) / w.took.Seconds() }

// during lets every worker run do until the time is over, or one says errDone.
func during(t testing.TB, long time.Duration, do func(i int) error) window {
	t.Helper()
	runtime.GC()
	var w window
	var n atomic.Int64
	var over atomic.Bool
	ours, machine, began := computed(), computedByAll(), time.Now()
	timer := time.AfterFunc(long, func() { over.Store(true) })
	defer timer.Stop()
	crew(t, workers, func(i int) error {
		for !over.Load() {
			switch err := do(i); err {
			case nil:
				n.Add(1)
			case errDone:
				over.Store(true)
			default:
				return err
			}
		}
		return nil
	})
	w.took, w.n, w.ours, w.machine = time.Since(began), n.Load(), computed()-ours, computedByAll()-machine
	return w
}

var errDone = errors.New("nothing more was prepared")

// A fork is a store for one worker with one user: while sign-ins begin, it is read
// from memory. Nothing but Verify is measured, and Verify saves to the store.
type fork struct {
	store.Store
	last      store.Record
	beginning bool
}

func (f *fork) Load(ctx context.Context, userID string) (store.Record, error) {
	if f.beginning {
		return f.last, nil
	}
	var err error
	f.last, err = f.Store.Load(ctx, userID)
	return f.last, err
}

func (f *fork) Apply(ctx context.Context, c store.Change) error {
	err := f.Store.Apply(ctx, c)
	if err == nil {
		f.last = store.Record{Version: c.New, Data: c.Data}
	}
	return err
}

// A verifier is a worker with sign-ins that wait for their answer.
type verifier struct {
	*worker
	fork    *fork
	user    string
	waiting []waiting
}

type waiting struct {
	at      time.Time
	pending *mfa.Pending
	answer  mfa.Answer
}

// prepare begins n sign-ins, one after the other by the worker's clock.
func (v *verifier) prepare(n int) error {
	v.fork.beginning = true
	defer func() { v.fork.beginning = false }()
	v.waiting = make([]waiting, 0, n)
	for range n {
		v.later()
		p, err := v.begin(v.user)
		if err != nil {
			return err
		}
		v.waiting = append(v.waiting, waiting{v.clock.Now(), p, v.answer()})
	}
	v.clock.Set(v.waiting[0].at)
	return nil
}

func (v *verifier) verify() error {
	if len(v.waiting) == 0 {
		return errDone
	}
	w := v.waiting[0]
	v.waiting = v.waiting[1:]
	v.clock.Set(w.at)
	_, err := w.pending.Verify(context.Background(), w.answer)
	return err
}

// bare returns the smallest save that decides: a counter, or in Redis as many
// bytes as a record has.
func bare(t testing.TB, st *servers.Store, k servers.Kind, prefix string, bytes int) func(i int) error {
	t.Helper()
	var counters [workers]int64
	ctx := context.Background()
	if st.Client != nil {
		swap := redis.NewScript(`
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1`)
		var values [workers][2]string
		for i := range values {
			values[i] = [2]string{string(random(bytes)), string(random(bytes))}
			must(t, st.Client.Set(ctx, fmt.Sprint(prefix, "bare:", i), version(0)+values[i][0], 0).Err())
		}
		return func(i int) error {
			old := counters[i]
			counters[i]++
			value := version(counters[i]) + values[i][counters[i]%2]
			n, err := swap.Run(ctx, st.Client, []string{fmt.Sprint(prefix, "bare:", i)}, version(old), value).Int()
			return one(int64(n), err)
		}
	}
	table := prefix + "bare"
	_, err := st.DB.Exec("CREATE TABLE " + table + " (id INTEGER PRIMARY KEY, n BIGINT NOT NULL)")
	must(t, err)
	for i := range counters {
		_, err := st.DB.Exec(fmt.Sprintf("INSERT INTO %s VALUES (%d, 0)", table, i))
		must(t, err)
	}
	text := "UPDATE " + table + " SET n = n + 1 WHERE id = ? AND n = ?"
	if k == servers.PostgreSQL {
		text = "UPDATE " + table + " SET n = n + 1 WHERE id = $1 AND n = $2"
	}
	update, err := st.DB.Prepare(text)
	must(t, err)
	t.Cleanup(func() { update.Close() })
	return func(i int) error {
		res, err := update.Exec(i, counters[i])
		if err != nil {
			return err
		}
		counters[i]++
		return one(affected(res))
	}
}

// saves returns what the store does for a Verify, and nothing else.
func saves(t testing.TB, st store.Store, bytes int) func(i int) error {
	t.Helper()
	ctx := context.Background()
	var at [workers]int64
	data := random(bytes)
	for i := range at {
		at[i] = 1
		must(t, st.Apply(ctx, store.Change{UserID: fmt.Sprint("saved ", i), New: 1, Data: data}))
	}
	return func(i int) error {
		at[i]++
		return st.Apply(ctx, store.Change{UserID: fmt.Sprint("saved ", i), Old: at[i] - 1, New: at[i], Data: data})
	}
}

func version(n int64) string { return string(binary.BigEndian.AppendUint64(nil, uint64(n))) }

func affected(res sql.Result) (int64, error) { return res.RowsAffected() }

func one(n int64, err error) error {
	if err == nil && n != 1 {
		err = fmt.Errorf("%d changed, want 1", n)
	}
	return err
}

// TestThroughput lets 32 workers verify right codes, each for a user of its own,
// save a record of as many bytes each, and update a counter each, in turns.
func TestThroughput(t *testing.T) {
	seconds := fromEnv(t, "MFA_PERF_SECONDS", 10)
	long := size(50*time.Millisecond, time.Duration(seconds)*time.Second)
	rounds := size(1, 6)
	var lines table
	defer func() {
		lines.print(t, "store", "Verify/s", "Store.Apply/s", "bare/s", "Verify to bare", "at least", "CPU here and in all: Verify", "Apply", "bare")
	}()
	for _, tt := range []struct {
		kind  servers.Kind
		least float64
	}{
		{servers.PostgreSQL, 0.75},
		{servers.MariaDB, 0.75},
		{servers.SQLite, 0.6},
		{servers.Redis, 0.5},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			address := tuned(t, tt.kind).URL(t)
			st := openAt(t, address)
			if st.DB != nil && tt.kind != servers.SQLite {
				st.DB.SetMaxOpenConns(workers)
				st.DB.SetMaxIdleConns(workers)
			}
			p := newPopulation(t)
			team := make([]*verifier, workers)
			for i := range team {
				f := &fork{Store: st}
				team[i] = &verifier{worker: p.worker(t, f, 0), fork: f, user: userName(i)}
				must(t, p.settle(t.Context(), p.vault(t, st, team[i].clock, -1), userName(i)))
				_, err := f.Load(t.Context(), team[i].user)
				must(t, err)
			}
			update := bare(t, st, tt.kind, prefixOf(t, address), p.record)
			save := saves(t, st, p.record)
			verifying := func(n int, long time.Duration) window {
				crew(t, workers, func(i int) error { return team[i].prepare(n) })
				return during(t, long, func(i int) error { return team[i].verify() })
			}
			// Once before, so that everything is warm, and to know how many will do.
			during(t, long/5, update)
			first := verifying(size(10, 400), long/5)
			enough := size(10, 20+int(2*first.rate()*long.Seconds()/workers))

			var verified, applied, updated []window
			for round := range rounds {
				turns := []func(){
					func() { updated = append(updated, during(t, long, update)) },
					func() { applied = append(applied, during(t, long, save)) },
					func() { verified = append(verified, verifying(enough, long)) },
				}
				if round%2 == 1 {
					slices.Reverse(turns)
				}
				for _, turn := range turns {
					turn()
				}
			}
			ours, theirs := rateOf(verified), rateOf(updated)
			lines.add("| %s | %.0f | %.0f | %.0f | %.2f | %.2f | %s | %s | %s |", tt.kind, ours, rateOf(applied), theirs,
				ours/theirs, tt.least, cost(verified), cost(applied), cost(updated))
			for i := range verified {
				t.Logf("window %d: %.0f/s in %v, bare %.0f/s", i+1, verified[i].rate(), verified[i].took.Round(time.Millisecond), updated[i].rate())
			}
			if measuring() && ours/theirs < tt.least {
				t.Errorf("%.2f of a bare one, want %.2f", ours/theirs, tt.least)
			}
		})
	}
}

func rateOf(windows []window) float64 {
	var rates []float64
	for _, w := range windows {
		rates = append(rates, w.rate())
	}
	return middle(rates)
}

// cost says what one of them computes, here and on the whole machine.
func cost(windows []window) string {
	var here, all []float64
	for _, w := range windows {
		here = append(here, float64(w.ours)/float64(w.n)/1e3)
		all = append(all, float64(w.machine)/float64(w.n)/1e3)
	}
	return fmt.Sprintf("%.0f µs, %.0f µs", middle(here), middle(all))
}
