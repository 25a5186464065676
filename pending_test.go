package mfa_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// resume reads a token that must be readable.
func (w *world) resume(token string) *mfa.Pending {
	w.Helper()
	p, err := w.guard.Resume(token)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// one success ends a token, also one that was read before, also in
// another process, also after many others.
func TestPendingIsSpentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	_, other := w.another(w.cfg)

	pending := w.pending("alice")
	before := w.resume(pending.Token())
	w.verify(pending, p.answer(kindApp))
	after := w.resume(pending.Token())
	elsewhere, err := other.Resume(pending.Token())
	if err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]*mfa.Pending{
		"the same value": pending, "read before": before, "read after": after, "in another process": elsewhere,
	} {
		login, err := again.Verify(t.Context(), p.answer(kindApp))
		if login != nil || !errors.Is(err, mfa.ErrExpired) {
			t.Errorf("%s: %v, %v; want ErrExpired", name, login, err)
		}
		_, err = again.Offers(t.Context())
		wantErr(t, name+": Offers", err, mfa.ErrExpired)
	}

	t.Run("a spent token takes no answer with it", func(t *testing.T) {
		a := p.answer(kindApp)
		_, err := pending.Verify(t.Context(), a)
		wantErr(t, "spent", err, mfa.ErrExpired)
		w.verify(w.pending("alice"), a)
	})
	t.Run("behind more than are remembered", func(t *testing.T) {
		w.clock.add(time.Second)
		first, unused := w.pending("alice"), w.pending("alice")
		w.verify(first, p.answer(kindApp))
		for range 40 {
			w.clock.add(time.Second)
			w.verify(w.pending("alice"), p.answer(kindApp))
		}
		_, err := first.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "spent, and forty after it", err, mfa.ErrExpired)
		_, err = unused.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "not spent, but under the watermark", err, mfa.ErrExpired)
	})
}

// clocks that differ as far as they may never make a spent token live.
func TestSpentIsRememberedAcrossClocks(t *testing.T) {
	t.Parallel()
	const ahead = 2 * time.Minute // the tolerance
	w := newWorld(t)
	p := w.person("alice", kindApp)
	w.clock.add(time.Minute)

	w.clock.add(ahead) // made by a machine that is ahead
	pending := w.pending("alice")
	w.clock.add(-ahead) // used and replayed on one that is not
	w.verify(pending, p.answer(kindApp))

	for range 12 {
		w.clock.add(time.Minute)
		w.clock.add(ahead)
		w.verify(w.pending("alice"), p.answer(kindApp)) // a chance to forget, on the machine ahead
		w.clock.add(-ahead)
		_, err := pending.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "a spent token", err, mfa.ErrExpired)
	}
}

