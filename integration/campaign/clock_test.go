package campaign

// Clocks that jump: a year forward and back leaves no eternal session,
// lock or replay state, and nothing of the future grants anything.

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

const aYear = 365 * 24 * time.Hour

func TestClockJumps(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		i := h.instance(t)
		admin := i.guard.Admin("test")
		p := h.Enroll(i.guard, "ada")
		now := h.Clock.Now()
		requires := func(what string, s *mfa.Session, r mfa.Rule, pass bool) {
			t.Helper()
			err := i.guard.Require(ctx, s, r)
			if pass && err != nil || !pass && !errors.Is(err, mfa.ErrStepUpRequired) {
				t.Errorf("%s: %v", what, err)
			}
		}

		// In a year from now, by a clock that is wrong: sign in, enrol, begin.
		h.Clock.Set(now.Add(aYear))
		session := p.SignIn(i.guard, totp.Kind)
		requires("a session of the future, in the future", session, mfa.Rule{}, true)
		settings := i.guard.Settings(session)
		draft, err := settings.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind})
		if err != nil {
			t.Fatal(err)
		}
		app, err := mfatest.NewApp(draft.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		pending := i.begin(t, "ada")

		// The clock is set right.
		h.Clock.Set(now.Add(time.Minute))
		now = h.Clock.Now()
		requires("a session of the future", session, mfa.Rule{}, false)
		requires("a session of the future, of any age", session, mfa.Rule{MaxAge: mfa.AnyAge}, false)
		if _, err := settings.Confirm(ctx, draft.ID, mfa.Answer{Kind: totp.Kind, Code: app.Code(now)}); err == nil {
			t.Error("an enrolment of the future was confirmed")
		}
		if _, err := settings.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind}); !errors.Is(err, mfa.ErrStepUpRequired) {
			t.Errorf("a change by a proof of the future: %v", err)
		}
		code := p.Answer(backupcodes.Kind)
		if _, err := pending.Verify(ctx, code); !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("a sign-in of the future: %v", err)
		}
		// Backup codes know no time.
		if v := verdictOf(i.begin(t, "ada").Verify(ctx, code)); v != accepted {
			t.Errorf("a backup code: %s", v)
		}
		// The app's last use lies in the future: that is a failure, no verdict,
		// until an administrator repairs it.
		for range 3 {
			if _, err := i.begin(t, "ada").Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: p.App().Code(h.Clock.Now())}); !errors.Is(err, mfa.ErrClock) || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("an app that was used in the future: %v", err)
			}
			h.Clock.Advance(aDay)
		}
		if err := admin.Unlock(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
		if v := verdictOf(i.begin(t, "ada").Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: p.App().Code(h.Clock.Now())})); v != replayed {
			t.Errorf("a code of the moment of the repair: %s", v)
		}
		h.Clock.Advance(2 * time.Minute)
		if v := verdictOf(i.begin(t, "ada").Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: p.App().Code(h.Clock.Now())})); v != accepted {
			t.Errorf("a code after the repair: %s", v)
		}
		h.Clock.Advance(time.Minute)
		now = h.Clock.Now()

		// A lock of the future is no eternal one.
		h.Clock.Set(now.Add(aYear))
		lock(t, h, i, p)
		h.Clock.Set(now)
		if _, err := i.begin(t, "ada").Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: p.App().Code(now)}); !errors.Is(err, mfa.ErrTooMany) {
			t.Errorf("while it is locked: %v", err)
		}
		o, err := admin.Overview(ctx, "ada")
		if err != nil || o.LockedFor > 24*time.Hour {
			t.Errorf("locked for %v (%v)", o.LockedFor, err)
		}
		h.Clock.Advance(o.LockedFor)
		if v := verdictOf(i.begin(t, "ada").Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: p.App().Code(h.Clock.Now())})); v != accepted {
			t.Errorf("when the lock is over: %s", v)
		}

		// A year passes: what was begun before is over, and the app works.
		h.Clock.Advance(time.Hour)
		session, pending = p.SignIn(i.guard, backupcodes.Kind), i.begin(t, "ada")
		h.Clock.Advance(aYear)
		requires("a session a year old", session, mfa.Rule{MaxAge: time.Hour}, false)
		requires("a session a year old, of any age", session, mfa.Rule{MaxAge: mfa.AnyAge}, true)
		if _, err := pending.Verify(ctx, p.Answer(totp.Kind)); !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("a sign-in a year old: %v", err)
		}
		p.SignIn(i.guard, totp.Kind)
	})
}

// lock makes wrong guesses until no more are looked at.
func lock(t *testing.T, h *house, i *instance, p *mfatest.Person) {
	t.Helper()
	for range 100 {
		wrong := mfa.Answer{Kind: totp.Kind, Code: wrongCode(p.App(), h.Clock.Now())}
		_, err := i.begin(t, p.UserID).Verify(t.Context(), wrong)
		var limit *mfa.LimitError
		switch {
		case errors.As(err, &limit) && limit.RetryAfter > 2*time.Hour: // the limit of a day
			return
		case errors.As(err, &limit):
			h.Clock.Advance(limit.RetryAfter)
		case !errors.Is(err, mfa.ErrInvalid):
			t.Fatalf("a wrong guess: %v", err)
		}
	}
	t.Fatal("never locked")
}

// A time that cannot be is a failure, in every call.
func TestImpossibleClock(t *testing.T) {
	h := newHouse(t, "")
	ctx := t.Context()
	i := h.instance(t)
	p := h.Enroll(i.guard, "ada")
	session, pending := p.SignIn(i.guard, totp.Kind), i.begin(t, "ada")
	answer := p.Answer(backupcodes.Kind)
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2019, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		h.Clock.Set(at)
		_, begin := i.guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
		_, verify := pending.Verify(ctx, answer)
		_, overview := i.guard.Settings(session).Overview(ctx)
		_, remove := i.guard.Settings(session).RemoveAll(ctx)
		for call, err := range map[string]error{
			"Begin": begin, "Verify": verify, "Overview": overview, "RemoveAll": remove, "Require": i.guard.Require(ctx, session, mfa.Rule{}),
		} {
			if !errors.Is(err, mfa.ErrClock) || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%s at %v: %v", call, at, err)
			}
		}
	}
}
