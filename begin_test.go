package mfa_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
)

// with something set up, a first factor gives a Pending, which is of
// another type than a Session and cannot be made into one.
func TestPendingIsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)

	t.Run("every first factor", func(t *testing.T) {
		for _, by := range []mfa.By{
			mfa.ByPassword, mfa.ByPasswordReset, mfa.ByFederation, mfa.ByMagicLink, mfa.ByClientCert, mfa.ByAPIKey, "own",
		} {
			login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: by})
			if err != nil || login.Session != nil || login.Pending == nil || login.Skipped != "" {
				t.Errorf("%s: %v, %v, skipped %q; want a Pending", by, login, err, login.Skipped)
			}
		}
	})
	t.Run("its token proves nothing as a session", func(t *testing.T) {
		s := w.guard.Session("alice", w.pending("alice").Token())
		if s.Token() != "" || len(s.Proofs()) != 0 {
			t.Error("a pending token was read as a session")
		}
		wantErr(t, "Require", w.guard.Require(t.Context(), s, mfa.Fresh(mfa.AnyAge)), mfa.ErrStepUpRequired)
	})
	t.Run("a session's token resumes nothing", func(t *testing.T) {
		_, err := w.guard.Resume(p.session.Token())
		wantErr(t, "Resume", err, mfa.ErrInvalid)
		_, err = w.guard.ResumeStepUp(p.session, p.session.Token())
		wantErr(t, "ResumeStepUp", err, mfa.ErrInvalid)
	})
	t.Run("only Verify and Confirm lead on", func(t *testing.T) {
		pending, login := reflect.TypeFor[*mfa.Pending](), reflect.TypeFor[*mfa.Login]()
		var ways []string
		for i := range pending.NumMethod() {
			m := pending.Method(i)
			for out := range m.Type.Outs() {
				if out == login || out == reflect.TypeFor[*mfa.Session]() {
					ways = append(ways, m.Name)
				}
			}
		}
		if want := []string{"Confirm", "Verify"}; !slices.Equal(ways, want) {
			t.Errorf("methods of Pending that give a Login or Session: %v, want %v", ways, want)
		}
	})
}

// whoever has set something up is asked for it, whatever the policy.
func TestFactorIsAskedForWhateverThePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp)
	for name, policy := range map[string]mfa.Policy{
		"zero":                {},
		"recommended":         {Demand: mfa.Recommended},
		"required":            {Demand: mfa.Required},
		"grace period":        {Demand: mfa.Required, From: start.AddDate(1, 0, 0)},
		"exempt nowhere":      {Demand: mfa.Exempt},
		"exempt elsewhere":    {Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByAPIKey}},
		"exempt, another way": {Demand: mfa.Optional, ExemptBy: []mfa.By{mfa.ByPassword}},
		"nothing on offer":    {Offer: []mfa.Kind{}},
		"an unknown demand":   {Demand: mfa.Demand(99)},
	} {
		w.policy("alice", policy)
		if login := w.begin("alice"); login.Pending == nil || login.Pending.MustEnroll() {
			t.Errorf("%s: let in, or sent to enrol", name)
		}
	}
	t.Run("the factors decide at completion", func(t *testing.T) {
		w := newWorld(t)
		w.policy("bob", mfa.Policy{Demand: mfa.Required})
		forced := w.pending("bob")
		e, err := forced.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if err != nil {
			t.Fatal(err)
		}
		w.policy("bob", mfa.Policy{})
		p := w.person("bob", kindApp)
		_, err = forced.Confirm(t.Context(), e.ID, (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp))
		wantErr(t, "a forced enrolment, with a factor there by now", err, mfa.ErrExpired)
		pending := w.pending("bob")
		if _, err := p.settingsAfterStepUp().RemoveAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = pending.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "a sign-in, with no factor left", err, mfa.ErrExpired)
	})
}

// settingsAfterStepUp are p's, with an answer given this moment.
func (p *person) settingsAfterStepUp() *mfa.Settings {
	p.Helper()
	p.signIn(kindApp)
	return p.settings()
}

