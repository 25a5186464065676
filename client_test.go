package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

var (
	_ mfa.Challenger = (*addressed)(nil)
	_ mfa.Confirmer  = (*addressed)(nil)
	_ mfa.Addressed  = (*addressed)(nil)
	_ mfa.Deliverer  = (*addressed)(nil)
)

// An addressed is a mailer whose factors are addresses: their names. It sends
// something to enrol one, too, and once a minute.
type addressed struct {
	*mailer
	undelivered []mfa.Request
	until       []time.Time
	sending     func() // before something is sent
}

func (m *addressed) Resolve(u mfa.User, address string) (string, error) {
	if address == "" {
		address = u.Email
	}
	if !strings.Contains(address, "@") {
		return "", fmt.Errorf("%w: address", mfa.ErrArgument)
	}
	return strings.ToLower(address), nil
}

func (m *addressed) Address(f vault.Factor) string         { return f.Name + "@example.com" }
func (m *addressed) Stale(u mfa.User, f vault.Factor) bool { return u.Email != m.Address(f) }
func (m *addressed) Undelivered(_ *vault.Scope, r mfa.Request) {
	m.undelivered = append(m.undelivered, r)
}

func (m *addressed) Challenge(ctx context.Context, s *vault.Scope, r mfa.ChallengeRequest) (*mfa.Challenge, error) {
	m.until = append(m.until, r.Until)
	s.AfterSave(func(context.Context) error {
		if m.sending != nil {
			m.sending()
		}
		return nil
	})
	c, err := m.mailer.Challenge(ctx, s, r)
	if err == nil {
		c.Resend = s.Now().Add(time.Minute)
	}
	return c, err
}

func (m *addressed) Enroll(ctx context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	e, err := m.mailer.Enroll(ctx, s, r)
	if err == nil {
		e.Challenge = &mfa.Challenge{Kind: m.kind, FactorID: e.ID, Expires: s.Now().Add(time.Hour), Resend: s.Now().Add(time.Minute)}
		s.AfterSave(func(context.Context) error { return m.fail })
	}
	return e, err
}

// Confirm puts the factor in the place of the one before.
func (m *addressed) Confirm(ctx context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
	before := s.Factors()
	f, err := m.mailer.Confirm(ctx, s, r)
	for _, old := range before {
		if err == nil {
			s.Remove(old.ID)
		}
	}
	return f, err
}

// A withheld is an addressed that may not be there.
type withheld struct {
	*addressed
	out error
}

func (w *withheld) Available(context.Context, mfa.User) error { return w.out }

// withAddresses makes the world's mail an addressed method.
func withAddresses(w *world) {
	w.cfg.Methods = []mfa.Method{w.codes, &addressed{mailer: w.mail}, w.app, w.key}
}

// one subscriber is one key, however the address is written; what is no
// address is none.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "::FFFF:c000:207": "192.0.2.7", "0:0:0:0:0:ffff:192.0.2.7": "192.0.2.7",
		"::ffff:192.0.2.7%eth0": "192.0.2.7", "0.0.0.0": "0.0.0.0", "255.255.255.255": "255.255.255.255",
		"2001:db8:1:2::1": "2001:db8:1:2::/64", "2001:db8:1:2:ffff:ffff:ffff:ffff": "2001:db8:1:2::/64", "2001:DB8:0001:0002:0:0:0:9": "2001:db8:1:2::/64",
		"2001:db8:1:3::1": "2001:db8:1:3::/64", "::1": "::/64", "::": "::/64", "fe80::1%eth0": "fe80::/64", "fe80::1": "fe80::/64", "fe80::2%1": "fe80::/64",
		"::192.0.2.7": "::/64", "64:ff9b::192.0.2.7": "64:ff9b::/64",
		"": "", "x": "", "192.0.2": "", "192.0.2.7.": "", "192.0.2.256": "", "192.0.2.07": "", "0300.0.2.7": "", "3221225991": "", "192.0.2.7:443": "",
		"[::1]": "", "[::1]:443": "", " 192.0.2.7": "", "192.0.2.7\n": "", "192.0.2.7, 10.0.0.1": "", "192.0.2.0/24": "", "2001:db8::/64": "", "192.0.2.7%eth0": "",
		"::1%": "", "unix:/tmp/x": "", "localhost": "", "１９２.0.2.7": "", strings.Repeat("1", 1<<20): "", strings.Repeat(":", 1<<20): "",
	} {
		if got := (mfa.Client{IP: ip, Agent: "x"}).Network(); got != want {
			t.Errorf("%.60q is of %.80q, want %q", ip, got, want)
		}
	}
}

