package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

func (w *world) tries(userID string) vault.Tries {
	w.Helper()
	s, err := w.vault.View(w.Context(), userID)
	if err != nil {
		w.Fatal(err)
	}
	return s.Tries
}

// wantPaused demands an ErrTooMany that says how long to wait, and nothing else.
func wantPaused(t *testing.T, what string, err error, wait time.Duration) {
	t.Helper()
	var limit *mfa.LimitError
	if !errors.As(err, &limit) || !errors.Is(err, mfa.ErrTooMany) || errors.Is(err, mfa.ErrInvalid) {
		t.Fatalf("%s: %v, want a *LimitError", what, err)
	}
	if limit.RetryAfter != wait {
		t.Errorf("%s: try again in %v, want %v", what, limit.RetryAfter, wait)
	}
}

// one budget for all kinds that are typed, recovery codes too.
func TestKindsShareTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	for i, k := range []mfa.Kind{kindApp, kindCodes, kindApp, kindCodes, kindCodes} {
		_, err := w.pending("alice").Verify(t.Context(), wrong(k))
		wantErr(t, fmt.Sprintf("wrong answer %d", i), err, mfa.ErrInvalid)
	}
	for _, k := range []mfa.Kind{kindApp, kindCodes} {
		_, err := w.pending("alice").Verify(t.Context(), wrong(k))
		wantPaused(t, "a wrong "+string(k), err, vault.FirstPause)
		_, err = w.pending("alice").Verify(t.Context(), p.answer(k))
		wantPaused(t, "a right "+string(k), err, vault.FirstPause)
	}
	t.Run("signed answers neither count nor wait", func(t *testing.T) {
		before := w.tries("alice")
		for range 30 {
			_, err := w.pending("alice").Verify(t.Context(), wrong(kindKey))
			wantErr(t, "a wrong key", err, mfa.ErrInvalid)
		}
		if after := w.tries("alice"); after != before {
			t.Errorf("tries %+v, before %+v", after, before)
		}
		w.verify(w.pending("alice"), p.answer(kindKey))
	})
}

// 100 failures in a row with one kind end it, whatever happened between.
func TestHundredFailuresDisable(t *testing.T) {
	t.Parallel()
	for _, k := range []mfa.Kind{kindApp, kindCodes} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.person("alice", kindApp, kindKey)
			other := kindApp
			if k == kindApp {
				other = kindCodes
			}
			w.guesses("alice", k, 50)
			w.verify(w.pending("alice"), p.answer(kindKey)) // another kind's success
			if err := w.guard.PasswordChanged(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			if err := w.guard.Admin("ops").Unlock(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			w.clock.add(400 * 24 * time.Hour)
			w.guesses("alice", k, 49)
			if n := w.count(w.told(), mfa.EventDisabled); n != 0 {
				t.Fatal("disabled after 99")
			}
			w.guesses("alice", k, 1)
			if n := w.count(w.told(), mfa.EventDisabled); n != 1 {
				t.Fatalf("told %d times of a disabled factor, want once", n)
			}
			w.clock.add(24 * time.Hour)
			right := p.answer(k)
			login, err := w.pending("alice").Verify(t.Context(), right)
			if login != nil || !errors.Is(err, mfa.ErrNotEnrolled) {
				t.Fatalf("the right answer after 100 wrong ones: %v, %v; want ErrNotEnrolled", login, err)
			}
			if err := w.guard.Admin("ops").Unlock(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			_, err = w.pending("alice").Verify(t.Context(), right)
			wantErr(t, "after Unlock", err, mfa.ErrNotEnrolled)
			offers, err := w.pending("alice").Offers(t.Context())
			if err != nil || slices.ContainsFunc(offers, func(o mfa.Offer) bool { return o.Kind == k }) {
				t.Errorf("offers %v, %v", offers, err)
			}
			o, err := w.guard.Admin("ops").Overview(t.Context(), "alice")
			if err != nil || !slices.Contains(o.Advice, mfa.AdviceFactorEnded) {
				t.Errorf("advice %v, %v; want %q among it", o.Advice, err, mfa.AdviceFactorEnded)
			}
			w.verify(w.pending("alice"), p.answer(other)) // another kind is not ended

			p.signIn(kindKey)
			if k == kindCodes {
				if err := p.newCodes(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				p.add(kindApp)
			}
			w.verify(w.pending("alice"), p.answer(k))
			if _, err := w.pending("alice").Verify(t.Context(), right); err == nil {
				t.Error("an answer of the ended factor passed")
			}
		})
	}
	t.Run("a success of the kind begins anew", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		for range 3 {
			w.guesses("alice", kindApp, 60)
			w.clock.add(24 * time.Hour)
			w.verify(w.pending("alice"), p.answer(kindApp))
		}
	})
	t.Run("the only factor", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(w *world) { w.cfg.Methods = []mfa.Method{w.app} })
		w.person("alice", kindApp)
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		w.guesses("alice", kindApp, 100)
		login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword})
		if login != nil || !errors.Is(err, mfa.ErrNoMethod) {
			t.Errorf("Begin: %v, %v; want ErrNoMethod", login, err)
		}
	})
}

