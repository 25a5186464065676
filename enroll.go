package mfa

// What a forced enrolment and the settings share.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa/vault"
)

// enrollments is how many enrolments may be begun in an hour: whoever has only
// the first factor of a user with nothing set up can cause them.
const enrollments = 20

// codeSets is how many sets of recovery codes may be made anew in an hour: each
// takes as long to hash as all of its codes.
const codeSets = 10

// renames is how many names may be changed in an hour.
const renames = 20

// checkName returns ErrArgument unless name may be shown anywhere.
func checkName(name string) error {
	if len(name) > vault.MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: name", ErrArgument)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: name", ErrArgument)
		}
	}
	return nil
}

// enrolling finds out before the decision whether n may be enrolled at all, and
// brings its address into the one form that is kept.
func (g *Guard) enrolling(ctx context.Context, userID string, n *NewFactor) (User, Method, error) {
	u, err := g.user(ctx, userID)
	if err != nil {
		return u, nil, err
	}
	if err := checkName(n.Name); err != nil {
		return u, nil, err
	}
	m := g.methods[n.Kind]
	if m == nil {
		return u, nil, fmt.Errorf("%w: no such method", ErrArgument)
	}
	if !m.Traits().Recovery && !u.Policy.offers(m) {
		return u, nil, ErrNoMethod
	}
	if c, ok := m.(Conditional); ok {
		if err := c.Available(ctx, u); err != nil {
			return u, nil, fmt.Errorf("%w: %w", ErrNoMethod, err)
		}
	}
	if to, ok := m.(Addressed); ok {
		if n.Address, err = to.Resolve(u, n.Address); err != nil {
			return u, nil, err
		}
	}
	return u, m, err
}

// limitEnrolling asks Config.Limit about what an enrolment will send, unless it is
// refused anyway: nothing is counted for that.
func (g *Guard) limitEnrolling(ctx context.Context, u User, m Method, n NewFactor, enroll func(*vault.Account) (*Enrollment, error)) error {
	if _, ok := m.(Addressed); !ok || g.cfg.Limit == nil {
		return nil
	}
	e, err := vault.Read(ctx, g.vault, u.ID, enroll)
	if err != nil || e.Challenge != nil && e.Challenge.Earlier { // which sends nothing
		return err
	}
	return g.limit(ctx, Use{UserID: u.ID, Purpose: PurposeConfirm, Kind: n.Kind, Address: n.Address})
}

// enroll begins an enrolment that only the same flow can confirm. One that is
// refused is none.
func (g *Guard) enroll(ctx context.Context, a *vault.Account, m Method, n NewFactor, r Request) (*Enrollment, error) {
	if n.Conditional && g.standing(a) == 0 {
		return nil, vault.Uncounted(ErrNotEnrolled) // nobody's second step is turned on unasked
	}
	if wait, ok := a.Allow("enrol", vault.Limit{N: enrollments, Per: time.Hour}); !ok {
		return nil, &LimitError{RetryAfter: wait}
	}
	e, err := m.Enroll(ctx, a.Scope(n.Kind, string(r.Purpose), r.Flow), EnrollRequest{
		Request: r, Name: n.Name, Address: n.Address, Conditional: n.Conditional,
	})
	if err == nil && e == nil {
		err = fmt.Errorf("mfa: %s: neither an enrolment nor an error", n.Kind)
	}
	if err != nil {
		a.Refund("enrol", a.Now())
		return nil, err
	}
	return e, nil
}

// limitSending asks Config.Limit about what a challenge will send to one of the
// user's factors, and returns where to.
func (g *Guard) limitSending(ctx context.Context, r Request, m Method, factorID string, ask func(*vault.Account) (*Challenge, error)) (address string, err error) {
	to, ok := m.(Addressed)
	if !ok || g.cfg.Limit == nil {
		return "", nil
	}
	address, err = vault.Read(ctx, g.vault, r.User.ID, func(a *vault.Account) (string, error) {
		if c, err := ask(a); err != nil || c.Earlier { // nothing is counted for what will not be sent anyway
			return "", err
		}
		for _, f := range a.Factors() {
			if f.Kind == m.Kind() && !f.Disabled && (factorID == "" || f.ID == factorID) {
				return to.Address(f), nil
			}
		}
		return "", nil // the decision will say that there is none
	})
	if err != nil || address == "" {
		return "", err
	}
	return address, g.limit(ctx, Use{UserID: r.User.ID, Purpose: r.Purpose, Kind: m.Kind(), Address: address})
}

// undeliveredTime is for taking note that something could not be sent.
const undeliveredTime = 2 * time.Second