// Config.Limit is asked for every kind that is typed or sent, on every way,
// with who called, and can only refuse.
func TestLimitIsAsked(t *testing.T) {
	t.Parallel()
	var uses []mfa.Use
	var says error
	w := newWorld(t, withAddresses, func(w *world) {
		w.cfg.Limit = func(_ context.Context, u mfa.Use) error {
			uses = append(uses, u)
			return says
		}
	})
	ctx := mfa.WithClient(t.Context(), mfa.Client{IP: "192.0.2.7"})
	p := w.person("u", kindApp)
	asked := func(what string, want ...mfa.Use) {
		t.Helper()
		if len(uses) != len(want) {
			t.Fatalf("%s: asked about %d uses, want %d", what, len(uses), len(want))
		}
		for i, u := range want {
			u.UserID, u.Client.IP = "u", "192.0.2.7"
			if uses[i] != u {
				t.Errorf("%s: asked about %s %s %q, want %s %s %q", what, uses[i].Kind, uses[i].Purpose, uses[i].Address, u.Kind, u.Purpose, u.Address)
			}
		}
		uses = nil
	}
	uses = nil
	if _, err := w.pending("u").Verify(ctx, wrong(kindApp)); !errors.Is(err, mfa.ErrInvalid) {
		t.Fatal(err)
	}
	asked("a wrong answer", mfa.Use{Purpose: mfa.PurposeSignIn, Kind: kindApp})
	p.signIn(kindApp)
	uses = nil
	e, err := p.settings().Enroll(ctx, mfa.NewFactor{Kind: kindMail, Name: "new", Address: "New@Example.com"})
	if err != nil {
		t.Fatal(err)
	}
	asked("an enrolment", mfa.Use{Purpose: mfa.PurposeConfirm, Kind: kindMail, Address: "new@example.com"})
	change, err := p.settings().Confirm(ctx, e.ID, mfa.Answer{Kind: kindMail, Code: e.Secret.Reveal() + "-1"})
	if err != nil {
		t.Fatal(err)
	}
	p.session = change.Session
	asked("confirming", mfa.Use{Purpose: mfa.PurposeConfirm, Kind: kindMail})
	if _, err := w.pending("u").Challenge(ctx, mfa.Offer{Kind: kindMail, FactorID: e.ID}); err != nil {
		t.Fatal(err)
	}
	asked("a challenge", mfa.Use{Purpose: mfa.PurposeSignIn, Kind: kindMail, Address: "new@example.com"})
	if _, err := p.settings().Enroll(ctx, mfa.NewFactor{Kind: kindApp}); err != nil {
		t.Fatal(err)
	}
	asked("an enrolment that sends nothing")

	// nor is it, or anything counted, for a session that may not enrol
	w.clock.add(time.Hour)
	expired := p.session
	p.signIn(kindApp)
	uses = nil
	for name, s := range map[string]*mfa.Session{
		"not fresh": expired, "nobody's": w.guard.Session("u", ""), "forged": w.guard.Session("u", "x"), "another user's": w.guard.Session("v", expired.Token()),
	} {
		_, saves := w.store.during(func() {
			for range 30 {
				_, err := w.guard.Settings(s).Enroll(ctx, mfa.NewFactor{Kind: kindMail, Name: "new", Address: "victim@example.com"})
				if !errors.Is(err, mfa.ErrStepUpRequired) {
					t.Fatalf("%s: enrols: %v", name, err)
				}
			}
		})
		if asked(name); saves != 0 {
			t.Errorf("%s: %d saves", name, saves)
		}
	}

	// its refusal is told as it is, its failure is a failure, and neither is a try
	w.signInStill(p, ctx)
	uses = nil
	for name, e := range map[string]error{"limit": &mfa.LimitError{RetryAfter: time.Minute}, "plain": mfa.ErrTooMany, "failure": errors.New("down")} {
		says = e
		_, saves := w.store.during(func() {
			_, err := w.pending("u").Verify(ctx, p.answer(kindApp))
			if !errors.Is(err, e) || errors.Is(err, mfa.ErrRejected) != (name != "failure") {
				t.Errorf("%s: %v", name, err)
			}
		})
		if saves != 0 {
			t.Errorf("%s: written", name)
		}
	}
	says = nil
	w.signInStill(p, ctx)

	// going from address to address does not raise the account's own limit
	judged := 0
	for i := range 50 {
		ctx := mfa.WithClient(t.Context(), mfa.Client{IP: fmt.Sprintf("2001:db8:%x::1", i)})
		if _, err := w.pending("u").Verify(ctx, wrong(kindApp)); !errors.Is(err, mfa.ErrTooMany) {
			judged++
		}
	}
	if judged != vault.Burst {
		t.Errorf("%d guesses from 50 networks, want %d", judged, vault.Burst)
	}
	if s := fmt.Sprintf("%v %+v %#v", mfa.Use{Kind: kindMail, Address: "new@example.com"}, mfa.Use{Address: "new@example.com"}, mfa.Use{Address: "new@example.com"}); strings.Contains(s, "new@") {
		t.Errorf("a Use prints its address: %s", s)
	}
}

