package vault

import "time"

// A Factor is one enrolled authenticator of a user, as its kind keeps it. It
// prints as its kind and ID alone.
type Factor struct {
	ID   string // drawn by the vault
	Kind Kind
	Name string // the user's own, at most MaxName bytes

	Added    time.Time
	LastUsed time.Time // zero: never

	// Key is unique over all users (a WebAuthn credential ID), or "". It is
	// claimed when the factor becomes active and released when it goes.
	Key string

	// Data is what the kind keeps and may read in each of its Scopes.
	Data []byte

	// Secret is what an answer is compared with. It is written when the
	// factor is made and shown only inside Account.Guess: everywhere else it
	// is nil, and leaving it nil keeps it.
	Secret []byte

	// Disabled: 100 consecutive failures ended it. It verifies nothing more
	// and goes when it is removed or its kind is enrolled anew.
	Disabled bool

	hidden []byte // Secret, while it is not shown
}

// A Challenge is something handed out that one answer will be checked against.
// There is at most one of the same factor, flow and purpose.
type Challenge struct {
	FactorID      string
	Flow, Purpose string    // "": those of the Scope
	Expires       time.Time // at most MaxDraft from now

	Data   []byte // readable in each Scope of the kind
	Secret []byte // shown only inside Account.Guess, as in Factor

	hidden []byte
}

// A Limit allows N times in any period of Per.
type Limit struct {
	N   int           // at most 32
	Per time.Duration // at most 24 hours: beyond, uses may be forgotten
}

// Bounds on what one user keeps. What is over one gets ErrFull.
const (
	MaxName       = 64               // bytes of a factor's name
	MaxDraft      = 15 * time.Minute // of a draft or challenge
	maxDrafts     = 3
	maxFactors    = 40
	maxChallenges = 12
	maxSpent      = 16
	maxBuckets    = 16
	maxPerBucket  = 32
	enrolBelow    = 12 << 10 // bytes: no enrolment from here on, or beyond
	maxRecord     = 16 << 10 // bytes, sealed
)

// tolerance is how far ahead of our clock another machine's may run. A time
// further in the future grants nothing and restricts no longer than from now.
const tolerance = 2 * time.Minute

func (f *Factor) show()    { f.Secret = keep(f.Secret, f.hidden) }
func (f *Factor) hide()    { f.hidden, f.Secret = keep(f.Secret, f.hidden), nil }
func (c *Challenge) show() { c.Secret = keep(c.Secret, c.hidden) }
func (c *Challenge) hide() { c.hidden, c.Secret = keep(c.Secret, c.hidden), nil }
func keep(b, or []byte) []byte {
	if b != nil {
		return b
	}
	return or
}
