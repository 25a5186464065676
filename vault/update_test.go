package vault_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// name renames the user's first factor: a small change that can be read back.
func name(to string) func(*vault.Account) error {
	return func(a *vault.Account) error {
		_, err := a.Rename(a.Factors()[0].ID, to)
		return err
	}
}

func nameOf(t testing.TB, v *vault.Vault, user string) string {
	t.Helper()
	s, err := v.View(t.Context(), user)
	must(t, err)
	if len(s.Factors) == 0 {
		return ""
	}
	return s.Factors[0].Name
}

func TestOnlyVerdictsAreSaved(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		ends  error
		saved bool
	}{
		{"success", nil, true},
		{"rejected", vault.ErrRejected, true},
		{"wrapped rejection", fmt.Errorf("x: %w", vault.ErrReplayed), true},
		{"uncounted", vault.Uncounted(vault.ErrInvalid), true},
		{"failure", errDown, false},
		{"context", context.Canceled, false},
		{"busy", vault.ErrBusy, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			enroll(t, b.Vault, "u")
			ran := false
			err := update(t, b.Vault, "u", func(a *vault.Account) error {
				a.AfterSave(func(context.Context) error { ran = true; return nil })
				must(t, name("changed")(a))
				return test.ends
			})
			if !errors.Is(err, test.ends) {
				t.Errorf("got %v, want %v", err, test.ends)
			}
			if got := nameOf(t, b.another(t, b.keys), "u") == "changed"; got != test.saved || ran != test.saved {
				t.Errorf("saved %t, effect ran %t, want %t", got, ran, test.saved)
			}
		})
	}
}

func TestPanicSavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	ran := false
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = update(t, b.Vault, "u", func(a *vault.Account) error {
			a.AfterSave(func(context.Context) error { ran = true; return nil })
			must(t, name("changed")(a))
			panic("a factor fails")
		})
	}()
	if ran || nameOf(t, b.Vault, "u") != "one" {
		t.Error("a panic saved something")
	}
	must(t, update(t, b.Vault, "u", name("after"))) // the queue is free again
}

func TestResultIsZeroWithAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for _, ends := range []error{vault.ErrInvalid, errDown} {
		got, err := vault.Update(t.Context(), b.Vault, "u", func(a *vault.Account) (*int, error) {
			return new(int), ends
		})
		if got != nil || !errors.Is(err, ends) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

// A change runs again on a fresh account when another writer came first.
func TestLostTryRunsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	other := b.another(t, b.keys)
	tries, effects := 0, 0
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		tries++
		a.AfterSave(func(context.Context) error { effects++; return nil })
		if tries == 1 {
			must(t, update(t, other, "u", name("theirs")))
		} else if got := a.Factors()[0].Name; got != "theirs" {
			t.Errorf("the second try saw %q", got)
		}
		a.Used(a.Factors()[0].ID)
		return nil
	}))
	if tries != 2 || effects != 1 {
		t.Errorf("%d tries and %d effects, want 2 and 1", tries, effects)
	}
	if got := nameOf(t, b.Vault, "u"); got != "theirs" {
		t.Errorf("the other's change was lost: %q", got)
	}
}

// What ends without a write is decided on a record that was loaded after the
// call began, whatever the cache holds.
func TestUnwrittenIsDecidedFresh(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	other := b.another(t, b.keys)
	for _, test := range []struct {
		name string
		end  error
	}{{"unchanged", nil}, {"rejected", vault.ErrNotEnrolled}, {"failure", errDown}} {
		t.Run(test.name, func(t *testing.T) {
			must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Used(id); return nil })) // now cached
			must(t, update(t, other, "u", name(test.name)))
			var saw string
			err := update(t, b.Vault, "u", func(a *vault.Account) error {
				saw = a.Factors()[0].Name
				return test.end
			})
			if !errors.Is(err, test.end) || saw != test.name {
				t.Errorf("decided on %q with %v", saw, err)
			}
		})
	}
	t.Run("view", func(t *testing.T) {
		must(t, update(t, other, "u", name("viewed")))
		if got := nameOf(t, b.Vault, "u"); got != "viewed" {
			t.Errorf("saw %q", got)
		}
	})
}