// many sign-ins side by side have one budget.
func TestParallelSignInsShareTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp)
	var pending []*mfa.Pending
	for range 50 {
		pending = append(pending, w.pending("alice"))
	}
	var wrongs, refused int
	for _, p := range pending {
		switch _, err := p.Verify(t.Context(), wrong(kindApp)); {
		case errors.Is(err, mfa.ErrTooMany):
			refused++
		case errors.Is(err, mfa.ErrInvalid):
			wrongs++
		default:
			t.Fatal(err)
		}
	}
	if wrongs != 5 || refused != 45 {
		t.Errorf("%d answered and %d refused, want 5 and 45", wrongs, refused)
	}
}

// exactly the limit is answered, however the guesses race and on however
// many instances; what is refused says nothing.
func TestRacingGuessesKeepTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	_, second := w.another(w.cfg)
	guards := []*mfa.Guard{w.guard, second}
	guess := func(n int, answer func(i int) mfa.Answer) (wrongs, refused, odd int32, texts map[string]bool) {
		var pending []*mfa.Pending
		for i := range n {
			q, err := guards[i%2].Resume(w.pending("alice").Token())
			if err != nil {
				t.Fatal(err)
			}
			pending = append(pending, q)
		}
		var a, b, c atomic.Int32
		said := make([]string, n)
		race(n, func(i int) {
			switch login, err := pending[i].Verify(t.Context(), answer(i)); {
			case login == nil && errors.Is(err, mfa.ErrTooMany):
				b.Add(1)
				said[i] = fmt.Sprintf("%T %v", err, err)
			case login == nil && errors.Is(err, mfa.ErrInvalid):
				a.Add(1)
			default:
				c.Add(1)
			}
		})
		texts = map[string]bool{}
		for _, s := range said {
			if s != "" {
				texts[s] = true
			}
		}
		return a.Load(), b.Load(), c.Load(), texts
	}
	if a, b, c, _ := guess(200, func(int) mfa.Answer { return wrong(kindApp) }); a != 5 || b != 195 || c != 0 {
		t.Fatalf("%d wrong, %d refused, %d else; want 5, 195, 0", a, b, c)
	}
	right := p.answer(kindApp)
	a, b, c, texts := guess(40, func(i int) mfa.Answer {
		if i%8 == 3 {
			return right
		}
		return wrong(kindApp)
	})
	if a != 0 || b != 40 || c != 0 || len(texts) != 1 {
		t.Fatalf("among refused ones: %d wrong, %d refused, %d else, texts %v; want 0, 40, 0 and one text", a, b, c, texts)
	}
	w.clock.add(vault.FirstPause)
	w.verify(w.pending("alice"), right)
}

