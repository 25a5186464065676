package mfa_test

import (
	"context"
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

// changes are all calls that change what a user has, by name. Those that take an
// ID get the app's.
func (p *person) changes(ctx context.Context) map[string]func() error {
	set := p.settings()
	id := "none"
	if h := p.hands[kindApp]; h != nil {
		id = h.id
	}
	return map[string]func() error{
		"Enroll":          func() error { _, err := set.Enroll(ctx, mfa.NewFactor{Kind: kindKey}); return err },
		"Enroll of codes": func() error { _, err := set.Enroll(ctx, mfa.NewFactor{Kind: kindCodes}); return err },
		"Rename":          func() error { return set.Rename(ctx, id, "other") },
		"Remove":          func() error { _, err := set.Remove(ctx, id); return err },
		"RemoveAll":       func() error { _, err := set.RemoveAll(ctx); return err },
		"Check":           func() error { return set.Check(ctx) },
	}
}

// every change wants a second factor within five minutes, by this session.
func TestChangesWantAStepUp(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, p *person) {
		t.Helper()
		_, saves := p.store.during(func() {
			for name, change := range p.changes(t.Context()) {
				missing := wantStepUp(t, name, change())
				if !missing.First && len(missing.Offers) == 0 {
					t.Errorf("%s: %+v says nothing of what would help", name, missing)
				}
				if missing.Rule.MaxAge > 5*time.Minute {
					t.Errorf("%s: within %v", name, missing.Rule.MaxAge)
				}
			}
		})
		if saves != 0 {
			t.Errorf("%d saves", saves)
		}
	}
	t.Run("with the first factor alone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.session = w.guard.Session("alice", w.begun("alice"))
		refused(t, p)
	})
	t.Run("after five minutes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindApp)
		w.clock.add(5*time.Minute + time.Millisecond)
		refused(t, p)
	})
	t.Run("right after enrolling", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		refused(t, w.person("alice", kindApp)) // the confirming answer is no proof
	})
	t.Run("by another session's proof", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		mine := w.guard.Session("alice", w.begun("alice"))
		p.signIn(kindApp)
		p.session = mine
		refused(t, p)
	})
	t.Run("by what the policy refuses", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice", kindApp, kindKey)
		p.signIn(kindApp)
		w.policy("alice", mfa.Policy{Rule: mfa.Rule{PhishingResistant: true, MaxAge: mfa.AnyAge, AllowWithout: true}})
		refused(t, p)
	})
	for _, k := range []mfa.Kind{kindApp, kindKey, kindCodes} {
		t.Run("allowed by "+string(k), func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"Enroll", "Enroll of codes", "Rename", "Remove", "RemoveAll", "Check"} {
				w := newWorld(t)
				p := w.person("alice", kindApp, kindKey)
				p.session = w.guard.Session("alice", w.begun("alice"))
				missing := wantStepUp(t, name, p.changes(t.Context())[name]())
				p.session = w.verify(p.stepUp(missing.Rule), p.answer(k)).Session
				w.clock.add(5 * time.Minute)
				w.forget()
				if err := p.changes(t.Context())[name](); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				alarm := w.count(w.told(), mfa.EventRecoveryChange)
				if want := k == kindCodes && name != "Check"; want != (alarm == 1) {
					t.Errorf("%s by %s: told %d times of a change by recovery code", name, k, alarm)
				}
			}
		})
	}
	t.Run("with nothing set up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.person("alice")
		w.clock.add(5 * time.Minute)
		if _, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); err != nil {
			t.Errorf("within five minutes of the first factor: %v", err)
		}
		w.clock.add(time.Millisecond)
		_, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if missing := wantStepUp(t, "later", err); !missing.First {
			t.Errorf("%+v, want the first factor again", missing)
		}
	})
}