func TestStoreCalls(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	v, err := vault.Open(b.store, b.keys, &vault.Options{Now: b.clock.Now, Cache: -1})
	must(t, err)
	use := func(a *vault.Account) error { b.clock.Advance(time.Second); a.Used(id); return nil }
	for _, test := range []struct {
		name           string
		v              *vault.Vault
		loads, applies int64
	}{{"cached", b.Vault, 0, 1}, {"no cache", v, 1, 1}} {
		b.store.reset()
		must(t, update(t, test.v, "u", use))
		if l, a := b.store.loads.Load(), b.store.applies.Load(); l != test.loads || a != test.applies {
			t.Errorf("%s: %d loads and %d applies, want %d and %d", test.name, l, a, test.loads, test.applies)
		}
		// let the other vault's write be seen before its own turn
		_, err := b.View(t.Context(), "u")
		must(t, err)
	}
}

// A save knows itself: whatever the store says, what landed stands.
func TestSaveKnowsItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		onApply func(s store.Store, other *vault.Vault) applier
		want    error
		saved   bool
	}{
		{"lands and lies", func(s store.Store, other *vault.Vault) applier {
			return func(ctx context.Context, n int64, c store.Change) error {
				err := s.Apply(ctx, c)
				if n == 1 {
					return fmt.Errorf("%w: %w", store.ErrUnavailable, errDown)
				}
				return err
			}
		}, nil, true},
		{"sent twice", func(s store.Store, other *vault.Vault) applier {
			return func(ctx context.Context, n int64, c store.Change) error {
				_ = s.Apply(ctx, c)
				return s.Apply(ctx, c)
			}
		}, nil, true},
		{"lands, lies and is overtaken", func(s store.Store, other *vault.Vault) applier {
			return func(ctx context.Context, n int64, c store.Change) error {
				err := s.Apply(ctx, c)
				if n == 1 {
					return errors.Join(overtake(ctx, other, c.UserID), store.ErrUnavailable)
				}
				return err
			}
		}, nil, true},
		{"fails once", func(s store.Store, other *vault.Vault) applier {
			return func(ctx context.Context, n int64, c store.Change) error {
				if n == 1 {
					return store.ErrUnavailable
				}
				return s.Apply(ctx, c)
			}
		}, nil, true},
		{"never answers", func(s store.Store, other *vault.Vault) applier {
			return func(context.Context, int64, store.Change) error { return store.ErrUnavailable }
		}, vault.ErrOutcomeUnknown, false},
		{"is told nonsense", func(s store.Store, other *vault.Vault) applier {
			return func(context.Context, int64, store.Change) error { return store.ErrArgument }
		}, store.ErrArgument, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			enroll(t, b.Vault, "u")
			b.store.reset()
			b.store.onApply = test.onApply(b.store.Store, b.another(t, b.keys))
			effects, ran := 0, 0
			got, err := vault.Update(t.Context(), b.Vault, "u", func(a *vault.Account) (string, error) {
				ran++
				if a.Factors()[0].Name == "changed" {
					return "", vault.ErrReplayed
				}
				a.AfterSave(func(context.Context) error { effects++; return nil })
				return "accepted", name("changed")(a)
			})
			b.store.onApply = nil
			if test.want == nil && (err != nil || got != "accepted" || effects != 1) {
				t.Errorf("got %q, %v, %d effects", got, err, effects)
			}
			if test.want != nil && (!errors.Is(err, test.want) || errors.Is(err, vault.ErrRejected) || effects != 0) {
				t.Errorf("got %v with %d effects, want %v", err, effects, test.want)
			}
			if ran != 1 {
				t.Errorf("the change ran %d times", ran)
			}
			if saved := nameOf(t, b.Vault, "u") == "changed"; saved != test.saved {
				t.Errorf("saved %t, want %t", saved, test.saved)
			}
		})
	}
}

