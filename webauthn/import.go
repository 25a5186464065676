package webauthn

// Credentials from other systems.

import (
	"bytes"
	"fmt"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A Credential is one that another system has registered for the same RP ID.
type Credential struct {
	ID         []byte // 1 to 1023 bytes
	PublicKey  []byte // COSE
	Counter    uint32
	Transports []string
	AAGUID     [16]byte

	// UserHandle is what it was registered with, 1 to 64 bytes. nil: it was
	// never given one, and does not sign in alone.
	UserHandle []byte

	// Backup is what it said when it was registered. nil: that was not kept,
	// and the first sign-in tells.
	Backup *Backup

	// Passkey lets it sign in alone, which takes a UserHandle too.
	Passkey bool
}

// Backup says whether a credential may be copied from its device, and is.
type Backup struct{ Eligible, BackedUp bool }

// Import makes a credential an active factor at once.
//
// mfa.ErrLimit if the user has twenty; ErrKey, ErrBackup or mfa.ErrArgument if it
// is not one that could have been enrolled here; ErrRegistered if somebody has it.
func (m *Method) Import(s *vault.Scope, c Credential, name string) (*vault.Factor, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := room(s); err != nil {
		return nil, err
	}
	if len(c.ID) == 0 || len(c.ID) > maxID || c.UserHandle != nil && len(c.UserHandle) == 0 || len(c.UserHandle) > maxHandle ||
		c.Passkey && c.UserHandle == nil {
		return nil, fmt.Errorf("webauthn: credential ID or user handle (%w)", mfa.ErrArgument)
	}
	key, err := parseKey(m.strict, c.PublicKey)
	if err != nil {
		return nil, err
	}
	rec := record{
		backupUnknown: c.Backup == nil, unattested: true, alone: c.Passkey, counter: c.Counter,
		transports: transportBits(c.Transports), aaguid: c.AAGUID, handle: bytes.Clone(c.UserHandle), key: key,
	}
	if c.Backup != nil {
		rec.backupEligible, rec.backedUp = c.Backup.Eligible, c.Backup.BackedUp
		if rec.backedUp && !rec.backupEligible || rec.backupEligible && m.opts.DeviceBound {
			return nil, ErrBackup
		}
	}
	id := string(c.ID)
	if registered(s, id) {
		return nil, ErrRegistered
	}
	return s.Add(vault.Factor{Name: name, Key: id, Data: rec.encode()})
}
