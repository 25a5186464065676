package mfa

// Signing in by a passkey, with no name and no password before it.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// passkeyTTL is how long a challenge that nobody's account had a part in is good
// (WebAuthn section 13.4.3).
const passkeyTTL = 5 * time.Minute

// A PasskeySignIn is what the application brings to one. It prints as nothing.
type PasskeySignIn struct {
	Carry   string // as in FirstFactor
	Binding string // as in FirstFactor
}

func (PasskeySignIn) Format(s fmt.State, _ rune)   { fmt.Fprint(s, "passkey sign-in") }
func (PasskeySignIn) MarshalJSON() ([]byte, error) { return []byte(`"passkey sign-in"`), nil }

// BeginPasskey begins a sign-in by a passkey: the Challenge's Options are for
// the browser, which lets the person choose (or, with autofill, offers passkeys in
// the field for the name), and the Pending's Verify takes the answer. It reads and
// writes nothing, so anybody may call it as often as he likes.
//
// Verify gives a Session if the user's Policy has PasskeyAlone. Else the passkey
// was the first factor, and the Login has another Pending, for a second one of
// another kind. It is good for five minutes. ErrNoMethod if no method can do it.
func (g *Guard) BeginPasskey(ctx context.Context, f PasskeySignIn) (*Pending, *Challenge, error) {
	if len(f.Carry) > maxCarry {
		return nil, nil, fmt.Errorf("%w: carry", ErrArgument)
	}
	now, err := g.vault.Now()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range g.order {
		d, ok := m.(Discoverer)
		if !ok {
			continue
		}
		t := pendingToken{
			ID: newTokenID(), Purpose: PurposeAlone, By: ByPasskey, Issued: now.UnixMilli(),
			Binding: hashBinding(f.Binding), Carry: f.Carry,
		}
		until := now.Add(passkeyTTL)
		c, state, err := d.Discover(Request{
			User: User{Service: g.cfg.Service}, Purpose: PurposeAlone, Flow: flow(t.ID), Until: until,
		})
		if err == nil && (c == nil || len(state) == 0) {
			err = fmt.Errorf("mfa: %s: neither a challenge nor an error", m.Kind())
		}
		if err != nil {
			return nil, nil, err
		}
		if c.Expires.IsZero() || c.Expires.After(until) {
			c.Expires = until
		}
		t.State = state
		p, err := g.newPending(t)
		return p, c, err
	}
	return nil, nil, ErrNoMethod
}

// ResumePasskey is Resume for what BeginPasskey began, with its Binding.
func (g *Guard) ResumePasskey(token, binding string) (*Pending, error) {
	return g.resume(token, PurposeAlone, nil, binding)
}

// verifyAlone is Verify where the answer says who it is. Whoever it names, the
// account decides: the store's word on who owns a key is a hint.
func (p *Pending) verifyAlone(ctx context.Context, answer Answer) (*Login, error) {
	g := p.g
	m, ok := g.methods[answer.Kind].(Discoverer)
	if !ok {
		return nil, ErrInvalid
	}
	if err := g.limit(ctx, Use{Purpose: PurposeAlone, Kind: answer.Kind}); err != nil {
		return nil, err
	}
	now, err := g.vault.Now()
	if err != nil {
		return nil, err
	}
	if !now.Before(p.Expires()) { // before anything is looked up: it is told alike whoever it is
		return nil, ErrExpired
	}
	key, err := m.Identify(answer)
	if err != nil {
		return nil, err
	}
	userID, err := g.vault.Owner(ctx, answer.Kind, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, p.nobody(ctx, m, answer)
	}
	if err != nil {
		return nil, err
	}
	u, err := g.user(ctx, userID)
	if errors.Is(err, ErrRejected) {
		return nil, p.nobody(ctx, m, answer)
	}
	if err != nil {
		return nil, err
	}
	if err := g.limit(ctx, Use{UserID: userID, Purpose: PurposeAlone, Kind: answer.Kind}); err != nil {
		return nil, err
	}
	usable := g.usable(ctx, u)
	switch {
	case usable.withheld[answer.Kind] != nil: // perhaps for a moment: the answer may be right
		return nil, usable.none()
	case p.method(answer.Kind, u, usable) == nil:
		return nil, ErrInvalid
	}
	r := p.request(u)
	login, err := vault.Update(ctx, g.vault, userID, func(a *vault.Account) (*Login, error) {
		if !a.Now().Before(p.Expires()) || !a.LiveWithoutEpoch(string(p.t.ID), time.UnixMilli(p.t.Issued)) {
			return nil, ErrExpired
		}
		v, err := judge(a, m.(Method), r.Purpose, r.Flow, func(s *vault.Scope) (*Verification, error) {
			v, err := m.Verify(ctx, s, VerifyRequest{Request: r, Answer: answer, State: p.t.State})
			if err == nil && v != nil && s.Factor(v.FactorID) == nil {
				return nil, fmt.Errorf("mfa: %s: verified by a factor that the user does not have", answer.Kind)
			}
			if err == nil && v != nil && !v.UserVerified {
				return nil, ErrInvalid
			}
			return v, err
		})
		if err != nil {
			g.tellFailure(a, u, p.t, m.(Method), err)
			return nil, err
		}
		if u.Policy.PasskeyAlone {
			return p.succeed(a, u, m.(Method), v)
		}
		return p.second(a, u, usable, answer.Kind, v)
	})
	return login, delivered(err)
}

// nobody refuses an answer that no account knows, with about as much work as one
// that an account refuses.
func (p *Pending) nobody(ctx context.Context, m Discoverer, answer Answer) error {
	_, err := vault.Read(ctx, p.g.vault, flow(p.t.ID), func(a *vault.Account) (*Verification, error) {
		r := p.request(User{})
		return m.Verify(ctx, a.Scope(answer.Kind, string(r.Purpose), r.Flow), VerifyRequest{Request: r, Answer: answer, State: p.t.State})
	})
	if err == nil || errors.Is(err, ErrRejected) {
		return ErrInvalid
	}
	return err
}

// second makes of a passkey that was proven the first factor of a sign-in, which
// a factor of another kind has to complete.
func (p *Pending) second(a *vault.Account, u User, usable usable, k Kind, v *Verification) (*Login, error) {
	p.spend(a)
	a.Used(v.FactorID)
	p.g.tellClone(a, u, p.t, k, v)
	rule := wireRule{Not: []Kind{k}}
	next, err := p.g.newPending(pendingToken{
		User: u.ID, ID: newTokenID(), Purpose: PurposeSignIn, By: ByPasskey, Issued: a.Now().UnixMilli(),
		Epoch: []byte(a.Epoch()), Binding: p.t.Binding, Carry: p.t.Carry, Rule: &rule,
	})
	if err != nil {
		return nil, err
	}
	if len(p.g.offers(a, u, next.rule(), usable)) == 0 {
		return nil, usable.none()
	}
	return &Login{Pending: next, Carry: p.t.Carry}, nil
}