// A store that is away is waited for to the end of the caller's context, and not
// much longer, so that the answer is what really happened.
func TestSaveWaitsForTheStore(t *testing.T) {
	t.Parallel()
	const (
		never = -1
		poll  = 320 * time.Millisecond // the longest pause between two tries
	)
	for _, test := range []struct {
		name   string
		away   time.Duration // the store, from the save on, which lands
		limit  time.Duration // of the context; 0: none
		hangUp time.Duration // of the caller, so long after the save landed; or never
		hangs  bool          // calls end with their context only
		want   error
		within time.Duration
	}{
		{"back in time", 3 * time.Second, 10 * time.Second, never, false, nil, 4 * time.Second},
		{"back in time, after more than five seconds", 7 * time.Second, 10 * time.Second, never, false, nil, 8 * time.Second},
		{"back in time, and hangs", 3 * time.Second, 10 * time.Second, never, true, nil, 10200 * time.Millisecond},
		{"back in time, without a limit", 3 * time.Second, 0, never, false, nil, 4 * time.Second},
		{"away for long", time.Hour, 0, never, false, vault.ErrOutcomeUnknown, 5 * time.Second},
		{"away until after the end", 3 * time.Second, time.Second, never, false, vault.ErrOutcomeUnknown, time.Second},
		{"hangs until after the end", 3 * time.Second, time.Second, never, true, vault.ErrOutcomeUnknown, 1200 * time.Millisecond},
		{"back, after the caller hung up", time.Second, 0, 0, false, nil, 2 * time.Second},
		{"away, and the caller hung up", time.Hour, 0, 0, false, vault.ErrOutcomeUnknown, 2 * time.Second},
		{"away, and the caller hangs up while we wait", time.Hour, 0, time.Second, false, vault.ErrOutcomeUnknown, 3*time.Second + poll},
		{"away, and the caller hangs up long before the end", time.Hour, 10 * time.Second, time.Second, false, vault.ErrOutcomeUnknown, 3*time.Second + poll},
		{"back, after the caller hung up while we waited", 2 * time.Second, 10 * time.Second, time.Second, false, nil, 2*time.Second + poll},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				enroll(t, b.Vault, "u")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, test.limit)
					defer cancel()
				}
				began := time.Now()
				down := func(ctx context.Context) error {
					if time.Since(began) >= test.away {
						return nil
					}
					if test.hangs {
						<-ctx.Done()
					}
					return store.ErrUnavailable
				}
				b.store.reset()
				b.store.onLoad = func(ctx context.Context, _ int64, userID string) (store.Record, error) {
					if err := down(ctx); err != nil {
						return store.Record{}, err
					}
					return b.store.Store.Load(ctx, userID)
				}
				b.store.onApply = func(ctx context.Context, n int64, c store.Change) error {
					if n == 1 {
						must(t, b.store.Store.Apply(ctx, c))
						if test.hangUp == 0 {
							cancel()
						} else if test.hangUp != never {
							time.AfterFunc(test.hangUp, cancel)
						}
						return errors.Join(down(ctx), store.ErrUnavailable)
					}
					if err := down(ctx); err != nil {
						return err
					}
					return b.store.Store.Apply(ctx, c)
				}
				_, err := vault.Update(ctx, b.Vault, "u", func(a *vault.Account) (struct{}, error) {
					return struct{}{}, name("changed")(a)
				})
				if took := time.Since(began); took > test.within {
					t.Errorf("took %v, want %v at most", took, test.within)
				}
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			})
		})
	}
}

type applier = func(ctx context.Context, n int64, c store.Change) error

// overtake saves something else on top of what is there, by another vault.
func overtake(ctx context.Context, other *vault.Vault, userID string) error {
	_, err := vault.Update(ctx, other, userID, func(a *vault.Account) (struct{}, error) {
		a.Allow("overtaken", vault.Limit{N: 9, Per: time.Hour})
		return struct{}{}, nil
	})
	return err
}

// A context that ends in the middle of a save does not turn a right answer into
// a wrong one.
func TestContextCut(t *testing.T) {
	t.Parallel()
	t.Run("before the save", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		enroll(t, b.Vault, "u")
		ctx, cancel := context.WithCancel(t.Context())
		b.store.reset()
		_, err := vault.Update(ctx, b.Vault, "u", func(a *vault.Account) (struct{}, error) {
			cancel()
			return struct{}{}, name("changed")(a)
		})
		wantErr(t, err, context.Canceled)
		if b.store.applies.Load() != 0 || nameOf(t, b.Vault, "u") != "one" {
			t.Error("something was saved")
		}
	})
	t.Run("in the save", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		enroll(t, b.Vault, "u")
		ctx, cancel := context.WithCancel(t.Context())
		b.store.reset()
		b.store.onApply = func(ctx context.Context, n int64, c store.Change) error {
			if n == 1 {
				must(t, b.store.Store.Apply(ctx, c))
				cancel()
			}
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
			}
			return b.store.Store.Apply(ctx, c)
		}
		told := false
		_, err := vault.Update(ctx, b.Vault, "u", func(a *vault.Account) (struct{}, error) {
			a.AfterSave(func(ctx context.Context) error { told = ctx.Err() == nil; return nil })
			return struct{}{}, name("changed")(a)
		})
		must(t, err)
		if !told {
			t.Error("who hangs up suppresses the effect")
		}
	})
}

