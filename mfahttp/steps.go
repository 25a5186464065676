package mfahttp

// What pages and JSON have in common: the calls to the guard, and what the
// application is told after them.

import (
	"errors"

	"github.com/seed-f4994bf1/mfa"
)

// A flow is what an answer is for.
type flow string

const (
	signIn flow = "sign-in"
	stepUp flow = "step-up"
)

// The kinds that the pages treat in their own way. They are strings, so
// that no factor is imported.
const (
	kindTOTP   mfa.Kind = "totp"   // the wizard names apps
	kindBackup mfa.Kind = "backup" // what a set is called before there is one
	kindEmail  mfa.Kind = "email"  // the profile's address is one
)

// pending finds what the token stands for: a sign-in of this browser, or a
// step-up of this session. Who it is about is in the token alone.
func (v *visit) pending(f flow) (*mfa.Pending, error) {
	if f == stepUp {
		s := v.session()
		if s == nil {
			return nil, errSignIn
		}
		return v.h.guard.ResumeStepUp(s, v.in.Token)
	}
	binding, ok := v.h.binding(v.r)
	if !ok {
		return nil, mfa.ErrInvalid
	}
	return v.h.guard.ResumeBound(v.in.Token, binding)
}

// start hands a completed login to the application.
func (v *visit) start(l *mfa.Login) error {
	if l.Session == nil {
		return errors.New("mfahttp: no session")
	}
	return v.h.app.StartSession(v.w, v.r, l)
}

// verify judges the answer and, if it is right, starts the session.
func (v *visit) verify(p *mfa.Pending) (*mfa.Login, error) {
	l, err := p.Verify(v.ctx, v.answer())
	if err != nil {
		return nil, err
	}
	return l, v.start(l)
}

// challenge asks for what the answer needs. sent is false if it stands but did
// not go out.
func (v *visit) challenge(p *mfa.Pending, o mfa.Offer) (c *mfa.Challenge, sent bool, err error) {
	c, err = p.Challenge(v.ctx, o)
	if c != nil && undelivered(err) {
		return c, false, nil
	}
	return c, err == nil, err
}

func undelivered(err error) bool {
	var effect *mfa.EffectError
	return errors.As(err, &effect)
}

// newFactor is what is to be enrolled.
func (v *visit) newFactor() mfa.NewFactor {
	return mfa.NewFactor{Kind: v.in.Kind, Name: v.in.Name, Address: v.in.Address, Conditional: v.in.Conditional}
}

// An enrollment is one that began, and whether what its answer needs went out.
type enrollment struct {
	*mfa.Enrollment
	sent bool
}

func begun(e *mfa.Enrollment, err error) (*enrollment, error) {
	if e == nil || err != nil && !undelivered(err) {
		return nil, err
	}
	return &enrollment{e, err == nil}, nil
}

// forcedConfirm completes a forced enrolment. A login that comes with an error
// holds codes that must be shown all the same: they will not come again.
func (v *visit) forcedConfirm(p *mfa.Pending) (*mfa.Login, error) {
	l, err := p.Confirm(v.ctx, v.in.EnrollmentID, v.answer())
	if err != nil {
		return nil, err
	}
	return l, v.start(l)
}

// enroll begins an enrolment. One that counts at once renews the session; as
// above, its codes are shown even if that fails.
func (v *visit) enroll(s *mfa.Session, n mfa.NewFactor) (*enrollment, error) {
	e, err := begun(v.h.guard.Settings(s).Enroll(v.ctx, n))
	if err != nil {
		return nil, err
	}
	if e.Session != nil {
		err = v.start(&mfa.Login{Session: e.Session})
	}
	return e, err
}

// confirm completes an enrolment.
func (v *visit) confirm(s *mfa.Session) (*mfa.Change, error) {
	c, err := v.h.guard.Settings(s).Confirm(v.ctx, v.in.EnrollmentID, v.answer())
	if err != nil {
		return nil, err
	}
	return c, v.start(&mfa.Login{Session: c.Session})
}

func (v *visit) remove(s *mfa.Session) (*mfa.Change, error) {
	return v.changed(v.h.guard.Settings(s).Remove(v.ctx, v.in.ID))
}

func (v *visit) removeAll(s *mfa.Session) (*mfa.Change, error) {
	return v.changed(v.h.guard.Settings(s).RemoveAll(v.ctx))
}

func (v *visit) changed(c *mfa.Change, err error) (*mfa.Change, error) {
	if err != nil {
		return nil, err
	}
	return c, v.start(&mfa.Login{Session: c.Session})
}

// recovery is the kind of the user's backup codes, "" if there is none.
func (v *visit) recovery(o *mfa.Overview) mfa.Kind {
	for _, k := range o.Available {
		if t, ok := v.h.guard.Traits(k); ok && t.Recovery {
			return k
		}
	}
	return ""
}

func reveal(secrets []mfa.Secret) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = s.Reveal()
	}
	return out
}
