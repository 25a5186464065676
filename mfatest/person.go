package mfatest

import (
	"cmp"
	"errors"
	"sync"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// A Person is a user with what proves it: authenticator apps, a mailbox, backup
// codes, and an Authenticator for security keys and passkeys.
type Person struct {
	UserID  string
	Address string // of the mailbox: the user ID at example.com, where that is one

	kit *Kit

	mu      sync.Mutex
	apps    []*App
	codes   []string // unused ones
	read    int      // mails that Answer has taken a code from
	first   mfa.Kind // that was enrolled
	key     *Authenticator
	session *mfa.Session
}

// App returns the app that was enrolled last, nil if there is none.
func (p *Person) App() *App {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.apps) == 0 {
		return nil
	}
	return p.apps[len(p.apps)-1]
}

// Authenticator returns the one that the person uses: a new one at Origin, if the
// person has had none.
func (p *Person) Authenticator() *Authenticator {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		p.key = NewAuthenticator(Origin)
	}
	return p.key
}

// Use gives the person another Authenticator, such as for a second key: one that
// is enrolled already is excluded, as browsers do.
func (p *Person) Use(a *Authenticator) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = a
}

// Codes returns the backup codes that Answer has not given away.
func (p *Person) Codes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.codes...)
}

// Session returns the session in which the person enrolled or signed in last
// by SignIn.
func (p *Person) Session() *mfa.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// Keep makes s the person's session and codes, unless there are none, the
// person's backup codes: after a change that the test made itself.
func (p *Person) Keep(s *mfa.Session, codes ...mfa.Secret) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s != nil {
		p.session = s
	}
	if len(codes) > 0 {
		p.codes = p.codes[:0:0]
		for _, c := range codes {
			p.codes = append(p.codes, c.Reveal())
		}
	}
}

// Answer returns what the person would answer now, the same answer never twice:
// for totp.Kind the code of App by the Kit's Clock, which moves to the next step
// if that code was given before (see App.Next); for backupcodes.Kind the next
// unused code; for emailotp.Kind the code of the latest mail to Address; for
// webauthn.Kind what Authenticator signs, for which the challenge must be given. It
// ends the test if the person has nothing of that kind.
func (p *Person) Answer(kind mfa.Kind, c ...*mfa.Challenge) mfa.Answer {
	p.kit.t.Helper()
	switch kind {
	case webauthn.Kind:
		if len(c) != 1 || c[0] == nil {
			p.kit.t.Fatal("mfatest: a security key answers a challenge")
		}
		credential, err := p.Authenticator().Get(c[0].Options)
		if err != nil {
			p.kit.t.Fatalf("mfatest: %s: %v", p.UserID, err)
		}
		return mfa.Answer{Kind: kind, Credential: credential}
	case totp.Kind:
		if a := p.App(); a != nil {
			return mfa.Answer{Kind: kind, Code: a.Next(p.kit.Clock)}
		}
	case backupcodes.Kind:
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.codes) > 0 {
			code := p.codes[0]
			p.codes = p.codes[1:]
			return mfa.Answer{Kind: kind, Code: code}
		}
	case emailotp.Kind:
		p.mu.Lock()
		defer p.mu.Unlock()
		if mails := p.kit.Mail.To(p.Address); len(mails) > p.read {
			p.read = len(mails)
			return mfa.Answer{Kind: kind, Code: Code(mails[len(mails)-1].Message)}
		}
	}
	p.kit.t.Fatalf("mfatest: %s has nothing to answer with for %s", p.UserID, kind)
	return mfa.Answer{}
}

// SignIn signs the person in by a password and then an answer of that kind.
func (p *Person) SignIn(g *mfa.Guard, kind mfa.Kind) *mfa.Session {
	p.kit.t.Helper()
	login, err := g.Begin(p.kit.t.Context(), mfa.FirstFactor{UserID: p.UserID, By: mfa.ByPassword})
	if err != nil {
		p.kit.t.Fatalf("mfatest: begin: %v", err)
	}
	if login.Pending == nil {
		p.kit.t.Fatalf("mfatest: no second factor was asked for: %s", login.Skipped)
	}
	if login, err = p.prove(login.Pending, kind); err != nil {
		p.kit.t.Fatalf("mfatest: verify %s: %v", kind, err)
	}
	p.Keep(login.Session)
	return login.Session
}

// SignInByPasskey signs the person in by a passkey alone. Where the policy wants
// more the Login has a Pending, as Guard.BeginPasskey says.
func (p *Person) SignInByPasskey(g *mfa.Guard) *mfa.Login {
	p.kit.t.Helper()
	pending, c, err := g.BeginPasskey(p.kit.t.Context(), mfa.PasskeySignIn{})
	if err != nil {
		p.kit.t.Fatalf("mfatest: begin: %v", err)
	}
	login, err := pending.Verify(p.kit.t.Context(), p.Answer(webauthn.Kind, c))
	if err != nil {
		p.kit.t.Fatalf("mfatest: verify a passkey: %v", err)
	}
	p.Keep(login.Session)
	return login
}

