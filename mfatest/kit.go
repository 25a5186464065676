package mfatest

import (
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// Start is what the Clock of a new Kit shows.
func Start() time.Time { return time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC) }

// Service is the name under which the Guards of a Kit appear in apps.
const Service = "Acme"

// Origin is where a Person's browser is, and a Kit's Browser: what webauthn.New
// takes.
const Origin = "https://acme.example"

// A Kit is what one test needs.
type Kit struct {
	Clock *Clock          // at Start
	Mail  *mail.Outbox    // what was mailed
	Store *memstore.Store // empty
	Vault *vault.Vault    // over Store, by Clock, under a key of its own

	t testing.TB
}

// New returns a Kit for t. Its methods end t when they cannot do what they are
// for.
func New(t testing.TB) *Kit {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	k := &Kit{Clock: NewClock(Start()), Mail: &mail.Outbox{}, Store: memstore.New(), t: t}
	if k.Vault, err = vault.Open(k.Store, keys, &vault.Options{Now: k.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	return k
}

// Guard returns a Guard over k.Vault with these methods; none: an authenticator
// app, codes to k.Mail, and backup codes. Users are their IDs, and free to choose.
// For security keys give it webauthn.New(Origin, nil) among others.
func (k *Kit) Guard(methods ...mfa.Method) *mfa.Guard {
	k.t.Helper()
	if len(methods) == 0 {
		methods = []mfa.Method{totp.New(nil), emailotp.New(k.Mail, nil), backupcodes.New(nil)}
	}
	g, err := mfa.New(k.Vault, mfa.Config{Service: Service, Methods: methods})
	if err != nil {
		k.t.Fatal(err)
	}
	return g
}

// Enroll returns a person who has just set up these kinds, none: totp.Kind.
// It calls what an application would, from the first sign-in on. Recovery codes
// come with the first factor if g has them, whether they are named or not.
//
// The user must have nothing set up before. The codes that the person typed on
// the way are used, so the clock may have moved by a step or two. Codes by email
// are read from k.Mail: a Guard of the test's own has to send there.
func (k *Kit) Enroll(g *mfa.Guard, userID string, kinds ...mfa.Kind) *Person {
	k.t.Helper()
	if len(kinds) == 0 {
		kinds = []mfa.Kind{totp.Kind}
	}
	ctx := k.t.Context()
	login, err := g.Begin(ctx, mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	if err != nil {
		k.t.Fatalf("mfatest: begin: %v", err)
	}
	p := &Person{UserID: userID, Address: addressOf(userID), kit: k}
	switch {
	case login.Session != nil:
		p.session = login.Session
	case !login.Pending.MustEnroll():
		k.t.Fatal("mfatest: the user has something set up already")
	default:
		p.forced(login.Pending, kinds[0])
		kinds = kinds[1:]
	}
	for _, kind := range kinds {
		p.add(g, kind)
	}
	return p
}
