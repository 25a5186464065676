package webauthn

import (
	"fmt"

	"github.com/seed-f4994bf1/mfa"
)

// Why an answer of a browser was refused. All of them wrap mfa.ErrInvalid, and a
// client is told no more than that; an application's log may say more. The
// sections are those of WebAuthn Level 3.
var (
	ErrMalformed        = fmt.Errorf("%w: malformed", mfa.ErrInvalid)          // not what a browser sends
	ErrType             = fmt.Errorf("%w: ceremony type", mfa.ErrInvalid)      // of another ceremony
	ErrChallenge        = fmt.Errorf("%w: challenge", mfa.ErrInvalid)          // not the one that was given
	ErrOrigin           = fmt.Errorf("%w: origin", mfa.ErrInvalid)             // of a page that is not ours
	ErrCrossOrigin      = fmt.Errorf("%w: cross-origin", mfa.ErrInvalid)       // of a page of ours within another's
	ErrRPID             = fmt.Errorf("%w: relying party", mfa.ErrInvalid)      // made for another site
	ErrUserPresence     = fmt.Errorf("%w: user not present", mfa.ErrInvalid)   // nobody touched it
	ErrUserVerification = fmt.Errorf("%w: user not verified", mfa.ErrInvalid)  // no PIN, no finger, and one is demanded
	ErrBackup           = fmt.Errorf("%w: backup flags", mfa.ErrInvalid)       // that contradict each other or the record
	ErrKey              = fmt.Errorf("%w: public key", mfa.ErrInvalid)         // of an algorithm not offered, or not a sound one
	ErrUnknown          = fmt.Errorf("%w: unknown credential", mfa.ErrInvalid) // not one that was allowed
	ErrUserHandle       = fmt.Errorf("%w: user handle", mfa.ErrInvalid)        // of another account
	ErrSignature        = fmt.Errorf("%w: signature", mfa.ErrInvalid)          // does not verify
	ErrAttestation      = fmt.Errorf("%w: attestation", mfa.ErrInvalid)        // not trusted, where it has to be
	ErrRegistered       = fmt.Errorf("%w: registered already", mfa.ErrInvalid) // by this user or another
	ErrRole             = fmt.Errorf("%w: not a passkey", mfa.ErrInvalid)      // enrolled as a second factor, it does not sign in alone
)
