package vault_test

// Replacing a key while people sign in: the four steps, and Reseal's pace, its
// interruptions and what it leaves alone.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

func keyID(k vault.Keys) string {
	id, _, _ := strings.Cut(string(k), ":")
	return id
}

// An instance is one process of several: its vault is replaced when it is
// deployed anew.
type instance struct{ atomic.Pointer[vault.Vault] }

// While two instances get new rings one after the other, by the four steps, no
// call fails; where a step is taken too early, some meet an unknown key.
func TestKeyIsReplacedOnALiveSystem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old, young := b.keys, newKey(t)
	reseal := func(t *testing.T, v *vault.Vault) {
		for pass := 0; ; pass++ {
			switch p, err := v.Reseal(t.Context(), nil); {
			case err != nil || pass == 10:
				t.Fatalf("pass %d: %+v, %v", pass, p, err)
			case p.Resealed == 0 && p.Failed == 0:
				return
			}
		}
	}
	type step struct {
		who  int        // the instance
		ring vault.Keys // "": it reseals
	}
	for _, tt := range []struct {
		name  string
		steps []step
		wrong bool
	}{
		{"four steps", []step{
			{0, old + "," + young}, {1, old + "," + young},
			{0, young + "," + old}, {1, young + "," + old},
			{0, ""},
			{0, young}, {1, young},
		}, false},
		{"first before everybody has it", []step{
			{0, young + "," + old}, {1, young + "," + old},
			{0, ""},
			{0, young}, {1, young},
		}, true},
		{"removed before everything is resealed", []step{
			{0, old + "," + young}, {1, old + "," + young},
			{0, young + "," + old}, {1, young + "," + old},
			{0, young}, {1, young},
		}, true},
		{"removed before everybody has the other first", []step{
			{0, old + "," + young}, {1, old + "," + young},
			{0, young + "," + old},
			{0, ""},
			{0, young}, {1, young + "," + old}, {1, young},
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &bench{store: &faulty{Store: memstore.New()}, clock: b.clock}
			var instances [2]instance
			for i := range instances {
				instances[i].Store(b.another(t, old))
			}
			live := newTraffic(t, instances[:])
			for _, s := range tt.steps {
				i := &instances[s.who]
				if s.ring == "" {
					if tt.wrong {
						_, err := i.Load().Reseal(t.Context(), nil)
						must(t, err)
					} else {
						reseal(t, i.Load())
						live.signInAnew(i.Load())
					}
					continue
				}
				i.Store(b.another(t, s.ring))
				live.round() // and whoever worked with the ring before is done
			}
			unknown, other := live.end()
			t.Logf("%d calls, %d met an unknown key", live.calls, unknown)
			for _, err := range other {
				t.Errorf("a call failed: %v", err)
			}
			if (unknown > 0) != tt.wrong {
				t.Errorf("%d calls met an unknown key", unknown)
			}
			if tt.wrong {
				return
			}
			alone := b.another(t, young)
			for _, u := range live.users {
				s, err := alone.View(t.Context(), u)
				must(t, err)
				if s.KeyID != keyID(young) {
					t.Errorf("%s is under %q", u, s.KeyID)
				}
			}
		})
	}
}

// traffic is people at work on all instances, until end.
type traffic struct {
	t       *testing.T
	users   []string
	mu      sync.Mutex
	turned  *sync.Cond
	turns   []int // of each worker through all users
	stopped bool
	calls   int
	unknown int
	other   []error
	tokens  map[string]string // by user ID
	workers sync.WaitGroup
}

func newTraffic(t *testing.T, instances []instance) *traffic {
	w := &traffic{t: t, tokens: map[string]string{}}
	w.turned = sync.NewCond(&w.mu)
	n := 24
	if os.Getenv("MFA_LONG") != "" {
		n = 1000
	}
	for i := range n {
		w.users = append(w.users, fmt.Sprintf("u%03d", i))
		enroll(t, instances[0].Load(), w.users[i])
	}
	w.signInAnew(instances[0].Load())
	const each = 2
	w.turns = make([]int, each*len(instances))
	for n := range w.turns {
		w.workers.Go(func() { w.work(n, &instances[n/each]) })
	}
	return w
}