// a sign-in under way changes nothing of what is there, and a forced one
// enrols the first factor only.
func TestPendingChangesNothing(t *testing.T) {
	t.Parallel()
	t.Run("a factor is there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		q := w.pending("alice")
		e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if err != nil {
			t.Fatal(err)
		}
		h := &hand{id: e.ID, secret: e.Secret.Reveal(), typed: true}
		if _, err := q.Confirm(t.Context(), e.ID, h.next(kindApp)); err != nil {
			t.Fatal(err)
		}
		later := w.pending("alice")
		s := w.guard.Session("alice", later.Token())
		p := &person{world: w, id: "alice", session: s, hands: map[mfa.Kind]*hand{kindApp: h}}
		_, saves := w.store.during(func() {
			for _, k := range []mfa.Kind{kindApp, kindKey, kindMail, kindCodes} {
				for name, pending := range map[string]*mfa.Pending{"spent": q, "new": later} {
					if e, err := pending.Enroll(t.Context(), mfa.NewFactor{Kind: k}); e != nil || err == nil {
						t.Errorf("%s pending: Enroll %s: %v, %v", name, k, e, err)
					}
				}
			}
			for name, change := range p.changes(t.Context()) {
				wantStepUp(t, name+" by a pending token", change())
			}
		})
		if saves != 0 {
			t.Errorf("%d saves", saves)
		}
	})
	t.Run("two tabs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		one, two := w.pending("alice"), w.pending("alice")
		var es []*mfa.Enrollment
		for _, q := range []*mfa.Pending{one, two} {
			e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			if err != nil {
				t.Fatal(err)
			}
			es = append(es, e)
		}
		answer := func(e *mfa.Enrollment) mfa.Answer {
			return (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp)
		}
		_, err := one.Confirm(t.Context(), es[1].ID, answer(es[1]))
		wantErr(t, "the other tab's enrolment", err, mfa.ErrExpired)
		login, err := one.Confirm(t.Context(), es[0].ID, answer(es[0]))
		if err != nil || login.Session == nil || len(login.BackupCodes) != codesInSet {
			t.Fatalf("%v, %v; want a Session and codes", login, err)
		}
		if got := login.Session.Proofs(); len(got) != 0 {
			t.Errorf("proofs %v, want the first factor's alone", got)
		}
		wantStepUp(t, "Require", w.guard.Require(t.Context(), login.Session, anyAge))
		_, err = two.Confirm(t.Context(), es[1].ID, answer(es[1]))
		wantErr(t, "the second tab, after the first", err, mfa.ErrExpired)
		o, err := w.guard.Admin("ops").Overview(t.Context(), "alice")
		if err != nil || len(o.Factors) != 2 {
			t.Errorf("factors %v, %v; want one app and codes", o.Factors, err)
		}
	})
	t.Run("both tabs at once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		_, other := w.another(w.cfg)
		var confirm []func() (*mfa.Login, error)
		for i := range 3 {
			g := w.guard
			if i == 1 {
				g = other
			}
			q, err := g.Resume(w.pending("alice").Token())
			if err != nil {
				t.Fatal(err)
			}
			e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			if err != nil {
				t.Fatal(err)
			}
			a := (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp)
			confirm = append(confirm, func() (*mfa.Login, error) { return q.Confirm(t.Context(), e.ID, a) })
		}
		var in atomic.Int32
		race(len(confirm), func(i int) {
			switch login, err := confirm[i](); {
			case err == nil && login.Session != nil:
				in.Add(1)
			case !errors.Is(err, mfa.ErrExpired):
				t.Errorf("%v, %v", login, err)
			}
		})
		if in.Load() != 1 {
			t.Errorf("%d forced enrolments completed, want 1", in.Load())
		}
	})
	t.Run("only a factor that is confirmed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		q := w.pending("alice")
		_, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindCodes})
		wantErr(t, "recovery codes", err, mfa.ErrArgument)
		_, err = q.Enroll(t.Context(), mfa.NewFactor{Kind: "none"})
		wantErr(t, "an unknown kind", err, mfa.ErrArgument)
		w.app.enroll = func(_ context.Context, s *vault.Scope, _ mfa.EnrollRequest) (*mfa.Enrollment, error) {
			f, err := s.Add(vault.Factor{Data: make([]byte, 8)})
			if err != nil {
				return nil, err
			}
			return &mfa.Enrollment{ID: f.ID, Kind: kindApp, Active: true}, nil
		}
		if e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); e != nil || err == nil {
			t.Errorf("an app that counts at once: %v, %v", e, err)
		}
		_, err = q.Verify(t.Context(), wrong(kindApp))
		wantErr(t, "Verify", err, mfa.ErrNotEnrolled)
		offers, err := q.Offers(t.Context())
		if err != nil || len(offers) != 3 {
			t.Errorf("offers %v, %v; want the three that can be enrolled", offers, err)
		}
	})
}

