package mfa

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/seed-f4994bf1/mfa/vault"
)

// Settings are what a signed-in user may do to the own account. All but
// Overview and Confirm want a second factor proven within five minutes, or the
// first factor while nothing is set up; else they return a *StepUpError.
type Settings struct {
	g *Guard
	s *Session
}

// Settings returns those of the session's user.
func (g *Guard) Settings(s *Session) *Settings { return &Settings{g, g.orNone(s)} }

func (s Settings) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("settings [redacted]")) }

// A FactorInfo is what may be shown of a factor.
type FactorInfo struct {
	ID       string
	Kind     Kind
	Name     string
	Hint     string
	Added    time.Time
	LastUsed time.Time // zero: never
	Traits   Traits    // zero for a kind that is not configured
	Disabled bool      // 100 failures in a row ended it: to be enrolled again
	Stale    bool      // codes go to an address that is not the one in the profile any more; set in an Overview
	Left     int       // of a set of recovery codes
}

func (g *Guard) info(f vault.Factor) FactorInfo {
	i := FactorInfo{
		ID: f.ID, Kind: f.Kind, Name: f.Name, Added: f.Added, LastUsed: f.LastUsed, Disabled: f.Disabled,
	}
	if m := g.methods[f.Kind]; m != nil {
		i.Traits, i.Hint = m.Traits(), hint(m, f)
		if c, ok := m.(Counted); ok {
			i.Left = c.Left(f)
		}
	}
	return i
}

// An Advice is shown to a user until it is followed.
type Advice string

const (
	AdviceRequired    Advice = "required"      // must be set up by Policy.From
	AdviceRecommended Advice = "recommended"   // should be set up
	AdviceMoreMethods Advice = "more-methods"  // a second one, so that losing one does not lock out
	AdviceCodesLow    Advice = "codes-low"     // make new recovery codes
	AdviceCodesUsedUp Advice = "codes-used-up" // the same, now
	AdviceFactorEnded Advice = "factor-ended"  // a factor was disabled: enrol it again
	AdviceStale       Advice = "stale-address" // the profile has another address than codes are sent to: verify it
)

const defaultMethodCount = 2

// An Overview is what one user has.
type Overview struct {
	User       User
	Factors    []FactorInfo // oldest first
	BackupLeft int          // recovery codes
	Available  []Kind       // that can be enrolled now
	Advice     []Advice
	LockedFor  time.Duration // until the next typed answer is looked at; 0: now
	Exempt     []By          // the first factors that pass alone

	// Withheld are the configured methods that cannot be offered to this user
	// now, and why. It is for the developer, not for the user's eyes.
	Withheld map[Kind]error

	Err error // this user could not be read; the rest is empty
}

// Enabled reports whether anything is set up.
func (o *Overview) Enabled() bool { return len(o.Factors) > 0 }

func (g *Guard) overview(ctx context.Context, userID string) (*Overview, error) {
	u, err := g.user(ctx, userID)
	if err != nil {
		return nil, err
	}
	usable := g.usable(ctx, u)
	return vault.Read(ctx, g.vault, userID, func(a *vault.Account) (*Overview, error) {
		o := &Overview{User: u, LockedFor: a.Tries().Wait, Withheld: usable.withheld}
		for _, f := range a.Factors() {
			i := g.info(f)
			if m, ok := g.methods[f.Kind].(Addressed); ok {
				i.Stale = m.Stale(u, f)
			}
			o.Factors = append(o.Factors, i)
		}
		standing := g.standing(a)
		for _, m := range usable.methods {
			if m.Traits().Recovery && standing > 0 || !m.Traits().Recovery && u.Policy.offers(m) {
				o.Available = append(o.Available, m.Kind())
			}
		}
		if u.Policy.Demand == Exempt {
			o.Exempt = slices.Clone(u.Policy.ExemptBy)
		}
		left, codes := g.left(a)
		o.BackupLeft = left
		o.Advice = advise(u.Policy, o.Factors, standing, left, codes)
		return o, nil
	})
}

func advise(p Policy, fs []FactorInfo, standing, left int, codes bool) []Advice {
	var as []Advice
	want := p.Methods
	if want <= 0 {
		want = defaultMethodCount
	}
	switch {
	case standing == 0 && p.Demand == Required:
		as = append(as, AdviceRequired)
	case standing == 0 && p.Demand == Recommended:
		as = append(as, AdviceRecommended)
	case standing > 0 && standing < want:
		as = append(as, AdviceMoreMethods)
	}
	switch {
	case codes && left == 0:
		as = append(as, AdviceCodesUsedUp)
	case codes && left <= lowCodes:
		as = append(as, AdviceCodesLow)
	}
	if slices.ContainsFunc(fs, func(f FactorInfo) bool { return f.Disabled }) {
		as = append(as, AdviceFactorEnded)
	}
	if slices.ContainsFunc(fs, func(f FactorInfo) bool { return f.Stale }) {
		as = append(as, AdviceStale)
	}
	return as
}

