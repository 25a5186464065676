package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// only a verdict is saved. A failure or a panic of a plug-in or callback
// saves nothing, tells nobody, and holds up nobody else; nor is it an answer.
func TestOnlyVerdictsAreSaved(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	for name, c := range map[string]struct {
		verify func(*vault.Scope) (*mfa.Verification, error)
		panics bool
		want   error
	}{
		"a failure":    {func(*vault.Scope) (*mfa.Verification, error) { return nil, odd }, false, odd},
		"unavailable":  {func(*vault.Scope) (*mfa.Verification, error) { return nil, fmt.Errorf("%w: it", mfa.ErrUnavailable) }, false, mfa.ErrUnavailable},
		"a panic":      {func(*vault.Scope) (*mfa.Verification, error) { panic("odd") }, true, nil},
		"after writes": {nil, false, odd},
		"a panic after writes": {func(s *vault.Scope) (*mfa.Verification, error) {
			s.Remove(s.Factors()[0].ID)
			panic("odd")
		}, true, nil},
	} {
		for _, k := range []mfa.Kind{kindApp, kindKey} {
			t.Run(name+", "+string(k), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p := w.person("alice", kindApp, kindKey)
				p.signIn(kindApp)
				told := false
				d := w.app
				if k == kindKey {
					d = w.key
				}
				verify := c.verify
				if verify == nil {
					verify = func(s *vault.Scope) (*mfa.Verification, error) {
						for _, f := range s.Factors() {
							f.Data, f.Secret, f.Name = nil, []byte("overwritten"), "overwritten"
							s.Remove(f.ID)
						}
						if _, err := s.Add(vault.Factor{Name: "planted"}); err != nil {
							return nil, err
						}
						s.Allow("bucket", vault.Limit{N: 5, Per: time.Hour})
						s.AfterSave(func(context.Context) error { told = true; return nil })
						return nil, odd
					}
				}
				d.verify = func(_ context.Context, s *vault.Scope, _ mfa.VerifyRequest) (*mfa.Verification, error) {
					return verify(s)
				}
				w.forget()
				pending := w.pending("alice")
				_, saves := w.store.during(func() {
					for range 10 {
						login, err := func() (l *mfa.Login, err error) {
							defer func() {
								if got := recover(); (got != nil) != c.panics {
									t.Errorf("recovered %v", got)
								}
							}()
							return pending.Verify(t.Context(), p.answer(k))
						}()
						if login != nil || errors.Is(err, mfa.ErrRejected) || c.want != nil && !errors.Is(err, c.want) {
							t.Errorf("%v, %v; want %v", login, err, c.want)
						}
					}
				})
				if saves != 0 || told || len(w.seen()) != 0 {
					t.Errorf("%d saves, an effect ran: %t, events %v; want none", saves, told, w.seen())
				}
				d.verify = nil
				if got := w.tries("alice"); got.Run != 0 {
					t.Errorf("%d tries were counted", got.Run)
				}
				w.verify(pending, p.answer(k)) // the token is not spent, the factor not moved
			})
		}
	}
	t.Run("in Enroll, Confirm and Challenge", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice")
		w.app.enroll = func(_ context.Context, s *vault.Scope, _ mfa.EnrollRequest) (*mfa.Enrollment, error) {
			if _, err := s.Draft(vault.Factor{}, time.Minute); err != nil {
				return nil, err
			}
			return nil, odd
		}
		_, saves := w.store.during(func() {
			for range 30 { // nor is it counted as an enrolment
				_, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
				wantErr(t, "Enroll", err, odd)
			}
		})
		if saves != 0 {
			t.Errorf("%d saves", saves)
		}
		w.app.enroll = nil
		p.add(kindApp)
		o, err := p.settings().Overview(t.Context())
		if err != nil || len(o.Factors) != 2 {
			t.Errorf("%v, %v; want the app and codes", o.Factors, err)
		}
	})
}