func TestEffects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	ran := 0
	got, err := vault.Update(t.Context(), b.Vault, "u", func(a *vault.Account) (string, error) {
		a.AfterSave(func(context.Context) error { ran++; return errDown })
		a.AfterSave(func(context.Context) error { ran++; panic("mailer") })
		a.AfterSave(func(ctx context.Context) error {
			ran++
			// not in the queue and not in the lock: the same user can be changed
			return update(t, b.Vault, "u", name("by the effect"))
		})
		return "stands", name("saved")(a)
	})
	var effect *vault.EffectError
	if !errors.As(err, &effect) || !errors.Is(err, errDown) || got != "stands" || ran != 3 {
		t.Errorf("got %q, %v after %d effects", got, err, ran)
	}
	if got := nameOf(t, b.Vault, "u"); got != "by the effect" {
		t.Errorf("saved %q", got)
	}
	_, err = vault.Update(t.Context(), b.Vault, "u", func(a *vault.Account) (string, error) {
		a.AfterSave(func(context.Context) error { return errDown })
		return "", vault.ErrInvalid
	})
	if !errors.As(err, &effect) || !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("a rejection with a failed effect: %v", err)
	}
}

// Whoever keeps losing is told that nothing was decided, in bounded time.
func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		enroll(t, b.Vault, "u")
		b.store.onApply = func(context.Context, int64, store.Change) error { return store.ErrConflict }
		start := time.Now()
		wantErr(t, update(t, b.Vault, "u", name("x")), vault.ErrBusy)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("gave up after %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err := vault.Update(ctx, b.Vault, "u", func(a *vault.Account) (struct{}, error) { return struct{}{}, name("y")(a) })
		wantErr(t, err, vault.ErrBusy)
		if d := time.Since(start); d > time.Second {
			t.Errorf("gave up %v after the context's end", d-time.Second)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		enroll(t, b.Vault, "u")
		enroll(t, b.Vault, "other")
		inside, leave := make(chan struct{}), make(chan struct{})
		done := make(chan error)
		go func() {
			done <- update(t, b.Vault, "u", func(a *vault.Account) error {
				close(inside)
				<-leave
				return name("first")(a)
			})
		}()
		<-inside
		must(t, update(t, b.Vault, "other", name("not in line")))
		wantErr(t, update(t, b.Vault, "u", name("second")), vault.ErrBusy)
		close(leave)
		must(t, <-done)
		must(t, update(t, b.Vault, "u", name("third")))
	})
}

