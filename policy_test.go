package mfa_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

func (p *person) overview() *mfa.Overview {
	p.Helper()
	o, err := p.settings().Overview(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return o
}

// S2: the application recommends to some and demands of others, and asks its
// directory in every call.
func TestDemandOfThePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice")
	for _, c := range []struct {
		name   string
		policy mfa.Policy
		enroll bool
		advice []mfa.Advice
	}{
		{"optional", mfa.Policy{}, false, nil},
		{"recommended", mfa.Policy{Demand: mfa.Recommended}, false, []mfa.Advice{mfa.AdviceRecommended}},
		{"required", mfa.Policy{Demand: mfa.Required}, true, []mfa.Advice{mfa.AdviceRequired}},
		{"required from tomorrow", mfa.Policy{Demand: mfa.Required, From: start.Add(24 * time.Hour)}, false, []mfa.Advice{mfa.AdviceRequired}},
		{"required from now", mfa.Policy{Demand: mfa.Required, From: start}, true, []mfa.Advice{mfa.AdviceRequired}},
		{"required since yesterday", mfa.Policy{Demand: mfa.Required, From: start.Add(-24 * time.Hour)}, true, []mfa.Advice{mfa.AdviceRequired}},
		{"exempt nowhere", mfa.Policy{Demand: mfa.Exempt}, false, nil},
	} {
		w.policy("alice", c.policy)
		login := w.begin("alice")
		if got := login.Pending != nil && login.Pending.MustEnroll(); got != c.enroll {
			t.Errorf("%s: must enrol %t, want %t", c.name, got, c.enroll)
		}
		if login.Session != nil && login.Skipped != mfa.SkippedNothingSetUp {
			t.Errorf("%s: skipped %q", c.name, login.Skipped)
		}
		if got := p.overview().Advice; !slices.Equal(got, c.advice) {
			t.Errorf("%s: advice %v, want %v", c.name, got, c.advice)
		}
	}
	t.Run("a demand with nothing to enrol", func(t *testing.T) {
		w.policy("alice", mfa.Policy{Demand: mfa.Required, Offer: []mfa.Kind{}})
		login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword})
		if login != nil || !errors.Is(err, mfa.ErrNoMethod) {
			t.Errorf("%v, %v; want ErrNoMethod", login, err)
		}
	})
	t.Run("the whole way", func(t *testing.T) {
		w := newWorld(t)
		w.policy("bob", mfa.Policy{Demand: mfa.Required})
		q := w.pending("bob")
		q = w.resume(q.Token())
		e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp, Name: "phone"})
		if err != nil {
			t.Fatal(err)
		}
		h := &hand{id: e.ID, secret: e.Secret.Reveal(), typed: true}
		_, err = q.Verify(t.Context(), h.next(kindApp))
		wantErr(t, "Verify in place of Confirm", err, mfa.ErrNotEnrolled)
		login, err := q.Confirm(t.Context(), e.ID, h.next(kindApp))
		if err != nil || login.Session == nil || len(login.BackupCodes) != codesInSet || login.BackupLeft != codesInSet {
			t.Fatalf("%v, %v; want a Session and codes", login, err)
		}
		_, err = q.Confirm(t.Context(), e.ID, h.next(kindApp))
		wantErr(t, "Confirm once more", err, mfa.ErrExpired)
		w.verify(w.pending("bob"), h.next(kindApp))
	})
}

// What the policy's rule would refuse is neither enrolled nor offered, so that
// nobody enrols what cannot sign in.
func TestPolicyRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("alice", mfa.Policy{Demand: mfa.Required, Rule: mfa.Rule{PhishingResistant: true}})
	q := w.pending("alice")
	offers, err := q.Offers(t.Context())
	if err != nil || len(offers) != 1 || offers[0].Kind != kindKey {
		t.Errorf("to enrol: %v, %v; want the key alone", offers, err)
	}
	_, err = q.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	wantErr(t, "enrolling an app", err, mfa.ErrNoMethod)
	e, err := q.Enroll(t.Context(), mfa.NewFactor{Kind: kindKey})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{id: e.ID, secret: e.Secret.Reveal()}
	login, err := q.Confirm(t.Context(), e.ID, h.next(kindKey))
	if err != nil {
		t.Fatal(err)
	}
	p := &person{world: w, id: "alice", session: login.Session, hands: map[mfa.Kind]*hand{kindKey: h}}
	for _, c := range login.BackupCodes {
		p.codes = append(p.codes, c.Reveal())
	}
	if got := p.overview().Available; slices.Contains(got, kindApp) || !slices.Contains(got, kindKey) {
		t.Errorf("available %v", got)
	}
	_, err = w.pending("alice").Verify(t.Context(), p.answer(kindCodes))
	wantErr(t, "a recovery code", err, mfa.ErrInvalid)
	w.verify(w.pending("alice"), p.answer(kindKey))

	t.Run("it changes between Begin and Verify", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("bob", kindApp, kindKey)
		q := w.pending("bob")
		w.policy("bob", mfa.Policy{Rule: mfa.Rule{Not: []mfa.Kind{kindApp}}})
		_, err := q.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "what is refused by now", err, mfa.ErrInvalid)
		_, err = q.Challenge(t.Context(), mfa.Offer{Kind: kindApp})
		wantErr(t, "a challenge of it", err, mfa.ErrArgument)
		w.verify(q, p.answer(kindKey))
	})
	t.Run("it leaves nothing", func(t *testing.T) {
		w := newWorld(t)
		p := w.person("carol", kindApp)
		q := w.pending("carol")
		w.policy("carol", mfa.Policy{Demand: mfa.Required, Rule: mfa.Rule{PhishingResistant: true}})
		login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "carol", By: mfa.ByPassword})
		if login != nil || !errors.Is(err, mfa.ErrNoMethod) {
			t.Errorf("Begin: %v, %v; want ErrNoMethod", login, err)
		}
		_, err = q.Offers(t.Context())
		wantErr(t, "Offers", err, mfa.ErrNoMethod)
		_, err = q.Verify(t.Context(), p.answer(kindApp))
		wantErr(t, "Verify", err, mfa.ErrInvalid)
	})
}