// work goes through the users, again and again: one in four never changes
// anything, so that only Reseal moves their records.
func (w *traffic) work(n int, i *instance) {
	for turn := 0; ; turn++ {
		for k, u := range w.users {
			v := i.Load() // before the token: who removes a key waits for tokens first
			w.mu.Lock()
			token := w.tokens[u]
			w.mu.Unlock()
			_, err := v.Unseal("session", u, token)
			w.count(err)
			_, err = v.View(w.t.Context(), u)
			w.count(err)
			if k%4 == 0 {
				continue
			}
			w.count(update(w.t, v, u, name(fmt.Sprint(n, turn))))
			token, err = v.Seal("session", u, []byte(u))
			w.count(err)
			w.mu.Lock()
			w.tokens[u] = token
			w.mu.Unlock()
		}
		w.mu.Lock()
		w.turns[n]++
		stopped := w.stopped
		w.turned.Broadcast()
		w.mu.Unlock()
		if stopped {
			return
		}
	}
}

func (w *traffic) count(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	switch {
	case err == nil:
	case errors.Is(err, vault.ErrUnknownKey), errors.Is(err, vault.ErrInvalid): // of a record, of a token
		w.unknown++
	case len(w.other) < 10:
		w.other = append(w.other, err)
	}
}

// signInAnew gives everybody a new token.
func (w *traffic) signInAnew(v *vault.Vault) {
	for _, u := range w.users {
		token, err := v.Seal("session", u, []byte(u))
		must(w.t, err)
		w.mu.Lock()
		w.tokens[u] = token
		w.mu.Unlock()
	}
}

// round returns when each worker has been through all users once more, from the
// first to the last.
func (w *traffic) round() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, from := range slices.Clone(w.turns) {
		for w.turns[n] < from+2 {
			w.turned.Wait()
		}
	}
}

func (w *traffic) end() (unknown int, other []error) {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.workers.Wait()
	return w.unknown, w.other
}

func TestResealPace(t *testing.T) {
	t.Parallel()
	always := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	for _, tt := range []struct {
		name      string
		perSecond int
		work      func(n int) time.Duration // that a load takes; n counts from 0
		fail      bool
		want      time.Duration // that 20 records take
	}{
		{"no bound", 0, always(0), false, 0},
		{"quick", 10, always(0), false, 2 * time.Second},
		{"failing at once", 10, always(0), true, 2 * time.Second},
		{"no whole time apart", 3, always(0), false, 20 * 333_333_334},
		{"some work", 10, always(60 * time.Millisecond), false, 2*time.Second + 60*time.Millisecond},
		{"slower than the bound", 10, always(300 * time.Millisecond), false, 100*time.Millisecond + 20*300*time.Millisecond},
		{"slow and failing", 10, always(300 * time.Millisecond), true, 100*time.Millisecond + 20*300*time.Millisecond},
		{"one is stuck", 10, func(n int) time.Duration {
			if n == 4 {
				return 5 * time.Second
			}
			return 0
		}, false, 500*time.Millisecond + 5*time.Second + 1400*time.Millisecond},
		{"above what a clock can tell", 2_000_000_000, always(0), false, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				for i := range 20 {
					enroll(t, b.Vault, fmt.Sprintf("u%02d", i))
				}
				v := b.another(t, newKey(t)+","+b.keys)
				var begun []time.Time
				b.store.onLoad = func(ctx context.Context, _ int64, userID string) (store.Record, error) {
					begun = append(begun, time.Now())
					time.Sleep(tt.work((len(begun) - 1) % 20))
					if tt.fail {
						return store.Record{}, errDown
					}
					return b.store.Store.Load(ctx, userID)
				}
				for range 2 { // passes that follow each other
					start := time.Now()
					p, err := v.Reseal(t.Context(), &vault.ResealOptions{PerSecond: tt.perSecond})
					must(t, err)
					if took := time.Since(start); p.Seen != 20 || took != tt.want {
						t.Errorf("%d records in %v, want %v", p.Seen, took, tt.want)
					}
				}
				if n := tt.perSecond; n > 0 {
					for i := range begun[min(n, len(begun)):] {
						if d := begun[i+n].Sub(begun[i]); d < time.Second {
							t.Errorf("%d records within %v", n+1, d)
						}
					}
				}
			})
		})
	}
}

