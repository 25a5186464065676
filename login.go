package mfa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/vault"
)

// A FirstFactor is what the application has verified: who it is, and by what.
// It prints as its By.
type FirstFactor struct {
	UserID string
	By     By // required

	// Carry is the application's own text, given back with the Login (such as
	// that the user wants to be remembered). At most 1024 bytes.
	Carry string

	// Binding ties the sign-in to what only this browser has, such as the
	// value of a cookie: it must be given again to ResumeBound. "": not tied.
	Binding string

	// Resume is the token of an earlier sign-in of the same user in the same
	// browser, if there is one: the ceremony goes on, so that a code already
	// on its way stays good.
	Resume string

	// Expect: the application knows that this user has set up a second
	// factor. Should there be none, that is ErrLostRecord.
	Expect bool
}

const maxCarry = 1024 // bytes

func (f FirstFactor) Format(s fmt.State, _ rune)   { fmt.Fprintf(s, "first factor by %s", f.By) }
func (f FirstFactor) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(f)) }

// A Skip says why no second factor was asked for.
type Skip string

const (
	SkippedNothingSetUp Skip = "nothing-set-up"
	SkippedExempt       Skip = "exempt"
)

// A Login is where a sign-in or step-up stands. Exactly one of Session and
// Pending is not nil, and only a Session may start the application's own.
type Login struct {
	Session *Session
	Pending *Pending

	Skipped     Skip     // "": a second factor was proven, or enrolled because the policy demands it
	BackupCodes []Secret // to be shown once, when a forced enrolment made them
	BackupLeft  int      // recovery codes that are left
	Carry       string   // FirstFactor.Carry
}

func (l *Login) Format(f fmt.State, _ rune) {
	what := "complete"
	if l.Pending != nil {
		what = "pending"
	}
	fmt.Fprintf(f, "login %s", what)
}

// Begin is to be called wherever the application used to start a session: after
// a password, a federated sign-in, a link, a reset. It reads the store once and
// writes nothing.
//
// The Login has a Session if nothing more is asked of this user, else a
// Pending. ErrNoMethod if the user has set up factors and none can be used
// here; ErrLostRecord as FirstFactor.Expect says.
func (g *Guard) Begin(ctx context.Context, f FirstFactor) (*Login, error) {
	if f.By == "" || len(f.Carry) > maxCarry {
		return nil, fmt.Errorf("%w: first factor", ErrArgument)
	}
	u, err := g.user(ctx, f.UserID)
	if err != nil {
		return nil, err
	}
	usable := g.usable(ctx, u)
	login, err := vault.Read(ctx, g.vault, f.UserID, func(a *vault.Account) (*Login, error) {
		switch {
		case u.Policy.exempts(f.By):
			return g.skip(a, f, SkippedExempt)
		case a.Any():
			if len(g.offers(a, u, Rule{}, usable)) == 0 {
				return nil, usable.none()
			}
			return g.pend(a, f, false)
		case f.Expect:
			return nil, ErrLostRecord
		case u.Policy.requires(a.Now()):
			if len(g.enrollable(u, usable.methods)) == 0 {
				return nil, usable.none()
			}
			return g.pend(a, f, true)
		}
		return g.skip(a, f, SkippedNothingSetUp)
	})
	if err != nil {
		return nil, err
	}
	if login.Session != nil {
		g.emit(ctx, Event{
			Type: EventSignedIn, Time: time.UnixMilli(login.Session.t.First), UserID: f.UserID,
			Purpose: PurposeSignIn, By: f.By, Skipped: login.Skipped,
		})
	}
	return login, nil
}

func (g *Guard) skip(a *vault.Account, f FirstFactor, why Skip) (*Login, error) {
	s, err := g.newSession(sessionToken{
		User: f.UserID, ID: newTokenID(), Epoch: []byte(a.Epoch()),
		By: f.By, First: a.Now().UnixMilli(), Exempt: why == SkippedExempt,
	})
	if err != nil {
		return nil, err
	}
	left, _ := g.left(a)
	return &Login{Session: s, Skipped: why, Carry: f.Carry, BackupLeft: left}, nil
}