func (w *world) signInStill(p *person, ctx context.Context) {
	w.Helper()
	if _, err := w.pending(p.id).Verify(ctx, p.answer(kindApp)); err != nil {
		w.Fatalf("signing in: %v", err)
	}
}

// what panics or fails in Config.Limit lets nothing be sent or judged.
func TestLimitHookFailsClosed(t *testing.T) {
	t.Parallel()
	broken := false
	w := newWorld(t, withAddresses, func(w *world) {
		w.cfg.Limit = func(_ context.Context, u mfa.Use) error {
			if broken {
				panic("a secret of " + u.Address)
			}
			return nil
		}
	})
	p := w.person("u", kindApp)
	p.signIn(kindApp)
	pending := w.pending("u")
	broken = true
	_, saves := w.store.during(func() {
		_, verify := pending.Verify(t.Context(), p.answer(kindApp))
		_, enroll := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail, Name: "n", Address: "a@example.com"})
		_, confirm := p.settings().Confirm(t.Context(), "id", wrong(kindApp))
		for what, err := range map[string]error{"verify": verify, "enroll": enroll, "confirm": confirm} {
			if err == nil || errors.Is(err, mfa.ErrRejected) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	if saves != 0 || len(w.mail.sent) != 0 {
		t.Errorf("%d saves, %d sent", saves, len(w.mail.sent))
	}
}

// a challenge that could not be sent stands, is told of as an event, and may
// be asked for again; the end of the sign-in is the end of what is sent for it.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	var m *addressed
	w := newWorld(t, withAddresses, func(w *world) {
		m = w.cfg.Methods[1].(*addressed)
		w.cfg.Limit = func(context.Context, mfa.Use) error { return nil }
	})
	p := w.person("u", kindApp)
	p.signIn(kindApp)
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail, Name: "n", Address: "n@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.settings().Confirm(t.Context(), e.ID, mfa.Answer{Kind: kindMail, Code: e.Secret.Reveal() + "-1"}); err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Minute)
	pending := w.pending("u")
	w.clock.add(time.Minute)
	down := errors.New("451 down")
	w.mail.fail = down
	w.forget()
	ch, err := pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: e.ID})
	var failed *mfa.EffectError
	if !errors.As(err, &failed) || !errors.Is(err, down) || ch == nil || ch.Expires.After(pending.Expires()) {
		t.Fatalf("%v, %v", ch, err)
	}
	told := func(what string, p mfa.Purpose, flow string) {
		t.Helper()
		if len(m.undelivered) == 0 {
			t.Errorf("%s: Undelivered was not called", what)
		}
		for _, r := range m.undelivered {
			if r.Purpose != p || r.Flow == "" || flow != "" && r.Flow != flow {
				t.Errorf("%s: Undelivered for %s of flow %q, not %s of %q", what, r.Purpose, r.Flow, p, flow)
			}
		}
		m.undelivered = nil
	}
	told("a challenge", mfa.PurposeSignIn, w.mail.last().flow)
	if !ch.Resend.IsZero() {
		t.Errorf("it may be asked for again after %v, not at once", ch.Resend.Sub(w.clock.Now()))
	}
	for _, until := range m.until {
		if !until.Equal(pending.Expires()) {
			t.Errorf("Until %v, want %v", until, pending.Expires())
		}
	}
	es := w.events
	if len(es) != 1 || es[0].Type != mfa.EventDeliveryFailed || es[0].Kind != kindMail || es[0].Of != "" || !errors.Is(es[0].Err, down) ||
		es[0].Address != "n@example.com" || !es[0].Time.Equal(w.clock.Now()) || es[0].Purpose != mfa.PurposeSignIn {
		t.Errorf("events %+v", es)
	}
	if len(w.notices) != 0 {
		t.Error("the user is told of it by notice")
	}
	if s := fmt.Sprint(es[0].LogValue()); strings.Contains(s, "n@example.com") {
		t.Errorf("the log has the address: %s", s)
	}
	if _, err := pending.Verify(t.Context(), mfa.Answer{Kind: kindMail, Code: w.mail.last().code}); err != nil {
		t.Errorf("the code that came after all: %v", err)
	}

	// an enrolment's, in a session and where there must be one
	w.policy("new", mfa.Policy{Demand: mfa.Required})
	forced := w.pending("new")
	p.signIn(kindApp)
	another := mfa.NewFactor{Kind: kindMail, Name: "other", Address: "other@example.com"}
	for what, enroll := range map[string]func() (*mfa.Enrollment, error){
		"settings": func() (*mfa.Enrollment, error) { return p.settings().Enroll(t.Context(), another) },
		"forced":   func() (*mfa.Enrollment, error) { return forced.Enroll(t.Context(), another) },
	} {
		w.mail.fail = down
		w.forget()
		e, err := enroll()
		if !errors.As(err, &failed) || e == nil || e.Challenge == nil || !e.Challenge.Resend.IsZero() {
			t.Fatalf("%s: %v, %v", what, e, err)
		}
		told(what, mfa.PurposeConfirm, "")
		if es := w.events; len(es) != 1 || es[0].Type != mfa.EventDeliveryFailed || es[0].Address != "other@example.com" || es[0].Purpose != mfa.PurposeConfirm {
			t.Errorf("%s: events %+v", what, es)
		}
		w.mail.fail = nil
		if e, err = enroll(); err != nil || !e.Challenge.Resend.Equal(w.clock.Now().Add(time.Minute)) || len(m.undelivered) != 0 {
			t.Errorf("%s, delivered: %v, %v", what, e, err)
		}
	}
	// where that could not be noted, the pause stands
	pending = w.pending("u")
	w.mail.fail = down
	m.sending = func() { w.store.breaks(errors.New("no store")) }
	ch, err = pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: e.ID})
	w.store.breaks(nil)
	if !errors.As(err, &failed) || ch == nil || !ch.Resend.Equal(w.clock.Now().Add(time.Minute)) {
		t.Errorf("the refund was not saved: %v, %v", ch, err)
	}
	m.sending, w.mail.fail = nil, nil
	if ch, err := pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: e.ID}); err != nil || !ch.Resend.Equal(w.clock.Now().Add(time.Minute)) {
		t.Errorf("delivered: %v, %v", ch, err)
	}
}

