package mfa_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

var anyAge = mfa.Rule{MaxAge: mfa.AnyAge}

// stepUp begins one that must be needed.
func (p *person) stepUp(r mfa.Rule) *mfa.Pending {
	p.Helper()
	login, err := p.guard.StepUp(p.Context(), p.session, r)
	if err != nil || login.Pending == nil || login.Session != nil {
		p.Fatalf("StepUp: %v, %v; want a Pending", login, err)
	}
	return login.Pending
}

// only a proof of what the rule asks for satisfies it: neither having
// such a factor, nor another's proof, nor a fresh first factor.
func TestStepUpWantsWhatTheRuleSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	require := func(r mfa.Rule) error { return w.guard.Require(t.Context(), p.session, r) }

	p.session = w.guard.Session("alice", w.begun("alice"))
	for name, r := range map[string]mfa.Rule{
		"zero": {}, "any age": anyAge, "phishing-resistant": {PhishingResistant: true, MaxAge: mfa.AnyAge}, "without": {AllowWithout: true},
	} {
		missing := wantStepUp(t, name+", first factor only", require(r))
		if missing.First || missing.Enroll || len(missing.Offers) == 0 {
			t.Errorf("%s: %+v, want offers", name, missing)
		}
	}

	p.signIn(kindApp)
	for name, c := range map[string]struct {
		rule mfa.Rule
		want bool
	}{
		"zero":               {mfa.Rule{}, true},
		"fresh":              {mfa.Fresh(time.Nanosecond), true},
		"a negative age":     {mfa.Rule{MaxAge: -1}, true},
		"phishing-resistant": {mfa.Rule{PhishingResistant: true, MaxAge: mfa.AnyAge}, false},
		"not by app":         {mfa.Rule{Not: []mfa.Kind{kindApp}, MaxAge: mfa.AnyAge}, false},
		"not by key":         {mfa.Rule{Not: []mfa.Kind{kindKey}}, true},
		"neither":            {mfa.Rule{Not: []mfa.Kind{kindKey, kindApp, kindCodes}}, false},
	} {
		if err := require(c.rule); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	missing := wantStepUp(t, "neither", require(mfa.Rule{Not: []mfa.Kind{kindKey, kindApp, kindCodes}}))
	if !missing.Enroll || len(missing.Offers) != 0 {
		t.Errorf("nothing that could satisfy it: %+v, want Enroll", missing)
	}

	strict := mfa.Rule{PhishingResistant: true}
	q := p.stepUp(strict)
	offers, err := q.Offers(t.Context())
	if err != nil || len(offers) != 1 || offers[0].Kind != kindKey {
		t.Errorf("offers %v, %v; want the key alone", offers, err)
	}
	for _, k := range []mfa.Kind{kindApp, kindCodes} {
		login, err := q.Verify(t.Context(), p.answer(k))
		if login != nil || !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("%s: %v, %v; want ErrInvalid", k, login, err)
		}
	}
	login := w.verify(q, p.answer(kindKey))
	if err := w.guard.Require(t.Context(), login.Session, strict); err != nil {
		t.Errorf("after the step-up: %v", err)
	}
	wantStepUp(t, "the session that it renewed", require(strict))
	if got := len(login.Session.Proofs()); got != 2 {
		t.Errorf("%d proofs, want app and key", got)
	}
}

// a proof counts for as long as the rule says, and not from the future.
func TestProofsAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	p.signIn(kindApp)
	for _, c := range []struct {
		rule mfa.Rule
		age  time.Duration
	}{{mfa.Rule{}, 5 * time.Minute}, {mfa.Fresh(time.Second), time.Second}, {mfa.Fresh(time.Hour), time.Hour}} {
		w.clock.add(c.age)
		if err := w.guard.Require(t.Context(), p.session, c.rule); err != nil {
			t.Errorf("at %v: %v", c.age, err)
		}
		w.clock.add(time.Millisecond)
		wantStepUp(t, fmt.Sprintf("over %v", c.age), w.guard.Require(t.Context(), p.session, c.rule))
		w.clock.add(-c.age - time.Millisecond)
	}
	w.clock.add(50 * 365 * 24 * time.Hour)
	if err := w.guard.Require(t.Context(), p.session, anyAge); err != nil {
		t.Errorf("any age: %v", err)
	}
	w.clock.add(-50*365*24*time.Hour - 3*time.Minute)
	for _, r := range []mfa.Rule{{}, anyAge} {
		wantStepUp(t, "proven in the future", w.guard.Require(t.Context(), p.session, r))
	}
}