// what one instance changes, every other knows with its very next
// call.
func TestInstancesSeeEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, b := w.another(w.cfg)
	rounds := 250 // of four changes each
	if testing.Short() {
		rounds = 25
	}
	ctx := t.Context()
	first := func(id string) mfa.FirstFactor { return mfa.FirstFactor{UserID: id, By: mfa.ByPassword} }
	// warm makes b know the account as it is now, in its cache too.
	warm := func(id string) {
		if _, err := b.Begin(ctx, first(id)); err != nil {
			t.Fatal(err)
		}
		if login, err := b.Begin(ctx, first(id)); err == nil && login.Pending != nil {
			_, _ = login.Pending.Verify(ctx, mfa.Answer{Kind: kindApp, Code: "malformed"})
		}
	}
	for i := range rounds {
		id := fmt.Sprint("user", i%7)
		stale := func(what string) { t.Fatalf("round %d: the other instance is behind: %s", i, what) }

		w.clock.add(2 * time.Minute) // enrolments are counted, too
		p := w.person(id)            // A knows nothing is set up; so does B
		warm(id)
		p.add(kindApp) // A enables
		login, err := b.Begin(ctx, first(id))
		if err != nil || login.Pending == nil {
			stale("enabled, Begin")
		}
		if err := b.Require(ctx, b.Session(id, p.session.Token()), mfa.Rule{AllowWithout: true}); err == nil {
			stale("enabled, Require")
		}
		if o, err := b.Admin("ops").Overview(ctx, id); err != nil || len(o.Factors) != 2 {
			stale("enabled, list")
		}
		if login, err = login.Pending.Verify(ctx, p.answer(kindApp)); err != nil {
			stale("enabled, Verify: " + err.Error())
		}

		p.session = w.guard.Session(id, login.Session.Token())
		p.add(kindKey)
		p.signIn(kindKey)
		warm(id)
		pending, err := b.Begin(ctx, first(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.remove(ctx, kindApp); err != nil { // A removes one
			t.Fatal(err)
		}
		if _, err := pending.Pending.Verify(ctx, p.answer(kindApp)); !errors.Is(err, mfa.ErrExpired) {
			stale("removed, Verify of a sign-in from before")
		}
		if login, err = b.Begin(ctx, first(id)); err != nil {
			t.Fatal(err)
		}
		if _, err := login.Pending.Verify(ctx, p.answer(kindApp)); !errors.Is(err, mfa.ErrNotEnrolled) {
			stale("removed, Verify")
		}

		p.signIn(kindKey)
		mine := b.Session(id, p.session.Token())
		if err := b.Require(ctx, mine, mfa.Rule{}); err != nil {
			stale("signed in, Require")
		}
		if err := w.guard.SignOutEverywhere(ctx, id); err != nil { // A revokes
			t.Fatal(err)
		}
		if err := b.Require(ctx, mine, mfa.Rule{}); !errors.Is(err, mfa.ErrStepUpRequired) {
			stale("revoked, Require")
		}
		if _, err := login.Pending.Verify(ctx, p.answer(kindKey)); !errors.Is(err, mfa.ErrExpired) {
			stale("revoked, Verify")
		}

		warm(id)
		if err := w.guard.Admin("ops").Reset(ctx, id, "why"); err != nil { // A resets
			t.Fatal(err)
		}
		if login, err := b.Begin(ctx, first(id)); err != nil || login.Session == nil {
			stale("reset, Begin")
		}
		if o, err := b.Admin("ops").Overview(ctx, id); err != nil || o.Enabled() {
			stale("reset, list")
		}
	}
}

// A limit, a spent token and a used answer are one on all instances, however
// they race.
func TestInstancesRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	_, b := w.another(w.cfg)
	_, c := w.another(w.cfg)
	guards := []*mfa.Guard{w.guard, b, c}
	for round := range 30 {
		w.clock.add(time.Second)
		same := p.answer(kindApp)
		var pending []*mfa.Pending
		for i := range 16 {
			q, err := guards[i%3].Resume(w.pending("alice").Token())
			if err != nil {
				t.Fatal(err)
			}
			pending = append(pending, q)
		}
		var in, no atomic.Int32
		race(len(pending), func(i int) {
			switch login, err := pending[i].Verify(t.Context(), same); {
			case err == nil && login.Session != nil:
				in.Add(1)
			case errors.Is(err, mfa.ErrRejected):
				no.Add(1)
			default:
				t.Errorf("%v, %v; want a verdict", login, err)
			}
		})
		if in.Load() != 1 || no.Load() != 15 {
			t.Fatalf("round %d: one answer was accepted %d times and rejected %d times", round, in.Load(), no.Load())
		}
		if err := w.guard.Admin("ops").Unlock(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
	}
}

// Two changes that race leave an account that some order of them could have
// left: the last factor is not removed by two who each leave the other's.
func TestRacingRemovalsLeaveOne(t *testing.T) {
	t.Parallel()
	for range 20 {
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindKey)
		_, b := w.another(w.cfg)
		sets := []*mfa.Settings{p.settings(), b.Settings(b.Session("alice", p.session.Token()))}
		ids := []string{p.hands[kindApp].id, p.hands[kindKey].id}
		var removed atomic.Int32
		race(2, func(i int) {
			if _, err := sets[i].Remove(t.Context(), ids[i]); err == nil {
				removed.Add(1)
			}
		})
		if login := w.begin("alice"); removed.Load() != 1 || login.Pending == nil {
			t.Fatalf("%d were removed, and Begin gave %v", removed.Load(), login)
		}
	}
}