// the password step gives no new tries; a success clears the pause, never
// the day.
func TestPasswordStepGivesNoTries(t *testing.T) {
	t.Parallel()
	t.Run("begin again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		w.guesses("alice", kindApp, 5)
		for _, by := range []mfa.By{mfa.ByPassword, mfa.ByPasswordReset, mfa.ByMagicLink} {
			login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: by})
			if err != nil {
				t.Fatal(err)
			}
			_, err = login.Pending.Verify(t.Context(), p.answer(kindApp))
			wantPaused(t, string(by), err, vault.FirstPause)
		}
		if err := w.guard.PasswordChanged(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		_, err := w.pending("alice").Verify(t.Context(), p.answer(kindApp))
		wantPaused(t, "after a password change", err, vault.FirstPause)
		q := w.pending("alice")
		if err := q.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.tries("alice"); got.Run != 5 || got.Day != 5 {
			t.Errorf("tries %+v, want 5 and 5", got)
		}
	})
	t.Run("success clears the pause, not the day", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		for range 5 {
			w.guesses("alice", kindApp, 4)
			if w.tries("alice").Day == vault.PerDay {
				break
			}
			w.verify(w.pending("alice"), p.answer(kindApp))
			if got := w.tries("alice").Run; got != 0 {
				t.Errorf("a run of %d after a success", got)
			}
		}
		_, err := w.pending("alice").Verify(t.Context(), p.answer(kindApp))
		wantPaused(t, "after twenty in a day", err, 24*time.Hour)
		w.clock.add(24*time.Hour - time.Millisecond)
		_, err = w.pending("alice").Verify(t.Context(), p.answer(kindApp))
		wantPaused(t, "a moment before the day is over", err, time.Millisecond)
		w.clock.add(time.Millisecond)
		w.verify(w.pending("alice"), p.answer(kindApp))
	})
	t.Run("a step-up clears the pause too", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		w.guesses("alice", kindApp, 5)
		w.clock.add(vault.FirstPause)
		login, err := w.guard.StepUp(t.Context(), p.session, mfa.Rule{})
		if err != nil {
			t.Fatal(err)
		}
		w.verify(login.Pending, p.answer(kindApp))
		if got := w.tries("alice"); got.Run != 0 || got.Day != 5 {
			t.Errorf("tries %+v, want a run of 0 and 5 in the day", got)
		}
	})
}

// what is counted is saved: an instance that starts later knows it.
func TestFailuresAreSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	for i := range 5 {
		_, fresh := w.another(w.cfg)
		q, err := fresh.Resume(w.pending("alice").Token())
		if err != nil {
			t.Fatal(err)
		}
		_, err = q.Verify(t.Context(), wrong(kindApp))
		wantErr(t, fmt.Sprintf("failure %d", i), err, mfa.ErrInvalid)
	}
	_, fresh := w.another(w.cfg)
	q, err := fresh.Resume(w.pending("alice").Token())
	if err != nil {
		t.Fatal(err)
	}
	_, err = q.Verify(t.Context(), p.answer(kindApp))
	wantPaused(t, "on a new instance", err, vault.FirstPause)
}

// without the store nothing passes, and nothing is called wrong.
func TestLimitFailsClosed(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*world) context.Context{
		"the store is gone": func(w *world) context.Context {
			w.store.breaks(store.ErrUnavailable)
			return w.Context()
		},
		"an odd error": func(w *world) context.Context {
			w.store.breaks(errors.New("odd"))
			return w.Context()
		},
		"cancelled": func(w *world) context.Context {
			ctx, cancel := context.WithCancel(w.Context())
			cancel()
			return ctx
		},
		"too late": func(w *world) context.Context {
			ctx, cancel := context.WithTimeout(w.Context(), 0)
			w.Cleanup(cancel)
			return ctx
		},
	} {
		for _, cached := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cached %t", name, cached), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				p := w.person("alice", kindApp, kindKey)
				pending := w.pending("alice")
				if !cached {
					_, g := w.another(w.cfg)
					var err error
					if pending, err = g.Resume(pending.Token()); err != nil {
						t.Fatal(err)
					}
				}
				ctx := breaks(w)
				for _, a := range []mfa.Answer{p.answer(kindApp), wrong(kindApp), p.answer(kindKey), p.answer(kindCodes)} {
					if login, err := pending.Verify(ctx, a); login != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
						t.Errorf("%v: %v, %v; want a failure that is no verdict", a, login, err)
					}
				}
				if w.guard.Require(ctx, p.session, mfa.Rule{AllowWithout: true, MaxAge: mfa.AnyAge}) == nil {
					t.Error("Require passed")
				}
				w.store.breaks(nil)
				w.verify(pending, p.answer(kindApp))
			})
		}
	}
}

// the account is counted by its ID, to the byte, whatever else the
// directory says.
func TestLimitIsByUserID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("42", kindApp)
	for i := range 5 {
		w.mu.Lock()
		w.users["42"] = mfa.User{ID: "42", Name: fmt.Sprint("Name ", i), Email: fmt.Sprintf("A%d@Example.com", i), Tenant: fmt.Sprint(i)}
		w.mu.Unlock()
		ctx := mfa.WithClient(t.Context(), mfa.Client{IP: fmt.Sprintf("192.0.2.%d", i), Agent: fmt.Sprint(i)})
		_, err := w.pending("42").Verify(ctx, wrong(kindApp))
		wantErr(t, "a wrong answer", err, mfa.ErrInvalid)
	}
	_, err := w.pending("42").Verify(t.Context(), p.answer(kindApp))
	wantPaused(t, "under five names", err, vault.FirstPause)
	for _, id := range []string{"42 ", "\x0042", "４２", "4", "042"} {
		other := w.person(id, kindApp)
		w.verify(w.pending(id), other.answer(kindApp))
	}
}

