package campaign

// Two instances, each with its own cache, over one store: what A
// changed, B sees in its very next call.

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A pair is two instances, and how often B was behind A, by what showed it.
type pair struct {
	*house
	a, b   *instance
	stale  *remembering // B's store, if it is to be behind
	behind map[string]int
}

// ask puts a question to B right after a change on A.
func (p *pair) ask(question string, isBehind func() bool) {
	if p.stale != nil {
		p.stale.on = true
		defer func() { p.stale.on = false }()
	}
	if isBehind() {
		p.behind[question]++
	}
}

// round takes one user through the changes of a life, each made on A while B
// has the record before it in its cache, and asks B after each.
func (p *pair) round(t testing.TB, n int) {
	t.Helper()
	ctx := t.Context()
	userID := fmt.Sprintf("user-%d", n)
	first := mfa.FirstFactor{UserID: userID, By: mfa.ByPassword}
	overview := func(i *instance) *mfa.Overview {
		o, err := i.guard.Admin("test").Overview(ctx, userID)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	stepUp := func(err error) bool { return errors.Is(err, mfa.ErrStepUpRequired) }

	// Enable.
	login, err := p.b.guard.Begin(ctx, first) // B has seen that there is nothing
	if err != nil || login.Session == nil {
		t.Fatalf("a user with nothing set up: %v", err)
	}
	session := login.Session
	k := *p.Kit
	k.Vault = p.a.vault
	person := k.Enroll(p.a.guard, userID, totp.Kind)
	switch n % 4 {
	case 0:
		p.ask("Begin after enable", func() bool {
			login, err := p.b.guard.Begin(ctx, first)
			return err != nil || login.Pending == nil
		})
	case 1:
		p.ask("Require after enable", func() bool {
			return !stepUp(p.b.guard.Require(ctx, session, mfa.Rule{AllowWithout: true}))
		})
	case 2:
		p.ask("Overview after enable", func() bool { return !overview(p.b).Enabled() })
	case 3:
		pending := p.a.begin(t, userID).Token()
		p.ask("Verify after enable", func() bool {
			onB, err := p.b.guard.Resume(pending)
			if err == nil {
				_, err = onB.Verify(ctx, person.Answer(totp.Kind))
			}
			return err != nil
		})
	}

	// Remove the first of two apps.
	removed := person.App()
	settings := p.a.guard.Settings(person.SignIn(p.a.guard, totp.Kind))
	e, err := settings.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Confirm(ctx, e.ID, person.Scan(e)); err != nil {
		t.Fatal(err)
	}
	factors := overview(p.a).Factors
	atA := person.SignIn(p.a.guard, totp.Kind)
	session = person.SignIn(p.b.guard, totp.Kind) // B has the record
	pending := p.b.begin(t, userID)
	if _, err := p.a.guard.Settings(atA).Remove(ctx, factors[0].ID); err != nil {
		t.Fatal(err)
	}
	switch n % 4 {
	case 0:
		p.ask("Verify of an earlier sign-in after remove", func() bool {
			_, err := pending.Verify(ctx, person.Answer(totp.Kind))
			return !errors.Is(err, mfa.ErrExpired)
		})
	case 1:
		p.ask("Require after remove", func() bool { return !stepUp(p.b.guard.Require(ctx, session, mfa.Rule{})) })
	case 2:
		p.ask("Overview after remove", func() bool { return len(overview(p.b).Factors) != len(factors)-1 })
	case 3:
		p.ask("Verify by the removed app", func() bool {
			_, err := p.b.begin(t, userID).Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: removed.Next(p.Clock)})
			return !errors.Is(err, mfa.ErrInvalid)
		})
	}

	// Revoke.
	session = person.SignIn(p.b.guard, totp.Kind)
	pending = p.b.begin(t, userID)
	revoke := [...]func(context.Context, string) error{
		p.a.guard.SignOutEverywhere, p.a.guard.PasswordChanged, p.a.guard.Disabled,
		func(ctx context.Context, userID string) error { return p.a.guard.AddressChanged(ctx, userID, "") },
	}
	if err := revoke[n/2%len(revoke)](ctx, userID); err != nil {
		t.Fatal(err)
	}
	if n%2 == 0 {
		p.ask("Require after revoke", func() bool {
			return !stepUp(p.b.guard.Require(ctx, session, mfa.Rule{MaxAge: mfa.AnyAge}))
		})
	} else {
		p.ask("Verify of an earlier sign-in after revoke", func() bool {
			_, err := pending.Verify(ctx, person.Answer(totp.Kind))
			return !errors.Is(err, mfa.ErrExpired)
		})
	}

	// Reset.
	session = person.SignIn(p.b.guard, totp.Kind)
	pending = p.b.begin(t, userID)
	if err := p.a.guard.Admin("test").Reset(ctx, userID, "lost everything"); err != nil {
		t.Fatal(err)
	}
	switch n % 4 {
	case 0:
		p.ask("Begin after reset", func() bool {
			login, err := p.b.guard.Begin(ctx, first)
			return err != nil || login.Session == nil
		})
	case 1:
		p.ask("Require after reset", func() bool {
			return !stepUp(p.b.guard.Require(ctx, session, mfa.Rule{MaxAge: mfa.AnyAge}))
		})
	case 2:
		p.ask("Overview after reset", func() bool { return overview(p.b).Enabled() })
	case 3:
		p.ask("Verify of an earlier sign-in after reset", func() bool {
			_, err := pending.Verify(ctx, person.Answer(totp.Kind))
			return !errors.Is(err, mfa.ErrRejected)
		})
	}
}