func (g *Guard) pend(a *vault.Account, f FirstFactor, enroll bool) (*Login, error) {
	t := pendingToken{
		User: f.UserID, ID: newTokenID(), Purpose: PurposeSignIn, By: f.By, Issued: a.Now().UnixMilli(),
		Epoch: []byte(a.Epoch()), Binding: hashBinding(f.Binding), Carry: f.Carry, Enroll: enroll,
	}
	var old pendingToken
	if f.Resume != "" && g.sealer.unseal(sealPending, "", f.Resume, &old) == nil &&
		old.User == t.User && old.Purpose == t.Purpose && old.Enroll == t.Enroll &&
		bytes.Equal(old.Binding, t.Binding) && old.live(a) {
		t.ID = old.ID
	}
	p, err := g.newPending(t)
	if err != nil {
		return nil, err
	}
	return &Login{Pending: p, Carry: f.Carry}, nil
}

// enrollable returns the methods that u may enrol as the first factor.
func (g *Guard) enrollable(u User, usable methods) methods {
	var ms methods
	for _, m := range usable {
		if _, ok := m.(Confirmer); ok && !m.Traits().Recovery && u.Policy.offers(m) {
			ms = append(ms, m)
		}
	}
	return ms
}

// A Pending is a sign-in or step-up under way. It is no Session, and nothing
// turns it into one but a right answer. It is good for ten minutes and one
// success; a change of what the user has set up, of the password, or a
// revocation ends it.
type Pending struct {
	g       *Guard
	t       pendingToken
	token   string
	session *Session // of a step-up
}

func (g *Guard) newPending(t pendingToken) (*Pending, error) {
	token, err := g.sealer.seal(sealPending, "", t)
	if err != nil {
		return nil, err
	}
	return &Pending{g: g, t: t, token: token}, nil
}

// Resume returns the sign-in that a token stands for, if it was tied to no
// browser. ErrInvalid for anything else. It does no I/O: whether the sign-in is
// still good is decided by what is called on it.
func (g *Guard) Resume(token string) (*Pending, error) {
	return g.resume(token, PurposeSignIn, nil, "")
}

// ResumeBound is Resume for a sign-in that was tied to binding
// (FirstFactor.Binding).
func (g *Guard) ResumeBound(token, binding string) (*Pending, error) {
	return g.resume(token, PurposeSignIn, nil, binding)
}

// ResumeStepUp returns the step-up of s that a token stands for. ErrInvalid for
// anything else, such as a sign-in or another session's step-up.
func (g *Guard) ResumeStepUp(s *Session, token string) (*Pending, error) {
	return g.resume(token, PurposeStepUp, s, "")
}

func (g *Guard) resume(token string, purpose Purpose, s *Session, binding string) (*Pending, error) {
	p := &Pending{g: g, token: token, session: s}
	if err := g.sealer.unseal(sealPending, "", token, &p.t); err != nil {
		return nil, err
	}
	if p.t.Purpose != purpose || !bytes.Equal(p.t.Binding, hashBinding(binding)) {
		return nil, ErrInvalid
	}
	if purpose == PurposeStepUp &&
		(s == nil || s.token == "" || p.t.User != s.user || !bytes.Equal(p.t.Session, s.t.ID)) {
		return nil, ErrInvalid
	}
	return p, nil
}

// Token is the text that Resume, ResumeBound or ResumeStepUp takes: sealed, and
// good in every process that has the same keys.
func (p *Pending) Token() string { return p.token }

// UserID is who is signing in. It is not proven yet, and "" after BeginPasskey.
func (p *Pending) UserID() string { return p.t.User }

// MustEnroll reports that the user has set up nothing and the policy requires
// something: Enroll and Confirm instead of Verify.
func (p *Pending) MustEnroll() bool { return p.t.Enroll }

// Expires is when it ends.
func (p *Pending) Expires() time.Time {
	if p.t.Purpose == PurposeAlone {
		return time.UnixMilli(p.t.Issued).Add(passkeyTTL)
	}
	return time.UnixMilli(p.t.Issued).Add(pendingTTL)
}

func (p Pending) Format(f fmt.State, _ rune)   { fmt.Fprintf(f, "pending %s [redacted]", p.t.Purpose) }
func (p Pending) MarshalJSON() ([]byte, error) { return []byte(`"pending [redacted]"`), nil }

func (t *pendingToken) live(a *vault.Account) bool {
	issued := time.UnixMilli(t.Issued)
	return a.Now().Before(issued.Add(pendingTTL)) && string(t.Epoch) == a.Epoch() && a.Live(string(t.ID), issued)
}

func (p *Pending) spend(a *vault.Account) {
	a.Spend(string(p.t.ID), time.UnixMilli(p.t.Issued), pendingTTL)
}

// check returns ErrExpired, as a verdict that is no try, unless p is still good
// for a.
func (p *Pending) check(a *vault.Account) error {
	if !p.t.live(a) || p.t.Enroll == a.Any() || p.session != nil && !p.session.current(a) {
		return vault.Uncounted(ErrExpired)
	}
	return nil
}