// an ID of somebody else's factor is as unknown as one of nobody's, and
// does nothing.
func TestForeignFactorIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, mallory := w.person("alice", kindApp, kindKey), w.person("mallory", kindApp, kindKey)
	mallory.signIn(kindApp)
	set := mallory.settings()
	texts := map[string]bool{}
	_, saves := w.store.during(func() {
		for _, id := range []string{alice.hands[kindApp].id, alice.hands[kindKey].id, "nobody's", "", strings.ToUpper(mallory.hands[kindKey].id)} {
			c, err := set.Remove(t.Context(), id)
			if c != nil || !errors.Is(err, mfa.ErrNotFound) {
				t.Errorf("Remove(%q): %v, %v; want ErrNotFound", id, c, err)
			}
			err2 := set.Rename(t.Context(), id, "mine")
			wantErr(t, "Rename", err2, mfa.ErrNotFound)
			texts[fmt.Sprint(err, err2)] = true
		}
	})
	if saves != 0 || len(texts) != 1 {
		t.Errorf("%d saves, texts %v; want none and one text", saves, texts)
	}
	w.verify(w.pending("alice"), alice.answer(kindApp))
	w.verify(w.pending("alice"), alice.answer(kindKey))
}

// an enrolment is finished by who began it, and by nobody else.
func TestEnrolmentBelongsToItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, mallory := w.person("alice"), w.person("mallory")
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if err != nil {
		t.Fatal(err)
	}
	if e.ID == "" || e.Secret == "" || e.Active {
		t.Errorf("enrolment %v has no ID or secret, or counts already", e)
	}
	right := (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp)

	t.Run("another user", func(t *testing.T) {
		_, err := mallory.settings().Confirm(t.Context(), e.ID, right)
		wantErr(t, "Confirm", err, mfa.ErrRejected)
	})
	t.Run("another session", func(t *testing.T) {
		other := w.begin("alice").Session
		_, err := w.guard.Settings(other).Confirm(t.Context(), e.ID, right)
		wantErr(t, "Confirm", err, mfa.ErrExpired)
	})
	t.Run("no session", func(t *testing.T) {
		_, err := w.guard.Settings(w.guard.Session("alice", "")).Confirm(t.Context(), e.ID, right)
		wantStepUp(t, "Confirm", err)
		_, err = w.guard.Settings(w.guard.Session("alice", "")).Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		wantStepUp(t, "Enroll", err)
		_, err = w.guard.Settings(w.guard.Session("alice", mallory.session.Token())).Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		wantStepUp(t, "Enroll", err)
	})
	t.Run("a sign-in", func(t *testing.T) {
		w.policy("alice", mfa.Policy{Demand: mfa.Required})
		defer w.policy("alice", mfa.Policy{})
		_, err := w.pending("alice").Confirm(t.Context(), e.ID, right)
		wantErr(t, "Confirm", err, mfa.ErrExpired)
	})
	t.Run("another kind, another ID", func(t *testing.T) {
		_, err := p.settings().Confirm(t.Context(), e.ID, mfa.Answer{Kind: kindMail, Code: right.Code})
		wantErr(t, "another kind", err, mfa.ErrExpired)
		for _, id := range []string{"", "x", e.ID + " ", strings.ToUpper(e.ID)} {
			_, err = p.settings().Confirm(t.Context(), id, right)
			wantErr(t, fmt.Sprintf("ID %q", id), err, mfa.ErrExpired)
		}
		_, err = p.settings().Confirm(t.Context(), e.ID, mfa.Answer{Kind: kindCodes, Code: right.Code})
		wantErr(t, "a kind that confirms nothing", err, mfa.ErrArgument)
	})
	t.Run("a second tab voids nothing", func(t *testing.T) {
		e2, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if err != nil || e2.ID == e.ID || e2.Secret == e.Secret {
			t.Fatalf("%v, %v; want another enrolment", e2, err)
		}
		if _, err := p.settings().Confirm(t.Context(), e2.ID, right); !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("the other tab's answer: %v, want ErrInvalid", err)
		}
		c, err := p.settings().Confirm(t.Context(), e.ID, right)
		if err != nil || c.Factor.ID != e.ID {
			t.Fatalf("%v, %v", c, err)
		}
		_, err = p.settings().Confirm(t.Context(), e.ID, right)
		wantStepUp(t, "again, by the session as it was", err)
		_, err = w.guard.Settings(c.Session).Confirm(t.Context(), e.ID, right)
		wantErr(t, "again", err, mfa.ErrExpired)
	})
	t.Run("ten minutes", func(t *testing.T) {
		bob := w.person("bob")
		e, err := bob.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if err != nil {
			t.Fatal(err)
		}
		w.clock.add(10 * time.Minute)
		_, err = bob.settings().Confirm(t.Context(), e.ID, (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp))
		wantErr(t, "Confirm", err, mfa.ErrExpired)
	})
}

