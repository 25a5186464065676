package mfa

import (
	"errors"
	"fmt"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// Verdicts: the answer was judged and is not accepted. A client is told one
// text for all of them, and for ErrTooMany the time to wait (*LimitError).
var (
	ErrRejected    = vault.ErrRejected    // wrapped by the others
	ErrInvalid     = vault.ErrInvalid     // wrong
	ErrExpired     = vault.ErrExpired     // too late, or void: begin again
	ErrReplayed    = vault.ErrReplayed    // right, but used before
	ErrNotEnrolled = vault.ErrNotEnrolled // the user has no such factor
	ErrTooMany     = vault.ErrTooMany     // not looked at, right or wrong

	// ErrCloned: the counter of an authenticator went back, so there may be
	// two of it.
	ErrCloned = fmt.Errorf("%w: possible clone", ErrInvalid)
)

// Failures: nothing was decided, and nothing may be concluded.
var (
	// ErrNoMethod: the user has factors, and none of them can be used here.
	ErrNoMethod = errors.New("mfa: no method can be offered")

	// ErrStepUpRequired: see StepUpError.
	ErrStepUpRequired = errors.New("mfa: step-up required")

	// ErrUnavailable: the store, or what a method needs, does not answer.
	ErrUnavailable = store.ErrUnavailable

	// ErrBusy: try again; nothing was counted.
	ErrBusy = vault.ErrBusy

	// ErrClock: the clock, or a time that it gave once, is impossible.
	ErrClock = vault.ErrClock

	// ErrOutcomeUnknown: the save may have landed. It is never a rejection.
	ErrOutcomeUnknown = vault.ErrOutcomeUnknown

	// ErrLimit: the user has as many of these as one may have.
	ErrLimit = vault.ErrFull

	// ErrLastFactor: Remove does not take the last factor; RemoveAll does.
	ErrLastFactor = errors.New("mfa: the last factor")

	// ErrRequired: the policy demands a second factor of this user.
	ErrRequired = errors.New("mfa: a second factor is required of this user")

	// ErrNotFound: the user has no such factor.
	ErrNotFound = errors.New("mfa: not found")

	// ErrLostRecord: the application knows that the user has set up a second
	// factor (FirstFactor.Expect), and there is none.
	ErrLostRecord = errors.New("mfa: a second factor was expected and is not there")

	// ErrArgument: the call itself is wrong (a name too long, a kind that is
	// not configured, an empty user ID). Nothing was counted.
	ErrArgument = store.ErrArgument
)

// A LimitError is an ErrTooMany with the time to wait.
type LimitError = vault.LimitError

// An EffectError says that a change was saved and its answer stands, but a
// notice, code or callback after it failed. It is returned by Challenge and
// Enroll, whose code was not sent, and by PasswordChanged and its like, whose
// EndSessions failed; elsewhere it is an event, EventDeliveryFailed.
type EffectError = vault.EffectError
