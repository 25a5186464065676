// Package mfa adds a second step to a login that an application already has.
//
// The application keeps its users, its passwords and its sessions; this module
// keeps the factors. A [Guard] says what a user must still prove, and changes
// what users have set up. Factors are packages of their own (totp, backupcodes)
// that the application hands to the Guard; a store keeps one sealed record per
// user.
//
// # Quick start
//
// Make a Guard once:
//
//	keys, err := vault.NewKey() // once; keep it like a password
//	v, err := vault.Open(store, keys, nil)
//	guard, err := mfa.New(v, mfa.Config{
//		Service: "Acme",
//		Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)},
//	})
//
// Where the application used to start a session, ask first:
//
//	login, err := guard.Begin(ctx, mfa.FirstFactor{UserID: id, By: mfa.ByPassword})
//	if err != nil {
//		// nobody is signed in
//	} else if login.Session != nil {
//		// start the session, and keep login.Session.Token() in it
//	} else {
//		// ask for a code, and keep login.Pending.Token() in the form
//	}
//
// And where the code arrives:
//
//	pending, err := guard.Resume(token)
//	login, err := pending.Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: code})
//	// err == nil: login.Session, as above
//
// Later, [Guard.Require] says whether a session's proof is fresh enough,
// [Guard.Settings] is what users do to their own account, and [Guard.Admin] what
// others do to it. Package mfahttp has all of this as ready pages and as JSON.
//
// # What holds
//
//   - A decision is one compare-and-swap on one record: a code is accepted once
//     and a limit of N answers N, however many requests and processes race.
//   - No answer leaves before its write landed. What ends without a write is
//     decided on a record that was loaded after the call began.
//   - An error that wraps [ErrRejected] is a verdict, and saved. Every other
//     error is a failure: nothing was decided and nobody gets in.
//   - Success is a nil error with a result that is not nil.
//   - What is handed out (a [Pending], a [Session]) is sealed text, bound to its
//     user, purpose and the set of credentials at the time. Nothing is kept in
//     memory that a restart would lose.
//
// # What the application must do
//
// Call Begin at every door: password, federation, magic link, reset, API. Start
// its session only from a Login with a Session, under a new session ID. Tell the
// Guard of what it does itself: PasswordChanged, AddressChanged, Disabled,
// SignOutEverywhere, and Admin.Delete. Keep the keys away from the database.
//
// # Concurrency
//
// A Guard, its methods and the vault may be used from many goroutines and
// processes. A Login, Pending, Session or Settings belongs to one request.
//
// # Compatibility
//
// Before version 1 the API may change with a minor version; the changelog says
// so. What is stored or handed out carries a format version: a newer program
// reads what an older one wrote, and an older one refuses what it does not know.
package mfa
