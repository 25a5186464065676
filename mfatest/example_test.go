package mfatest_test

import (
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

// An application's test of its sign-in.
func TestLogin(t *testing.T) {
	k := mfatest.New(t)
	guard := k.Guard()
	ada := k.Enroll(guard, "ada")
	login, err := guard.Begin(t.Context(), mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	if err != nil || login.Pending == nil {
		t.Fatalf("not asked for a second factor: %v", err)
	}
	if login, err = login.Pending.Verify(t.Context(), ada.Answer(totp.Kind)); err != nil || login.Session == nil {
		t.Fatalf("not signed in: %v", err)
	}
}

func ExampleNew() {
	// An example has no t; a test writes mfatest.New(t).
	_ = func(t *testing.T) {
		k := mfatest.New(t)
		guard := k.Guard()
		ada := k.Enroll(guard, "ada")
		session := ada.SignIn(guard, totp.Kind)
		if err := guard.Require(t.Context(), session, mfa.Rule{}); err != nil {
			t.Error(err)
		}
	}
	// Output:
}