// an address in the place of another is told as changed, the same one
// confirmed again as added; neither with words that are not so.
func TestSameAddressAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAddresses)
	p := w.person("u", kindApp)
	p.signIn(kindApp)
	for _, c := range []struct {
		name, old string
		want      mfa.EventType
	}{
		{"a", "", mfa.EventFactorAdded}, {"a", "", mfa.EventFactorAdded}, {"b", "a@example.com", mfa.EventAddressChanged}, {"b", "", mfa.EventFactorAdded},
	} {
		e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail, Name: c.name, Address: c.name + "@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		w.forget()
		change, err := p.settings().Confirm(t.Context(), e.ID, mfa.Answer{Kind: kindMail, Code: e.Secret.Reveal() + "-1"})
		if err != nil {
			t.Fatal(err)
		}
		p.session = change.Session
		for what, es := range map[string][]mfa.Event{"events": w.events, "notices": {w.notices[0].Event}} {
			if len(es) != 1 || es[0].Type != c.want || es[0].Old != c.old || es[0].Address != c.name+"@example.com" || es[0].Kind != kindMail || es[0].FactorID != e.ID {
				t.Errorf("%s after %q: %s %+v", c.name, c.old, what, es)
			}
		}
	}
}

// A refused enrolment is a verdict and takes nothing of the budget, also for users
// without a record, and makes none.
func TestRefusedEnrolmentIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app.enroll = func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error) {
		return nil, &mfa.LimitError{RetryAfter: time.Minute}
	}
	s := w.begin("new").Session
	_, saves := w.store.during(func() {
		for range 100 {
			_, err := w.guard.Settings(s).Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
			var limit *mfa.LimitError
			if !errors.As(err, &limit) || limit.RetryAfter != time.Minute {
				t.Fatalf("%v", err)
			}
		}
	})
	if v, err := w.vault.View(t.Context(), "new"); err != nil || v.Exists || saves != 0 {
		t.Errorf("%d saves, %+v, %v", saves, v, err)
	}
	p := w.person("u", kindKey)
	p.signIn(kindKey)
	for range 100 {
		if _, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); !errors.Is(err, mfa.ErrTooMany) {
			t.Fatalf("%v", err)
		}
	}
	w.app.enroll = nil
	n := 0
	for ; n < 100; n++ {
		if _, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp}); errors.Is(err, mfa.ErrTooMany) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n != 19 { // one began the key
		t.Errorf("%d enrolments after 100 refused ones, want 19", n)
	}
}

