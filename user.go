package mfa

import (
	"context"
	"slices"
	"time"
)

// A User is what the application says about one. Guard asks anew in each call.
type User struct {
	ID          string // 1 to 255 bytes, never changed, never given to another
	Name        string // the account name in authenticator apps; "": the ID
	DisplayName string
	Email       string
	Tenant      string
	Service     string // the issuer in authenticator apps; "": Config.Service
	Locale      string // BCP 47
	Policy      Policy
}

// A Directory finds a user by ID. An error is a failure: nothing is decided; but
// one that wraps ErrRejected says that there is no such user, or none who may sign
// in, and a passkey sign-in is then refused like one of nobody's. It
// must be an error for a user who was deleted or may not sign in: what was
// handed out to somebody without a record is good for its ten minutes otherwise.
type Directory func(ctx context.Context, userID string) (User, error)

// A Demand says what the application wants of a user. Whatever it is, a user
// who has set up a factor is asked for it.
type Demand int

const (
	Optional    Demand = iota
	Recommended        // as Optional, with an advice
	Required           // who has set up nothing must do so at the next sign-in
	Exempt             // not asked where the first factor is one of Policy.ExemptBy
)

// A Policy is what the application wants of one user. The zero Policy lets the
// user choose.
type Policy struct {
	Demand Demand

	// From is when Required begins, for a time of grace; zero: now.
	From time.Time

	// ExemptBy names the first factors of the API routes where a service
	// account is exempt. Empty: an exemption holds nowhere. Pages never
	// honour it.
	ExemptBy []By

	// Methods is how many factors the user should have, recovery not counted;
	// fewer give an advice. 0: two.
	Methods int

	// Rule is what the second step must satisfy besides, here and in every
	// Require; what cannot satisfy it is not enrolled, recovery codes apart. Its
	// MaxAge and AllowWithout mean nothing here.
	Rule Rule

	// PasskeyAlone lets a passkey that has verified its user stand for both
	// factors (see Guard.BeginPasskey). false: keys that are enrolled are second
	// factors and never begin a sign-in; a passkey that was enrolled before is the
	// first factor, and another kind has to be the second. Sessions that a passkey
	// has begun alone go on.
	PasskeyAlone bool

	// Offer limits which kinds may be enrolled, by tenant or role; recovery
	// codes come along in any case. nil: every kind that is configured.
	Offer []Kind
}

// requires reports whether p demands a second factor at that time.
func (p Policy) requires(now time.Time) bool {
	return p.Demand == Required && !now.Before(p.From)
}

// exempts reports whether p lets that first factor pass alone.
func (p Policy) exempts(by By) bool {
	return p.Demand == Exempt && slices.Contains(p.ExemptBy, by)
}

// offers reports whether m may be enrolled: if it is on offer, and if what it
// proves would be accepted afterwards.
func (p Policy) offers(m Method) bool {
	return (p.Offer == nil || slices.Contains(p.Offer, m.Kind())) && p.Rule.accepts(m.Kind(), m.Traits())
}

// A Rule says what a proof must be. The zero Rule is strict: any second factor,
// at most five minutes old.
type Rule struct {
	MaxAge            time.Duration // 0: 5 minutes; AnyAge: no bound
	PhishingResistant bool
	Not               []Kind // these do not do

	// AllowWithout lets users pass who have set up nothing; else they are
	// sent to enrol.
	AllowWithout bool
}

// AnyAge as a Rule's MaxAge accepts the proof of the sign-in itself.
const AnyAge time.Duration = 1<<63 - 1

const defaultAge = 5 * time.Minute

// Fresh is the Rule that wants any second factor at most d old.
func Fresh(d time.Duration) Rule { return Rule{MaxAge: d} }

func (r Rule) maxAge() time.Duration {
	if r.MaxAge <= 0 {
		return defaultAge
	}
	return r.MaxAge
}

// accepts reports whether a factor of that kind can satisfy r.
func (r Rule) accepts(k Kind, t Traits) bool {
	return (!r.PhishingResistant || t.PhishingResistant) && !slices.Contains(r.Not, k)
}

// A By names what the first factor was. An application may add its own.
type By string

const (
	ByPassword      By = "password"
	ByPasswordReset By = "password-reset"
	ByFederation    By = "federation"
	ByMagicLink     By = "magic-link"
	ByClientCert    By = "client-cert"
	ByAPIKey        By = "api-key" // a program's: no settings are changed by it
	ByPasskey       By = "passkey" // of Guard.BeginPasskey
)
