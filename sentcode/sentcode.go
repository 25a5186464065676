package sentcode

// The factor: enrolment, challenge and sign-in over a Scope.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

var (
	_ mfa.Method      = (*Method)(nil)
	_ mfa.Confirmer   = (*Method)(nil)
	_ mfa.Challenger  = (*Method)(nil)
	_ mfa.Conditional = (*Method)(nil)
	_ mfa.Hinter      = (*Method)(nil)
	_ mfa.Addressed   = (*Method)(nil)
	_ mfa.Deliverer   = (*Method)(nil)
)

// A Channel carries codes to addresses of one sort.
//
// Implementations must be safe for use by many goroutines, must not keep or log
// a code, and must not put a code or an address into an error.
type Channel interface {
	// Kind names the factor. It is stored, so it never changes.
	Kind() mfa.Kind

	// Normalize returns the one form of an address, at most 255 bytes; an error
	// if it is none. What it returned it takes unchanged.
	Normalize(address string) (string, error)

	// Mask returns an address as its owner recognises it and nobody else learns
	// it.
	Mask(address string) string

	// Available returns an error while u cannot be sent anything: the method
	// is not offered to u then, and the developer gets the reason.
	Available(ctx context.Context, u mfa.User) error

	// Send sends a code. nil means that somebody else is responsible for it
	// now. It must return soon after ctx ended.
	Send(ctx context.Context, m Message) error
}

// A Profiled is a Channel for addresses of which mfa.User holds one. Who enrols
// without an address gets that one; it is "" if the user has none.
type Profiled interface {
	Profile(u mfa.User) string
}

// A Message is what a Channel sends. It prints without its content.
type Message struct {
	User    mfa.User
	To      string // as Normalize returned it
	Code    mfa.Secret
	Purpose mfa.Purpose   // mfa.PurposeConfirm: to enrol the address
	TTL     time.Duration // how long the code is good from now
}

func (m Message) Format(s fmt.State, _ rune)   { fmt.Fprintf(s, "%s code [redacted]", m.Purpose) }
func (m Message) LogValue() slog.Value         { return slog.StringValue(fmt.Sprint(m)) }
func (m Message) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprint(m)) }

// Options may be nil.
type Options struct {
	// Digits of a code, 6 to 10. 0: 6.
	Digits int

	// TTL is how long a code is good: one minute to ten, the most that NIST
	// SP 800-63B-4 section 3.1.3.2 and ASVS 6.5.5 allow. 0: ten minutes.
	TTL time.Duration
}

const (
	minDigits  = 6
	maxDigits  = 10
	minTTL     = time.Minute
	maxTTL     = 10 * time.Minute
	draftTTL   = 10 * time.Minute
	maxAddress = 255 // bytes
	maxInput   = 1024
)

// A Method is the factor, made by New. It never changes.
type Method struct {
	ch     Channel
	digits int
	ttl    time.Duration
	err    error
}

// New returns the factor that sends by ch. Whether ch and opts are valid is told
// by Check, which mfa.New calls; without it, an invalid Method refuses
// everything.
func New(ch Channel, opts *Options) *Method {
	m := &Method{ch: ch, digits: minDigits, ttl: maxTTL}
	if opts != nil && opts.Digits != 0 {
		m.digits = opts.Digits
	}
	if opts != nil && opts.TTL != 0 {
		m.ttl = opts.TTL
	}
	switch {
	case ch == nil:
		m.err = fmt.Errorf("sentcode: no channel (%w)", mfa.ErrArgument)
	case m.digits < minDigits || m.digits > maxDigits:
		m.err = fmt.Errorf("sentcode: options: %d digits, not %d to %d (%w)", m.digits, minDigits, maxDigits, mfa.ErrArgument)
	case m.ttl < minTTL || m.ttl > maxTTL:
		m.err = fmt.Errorf("sentcode: options: a TTL of %v, not %v to %v (%w)", m.ttl, minTTL, maxTTL, mfa.ErrArgument)
	}
	return m
}

// Check returns an error that wraps mfa.ErrArgument if the Method is not valid.
func (m *Method) Check() error {
	if m == nil || m.err == nil && m.ch == nil {
		return fmt.Errorf("sentcode: a Method that New did not make (%w)", mfa.ErrArgument)
	}
	return m.err
}