func (p *Pending) rule() Rule {
	if p.t.Rule == nil {
		return Rule{}
	}
	return Rule{MaxAge: time.Duration(p.t.Rule.MaxAge), PhishingResistant: p.t.Rule.PhishingResistant, Not: p.t.Rule.Not}
}

// Offers returns what the user can answer with now, strongest first and
// recovery last; while MustEnroll, what can be enrolled. ErrExpired if p is
// over.
func (p *Pending) Offers(ctx context.Context) ([]Offer, error) {
	u, err := p.g.user(ctx, p.t.User)
	if err != nil {
		return nil, err
	}
	usable := p.g.usable(ctx, u)
	return vault.Read(ctx, p.g.vault, p.t.User, func(a *vault.Account) ([]Offer, error) {
		if err := p.check(a); err != nil {
			return nil, err
		}
		if p.t.Enroll {
			var offers []Offer
			for _, m := range p.g.enrollable(u, usable.methods) {
				offers = append(offers, Offer{Kind: m.Kind(), Traits: m.Traits()})
			}
			return offers, nil
		}
		offers := p.g.offers(a, u, p.rule(), usable)
		if len(offers) == 0 {
			return nil, usable.none()
		}
		return offers, nil
	})
}

// method returns the method of an answer or challenge, nil if it is not one
// that may be used here.
func (p *Pending) method(k Kind, u User, usable usable) Method {
	m := usable.get(k)
	if m == nil || !p.rule().accepts(k, m.Traits()) || !u.Policy.Rule.accepts(k, m.Traits()) {
		return nil
	}
	return m
}

func (p *Pending) request(u User) Request {
	return Request{User: u, Purpose: p.t.Purpose, Flow: flow(p.t.ID), Until: p.Expires()}
}

// enrollment is the request of a forced enrolment.
func (p *Pending) enrollment(u User) Request {
	r := p.request(u)
	r.Purpose = PurposeConfirm
	return r
}

// Challenge asks for what the offer's answer needs. ErrTooMany if it was asked
// for too often; what was sent before stays good. An *EffectError says that it
// could not be sent: the challenge stands and may be asked for again at once.
func (p *Pending) Challenge(ctx context.Context, o Offer) (*Challenge, error) {
	u, err := p.g.user(ctx, p.t.User)
	if err != nil {
		return nil, err
	}
	usable := p.g.usable(ctx, u)
	m := p.method(o.Kind, u, usable)
	c, ok := m.(Challenger)
	switch {
	case usable.withheld[o.Kind] != nil:
		return nil, usable.none()
	case !ok:
		return nil, fmt.Errorf("%w: no challenge of this kind", ErrArgument)
	}
	r := p.request(u)
	ask := func(a *vault.Account) (*Challenge, error) {
		if err := p.check(a); err != nil {
			return nil, err
		}
		if p.t.Enroll || !a.Has(o.Kind, o.FactorID) {
			return nil, vault.Uncounted(ErrNotEnrolled)
		}
		ch, err := c.Challenge(ctx, a.Scope(o.Kind, string(r.Purpose), r.Flow), ChallengeRequest{r, o.FactorID, o.Keep})
		if err == nil && ch == nil {
			err = fmt.Errorf("mfa: %s: neither a challenge nor an error", o.Kind)
		}
		if err != nil {
			return nil, err
		}
		if end := p.Expires(); ch.Expires.IsZero() || ch.Expires.After(end) {
			ch.Expires = end
		}
		return ch, nil
	}
	address, err := p.g.limitSending(ctx, r, m, o.FactorID, ask) // read only: what it does is forgotten
	if err != nil {
		return nil, err
	}
	ch, err := vault.Update(ctx, p.g.vault, p.t.User, ask)
	p.g.undelivered(ctx, r, m, ch, address, err)
	return ch, err
}

