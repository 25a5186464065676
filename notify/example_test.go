package notify_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/notify"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An administrator resets a user, who reads this.
func Example() {
	ctx := context.Background()
	keys, err := vault.NewKey()
	check(err)
	noon := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	v, err := vault.Open(memstore.New(), keys, &vault.Options{Now: func() time.Time { return noon }})
	check(err)

	var outbox mail.Outbox // in earnest a sender of package mail/smtp
	notices, err := notify.New(&outbox, &notify.Options{
		Settings: "https://acme.example/security",
		Support:  "help@acme.example",
	})
	check(err)
	guard, err := mfa.New(v, mfa.Config{
		Service: "Acme",
		Methods: []mfa.Method{totp.New(nil)},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Name: id, DisplayName: "Ada", Email: "ada@example.com", Locale: "en"}, nil
		},
		Notify: notices,
	})
	check(err)
	check(guard.Admin("Grace").Reset(ctx, "ada", "lost her phone"))

	for _, m := range outbox.All() {
		fmt.Println(m.To)
		fmt.Println(m.Subject)
		fmt.Println()
		fmt.Println(m.Text)
	}
	// Output:
	// ada@example.com
	// Acme: Two-step sign-in was reset
	//
	// Hello Ada,
	//
	// this is about your account at Acme.
	//
	// Two-step sign-in was reset
	// An administrator removed all methods and backup codes. Until new ones are set up, the password alone signs in.
	//
	// Done by: Grace
	// Reason: lost her phone
	// Time: 2 March 2026, 12:00 UTC
	// Account: ada@example.com
	//
	// Set up a method when you sign in the next time. If you do not know why, ask support at once.
	//
	// Security settings:
	// https://acme.example/security
	//
	// Support: help@acme.example
	//
	// This is sent whenever something about signing in changes or looks wrong. We never ask for a password or a code by mail.
}

// Notices wait in a queue, so that nobody waits for a mail server, and the
// tenant's administrators hear of a reset, too.
func ExampleNew() {
	var outbox mail.Outbox
	queue := mail.NewQueue(&outbox, 1000, nil)
	notices, err := notify.New(queue, &notify.Options{
		To: func(_ context.Context, u mfa.User, e mfa.Event) ([]string, error) {
			if e.Type != mfa.EventReset {
				return nil, nil
			}
			return []string{"security@" + u.Tenant + ".example"}, nil
		},
		Texts: map[string]notify.Texts{
			"en": {Events: map[mfa.EventType]notify.Words{mfa.EventReset: {Advice: "Please come to the help desk."}}},
		},
	})
	check(err)

	ada := mfa.User{ID: "1", Name: "ada", Email: "ada@example.com", Tenant: "acme", Service: "Acme"}
	check(notices.Notify(context.Background(), ada, mfa.Event{Type: mfa.EventReset, Actor: "Grace", Reason: "lost her phone"}))

	ctx, stop := context.WithCancel(context.Background())
	stop() // at the end of the program: what waits is sent
	queue.Run(ctx)
	for _, m := range outbox.All() {
		fmt.Println(m.To, "-", m.Subject)
	}
	// Output:
	// ada@example.com - Acme: Two-step sign-in was reset
	// security@acme.example - Acme: Two-step sign-in was reset (ada)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
