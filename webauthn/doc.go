// Package webauthn is the factor for security keys and passkeys (W3C WebAuthn Level
// 3): after a password as a second factor, or alone, with no name typed, where the
// user's policy lets a passkey stand for both.
//
//	keys := webauthn.New("https://acme.example", nil)
//	guard, err := mfa.New(v, mfa.Config{Service: "Acme", Users: users, Methods: []mfa.Method{
//		keys, totp.New(nil), backupcodes.New(nil),
//	}})
//
// The browser's part is three calls: parseCreationOptionsFromJSON or
// parseRequestOptionsFromJSON of Challenge.Options, navigator.credentials.create
// or get, and toJSON of what comes back, which is Answer.Credential. Package
// mfahttp has them in its script.
//
// # Two roles
//
// A key that was enrolled as a second factor is touched after a password; that it
// verifies its user is preferred and not demanded. A passkey, enrolled where
// Policy.PasskeyAlone is set, may also sign in by Guard.BeginPasskey: then it has
// to have verified its user and to name him. A second factor never does.
//
// # Security considerations
//
// Every step of sections 7.1 and 7.2 is taken twice: by name here, with an error
// for each, and by go-webauthn, whose types stay inside. Origins are compared
// exactly. JSON, base64url and CBOR that could be read in two ways are refused.
// Algorithms are ES256, EdDSA and RS256 with sound keys. What says that a credential
// may be backed up is kept and must not change. A counter that goes back is refused,
// and told. A credential belongs to one user, in the whole store.
//
// A challenge for a sign-in is not stored: it is a MAC under the account's own key
// over purpose, ceremony and minute, or sealed in the token while nobody knows
// whose it will be. So nobody who has not signed in can make the store write. It
// lives for five minutes and is used up with the sign-in. Challenges of enrolments
// are stored, live as long, and are used up by the first answer.
//
// What the maker of a device says of it (attestation) is not asked for, unless
// Options.Attestation demands it.
//
// # From another system
//
// [Method.Import] takes over what another system has registered for the same RP ID,
// with the user handle that its authenticator knows and, where nobody kept it, without
// what it said of backups: its first sign-in here tells.
//
// # Concurrency and compatibility
//
// A [Method] never changes and may be used by many goroutines. What is stored has a
// format version and is held by golden tests; it is no type of go-webauthn.
package webauthn