// without the first factor nobody can use up the tries of another.
func TestNoTriesWithoutFirstFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice", kindApp)
	mallory := w.person("mallory", kindApp)
	_, saves := w.store.during(func() {
		for range 30 {
			for _, token := range []string{"", "x", alice.session.Token(), mallory.session.Token()} {
				if q, err := w.guard.Resume(token); err == nil {
					t.Errorf("resumed %v", q)
				}
				if q, err := w.guard.ResumeStepUp(w.guard.Session("alice", token), w.pending("mallory").Token()); err == nil {
					t.Errorf("resumed %v", q)
				}
			}
			s := w.guard.Session("alice", mallory.session.Token())
			_, err := w.guard.StepUp(t.Context(), s, mfa.Rule{})
			if missing := wantStepUp(t, "StepUp", err); !missing.First {
				t.Errorf("a foreign session may step up: %+v", missing)
			}
			_, err = w.guard.Settings(s).Confirm(t.Context(), "id", wrong(kindApp))
			wantErr(t, "Confirm", err, mfa.ErrStepUpRequired)
		}
	})
	if saves != 0 {
		t.Errorf("%d saves", saves)
	}
	if got := w.tries("alice"); got != (vault.Tries{}) {
		t.Errorf("tries %+v, want none", got)
	}
	w.verify(w.pending("alice"), alice.answer(kindApp))
}

// every path that checks a typed answer asks the limit first.
func TestLimitOnEveryPath(t *testing.T) {
	t.Parallel()
	t.Run("sign-in and step-up share theirs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		stepUp := func() *mfa.Pending {
			login, err := w.guard.StepUp(t.Context(), p.session, mfa.Rule{})
			if err != nil {
				t.Fatal(err)
			}
			return login.Pending
		}
		for i := range 5 {
			q := w.pending("alice")
			if i%2 == 0 {
				q = stepUp()
			}
			_, err := q.Verify(t.Context(), wrong(kindApp))
			wantErr(t, "a wrong answer", err, mfa.ErrInvalid)
		}
		_, err := stepUp().Verify(t.Context(), p.answer(kindApp))
		wantPaused(t, "step-up", err, vault.FirstPause)
		_, err = w.pending("alice").Verify(t.Context(), p.answer(kindCodes))
		wantPaused(t, "recovery at sign-in", err, vault.FirstPause)
		_, err = stepUp().Verify(t.Context(), p.answer(kindCodes))
		wantPaused(t, "recovery in a step-up", err, vault.FirstPause)
	})
	t.Run("confirming has its own", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		p.signIn(kindApp)
		e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_, err := p.settings().Confirm(t.Context(), e.ID, wrong(kindMail))
			wantErr(t, "a wrong answer", err, mfa.ErrInvalid)
		}
		right := (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindMail)
		_, err = p.settings().Confirm(t.Context(), e.ID, right)
		wantPaused(t, "a right answer", err, vault.FirstPause)
		w.verify(w.pending("alice"), p.answer(kindApp))
		w.clock.add(vault.FirstPause)
		c, err := p.settings().Confirm(t.Context(), e.ID, right)
		if err != nil {
			t.Fatalf("after the pause: %v", err)
		}
		p.session = c.Session
		p.signIn(kindApp)
		if e, err = p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_, err := p.settings().Confirm(t.Context(), e.ID, wrong(kindMail))
			wantErr(t, "a wrong answer after a right one", err, mfa.ErrInvalid)
		}
	})
	t.Run("forced enrolment", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.policy("bob", mfa.Policy{Demand: mfa.Required})
		q := w.pending("bob")
		e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_, err := q.Confirm(t.Context(), e.ID, wrong(kindApp))
			wantErr(t, "a wrong answer", err, mfa.ErrInvalid)
		}
		_, err = w.pending("bob").Confirm(t.Context(), e.ID, wrong(kindApp))
		wantPaused(t, "in another sign-in", err, vault.FirstPause)
	})
	t.Run("a replayed right answer is a try, a malformed one is not", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp)
		used := p.answer(kindApp)
		w.verify(w.pending("alice"), used)
		for range 10 {
			_, err := w.pending("alice").Verify(t.Context(), mfa.Answer{Kind: kindApp, Code: "malformed"})
			wantErr(t, "malformed", err, mfa.ErrInvalid)
		}
		if got := w.tries("alice").Run; got != 0 {
			t.Errorf("%d tries for malformed answers", got)
		}
		_, err := w.pending("alice").Verify(t.Context(), used)
		wantErr(t, "replayed", err, mfa.ErrReplayed)
		if got := w.tries("alice").Run; got != 1 {
			t.Errorf("%d tries for a replayed answer, want 1", got)
		}
	})
}