// A method that cannot be offered is withheld with its reason: in the overview, and
// in ErrNoMethod if it is the only one, which is never "nothing set up".
func TestWithheld(t *testing.T) {
	t.Parallel()
	why := errors.New("no server for this tenant")
	var out error
	w := newWorld(t, func(w *world) {
		w.cfg.Methods = []mfa.Method{&conditional{w.app, func(mfa.User) error { return out }}, w.key}
	})
	p := w.person("u", kindApp)
	pending := w.pending("u")
	right := p.answer(kindApp)
	out = why
	_, begin := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "u", By: mfa.ByPassword})
	_, enroll := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	for what, err := range map[string]error{"Begin": begin, "Enroll": enroll} {
		if !errors.Is(err, mfa.ErrNoMethod) || !errors.Is(err, why) || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", what, err)
		}
	}
	o, err := w.guard.Admin("root").Overview(t.Context(), "u")
	if err != nil || len(o.Withheld) != 1 || !errors.Is(o.Withheld[kindApp], why) || !o.Enabled() {
		t.Errorf("%+v, %v", o, err)
	}
	_, saves := w.store.during(func() {
		for range 10 { // not a verdict: perhaps it is back in a moment
			login, err := pending.Verify(t.Context(), right)
			if login != nil || !errors.Is(err, mfa.ErrNoMethod) || !errors.Is(err, why) || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("a withheld method's answer: %v, %v", login, err)
			}
		}
		if _, err := pending.Verify(t.Context(), mfa.Answer{Kind: "none", Code: right.Code}); !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("an answer of no kind: %v", err)
		}
	})
	if saves != 0 {
		t.Errorf("%d saves", saves)
	}
	out = nil
	if o, err := w.guard.Admin("root").Overview(t.Context(), "u"); err != nil || o.Withheld != nil {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := pending.Verify(t.Context(), right); err != nil {
		t.Error(err)
	}
	w.policy("new", mfa.Policy{Demand: mfa.Required, Offer: []mfa.Kind{kindApp}})
	out = why
	_, err = w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "new", By: mfa.ByPassword})
	if !errors.Is(err, mfa.ErrNoMethod) || !errors.Is(err, why) {
		t.Errorf("a forced enrolment without a method: %v", err)
	}
}

