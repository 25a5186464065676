package webauthn

// The factor: enrolment, challenges and sign-in over a Scope.

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

var (
	_ mfa.Method     = (*Method)(nil)
	_ mfa.Confirmer  = (*Method)(nil)
	_ mfa.Discoverer = (*Method)(nil)
	_ mfa.Hinter     = (*Method)(nil)
	_ mfa.Signaler   = (*Method)(nil)
)

// Kind names this factor in answers, offers and stored accounts.
const Kind mfa.Kind = "webauthn"

const (
	maxKeys  = 20
	draftTTL = 5 * time.Minute // of an enrolment and its challenge (WebAuthn section 13.4.3)
)

// Options may be nil.
type Options struct {
	// RPID is the domain that credentials belong to: the origin's host or a
	// registrable suffix of it. It can never be changed: credentials die with
	// it. "": the host of the origin.
	RPID string

	// Origins are further origins that may use the credentials, such as
	// https://login.acme.example, or android:apk-key-hash:... of an app. An
	// origin of another registrable domain also needs RelatedOriginsJSON.
	Origins []string

	// TopOrigins are origins of other sites whose pages may show ours in a
	// frame to sign in. nil: none may.
	TopOrigins []string

	// Attestation, if not nil, demands that the maker vouches for each new
	// device. nil: statements are not asked for and not looked at, which is
	// right for all but enterprises.
	Attestation *Attestation

	// VerifyAlways demands that the authenticator makes sure of its user (by
	// PIN, finger or face) also after a first factor, and when it is enrolled.
	// false: that is preferred there, and demanded of a passkey that signs in
	// alone.
	VerifyAlways bool

	// DeviceBound refuses to enrol what may be copied from its device, such as
	// synced passkeys. false: they are welcome.
	DeviceBound bool

	// AllowClones accepts a sign-in though the counter of the authenticator went
	// back, with an event. false: it is refused, with the event.
	AllowClones bool

	// NameOf returns what a model of authenticators is called ("iCloud
	// Keychain"), "" if that is not known. nil: no model is named.
	NameOf func(aaguid [16]byte) string
}

// Attestation says which makers are trusted.
type Attestation struct {
	// Roots returns the trust anchors of a model of authenticators, such as
	// from the FIDO Metadata Service; an error refuses the model. It is called
	// within a decision, so it must not wait for anything.
	Roots func(aaguid [16]byte) (*x509.CertPool, error)
}

// A Method is the factor, made by New. It never changes.
type Method struct {
	site   site
	opts   Options
	strict cbor.DecMode
	err    error
}

// New returns the factor of the site at origin: https and a host, for example
// https://acme.example, or http://localhost:8080 for development. Whether it and
// opts are valid is told by Check, which mfa.New calls; without it, an invalid
// Method refuses everything.
func New(origin string, opts *Options) *Method {
	m := &Method{}
	if opts != nil {
		m.opts = *opts
	}
	m.site = site{rpID: m.opts.RPID, origins: append([]string{origin}, m.opts.Origins...), topOrigins: slices.Clone(m.opts.TopOrigins)}
	host, err := hostOf(origin)
	if err == nil && m.site.rpID == "" {
		m.site.rpID = host
	}
	switch id := m.site.rpID; {
	case err != nil:
	case id != host && !strings.HasSuffix(host, "."+id) || id != strings.ToLower(id) || net.ParseIP(id) != nil ||
		!strings.Contains(id, ".") && id != "localhost":
		err = errors.New("an RP ID that is not a domain of the origin")
	case m.opts.Attestation != nil && m.opts.Attestation.Roots == nil:
		err = errors.New("attestation without roots")
	}
	for _, o := range slices.Concat(m.opts.Origins, m.opts.TopOrigins) {
		if _, bad := hostOf(o); bad != nil && !strings.HasPrefix(o, "android:apk-key-hash:") {
			err = errors.Join(err, bad)
		}
	}
	if err == nil {
		m.strict, err = newCBOR()
	}
	if err != nil {
		m.err = fmt.Errorf("webauthn: options: %w (%w)", err, mfa.ErrArgument)
	}
	return m
}

