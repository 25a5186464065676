package mfa_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
)

// a token that was spent stays spent when its user is deleted and enrols
// anew; verifying brings no deleted user back; and revoking somebody of whom
// nothing is kept ends what was handed out.
func TestDeletedUserStaysDeleted(t *testing.T) {
	t.Parallel()
	gone := errors.New("no such user")
	exists := func(w *world, id string) bool {
		_, err := w.store.Store.Load(t.Context(), id)
		return !errors.Is(err, store.ErrNotFound)
	}
	t.Run("verifying creates nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey, kindMail)
		p.signIn(kindApp)
		q, step := w.pending("alice"), p.stepUp(mfa.Rule{PhishingResistant: true})
		if err := w.guard.Admin("ops").Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func() error{
			"Verify":         func() error { return second(q.Verify(t.Context(), p.answer(kindApp))) },
			"a wrong answer": func() error { return second(q.Verify(t.Context(), wrong(kindApp))) },
			"a signed one":   func() error { return second(q.Verify(t.Context(), p.answer(kindKey))) },
			"a code":         func() error { return second(q.Verify(t.Context(), p.answer(kindCodes))) },
			"a step-up":      func() error { return second(step.Verify(t.Context(), p.answer(kindKey))) },
			"Challenge": func() error {
				return second(q.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: p.hands[kindMail].id}))
			},
			"Enroll": func() error { return second(q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})) },
		} {
			wantErr(t, name, call(), mfa.ErrExpired)
		}
		for name, change := range p.changes(t.Context()) {
			wantStepUp(t, name, change())
		}
		if err := errors.Join(q.Cancel(t.Context()), w.guard.Admin("ops").Unlock(t.Context(), "alice"),
			w.guard.Admin("ops").Delete(t.Context(), "alice")); err != nil {
			t.Error(err)
		}
		if exists(w, "alice") {
			t.Error("there is a record again")
		}
	})
	t.Run("spent stays spent", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		spent, unused := w.pending("alice"), w.pending("alice")
		w.verify(spent, p.answer(kindApp))
		if err := w.guard.Admin("ops").Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		anew := w.person("alice", kindApp)
		for name, q := range map[string]*mfa.Pending{"spent": spent, "of the old record": unused} {
			login, err := q.Verify(t.Context(), anew.answer(kindApp))
			if login != nil || !errors.Is(err, mfa.ErrExpired) {
				t.Errorf("a token %s: %v, %v; want ErrExpired", name, login, err)
			}
		}
		wantStepUp(t, "the old session", w.guard.Require(t.Context(), p.session, anyAge))
	})
	t.Run("a forced enrolment needs a user", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		q := w.pending("alice")
		w.lose("alice", gone)
		if err := w.guard.Admin("ops").Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		_, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		wantErr(t, "Enroll", err, gone)
		wantErr(t, "Cancel", q.Cancel(t.Context()), gone)
		if exists(w, "alice") {
			t.Error("there is a record again")
		}
	})
	for name, revoke := range map[string]func(context.Context, *mfa.Guard) error{
		"SignOutEverywhere": func(ctx context.Context, g *mfa.Guard) error { return g.SignOutEverywhere(ctx, "alice") },
		"PasswordChanged":   func(ctx context.Context, g *mfa.Guard) error { return g.PasswordChanged(ctx, "alice") },
		"AddressChanged":    func(ctx context.Context, g *mfa.Guard) error { return g.AddressChanged(ctx, "alice", "") },
		"Disabled":          func(ctx context.Context, g *mfa.Guard) error { return g.Disabled(ctx, "alice") },
		"Reset":             func(ctx context.Context, g *mfa.Guard) error { return g.Admin("ops").Reset(ctx, "alice", "why") },
	} {
		t.Run(name+" of a user without a record", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			session := w.begin("alice").Session
			w.policy("alice", mfa.Policy{Demand: mfa.Required})
			q := w.pending("alice")
			if exists(w, "alice") {
				t.Fatal("there is a record")
			}
			w.lose("alice", gone) // revoking does not depend on the directory
			if err := revoke(t.Context(), w.guard); err != nil {
				t.Fatal(err)
			}
			w.lose("alice", nil)
			_, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			wantErr(t, "the forced enrolment", err, mfa.ErrExpired)
			_, err = w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			wantStepUp(t, "the session", err)
			if !w.pending("alice").MustEnroll() {
				t.Error("the next sign-in need not enrol")
			}
		})
	}
}