// Every update of one user lands or says that it did not: none is lost.
func TestContention(t *testing.T) {
	t.Parallel()
	const instances, each = 16, 8
	b := newBench(t)
	enroll(t, b.Vault, "u")
	var landed, busy atomic.Int64
	var wg sync.WaitGroup
	for range instances {
		v := b.another(t, b.keys)
		wg.Go(func() {
			for range each {
				// each success leaves one more failure of the day behind
				err := update(t, v, "u", func(a *vault.Account) error {
					a.Spend(fmt.Sprint(landed.Load()), time.Unix(0, 0), time.Minute)
					id := a.Factors()[0].ID
					n := 0
					if _, err := fmt.Sscan(a.Factors()[0].Name, &n); err != nil {
						n = 0
					}
					_, err := a.Rename(id, fmt.Sprint(n+1))
					return err
				})
				switch {
				case err == nil:
					landed.Add(1)
				case errors.Is(err, vault.ErrBusy):
					busy.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := nameOf(t, b.Vault, "u"), fmt.Sprint(landed.Load()); got != want {
		t.Errorf("%s updates are in the record, %s landed", got, want)
	}
	if landed.Load()+busy.Load() != instances*each || landed.Load() == 0 {
		t.Errorf("%d landed and %d were busy of %d", landed.Load(), busy.Load(), instances*each)
	}
}

func TestVerifyingCreatesNoRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for what, f := range map[string]func(*vault.Account){
		"spend": func(a *vault.Account) { a.Spend("id", b.clock.Now(), time.Minute) },
		"allow": func(a *vault.Account) { a.Allow("x", vault.Limit{N: 1, Per: time.Hour}) },
		"issue": func(a *vault.Account) {
			_ = a.Scope(kind, "sign-in", "f").Issue(vault.Challenge{Expires: b.clock.Now().Add(time.Minute)})
		},
	} {
		err := update(t, b.Vault, "gone", func(a *vault.Account) error { f(a); return nil })
		if !errors.Is(err, vault.ErrNoAccount) || errors.Is(err, vault.ErrRejected) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s, err := b.View(t.Context(), "gone"); err != nil || s.Exists {
		t.Errorf("a record came to be: %+v %v", s, err)
	}
	must(t, update(t, b.Vault, "gone", func(a *vault.Account) error { a.Renew(); return nil }))
	if s, err := b.View(t.Context(), "gone"); err != nil || !s.Exists {
		t.Errorf("a revocation left no record: %+v %v", s, err)
	}
}

func TestStoreFailureIsNoAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	v := b.another(t, b.keys)
	b.store.onLoad = func(context.Context, int64, string) (store.Record, error) {
		return store.Record{}, fmt.Errorf("%w: %w", store.ErrUnavailable, errDown)
	}
	_, err := v.View(t.Context(), "u")
	wantErr(t, err, store.ErrUnavailable)
	_, err = v.View(t.Context(), "nobody")
	wantErr(t, err, store.ErrUnavailable)
	wantErr(t, update(t, v, "u", name("x")), store.ErrUnavailable)
	wantErr(t, guess(t, v, "u", "secret"), store.ErrUnavailable)
	wantErr(t, v.Delete(t.Context(), "u"), store.ErrUnavailable)
	// a refusal rests on a load too: with a warm cache it fails, and does not answer
	err = update(t, b.Vault, "u", func(*vault.Account) error { return vault.ErrNotEnrolled })
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, vault.ErrRejected) {
		t.Errorf("refused without a store: %v", err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		_, err := a.Scope(kind, "", "").Add(vault.Factor{Key: "credential"})
		return err
	}))
	if owner, err := b.Owner(t.Context(), kind, "credential"); err != nil || owner != "u" {
		t.Fatalf("owner %q, %v", owner, err)
	}
	must(t, b.Delete(t.Context(), "u"))
	must(t, b.Delete(t.Context(), "u"))
	if s, err := b.View(t.Context(), "u"); err != nil || s.Exists || len(s.Factors) != 0 {
		t.Errorf("after delete: %+v %v", s, err)
	}
	_, err := b.Owner(t.Context(), kind, "credential")
	wantErr(t, err, store.ErrNotFound)
	if ids, _, _ := b.store.Store.(*memstore.Store).UserIDs(t.Context(), "", 10); len(ids) != 0 {
		t.Errorf("users left: %q", ids)
	}
}

// Where another process saves the same record all the time, an Update comes
// through, because it tries what is there after its pause, and not before it.
func TestSteadyWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		enroll(t, b.Vault, "u")
		other := b.another(t, b.keys)
		v, err := vault.Open(b.store, b.keys, &vault.Options{Now: b.clock.Now, Cache: -1}) // a stale cache is tried anew at once
		must(t, err)
		b.store.onApply = func(ctx context.Context, n int64, c store.Change) error {
			if n == 1 { // the other comes first
				must(t, update(t, other, "u", name("other")))
			}
			return b.store.Store.Apply(ctx, c)
		}
		b.store.reset()
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
					if err := update(t, other, "u", name(fmt.Sprint(i))); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		err = update(t, v, "u", func(a *vault.Account) error { a.Spend("token", a.Now(), time.Hour); return nil })
		close(stop)
		writer.Wait()
		must(t, err)
	})
}
