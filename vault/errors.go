package vault

import (
	"errors"
	"fmt"
	"time"
)

// Verdicts. An error that wraps ErrRejected is an answer like success is: it
// is saved before it is told. Every other error is a failure: nothing was
// saved, and nothing was decided.
var (
	ErrRejected    = errors.New("rejected")
	ErrInvalid     = fmt.Errorf("%w: invalid answer", ErrRejected)
	ErrExpired     = fmt.Errorf("%w: expired", ErrRejected)
	ErrReplayed    = fmt.Errorf("%w: used before", ErrRejected)
	ErrNotEnrolled = fmt.Errorf("%w: not enrolled", ErrRejected)
	ErrTooMany     = fmt.Errorf("%w: too many attempts", ErrRejected)
)

// Failures.
var (
	// ErrUnknownKey: the record is sealed under a key that is not in the ring.
	ErrUnknownKey = errors.New("vault: sealed under an unknown key")

	// ErrCorrupt: the record does not open, or is not ours. A record copied
	// to another user ends here.
	ErrCorrupt = errors.New("vault: record does not open")

	// ErrTooNew: a newer version of this library wrote the record.
	ErrTooNew = errors.New("vault: record of a newer format")

	// ErrBusy: others kept writing first, or the queue was too long. Nothing
	// was counted.
	ErrBusy = errors.New("vault: busy")

	// ErrClock: the clock, or a time that it gave once, is impossible.
	ErrClock = errors.New("vault: impossible clock")

	// ErrOutcomeUnknown: the save may have landed or not. It is never a
	// rejection; asking again tells.
	ErrOutcomeUnknown = errors.New("vault: outcome unknown")

	// ErrFull: a bound on what one user may keep is reached.
	ErrFull = errors.New("vault: full")

	// ErrNoAccount: the change would have created an account without
	// enrolling, importing or revoking anything. A deleted user does not come
	// back by verifying.
	ErrNoAccount = errors.New("vault: no account")
)

// A LimitError says that an answer was not looked at, right or wrong, and when
// one will be. errors.Is(err, ErrTooMany) holds.
type LimitError struct {
	RetryAfter time.Duration // above 0
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: try again in %v", ErrTooMany, e.RetryAfter.Round(time.Second))
}

func (e *LimitError) Unwrap() error { return ErrTooMany }

// An EffectError says that a change was saved, and its answer stands, but
// something that should have followed it (a mail, a callback) failed.
type EffectError struct {
	Err error
}

func (e *EffectError) Error() string { return "vault: saved, but not delivered: " + e.Err.Error() }
func (e *EffectError) Unwrap() error { return e.Err }

// Uncounted marks a verdict as no try: the answer was not of the right form,
// or not for this ceremony, so that it tells nothing about the right one.
// Guess gives the attempt back. A factor that refuses by a limit of its own marks
// that so too. A wrong guess must never be marked so.
func Uncounted(verdict error) error { return &uncounted{verdict} }

type uncounted struct{ error }

func (e *uncounted) Unwrap() error { return e.error }

// Counts reports whether a verdict was charged as a try.
func Counts(verdict error) bool {
	var no *uncounted
	return errors.Is(verdict, ErrRejected) && !errors.Is(verdict, ErrTooMany) && !errors.As(verdict, &no)
}
