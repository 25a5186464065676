package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-f4994bf1/mfa/vault"
)

// A Session says what its bearer has proven. Only a Guard makes one. Its Token
// is sealed text that the application keeps within its own session, and gives
// back to Guard.Session.
//
// A Session is bound to its user and to the set of credentials at the time:
// once that changes, or the user is revoked, it proves nothing any more. Its
// user and what is in the Token cannot be changed by whoever holds it.
type Session struct {
	g     *Guard
	user  string
	t     sessionToken
	token string // "": proves nothing
}

// tolerance is how far ahead of our clock another machine's may run.
const tolerance = 2 * time.Minute

// Session reads a token that a Session of the same user gave. It does no I/O
// and never returns nil: a token that is empty, foreign, altered or unreadable
// gives a Session that proves nothing.
func (g *Guard) Session(userID, token string) *Session {
	s := &Session{g: g, user: userID}
	var t sessionToken
	if userID != "" && token != "" && g.sealer.unseal(sealSession, userID, token, &t) == nil && t.User == userID {
		s.t, s.token = t, token
	}
	return s
}

// orNone returns the session of nobody in place of nil.
func (g *Guard) orNone(s *Session) *Session {
	if s == nil {
		return &Session{g: g}
	}
	return s
}

func (g *Guard) newSession(t sessionToken) (*Session, error) {
	token, err := g.sealer.seal(sealSession, t.User, t)
	if err != nil {
		return nil, err
	}
	return &Session{g: g, user: t.User, t: t, token: token}, nil
}

// renewed returns s with the account's present epoch, and with one more proof
// unless it is nil. It keeps its ID.
func (s *Session) renewed(a *vault.Account, p *wireProof) (*Session, error) {
	t := s.t
	t.Epoch = []byte(a.Epoch())
	if p != nil {
		t.Proofs = slices.DeleteFunc(slices.Clone(t.Proofs), func(o wireProof) bool { return o.Kind == p.Kind })
		t.Proofs = append(t.Proofs, *p)
	}
	return s.g.newSession(t)
}

// UserID is the user's.
func (s *Session) UserID() string { return s.user }

// Token is the text to keep, "" if the session proves nothing.
func (s *Session) Token() string { return s.token }

// By is the first factor of the sign-in.
func (s *Session) By() By { return s.t.By }

// A Proof is one second factor that was proven in this session.
type Proof struct {
	Kind         Kind
	FactorID     string
	At           time.Time
	Traits       Traits // zero for a kind that is not configured any more
	UserVerified bool
}

// Proofs are the second factors that were proven, the latest of each kind. They
// are what the session says: Require tells whether it still holds.
func (s *Session) Proofs() []Proof {
	ps := make([]Proof, len(s.t.Proofs))
	for i, w := range s.t.Proofs {
		ps[i] = Proof{Kind: w.Kind, FactorID: w.FactorID, At: time.UnixMilli(w.At), UserVerified: w.UserVerified}
		if m, ok := s.g.methods[w.Kind]; ok {
			ps[i].Traits = m.Traits()
		}
	}
	return ps
}

// AMR are the authentication method references of RFC 8176 for what was
// proven: pwd, otp, pop, user, mfa.
func (s *Session) AMR() []string {
	var amr []string
	add := func(v string) {
		if !slices.Contains(amr, v) {
			amr = append(amr, v)
		}
	}
	switch s.t.By {
	case ByPassword:
		add("pwd")
	case ByPasskey: // which has verified its user
		add("pop")
		add("user")
	}
	for _, p := range s.Proofs() {
		if p.Traits.Typed {
			add("otp")
		} else {
			add("pop")
		}
		if p.UserVerified {
			add("user")
		}
		add("mfa")
	}
	return amr
}

func (s Session) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("session [redacted]")) }
func (s Session) MarshalJSON() ([]byte, error) { return []byte(`"session [redacted]"`), nil }

// current reports whether s was made by a Guard for this user under the
// account's present epoch.
func (s *Session) current(a *vault.Account) bool {
	return s.token != "" && s.user == a.UserID() && string(s.t.Epoch) == a.Epoch()
}

// past reports whether at is at most age ago. The future, but for a tolerance,
// is never past.
func past(at int64, now time.Time, age time.Duration) bool {
	t := time.UnixMilli(at)
	if t.After(now.Add(tolerance)) {
		return false
	}
	return age == AnyAge || !t.Add(age).Before(now)
}

// freshFirst reports whether the first factor was proven at most defaultAge
// ago, by one that counts for the whole account: a program's key sets nothing
// up for the person that it belongs to.
func (s *Session) freshFirst(now time.Time) bool {
	return !s.t.Exempt && s.t.By != ByAPIKey && past(s.t.First, now, defaultAge)
}