// Verify judges an answer. In one save the token is spent, the attempt charged
// and the factor moved on; a Login with a Session is the only success. An error
// that wraps ErrRejected is a verdict; any other is a failure, and nothing is
// decided.
func (p *Pending) Verify(ctx context.Context, answer Answer) (*Login, error) {
	if p.t.Purpose == PurposeAlone {
		return p.verifyAlone(ctx, answer)
	}
	u, err := p.g.user(ctx, p.t.User)
	if err != nil {
		return nil, err
	}
	usable := p.g.usable(ctx, u)
	m := p.method(answer.Kind, u, usable)
	switch {
	case usable.withheld[answer.Kind] != nil: // perhaps for a moment: the answer may be right
		return nil, usable.none()
	case m == nil:
		return nil, ErrInvalid // no such thing was offered; nothing was looked at
	}
	r := p.request(u)
	if p.g.cfg.Limit != nil { // nothing is counted for a sign-in that is over
		if _, err := vault.Read(ctx, p.g.vault, p.t.User, func(a *vault.Account) (struct{}, error) {
			return struct{}{}, p.check(a)
		}); err != nil {
			return nil, err
		}
	}
	if err := p.g.limit(ctx, Use{UserID: u.ID, Purpose: r.Purpose, Kind: answer.Kind}); err != nil {
		return nil, err
	}
	login, err := vault.Update(ctx, p.g.vault, p.t.User, func(a *vault.Account) (*Login, error) {
		if err := p.check(a); err != nil {
			return nil, err
		}
		if p.t.Enroll || !a.Has(answer.Kind, "") {
			return nil, vault.Uncounted(ErrNotEnrolled)
		}
		v, err := judge(a, m, r.Purpose, r.Flow, func(s *vault.Scope) (*Verification, error) {
			v, err := m.Verify(ctx, s, VerifyRequest{Request: r, Answer: answer})
			if err == nil && v != nil && s.Factor(v.FactorID) == nil {
				return nil, fmt.Errorf("mfa: %s: verified by a factor that the user does not have", m.Kind())
			}
			return v, err
		})
		if err != nil {
			p.g.tellFailure(a, u, p.t, m, err)
			return nil, err
		}
		return p.succeed(a, u, m, v)
	})
	return login, delivered(err)
}

// succeed turns a right answer into a Login.
func (p *Pending) succeed(a *vault.Account, u User, m Method, v *Verification) (*Login, error) {
	g, k := p.g, m.Kind()
	p.spend(a)
	a.Finished(k)
	a.Used(v.FactorID)
	g.tellClone(a, u, p.t, k, v)
	proof := &wireProof{Kind: k, FactorID: v.FactorID, At: a.Now().UnixMilli(), UserVerified: v.UserVerified}
	base := p.session
	if base == nil {
		base = &Session{g: g, user: u.ID, t: sessionToken{User: u.ID, ID: newTokenID(), By: p.t.By, First: p.t.Issued}}
	}
	s, err := base.renewed(a, proof)
	if err != nil {
		return nil, err
	}
	left, _ := g.left(a)
	e := Event{Type: EventSignedIn, Purpose: p.t.Purpose, By: p.t.By, Kind: k, FactorID: v.FactorID, Left: left}
	if p.t.Purpose == PurposeStepUp {
		e.Type = EventSteppedUp
	}
	g.tell(a, u, e)
	if m.Traits().Recovery {
		e.Type = EventCodeUsed
		g.tell(a, u, e)
		switch {
		case left == 0:
			e.Type = EventCodesUsedUp
			g.tell(a, u, e)
		case left <= lowCodes:
			e.Type = EventCodesLow
			g.tell(a, u, e)
		}
	}
	return &Login{Session: s, BackupLeft: left, Carry: p.t.Carry}, nil
}

const lowCodes = 3

// tellClone raises that an answer was accepted though there may be two of what
// gave it.
func (g *Guard) tellClone(a *vault.Account, u User, t pendingToken, k Kind, v *Verification) {
	if v.Cloned {
		g.tell(a, u, Event{Type: EventCloned, Purpose: t.Purpose, By: t.By, Kind: k, FactorID: v.FactorID})
	}
}

// tellFailure raises what a wrong answer means: a failure, the first pause, a
// kind that is disabled now.
func (g *Guard) tellFailure(a *vault.Account, u User, t pendingToken, m Method, err error) {
	k := m.Kind()
	if !errors.Is(err, ErrRejected) || errors.Is(err, ErrTooMany) {
		return
	}
	e := Event{Type: EventFailed, Purpose: t.Purpose, By: t.By, Kind: k, Err: err}
	g.tell(a, u, e)
	if errors.Is(err, ErrCloned) {
		e.Type, e.Err = EventCloned, nil
		g.tell(a, u, e)
	}
	if m.Traits().Typed && vault.Counts(err) && a.Tries().Run == vault.Burst {
		e.Type, e.Err = EventPaused, nil
		g.tell(a, u, e)
	}
	if !a.Has(k, "") {
		e.Type, e.Err = EventDisabled, nil
		g.tell(a, u, e)
	}
}

