// Package mfatest helps an application to test its sign-in with a second
// factor: a clock that the test sets, a vault in memory, an outbox, and people with
// an authenticator app, a mailbox, security keys and backup codes. Tests import it, and nothing else.
//
//	func TestLogin(t *testing.T) {
//		k := mfatest.New(t)
//		guard := k.Guard()
//		ada := k.Enroll(guard, "ada")
//		login, err := guard.Begin(t.Context(), mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
//		if err != nil || login.Pending == nil {
//			t.Fatalf("not asked for a second factor: %v", err)
//		}
//		if login, err = login.Pending.Verify(t.Context(), ada.Answer(totp.Kind)); err != nil || login.Session == nil {
//			t.Fatalf("not signed in: %v", err)
//		}
//	}
//
// To test over another store, open a vault over it with the Kit's Clock and put
// it in the place of Kit.Vault before the first Guard is made. A Guard with a
// configuration of its own is made by mfa.New over Kit.Vault.
//
// # Time
//
// A Kit's Clock stands still until the test moves it, with one exception: who
// has typed the code of the present step waits for the next one, so Person
// and App.Next move the clock forward when they are asked again within a step. So
// does a Person who has to wait before another code is mailed.
// Nothing sleeps.
//
// # Security keys and passkeys
//
// An Authenticator is a browser and what is plugged into it, in software: it takes
// the options that a Challenge carries and returns what a browser would post. Each
// of its ceremonies can be falsified, in any part.
//
// # Security
//
// A Kit keeps everything in memory under a key that is drawn for the test. Its
// Mail, an App and a Person hold secrets in the clear and print them.
//
// # Concurrency
//
// All types may be used from many goroutines, but the methods of a Kit that can
// fail end the test, and so belong to the test's own goroutine.
//
// # Compatibility
//
// What an App and an Authenticator compute is written anew here (RFC 4226, RFC
// 6238, WebAuthn Level 3), so that a test compares two implementations.
package mfatest