// S11: what is on offer depends on the user, until the moment it counts.
func TestPolicyOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("alice", mfa.Policy{Offer: []mfa.Kind{kindApp}})
	p := w.person("alice")
	if got := p.overview().Available; !slices.Equal(got, []mfa.Kind{kindApp}) {
		t.Errorf("available %v, want the app", got)
	}
	_, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindKey})
	wantErr(t, "what is not on offer", err, mfa.ErrNoMethod)
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if err != nil {
		t.Fatal(err)
	}
	a := (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindApp)
	w.policy("alice", mfa.Policy{Offer: []mfa.Kind{kindKey}})
	_, err = p.settings().Confirm(t.Context(), e.ID, a)
	wantErr(t, "what is not on offer any more", err, mfa.ErrNoMethod)
	w.policy("alice", mfa.Policy{})
	if _, err = p.settings().Confirm(t.Context(), e.ID, a); err != nil {
		t.Error(err)
	}
	t.Run("by availability", func(t *testing.T) {
		odd := errors.New("no mail server")
		w := newWorld(t, func(w *world) {
			w.cfg.Methods = []mfa.Method{w.key, &conditional{w.app, func(u mfa.User) error {
				if u.ID == "poor" {
					return odd
				}
				return nil
			}}}
		})
		if got := w.person("poor").overview().Available; !slices.Equal(got, []mfa.Kind{kindKey}) {
			t.Errorf("available %v, want the key", got)
		}
		_, err := w.person("poor").settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		wantErr(t, "Enroll", err, mfa.ErrNoMethod)
		wantErr(t, "the reason, for the developer", err, odd)
		w.person("rich", kindApp)
	})
}

// S10: an exempt account passes by the first factors that were named for it, and
// nowhere else: no page, no change, no rule.
func TestExemptAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	exempt := mfa.Policy{Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByAPIKey}}
	api := mfa.FirstFactor{UserID: "robot", By: mfa.ByAPIKey}

	for _, enrolled := range []bool{false, true} {
		w.policy("robot", mfa.Policy{})
		if enrolled {
			w.person("robot", kindApp)
		}
		w.policy("robot", exempt)
		login, err := w.guard.Begin(t.Context(), api)
		if err != nil || login.Session == nil || login.Skipped != mfa.SkippedExempt {
			t.Fatalf("enrolled %t: %v, %v; want a Session, skipped as exempt", enrolled, login, err)
		}
		s := w.guard.Session("robot", login.Session.Token())
		for name, r := range map[string]mfa.Rule{"zero": {}, "any age": anyAge, "without": {AllowWithout: true}, "weakest": {AllowWithout: true, MaxAge: mfa.AnyAge}} {
			missing := wantStepUp(t, name, w.guard.Require(t.Context(), s, r))
			if !enrolled && !missing.First {
				t.Errorf("%s: %+v, want the first factor of a page", name, missing)
			}
		}
		set := w.guard.Settings(s)
		_, err = set.Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
		wantStepUp(t, "Enroll", err)
		_, err = set.RemoveAll(t.Context())
		wantStepUp(t, "RemoveAll", err)
		if len(s.Proofs()) != 0 {
			t.Error("it proves something")
		}

		page := w.begin("robot")
		if enrolled == (page.Session != nil) || page.Skipped == mfa.SkippedExempt {
			t.Errorf("enrolled %t, by password: %v, skipped %q", enrolled, page, page.Skipped)
		}
		o, err := w.guard.Admin("ops").Overview(t.Context(), "robot")
		if err != nil || !slices.Equal(o.Exempt, exempt.ExemptBy) {
			t.Errorf("overview says exempt by %v, %v", o.Exempt, err)
		}
	}
	if i := slices.IndexFunc(w.events, func(e mfa.Event) bool { return e.Skipped == mfa.SkippedExempt }); i < 0 || w.events[i].By != mfa.ByAPIKey {
		t.Error("no event says that an exemption was used")
	}
	t.Run("it ends", func(t *testing.T) {
		w.policy("robot", mfa.Policy{Demand: mfa.Required, ExemptBy: exempt.ExemptBy})
		login, err := w.guard.Begin(t.Context(), api)
		if err != nil || login.Pending == nil {
			t.Errorf("%v, %v; want a Pending", login, err)
		}
	})
	t.Run("not without a record that can be read", func(t *testing.T) {
		w.policy("robot", exempt)
		w.store.breaks(mfa.ErrUnavailable)
		defer w.store.breaks(nil)
		login, err := w.guard.Begin(t.Context(), api)
		if login != nil || !errors.Is(err, mfa.ErrUnavailable) {
			t.Errorf("%v, %v; want ErrUnavailable", login, err)
		}
	})
}