// a password reset is a first factor like any other, and ends nothing.
func TestPasswordResetDisablesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	if err := w.guard.PasswordChanged(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPasswordReset})
	if err != nil || login.Pending == nil {
		t.Fatalf("after a reset: %v, %v; want a Pending", login, err)
	}
	o, err := w.guard.Admin("ops").Overview(t.Context(), "alice")
	if err != nil || len(o.Factors) != 2 || o.BackupLeft != codesInSet {
		t.Fatalf("after a reset: %+v, %v; want the app and its codes", o, err)
	}
	w.verify(login.Pending, p.answer(kindApp))
}

// no Login without exactly one of Session and Pending, no result with an
// error, and nothing from what is not a sign-in.
func TestBeginFailsClosed(t *testing.T) {
	t.Parallel()
	gone := errors.New("directory gone")
	for name, c := range map[string]struct {
		first mfa.FirstFactor
		do    func(*world)
		want  error
	}{
		"no user":         {mfa.FirstFactor{By: mfa.ByPassword}, nil, mfa.ErrArgument},
		"a long user ID":  {mfa.FirstFactor{UserID: strings.Repeat("u", 256), By: mfa.ByPassword}, nil, mfa.ErrArgument},
		"no first factor": {mfa.FirstFactor{UserID: "alice"}, nil, mfa.ErrArgument},
		"zero":            {mfa.FirstFactor{}, nil, mfa.ErrArgument},
		"too much carry":  {mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Carry: strings.Repeat("c", 1025)}, nil, mfa.ErrArgument},
		"no directory": {
			mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword},
			func(w *world) { w.lose("alice", gone) }, gone,
		},
		"another user from the directory": {
			mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword},
			func(w *world) { w.users["alice"] = mfa.User{ID: "Alice"} }, nil,
		},
		"no store": {
			mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword},
			func(w *world) { w.store.breaks(store.ErrUnavailable) }, mfa.ErrUnavailable,
		},
		"an impossible clock": {
			mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword},
			func(w *world) { w.clock.add(-10 * 365 * 24 * time.Hour) }, mfa.ErrClock,
		},
	} {
		for _, enrolled := range []bool{false, true} {
			w := newWorld(t)
			if enrolled {
				w.person("alice", kindApp)
			}
			if c.do != nil {
				c.do(w)
			}
			login, err := w.guard.Begin(t.Context(), c.first)
			if login != nil || err == nil || errors.Is(err, mfa.ErrRejected) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s, enrolled %t: %v, %v; want no Login and %v", name, enrolled, login, err, c.want)
			}
		}
	}
	t.Run("cancelled", func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if login, err := w.guard.Begin(ctx, mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword}); login != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v; want no Login and context.Canceled", login, err)
		}
	})
}

// Begin reads once and writes nothing, whatever comes of it.
func TestBeginReadsOnceAndWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp)
	w.policy("bob", mfa.Policy{Demand: mfa.Required})
	for _, id := range []string{"alice", "bob", "carol"} {
		loads, saves := w.store.during(func() { w.begin(id) })
		if loads != 1 || saves != 0 {
			t.Errorf("%s: %d loads and %d saves, want 1 and 0", id, loads, saves)
		}
	}
}