// what ends a sign-in under way.
func TestPendingDies(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context, *person, *mfa.Pending) error{
		"cancel": func(ctx context.Context, _ *person, q *mfa.Pending) error { return q.Cancel(ctx) },
		"cancel of another copy": func(ctx context.Context, p *person, q *mfa.Pending) error {
			return p.resume(q.Token()).Cancel(ctx)
		},
		"ten minutes":     func(_ context.Context, p *person, _ *mfa.Pending) error { p.clock.add(10 * time.Minute); return nil },
		"a year":          func(_ context.Context, p *person, _ *mfa.Pending) error { p.clock.add(8760 * time.Hour); return nil },
		"a year back":     func(_ context.Context, p *person, _ *mfa.Pending) error { p.clock.add(-8760 * time.Hour); return nil },
		"password change": func(ctx context.Context, p *person, _ *mfa.Pending) error { return p.guard.PasswordChanged(ctx, p.id) },
		"address change": func(ctx context.Context, p *person, _ *mfa.Pending) error {
			return p.guard.AddressChanged(ctx, p.id, "")
		},
		"sign out everywhere": func(ctx context.Context, p *person, _ *mfa.Pending) error {
			return p.guard.SignOutEverywhere(ctx, p.id)
		},
		"user disabled":      func(ctx context.Context, p *person, _ *mfa.Pending) error { return p.guard.Disabled(ctx, p.id) },
		"an added factor":    func(_ context.Context, p *person, _ *mfa.Pending) error { p.add(kindMail); return nil },
		"new codes":          func(ctx context.Context, p *person, _ *mfa.Pending) error { return p.newCodes(ctx) },
		"a removed factor":   func(ctx context.Context, p *person, _ *mfa.Pending) error { return p.remove(ctx, kindKey) },
		"everything removed": func(ctx context.Context, p *person, _ *mfa.Pending) error { return p.removeAll(ctx) },
		"a reset": func(ctx context.Context, p *person, _ *mfa.Pending) error {
			return p.guard.Admin("ops").Reset(ctx, p.id, "lost")
		},
		"the user was deleted": func(ctx context.Context, p *person, _ *mfa.Pending) error {
			return p.guard.Admin("ops").Delete(ctx, p.id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.person("alice", kindApp, kindKey)
			p.signIn(kindApp)
			pending := w.pending("alice")
			if _, err := pending.Offers(t.Context()); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := end(t.Context(), p, pending); err != nil {
				t.Fatal(err)
			}
			login, err := pending.Verify(t.Context(), p.answer(kindApp))
			if login != nil || !errors.Is(err, mfa.ErrExpired) {
				t.Errorf("Verify: %v, %v; want ErrExpired", login, err)
			}
			_, err = pending.Offers(t.Context())
			wantErr(t, "Offers", err, mfa.ErrExpired)
			_, err = pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail})
			wantErr(t, "Challenge", err, mfa.ErrExpired)
			_, err = pending.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			wantErr(t, "Enroll", err, mfa.ErrExpired)
			if err := pending.Cancel(t.Context()); err != nil {
				t.Errorf("cancelling what is over: %v", err)
			}
		})
	}
	t.Run("not by wrong answers, renaming or unlocking", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp)
		p.signIn(kindApp)
		pending := w.pending("alice")
		for range 3 {
			_, err := pending.Verify(t.Context(), wrong(kindApp))
			wantErr(t, "wrong", err, mfa.ErrInvalid)
		}
		if err := p.settings().Rename(t.Context(), p.hands[kindApp].id, "other"); err != nil {
			t.Fatal(err)
		}
		if err := w.guard.Admin("ops").Unlock(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		w.clock.add(10*time.Minute - time.Millisecond)
		w.verify(pending, p.answer(kindApp))
	})
}

func (p *person) newCodes(ctx context.Context) error {
	e, err := p.settings().Enroll(ctx, mfa.NewFactor{Kind: kindCodes})
	if err != nil {
		return err
	}
	p.session, p.codes = e.Session, nil
	for _, c := range e.Codes {
		p.codes = append(p.codes, c.Reveal())
	}
	return nil
}

func (p *person) remove(ctx context.Context, k mfa.Kind) error {
	c, err := p.settings().Remove(ctx, p.hands[k].id)
	if err == nil {
		p.session = c.Session
	}
	return err
}

func (p *person) removeAll(ctx context.Context) error {
	c, err := p.settings().RemoveAll(ctx)
	if err == nil {
		p.session = c.Session
	}
	return err
}

// a forced enrolment that was given up is over, also for a user of whom
// nothing is kept yet: who comes to the browser next must not take it up.
func TestCancelEndsForcedEnrolment(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprintf("an enrolment began: %t", begun), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.policy("alice", mfa.Policy{Demand: mfa.Required})
			pending := w.pending("alice")
			if begun {
				if _, err := pending.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); err != nil {
					t.Fatal(err)
				}
			}
			if err := pending.Cancel(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := w.resume(pending.Token()).Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			wantErr(t, "Enroll with a cancelled token", err, mfa.ErrExpired)
			if p := w.pending("alice"); !p.MustEnroll() {
				t.Error("the next sign-in need not enrol")
			} else if _, err := p.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); err != nil {
				t.Errorf("the next sign-in: %v", err)
			}
		})
	}
}