// the pause doubles from 30 seconds to an hour, and the refused tries in
// it extend nothing.
func TestPauseGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp)
	w.guesses("alice", kindApp, 4)
	want := vault.FirstPause
	for i := range 14 {
		w.guesses("alice", kindApp, 1)
		for range 3 {
			_, saves := w.store.during(func() {
				_, err := w.pending("alice").Verify(t.Context(), wrong(kindApp))
				wantPaused(t, fmt.Sprintf("pause %d", i), err, want)
			})
			if saves != 0 {
				t.Error("a refused try was written")
			}
		}
		w.clock.add(want - time.Millisecond)
		_, err := w.pending("alice").Verify(t.Context(), wrong(kindApp))
		wantPaused(t, "a moment before the end", err, time.Millisecond)
		w.clock.add(time.Millisecond)
		want = min(2*want, vault.LongestPause)
	}
}

// whoever has the password alone can neither fill the record nor keep
// its owner out.
func TestFirstFactorAloneHasBudgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail)
	offer := mfa.Offer{Kind: kindMail, FactorID: p.hands[kindMail].id}
	mine := w.pending("alice") // the owner, before the flood
	if _, err := mine.Challenge(t.Context(), offer); err != nil {
		t.Fatal(err)
	}
	code := mfa.Answer{Kind: kindMail, Code: w.mail.last().code}
	before, err := w.vault.View(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var cancelled, refused, sent int
	_, saves := w.store.during(func() {
		for range 60 {
			q := w.pending("alice")
			if _, err := q.Challenge(t.Context(), offer); err == nil {
				sent++
			}
			_, _ = q.Verify(t.Context(), wrong(kindApp))
			_, _ = q.Verify(t.Context(), mfa.Answer{Kind: kindApp, Code: "malformed"})
			_, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp, Name: "mine"})
			wantErr(t, "Enroll", err, mfa.ErrExpired)
			switch err := q.Cancel(t.Context()); {
			case err == nil:
				cancelled++
			case errors.Is(err, mfa.ErrTooMany):
				refused++
			default:
				t.Fatal(err)
			}
		}
	})
	if cancelled != 10 || refused != 50 {
		t.Errorf("%d cancels and %d refused, want 10 and 50", cancelled, refused)
	}
	if sent != 4 { // of five an hour, one by the owner
		t.Errorf("%d codes were sent, want 4", sent)
	}
	if saves != cancelled+sent+5 {
		t.Errorf("%d saves, want %d", saves, cancelled+sent+5)
	}
	after, err := w.vault.View(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if after.Size-before.Size > 1500 {
		t.Errorf("the record grew from %d to %d bytes", before.Size, after.Size)
	}
	w.clock.add(vault.FirstPause)
	w.verify(mine, code) // neither the token nor the code was evicted
	w.verify(w.pending("alice"), p.answer(kindApp))

	t.Run("forced enrolments", func(t *testing.T) {
		w := newWorld(t)
		w.policy("bob", mfa.Policy{Demand: mfa.Required})
		begun := 0
		for range 50 {
			switch _, err := w.pending("bob").Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); {
			case err == nil:
				begun++
			case !errors.Is(err, mfa.ErrTooMany):
				t.Fatal(err)
			}
		}
		if begun != 20 {
			t.Errorf("%d enrolments were begun in an hour, want 20", begun)
		}
		s, err := w.vault.View(t.Context(), "bob")
		if err != nil || s.Drafts != 3 || s.Size > 2000 {
			t.Errorf("%d drafts in %d bytes, %v; want 3 in under 2000", s.Drafts, s.Size, err)
		}
		w.clock.add(time.Hour)
		if _, err := w.pending("bob").Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}