// proves returns the proof that satisfies r and the user's policy now, with a
// factor that is still there; nil if there is none.
func (s *Session) proves(a *vault.Account, u User, r Rule) *wireProof {
	if !s.current(a) {
		return nil
	}
	for i := range s.t.Proofs {
		p := &s.t.Proofs[i]
		m, ok := s.g.methods[p.Kind]
		if ok && r.accepts(p.Kind, m.Traits()) && u.Policy.Rule.accepts(p.Kind, m.Traits()) &&
			past(p.At, a.Now(), r.maxAge()) && p.FactorID != "" && a.Has(p.Kind, p.FactorID) {
			return p
		}
	}
	return nil
}

// A StepUpError says what is missing before the call may go on. A user who has
// nothing set up is told Enroll by Require and StepUp, which want a second
// factor, but First by the calls of Settings, which want a fresh first factor
// before one is enrolled.
type StepUpError struct {
	Rule   Rule    // that is to be satisfied
	Offers []Offer // what the user can satisfy it with, by Guard.StepUp
	Enroll bool    // the user has nothing set up that could: enrol first
	First  bool    // the session proves too little, or too long ago: the first factor must be proven again
}

func (e *StepUpError) Error() string {
	switch {
	case e.First:
		return "mfa: step-up required: first factor"
	case e.Enroll:
		return "mfa: step-up required: enrolment"
	}
	return "mfa: step-up required: second factor"
}

// Is makes errors.Is(err, ErrStepUpRequired) hold.
func (e *StepUpError) Is(target error) bool { return target == ErrStepUpRequired }

// Require returns nil if s satisfies r now. It reads the store in every call,
// so that what another process revoked is revoked here. A *StepUpError says
// what is missing: Guard.StepUp, enrolment or a new sign-in.
func (g *Guard) Require(ctx context.Context, s *Session, r Rule) error {
	s = g.orNone(s)
	u, err := g.user(ctx, s.user)
	if err != nil {
		return err
	}
	usable := g.usable(ctx, u)
	_, err = vault.Read(ctx, g.vault, s.user, func(a *vault.Account) (struct{}, error) {
		return struct{}{}, g.require(a, s, u, r, usable)
	})
	return err
}

func (g *Guard) require(a *vault.Account, s *Session, u User, r Rule, usable usable) error {
	if !a.Any() {
		switch {
		case s.t.Exempt:
			return &StepUpError{Rule: r, First: true}
		case a.Epoch() == "" && r.AllowWithout, s.current(a) && r.AllowWithout:
			return nil
		case s.current(a):
			return &StepUpError{Rule: r, Enroll: true}
		}
		return &StepUpError{Rule: r, First: true}
	}
	if s.proves(a, u, r) != nil {
		return nil
	}
	if !s.current(a) {
		return &StepUpError{Rule: r, First: true}
	}
	offers := g.offers(a, u, r, usable)
	if len(offers) == 0 {
		if len(g.offers(a, u, Rule{}, usable)) == 0 {
			return usable.none()
		}
		return &StepUpError{Rule: r, Enroll: true}
	}
	return &StepUpError{Rule: r, Offers: offers}
}

// StepUp begins to satisfy r. The Login has a Session if s satisfies it
// already, else a Pending that is bound to s and to r: its Verify gives s
// renewed, with one more proof. A *StepUpError if no second factor can help:
// the first factor must be proven again, or one be enrolled. It writes nothing.
func (g *Guard) StepUp(ctx context.Context, s *Session, r Rule) (*Login, error) {
	s = g.orNone(s)
	u, err := g.user(ctx, s.user)
	if err != nil {
		return nil, err
	}
	usable := g.usable(ctx, u)
	return vault.Read(ctx, g.vault, s.user, func(a *vault.Account) (*Login, error) {
		err := g.require(a, s, u, r, usable)
		if err == nil {
			return &Login{Session: s}, nil
		}
		var missing *StepUpError
		if !errors.As(err, &missing) || missing.First || missing.Enroll {
			return nil, err
		}
		p, err := g.newPending(pendingToken{
			User: s.user, ID: newTokenID(), Purpose: PurposeStepUp, By: s.t.By, Issued: a.Now().UnixMilli(),
			Epoch: []byte(a.Epoch()), Session: s.t.ID,
			Rule: &wireRule{MaxAge: int64(r.MaxAge), PhishingResistant: r.PhishingResistant, Not: r.Not},
		})
		if err != nil {
			return nil, err
		}
		p.session = s
		return &Login{Pending: p}, nil
	})
}

// authorize returns nil if s may change what the user has: a second factor that
// the policy accepts within five minutes or, with nothing set up, the first
// factor within five minutes (NIST SP 800-63B-4 section 4.1.2.1, ASVS 7.5.1).
// The proof that did it is nil for the first factor.
func (g *Guard) authorize(a *vault.Account, s *Session, u User, usable usable) (*wireProof, error) {
	if !a.Any() {
		if s.current(a) && s.freshFirst(a.Now()) {
			return nil, nil
		}
		return nil, &StepUpError{First: true}
	}
	r := u.Policy.Rule
	r.MaxAge, r.AllowWithout = defaultAge, false
	if p := s.proves(a, u, r); p != nil {
		return p, nil
	}
	return nil, g.require(a, s, u, r, usable)
}