// Overview returns what the user has now.
func (s *Settings) Overview(ctx context.Context) (*Overview, error) {
	return s.g.overview(ctx, s.s.user)
}

// Check returns nil if the session is fresh enough to change something now, else
// the *StepUpError that a change would give. It lets a page ask before its form
// is filled in; the change itself decides anew.
func (s *Settings) Check(ctx context.Context) error {
	u, err := s.g.user(ctx, s.s.user)
	if err != nil {
		return err
	}
	usable := s.g.usable(ctx, u)
	_, err = vault.Read(ctx, s.g.vault, s.s.user, func(a *vault.Account) (struct{}, error) {
		_, err := s.g.authorize(a, s.s, u, usable)
		return struct{}{}, err
	})
	return err
}

// Signals returns what the browser of the signed-in user should be told, by kind,
// so that it offers no passkey that is not one any more: JSON for the Signal API
// of WebAuthn. A session that proves nothing gets nothing.
func (s *Settings) Signals(ctx context.Context) (map[Kind]json.RawMessage, error) {
	u, err := s.g.user(ctx, s.s.user)
	if err != nil {
		return nil, err
	}
	return vault.Read(ctx, s.g.vault, s.s.user, func(a *vault.Account) (map[Kind]json.RawMessage, error) {
		all := map[Kind]json.RawMessage{}
		if !s.s.current(a) || !a.Exists() {
			return all, nil
		}
		for _, m := range s.g.order {
			if sig, ok := m.(Signaler); ok {
				signals, err := sig.Signals(a.Scope(m.Kind(), "", ""), u)
				if err != nil {
					return nil, err
				}
				all[m.Kind()] = signals
			}
		}
		return all, nil
	})
}

// change runs a change that the session must be fresh enough for.
func change[T any](ctx context.Context, s *Settings, u User, f func(*vault.Account) (T, error)) (T, error) {
	usable := s.g.usable(ctx, u)
	return vault.Update(ctx, s.g.vault, s.s.user, func(a *vault.Account) (T, error) {
		var zero T
		by, err := s.g.authorize(a, s.s, u, usable)
		if err != nil {
			return zero, err
		}
		t, err := f(a)
		if err == nil && by != nil && s.g.methods[by.Kind].Traits().Recovery {
			s.g.tell(a, u, Event{Type: EventRecoveryChange, Kind: by.Kind, FactorID: by.FactorID})
		}
		return t, err
	})
}

// Enroll begins an enrolment, which Confirm of the same session completes
// within ten minutes. An active one counts at once: recovery codes, of which
// the old set dies. ErrTooMany after 20 enrolments or 10 new sets in an hour. An
// *EffectError says that the enrolment stands, but its code could not be sent.
func (s *Settings) Enroll(ctx context.Context, n NewFactor) (*Enrollment, error) {
	g := s.g
	u, m, err := g.enrolling(ctx, s.s.user, &n)
	if err != nil {
		return nil, err
	}
	usable := g.usable(ctx, u)
	if err := g.limitEnrolling(ctx, u, m, n, func(a *vault.Account) (*Enrollment, error) {
		if _, err := g.authorize(a, s.s, u, usable); err != nil {
			return nil, err
		}
		return g.enroll(ctx, a, m, n, s.request(u))
	}); err != nil {
		return nil, err
	}
	e, err := change(ctx, s, u, func(a *vault.Account) (e *Enrollment, err error) {
		if m.Traits().Recovery {
			if g.standing(a) == 0 {
				return nil, vault.Uncounted(ErrNotEnrolled)
			}
			if wait, ok := a.Allow("codes", vault.Limit{N: codeSets, Per: time.Hour}); !ok {
				return nil, &LimitError{RetryAfter: wait}
			}
			g.endSessions(a, EventCodesMade)
			e, err = g.recover(ctx, a, m, s.request(u))
		} else {
			e, err = g.enroll(ctx, a, m, n, s.request(u))
		}
		if err != nil || !e.Active {
			return e, err
		}
		if !m.Traits().Recovery {
			g.endSessions(a, EventFactorAdded)
			g.tell(a, u, Event{Type: EventFactorAdded, Kind: n.Kind, FactorID: e.ID, Name: n.Name})
		}
		e.Session, err = s.s.renewed(a, nil)
		return e, err
	})
	switch {
	case e == nil:
	case e.Active:
		err = delivered(err)
	default:
		g.undelivered(ctx, s.request(u), m, e.Challenge, n.Address, err)
	}
	return e, err
}