// undelivered lets what could not be sent be asked for again at once, and tells
// the developer why.
func (g *Guard) undelivered(ctx context.Context, r Request, m Method, c *Challenge, address string, err error) {
	failed, ok := err.(*EffectError)
	if !ok {
		return
	}
	cause := failed.Err
	if d, ok := m.(Deliverer); ok {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), undeliveredTime)
		defer cancel()
		_, err := vault.Update(own, g.vault, r.User.ID, func(a *vault.Account) (struct{}, error) {
			if a.Exists() {
				d.Undelivered(a.Scope(m.Kind(), string(r.Purpose), r.Flow), r)
			}
			return struct{}{}, nil
		})
		if err == nil && c != nil {
			c.Resend = time.Time{}
		}
		cause = errors.Join(cause, err)
	}
	now, err := g.vault.Now()
	if err != nil {
		cause = errors.Join(cause, err)
	}
	g.emit(ctx, Event{
		Type: EventDeliveryFailed, Time: now, UserID: r.User.ID, Kind: m.Kind(), Purpose: r.Purpose, Address: address, Err: cause,
	})
}

// confirming finds the method of a confirming answer.
func (g *Guard) confirming(ctx context.Context, userID string, answer Answer) (User, Confirmer, error) {
	u, err := g.user(ctx, userID)
	if err != nil {
		return u, nil, err
	}
	c, ok := g.methods[answer.Kind].(Confirmer)
	if !ok {
		return u, nil, fmt.Errorf("%w: nothing to confirm", ErrArgument)
	}
	if !u.Policy.offers(c.(Method)) { // the policy may have changed since it began
		return u, nil, ErrNoMethod
	}
	return u, c, g.limit(ctx, Use{UserID: userID, Purpose: PurposeConfirm, Kind: answer.Kind})
}

// confirm activates the enrolment if the answer is right. With the first factor
// come the recovery codes.
func (g *Guard) confirm(ctx context.Context, a *vault.Account, c Confirmer, id string, answer Answer, r Request) (FactorInfo, []Secret, error) {
	u, before, first := r.User, a.Factors(), g.standing(a) == 0
	f, err := judge(a, c.(Method), r.Purpose, r.Flow, func(s *vault.Scope) (*vault.Factor, error) {
		f, err := c.Confirm(ctx, s, ConfirmRequest{r, id, answer})
		if err == nil && f != nil && s.Factor(f.ID) == nil {
			return nil, fmt.Errorf("mfa: %s: confirmed a factor that is not active", answer.Kind)
		}
		return f, err
	})
	if err != nil {
		return FactorInfo{}, nil, err
	}
	a.Confirmed()
	info, of := g.info(*f), EventFactorAdded
	e := Event{Type: of, Kind: info.Kind, FactorID: info.ID, Name: info.Name}
	if to, ok := c.(Addressed); ok {
		e.Address = to.Address(*f)
		if old := replaced(a, before, info.Kind); old != nil && to.Address(*old) != e.Address {
			of = EventAddressChanged
			e.Type, e.Old = of, to.Address(*old)
		}
	}
	g.endSessions(a, of) // before anybody is told, which may take its time
	g.tell(a, u, e)
	var codes []Secret
	for _, m := range g.order {
		if !first || !m.Traits().Recovery {
			continue
		}
		e, err := g.recover(ctx, a, m, r)
		if errors.Is(err, ErrRejected) { // the verdict is the answer's, and that was right
			err = fmt.Errorf("mfa: %s: no recovery codes: %v", m.Kind(), err)
		}
		if err != nil {
			return FactorInfo{}, nil, err
		}
		codes = append(codes, e.Codes...)
	}
	return info, codes, nil
}

// replaced returns the factor of that kind which was there before and is not any
// more, nil if there is none.
func replaced(a *vault.Account, before []vault.Factor, k Kind) *vault.Factor {
	now := a.Factors()
	for i, f := range before {
		if f.Kind == k && !slices.ContainsFunc(now, func(o vault.Factor) bool { return o.ID == f.ID }) {
			return &before[i]
		}
	}
	return nil
}

// recover makes a new set of recovery codes. The old one dies.
func (g *Guard) recover(ctx context.Context, a *vault.Account, m Method, r Request) (*Enrollment, error) {
	e, err := m.Enroll(ctx, a.Scope(m.Kind(), string(r.Purpose), r.Flow), EnrollRequest{Request: r})
	if err == nil && (e == nil || !e.Active) {
		err = fmt.Errorf("mfa: %s: recovery codes that do not count at once", m.Kind())
	}
	if err != nil {
		return nil, err
	}
	g.tell(a, r.User, Event{Type: EventCodesMade, Kind: m.Kind(), FactorID: e.ID, Left: len(e.Codes)})
	return e, nil
}