// a sign-in of one user stays one of that user.
func TestPendingOfAnotherUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, mallory := w.person("alice", kindApp, kindMail, kindKey), w.person("mallory", kindApp, kindMail, kindKey)

	for _, k := range []mfa.Kind{kindApp, kindKey, kindCodes} {
		t.Run("an answer of the other's "+string(k), func(t *testing.T) {
			pending := w.pending("alice")
			a := mallory.answer(k)
			login, err := pending.Verify(t.Context(), a)
			if login != nil || !errors.Is(err, mfa.ErrInvalid) {
				t.Errorf("%v, %v; want ErrInvalid", login, err)
			}
			if got := w.verify(w.pending("mallory"), a).Session.UserID(); got != "mallory" {
				t.Errorf("signed in as %q", got)
			}
		})
	}
	t.Run("the result is who began", func(t *testing.T) {
		login := w.verify(w.pending("alice"), alice.answer(kindApp))
		if got := login.Session.UserID(); got != "alice" {
			t.Errorf("signed in as %q", got)
		}
		s := w.guard.Session("mallory", login.Session.Token())
		if s.Token() != "" {
			t.Error("a session was read for another user")
		}
		wantErr(t, "Require", w.guard.Require(t.Context(), s, mfa.Fresh(mfa.AnyAge)), mfa.ErrStepUpRequired)
	})
	t.Run("a challenge for the other's factor", func(t *testing.T) {
		pending := w.pending("mallory")
		w.mail.careless = true
		_, err := pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: alice.hands[kindMail].id})
		wantErr(t, "Challenge", err, mfa.ErrNotEnrolled)
		if got := w.mail.last(); got != (sent{}) {
			t.Errorf("a code went to %s", got.user)
		}
	})
	t.Run("a plug-in that names a factor of another user", func(t *testing.T) {
		odd := &device{kind: kindApp, traits: w.app.traits}
		odd.verify = func(context.Context, *vault.Scope, mfa.VerifyRequest) (*mfa.Verification, error) {
			return &mfa.Verification{FactorID: mallory.hands[kindApp].id}, nil
		}
		p, err := w.with(odd).Resume(w.pending("alice").Token())
		if err != nil {
			t.Fatal(err)
		}
		if login, err := p.Verify(t.Context(), alice.answer(kindApp)); login != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%v, %v; want a failure", login, err)
		}
	})
}

// a token is good to the letter, under the right keys, or not at
// all.
func TestPendingTokenAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp)
	token := w.pending("alice").Token()
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	foreign := newWorld(t)
	foreign.person("alice", kindApp)
	bad := map[string]string{
		"empty": "", "a blank": " ", "not base64": "!!!", "truncated by one": token[:len(token)-1], "truncated to half": token[:len(token)/2],
		"extended": token + "A", "padded": token + "=", "a line end": token + "\n", "a line end within": token[:9] + "\n" + token[9:],
		"re-cased": swapCase(token), "twice": token + token, "standard alphabet": base64.StdEncoding.EncodeToString(raw),
		"hexadecimal": fmt.Sprintf("%x", raw), "of other keys": foreign.pending("alice").Token(),
		"a session": w.begun("alice"), "huge": strings.Repeat("A", 1<<20),
	}
	for i := range raw {
		b := slices.Clone(raw)
		b[i] ^= 1
		bad[fmt.Sprintf("byte %d flipped", i)] = base64.RawURLEncoding.EncodeToString(b)
	}
	for name, text := range bad {
		p, err := w.guard.Resume(text)
		if p != nil || !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("%s: %v, %v; want ErrInvalid", name, p, err)
		}
	}
	if _, err := w.guard.Resume(token); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

