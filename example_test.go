package mfa_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A user switches the second step on, and signs in with it.
func Example() {
	ctx := context.Background()
	keys, err := vault.NewKey()
	check(err)
	now := time.Now()
	v, err := vault.Open(memstore.New(), keys, &vault.Options{Now: func() time.Time { return now }})
	check(err)
	guard, err := mfa.New(v, mfa.Config{
		Service: "Acme",
		Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)},
	})
	check(err)

	// Nothing is set up: the password alone signs in.
	login, err := guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	check(err)
	fmt.Println("signed in:", login.Session != nil, login.Skipped)

	// In the settings: scan the QR code, type the first code.
	settings := guard.Settings(login.Session)
	enrollment, err := settings.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind, Name: "phone"})
	check(err)
	change, err := settings.Confirm(ctx, enrollment.ID, mfa.Answer{Kind: totp.Kind, Code: appCode(enrollment, now)})
	check(err)
	fmt.Println("backup codes:", len(change.BackupCodes))

	// The next sign-in asks for a code.
	login, err = guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	check(err)
	pending, err := guard.Resume(login.Pending.Token())
	check(err)
	now = now.Add(30 * time.Second)
	login, err = pending.Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: appCode(enrollment, now)})
	check(err)
	fmt.Println("signed in:", login.Session != nil, login.Session.AMR())
	// Output:
	// signed in: true nothing-set-up
	// backup codes: 10
	// signed in: true [pwd otp mfa]
}

// appCode is what the user's authenticator app shows.
func appCode(e *mfa.Enrollment, at time.Time) string {
	app, err := mfatest.NewApp(e.URI.Reveal())
	check(err)
	return app.Code(at)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