// factors that cannot be used here are no reason to let anybody in, or
// to enrol a first one; and they are not lost.
func TestUnknownKindIsNoMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.cfg.Methods = []mfa.Method{w.app, w.key} })
	p := w.person("alice", kindApp)
	w.policy("alice", mfa.Policy{Demand: mfa.Required})
	refused := errors.New("not here")

	for name, c := range map[string]struct {
		guard  *mfa.Guard
		verify error // what is not available may be in a moment, so that its answer is no verdict
	}{
		"a kind that is not configured": {w.with(w.key), mfa.ErrInvalid},
		"a kind that is not available":  {w.with(w.key, &conditional{w.app, func(mfa.User) error { return refused }}), refused},
	} {
		t.Run(name, func(t *testing.T) {
			other := c.guard
			login, err := other.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword})
			if login != nil || !errors.Is(err, mfa.ErrNoMethod) {
				t.Errorf("Begin: %v, %v; want ErrNoMethod", login, err)
			}
			mine, err := other.Resume(w.pending("alice").Token())
			if err != nil {
				t.Fatal(err)
			}
			_, err = mine.Offers(t.Context())
			wantErr(t, "Offers", err, mfa.ErrNoMethod)
			_, err = mine.Verify(t.Context(), p.answer(kindApp))
			wantErr(t, "Verify", err, c.verify)
			_, err = mine.Enroll(t.Context(), mfa.NewFactor{Kind: kindKey})
			wantErr(t, "Enroll", err, mfa.ErrExpired)

			s := other.Session("alice", w.begun("alice"))
			wantErr(t, "Require", other.Require(t.Context(), s, mfa.Rule{AllowWithout: true}), mfa.ErrNoMethod)
			_, err = other.Settings(s).Enroll(t.Context(), mfa.NewFactor{Kind: kindKey})
			wantErr(t, "Settings.Enroll", err, mfa.ErrNoMethod)
			_, err = other.Settings(s).RemoveAll(t.Context())
			wantErr(t, "RemoveAll", err, mfa.ErrNoMethod)
		})
	}
	t.Run("it survives a save elsewhere", func(t *testing.T) {
		p.signIn(kindApp)
		p.add(kindKey)
		other := w.with(w.key)
		login, err := other.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword})
		if err != nil {
			t.Fatal(err)
		}
		login = w.verify(login.Pending, p.answer(kindKey))
		app := p.hands[kindApp].id
		if err := other.Settings(login.Session).Rename(t.Context(), app, "renamed elsewhere"); err != nil {
			t.Fatalf("renaming a factor of an unknown kind: %v", err)
		}
		if _, err := other.Settings(login.Session).Remove(t.Context(), p.hands[kindKey].id); err != nil {
			t.Fatalf("removing the only known factor, with an unknown one left: %v", err)
		}
		w.verify(w.pending("alice"), p.answer(kindApp))
	})
}

// begun is the token of a session that a forced enrolment would give: current,
// with no proof.
func (w *world) begun(userID string) string {
	w.Helper()
	w.mu.Lock()
	u := w.users[userID]
	w.mu.Unlock()
	w.policy(userID, mfa.Policy{Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByPassword}})
	token := w.begin(userID).Session.Token()
	w.policy(userID, u.Policy)
	return token
}

// where the application knows better, a lost record is an error.
func TestExpectedRecordIsMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	expect := mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Expect: true}
	if login, err := w.guard.Begin(t.Context(), expect); err != nil || login.Pending == nil {
		t.Fatalf("with the record there: %v, %v", login, err)
	}
	if err := w.vault.Delete(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []mfa.Policy{{}, {Demand: mfa.Required}} {
		w.policy("alice", policy)
		login, err := w.guard.Begin(t.Context(), expect)
		if login != nil || !errors.Is(err, mfa.ErrLostRecord) {
			t.Errorf("without it: %v, %v; want ErrLostRecord", login, err)
		}
	}
	t.Run("a record without factors", func(t *testing.T) {
		if err := w.guard.SignOutEverywhere(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		_, err := w.guard.Begin(t.Context(), expect)
		wantErr(t, "Begin", err, mfa.ErrLostRecord)
	})
}

// Carry comes back with every Login, and only there.
func TestCarryComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Carry: "remember \x00 me"}
	login, err := w.guard.Begin(t.Context(), first)
	if err != nil || login.Carry != first.Carry {
		t.Fatalf("nothing set up: %q, %v", login.Carry, err)
	}
	p := w.person("alice", kindApp)
	login, err = w.guard.Begin(t.Context(), first)
	if err != nil || login.Carry != first.Carry {
		t.Fatalf("pending: %q, %v", login.Carry, err)
	}
	again, err := w.guard.Resume(login.Pending.Token())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.verify(again, p.answer(kindApp)).Carry; got != first.Carry {
		t.Errorf("after the second step: %q", got)
	}
}
