package mfatest

import (
	"sync"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A Person is a user with what proves it: authenticator apps and backup codes.
type Person struct {
	UserID string

	kit *Kit

	mu      sync.Mutex
	apps    []*App
	codes   []string // unused ones
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
// unused code. It ends the test if the person has nothing of that kind. What an
// answer needs of its challenge may be given.
func (p *Person) Answer(kind mfa.Kind, _ ...*mfa.Challenge) mfa.Answer {
	p.kit.t.Helper()
	switch kind {
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
	if login, err = login.Pending.Verify(p.kit.t.Context(), p.Answer(kind)); err != nil {
		p.kit.t.Fatalf("mfatest: verify %s: %v", kind, err)
	}
	p.Keep(login.Session)
	return login.Session
}

// StepUp proves an answer of that kind once more in the person's session.
func (p *Person) StepUp(g *mfa.Guard, kind mfa.Kind) *mfa.Session {
	p.kit.t.Helper()
	login, err := g.StepUp(p.kit.t.Context(), p.Session(), mfa.Rule{})
	if err != nil {
		p.kit.t.Fatalf("mfatest: step-up: %v", err)
	}
	if login.Pending != nil {
		if login, err = login.Pending.Verify(p.kit.t.Context(), p.Answer(kind)); err != nil {
			p.kit.t.Fatalf("mfatest: step-up by %s: %v", kind, err)
		}
	}
	p.Keep(login.Session)
	return login.Session
}

// forced enrols the first factor where a sign-in demands one.
func (p *Person) forced(pending *mfa.Pending, kind mfa.Kind) {
	p.kit.t.Helper()
	ctx := p.kit.t.Context()
	e, err := pending.Enroll(ctx, mfa.NewFactor{Kind: kind})
	if err != nil {
		p.kit.t.Fatalf("mfatest: enrol %s: %v", kind, err)
	}
	login, err := pending.Confirm(ctx, e.ID, p.Scan(e))
	if err != nil {
		p.kit.t.Fatalf("mfatest: confirm %s: %v", kind, err)
	}
	p.Keep(login.Session, login.BackupCodes...)
}

// add enrols a factor in the settings.
func (p *Person) add(g *mfa.Guard, kind mfa.Kind) {
	p.kit.t.Helper()
	ctx := p.kit.t.Context()
	if kind == backupcodes.Kind && len(p.Codes()) > 0 {
		return // they came with the first factor
	}
	if p.App() != nil {
		p.StepUp(g, totp.Kind)
	}
	e, err := g.Settings(p.Session()).Enroll(ctx, mfa.NewFactor{Kind: kind})
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
	p.Keep(c.Session, c.BackupCodes...)
}

// Scan adds the key of an enrolment that began to the person's apps, and
// returns what confirms it. It ends the test if it is none of an app.
func (p *Person) Scan(e *mfa.Enrollment) mfa.Answer {
	p.kit.t.Helper()
	if e.Kind != totp.Kind {
		p.kit.t.Fatalf("mfatest: cannot confirm an enrolment of %s", e.Kind)
	}
	a, err := NewApp(e.URI.Reveal())
	if err != nil {
		p.kit.t.Fatal(err)
	}
	p.mu.Lock()
	p.apps = append(p.apps, a)
	p.mu.Unlock()
	return p.Answer(totp.Kind)
}