// what is not confirmed neither satisfies nor triggers anything, and the
// confirming answer signs nobody in.
func TestUnconfirmedIsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice")
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{secret: e.Secret.Reveal(), typed: true}
	if login := w.begin("alice"); login.Session == nil || login.Skipped != mfa.SkippedNothingSetUp {
		t.Error("an unconfirmed enrolment is asked for")
	}
	o, err := p.settings().Overview(t.Context())
	if err != nil || o.Enabled() || len(o.Factors) != 0 {
		t.Errorf("overview %+v, %v", o, err)
	}
	_, err = p.settings().Remove(t.Context(), e.ID)
	wantErr(t, "removing it", err, mfa.ErrNotFound)
	wantStepUp(t, "Require", w.guard.Require(t.Context(), p.session, anyAge))

	t.Run("while another is active", func(t *testing.T) {
		bob := w.person("bob", kindKey)
		bob.signIn(kindKey)
		e, err := bob.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.pending("bob").Verify(t.Context(), (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp))
		wantErr(t, "a sign-in by the unconfirmed one", err, mfa.ErrNotEnrolled)
		_, err = bob.stepUp(mfa.Rule{Not: []mfa.Kind{kindKey}}).Verify(t.Context(), (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp))
		wantErr(t, "a step-up by the unconfirmed one", err, mfa.ErrNotEnrolled)
	})
	t.Run("the confirming answer", func(t *testing.T) {
		a := h.next(kindApp)
		if _, err := p.settings().Confirm(t.Context(), e.ID, a); err != nil {
			t.Fatal(err)
		}
		_, err := w.pending("alice").Verify(t.Context(), a)
		wantErr(t, "signing in with it", err, mfa.ErrReplayed)
		w.verify(w.pending("alice"), h.next(kindApp))
	})
	t.Run("a plug-in that confirms nothing", func(t *testing.T) {
		for name, confirm := range map[string]func(*vault.Scope, string) (*vault.Factor, error){
			"nothing":       func(*vault.Scope, string) (*vault.Factor, error) { return nil, nil },
			"the draft":     func(s *vault.Scope, id string) (*vault.Factor, error) { return s.Drafted(id), nil },
			"an own factor": func(*vault.Scope, string) (*vault.Factor, error) { return &vault.Factor{ID: "x"}, nil },
			"an odd error":  func(*vault.Scope, string) (*vault.Factor, error) { return nil, errors.New("odd") },
			"too much, late": func(s *vault.Scope, id string) (*vault.Factor, error) {
				f, _ := s.Activate(id)
				return f, errors.New("odd")
			},
		} {
			w := newWorld(t)
			w.policy("carol", mfa.Policy{Demand: mfa.Required})
			q := w.pending("carol")
			e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			if err != nil {
				t.Fatal(err)
			}
			w.app.confirm = func(_ context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
				return confirm(s, r.EnrollmentID)
			}
			login, err := q.Confirm(t.Context(), e.ID, (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp))
			if login != nil || err == nil || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%s: %v, %v; want a failure", name, login, err)
			}
			if !w.pending("carol").MustEnroll() {
				t.Errorf("%s: something is set up", name)
			}
		}
	})
}