// what ends a session's proofs, for Require and for every change.
func TestSessionEndsWithItsEpoch(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*person) error{
		"reset":               func(p *person) error { return p.guard.Admin("ops").Reset(p.Context(), p.id, "lost") },
		"password change":     func(p *person) error { return p.guard.PasswordChanged(p.Context(), p.id) },
		"address change":      func(p *person) error { return p.guard.AddressChanged(p.Context(), p.id, "") },
		"sign out everywhere": func(p *person) error { return p.guard.SignOutEverywhere(p.Context(), p.id) },
		"user disabled":       func(p *person) error { return p.guard.Disabled(p.Context(), p.id) },
		"deleted":             func(p *person) error { return p.guard.Admin("ops").Delete(p.Context(), p.id) },
		"another session's change": func(p *person) error {
			other := *p
			other.hands = map[mfa.Kind]*hand{kindApp: p.hands[kindApp], kindKey: p.hands[kindKey]}
			other.signIn(kindKey)
			return other.remove(p.Context(), kindKey)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.person("alice", kindApp, kindKey)
			p.signIn(kindApp)
			w.clock.add(6 * time.Minute)
			p.session = w.verify(p.stepUp(mfa.Rule{}), p.answer(kindKey)).Session
			if err := w.guard.Require(t.Context(), p.session, anyAge); err != nil {
				t.Fatalf("before: %v", err)
			}
			step := p.stepUp(mfa.Rule{Not: []mfa.Kind{kindApp, kindKey}})
			e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail})
			if err != nil {
				t.Fatal(err)
			}
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			old := p.session
			for _, s := range []*mfa.Session{old, w.guard.Session("alice", old.Token())} {
				set := w.guard.Settings(s)
				for call, err := range map[string]error{
					"Require":         w.guard.Require(t.Context(), s, anyAge),
					"Require, zero":   w.guard.Require(t.Context(), s, mfa.Rule{}),
					"StepUp":          second(w.guard.StepUp(t.Context(), s, mfa.Rule{})),
					"Enroll":          second(set.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})),
					"Enroll of codes": second(set.Enroll(t.Context(), mfa.NewFactor{Kind: kindCodes})),
					"Confirm":         second(set.Confirm(t.Context(), e.ID, (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindMail))),
					"Rename":          set.Rename(t.Context(), p.hands[kindApp].id, "mine now"),
					"Remove":          second(set.Remove(t.Context(), p.hands[kindApp].id)),
					"RemoveAll":       second(set.RemoveAll(t.Context())),
					"Check":           set.Check(t.Context()),
				} {
					if missing := wantStepUp(t, call, err); !missing.First {
						t.Errorf("%s: %+v, want the first factor again", call, missing)
					}
				}
			}
			_, err = step.Verify(t.Context(), p.answer(kindCodes))
			wantErr(t, "the step-up under way", err, mfa.ErrExpired)
		})
	}
}

func second[T any](_ T, err error) error { return err }

// a step-up does not sign in, and a sign-in does not step up.
func TestPurposesStayApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	p.session = w.guard.Session("alice", w.begun("alice"))
	stepUp, signIn := p.stepUp(mfa.Rule{}).Token(), w.pending("alice").Token()

	_, err := w.guard.Resume(stepUp)
	wantErr(t, "a step-up at the sign-in", err, mfa.ErrInvalid)
	_, err = w.guard.ResumeBound(stepUp, "")
	wantErr(t, "a step-up at the sign-in, bound", err, mfa.ErrInvalid)
	_, err = w.guard.ResumeStepUp(p.session, signIn)
	wantErr(t, "a sign-in at the step-up", err, mfa.ErrInvalid)

	mallory := w.person("mallory", kindApp)
	for name, s := range map[string]*mfa.Session{
		"none": nil, "zero": {}, "of nobody": w.guard.Session("alice", ""), "of another user": mallory.session,
		"another of the user's": w.guard.Session("alice", w.begun("alice")),
		"read for another user": w.guard.Session("mallory", p.session.Token()),
	} {
		_, err := w.guard.ResumeStepUp(s, stepUp)
		wantErr(t, "a step-up for a session "+name, err, mfa.ErrInvalid)
	}
	t.Run("it gives its own session back", func(t *testing.T) {
		q, err := w.guard.ResumeStepUp(w.guard.Session("alice", p.session.Token()), stepUp)
		if err != nil {
			t.Fatal(err)
		}
		login := w.verify(q, p.answer(kindApp))
		if err := w.guard.Require(t.Context(), login.Session, mfa.Rule{}); err != nil {
			t.Error(err)
		}
		_, err = q.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "a second time", err, mfa.ErrExpired)
	})
	t.Run("a sign-in does not take a step-up up", func(t *testing.T) {
		step := p.stepUp(mfa.Rule{})
		begun, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Resume: step.Token()})
		if err != nil || begun.Pending == nil {
			t.Fatalf("%v, %v; want a Pending", begun, err)
		}
		w.verify(begun.Pending, p.answer(kindApp))
		w.verify(step, p.answer(kindApp)) // it was another ceremony
	})
	t.Run("a session from before a change is not renewed", func(t *testing.T) {
		p.signIn(kindApp)
		old := p.session
		if err := p.newCodes(t.Context()); err != nil {
			t.Fatal(err)
		}
		q, err := w.guard.ResumeStepUp(old, p.stepUp(mfa.Rule{Not: []mfa.Kind{kindApp}}).Token())
		if err != nil {
			t.Fatal(err)
		}
		login, err := q.Verify(t.Context(), p.answer(kindCodes))
		if login != nil || !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("%v, %v; want ErrExpired", login, err)
		}
	})
}

