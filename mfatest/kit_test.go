package mfatest_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

func begin(t *testing.T, g *mfa.Guard, userID string) *mfa.Pending {
	t.Helper()
	login, err := g.Begin(t.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	if err != nil {
		t.Fatal(err)
	}
	if login.Pending == nil {
		t.Fatalf("not pending: %s", login.Skipped)
	}
	return login.Pending
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	k := mfatest.New(t)
	g := k.Guard()
	ada := k.Enroll(g, "ada")
	if n := len(ada.Codes()); n != 10 {
		t.Fatalf("%d backup codes came along, want 10", n)
	}
	for _, kind := range []mfa.Kind{totp.Kind, backupcodes.Kind, totp.Kind, backupcodes.Kind} {
		before := k.Clock.Now()
		answer := ada.Answer(kind)
		login, err := begin(t, g, "ada").Verify(t.Context(), answer)
		if err != nil || login.Session == nil {
			t.Fatalf("%s: %v, %v", kind, login, err)
		}
		if moved := k.Clock.Now().Sub(before); moved < 0 || moved > 30*time.Second || kind == backupcodes.Kind && moved != 0 {
			t.Errorf("%s: the clock moved by %v", kind, moved)
		}
		if _, err := begin(t, g, "ada").Verify(t.Context(), answer); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: the same answer again: %v", kind, err)
		}
	}
	if n := len(ada.Codes()); n != 8 {
		t.Errorf("%d codes left, want 8", n)
	}
}

func TestEnroll(t *testing.T) {
	t.Parallel()
	k := mfatest.New(t)
	g := k.Guard()
	for _, tt := range []struct {
		userID  string
		kinds   []mfa.Kind
		factors int
	}{
		{"none", nil, 2},
		{"app", []mfa.Kind{totp.Kind}, 2},
		{"app-and-codes", []mfa.Kind{totp.Kind, backupcodes.Kind}, 2},
		{"two-apps", []mfa.Kind{totp.Kind, totp.Kind}, 3},
	} {
		p := k.Enroll(g, tt.userID, tt.kinds...)
		o, err := g.Settings(p.Session()).Overview(t.Context())
		if err != nil || len(o.Factors) != tt.factors || o.BackupLeft != 10 || len(p.Codes()) != 10 {
			t.Errorf("%s: %+v, %v", tt.userID, o, err)
		}
		if p.SignIn(g, totp.Kind) == nil || p.StepUp(g, totp.Kind) == nil {
			t.Errorf("%s: no session", tt.userID)
		}
		if err := g.Require(t.Context(), p.Session(), mfa.Fresh(time.Minute)); err != nil {
			t.Errorf("%s: after a step-up: %v", tt.userID, err)
		}
	}

	alone := k.Guard(totp.New(nil))
	if p := k.Enroll(alone, "no-codes"); len(p.Codes()) != 0 {
		t.Error("codes without backupcodes")
	}
}

// A user who must enrol does so on the way in.
func TestEnrollForced(t *testing.T) {
	t.Parallel()
	k := mfatest.New(t)
	g, err := mfa.New(k.Vault, mfa.Config{
		Service: mfatest.Service,
		Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Policy: mfa.Policy{Demand: mfa.Required}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := k.Enroll(g, "ada")
	if len(p.Codes()) != 10 || p.SignIn(g, totp.Kind) == nil {
		t.Error("not enrolled")
	}
}

// What the kit cannot do ends the test.
func TestKitEndsTheTest(t *testing.T) {
	t.Parallel()
	k := mfatest.New(t)
	g := k.Guard(totp.New(nil))
	p := k.Enroll(g, "ada")
	for name, call := range map[string]func(k *mfatest.Kit){
		"enrolled twice":   func(k *mfatest.Kit) { k.Enroll(g, "ada") },
		"invalid method":   func(k *mfatest.Kit) { k.Guard(totp.New(&totp.Options{Digits: 3})) },
		"unknown kind":     func(k *mfatest.Kit) { k.Enroll(g, "bob", "dna") },
		"no backup codes":  func(*mfatest.Kit) { p.Answer(backupcodes.Kind) },
		"nothing to sign":  func(*mfatest.Kit) { p.SignIn(g, backupcodes.Kind) },
		"answer a strange": func(*mfatest.Kit) { p.Answer("dna") },
	} {
		if !ends(t, k, call) {
			t.Errorf("%s: the test went on", name)
		}
	}
}

// ends reports whether call ends the test that k belongs to.
func ends(t *testing.T, k *mfatest.Kit, call func(*mfatest.Kit)) bool {
	probe := &probe{TB: t}
	k.SetT(probe)
	defer k.SetT(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		call(k)
	}()
	<-done
	return probe.ended
}

// A probe is a test that only notes that it was ended.
type probe struct {
	testing.TB
	ended bool
}

func (p *probe) Helper() {}

func (p *probe) Fatal(...any) {
	p.ended = true
	runtime.Goexit()
}

func (p *probe) Fatalf(string, ...any) { p.Fatal() }
