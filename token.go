package mfa

// What is handed out sealed: a sign-in under way, and a session. Both are CBOR
// with integer keys, sealed by the vault under a purpose of its own, so that
// one never passes for the other.

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const (
	sealPending = "pending"
	sealSession = "session"
)

// pendingTTL is how long a sign-in or step-up under way may take. No code and
// no challenge of it outlives it.
const pendingTTL = 10 * time.Minute

type pendingToken struct {
	User    string    `cbor:"1,keyasint"` // "": for PurposeAlone
	ID      []byte    `cbor:"2,keyasint"` // of the ceremony
	Purpose Purpose   `cbor:"3,keyasint"`
	By      By        `cbor:"4,keyasint,omitempty"`
	Issued  int64     `cbor:"5,keyasint"` // Unix milliseconds
	Epoch   []byte    `cbor:"6,keyasint,omitempty"`
	Binding []byte    `cbor:"7,keyasint,omitempty"` // hashed
	Carry   string    `cbor:"8,keyasint,omitempty"`
	Enroll  bool      `cbor:"9,keyasint,omitempty"` // there is nothing set up, and something must be
	Session []byte    `cbor:"10,keyasint,omitempty"`
	Rule    *wireRule `cbor:"11,keyasint,omitempty"`
	State   []byte    `cbor:"12,keyasint,omitempty"` // of a Discoverer's challenge
}

type wireRule struct {
	MaxAge            int64  `cbor:"1,keyasint,omitempty"`
	PhishingResistant bool   `cbor:"2,keyasint,omitempty"`
	Not               []Kind `cbor:"3,keyasint,omitempty"`
}

type sessionToken struct {
	User   string      `cbor:"1,keyasint"`
	ID     []byte      `cbor:"2,keyasint"`
	Epoch  []byte      `cbor:"3,keyasint,omitempty"`
	By     By          `cbor:"4,keyasint,omitempty"`
	First  int64       `cbor:"5,keyasint"` // when the first factor was proven, Unix milliseconds
	Exempt bool        `cbor:"6,keyasint,omitempty"`
	Proofs []wireProof `cbor:"7,keyasint,omitempty"`
}

type wireProof struct {
	Kind         Kind   `cbor:"1,keyasint"`
	FactorID     string `cbor:"2,keyasint"`
	At           int64  `cbor:"3,keyasint"`
	UserVerified bool   `cbor:"4,keyasint,omitempty"`
}

// sealer writes and reads tokens.
type sealer struct {
	vault interface {
		Seal(purpose, subject string, plain []byte) (string, error)
		Unseal(purpose, subject, token string) ([]byte, error)
	}
	enc cbor.EncMode
	dec cbor.DecMode
}

func newSealer() (s sealer, err error) {
	if s.enc, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		return s, fmt.Errorf("mfa: %w", err)
	}
	s.dec, err = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8DecodeInvalid,
		MaxNestedLevels:   8,
	}.DecMode()
	if err != nil {
		return s, fmt.Errorf("mfa: %w", err)
	}
	return s, nil
}

// seal writes a token for a subject, "" if unseal will not know whose it is.
func (s sealer) seal(purpose, subject string, token any) (string, error) {
	b, err := s.enc.Marshal(token)
	if err != nil {
		return "", fmt.Errorf("mfa: %w", err)
	}
	return s.vault.Seal(purpose, subject, b)
}

// unseal reads text into token. ErrInvalid if seal did not write it.
func (s sealer) unseal(purpose, subject, text string, token any) error {
	b, err := s.vault.Unseal(purpose, subject, text)
	if err != nil {
		return err
	}
	if err := s.dec.Unmarshal(b, token); err != nil {
		return ErrInvalid
	}
	return nil
}

// newTokenID returns 128 random bits.
func newTokenID() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return b
}

// flow is how a token's ID is written where factors see it.
func flow(id []byte) string { return hex.EncodeToString(id) }

func hashBinding(s string) []byte {
	if s == "" {
		return nil
	}
	h := sha256.Sum256([]byte("mfa binding\x00" + s))
	return h[:]
}
