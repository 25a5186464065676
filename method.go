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
	PurposeAlone   Purpose = "alone"   // a passkey, with nothing before it and no name given
	PurposeStepUp  Purpose = "step-up" // once more, within a session
	PurposeConfirm Purpose = vault.PurposeConfirm
)

// Traits say what a kind of factor is worth.
type Traits struct {
	PhishingResistant bool // bound to the origin, such as WebAuthn
	OutOfBand         bool // a code is sent to the user, such as by email: weaker than what an app or a key makes
	Recovery          bool // for when the others are lost: offered last, comes and goes with them
	Single            bool // a user has one at most: enrolling another replaces it
	Typed             bool // a person types it, so it can be guessed and is counted
}

// A Request is part of every call to a method. User, Purpose and Flow bind what
// is handed out to what it was handed out for.
type Request struct {
	User    User
	Purpose Purpose
	Flow    string // the ID of the sign-in, step-up or session

	// Until is when the sign-in or step-up ends, and with it what was handed
	// out for it. Zero: not known.
	Until time.Time
}

type (
	// An EnrollRequest begins an enrolment.
	EnrollRequest struct {
		Request
		Name    string // the user's own name for the factor, at most 64 bytes
		Address string // where codes go, for the kinds that send them

		// Conditional: the browser may make it without asking the person, who
		// has just signed in by other means.
		Conditional bool
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
		Keep     bool // what is out for this ceremony already is as good
	}
	// A VerifyRequest judges an answer.
	VerifyRequest struct {
		Request
		Answer Answer
		State  []byte // for PurposeAlone: what Discover returned
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
	Earlier  bool      // nothing was sent now, too soon after what was sent before, which is still good
}

// A Verification is a right answer.
type Verification struct {
	FactorID     string // the factor that gave it
	UserVerified bool   // the authenticator itself made sure of the person
	Cloned       bool   // it was accepted, though its counter says that there may be two of it
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

// A Discoverer is a Challenger that signs in somebody who has given no name: the
// answer itself says whose it is.
//
// Implementations must make the challenge from crypto/rand alone, and must judge
// an answer for PurposeAlone by VerifyRequest.State, which Guard seals until then;
// nothing is written before somebody has answered rightly. What they accept must
// be two factors in one, such as a key that has verified its user.
type Discoverer interface {
	Challenger
	Discover(Request) (c *Challenge, state []byte, err error)

	// Identify returns the Factor.Key that an answer claims to be of. ErrInvalid
	// if it claims none.
	Identify(Answer) (key string, err error)
}

// A Signaler is a Method that keeps what browsers show of its factors true.
// Signals returns JSON for the page that manages them; it gets a Scope without
// secrets, and writes nothing.
type Signaler interface {
	Signals(*vault.Scope, User) (json.RawMessage, error)
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

// An Addressed is a Method whose factors are addresses that something is sent to.
// Guard resolves an address before the decision, so that Config.Limit can be
// asked about it; Stale and Address get a factor without its secret.
type Addressed interface {
	// Resolve returns the one form of an address that u gave, and for "" of
	// the one in u's profile. ErrArgument if it is none.
	Resolve(u User, address string) (string, error)

	// Address returns a factor's.
	Address(f vault.Factor) string

	// Stale reports whether the factor's address was the one in u's profile
	// and is not any more.
	Stale(u User, f vault.Factor) bool
}

// A Deliverer is a Method that sends something after the save. Undelivered is
// called, in a change of its own, when that failed: it may be asked for again
// at once.
type Deliverer interface {
	Undelivered(*vault.Scope, Request)
}

// A Repairer is a Method whose factors remember a time. Repair forgets the ones
// that lie in the future; an administrator's Unlock calls it.
type Repairer interface {
	Repair(*vault.Scope)
}

func (r VerifyRequest) Format(s fmt.State, _ rune)   { fmt.Fprintf(s, "verification of a %s", r.Answer) }
func (r VerifyRequest) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(r)) }

func (a Answer) Format(s fmt.State, _ rune)      { fmt.Fprintf(s, "%s answer", a.Kind) }
func (a Answer) MarshalJSON() ([]byte, error)    { return json.Marshal(fmt.Sprint(a)) }
func (c Challenge) Format(s fmt.State, _ rune)   { fmt.Fprintf(s, "%s challenge", c.Kind) }
func (c Challenge) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(c)) }
func (e Enrollment) Format(s fmt.State, _ rune)  { fmt.Fprintf(s, "%s enrolment %s", e.Kind, e.ID) }