// The end of the context ends the wait for the next record.
func TestResealEndsWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		enroll(t, b.Vault, "u")
		enroll(t, b.Vault, "v")
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		p, err := b.Reseal(ctx, &vault.ResealOptions{PerSecond: 1})
		wantErr(t, err, context.DeadlineExceeded)
		if took := time.Since(start); took != 1500*time.Millisecond || p.Last != "u" || p.Seen != 1 {
			t.Errorf("%+v after %v", p, took)
		}
	})
}

// scattered lists its users in the order of a hash.
type scattered struct{ *memstore.Store }

func (s scattered) UserIDs(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	place := func(id string) string { sum := sha256.Sum256([]byte(id)); return string(sum[:]) }
	ids, _, err := s.Store.UserIDs(ctx, "", 1<<30)
	ids = slices.DeleteFunc(ids, func(id string) bool { return cursor != "" && place(id) <= place(cursor) })
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	if err != nil || len(ids) <= limit {
		return ids, "", err
	}
	return ids[:limit], ids[limit-1], nil
}

// A pass that ended anywhere, and is gone on with, sees everybody who was there,
// also if the last one seen has been deleted since; what others save under the
// old key behind it, the next pass finds.
func TestResealGoesOn(t *testing.T) {
	t.Parallel()
	const n = 12
	for name, open := range map[string]func() store.Store{
		"by bytes": func() store.Store { return memstore.New() },
		"by hash":  func() store.Store { return scattered{memstore.New()} },
	} {
		for cut := range n {
			t.Run(fmt.Sprintf("%s/%d", name, cut), func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.store.Store = open()
				young := newKey(t)
				v := b.another(t, young+","+b.keys)
				lags := b.another(t, b.keys+","+young)
				users := map[string]bool{}
				for i := range n {
					users[fmt.Sprintf("u%02d", i)] = true
					enroll(t, lags, fmt.Sprintf("u%02d", i))
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if cut == 0 {
					cancel()
				}
				var seen []string
				p, err := v.Reseal(ctx, &vault.ResealOptions{Progress: func(p vault.Progress) {
					if seen = append(seen, p.Last); p.Seen == cut {
						cancel()
					}
				}})
				if cut == 0 { // of which the store hears first
					wantErr(t, err, store.ErrUnavailable)
				}
				wantErr(t, err, context.Canceled)
				if p.Seen != cut || p.Resealed != cut {
					t.Fatalf("interrupted: %+v", p)
				}
				if cut > 1 {
					must(t, update(t, lags, seen[0], func(a *vault.Account) error { a.Used(a.Factors()[0].ID); return nil }))
				}
				if cut > 0 {
					must(t, lags.Delete(t.Context(), p.Last))
					delete(users, p.Last)
				}
				rest, err := v.Reseal(t.Context(), &vault.ResealOptions{After: p.Last, Progress: func(p vault.Progress) {
					seen = append(seen, p.Last)
				}})
				must(t, err)
				if rest.Seen != n-cut || rest.Resealed != n-cut || rest.Failed != 0 {
					t.Errorf("gone on with: %+v", rest)
				}
				slices.Sort(seen)
				if len(slices.Compact(seen)) != n {
					t.Errorf("seen: %q", seen)
				}
				again, err := v.Reseal(t.Context(), nil)
				must(t, err)
				if want := min(1, cut/2); again.Resealed != want || again.Failed != 0 {
					t.Errorf("the next pass: %+v, want %d resealed", again, want)
				}
				alone := b.another(t, young)
				for u := range users {
					must(t, guess(t, alone, u, "secret"))
				}
			})
		}
	}
}

// A pass goes through everybody, and leaves in the cache who signs in, with the
// record of now.
func TestResealLeavesTheCache(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 300 {
		enroll(t, b.Vault, fmt.Sprintf("u%03d", i))
	}
	v, err := vault.Open(b.store, newKey(t)+","+b.keys, &vault.Options{Now: b.clock.Now, Cache: 128 << 10}) // good for some fifty
	must(t, err)
	_, err = v.View(t.Context(), "u000")
	must(t, err)
	for _, resealed := range []int{300, 0} {
		p, err := v.Reseal(t.Context(), nil)
		must(t, err)
		if p.Resealed != resealed {
			t.Fatalf("%+v", p)
		}
		b.store.reset()
		must(t, update(t, v, "u000", name(fmt.Sprint(resealed))))
		if l, a := b.store.loads.Load(), b.store.applies.Load(); l != 0 || a != 1 {
			t.Errorf("after a pass an update takes %d loads and %d saves", l, a)
		}
	}
}