// a token that was tied to a browser is worth nothing without it.
func TestPendingIsBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	first := mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Binding: "cookie"}
	login, err := w.guard.Begin(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	token := login.Pending.Token()
	_, err = w.guard.Resume(token)
	wantErr(t, "without the binding", err, mfa.ErrInvalid)
	for _, binding := range []string{"", "Cookie", "cookie ", "cooki", "\x00cookie"} {
		_, err = w.guard.ResumeBound(token, binding)
		wantErr(t, fmt.Sprintf("with %q", binding), err, mfa.ErrInvalid)
	}
	_, err = w.guard.ResumeBound(w.pending("alice").Token(), "cookie")
	wantErr(t, "a token that was not tied", err, mfa.ErrInvalid)
	mine, err := w.guard.ResumeBound(token, "cookie")
	if err != nil {
		t.Fatal(err)
	}
	w.verify(mine, p.answer(kindApp))
}

// nothing is challenged or verified without a token, and a zero Pending
// is none.
func TestNothingWithoutPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail)
	ctx := t.Context()
	var zero mfa.Pending
	loads, saves := w.store.during(func() {
		for name, call := range map[string]func() error{
			"Offers":    func() error { _, err := zero.Offers(ctx); return err },
			"Challenge": func() error { _, err := zero.Challenge(ctx, mfa.Offer{Kind: kindMail}); return err },
			"Verify":    func() error { _, err := zero.Verify(ctx, p.answer(kindApp)); return err },
			"Enroll":    func() error { _, err := zero.Enroll(ctx, mfa.NewFactor{Kind: kindApp}); return err },
			"Confirm":   func() error { _, err := zero.Confirm(ctx, "x", p.answer(kindApp)); return err },
			"Cancel":    func() error { return zero.Cancel(ctx) },
		} {
			wantErr(t, name+" of a zero Pending", call(), mfa.ErrArgument)
		}
		for _, token := range []string{"", "alice", p.session.Token()} {
			if q, err := w.guard.Resume(token); q != nil || err == nil {
				t.Errorf("Resume(%.5q): %v, %v", token, q, err)
			}
		}
	})
	if loads != 0 || saves != 0 {
		t.Errorf("%d loads and %d saves without a token", loads, saves)
	}
	if got := w.mail.last(); got != (sent{}) {
		t.Error("a code was sent")
	}
	t.Run("a spent token starts none", func(t *testing.T) {
		q := w.pending("alice")
		w.verify(q, p.answer(kindApp))
		_, err := q.Challenge(ctx, mfa.Offer{Kind: kindMail, FactorID: p.hands[kindMail].id})
		wantErr(t, "Challenge", err, mfa.ErrExpired)
	})
}

// what was chosen or sent in one sign-in is worth nothing in another, nor
// for another purpose.
func TestChallengeIsScoped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail)
	p.signIn(kindApp)
	offer := mfa.Offer{Kind: kindMail, FactorID: p.hands[kindMail].id}
	challenge := func(q *mfa.Pending) mfa.Answer {
		t.Helper()
		if _, err := q.Challenge(t.Context(), offer); err != nil {
			t.Fatal(err)
		}
		return mfa.Answer{Kind: kindMail, Code: w.mail.last().code}
	}
	one, two := w.pending("alice"), w.pending("alice")
	stepUp, err := w.guard.StepUp(t.Context(), p.session, mfa.Rule{Not: []mfa.Kind{kindApp}})
	if err != nil || stepUp.Pending == nil {
		t.Fatalf("StepUp: %v, %v", stepUp, err)
	}
	code := challenge(one)
	_, err = two.Verify(t.Context(), code)
	wantErr(t, "in another sign-in, which has no code", err, mfa.ErrExpired)
	_, err = stepUp.Pending.Verify(t.Context(), code)
	wantErr(t, "in a step-up", err, mfa.ErrExpired)
	challenge(two)
	_, err = two.Verify(t.Context(), code)
	wantErr(t, "in another sign-in, which has its own", err, mfa.ErrInvalid)
	if got := w.verify(one, code).Session.UserID(); got != "alice" {
		t.Errorf("signed in as %q", got)
	}

	t.Run("a choice is no proof", func(t *testing.T) {
		q := w.pending("alice")
		challenge(q)
		for _, a := range []mfa.Answer{{}, {Kind: kindMail}, {Kind: kindApp}, {Kind: "none"}, {Kind: kindApp, Code: "mail"}} {
			if login, err := q.Verify(t.Context(), a); login != nil || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%v: %v, %v", a, login, err)
			}
		}
	})
}

