package mfa

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// Config says what a Guard guards.
type Config struct {
	// Service is the name that users see in their authenticator apps.
	// Required, without colon or control character.
	Service string

	// Methods are the factors on offer, each kind once. Required.
	Methods []Method

	// Users finds a user. nil: users are their IDs, with the zero Policy.
	Users Directory

	// Notify tells the user of changes and alarms. nil: nobody is told. Its
	// failure undoes nothing and comes as EventDeliveryFailed.
	Notify Notifier

	// OnEvent gets every event, after what it tells of was saved. nil: none.
	// It runs within the call and should be quick.
	OnEvent func(context.Context, Event)

	// Limit, if not nil, is asked before an answer is judged and before
	// something is sent: by address, destination, or whatever the application
	// counts. It can only add to the limits that are built in. A *LimitError
	// refuses with the time to wait, any other error as a failure.
	Limit func(context.Context, Use) error

	// EndSessions ends all of the application's sessions of a user. It is
	// called after every change of credentials; the session at hand is started
	// anew by who made the change. nil: the application looks after it.
	EndSessions func(ctx context.Context, userID string) error
}

// A Guard says what a user must still prove, and changes what users have set
// up. It is safe for use by many goroutines, and keeps nothing that a restart
// would lose.
type Guard struct {
	vault   *vault.Vault
	cfg     Config
	order   methods // as configured
	methods map[Kind]Method
	sealer  sealer
}

type methods []Method

func (ms methods) get(k Kind) Method {
	for _, m := range ms {
		if m.Kind() == k {
			return m
		}
	}
	return nil
}

// New returns a Guard over v, or all that is wrong with cfg.
func New(v *vault.Vault, cfg Config) (*Guard, error) {
	var errs []error
	if v == nil {
		errs = append(errs, errors.New("no vault"))
	}
	if cfg.Service == "" {
		errs = append(errs, errors.New("no service name"))
	}
	if strings.ContainsFunc(cfg.Service, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) }) {
		errs = append(errs, errors.New("service name with a colon or control character"))
	}
	if len(cfg.Methods) == 0 {
		errs = append(errs, errors.New("no methods"))
	}
	g := &Guard{vault: v, cfg: cfg, order: slices.Clone(cfg.Methods), methods: map[Kind]Method{}}
	for i, m := range cfg.Methods {
		if m == nil {
			errs = append(errs, fmt.Errorf("method %d is nil", i))
			continue
		}
		if !validKind(m.Kind()) {
			errs = append(errs, fmt.Errorf("%q: a kind has 1 to 32 lower-case letters, digits and hyphens", m.Kind()))
		}
		if err := m.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Kind(), err))
		}
		if g.methods[m.Kind()] != nil {
			errs = append(errs, fmt.Errorf("%s: configured twice", m.Kind()))
		}
		g.methods[m.Kind()] = m
	}
	sealer, err := newSealer()
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("mfa: invalid configuration: %w", errors.Join(errs...))
	}
	sealer.vault = v
	g.sealer = sealer
	return g, nil
}

func validKind(k Kind) bool {
	return len(k) >= 1 && len(k) <= 32 && !strings.ContainsFunc(string(k), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

func (g *Guard) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("guard of " + g.cfg.Service)) }

// Traits returns what a configured kind is worth, false if there is none.
func (g *Guard) Traits(k Kind) (t Traits, ok bool) {
	m, ok := g.methods[k]
	if ok {
		t = m.Traits()
	}
	return t, ok
}

// Now is the time by the clock that decides: the vault's. ErrClock if it is
// impossible.
func (g *Guard) Now() (time.Time, error) { return g.vault.Now() }

// errNoGuard is the answer of a zero Pending.
var errNoGuard = fmt.Errorf("%w: not made by a Guard", ErrArgument)

// user asks the Directory.
func (g *Guard) user(ctx context.Context, id string) (User, error) {
	if g == nil {
		return User{}, errNoGuard
	}
	if err := store.CheckUserID(id); err != nil {
		return User{}, err
	}
	u := User{ID: id}
	if g.cfg.Users != nil {
		var err error
		if u, err = g.cfg.Users(ctx, id); err != nil {
			return User{}, fmt.Errorf("mfa: directory: %w", err)
		}
		if u.ID != id {
			return User{}, errors.New("mfa: directory: another user than asked for")
		}
	}
	u.Name = cmp.Or(u.Name, u.ID)
	u.Service = cmp.Or(u.Service, g.cfg.Service)
	return u, nil
}