// request is that of an enrolment, which belongs to the session.
func (s *Settings) request(u User) Request {
	return Request{User: u, Purpose: PurposeConfirm, Flow: flow(s.s.t.ID)}
}

// A Change is what a change of the settings brings with it.
type Change struct {
	Session     *Session   // the caller's own, renewed: to be kept in place of the old one
	Factor      FactorInfo // that was added or removed
	BackupCodes []Secret   // to be shown once
}

func (c *Change) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "change of %s %s", c.Factor.Kind, c.Factor.ID)
}

// Confirm completes an enrolment that this session began. It wants no step-up.
// With the first factor come recovery codes.
func (s *Settings) Confirm(ctx context.Context, id string, answer Answer) (*Change, error) {
	u, m, err := s.g.confirming(ctx, s.s.user, answer)
	if err != nil {
		return nil, err
	}
	c, err := vault.Update(ctx, s.g.vault, s.s.user, func(a *vault.Account) (*Change, error) {
		if !s.s.current(a) {
			return nil, &StepUpError{First: true}
		}
		info, codes, err := s.g.confirm(ctx, a, m, id, answer, s.request(u))
		if err != nil {
			return nil, err
		}
		session, err := s.s.renewed(a, nil)
		if err != nil {
			return nil, err
		}
		return &Change{Session: session, Factor: info, BackupCodes: codes}, nil
	})
	return c, delivered(err)
}

// Rename gives a factor another name. ErrNotFound if the user has none with
// that ID; ErrArgument if the name is over 64 bytes or not printable.
func (s *Settings) Rename(ctx context.Context, id, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	u, err := s.g.user(ctx, s.s.user)
	if err != nil {
		return err
	}
	_, err = change(ctx, s, u, func(a *vault.Account) (struct{}, error) {
		i := slices.IndexFunc(a.Factors(), func(f vault.Factor) bool { return f.ID == id })
		if i < 0 {
			return struct{}{}, ErrNotFound
		}
		f := a.Factors()[i]
		if f.Name == name {
			return struct{}{}, nil
		}
		if wait, ok := a.Allow("rename", vault.Limit{N: renames, Per: time.Hour}); !ok { // each is a notice
			return struct{}{}, &LimitError{RetryAfter: wait}
		}
		if _, err := a.Rename(id, name); err != nil {
			return struct{}{}, err
		}
		s.g.tell(a, u, Event{Type: EventFactorRenamed, Kind: f.Kind, FactorID: id, Name: name})
		return struct{}{}, nil
	})
	return delivered(err)
}

// Remove ends a factor. ErrNotFound if the user has none with that ID,
// ErrLastFactor if none that works is left to sign in with, recovery codes apart:
// RemoveAll is the call for that.
func (s *Settings) Remove(ctx context.Context, id string) (*Change, error) {
	g := s.g
	u, err := g.user(ctx, s.s.user)
	if err != nil {
		return nil, err
	}
	c, err := change(ctx, s, u, func(a *vault.Account) (*Change, error) {
		i := slices.IndexFunc(a.Factors(), func(f vault.Factor) bool { return f.ID == id })
		if i < 0 {
			return nil, ErrNotFound
		}
		f := a.Factors()[i]
		a.Remove(id)
		if g.standing(a) == 0 {
			return nil, ErrLastFactor
		}
		e := Event{Type: EventFactorRemoved, Kind: f.Kind, FactorID: id, Name: f.Name}
		if to, ok := g.methods[f.Kind].(Addressed); ok {
			e.Address = to.Address(f)
		}
		g.endSessions(a, EventFactorRemoved)
		g.tell(a, u, e)
		session, err := s.s.renewed(a, nil)
		if err != nil {
			return nil, err
		}
		return &Change{Session: session, Factor: g.info(f)}, nil
	})
	return c, delivered(err)
}

// RemoveAll switches the second factor off: every factor, the recovery codes
// and all that was handed out end. ErrRequired if the policy demands one.
func (s *Settings) RemoveAll(ctx context.Context) (*Change, error) {
	g := s.g
	u, err := g.user(ctx, s.s.user)
	if err != nil {
		return nil, err
	}
	c, err := change(ctx, s, u, func(a *vault.Account) (*Change, error) {
		if u.Policy.requires(a.Now()) {
			return nil, ErrRequired
		}
		if !a.Any() {
			return nil, ErrNotFound
		}
		a.RemoveAll()
		g.endSessions(a, EventAllRemoved)
		g.tell(a, u, Event{Type: EventAllRemoved})
		session, err := s.s.renewed(a, nil)
		if err != nil {
			return nil, err
		}
		return &Change{Session: session}, nil
	})
	return c, delivered(err)
}