// going back, again and over to another method leads nowhere.
func TestRetryAdvancesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail)
	w.forget()
	pending := w.pending("alice")
	for range 3 {
		login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Resume: pending.Token()})
		if err != nil || login.Session != nil {
			t.Fatalf("Begin again: %v, %v; want a Pending", login, err)
		}
		pending = w.resume(login.Pending.Token())
		offers, err := pending.Offers(t.Context())
		if err != nil || len(offers) != 3 {
			t.Fatalf("offers %v, %v; want app, mail and codes", offers, err)
		}
		if _, err := pending.Challenge(t.Context(), offers[1]); err != nil {
			t.Fatal(err)
		}
		_, err = pending.Challenge(t.Context(), offers[0])
		wantErr(t, "a challenge where there is none", err, mfa.ErrArgument)
		_, err = pending.Verify(t.Context(), mfa.Answer{Kind: kindApp})
		wantErr(t, "an empty answer", err, mfa.ErrInvalid)
		s := w.guard.Session("alice", pending.Token())
		wantErr(t, "Require", w.guard.Require(t.Context(), s, mfa.Rule{MaxAge: mfa.AnyAge}), mfa.ErrStepUpRequired)
	}
	if w.count(w.seen(), mfa.EventSignedIn) != 0 {
		t.Errorf("events %v", w.seen())
	}
	w.verify(pending, p.answer(kindApp))
}

// Resume keeps the ceremony, so that a code on its way stays good; only of the
// same user, browser and kind, and only while it lives.
func TestResumeKeepsCeremony(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.person("alice", kindMail), w.person("bob", kindMail)
	begin := func(user, binding, old string) *mfa.Pending {
		t.Helper()
		login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: user, By: mfa.ByPassword, Binding: binding, Resume: old})
		if err != nil {
			t.Fatal(err)
		}
		return login.Pending
	}
	flow := func(p *mfa.Pending, who *person) sent {
		t.Helper()
		if _, err := p.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: who.hands[kindMail].id}); err != nil {
			t.Fatal(err)
		}
		return w.mail.last()
	}
	one := begin("alice", "browser", "")
	code := flow(one, alice)
	for name, other := range map[string]*mfa.Pending{
		"another browser": begin("alice", "", one.Token()), "garbage": begin("alice", "browser", "garbage"),
		"another user": begin("bob", "browser", one.Token()),
	} {
		who := alice
		if name == "another user" {
			who = bob
		}
		if flow(other, who).flow == code.flow {
			t.Errorf("%s: the ceremony went on", name)
		}
	}
	two := begin("alice", "browser", one.Token())
	w.verify(two, mfa.Answer{Kind: kindMail, Code: code.code})
	_, err := one.Offers(t.Context())
	wantErr(t, "the earlier token of the ceremony", err, mfa.ErrExpired)
	if flow(begin("alice", "browser", two.Token()), alice).flow == code.flow {
		t.Error("a spent ceremony went on")
	}
}

// many right answers on one sign-in at once complete it once, on several
// instances, whatever their kinds.
func TestOneCompletionPerPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	_, other := w.another(w.cfg)
	for range 20 {
		w.clock.add(time.Second)
		token := w.pending("alice").Token()
		var answers []mfa.Answer
		for range 8 {
			answers = append(answers, p.answer(kindApp), p.answer(kindKey))
		}
		var completed, expired, odd atomic.Int32
		race(len(answers), func(i int) {
			g := w.guard
			if i%4 > 1 {
				g = other
			}
			q, err := g.Resume(token)
			if err != nil {
				odd.Add(1)
				return
			}
			switch login, err := q.Verify(t.Context(), answers[i]); {
			case err == nil && login.Session != nil:
				completed.Add(1)
			case errors.Is(err, mfa.ErrExpired):
				expired.Add(1)
			default:
				odd.Add(1)
			}
		})
		if completed.Load() != 1 || int(expired.Load()) != len(answers)-1 {
			t.Fatalf("%d completed, %d expired, %d something else; want 1, %d, 0", completed.Load(), expired.Load(), odd.Load(), len(answers)-1)
		}
	}
}

