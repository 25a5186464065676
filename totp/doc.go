// Package totp is the factor "a code from an authenticator app": time-based
// one-time passwords (RFC 6238) with a window, single use and an enrolment that
// is confirmed. Any authenticator app works with the defaults.
//
// With a Guard, New is all there is to call:
//
//	guard, err := mfa.New(v, mfa.Config{
//		Service: "Acme",
//		Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)},
//	})
//
// A [Key] also stands alone, for a program that has no accounts, such as a
// command-line tool:
//
//	key, err := totp.GenerateKey("Acme", "ada@example.com", nil)
//	qr, err := key.Terminal()      // or PNG, SVG, or the text of Secret
//	last, err = key.Verify(code, last) // keep last with the key
//
// # Security
//
// An app and the server share one secret of 160 bits. Whoever reads it can make
// every code to come, so the vault seals it, and everything here that holds it
// prints as [redacted]. Codes are not resistant to phishing: a false page can
// pass one on at once. Use WebAuthn where that matters.
//
// A code is good for one step (30 s) and its neighbours, and for one use: the
// step that matched is burned, and with it every earlier one (RFC 6238 section
// 5.2, NIST SP 800-63B-4 section 3.1.4.2). The code that confirms an enrolment
// cannot sign in. At the default window a blind guess hits with 3 in 10^6, so
// guesses must be limited: the vault does it for a Method, and who uses a Key
// alone must do it.
//
// Every step of the window is computed and compared in constant time, also
// after a match. What is not made of the right number of digits is refused
// before, and is no try.
//
// The server's clock decides. If it ran far ahead once and was set back, the
// codes in between would look used; Verify then answers mfa.ErrClock, which is
// a failure and no verdict, until Repair is called (an administrator's unlock).
//
// # Concurrency
//
// A Method and a Key never change and may be used from many goroutines. That
// one code passes once, whatever races, is the doing of vault.Update; with a
// Key alone, the caller must swap last atomically.
//
// # Compatibility
//
// Apps differ in what they take: several of the widespread ones ignore the
// algorithm, the digits and the period of a URI and go on with SHA-1, 6 and
// 30 s. Leave the defaults unless you know the apps. What is stored carries a
// format version; a newer one is a failure, never a rejection.
package totp
