package totp

// The factor: enrolment, confirmation and sign-in over a Scope.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

var (
	_ mfa.Method    = (*Method)(nil)
	_ mfa.Confirmer = (*Method)(nil)
	_ mfa.Repairer  = (*Method)(nil)
)

// Kind names this factor in answers, offers and stored accounts.
const Kind mfa.Kind = "totp"

const (
	maxApps  = 5
	draftTTL = 10 * time.Minute
)

// Options may be nil. They decide how new keys are made, and how wide the
// window is for every key; a key that exists keeps its algorithm, digits and
// period.
type Options struct {
	// Algorithm: SHA1 (zero), SHA256 or SHA512. Several widespread apps take
	// no other than SHA1.
	Algorithm Algorithm

	// Digits of a code, 6 to 8. 0: 6.
	Digits int

	// Period of a step: whole seconds, 15 s to 120 s (NIST SP 800-63B-4
	// section 3.1.4.1 has codes change at least every two minutes). 0: 30 s.
	Period time.Duration

	// Window: NormalWindow (zero) is one step to either side. No window
	// reaches further than two (RFC 6238 section 5.2 recommends one).
	Window Window

	// LearnDrift keeps, with each accepted code, by how many steps the app's
	// clock is off, and moves the window there next time (RFC 6238 section
	// 6): by two steps at most, and it does not become wider. It is for
	// hardware tokens; telephones set their clocks. It means nothing for a
	// Key alone.
	LearnDrift bool
}

// resolve fills in the defaults and checks the ranges.
func (o *Options) resolve() (spec, Window, error) {
	if o == nil {
		o = &Options{}
	}
	p := spec{algorithm: o.Algorithm, digits: o.Digits, period: int64(o.Period / time.Second)}
	if o.Digits == 0 {
		p.digits = 6
	}
	if o.Period == 0 {
		p.period = 30
	}
	err := p.check()
	switch {
	case err != nil:
	case o.Period%time.Second != 0:
		err = errors.New("a period that is not in whole seconds")
	case o.Window < NormalWindow || o.Window > WideWindow:
		err = fmt.Errorf("unknown window %d", o.Window)
	}
	if err != nil {
		return spec{}, StrictWindow, fmt.Errorf("totp: options: %w (%w)", err, mfa.ErrArgument)
	}
	return p, o.Window, nil
}

// A Method is the factor, made by New. It never changes.
type Method struct {
	spec   spec
	window Window
	learn  bool
	err    error
}

// New returns the factor. Whether opts are valid is told by Check, which
// mfa.New calls; without it, an invalid Method refuses everything.
func New(opts *Options) *Method {
	m := &Method{learn: opts != nil && opts.LearnDrift}
	m.spec, m.window, m.err = opts.resolve()
	return m
}

// Check returns an error that wraps mfa.ErrArgument if the options are not
// valid.
func (m *Method) Check() error {
	if m.err == nil && m.spec.digits == 0 {
		return fmt.Errorf("totp: a Method that New did not make (%w)", mfa.ErrArgument)
	}
	return m.err
}

// Kind implements mfa.Method.
func (m *Method) Kind() mfa.Kind { return Kind }

// Traits implements mfa.Method: a person types the code.
func (m *Method) Traits() mfa.Traits { return mfa.Traits{Typed: true} }

// Enroll draws a key and keeps it, inactive, for ten minutes. Its issuer is the
// user's Service, its account the user's Name or, without one, ID. The
// Enrollment shows it once, as URI, text and QR code; KeyOf draws it in other
// forms. It begins beside the apps that there are, which go on working.
//
// mfa.ErrLimit if the user has five apps, mfa.ErrArgument if Service cannot stand
// in a URI (see GenerateKey). What cannot stand there of Name or ID, such as a
// colon, is shown as a hyphen: it is there for the eye alone.
func (m *Method) Enroll(_ context.Context, s *vault.Scope, req mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := room(s); err != nil {
		return nil, err
	}
	account := req.User.Name
	if account == "" {
		account = req.User.ID
	}
	k, err := newKey(req.User.Service, legible(account), drawSecret(), m.spec)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", err, mfa.ErrArgument)
	}
	svg, err := k.SVG()
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", err, mfa.ErrArgument)
	}
	f, err := s.Draft(vault.Factor{Name: req.Name, Data: state{spec: m.spec}.encode(), Secret: k.secret}, draftTTL)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: f.ID, Kind: Kind, URI: k.URI(), Secret: k.Secret(), QR: mfa.Secret(svg)}, nil
}

// room refuses a sixth app.
func room(s *vault.Scope) error {
	if len(s.Factors()) >= maxApps {
		return fmt.Errorf("totp: %w: %d apps", mfa.ErrLimit, maxApps)
	}
	return nil
}

