package webauthn

// What an account keeps of a credential, and of an enrolment under way.

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// errState is a failure: an account that a newer version wrote, or that is
// damaged. Nothing is concluded from it.
var errState = errors.New("webauthn: a stored credential of an unknown format")

// A record is what is kept of a credential beside its ID, which is the Factor's
// Key. It is written as
//
//	1 byte    format, 1
//	1 byte    flags, below
//	uvarint   signature counter
//	1 byte    transports, one bit each
//	16 bytes  AAGUID
//	if a flag says so, 1 byte of length and an imported user handle
//	1 byte    algorithm: 1 ES256, 2 EdDSA, 3 RS256
//	the rest  public key: x and y; x; exponent in 4 bytes and modulus
//
// and held by golden tests: 86 bytes for a key on P-256 with a small counter.
type record struct {
	backupEligible bool
	backedUp       bool
	backupUnknown  bool // imported without these two: the first sign-in tells
	verifiedOnce   bool // UV was set when it was registered
	alone          bool // may sign in with nothing before it: discoverable, and enrolled for that
	unattested     bool
	counter        uint32
	transports     byte
	aaguid         [16]byte
	handle         []byte // that it came with from another system; nil: the account's own
	key            publicKey
}

const (
	recordFormat = 1

	flagBackupEligible = 1
	flagBackedUp       = 2
	flagBackupUnknown  = 4
	flagVerifiedOnce   = 8
	flagAlone          = 16
	flagUnattested     = 32
	flagHandle         = 64
	flagsKnown         = 127
)

func (r record) encode() []byte {
	b := make([]byte, 0, 96)
	var flags byte
	for _, f := range []struct {
		set bool
		bit byte
	}{
		{r.backupEligible, flagBackupEligible}, {r.backedUp, flagBackedUp}, {r.backupUnknown, flagBackupUnknown},
		{r.verifiedOnce, flagVerifiedOnce}, {r.alone, flagAlone}, {r.unattested, flagUnattested}, {r.handle != nil, flagHandle},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, recordFormat, flags)
	b = binary.AppendUvarint(b, uint64(r.counter))
	b = append(b, r.transports)
	b = append(b, r.aaguid[:]...)
	if r.handle != nil {
		b = append(append(b, byte(len(r.handle))), r.handle...)
	}
	return append(append(b, byte(r.key.alg)), r.key.raw...)
}

// decodeRecord accepts what encode writes and nothing else.
func decodeRecord(b []byte) (record, error) {
	if len(b) < 3 || b[0] != recordFormat || b[1] > flagsKnown {
		return record{}, errState
	}
	flags := b[1]
	counter, n := binary.Uvarint(b[2:])
	rest := b[2+max(n, 0):]
	if n <= 0 || counter > 1<<32-1 || len(rest) < 18 {
		return record{}, errState
	}
	r := record{
		backupEligible: flags&flagBackupEligible != 0, backedUp: flags&flagBackedUp != 0, backupUnknown: flags&flagBackupUnknown != 0,
		verifiedOnce: flags&flagVerifiedOnce != 0, alone: flags&flagAlone != 0, unattested: flags&flagUnattested != 0,
		counter: uint32(counter), transports: rest[0], aaguid: [16]byte(rest[1:17]),
	}
	if rest = rest[17:]; flags&flagHandle != 0 {
		n := int(rest[0])
		if n == 0 || n > maxHandle || len(rest) < 1+n+1 {
			return record{}, errState
		}
		r.handle, rest = rest[1:1+n], rest[1+n:]
	}
	r.key = publicKey{alg: algorithm(rest[0]), raw: rest[1:]}
	if r.key.check() != nil || !bytes.Equal(r.encode(), b) {
		return record{}, errState
	}
	return r, nil
}

// A ceremony is what is kept of an enrolment that waits for its answer. A flag
// that is not there would be a demand dropped, so all of it is always written:
// one byte of format, one of flags, and the challenge.
type ceremony struct {
	verify      bool // UV is demanded
	conditional bool // UP is not
	alone       bool // a passkey is wanted
	challenge   []byte
}

const (
	ceremonyFormat = 1
	challengeSize  = 32

	ceremonyVerifyNot   = 1 // so that what is zero demands
	ceremonyConditional = 2
	ceremonyAlone       = 4
	ceremonyKnown       = 7
)

func (c ceremony) encode() []byte {
	b := []byte{ceremonyFormat, 0}
	if !c.verify {
		b[1] |= ceremonyVerifyNot
	}
	if c.conditional {
		b[1] |= ceremonyConditional
	}
	if c.alone {
		b[1] |= ceremonyAlone
	}
	return append(b, c.challenge...)
}

func decodeCeremony(b []byte) (ceremony, error) {
	if len(b) != 2+challengeSize || b[0] != ceremonyFormat || b[1] > ceremonyKnown {
		return ceremony{}, errState
	}
	return ceremony{
		verify: b[1]&ceremonyVerifyNot == 0, conditional: b[1]&ceremonyConditional != 0, alone: b[1]&ceremonyAlone != 0,
		challenge: b[2:],
	}, nil
}

// transportNames are those that have a bit; others are forgotten: they are hints.
func transportNames() []string {
	return []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}
}

func transportBits(names []string) (bits byte) {
	for _, name := range names {
		for i, known := range transportNames() {
			if name == known {
				bits |= 1 << i
			}
		}
	}
	return bits
}

func transportList(bits byte) []string {
	var names []string
	for i, name := range transportNames() {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