// hostOf returns the host of an origin written as browsers write it: in lower case
// and ASCII, with a port only where it is not the usual one.
func hostOf(origin string) (string, error) {
	scheme, authority, _ := strings.Cut(origin, "://")
	host, port, ported := strings.Cut(authority, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	switch local := host == "localhost" || strings.HasSuffix(host, ".localhost"); {
	case !domain(host), ported && (err != nil || n == 0 || strconv.FormatUint(n, 10) != port):
		return "", fmt.Errorf("%q is no origin", origin)
	case scheme == "https" && port != "443", scheme == "http" && port != "80" && local:
		return host, nil
	}
	return "", fmt.Errorf("%q is no origin: https, or http://localhost", origin)
}

// domain reports whether s is labels of lower-case letters, digits, hyphens and
// underscores.
func domain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if len(label) < 1 || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// Check returns an error that wraps mfa.ErrArgument if the origin or the options
// are not valid.
func (m *Method) Check() error {
	if m == nil || m.err == nil && m.strict == nil {
		return fmt.Errorf("webauthn: a Method that New did not make (%w)", mfa.ErrArgument)
	}
	return m.err
}

// Kind implements mfa.Method.
func (m *Method) Kind() mfa.Kind { return Kind }

// Traits implements mfa.Method: answers are signed, for this site alone.
func (m *Method) Traits() mfa.Traits { return mfa.Traits{PhishingResistant: true} }

// Hint implements mfa.Hinter: the model, where Options.NameOf knows it.
func (m *Method) Hint(f vault.Factor) string {
	r, err := decodeRecord(f.Data)
	if err != nil || m.opts.NameOf == nil || r.aaguid == [16]byte{} {
		return ""
	}
	return m.opts.NameOf(r.aaguid)
}

// handle is what authenticators keep of the user: 64 bytes that look random and
// say nothing to anybody else (WebAuthn section 14.6.1). A user whose keys came
// from another system keeps the handle that they came with.
func handle(s *vault.Scope) []byte {
	if h := imported(s); h != nil {
		return h
	}
	return ownHandle(s)
}

func ownHandle(s *vault.Scope) []byte {
	return append(s.MAC("user handle", "1"), s.MAC("user handle", "2")...)
}

// imported is the handle of the oldest key that has one, nil if none has.
func imported(s *vault.Scope) []byte {
	for _, f := range s.Factors() {
		if r, err := decodeRecord(f.Data); err == nil && r.handle != nil {
			return r.handle
		}
	}
	return nil
}

// Enroll begins a registration: the Challenge's Options are what
// navigator.credentials.create takes, with the devices excluded that the user
// has. Where the user's Policy has PasskeyAlone a passkey is asked for, and one that
// is discoverable may sign in alone from then on; what was enrolled as a second
// factor never may.
//
// mfa.ErrLimit if the user has twenty; mfa.ErrArgument for a conditional one where
// the policy has no PasskeyAlone.
func (m *Method) Enroll(_ context.Context, s *vault.Scope, req mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := room(s); err != nil {
		return nil, err
	}
	if req.Conditional && !req.User.Policy.PasskeyAlone { // a passkey nobody asked for, that could then not sign in
		return nil, fmt.Errorf("%w: no passkeys by the user's policy", mfa.ErrArgument)
	}
	f, err := s.Draft(vault.Factor{Name: req.Name}, draftTTL)
	if err != nil {
		return nil, err
	}
	c := ceremony{verify: m.opts.VerifyAlways, conditional: req.Conditional, alone: req.User.Policy.PasskeyAlone, challenge: make([]byte, challengeSize)}
	_, _ = rand.Read(c.challenge) // ends the process when it fails
	expires := s.Now().Add(draftTTL)
	if err := s.Issue(vault.Challenge{FactorID: f.ID, Expires: expires, Data: c.encode()}); err != nil {
		return nil, err
	}
	options, err := m.creation(s, req.User, c)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: f.ID, Kind: Kind, Challenge: &mfa.Challenge{
		Kind: Kind, FactorID: f.ID, Options: options, Expires: expires,
	}}, nil
}

// room refuses a key too many.
func room(s *vault.Scope) error {
	if len(s.Factors()) >= maxKeys {
		return fmt.Errorf("webauthn: %w: %d keys", mfa.ErrLimit, maxKeys)
	}
	return nil
}

// Confirm makes the new credential a factor: Answer.Credential is what
// toJSON of the created one gave. Whatever comes of it, the challenge is used.
//
// mfa.ErrExpired if there is no such enrolment in this session any more, else an
// error of this package. No credential belongs to two users: ErrRegistered.
func (m *Method) Confirm(_ context.Context, s *vault.Scope, req mfa.ConfirmRequest) (*vault.Factor, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	f := s.Drafted(req.EnrollmentID)
	taken, ok := s.Take(req.EnrollmentID, req.Flow, string(req.Purpose))
	if f == nil || !ok {
		return nil, mfa.ErrExpired
	}
	if err := room(s); err != nil {
		return nil, err
	}
	c, err := decodeCeremony(taken.Data)
	if err != nil {
		return nil, err
	}
	r, err := parse(m.strict, req.Answer.Credential, true)
	if err != nil {
		return nil, err
	}
	d := demand{challenge: c.challenge, verify: c.verify, conditional: c.conditional}
	rec, err := m.site.register(func(b []byte) (publicKey, error) { return parseKey(m.strict, b) }, r, d, m.opts.Attestation, s.Now())
	if err != nil {
		return nil, err
	}
	id := string(r.id)
	if registered(s, id) {
		return nil, ErrRegistered
	}
	if m.opts.DeviceBound && rec.backupEligible {
		return nil, ErrBackup
	}
	rec.alone = c.alone && (r.resident == nil || *r.resident)
	rec.handle = imported(s)
	f.Key, f.Data = id, rec.encode()
	return s.Activate(f.ID)
}