// Confirm activates the enrolment if the code is one of its key. The code is
// used with that: it cannot sign in.
//
// mfa.ErrExpired if there is no such enrolment in this session any more, else
// mfa.ErrInvalid; a code that came too late is not the end, the next one will
// do. It must run inside Account.Guess.
func (m *Method) Confirm(_ context.Context, s *vault.Scope, req mfa.ConfirmRequest) (*vault.Factor, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	f := s.Drafted(req.EnrollmentID)
	if f == nil {
		return nil, vault.Uncounted(mfa.ErrExpired)
	}
	if err := room(s); err != nil {
		return nil, err
	}
	st, err := open(f)
	if err != nil {
		return nil, err
	}
	code, ok := canonical(req.Answer.Code)
	if !ok || len(code) != st.digits {
		return nil, malformed()
	}
	now := s.Now()
	v, step, err := st.judge(f.Secret, code, now, m.window)
	switch {
	case err != nil:
		return nil, err
	case v != right:
		return nil, mfa.ErrInvalid
	}
	st.burn(step, now, m.learn)
	f.Data = st.encode()
	return s.Activate(f.ID)
}

// open decodes a factor whose secret is shown.
func open(f *vault.Factor) (state, error) {
	if len(f.Secret) < minSecret {
		return state{}, errHidden
	}
	return decode(f.Data)
}

var errHidden = errors.New("totp: no secret to compare with: call it inside Account.Guess")

// Verify judges a code against all of the user's apps. On success the step
// that matched is burned, and with it all before.
//
// mfa.ErrInvalid if it matches none (not counted if it cannot be a code),
// mfa.ErrReplayed if it is of a step that was used, mfa.ErrNotEnrolled without
// an app; mfa.ErrClock, a failure, if no app that it could be of can be judged
// because its last use lies in the far future. It must run inside
// Account.Guess.
func (m *Method) Verify(_ context.Context, s *vault.Scope, req mfa.VerifyRequest) (*mfa.Verification, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	factors := s.Factors()
	if len(factors) == 0 {
		return nil, mfa.ErrNotEnrolled
	}
	// One app that cannot be read fails all: a verdict on the others would
	// make of a damaged account a rejected person, or of a guess a free one.
	states := make([]state, len(factors))
	for i, f := range factors {
		st, err := open(f)
		if err != nil {
			return nil, err
		}
		if !m.learn {
			st.drift = 0
		}
		states[i] = st
	}

	code, ok := canonical(req.Answer.Code)
	if !ok {
		return nil, malformed()
	}
	var (
		now      = s.Now()
		fits     bool // the code is as long as those of some app
		sound    bool // one of these can be judged
		seen     [future + 1]bool
		verdicts = make([]verdict, len(factors))
		steps    = make([]int64, len(factors))
		accepted = -1
	)
	for i, f := range factors {
		st := states[i]
		if len(code) != st.digits {
			continue
		}
		fits = true
		sound = sound || !st.ahead(now, m.window)
		v, step, err := st.judge(f.Secret, code, now, m.window)
		if err != nil {
			return nil, err
		}
		verdicts[i], steps[i], seen[v] = v, step, true
		if v == right && accepted < 0 {
			accepted = i
		}
	}
	switch {
	case !fits:
		return nil, malformed()
	case seen[used]:
		return nil, mfa.ErrReplayed
	case seen[right]:
	case seen[future] || !sound:
		return nil, fmt.Errorf("totp: the last use lies in the future: %w", mfa.ErrClock)
	default:
		return nil, mfa.ErrInvalid
	}
	for i, f := range factors {
		if verdicts[i] == right {
			states[i].burn(steps[i], now, m.learn)
			f.Data = states[i].encode()
		}
	}
	return &mfa.Verification{FactorID: factors[accepted].ID}, nil
}

// Repair ends mfa.ErrClock: a last use that lies impossibly far in the future
// becomes the end of the present window, so that no code of now passes again
// and the next ones do. An administrator's unlock calls it.
func (m *Method) Repair(s *vault.Scope) {
	if m.Check() != nil {
		return
	}
	now := s.Now()
	for _, f := range s.Factors() {
		st, err := decode(f.Data)
		if err != nil {
			continue // Verify says so
		}
		if !m.learn {
			st.drift = 0
		}
		if st.ahead(now, m.window) {
			st.last = st.end(now, m.window)
			f.Data = st.encode()
		}
	}
}

// Import makes a key that exists an active app at once, for accounts that come
// from another system. The key keeps its algorithm, digits and period, and no
// code of it counts as used.
//
// mfa.ErrLimit if the user has five apps or the name is over vault.MaxName
// bytes.
func (m *Method) Import(s *vault.Scope, k *Key, name string) (*vault.Factor, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	if err := room(s); err != nil {
		return nil, err
	}
	return s.Add(vault.Factor{Name: name, Data: state{spec: k.spec}.encode(), Secret: k.secret})
}