// a challenge of a kind that is withheld just now, and its answer, are
// failures with the reason, also of a user who has another kind, and cost nothing.
func TestWithheldChallenge(t *testing.T) {
	t.Parallel()
	why := errors.New("no server for this tenant")
	var m *withheld
	w := newWorld(t, func(w *world) {
		m = &withheld{addressed: &addressed{mailer: w.mail}}
		w.cfg.Methods = []mfa.Method{m, w.app}
		w.cfg.Limit = func(_ context.Context, u mfa.Use) error {
			if m.out != nil {
				t.Errorf("the limit was asked about %s %s", u.Kind, u.Purpose)
			}
			return nil
		}
	})
	p := w.person("u", kindApp)
	p.signIn(kindApp)
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindMail, Name: "n", Address: "n@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.settings().Confirm(t.Context(), e.ID, mfa.Answer{Kind: kindMail, Code: e.Secret.Reveal() + "-1"}); err != nil {
		t.Fatal(err)
	}
	pending := w.pending("u")
	if _, err := pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: e.ID}); err != nil {
		t.Fatal(err)
	}
	code := mfa.Answer{Kind: kindMail, Code: w.mail.last().code}
	m.out = why
	sent := len(w.mail.sent)
	_, saves := w.store.during(func() {
		ch, challenge := pending.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: e.ID})
		login, verify := pending.Verify(t.Context(), code)
		if ch != nil || login != nil {
			t.Errorf("%v, %v", ch, login)
		}
		for what, err := range map[string]error{"Challenge": challenge, "Verify": verify} {
			if !errors.Is(err, mfa.ErrNoMethod) || !errors.Is(err, why) || errors.Is(err, mfa.ErrRejected) || errors.Is(err, mfa.ErrArgument) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := pending.Challenge(t.Context(), mfa.Offer{Kind: "none"}); !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("a challenge of no kind: %v", err)
		}
	})
	if saves != 0 || len(w.mail.sent) != sent {
		t.Errorf("%d saves, %d sent", saves, len(w.mail.sent)-sent)
	}
	m.out = nil
	if _, err := pending.Verify(t.Context(), code); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// an address that changed is an event to the application and to both
// addresses, and what was handed out dies.
func TestAddressChangedTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAddresses)
	w.users["u"] = mfa.User{ID: "u", Email: "new@example.com"}
	p := w.person("u", kindApp)
	p.signIn(kindApp)
	pending := w.pending("u")
	w.forget()
	if err := w.guard.AddressChanged(t.Context(), "u", "old@example.com"); err != nil {
		t.Fatal(err)
	}
	for what, es := range map[string][]mfa.Event{"events": w.events, "notices": {w.notices[0].Event}} {
		if len(es) != 1 || es[0].Type != mfa.EventAddressChanged || es[0].Old != "old@example.com" || es[0].Address != "new@example.com" || es[0].Kind != "" {
			t.Errorf("%s %+v", what, es)
		}
	}
	if s := fmt.Sprint(w.events[0].LogValue()); strings.Contains(s, "@example.com") {
		t.Errorf("the log has an address: %s", s)
	}
	if len(w.ended) != 1 {
		t.Errorf("sessions ended for %v", w.ended)
	}
	_, err := pending.Verify(t.Context(), p.answer(kindApp))
	wantErr(t, "a sign-in under way", err, mfa.ErrExpired)
	if err := w.guard.Require(t.Context(), p.session, mfa.Rule{MaxAge: mfa.AnyAge}); err == nil {
		t.Error("a proof of before")
	}
}