// no plug-in's slip, and no odd answer, makes anybody signed in.
func TestNothingIsVerifiedByAccident(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	for name, c := range map[string]struct {
		verify func(*vault.Scope) (*mfa.Verification, error)
		want   error // nil: any that is no verdict
	}{
		"neither answer nor error": {func(*vault.Scope) (*mfa.Verification, error) { return nil, nil }, nil},
		"both": {func(s *vault.Scope) (*mfa.Verification, error) {
			return &mfa.Verification{FactorID: s.Factors()[0].ID}, mfa.ErrInvalid
		}, mfa.ErrInvalid},
		"no factor":      {func(*vault.Scope) (*mfa.Verification, error) { return &mfa.Verification{}, nil }, nil},
		"a wrong factor": {func(*vault.Scope) (*mfa.Verification, error) { return &mfa.Verification{FactorID: "x"}, nil }, nil},
		"an odd error":   {func(*vault.Scope) (*mfa.Verification, error) { return nil, odd }, odd},
		"a removed factor": {func(s *vault.Scope) (*mfa.Verification, error) {
			id := s.Factors()[0].ID
			s.Remove(id)
			return &mfa.Verification{FactorID: id}, nil
		}, nil},
	} {
		for _, k := range []mfa.Kind{kindApp, kindKey} {
			w := newWorld(t)
			p := w.person("alice", kindApp, kindKey)
			w.app.verify = func(_ context.Context, s *vault.Scope, _ mfa.VerifyRequest) (*mfa.Verification, error) {
				return c.verify(s)
			}
			w.key.verify = w.app.verify
			_, saves := w.store.during(func() {
				login, err := w.pending("alice").Verify(t.Context(), p.answer(k))
				if login != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, mfa.ErrRejected) {
					t.Errorf("%s, %s: %v, %v; want no Login and %v", name, k, login, err, c.want)
				}
			})
			if !errors.Is(c.want, mfa.ErrRejected) && saves != 0 {
				t.Errorf("%s, %s: %d saves of no verdict", name, k, saves)
			}
		}
	}
	t.Run("answers", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		pending := w.pending("alice")
		for _, a := range []mfa.Answer{
			{}, {Kind: kindApp}, {Kind: kindKey}, {Code: p.answer(kindApp).Code}, {Kind: "App", Code: p.answer(kindApp).Code},
			{Kind: kindKey, Code: p.answer(kindApp).Code}, {Kind: kindMail, Code: p.answer(kindApp).Code},
			{Kind: kindApp, Credential: p.answer(kindKey).Credential}, {Kind: "\x00", Code: "0"}, {Kind: kindCodes, Code: "used"},
			{Kind: kindCodes}, {Kind: kindCodes, Code: p.answer(kindApp).Code},
		} {
			if login, err := pending.Verify(t.Context(), a); login != nil || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%v: %v, %v; want a rejection", a, login, err)
			}
		}
		w.verify(pending, p.answer(kindApp))
	})
}

// Offers come strongest first and recovery last, and only what this user has.
func TestOffersInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail, kindKey)
	offers, err := w.pending("alice").Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []mfa.Kind
	for _, o := range offers {
		kinds = append(kinds, o.Kind)
		if o.Challenge != (o.Kind == kindMail) || (o.FactorID != "") != (o.Kind == kindMail) {
			t.Errorf("offer %+v", o)
		}
	}
	if want := []mfa.Kind{kindKey, kindApp, kindMail, kindCodes}; !slices.Equal(kinds, want) {
		t.Errorf("offers %v, want %v", kinds, want)
	}
	q := w.pending("alice")
	ch, err := q.Challenge(t.Context(), offers[2])
	if err != nil || ch.FactorID != p.hands[kindMail].id || !ch.Expires.Equal(q.Expires()) {
		t.Errorf("challenge %+v, %v; want one that ends with the sign-in", ch, err)
	}
}
