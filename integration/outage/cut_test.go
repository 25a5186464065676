package outage

// Connections that are cut in the middle of a save, and servers that are killed
// there and come back: the request is told what really happened.

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

// An aim is a store that tells the proxy before it which request to cut.
type aim struct {
	store.Store

	mu   sync.Mutex
	how  servers.Cut
	left int    // cuts that are still to be made
	nth  int    // the n-th request of each Apply; 0: the one that carries the data
	data []byte // what that one contains
	seen int    // requests of this Apply
	cuts int    // made since it was armed
}

func (a *aim) arm(how servers.Cut, nth, cuts int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.how, a.nth, a.left, a.cuts = how, nth, cuts, 0
}

func (a *aim) made() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = 0
	return a.cuts
}

func (a *aim) Apply(ctx context.Context, c store.Change) error {
	a.mu.Lock()
	a.data, a.seen = c.Data[max(0, len(c.Data)-24):], 0 // the end of a sealed record, which no other has
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.data = nil
		a.mu.Unlock()
	}()
	return a.Store.Apply(ctx, c)
}

// judge is asked by the proxies.
func (a *aim) judge(request []byte) servers.Cut {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.data == nil || a.left == 0 {
		return servers.Pass
	}
	a.seen++
	if a.nth > 0 && a.seen != a.nth || a.nth == 0 && !bytes.Contains(request, a.data) {
		return servers.Pass
	}
	a.left--
	a.cuts++
	return a.how
}

// A way is a store behind a proxy that cuts.
type way struct {
	name string
	open func(t *testing.T) (url string, aimed *aim)
}

// through returns the ways to a kind.
func through(k servers.Kind) []way {
	open := func(more string) func(t *testing.T) (string, *aim) {
		return func(t *testing.T) (string, *aim) {
			var url, cut string
			var proxies []*servers.Proxy
			if k == servers.RedisCluster {
				s := servers.New(t, k, servers.Proxied) // its auditor comes by the proxies too
				url = s.URL(t)
				cut, proxies = url, s.Proxies()
			} else {
				s := servers.Shared(t, k)
				url = s.URL(t)
				p := servers.NewProxy(t, s.Addrs()[0])
				cut, proxies = servers.Through(url, p.Addr()), []*servers.Proxy{p}
			}
			a := &aim{Store: openAt(t, cut+more)}
			for _, p := range proxies {
				p.OnRequest(a.judge)
			}
			return url, a
		}
	}
	switch k {
	case servers.Redis:
		return []way{{"a client that sends again", open("")}, {"a client that does not", open("&max_retries=-1")}}
	default:
		return []way{{"one client", open("")}}
	}
}

// A tally counts what was told.
type tally struct {
	truth, open int // the truth; that it is unknown, or that nothing happened, which is no lie
	wrong       []string
	first       string // of the open ones
}

func (s *tally) add(d deed, r result) {
	switch w := r.wrong(d.want); {
	case w != "":
		s.wrong = append(s.wrong, d.name+": "+w)
	case r.told.failed():
		if s.open++; s.first == "" {
			s.first = fmt.Sprintf("%s: %v", d.name, r.err)
		}
	default:
		s.truth++
	}
}

// check fails the test unless all is true and 99 of 100 are known.
func (s *tally) check(t testing.TB, what string) {
	t.Helper()
	for _, w := range s.wrong {
		t.Errorf("%s: %s", what, w)
	}
	all := s.truth + s.open + len(s.wrong)
	t.Logf("%s: %d; the truth was told in %d, unknown or undone were %d, wrong %d", what, all, s.truth, s.open, len(s.wrong))
	if s.truth*100 < all*99 {
		t.Errorf("%s: the truth was told in %d of %d; the first of the others: %s", what, s.truth, all, s.first)
	}
}

var hows = map[servers.Cut]string{servers.CutBeforeServer: "before the server", servers.CutAfterServer: "after the server"}