// Cancel ends the sign-in or step-up. What is over already is no error.
// ErrTooMany if somebody cancels so often that it looks like a flood: the token
// then ends by itself.
//
// Of a user without a record there is nothing to note the token in. A forced
// enrolment that is given up must not be picked up by who comes to the browser
// next, so that user is revoked, which makes the record.
func (p *Pending) Cancel(ctx context.Context) error {
	if p.g == nil {
		return errNoGuard
	}
	if p.t.Purpose == PurposeAlone {
		return nil // nobody's yet: there is nothing to note it in
	}
	if p.t.Enroll { // which may make a record: not for a user who is gone
		if _, err := p.g.user(ctx, p.t.User); err != nil {
			return err
		}
	}
	_, err := vault.Update(ctx, p.g.vault, p.t.User, func(a *vault.Account) (struct{}, error) {
		if p.check(a) != nil {
			return struct{}{}, nil
		}
		if !a.Exists() {
			a.Renew()
			return struct{}{}, nil
		}
		if wait, ok := a.Allow("cancel", vault.Limit{N: 10, Per: time.Hour}); !ok {
			return struct{}{}, &LimitError{RetryAfter: wait}
		}
		p.spend(a)
		return struct{}{}, nil
	})
	return err
}

// A NewFactor is what a user wants to enrol.
type NewFactor struct {
	Kind    Kind
	Name    string // the user's own, at most 64 bytes of UTF-8 without control characters; "": none
	Address string // for the kinds that send codes

	// Conditional: for passkeys that the browser makes without asking, after a
	// sign-in by other means. ErrNotEnrolled if nothing is set up yet: nobody's
	// second step is turned on unasked.
	Conditional bool
}

// Enroll begins the enrolment of the first factor of a user who must have one.
// ErrExpired once the user has one.
func (p *Pending) Enroll(ctx context.Context, n NewFactor) (*Enrollment, error) {
	u, m, err := p.g.enrolling(ctx, p.t.User, &n)
	if err != nil {
		return nil, err
	}
	if p.g.enrollable(u, methods{m}) == nil {
		return nil, fmt.Errorf("%w: not a first factor", ErrArgument)
	}
	begin := func(a *vault.Account) (*Enrollment, error) {
		if err := p.check(a); err != nil {
			return nil, err
		}
		if !p.t.Enroll {
			return nil, vault.Uncounted(ErrExpired)
		}
		e, err := p.g.enroll(ctx, a, m, n, p.enrollment(u))
		if err == nil && e.Active {
			return nil, fmt.Errorf("mfa: %s: a first factor that counts before it was confirmed", n.Kind)
		}
		return e, err
	}
	if err := p.g.limitEnrolling(ctx, u, m, n, begin); err != nil {
		return nil, err
	}
	e, err := vault.Update(ctx, p.g.vault, p.t.User, begin)
	if e != nil {
		p.g.undelivered(ctx, p.enrollment(u), m, e.Challenge, n.Address, err)
	}
	return e, err
}

// Confirm completes it: the factor is active, recovery codes come with it, and
// the user is signed in, with the first factor's proof alone.
func (p *Pending) Confirm(ctx context.Context, id string, answer Answer) (*Login, error) {
	u, m, err := p.g.confirming(ctx, p.t.User, answer)
	if err != nil {
		return nil, err
	}
	login, err := vault.Update(ctx, p.g.vault, p.t.User, func(a *vault.Account) (*Login, error) {
		if err := p.check(a); err != nil {
			return nil, err
		}
		if !p.t.Enroll {
			return nil, vault.Uncounted(ErrExpired)
		}
		_, codes, err := p.g.confirm(ctx, a, m, id, answer, p.enrollment(u))
		if err != nil {
			return nil, err
		}
		p.spend(a)
		s, err := p.g.newSession(sessionToken{
			User: p.t.User, ID: newTokenID(), Epoch: []byte(a.Epoch()), By: p.t.By, First: p.t.Issued,
		})
		if err != nil {
			return nil, err
		}
		p.g.tell(a, u, Event{Type: EventSignedIn, Purpose: PurposeSignIn, By: p.t.By})
		left, _ := p.g.left(a)
		return &Login{Session: s, BackupCodes: codes, BackupLeft: left, Carry: p.t.Carry}, nil
	})
	return login, delivered(err)
}

// delivered drops what says only that something after the save failed: it was
// raised as EventDeliveryFailed.
func delivered(err error) error {
	if _, ok := err.(*EffectError); ok {
		return nil
	}
	return err
}
