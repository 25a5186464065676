// Package vault keeps everything that a user has in one sealed, versioned
// record, and changes it by compare-and-swap.
//
// [Update] is the whole idea: it loads the account, runs one change, and saves
// the result if nobody was faster, else runs the change again. What the change
// returned is told only after its save. So a decision that spends a code, charges
// an attempt and moves a counter is one atomic step on any store.
//
//	failures, err := vault.Update(ctx, v, userID, func(a *vault.Account) (int, error) {
//		err := a.Guess(kind, purpose, flow, func(s *vault.Scope) error {
//			... // judge the answer by s.Factors(), whose secrets show only here
//		})
//		return a.Tries().Day, err
//	})
//
// Applications call [Open] and hand the [Vault] to mfa.New; the rest of this
// package is for mfa and for those who write factors. A factor gets a [Scope]:
// the part of the account that is its own kind's.
//
// # Security
//
// A record is sealed with AES-256-GCM under a key derived (HKDF-SHA-256) for its
// purpose and user; the associated data binds purpose, format, key ID and user.
// It does not open for another user, or changed in any byte. Who can write the
// database can put an old record of the same user back: a code that was used
// since is then good again. Keep the keys out of the database's reach.
//
// The durability of an answer is the store's: with less than a synchronous
// commit, an acknowledged code can pass again after a crash.
//
// One clock decides, Options.Now. What bears a time of the future grants nothing,
// and restricts for no longer than it could from now.
//
// # Concurrency
//
// A Vault may be used from many goroutines, and many vaults may share a store.
// Updates of one user queue within a process; across processes the swap decides.
// An [Account] and a Scope belong to the change they were given to.
//
// # Compatibility
//
// Records carry a format version and are held by golden files. An older program
// refuses a record with a field that it does not know, and never drops it.
package vault