// while an enrolment is under way what is active goes on; once a
// factor is removed or replaced nothing of it verifies, an empty answer neither.
func TestReplacedFactorIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	old := *p.hands[kindApp]
	p.signIn(kindKey)
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if err != nil {
		t.Fatal(err)
	}
	w.verify(w.pending("alice"), old.next(kindApp)) // still good
	h := &hand{id: e.ID, secret: e.Secret.Reveal(), typed: true}
	c, err := p.settings().Confirm(t.Context(), e.ID, h.next(kindApp))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.BackupCodes) != 0 {
		t.Error("new recovery codes with a factor that is not the first")
	}
	w.verify(w.pending("alice"), old.next(kindApp)) // several are fine
	p.session = c.Session
	p.signIn(kindKey)
	if err := p.remove(t.Context(), kindApp); err != nil {
		t.Fatal(err)
	}
	w.verify(w.pending("alice"), h.next(kindApp))
	for _, a := range []mfa.Answer{old.next(kindApp), old.answer(kindApp, 1), {Kind: kindApp, Code: "-5"}, {Kind: kindApp}} {
		_, err := w.pending("alice").Verify(t.Context(), a)
		wantErr(t, "an answer of the old one", err, mfa.ErrInvalid)
	}
	t.Run("the last of a kind", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("bob", kindApp, kindKey)
		p.signIn(kindKey)
		if err := p.remove(t.Context(), kindApp); err != nil {
			t.Fatal(err)
		}
		for _, a := range []mfa.Answer{p.answer(kindApp), {Kind: kindApp}, {Kind: kindApp, Code: "-5"}} {
			_, err := w.pending("bob").Verify(t.Context(), a)
			wantErr(t, "an answer of the removed one", err, mfa.ErrNotEnrolled)
		}
	})
}

// recovery codes come with the first factor and go with the last.
func TestCodesComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice")
	_, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindCodes})
	wantErr(t, "codes with nothing set up", err, mfa.ErrNotEnrolled)
	if o, err := p.settings().Overview(t.Context()); err != nil || slices.Contains(o.Available, kindCodes) {
		t.Errorf("available %v, %v", o.Available, err)
	}
	p.add(kindApp)
	if len(p.codes) != codesInSet {
		t.Fatalf("%d codes with the first factor", len(p.codes))
	}
	p.signIn(kindCodes)
	_, err = p.settings().Remove(t.Context(), p.hands[kindApp].id)
	wantErr(t, "removing the last factor", err, mfa.ErrLastFactor)
	w.verify(w.pending("alice"), p.answer(kindApp)) // nothing was removed
	if err := p.removeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := p.settings().Overview(t.Context())
	if err != nil || o.Enabled() || o.BackupLeft != 0 {
		t.Errorf("after RemoveAll: %+v, %v", o, err)
	}
	if login := w.begin("alice"); login.Session == nil || login.BackupLeft != 0 {
		t.Error("still asked for something")
	}
	t.Run("the old ones stay dead", func(t *testing.T) {
		old := p.answer(kindCodes)
		p.session = w.begin("alice").Session
		p.add(kindApp)
		_, err := w.pending("alice").Verify(t.Context(), old)
		wantErr(t, "a code from before", err, mfa.ErrInvalid)
	})
	t.Run("not where the only factor was disabled", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("bob", kindApp)
		w.guesses("bob", kindApp, 100)
		w.clock.add(24 * time.Hour)
		p.signIn(kindCodes)
		_, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindCodes})
		wantErr(t, "new codes", err, mfa.ErrNotEnrolled)
		_, err = p.settings().Remove(t.Context(), p.hands[kindApp].id)
		wantErr(t, "removing the disabled app, which leaves codes alone", err, mfa.ErrLastFactor)
	})
}