// an administrator's reset names who did it and why, and ends everything
// at once.
func TestReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	p.signIn(kindApp)
	w.guesses("alice", kindApp, 5)
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail})
	if err != nil {
		t.Fatal(err)
	}
	q, step := w.pending("alice"), p.stepUp(mfa.Rule{PhishingResistant: true})
	admin := w.guard.Admin("ops@acme")

	_, saves := w.store.during(func() {
		for _, reason := range []string{"", strings.Repeat("r", 1025)} {
			wantErr(t, fmt.Sprintf("a reason of %d bytes", len(reason)), admin.Reset(t.Context(), "alice", reason), mfa.ErrArgument)
		}
		wantErr(t, "nobody", admin.Reset(t.Context(), "", "lost"), mfa.ErrArgument)
	})
	if saves != 0 {
		t.Errorf("%d saves", saves)
	}
	w.forget()
	if err := admin.Reset(t.Context(), "alice", "lost it all"); err != nil {
		t.Fatal(err)
	}
	_, err = q.Verify(t.Context(), p.answer(kindKey))
	wantErr(t, "a sign-in under way", err, mfa.ErrExpired)
	_, err = step.Verify(t.Context(), p.answer(kindKey))
	wantErr(t, "a step-up under way", err, mfa.ErrExpired)
	_, err = p.settings().Confirm(t.Context(), e.ID, (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindMail))
	wantStepUp(t, "an enrolment under way", err)
	if len(w.notices) != 1 || w.notices[0].Type != mfa.EventReset || w.notices[0].Actor != "ops@acme" || w.notices[0].Reason != "lost it all" {
		t.Errorf("told %+v", w.notices)
	}
	if len(w.ended) != 1 || w.ended[0] != "alice" {
		t.Errorf("sessions ended of %v", w.ended)
	}
	login := w.begin("alice")
	if login.Session == nil || login.Skipped != mfa.SkippedNothingSetUp {
		t.Fatalf("after the reset: %v", login)
	}
	for _, a := range []mfa.Answer{p.answer(kindApp), p.answer(kindCodes)} {
		anew := *p
		anew.session = w.begin("alice").Session
		anew.hands = map[mfa.Kind]*hand{}
		anew.add(kindApp)
		_, err := w.pending("alice").Verify(t.Context(), a)
		wantErr(t, "an answer from before", err, mfa.ErrInvalid)
		if err := admin.Reset(t.Context(), "alice", "again"); err != nil {
			t.Fatal(err)
		}
	}
}

// S20: administrators see who uses what, and a record that does not open does
// not hide the others.
func TestOverviews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp, kindKey)
	w.person("bob")
	w.person("carol", kindApp)
	w.guesses("carol", kindApp, 5)
	gone := errors.New("gone")
	w.lose("dave", gone)
	// eve's record is alice's, which does not open under eve's name
	rec, err := w.store.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Apply(t.Context(), store.Change{UserID: "eve", New: 1, Data: rec.Data}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for o, err := range w.guard.Admin("ops").Overviews(t.Context(), "alice", "bob", "", "dave", "eve", "carol") {
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, f := range o.Factors {
			kinds = append(kinds, string(f.Kind))
		}
		got = append(got, fmt.Sprintf("%s %v %d %v %t", o.User.ID, kinds, o.BackupLeft, o.LockedFor, o.Err != nil))
	}
	want := []string{
		"alice [app codes key] 5 0s false", "bob [] 0 0s false", " [] 0 0s true", "dave [] 0 0s true",
		"eve [] 0 0s true", "carol [app codes] 5 30s false",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	t.Run("a record that does not open lets nobody in", func(t *testing.T) {
		login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "eve", By: mfa.ByPassword})
		if login != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%v, %v", login, err)
		}
	})
	t.Run("it stops when asked", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for o, err := range w.guard.Admin("ops").Overviews(ctx, "alice", "bob", "carol") {
			if n++; n == 2 {
				if o != nil || !errors.Is(err, context.Canceled) {
					t.Errorf("%v, %v; want the context's error", o, err)
				}
			}
			cancel()
		}
		if n != 2 {
			t.Errorf("%d yields, want 2", n)
		}
	})
}

// Unlock ends pauses and the day's failures, and nothing that was disabled.
func TestUnlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	w.guesses("alice", kindApp, 19)
	w.clock.add(time.Hour)
	w.guesses("alice", kindApp, 1)
	_, err := w.pending("alice").Verify(t.Context(), p.answer(kindApp))
	wantErr(t, "before", err, mfa.ErrTooMany)
	w.forget()
	if err := w.guard.Admin("ops").Unlock(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if w.count(w.seen(), mfa.EventUnlocked) != 1 || w.events[0].Actor != "ops" {
		t.Errorf("events %+v", w.events)
	}
	w.verify(w.pending("alice"), p.answer(kindApp))
	_, saves := w.store.during(func() {
		if err := w.guard.Admin("ops").Unlock(t.Context(), "nobody"); err != nil {
			t.Error(err)
		}
	})
	if saves != 0 {
		t.Error("unlocking nobody wrote something")
	}
}

// Export gives a user's data without a secret.
func TestExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	p.signIn(kindApp)
	w.guesses("alice", kindApp, 2)
	b, err := w.guard.Admin("ops").Export(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		UserID  string `json:"user_id"`
		Factors []struct {
			ID       string
			Kind     string
			Name     string
			LastUsed *time.Time `json:"last_used"`
			Left     int
		}
		Failures int `json:"failures_in_24_hours"`
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.UserID != "alice" || len(got.Factors) != 3 || got.Failures != 2 || got.Factors[0].Name != "my app" ||
		got.Factors[0].LastUsed == nil || got.Factors[1].Left != codesInSet || got.Factors[2].LastUsed != nil {
		t.Errorf("%s", b)
	}
	for _, secret := range append(p.codes, p.hands[kindApp].secret, p.hands[kindKey].secret, p.session.Token()) {
		if strings.Contains(string(b), secret) {
			t.Error("a secret is exported")
		}
	}
	if _, err := w.guard.Admin("ops").Export(t.Context(), ""); !errors.Is(err, mfa.ErrArgument) {
		t.Errorf("nobody: %v", err)
	}
}

// What an administrator does is never anonymous.
func TestAdminHasAName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	nobody := w.guard.Admin("")
	_, saves := w.store.during(func() {
		for name, err := range map[string]error{
			"Reset":  nobody.Reset(t.Context(), "alice", "lost"),
			"Unlock": nobody.Unlock(t.Context(), "alice"),
			"Delete": nobody.Delete(t.Context(), "alice"),
		} {
			wantErr(t, name, err, mfa.ErrArgument)
		}
	})
	if saves != 0 {
		t.Errorf("%d saves", saves)
	}
	w.verify(w.pending("alice"), p.answer(kindApp))
}