// S12: until two methods are set up, a user is advised to add one.
func TestAdvice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	if got := p.overview().Advice; !slices.Equal(got, []mfa.Advice{mfa.AdviceMoreMethods}) {
		t.Errorf("one method: %v", got)
	}
	w.policy("alice", mfa.Policy{Methods: 1})
	if got := p.overview().Advice; len(got) != 0 {
		t.Errorf("one method, where one is enough: %v", got)
	}
	w.policy("alice", mfa.Policy{})
	p.add(kindKey)
	if got := p.overview().Advice; len(got) != 0 {
		t.Errorf("two methods: %v", got)
	}
	for left := codesInSet - 1; left >= 0; left-- {
		p.signIn(kindCodes)
		o := p.overview()
		var want []mfa.Advice
		switch {
		case left == 0:
			want = []mfa.Advice{mfa.AdviceCodesUsedUp}
		case left <= 3:
			want = []mfa.Advice{mfa.AdviceCodesLow}
		}
		if o.BackupLeft != left || !slices.Equal(o.Advice, want) {
			t.Errorf("%d codes left: overview says %d, advice %v, want %v", left, o.BackupLeft, o.Advice, want)
		}
	}
}

// New refuses what could not work, all of it at once.
func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	odd := errors.New("a bad option")
	bad := func(check error, k mfa.Kind) mfa.Method {
		return &device{kind: k, check: func() error { return check }}
	}
	for name, c := range map[string]struct {
		vault *vault.Vault
		cfg   mfa.Config
		says  []string
	}{
		"zero":             {nil, mfa.Config{}, []string{"no vault", "no service name", "no methods"}},
		"no vault":         {nil, w.cfg, []string{"no vault"}},
		"a nil method":     {w.vault, mfa.Config{Service: "S", Methods: []mfa.Method{w.app, nil}}, []string{"method 1 is nil"}},
		"a kind twice":     {w.vault, mfa.Config{Service: "S", Methods: []mfa.Method{w.app, w.app}}, []string{"app: configured twice"}},
		"two bad methods":  {w.vault, mfa.Config{Service: "S", Methods: []mfa.Method{bad(odd, "one"), bad(odd, "two")}}, []string{"one: a bad option", "two: a bad option"}},
		"an empty kind":    {w.vault, mfa.Config{Service: "S", Methods: []mfa.Method{bad(nil, "")}}, []string{"a kind has"}},
		"a kind in caps":   {w.vault, mfa.Config{Service: "S", Methods: []mfa.Method{bad(nil, "App")}}, []string{"a kind has"}},
		"a long kind":      {w.vault, mfa.Config{Service: "S", Methods: []mfa.Method{bad(nil, mfa.Kind(strings.Repeat("a", 33)))}}, []string{"a kind has"}},
		"a colon":          {w.vault, mfa.Config{Service: "S:T", Methods: []mfa.Method{w.app}}, []string{"service name"}},
		"a line end":       {w.vault, mfa.Config{Service: "S\n", Methods: []mfa.Method{w.app}}, []string{"service name"}},
		"no service, also": {w.vault, mfa.Config{Methods: []mfa.Method{bad(odd, "one")}}, []string{"no service name", "one: a bad option"}},
	} {
		g, err := mfa.New(c.vault, c.cfg)
		if g != nil || err == nil {
			t.Errorf("%s: %v, %v; want an error", name, g, err)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
	if _, err := mfa.New(w.vault, mfa.Config{Service: "Größe & Co", Methods: []mfa.Method{w.app}}); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// Without a directory users are their IDs, and what the directory leaves out is
// filled in.
func TestUserDefaults(t *testing.T) {
	t.Parallel()
	var got []mfa.User
	w := newWorld(t, func(w *world) {
		w.app.enroll = func(_ context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
			got = append(got, r.User)
			return nil, errors.New("stop here")
		}
		w.cfg.Users = nil
	})
	_, err := w.person("alice").settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if err == nil || len(got) != 1 || got[0].Name != "alice" || got[0].Service != "Acme" || got[0].ID != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A program's key lets the program in, and sets nothing up for the person.
func TestAPIKeyChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "alice", By: mfa.ByAPIKey})
	if err != nil || login.Session == nil {
		t.Fatal(login, err)
	}
	_, err = w.guard.Settings(login.Session).Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if missing := wantStepUp(t, "Enroll", err); !missing.First {
		t.Errorf("%+v", missing)
	}
}