func TestCuts(t *testing.T) {
	on(t, append(single, servers.RedisCluster), func(t *testing.T, k servers.Kind) {
		for _, w := range through(k) {
			t.Run(w.name, func(t *testing.T) {
				url, a := w.open(t)
				l := newLane(t, "cut", newKeys(t), openAt(t, url), a)
				for how, name := range hows {
					sum := tally{}
					for n := range number(20, 200) {
						d := deeds[n%len(deeds)]
						cuts := 0
						r := l.do(d, func() { a.arm(how, 0, 1+n%number(2, 3)) }, func() { cuts = a.made() })
						if cuts == 0 {
							t.Fatalf("%s: nothing was cut", d.name)
						}
						sum.add(d, r)
					}
					sum.check(t, "cut "+name)
				}
			})
		}
	})
}

// A change with keys takes several steps: each of them is cut.
func TestCutsAtEveryStep(t *testing.T) {
	on(t, append(single, servers.RedisCluster), func(t *testing.T, k servers.Kind) {
		for _, w := range through(k) {
			t.Run(w.name, func(t *testing.T) {
				url, a := w.open(t)
				l := newLane(t, "step", newKeys(t), openAt(t, url), a)
				for how, name := range hows {
					for _, d := range []deed{claimKey, releaseKey} {
						sum, steps := tally{}, 0
						for range number(1, 20) {
							for nth := 1; ; nth++ {
								cuts := 0
								r := l.do(d, func() { a.arm(how, nth, 1) }, func() { cuts = a.made() })
								sum.add(d, r)
								if cuts == 0 { // there is no such step
									break
								}
								steps = max(steps, nth)
							}
						}
						if steps < 2 {
							t.Errorf("%s: %d steps were cut", d.name, steps)
						}
						sum.check(t, fmt.Sprintf("%s, cut %s at each of %d requests", d.name, name, steps))
					}
				}
			})
		}
	})
}

// A killing store lets the server be killed at some point of an Apply, and started
// again at once.
type killing struct {
	store.Store
	strike func()

	mu    sync.Mutex
	armed bool
	back  chan struct{}
}

func (s *killing) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.back = true, make(chan struct{})
}

func (s *killing) Apply(ctx context.Context, c store.Change) error {
	s.mu.Lock()
	armed, back := s.armed, s.back
	s.armed = false
	s.mu.Unlock()
	if !armed {
		return s.Store.Apply(ctx, c)
	}
	struck := make(chan struct{})
	go func() {
		defer close(back)
		close(struck)
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond) // the random point; nothing waits for it
		s.strike()
	}()
	<-struck
	time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
	return s.Store.Apply(ctx, c)
}

func TestKilledInTheMiddle(t *testing.T) {
	on(t, single, func(t *testing.T, k servers.Kind) {
		server := servers.New(t, k)
		url := server.URL(t)
		s := &killing{Store: openAt(t, url), strike: func() {
			server.Kill(t)
			server.Start(t)
		}}
		l := newLane(t, "killed", newKeys(t), openAt(t, url), s)
		sum, all := tally{}, append([]deed{claimKey}, deeds...)
		for n := range number(5, 100) {
			d := all[n%len(all)]
			sum.add(d, l.do(d, s.arm, func() { <-s.back }))
		}
		sum.check(t, "killed and back")
	})
}

// Over stores that are wrong on purpose: something is seen to be wrong.
func TestCutsSeeWrongStores(t *testing.T) {
	for _, wrong := range []struct {
		name string
		how  servers.Cut
		over func(store.Store) store.Store
	}{
		{"takes an error for a success", servers.CutBeforeServer, func(s store.Store) store.Store { return trusting{s} }},
		{"does not know its own save", servers.CutAfterServer, func(s store.Store) store.Store { return newForgetful(s) }},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			t.Parallel()
			url, a := through(servers.PostgreSQL)[0].open(t)
			l := newLane(t, "wrong", newKeys(t), openAt(t, url), wrong.over(a))
			seen := tally{}
			for _, d := range deeds {
				seen.add(d, l.do(d, func() { a.arm(wrong.how, 0, 1) }, func() { a.made() }))
			}
			t.Log(strings.Join(seen.wrong, "\n"))
			if len(seen.wrong) < len(deeds)-2 {
				t.Errorf("%d of %d were seen to be wrong", len(seen.wrong), len(deeds))
			}
		})
	}
}