// StepUp proves an answer of that kind once more in the person's session.
func (p *Person) StepUp(g *mfa.Guard, kind mfa.Kind) *mfa.Session {
	p.kit.t.Helper()
	login, err := g.StepUp(p.kit.t.Context(), p.Session(), mfa.Rule{})
	if err != nil {
		p.kit.t.Fatalf("mfatest: step-up: %v", err)
	}
	if login.Pending != nil {
		if login, err = p.prove(login.Pending, kind); err != nil {
			p.kit.t.Fatalf("mfatest: step-up by %s: %v", kind, err)
		}
	}
	p.Keep(login.Session)
	return login.Session
}

// prove answers with that kind. It asks for the challenge first that it may need,
// after a wait if there has to be one.
func (p *Person) prove(pending *mfa.Pending, kind mfa.Kind) (*mfa.Login, error) {
	p.kit.t.Helper()
	ctx := p.kit.t.Context()
	if kind != emailotp.Kind && kind != webauthn.Kind {
		return pending.Verify(ctx, p.Answer(kind))
	}
	var c *mfa.Challenge
	err := p.patiently(func() (err error) {
		c, err = pending.Challenge(ctx, mfa.Offer{Kind: kind})
		return err
	})
	if err != nil {
		return nil, err
	}
	return pending.Verify(ctx, p.Answer(kind, c))
}

// patiently does what it is told, once more after the time that a limit names.
func (p *Person) patiently(do func() error) error {
	err := do()
	var limit *mfa.LimitError
	if errors.As(err, &limit) {
		p.kit.Clock.wait(p.kit.Clock.Now().Add(limit.RetryAfter))
		err = do()
	}
	return err
}

// forced enrols the first factor where a sign-in demands one.
func (p *Person) forced(pending *mfa.Pending, kind mfa.Kind) {
	p.kit.t.Helper()
	ctx := p.kit.t.Context()
	e, err := pending.Enroll(ctx, p.newFactor(kind))
	if err != nil {
		p.kit.t.Fatalf("mfatest: enrol %s: %v", kind, err)
	}
	login, err := pending.Confirm(ctx, e.ID, p.Scan(e))
	if err != nil {
		p.kit.t.Fatalf("mfatest: confirm %s: %v", kind, err)
	}
	p.Keep(login.Session, login.BackupCodes...)
	p.first = kind
}

// add enrols a factor in the settings.
func (p *Person) add(g *mfa.Guard, kind mfa.Kind) {
	p.kit.t.Helper()
	ctx := p.kit.t.Context()
	if kind == backupcodes.Kind && len(p.Codes()) > 0 {
		return // they came with the first factor
	}
	if p.first != "" {
		p.StepUp(g, p.first)
	}
	var e *mfa.Enrollment
	err := p.patiently(func() (err error) {
		e, err = g.Settings(p.Session()).Enroll(ctx, p.newFactor(kind))
		return err
	})
	if err != nil {
		p.kit.t.Fatalf("mfatest: enrol %s: %v", kind, err)
	}
	if e.Active {
		p.Keep(e.Session, e.Codes...)
		return
	}
	c, err := g.Settings(p.Session()).Confirm(ctx, e.ID, p.Scan(e))
	if err != nil {
		p.kit.t.Fatalf("mfatest: confirm %s: %v", kind, err)
	}
	p.first = cmp.Or(p.first, kind)
	p.Keep(c.Session, c.BackupCodes...)
}

func (p *Person) newFactor(kind mfa.Kind) mfa.NewFactor {
	n := mfa.NewFactor{Kind: kind}
	if kind == emailotp.Kind {
		n.Address = p.Address
	}
	return n
}

// Scan returns what confirms an enrolment that began: of an app, whose key it adds
// to the person's apps, of a key that Authenticator makes, or of Address. It ends the
// test if it is of none of them.
func (p *Person) Scan(e *mfa.Enrollment) mfa.Answer {
	p.kit.t.Helper()
	switch e.Kind {
	case emailotp.Kind:
		return p.Answer(e.Kind)
	case webauthn.Kind:
		credential, err := p.Authenticator().Create(e.Challenge.Options)
		if err != nil {
			p.kit.t.Fatalf("mfatest: %s: %v", p.UserID, err)
		}
		return mfa.Answer{Kind: e.Kind, Credential: credential}
	case totp.Kind:
		a, err := NewApp(e.URI.Reveal())
		if err != nil {
			p.kit.t.Fatal(err)
		}
		p.mu.Lock()
		p.apps = append(p.apps, a)
		p.mu.Unlock()
		return p.Answer(totp.Kind)
	}
	p.kit.t.Fatalf("mfatest: cannot confirm an enrolment of %s", e.Kind)
	return mfa.Answer{}
}
