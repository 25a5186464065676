package backupcodes

// The factor: making a set and using it, over a Scope.

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

var (
	_ mfa.Method  = (*Method)(nil)
	_ mfa.Counted = (*Method)(nil)
)

// Kind names this factor in answers, offers and stored accounts.
const Kind mfa.Kind = "backup"

// Options may be nil. They decide how new sets are made; a set that exists
// keeps its own.
type Options struct {
	// Count is how many codes a set has, 1 to 24. 0: 10.
	Count int

	// Chars is how many characters a code has, 5 bits each: 13 (65 bits) to 32.
	// 0: 16 (80 bits). From 23 (115 bits) a set is kept with a MAC instead of
	// Argon2id.
	Chars int

	// Concurrent is how many hashes run at once, 1 to 64; each takes 19 MiB of
	// memory and 30 to 40 ms of a processor. 0: 2.
	Concurrent int
}

const (
	minChars   = 13 // 65 bits; 64 are the least (NIST SP 800-63B-4 section 3.1.2.2 asks for 20, ASVS 6.5.2 for more)
	macChars   = 23 // 115 bits; from 112 no hash has to be slow
	maxChars   = 32
	maxCount   = 24
	maxSlots   = 64
	groupChars = 4
)

// A Method is the factor, made by New.
type Method struct {
	count, chars int
	err          error
	slots        chan struct{}
	hash         func(code, salt []byte) []byte // slow; tests count it
}

// New returns the factor. Whether opts are valid is told by Check, which
// mfa.New calls; without it, an invalid Method refuses everything.
func New(opts *Options) *Method {
	if opts == nil {
		opts = &Options{}
	}
	m := &Method{count: opts.Count, chars: opts.Chars, hash: argon}
	concurrent := opts.Concurrent
	if m.count == 0 {
		m.count = 10
	}
	if m.chars == 0 {
		m.chars = 16
	}
	if concurrent == 0 {
		concurrent = 2
	}
	switch {
	case m.count < 1 || m.count > maxCount:
		m.err = fmt.Errorf("backupcodes: options: %d codes, not 1 to %d (%w)", m.count, maxCount, mfa.ErrArgument)
	case m.chars < minChars || m.chars > maxChars:
		m.err = fmt.Errorf("backupcodes: options: codes of %d characters, not %d to %d (%w)", m.chars, minChars, maxChars, mfa.ErrArgument)
	case concurrent < 1 || concurrent > maxSlots:
		m.err = fmt.Errorf("backupcodes: options: %d hashes at once, not 1 to %d (%w)", concurrent, maxSlots, mfa.ErrArgument)
	default:
		m.slots = make(chan struct{}, concurrent)
	}
	return m
}

// Check returns an error that wraps mfa.ErrArgument if the options are not
// valid.
func (m *Method) Check() error {
	if m.err == nil && m.slots == nil {
		return fmt.Errorf("backupcodes: a Method that New did not make (%w)", mfa.ErrArgument)
	}
	return m.err
}

// Kind implements mfa.Method.
func (m *Method) Kind() mfa.Kind { return Kind }

// Traits implements mfa.Method: codes are typed, and are for recovery.
func (m *Method) Traits() mfa.Traits { return mfa.Traits{Recovery: true, Typed: true} }

// Enroll makes a new set that counts at once, and ends the old one in the same
// change. The Enrollment shows the codes, this once. When the change is tried
// again, because another writer came first, they are the same ones.
//
// Whether the user may have codes at all, with another factor confirmed and a
// fresh proof of it, is for Guard to know. mfa.ErrBusy if the hashes get no
// turn in time.
func (m *Method) Enroll(ctx context.Context, s *vault.Scope, _ mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	c := card{scheme: schemeArgon, chars: m.chars, used: make([]bool, m.count)}
	if m.chars >= macChars {
		c.scheme = schemeMAC
	}
	drawn, err := s.Once("set", func() ([]byte, error) {
		salt := make([]byte, saltSize)
		_, _ = rand.Read(salt) // ends the process when it fails
		return append(salt, draw(m.count*m.chars)...), nil
	})
	if err != nil {
		return nil, err
	}
	salt, codes := drawn[:saltSize], drawn[saltSize:]
	tags, err := m.tags(ctx, s, c, codes, salt)
	if err != nil {
		return nil, err
	}

	for _, old := range s.Factors() {
		s.Remove(old.ID)
	}
	f, err := s.Add(vault.Factor{Data: c.encode(), Secret: set{salt, tags}.encode()})
	if err != nil {
		return nil, err
	}
	e := &mfa.Enrollment{ID: f.ID, Kind: Kind, Active: true}
	for code := range slices.Chunk(codes, m.chars) {
		e.Codes = append(e.Codes, grouped(code))
	}
	return e, nil
}

// Verify judges a code against the user's set and marks it as used.
//
// mfa.ErrInvalid if it is not in the set (not counted if it cannot be a code),
// mfa.ErrReplayed if it was used before, mfa.ErrNotEnrolled without a set;
// mfa.ErrBusy, a failure that is not counted, if its hash gets no turn in time.
// It must run inside Account.Guess.
func (m *Method) Verify(ctx context.Context, s *vault.Scope, req mfa.VerifyRequest) (*mfa.Verification, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	factors := s.Factors()
	if len(factors) == 0 {
		return nil, mfa.ErrNotEnrolled
	}
	f := factors[len(factors)-1]
	if len(f.Secret) == 0 {
		return nil, errHidden
	}
	c, err := decodeCard(f.Data)
	if err != nil {
		return nil, err
	}
	codes, err := decodeSet(f.Secret, len(c.used))
	if err != nil {
		return nil, err
	}
	code, ok := canonical(req.Answer.Code)
	if !ok || len(code) != c.chars {
		return nil, vault.Uncounted(mfa.ErrInvalid)
	}

	tag, err := m.tags(ctx, s, c, code, codes.salt)
	if err != nil {
		return nil, err
	}
	switch at := codes.find(tag); {
	case at < 0:
		return nil, mfa.ErrInvalid
	case c.used[at]:
		return nil, mfa.ErrReplayed
	default:
		c.used[at] = true
	}
	f.Data = c.encode()
	return &mfa.Verification{FactorID: f.ID}, nil
}

var errHidden = errors.New("backupcodes: no secret to compare with: call it inside Account.Guess")

// find returns where the tag is in the set, -1 if it is not. It compares with
// all of them, whatever it finds.
func (x set) find(tag []byte) int {
	at := -1
	for i := range len(x.tags) / tagSize {
		equal := subtle.ConstantTimeCompare(x.tags[i*tagSize:][:tagSize], tag)
		at = subtle.ConstantTimeSelect(equal, i, at)
	}
	return at
}

// Left implements mfa.Counted: how many codes are not used yet. 0 if f cannot
// be read.
func (m *Method) Left(f vault.Factor) int {
	c, err := decodeCard(f.Data)
	if err != nil {
		return 0
	}
	return c.left()
}