// Kind implements mfa.Method: the channel's.
func (m *Method) Kind() mfa.Kind {
	if m == nil || m.ch == nil {
		return ""
	}
	return m.ch.Kind()
}

func (m Method) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "%s method", m.Kind()) }

// Traits implements mfa.Method: a person types what was sent, and a new address
// replaces the old one.
func (m *Method) Traits() mfa.Traits { return mfa.Traits{Typed: true, OutOfBand: true, Single: true} }

// Available implements mfa.Conditional: the channel's word.
func (m *Method) Available(ctx context.Context, u mfa.User) error {
	if err := m.Check(); err != nil {
		return err
	}
	return m.ch.Available(ctx, u)
}

// Hint implements mfa.Hinter: the masked address.
func (m *Method) Hint(f vault.Factor) string {
	if address := m.Address(f); address != "" {
		return m.ch.Mask(address)
	}
	return ""
}

// Address implements mfa.Addressed. "" if f cannot be read.
func (m *Method) Address(f vault.Factor) string {
	c, err := decodeCard(f.Data)
	if err != nil || m.Check() != nil {
		return ""
	}
	return c.address
}

// Stale implements mfa.Addressed.
func (m *Method) Stale(u mfa.User, f vault.Factor) bool {
	c, err := decodeCard(f.Data)
	if err != nil || m.Check() != nil || !c.profile {
		return false
	}
	now := m.profile(u)
	return now != "" && now != c.address
}

// profile is the address in u's profile, "" if there is none that is one.
func (m *Method) profile(u mfa.User) string {
	p, ok := m.ch.(Profiled)
	if !ok {
		return ""
	}
	address, err := m.normalize(p.Profile(u))
	if err != nil {
		return ""
	}
	return address
}

func (m *Method) normalize(address string) (string, error) {
	if address == "" || len(address) > maxInput {
		return "", errAddress
	}
	n, err := m.ch.Normalize(address)
	if err != nil || n == "" || len(n) > maxAddress {
		return "", errAddress // the channel's own words may quote it
	}
	return n, nil
}

// Resolve implements mfa.Addressed.
func (m *Method) Resolve(u mfa.User, address string) (string, error) {
	if err := m.Check(); err != nil {
		return "", err
	}
	if address == "" {
		if address = m.profile(u); address == "" {
			return "", errAddress
		}
	}
	return m.normalize(address)
}

// Enroll sends a code to the address (to the one in the profile if there is
// none), which Confirm takes within ten minutes. An address that is a factor
// already goes on working until then. Enrolling the same address again in the same
// session sends another code for the same enrolment, or none while it may not: then
// the one that is out stays good, the Challenge is Earlier, and Resend says until when.
//
// mfa.ErrArgument if it is no address, mfa.ErrTooMany past the limits on sending.
func (m *Method) Enroll(_ context.Context, s *vault.Scope, req mfa.EnrollRequest) (*mfa.Enrollment, error) {
	address, err := m.Resolve(req.User, req.Address)
	if err != nil {
		return nil, err
	}
	f := drafted(s, address)
	if err := allow(s); err != nil {
		if e := m.waiting(s, req.Request, f, address, err); e != nil {
			return e, nil
		}
		return nil, err
	}
	if f == nil {
		f, err = s.Draft(vault.Factor{Name: req.Name, Data: card{address: address}.encode()}, draftTTL)
		if err != nil {
			return nil, err
		}
	}
	f.Name = req.Name
	s.Extend(f.ID, draftTTL)
	c, err := m.issue(s, req.Request, f.ID, address)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: f.ID, Kind: m.Kind(), Challenge: c}, nil
}

// waiting returns the enrolment of an address that a code is out for already,
// when another one may not be sent yet: who goes back and on again can type the
// code in hand.
func (m *Method) waiting(s *vault.Scope, r mfa.Request, f *vault.Factor, address string, refused error) *mfa.Enrollment {
	var limit *mfa.LimitError
	if f == nil || !errors.As(refused, &limit) {
		return nil
	}
	c := m.inHand(s, r, f.ID, address)
	if c == nil {
		return nil
	}
	c.Resend = s.Now().Add(limit.RetryAfter)
	return &mfa.Enrollment{ID: f.ID, Kind: m.Kind(), Challenge: c}
}