// registered reports whether this user or another has the credential.
func registered(s *vault.Scope, id string) bool {
	return s.Taken(id) || slices.ContainsFunc(s.Factors(), func(o *vault.Factor) bool { return o.Key == id })
}

// Challenge asks for a signature by any of the user's keys, or by the one that is
// named; Verify takes one by any of them. The challenge is made
// of the account's own key, the ceremony and the minute, so nothing is written: it
// lives for five minutes, and is used up with the sign-in.
func (m *Method) Challenge(_ context.Context, s *vault.Scope, req mfa.ChallengeRequest) (*mfa.Challenge, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if len(s.Factors()) == 0 {
		return nil, vault.Uncounted(mfa.ErrNotEnrolled)
	}
	now := s.Now()
	options, err := m.request(s, challenge(s, req.Request, now.Unix()/60), req.FactorID)
	if err != nil {
		return nil, err
	}
	return &mfa.Challenge{Kind: Kind, Options: options, Expires: now.Truncate(time.Minute).Add(challengeTTL)}, nil
}

// challengeTTL is how long a challenge for a sign-in lives (WebAuthn section
// 13.4.3), to the minute, as the minute is part of it.
const challengeTTL = 5 * time.Minute

// challenge is the one of a ceremony in one minute.
func challenge(s *vault.Scope, r mfa.Request, minute int64) []byte {
	return s.MAC("challenge", string(r.Purpose), r.Flow, strconv.FormatInt(minute, 10))
}

// given returns the challenge of a ceremony that an answer claims to be to, if it
// is still good; else one that fits nothing. Another machine's clock may be ahead.
func given(s *vault.Scope, r mfa.Request, claimed string) []byte {
	now := s.Now().Unix() / 60
	c := challenge(s, r, now)
	for minute := now - int64(challengeTTL/time.Minute) + 1; minute <= now+2; minute++ {
		if o := challenge(s, r, minute); subtle.ConstantTimeCompare([]byte(b64(o)), []byte(claimed)) == 1 {
			c = o
		}
	}
	return c
}

// Discover implements mfa.Discoverer: a challenge for whoever has a passkey.
func (m *Method) Discover(mfa.Request) (*mfa.Challenge, []byte, error) {
	if err := m.Check(); err != nil {
		return nil, nil, err
	}
	state := make([]byte, challengeSize)
	_, _ = rand.Read(state) // ends the process when it fails
	options, err := m.discovery(state)
	if err != nil {
		return nil, nil, err
	}
	return &mfa.Challenge{Kind: Kind, Options: options}, state, nil
}

// Identify implements mfa.Discoverer: the credential ID.
func (m *Method) Identify(a mfa.Answer) (string, error) {
	if err := m.Check(); err != nil {
		return "", err
	}
	r, err := parse(m.strict, a.Credential, false)
	if err != nil {
		return "", err
	}
	return string(r.id), nil
}

// Verify judges a signature: Answer.Credential is what toJSON gave. After a first
// factor any of the user's keys will do, touched by somebody. For
// mfa.PurposeAlone it has to be one that was enrolled as a passkey, that has
// verified its user and says who that is.
//
// All errors of a wrong answer wrap mfa.ErrInvalid; mfa.ErrCloned if the counter
// went back.
func (m *Method) Verify(_ context.Context, s *vault.Scope, req mfa.VerifyRequest) (*mfa.Verification, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	r, err := parse(m.strict, req.Answer.Credential, false)
	if err != nil {
		return nil, err
	}
	alone := req.Purpose == mfa.PurposeAlone
	d := demand{challenge: req.State, verify: true}
	if !alone {
		d = demand{challenge: given(s, req.Request, r.client.Challenge), verify: m.opts.VerifyAlways}
	}
	var f *vault.Factor
	for _, o := range s.Factors() {
		if o.Key == string(r.id) {
			f = o
		}
	}
	if f == nil {
		_, _, _ = m.site.assert(r, d, nobodys()) // as long as for one that is there
		return nil, ErrUnknown
	}
	old, err := decodeRecord(f.Data)
	switch {
	case err != nil:
		return nil, err
	case alone && r.userHandle == nil, r.userHandle != nil && subtle.ConstantTimeCompare(r.userHandle, old.userHandle(s)) != 1:
		return nil, ErrUserHandle
	case alone && !old.alone:
		return nil, ErrRole
	}
	now, cloned, err := m.site.assert(r, d, old)
	switch {
	case err != nil:
		return nil, err
	case cloned && !m.opts.AllowClones:
		return nil, mfa.ErrCloned
	}
	f.Data = now.encode()
	return &mfa.Verification{FactorID: f.ID, UserVerified: r.auth.flags&flagUV != 0, Cloned: cloned}, nil
}

// userHandle is the one that an authenticator has with this credential.
func (r record) userHandle(s *vault.Scope) []byte {
	if r.handle != nil {
		return r.handle
	}
	return ownHandle(s)
}
