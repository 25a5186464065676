package mfa

// The vocabulary that factors implement. Guard calls them; an application only
// constructs them. A factor gets a *vault.Scope and a request, and knows of no
// other factor, no account and no limit.

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/vault"
)

// A Kind names a sort of factor. Each factor's package exports its own, such as
// totp.Kind.
type Kind = vault.Kind

// A Secret prints as [redacted]; Reveal is the only way to its text.
type Secret = vault.Secret

// A Purpose says what an answer is for. An answer or a challenge of one purpose
// is worth nothing for another.
type Purpose string

const (
	PurposeSignIn  Purpose = "sign-in" // the second step after a first factor
	PurposeStepUp  Purpose = "step-up" // once more, within a session
	PurposeConfirm Purpose = vault.PurposeConfirm
)

// Traits say what a kind of factor is worth.
type Traits struct {
	PhishingResistant bool // bound to the origin, such as WebAuthn
	OutOfBand         bool // a code is sent to the user, such as by email
	Recovery          bool // for when the others are lost: offered last, comes and goes with them
	Typed             bool // a person types it, so it can be guessed and is counted
}

// A Request is part of every call to a method. User, Purpose and Flow bind what
// is handed out to what it was handed out for.
type Request struct {
	User    User
	Purpose Purpose
	Flow    string // the ID of the sign-in, step-up or session
}

type (
	// An EnrollRequest begins an enrolment.
	EnrollRequest struct {
		Request
		Name    string // the user's own name for the factor, at most 64 bytes
		Address string // where codes go, for the kinds that send them
	}
	// A ConfirmRequest proves that an enrolment works.
	ConfirmRequest struct {
		Request
		EnrollmentID string
		Answer       Answer
	}
	// A ChallengeRequest asks for what an answer needs, such as a sent code.
	ChallengeRequest struct {
		Request
		FactorID string
	}
	// A VerifyRequest judges an answer.
	VerifyRequest struct {
		Request
		Answer Answer
	}
)

// An Answer is what the user gave: a Code that a person typed, or a Credential
// in JSON that a program made. The kind is required. It prints without its
// content.
type Answer struct {
	Kind       Kind
	Code       string
	Credential json.RawMessage
}

// An Enrollment is one that began. Secret, URI, QR and
// Codes are shown this once.
type Enrollment struct {
	ID        string // names it when it is confirmed; of an active one, the factor's
	Kind      Kind
	URI       Secret     // otpauth URL, for authenticator apps
	Secret    Secret     // the same as text
	QR        Secret     // the URI as a QR code: an SVG document, safe to put into a page
	Codes     []Secret   // backup codes
	Challenge *Challenge // what the confirming answer needs
	Active    bool       // it counts already, and Confirm is not called

	// Session is set by Guard when the enrolment is active: the caller's own
	// session, renewed, to be kept in place of the old one.
	Session *Session
}

// A Challenge is what one answer needs. It prints without its content.
type Challenge struct {
	Kind     Kind
	FactorID string
	Hint     string          // such as a masked address
	Options  json.RawMessage // for the browser, such as WebAuthn's
	Expires  time.Time
	Resend   time.Time // when it may be asked for again; zero: at once
}

// A Verification is a right answer.
type Verification struct {
	FactorID     string // the factor that gave it
	UserVerified bool   // the authenticator itself made sure of the person
}

// An Enroller begins enrolments.
//
// Implementations must keep what is not confirmed with Scope.Draft, never with
// Scope.Add, unless it counts at once (Enrollment.Active), and must draw what
// is secret from crypto/rand.
type Enroller interface {
	Kind() Kind
	Enroll(context.Context, *vault.Scope, EnrollRequest) (*Enrollment, error)
}

// A Confirmer is an Enroller whose factor is inactive until it was proven.
//
// Implementations must activate the draft named in the request, and nothing
// else, and burn the confirming answer, so that it cannot be used again to sign
// in. Their error wraps ErrRejected if the answer is wrong.
type Confirmer interface {
	Enroller
	Confirm(context.Context, *vault.Scope, ConfirmRequest) (*vault.Factor, error)
}

// A Verifier judges answers.
//
// Callers get success as a nil error with a non-nil Verification.
//
// Implementations must judge by the Scope and the request alone, so that a
// change that is tried again decides the same; must return an error that wraps
// ErrRejected for an answer that is not right, marked with vault.Uncounted only
// if it was malformed or meant for another ceremony; must leave in the Scope
// what makes the answer worthless afterwards; and must not put an answer, a
// secret or an address into an error.
type Verifier interface {
	Kind() Kind
	Traits() Traits
	Verify(context.Context, *vault.Scope, VerifyRequest) (*Verification, error)
}

// A Challenger is a Verifier whose answer needs something first.
//
// Implementations must send what they send with Scope.AfterSave, and must ask
// Scope.Allow before they send or store anything: whoever has the first factor
// can have a challenge made.
type Challenger interface {
	Verifier
	Challenge(context.Context, *vault.Scope, ChallengeRequest) (*Challenge, error)
}

// A Method is a whole factor, as Config.Methods takes it. Check says whether
// its options are valid; an unchecked invalid Method refuses everything.
type Method interface {
	Enroller
	Verifier
	Check() error
}

// A Conditional is a Method that is not offered to a user while Available
// returns an error, which the developer sees as the reason. It is called
// outside of every decision and may do I/O.
type Conditional interface {
	Available(ctx context.Context, u User) error
}

// A Counted is a Method whose factors are used up, such as a set of codes. Left
// gets a factor without its secret.
type Counted interface {
	Left(f vault.Factor) int
}

// A Hinter is a Method that can say more of a factor than its name, such as a
// masked address. It gets a factor without its secret.
type Hinter interface {
	Hint(f vault.Factor) string
}

// A Repairer is a Method whose factors remember a time. Repair forgets the ones
// that lie in the future; an administrator's Unlock calls it.
type Repairer interface {
	Repair(*vault.Scope)
}

func (a Answer) Format(s fmt.State, _ rune)      { fmt.Fprintf(s, "%s answer", a.Kind) }
func (a Answer) MarshalJSON() ([]byte, error)    { return json.Marshal(fmt.Sprint(a)) }
func (c Challenge) Format(s fmt.State, _ rune)   { fmt.Fprintf(s, "%s challenge", c.Kind) }
func (c Challenge) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(c)) }
func (e Enrollment) Format(s fmt.State, _ rune)  { fmt.Fprintf(s, "%s enrolment %s", e.Kind, e.ID) }