// mailRound does the same with an address: enabled, sent to, changed in the
// profile, removed.
func (p *pair) mailRound(t testing.TB, n int) {
	t.Helper()
	ctx := t.Context()
	userID := fmt.Sprintf("mailed-%d", n)
	first := mfa.FirstFactor{UserID: userID, By: mfa.ByPassword}
	if login, err := p.b.guard.Begin(ctx, first); err != nil || login.Session == nil { // B has seen that there is nothing
		t.Fatalf("a user with nothing set up: %v", err)
	}
	onB := func(pending *mfa.Pending) *mfa.Pending {
		resumed, err := p.b.guard.Resume(pending.Token())
		if err != nil {
			t.Fatal(err)
		}
		return resumed
	}

	// Enable.
	k := *p.Kit
	k.Vault = p.a.vault
	person := k.Enroll(p.a.guard, userID, emailotp.Kind)
	p.ask("Begin after enable by mail", func() bool {
		login, err := p.b.guard.Begin(ctx, first)
		return err != nil || login.Pending == nil
	})

	// Send.
	pending, answer := challenged(t, p.a, person)
	if n%2 == 0 {
		p.ask("Challenge after a mail", func() bool {
			_, err := onB(pending).Challenge(ctx, byMail)
			return !errors.Is(err, mfa.ErrTooMany)
		})
	} else {
		p.ask("Verify after a mail", func() bool {
			_, err := onB(pending).Verify(ctx, answer)
			return err != nil
		})
	}

	// Change the profile's address, while a code is out.
	p.Clock.Advance(time.Minute)
	session := person.SignIn(p.b.guard, emailotp.Kind) // B has the record
	p.Clock.Advance(time.Minute)
	pending, answer = challenged(t, p.a, person)
	if err := p.a.guard.AddressChanged(ctx, userID, person.Address); err != nil {
		t.Fatal(err)
	}
	switch n % 3 {
	case 0:
		p.ask("Verify after a change of address", func() bool {
			_, err := onB(pending).Verify(ctx, answer)
			return !errors.Is(err, mfa.ErrExpired)
		})
	case 1:
		p.ask("Challenge after a change of address", func() bool {
			_, err := onB(pending).Challenge(ctx, byMail)
			return !errors.Is(err, mfa.ErrExpired)
		})
	case 2:
		p.ask("Require after a change of address", func() bool {
			return !errors.Is(p.b.guard.Require(ctx, session, mfa.Rule{MaxAge: mfa.AnyAge}), mfa.ErrStepUpRequired)
		})
	}

	// Remove, while a code is out.
	p.Clock.Advance(time.Hour)
	atA := person.SignIn(p.a.guard, emailotp.Kind)
	p.Clock.Advance(time.Minute)
	pending, answer = challenged(t, p.b, person)
	if _, err := p.a.guard.Settings(atA).RemoveAll(ctx); err != nil {
		t.Fatal(err)
	}
	switch n % 3 {
	case 0:
		p.ask("Verify after removing the address", func() bool {
			_, err := onB(pending).Verify(ctx, answer)
			return !errors.Is(err, mfa.ErrRejected)
		})
	case 1:
		p.ask("Challenge after removing the address", func() bool {
			_, err := onB(pending).Challenge(ctx, byMail)
			return !errors.Is(err, mfa.ErrRejected)
		})
	case 2:
		p.ask("Begin after removing the address", func() bool {
			login, err := p.b.guard.Begin(ctx, first)
			return err != nil || login.Session == nil
		})
	}
}

func TestTwoInstances(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		apps, mails := totp.New(nil), emailotp.New(h.Mail, nil)
		p := &pair{house: h, a: h.instance(t, apps, mails), b: h.instance(t, apps, mails), behind: map[string]int{}}
		for n := range h.number(200, 30, 1000) {
			p.round(t, n)
			if n%4 == 0 {
				p.mailRound(t, n/4)
			}
		}
		for question, times := range p.behind {
			t.Errorf("%s: behind %d times", question, times)
		}
	})
}

// B over a store that shows it what it saw last, as reading the cache in
// vault.Read would: it is behind, and seen to be.
func TestTwoInstancesSeeAStaleRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, "")
		apps, mails := totp.New(nil), emailotp.New(h.Mail, nil)
		stale := &remembering{Store: h.Store, seen: map[string]store.Record{}}
		p := &pair{house: h, a: h.instance(t, apps, mails), b: h.instanceOver(t, stale, 0, apps, mails), stale: stale, behind: map[string]int{}}
		for n := range 8 {
			p.round(t, n)
			p.mailRound(t, n)
		}
		t.Log(p.behind)
		for _, question := range []string{
			"Begin after enable", "Require after enable", "Overview after enable", "Require after remove", "Overview after remove",
			"Require after revoke", "Begin after reset", "Require after reset", "Overview after reset",
			"Begin after enable by mail", "Require after a change of address", "Begin after removing the address",
		} {
			if p.behind[question] == 0 {
				t.Errorf("%s: nothing was seen", question)
			}
		}
	})
}

// A remembering store shows what it showed last, or was told last, while it is
// on.
type remembering struct {
	store.Store
	on   bool
	seen map[string]store.Record // by user ID
}

func (s *remembering) Load(ctx context.Context, userID string) (store.Record, error) {
	rec, ok := s.seen[userID]
	if s.on && ok {
		if rec.Version == 0 {
			return rec, store.ErrNotFound
		}
		return rec, nil
	}
	rec, err := s.Store.Load(ctx, userID)
	s.seen[userID] = rec
	return rec, err
}

func (s *remembering) Apply(ctx context.Context, c store.Change) error {
	err := s.Store.Apply(ctx, c)
	if err == nil {
		s.seen[c.UserID] = store.Record{Version: c.New, Data: c.Data}
	}
	return err
}