// usable are the methods that can be offered to one user at all, as configured.
type usable struct {
	methods
	withheld map[Kind]error // the others, and why
}

// usable may do I/O, so it is called before a decision, not in it.
func (g *Guard) usable(ctx context.Context, u User) usable {
	var us usable
	for _, m := range g.order {
		if c, ok := m.(Conditional); ok {
			if err := c.Available(ctx, u); err != nil {
				if us.withheld == nil {
					us.withheld = map[Kind]error{}
				}
				us.withheld[m.Kind()] = err
				continue
			}
		}
		us.methods = append(us.methods, m)
	}
	return us
}

// none is ErrNoMethod, for the developer with what is withheld and why.
func (us usable) none() error {
	err := ErrNoMethod
	for _, k := range slices.Sorted(maps.Keys(us.withheld)) {
		err = fmt.Errorf("%w (%s: %w)", err, k, us.withheld[k])
	}
	return err
}

// An Offer is one way to prove a second factor.
type Offer struct {
	Kind      Kind
	FactorID  string // "": any factor of the kind
	Name      string // the factor's, where the offer is for one
	Hint      string
	Challenge bool // Pending.Challenge comes before Verify
	Keep      bool // to be set for Pending.Challenge, if a code that is out already is as good as another one
	Traits    Traits
}

// offers returns what a can be proven with under r, strongest first, recovery
// last.
func (g *Guard) offers(a *vault.Account, u User, r Rule, usable usable) []Offer {
	var offers []Offer
	for _, m := range usable.methods {
		t := m.Traits()
		if !r.accepts(m.Kind(), t) || !u.Policy.Rule.accepts(m.Kind(), t) {
			continue
		}
		_, challenge := m.(Challenger)
		var one *Offer
		for _, f := range a.Factors() {
			if f.Kind != m.Kind() || f.Disabled {
				continue
			}
			switch {
			case t.OutOfBand:
				offers = append(offers, Offer{Kind: m.Kind(), FactorID: f.ID, Name: f.Name, Hint: hint(m, f), Challenge: challenge, Traits: t})
			case one == nil:
				one = &Offer{Kind: m.Kind(), Name: f.Name, Hint: hint(m, f), Challenge: challenge, Traits: t}
			default:
				one.Name, one.Hint = "", ""
			}
		}
		if one != nil {
			offers = append(offers, *one)
		}
	}
	slices.SortStableFunc(offers, func(x, y Offer) int { return cmp.Compare(x.Traits.rank(), y.Traits.rank()) })
	return offers
}

// rank orders traits, strongest first.
func (t Traits) rank() int {
	switch {
	case t.Recovery:
		return 3
	case t.PhishingResistant:
		return 0
	case t.OutOfBand:
		return 2
	}
	return 1
}

func hint(m Method, f vault.Factor) string {
	if h, ok := m.(Hinter); ok {
		return h.Hint(f)
	}
	return ""
}

// judge lets m judge an answer: under the limit if it was typed, with a Scope
// that sees no secrets if it was signed.
func judge[T any](a *vault.Account, m Method, p Purpose, flow string, f func(*vault.Scope) (*T, error)) (*T, error) {
	var result *T
	check := func(s *vault.Scope) (err error) {
		if result, err = f(s); err == nil && result == nil {
			err = fmt.Errorf("mfa: %s: neither an answer nor an error", m.Kind())
		}
		return err
	}
	var err error
	if m.Traits().Typed {
		err = a.Guess(m.Kind(), string(p), flow, check)
	} else {
		err = check(a.Scope(m.Kind(), string(p), flow))
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

// standing counts the factors that can sign somebody in by themselves: not
// disabled, and no recovery.
func (g *Guard) standing(a *vault.Account) int {
	n := 0
	for _, f := range a.Factors() {
		if m := g.methods[f.Kind]; !f.Disabled && (m == nil || !m.Traits().Recovery) {
			n++
		}
	}
	return n
}

// left returns how many recovery codes the account has; known is false if it
// has no set.
func (g *Guard) left(a *vault.Account) (n int, known bool) {
	for _, f := range a.Factors() {
		m := g.methods[f.Kind]
		if m == nil || !m.Traits().Recovery {
			continue
		}
		if c, ok := m.(Counted); ok {
			known = true
			if !f.Disabled {
				n += c.Left(f)
			}
		}
	}
	return n, known
}