// inHand returns the challenge whose code went out for this ceremony and factor and
// is good still, nil if there is none.
func (m *Method) inHand(s *vault.Scope, r mfa.Request, factorID, address string) *mfa.Challenge {
	for _, c := range out(s, r) {
		if t, err := decodeTicket(c.Data); err == nil && c.FactorID == factorID && t.address == address && t.sent.UnixMilli() != 0 {
			return &mfa.Challenge{
				Kind: m.Kind(), FactorID: factorID, Hint: m.ch.Mask(address), Expires: c.Expires, Resend: t.sent.Add(pause), Earlier: true,
			}
		}
	}
	return nil
}

// drafted returns this session's pending enrolment of an address, nil if there
// is none.
func drafted(s *vault.Scope, address string) *vault.Factor {
	for _, f := range s.Drafts() {
		if c, err := decodeCard(f.Data); err == nil && c.address == address {
			return f
		}
	}
	return nil
}

// Confirm makes the address a factor, in the place of the one before, if the code
// is the one that was sent there.
//
// mfa.ErrExpired if the enrolment or its code is over, else mfa.ErrInvalid. It
// must run inside Account.Guess.
func (m *Method) Confirm(_ context.Context, s *vault.Scope, req mfa.ConfirmRequest) (*vault.Factor, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	f := s.Drafted(req.EnrollmentID)
	if f == nil {
		return nil, vault.Uncounted(mfa.ErrExpired)
	}
	c, err := decodeCard(f.Data)
	if err != nil {
		return nil, err
	}
	if err := m.judge(s, req.Request, f.ID, c.address, req.Answer.Code); err != nil {
		return nil, err
	}
	for _, old := range s.Factors() {
		s.Remove(old.ID)
	}
	c.profile = c.address == m.profile(req.User)
	f.Data = c.encode()
	return s.Activate(f.ID)
}

// Challenge sends a code to the factor's address. It is the address that was
// confirmed, whatever the profile or the request says.
//
// mfa.ErrTooMany past the limits on sending: a code that is out stays good.
func (m *Method) Challenge(_ context.Context, s *vault.Scope, req mfa.ChallengeRequest) (*mfa.Challenge, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	f, c, err := chosen(s, req.FactorID)
	if err != nil {
		return nil, err
	}
	if req.Keep { // who goes back and gives the password again can type the code in hand
		if o := m.inHand(s, req.Request, f.ID, c.address); o != nil && o.Expires.Sub(s.Now()) >= time.Minute {
			return o, nil
		}
	}
	if err := allow(s); err != nil {
		return nil, err
	}
	return m.issue(s, req.Request, f.ID, c.address)
}

// chosen returns the factor with that ID, any for "".
func chosen(s *vault.Scope, id string) (*vault.Factor, card, error) {
	for _, f := range s.Factors() {
		if id == "" || f.ID == id {
			c, err := decodeCard(f.Data)
			return f, c, err
		}
	}
	return nil, card{}, vault.Uncounted(mfa.ErrNotEnrolled)
}

// Verify judges a code.
//
// mfa.ErrInvalid if it is not the one (not counted if it cannot be a code, or is
// out for another ceremony of the user); mfa.ErrExpired, not counted, if none is
// out for this one. It must run inside Account.Guess.
func (m *Method) Verify(_ context.Context, s *vault.Scope, req mfa.VerifyRequest) (*mfa.Verification, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	f, c, err := chosen(s, "")
	if err != nil {
		return nil, err
	}
	if err := m.judge(s, req.Request, f.ID, c.address, req.Answer.Code); err != nil {
		return nil, err
	}
	return &mfa.Verification{FactorID: f.ID}, nil
}

// Undelivered implements mfa.Deliverer: the pause is over. What was not sent
// still counts for the hour and the day.
func (m *Method) Undelivered(s *vault.Scope, r mfa.Request) {
	for _, c := range out(s, r) {
		if t, err := decodeTicket(c.Data); err == nil {
			s.Refund(bucketPause, t.sent)
			t.sent = time.UnixMilli(0) // so that it is not taken for one that is in somebody's hand
			c.Data = t.encode()
			_ = s.Issue(c)
		}
	}
}
