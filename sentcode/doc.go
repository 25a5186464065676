// Package sentcode is a factor for codes that are sent to an address. It owns the
// rules; what carries the code is a [Channel]. Package emailotp is the one for
// email; the example shows a text message to a telephone.
//
//	guard, err := mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{
//		sentcode.New(sms{gateway}, nil), backupcodes.New(nil),
//	}})
//
// # What happens
//
// Enrolling sends a code to the address that the user gave; typing it makes the
// address a factor. At a sign-in Pending.Challenge sends a code there, and
// Pending.Verify takes it. A user has one address of a kind: a new one replaces it
// once it is confirmed, and not before.
//
// # The rules
//
//   - A code is drawn anew for each message, uniformly, leading zeros included. It
//     is good once, for the options' TTL and never beyond the sign-in that it was
//     sent for. Sending it again ends the one before.
//   - It is bound to user, purpose (sign-in, step-up, enrolment), factor, address
//     and ceremony, and kept as a MAC under a key inside the sealed record.
//   - Five wrong tries end it, whatever Guard's own limit on guesses says. A new
//     one forgives none of them (NIST SP 800-63B-4 section 3.1.3.2).
//   - A code that is out for another sign-in of the same user is refused but is no
//     try. So whoever has only the password can neither end the victim's code nor
//     make the victim's right code a wrong one. That is why there is one live code
//     for each ceremony, not for each user.
//   - Per user and kind there is one message a minute, five an hour and ten a day,
//     enrolments included. A message whose code was accepted does not count: the
//     limits are against flooding, and somebody who signs in often floods nobody.
//     Counted or not, thirty a day are the most. One that could not be sent counts
//     for the hour and the day, but may be sent again at once. Limits by destination over several
//     users are the application's, in mfa.Config.Limit.
//
// # Security considerations
//
// A sent code is weaker than an app's: whoever reads the mailbox or has the
// telephone number moved has it, and a false page can ask for it. Traits say so
// (OutOfBand, not PhishingResistant), and a mfa.Rule may leave the kind out.
//
// The code goes out after the change was saved, once; a change that lost to
// another writer sends nothing. Send is waited for, so that a failure can be told:
// it should return within a few seconds.
//
// # Concurrency and compatibility
//
// A [Method] never changes and may be used by many goroutines. What is stored has
// a format version and is held by golden tests.
package sentcode
