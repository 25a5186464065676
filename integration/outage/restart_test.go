package outage

// Servers that are killed, stopped or read-only under load, or cut off from it, and
// come back.

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
)

// An outage is something that a load has to live through, again and again.
type outage struct {
	url       string // of the load's store
	straight  string // of the auditor's
	rounds    int
	out, back func(n int)
	hit       func(lines []line, since time.Time) bool    // it was no test before that; nil: failing
	meanwhile func(l *load, workers int, since time.Time) // nil: nothing
	behind    bool                                        // the load's stores answer before they save
}

const processes = 3

// endured lets a load run over a server that goes and comes back, and returns what
// is wrong.
func endured(t *testing.T, o outage) []string {
	t.Helper()
	keys := newKeys(t)
	s := setting{URL: o.url, Keys: string(keys), Workers: number(2, 11), Behind: o.behind}
	workers := processes * s.Workers
	l := startLoad(t, processes, s)
	if o.hit == nil {
		o.hit = failing
	}
	for n := range o.rounds {
		since := time.Now()
		if !l.until(30*time.Second, func(lines []line) bool { return len(accepting(lines, since)) == workers }) {
			t.Fatalf("before outage %d: not all of %d workers get something done", n, workers)
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // the random point; nothing waits for it
		o.out(n)
		gone := time.Now()
		if !l.until(30*time.Second, func(lines []line) bool { return o.hit(lines, gone) }) {
			t.Fatalf("outage %d hit no request: this was no test", n)
		}
		if o.meanwhile != nil {
			o.meanwhile(l, workers, gone)
		}
		o.back(n)
		began := time.Now()
		if !l.until(resumed, func(lines []line) bool { return len(accepting(lines, began)) == workers }) {
			t.Errorf("outage %d: %v after it not all of %d workers go on", n, resumed, workers)
			break
		}
		t.Logf("outage %d: all go on after %v", n, time.Since(began).Round(time.Millisecond))
	}
	lines := l.stop(t)
	count := map[verdict]int{}
	for _, l := range lines {
		count[l.Verdict]++
	}
	t.Log(count)
	return newAuditor(t, openAt(t, o.straight), keys).audit(t, lines)
}

// failing reports whether something failed since then.
func failing(lines []line, since time.Time) bool {
	for n := len(lines) - 1; n >= 0 && since.Sub(lines[n].At) < time.Minute; n-- {
		if lines[n].At.After(since) && lines[n].Verdict.failed() {
			return true
		}
	}
	return false
}

// restart kills the server and, every other time, stops it.
func restart(t *testing.T, s *servers.Server, rounds int) outage {
	url := s.URL(t)
	return outage{url: url, straight: url, rounds: rounds, out: func(n int) {
		if n%2 == 0 {
			s.Kill(t)
		} else {
			s.Stop(t)
		}
	}, back: func(int) { s.Start(t) }}
}

func TestRestart(t *testing.T) {
	on(t, single, func(t *testing.T, k servers.Kind) {
		for _, w := range endured(t, restart(t, servers.New(t, k), number(2, 10))) {
			t.Error(w)
		}
	})
}

// The server reads and does not write, for a while.
func TestReadOnlyUnderLoad(t *testing.T) {
	on(t, single, func(t *testing.T, k servers.Kind) {
		server := servers.New(t, k)
		o := restart(t, server, number(1, 10))
		o.out = func(int) { server.ReadOnly(t, true) }
		o.back = func(int) { server.ReadOnly(t, false) }
		for _, w := range endured(t, o) {
			t.Error(w)
		}
	})
}

// A proxy cuts one request of twenty, whatever it is.
func TestCutsUnderLoad(t *testing.T) {
	on(t, single, func(t *testing.T, k servers.Kind) {
		server := servers.Shared(t, k)
		o := outage{straight: server.URL(t), rounds: number(1, 10)}
		p := servers.NewProxy(t, server.Addrs()[0])
		o.url = servers.Through(o.straight, p.Addr())
		var cuts atomic.Int64
		o.out = func(int) {
			cuts.Store(0)
			p.OnRequest(func([]byte) servers.Cut {
				if rand.IntN(20) > 0 {
					return servers.Pass
				}
				cuts.Add(1)
				return []servers.Cut{servers.CutBeforeServer, servers.CutAfterServer}[rand.IntN(2)]
			})
		}
		o.hit = func([]line, time.Time) bool { return cuts.Load() >= int64(number(50, 200)) }
		o.back = func(int) { p.OnRequest(nil) }
		for _, w := range endured(t, o) {
			t.Error(w)
		}
	})
}

// A cluster that loses one node: the users of the others go on.
func TestRestartOneNode(t *testing.T) {
	t.Parallel()
	server := servers.New(t, servers.RedisCluster)
	cluster := openAt(t, server.URL(t)).Client.(*redis.ClusterClient)
	partly := func() {
		err := cluster.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error {
			return c.ConfigSet(ctx, "cluster-require-full-coverage", "no").Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	partly()
	o := restart(t, server, number(1, 6))
	o.out = func(n int) { server.KillNode(t, n%3) }
	o.back = func(n int) {
		server.StartNode(t, n%3)
		partly()
	}
	o.meanwhile = func(l *load, workers int, gone time.Time) {
		// The others find out after the nodes' timeout, of two seconds.
		since := gone.Add(3 * time.Second)
		if !l.until(20*time.Second, func(lines []line) bool { return len(accepting(lines, since)) >= workers/2 }) {
			t.Error("nobody gets in while one node is away")
		}
	}
	for _, w := range endured(t, o) {
		t.Error(w)
	}
}

// Over stores that answer before they save: something is lost, and seen.
func TestRestartSeesAStoreThatSavesLater(t *testing.T) {
	t.Parallel()
	o := restart(t, servers.New(t, servers.Redis), 1)
	o.behind = true
	wrong := endured(t, o)
	for n, w := range wrong {
		if n < 10 {
			t.Log(w)
		}
	}
	if len(wrong) == 0 {
		t.Error("nothing was seen to be lost")
	}
}