// a new set of codes ends the old one in the same save, behind a step-up,
// and the user is told.
func TestNewCodesEndTheOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	p.signIn(kindApp)
	old := p.answer(kindCodes)
	w.forget()
	_, saves := w.store.during(func() {
		if err := p.newCodes(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if saves != 1 || len(p.codes) != codesInSet {
		t.Errorf("%d saves, %d codes; want 1 and %d", saves, len(p.codes), codesInSet)
	}
	if w.count(w.told(), mfa.EventCodesMade) != 1 {
		t.Errorf("told %v", w.told())
	}
	_, err := w.pending("alice").Verify(t.Context(), old)
	wantErr(t, "an old code", err, mfa.ErrInvalid)
	w.verify(w.pending("alice"), p.answer(kindCodes))
	if err := w.guard.Require(t.Context(), p.session, mfa.Rule{}); err != nil {
		t.Errorf("the session at hand: %v", err)
	}
}

// A set takes as long to hash as all of its codes, so nobody gets sets without
// end; the last one stays good, and the first factor anew still brings one.
func TestNewCodesHaveABudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	p.signIn(kindApp)
	for i := range 10 {
		if err := p.newCodes(t.Context()); err != nil {
			t.Fatalf("set %d: %v", i, err)
		}
	}
	_, saves := w.store.during(func() {
		for range 5 {
			wantPaused(t, "one set more", p.newCodes(t.Context()), time.Hour)
		}
	})
	if saves != 0 {
		t.Errorf("%d saves by what was refused", saves)
	}
	w.verify(w.pending("alice"), p.answer(kindCodes))
	if err := p.removeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.add(kindApp)
	w.clock.add(time.Hour)
	p.signIn(kindApp)
	if err := p.newCodes(t.Context()); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// several factors, removed one by one; the last only by RemoveAll, and
// not where the policy demands one.
func TestLastFactorHasItsOwnCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey, kindMail)
	p.signIn(kindKey)
	for _, k := range []mfa.Kind{kindMail, kindApp} {
		if err := p.remove(t.Context(), k); err != nil {
			t.Fatalf("removing %s: %v", k, err)
		}
		if err := w.guard.Require(t.Context(), p.session, mfa.Rule{}); err != nil {
			t.Errorf("the session that it renewed: %v", err)
		}
	}
	_, err := p.settings().Remove(t.Context(), p.hands[kindKey].id)
	wantErr(t, "the last one", err, mfa.ErrLastFactor)
	w.policy("alice", mfa.Policy{Demand: mfa.Required})
	_, err = p.settings().RemoveAll(t.Context())
	wantErr(t, "RemoveAll where one is required", err, mfa.ErrRequired)
	_, err = p.settings().Remove(t.Context(), p.hands[kindKey].id)
	wantErr(t, "Remove where one is required", err, mfa.ErrLastFactor)
	w.verify(w.pending("alice"), p.answer(kindKey))
	w.policy("alice", mfa.Policy{Demand: mfa.Required, From: w.clock.Now().Add(time.Hour)})
	if err := p.removeAll(t.Context()); err != nil {
		t.Fatalf("RemoveAll in the time of grace: %v", err)
	}
	_, err = p.settings().RemoveAll(t.Context())
	wantErr(t, "RemoveAll of nothing", err, mfa.ErrNotFound)

	t.Run("a disabled one is no way around", func(t *testing.T) {
		w := newWorld(t)
		w.policy("bob", mfa.Policy{Demand: mfa.Optional})
		p := w.person("bob", kindApp)
		w.policy("bob", mfa.Policy{Demand: mfa.Required})
		w.guesses("bob", kindApp, 100)
		w.clock.add(24 * time.Hour)
		p.signIn(kindCodes)
		for _, f := range func() []mfa.FactorInfo {
			o, err := p.settings().Overview(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return o.Factors
		}() {
			_, err := p.settings().Remove(t.Context(), f.ID)
			wantErr(t, "Remove of "+string(f.Kind), err, mfa.ErrLastFactor)
		}
		if w.pending("bob").MustEnroll() {
			t.Error("everything is gone")
		}
	})
}

// Names are bounded, printable text; nothing is stored of what is not.
func TestNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	p.signIn(kindApp)
	for _, name := range []string{"", "Phone", "My phone", strings.Repeat("n", 64), strings.Repeat("é", 32), "電話", "a<b>&'\""} {
		if err := p.settings().Rename(t.Context(), p.hands[kindApp].id, name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		o, err := p.settings().Overview(t.Context())
		if err != nil || o.Factors[0].Name != name {
			t.Errorf("%q was kept as %q, %v", name, o.Factors[0].Name, err)
		}
	}
	loads, saves := w.store.during(func() {
		for _, name := range []string{
			strings.Repeat("n", 65), strings.Repeat("é", 33), "a\nb", "a\x00b", "\x7f", "a\u202eb", "\xff\xfe", "a\u00a0b", "\u2028", "\ufeff",
		} {
			wantErr(t, fmt.Sprintf("Rename to %q", name), p.settings().Rename(t.Context(), p.hands[kindApp].id, name), mfa.ErrArgument)
			_, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindKey, Name: name})
			wantErr(t, fmt.Sprintf("Enroll as %q", name), err, mfa.ErrArgument)
		}
	})
	if loads != 0 || saves != 0 {
		t.Errorf("%d loads and %d saves for names that cannot be", loads, saves)
	}
	t.Run("the same name is no change", func(t *testing.T) {
		if err := p.settings().Rename(t.Context(), p.hands[kindApp].id, "same"); err != nil {
			t.Fatal(err)
		}
		w.forget()
		_, saves := w.store.during(func() {
			if err := p.settings().Rename(t.Context(), p.hands[kindApp].id, "same"); err != nil {
				t.Fatal(err)
			}
		})
		if saves != 0 || len(w.told()) != 0 {
			t.Errorf("%d saves, told %v", saves, w.told())
		}
	})
}

