package mfa

// What a forced enrolment and the settings share.

import (
	"context"
	"errors"
	"fmt"
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

// enrolling finds out before the decision whether n may be enrolled at all.
func (g *Guard) enrolling(ctx context.Context, userID string, n NewFactor) (User, Method, error) {
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
	return u, m, nil
}

// enroll begins an enrolment that only the same flow can confirm.
func (g *Guard) enroll(ctx context.Context, a *vault.Account, u User, m Method, n NewFactor, flow string) (*Enrollment, error) {
	if wait, ok := a.Allow("enrol", vault.Limit{N: enrollments, Per: time.Hour}); !ok {
		return nil, &LimitError{RetryAfter: wait}
	}
	e, err := m.Enroll(ctx, a.Scope(n.Kind, string(PurposeConfirm), flow), EnrollRequest{
		Request: Request{User: u, Purpose: PurposeConfirm, Flow: flow}, Name: n.Name, Address: n.Address,
	})
	if err == nil && e == nil {
		err = fmt.Errorf("mfa: %s: neither an enrolment nor an error", n.Kind)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
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
	return u, c, nil
}

// confirm activates the enrolment if the answer is right. With the first factor
// come the recovery codes.
func (g *Guard) confirm(ctx context.Context, a *vault.Account, u User, c Confirmer, id string, answer Answer, flow string) (FactorInfo, []Secret, error) {
	first := g.standing(a) == 0
	r := Request{User: u, Purpose: PurposeConfirm, Flow: flow}
	f, err := judge(a, c.(Method), r.Purpose, flow, func(s *vault.Scope) (*vault.Factor, error) {
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
	info := g.info(*f)
	g.tell(a, u, Event{Type: EventFactorAdded, Kind: info.Kind, FactorID: info.ID, Name: info.Name})
	var codes []Secret
	for _, m := range g.order {
		if !first || !m.Traits().Recovery {
			continue
		}
		e, err := g.recover(ctx, a, u, m, flow)
		if errors.Is(err, ErrRejected) { // the verdict is the answer's, and that was right
			err = fmt.Errorf("mfa: %s: no recovery codes: %v", m.Kind(), err)
		}
		if err != nil {
			return FactorInfo{}, nil, err
		}
		codes = append(codes, e.Codes...)
	}
	g.endSessions(a, EventFactorAdded)
	return info, codes, nil
}

// recover makes a new set of recovery codes. The old one dies.
func (g *Guard) recover(ctx context.Context, a *vault.Account, u User, m Method, flow string) (*Enrollment, error) {
	e, err := m.Enroll(ctx, a.Scope(m.Kind(), string(PurposeConfirm), flow), EnrollRequest{
		Request: Request{User: u, Purpose: PurposeConfirm, Flow: flow},
	})
	if err == nil && (e == nil || !e.Active) {
		err = fmt.Errorf("mfa: %s: recovery codes that do not count at once", m.Kind())
	}
	if err != nil {
		return nil, err
	}
	g.tell(a, u, Event{Type: EventCodesMade, Kind: m.Kind(), FactorID: e.ID, Left: len(e.Codes)})
	return e, nil
}