// A session that proves nothing passes nothing, and no call of it panics.
func TestSessionOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	p.signIn(kindApp)
	token := p.session.Token()
	for name, s := range map[string]*mfa.Session{
		"nil": nil, "zero": {}, "empty": w.guard.Session("alice", ""), "of nobody": w.guard.Session("", token),
		"truncated": w.guard.Session("alice", token[:len(token)-1]), "re-cased": w.guard.Session("alice", swapCase(token)),
		"extended": w.guard.Session("alice", token+"A"), "of another": w.guard.Session("Alice", token),
	} {
		if err := w.guard.Require(t.Context(), s, anyAge); !errors.Is(err, mfa.ErrStepUpRequired) && !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s: Require: %v", name, err)
		}
		if login, err := w.guard.StepUp(t.Context(), s, anyAge); login != nil || err == nil {
			t.Errorf("%s: StepUp: %v, %v", name, login, err)
		}
		set := w.guard.Settings(s)
		if c, err := set.RemoveAll(t.Context()); c != nil || err == nil {
			t.Errorf("%s: RemoveAll: %v, %v", name, c, err)
		}
		if e, err := set.Enroll(t.Context(), mfa.NewFactor{Kind: kindKey}); e != nil || err == nil {
			t.Errorf("%s: Enroll: %v, %v", name, e, err)
		}
		if s != nil && (s.Token() != "" || len(s.Proofs()) != 0 || len(s.AMR()) != 0 || s.By() != "") {
			t.Errorf("%s: says something", name)
		}
	}
	if err := w.guard.Require(t.Context(), w.guard.Session("alice", token), anyAge); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

// Without anything set up, a rule sends to enrol, or lets pass who it says.
func TestRequireWithoutFactors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice")
	missing := wantStepUp(t, "zero rule", w.guard.Require(t.Context(), p.session, mfa.Rule{}))
	if !missing.Enroll || missing.First {
		t.Errorf("%+v, want Enroll", missing)
	}
	if err := w.guard.Require(t.Context(), p.session, mfa.Rule{AllowWithout: true}); err != nil {
		t.Errorf("AllowWithout: %v", err)
	}
	if err := w.guard.SignOutEverywhere(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	missing = wantStepUp(t, "after a revoke", w.guard.Require(t.Context(), p.session, mfa.Rule{AllowWithout: true}))
	if !missing.First {
		t.Errorf("after a revoke: %+v, want the first factor again", missing)
	}
}