// A plug-in's enrolment that is no answer fails, and so does one whose recovery
// codes cannot be made: then the factor is not active either.
func TestEnrolmentFailsClosed(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	for name, c := range map[string]struct {
		enroll func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error)
		want   error
	}{
		"neither":      {func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) { return nil, nil }, nil},
		"an odd error": {func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) { return nil, odd }, odd},
		"a rejection": {func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) {
			return nil, mfa.ErrInvalid
		}, nil},
		"not active": {func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) {
			return &mfa.Enrollment{}, nil
		}, nil},
		"a limit of itself": {func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) {
			return nil, &mfa.LimitError{RetryAfter: 1}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.person("alice")
			e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			if err != nil {
				t.Fatal(err)
			}
			a := (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp)
			w.codes.enroll = c.enroll
			ch, err := p.settings().Confirm(t.Context(), e.ID, a)
			if ch != nil || err == nil || errors.Is(err, mfa.ErrRejected) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Confirm: %v, %v; want a failure that is no verdict", ch, err)
			}
			if login := w.begin("alice"); login.Session == nil {
				t.Error("the factor is active, and its codes were never shown")
			}
			w.codes.enroll = nil
			if _, err := p.settings().Confirm(t.Context(), e.ID, a); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
	t.Run("of the factor itself", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("alice")
		for _, result := range []*mfa.Enrollment{nil} {
			w.app.enroll = func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) { return result, nil }
			if e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); e != nil || err == nil {
				t.Errorf("%v, %v; want a failure", e, err)
			}
		}
		w.app.enroll = nil
		for _, n := range []mfa.NewFactor{{}, {Kind: "none"}, {Kind: "App"}} {
			_, err := p.settings().Enroll(t.Context(), n)
			wantErr(t, fmt.Sprintf("kind %q", n.Kind), err, mfa.ErrArgument)
		}
	})
}

// Each new name is a notice, so there are only so many of them: nobody fills a
// mailbox with words of his own.
func TestRenamesHaveABudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	p.signIn(kindApp)
	w.forget()
	id := p.hands[kindApp].id
	for i := range 20 {
		if err := p.settings().Rename(t.Context(), id, fmt.Sprint(i)); err != nil {
			t.Fatalf("name %d: %v", i+1, err)
		}
	}
	_, saves := w.store.during(func() {
		for _, f := range []string{id, p.hands[kindKey].id} { // one budget for all
			err := p.settings().Rename(t.Context(), f, "one more")
			var limit *mfa.LimitError
			if !errors.As(err, &limit) || !errors.Is(err, mfa.ErrTooMany) || limit.RetryAfter != time.Hour {
				t.Errorf("the 21st in an hour: %v", err)
			}
		}
		if err := p.settings().Rename(t.Context(), id, "19"); err != nil {
			t.Errorf("the name that it has: %v", err)
		}
	})
	o, err := w.guard.Admin("ops").Overview(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.Factors {
		if f.Name == "one more" {
			t.Error("it was renamed")
		}
	}
	if told := w.count(w.told(), mfa.EventFactorRenamed); told != 20 || saves != 0 {
		t.Errorf("%d notices, %d saves past the budget", told, saves)
	}
	w.clock.add(time.Hour)
	p.signIn(kindApp)
	if err := p.settings().Rename(t.Context(), id, "one more"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