// The directory is asked in every call; while it fails nothing is decided, and
// what it says now is what counts.
func TestDirectoryFails(t *testing.T) {
	t.Parallel()
	gone := errors.New("directory gone")
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail)
	p.signIn(kindApp)
	q, step := w.pending("alice"), p.stepUp(mfa.Rule{Not: []mfa.Kind{kindApp}})
	for name, lose := range map[string]func(){
		"it fails":               func() { w.lose("alice", gone) },
		"it names another user":  func() { w.mu.Lock(); w.users["alice"] = mfa.User{ID: "mallory"}; w.mu.Unlock() },
		"it names a longer user": func() { w.mu.Lock(); w.users["alice"] = mfa.User{ID: "alice "}; w.mu.Unlock() },
	} {
		lose()
		loads, saves := w.store.during(func() {
			calls := p.changes(t.Context())
			calls["Begin"] = func() error {
				return second(w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword}))
			}
			calls["Offers"] = func() error { return second(q.Offers(t.Context())) }
			calls["Verify"] = func() error { return second(q.Verify(t.Context(), p.answer(kindApp))) }
			calls["Verify of a step-up"] = func() error { return second(step.Verify(t.Context(), p.answer(kindCodes))) }
			calls["Challenge"] = func() error {
				return second(q.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: p.hands[kindMail].id}))
			}
			calls["Pending.Enroll"] = func() error { return second(q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})) }
			calls["Pending.Confirm"] = func() error { return second(q.Confirm(t.Context(), "x", p.answer(kindApp))) }
			calls["Confirm"] = func() error { return second(p.settings().Confirm(t.Context(), "x", p.answer(kindApp))) }
			calls["Require"] = func() error { return w.guard.Require(t.Context(), p.session, mfa.Rule{AllowWithout: true}) }
			calls["StepUp"] = func() error { return second(w.guard.StepUp(t.Context(), p.session, mfa.Rule{})) }
			calls["Overview"] = func() error { return second(p.settings().Overview(t.Context())) }
			for call, f := range calls {
				if err := f(); err == nil || errors.Is(err, mfa.ErrRejected) || errors.Is(err, mfa.ErrStepUpRequired) {
					t.Errorf("%s: %s: %v, want a failure", name, call, err)
				}
			}
		})
		if loads != 0 || saves != 0 {
			t.Errorf("%s: %d loads and %d saves", name, loads, saves)
		}
		w.lose("alice", nil)
		w.policy("alice", mfa.Policy{})
	}
	w.verify(q, p.answer(kindApp))
}

// A store that does not open a record, or is of another key, is a failure and
// not an empty account.
func TestForeignRecordIsNoEmptyAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	rec, err := w.store.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	mine := w.keys
	w.keys = keys
	_, g := w.another(w.cfg)
	w.keys = mine
	put := func(id string, data []byte) {
		t.Helper()
		if err := w.store.Apply(t.Context(), store.Change{UserID: id, New: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	put("copy", rec.Data)
	put("cut", rec.Data[:len(rec.Data)-1])
	put("empty", nil)
	put("newer", append([]byte{9}, rec.Data[1:]...))
	for id, guard := range map[string]*mfa.Guard{"alice": g, "copy": w.guard, "cut": w.guard, "empty": w.guard, "newer": w.guard} {
		first := mfa.FirstFactor{UserID: id, By: mfa.ByPassword}
		if login, err := guard.Begin(t.Context(), first); login != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: Begin: %v, %v; want a failure", id, login, err)
		}
		if err := guard.Require(t.Context(), guard.Session(id, ""), mfa.Rule{AllowWithout: true}); err == nil || errors.Is(err, mfa.ErrStepUpRequired) {
			t.Errorf("%s: Require: %v, want a failure", id, err)
		}
		if err := guard.SignOutEverywhere(t.Context(), id); err == nil {
			t.Errorf("%s: revoked, over what was there", id)
		}
	}
	w.verify(w.pending("alice"), p.answer(kindApp))
}

// Odd user IDs are kept apart, byte by byte.
func TestOddUserIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := []string{"a", "A", "a ", " a", "a\x00", "\x00a", "é", "e\u0301", "\xff", "a:b", "*", "../a", strings.Repeat("u", 255), strings.Repeat("u", 254)}
	people := map[string]*person{}
	for _, id := range ids {
		people[id] = w.person(id, kindApp)
	}
	for _, id := range ids {
		for _, other := range ids {
			s := w.guard.Session(other, people[id].session.Token())
			if (s.Token() != "") != (id == other) {
				t.Errorf("a session of %q was read for %q", id, other)
			}
		}
		w.verify(w.pending(id), people[id].answer(kindApp))
	}
}