// a proof goes with the factor that gave it, and with a policy
// that does not accept it any more.
func TestProofEndsWithFactorAndPolicy(t *testing.T) {
	t.Parallel()
	t.Run("the factor is removed", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindApp)
		if err := p.remove(t.Context(), kindApp); err != nil {
			t.Fatal(err)
		}
		wantStepUp(t, "Require", w.guard.Require(t.Context(), p.session, anyAge))
	})
	t.Run("the kind is not configured any more", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindApp)
		g := w.with(w.key, w.codes)
		wantStepUp(t, "Require", g.Require(t.Context(), g.Session("alice", p.session.Token()), anyAge))
	})
	t.Run("the policy asks for more", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindApp)
		w.policy("alice", mfa.Policy{Rule: mfa.Rule{PhishingResistant: true}})
		missing := wantStepUp(t, "Require", w.guard.Require(t.Context(), p.session, anyAge))
		if len(missing.Offers) != 1 || missing.Offers[0].Kind != kindKey {
			t.Errorf("offers %v, want the key", missing.Offers)
		}
		_, err := p.settings().RemoveAll(t.Context())
		wantStepUp(t, "RemoveAll", err)
		_, err = p.stepUp(mfa.Rule{}).Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "a step-up by what the policy refuses", err, mfa.ErrInvalid)
	})
	t.Run("100 failures ended the factor", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindApp)
		w.guesses("alice", kindApp, 100)
		wantStepUp(t, "Require", w.guard.Require(t.Context(), p.session, anyAge))
	})
}

// AMR names what was proven (RFC 8176), and nothing else.
func TestSessionSaysWhatWasProven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice")
	if got := p.session.AMR(); !slices.Equal(got, []string{"pwd"}) {
		t.Errorf("first factor: %v", got)
	}
	p.add(kindApp)
	if got := p.session.AMR(); !slices.Equal(got, []string{"pwd"}) {
		t.Errorf("enrolled, not proven: %v", got)
	}
	p.signIn(kindApp)
	if got := p.session.AMR(); !slices.Equal(got, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("app: %v", got)
	}
	p.add(kindKey)
	p.session = w.verify(p.stepUp(mfa.Rule{PhishingResistant: true}), p.answer(kindKey)).Session
	if got := p.session.AMR(); !slices.Contains(got, "pop") || p.session.By() != mfa.ByPassword {
		t.Errorf("key: %v by %q", got, p.session.By())
	}
	proofs := p.session.Proofs()
	last := proofs[len(proofs)-1]
	if last.Kind != kindKey || last.FactorID != p.hands[kindKey].id || !last.At.Equal(start) || !last.Traits.PhishingResistant {
		t.Errorf("proof %+v", last)
	}
}

// a clock that jumps by a year, forward and back, leaves no session, no
// lock and no sign-in behind that is good or bad for ever.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	t.Run("nothing made in the future grants anything", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp)
		w.clock.add(year)
		p.signIn(kindApp)
		future := w.pending("alice")
		w.clock.add(-year)
		wantStepUp(t, "Require", w.guard.Require(t.Context(), p.session, anyAge))
		_, err := p.settings().RemoveAll(t.Context())
		wantStepUp(t, "RemoveAll", err)
		_, err = future.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "a sign-in of the future", err, mfa.ErrExpired)

		bob := w.person("bob")
		w.clock.add(-3 * time.Minute)
		_, err = bob.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		wantStepUp(t, "Enroll with a first factor of the future", err)
	})
	t.Run("no pause outlives its own length", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp)
		w.clock.add(year)
		w.guesses("alice", kindApp, 8)
		w.clock.add(-year)
		_, err := w.pending("alice").Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "at once", err, mfa.ErrTooMany)
		w.clock.add(time.Hour)
		w.verify(w.pending("alice"), p.answer(kindApp))
	})
	t.Run("the limit holds meanwhile", func(t *testing.T) {
		w := newWorld(t)
		w.person("alice", kindApp)
		w.guesses("alice", kindApp, 5)
		w.clock.add(-year)
		for range 3 {
			_, err := w.pending("alice").Verify(t.Context(), wrong(kindApp))
			wantPaused(t, "a year back", err, vault.FirstPause)
		}
	})
	t.Run("signing in goes on", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp)
		for _, jump := range []time.Duration{year, -year} {
			w.clock.add(jump)
			for range 8 {
				w.clock.add(time.Second)
				p.signIn(kindApp)
			}
			if err := w.guard.Require(t.Context(), p.session, mfa.Rule{}); err != nil {
				t.Errorf("after %v: %v", jump, err)
			}
		}
	})
	t.Run("an impossible clock stops everything", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp)
		p.signIn(kindApp)
		pending := w.pending("alice")
		w.clock.add(-20 * year)
		wantErr(t, "Require", w.guard.Require(t.Context(), p.session, anyAge), mfa.ErrClock)
		_, err := pending.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "Verify", err, mfa.ErrClock)
		_, err = p.settings().RemoveAll(t.Context())
		wantErr(t, "RemoveAll", err, mfa.ErrClock)
	})
}
