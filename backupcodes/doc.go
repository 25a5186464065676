// Package backupcodes is the factor "a code from the list that I printed": a
// set of codes for the day when the telephone is gone.
//
//	guard, err := mfa.New(v, mfa.Config{
//		Service: "Acme",
//		Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)},
//	})
//
// There is nothing to enrol: a set comes with the first confirmed factor and
// goes with the last, and the user may have it made anew, which ends the old
// one in the same moment.
//
// # Security
//
// A code has 80 random bits, 16 characters of Crockford's base32 shown as
// XXXX-XXXX-XXXX-XXXX, and is good once (NIST SP 800-63B-4 section 3.1.2.2,
// OWASP ASVS 5.0 6.5.1 and 6.5.2). The set is shown once. What is kept, besides
// being sealed like all of an account, is one Argon2id (19 MiB, two passes, one
// lane) of each code under one salt of 128 bits per set, cut to 128 bits, so
// that an attempt costs one slow hash however many codes there are. Codes of
// 112 bits or more cannot be searched for at all; they get a MAC under a key of
// the account instead.
//
// Attempts are limited by the vault, before anything is hashed, together with
// those of all other typed factors. What cannot be a code is refused before
// too, and is no try. Used codes stay in the set, marked as used, so that they
// can be told from wrong ones; each attempt is compared with the whole set in
// constant time.
//
// A hash takes 19 MiB. At most Options.Concurrent run at once in a Method; an
// attempt that gets no turn within a second ends in mfa.ErrBusy and is not
// counted. So make one Method, not one for each request.
//
// # Concurrency
//
// A Method may be used from many goroutines. That one code passes once,
// whatever races, is the doing of vault.Update; an attempt that has to be
// repeated there, because another writer came first, hashes no second time.
//
// # Compatibility
//
// What is stored carries a format version; a newer one is a failure, never a
// rejection. A set keeps the length and the hash that it was made with.
package backupcodes
