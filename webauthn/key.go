package webauthn

// Public keys: which are taken, how they are kept, and how the library wants
// them back.

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"math/bits"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

type algorithm byte

const (
	es256 algorithm = iota + 1
	edDSA
	rs256
)

// offered are the algorithms by their COSE names, the one that is liked best
// first.
func offered() []int { return []int{-8, -7, -257} }

// A publicKey is a credential's, without what its algorithm says already.
type publicKey struct {
	alg algorithm
	raw []byte
}

const (
	minModulus  = 2048 // bits
	maxModulus  = 4096
	minExponent = 65537
)

// newCBOR returns a mode that reads what authenticators write (CTAP2 canonical
// CBOR), and refuses what could be read in two ways or take long.
func newCBOR() (cbor.DecMode, error) {
	return cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 64, MaxMapPairs: 64, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
}

// parseKey reads a COSE key. It takes the algorithms that are offered, each with
// the one type and curve that go with it (WebAuthn section 5.8.5).
func parseKey(strict cbor.DecMode, b []byte) (publicKey, error) {
	var any map[int64]cbor.RawMessage
	if strict.Unmarshal(b, &any) != nil {
		return publicKey{}, ErrKey
	}
	integer := func(label int64) (n int64) {
		if strict.Unmarshal(any[label], &n) != nil {
			return 0
		}
		return n
	}
	text := func(label int64) (s []byte) {
		if strict.Unmarshal(any[label], &s) != nil {
			return nil
		}
		return s
	}
	const kty, alg, crv, x, y, n, e = 1, 3, -1, -2, -3, -1, -2
	var k publicKey
	switch kind := integer(kty); {
	case integer(alg) == -7 && kind == 2 && integer(crv) == 1 && len(any) == 5:
		k = publicKey{es256, append(padded(text(x)), padded(text(y))...)}
	case integer(alg) == -8 && kind == 1 && integer(crv) == 6 && len(any) == 4:
		if b := text(x); len(b) == 32 && onEdwards([32]byte(b)) { // looked at once: it takes as long as all the rest
			k = publicKey{edDSA, b}
		}
	case integer(alg) == -257 && kind == 3 && len(any) == 4:
		exponent := text(e)
		if len(exponent) == 0 || len(exponent) > 4 {
			return publicKey{}, ErrKey
		}
		k = publicKey{rs256, append(append(make([]byte, 4-len(exponent)), exponent...), text(n)...)}
	}
	return k, k.check()
}

// padded is a coordinate of 32 bytes; of any other length it fits nowhere.
func padded(b []byte) []byte {
	if len(b) != 32 {
		return nil
	}
	return b
}

// check returns ErrKey unless k is a sound key: a point on P-256, one of
// Ed25519 (by parseKey) that is not of small order (which would accept one signature for every
// message), an RSA modulus of 2048 to 4096 bits with an odd exponent from 65537.
func (k publicKey) check() error {
	switch k.alg {
	case es256:
		if len(k.raw) == 64 {
			if _, err := ecdh.P256().NewPublicKey(append([]byte{4}, k.raw...)); err == nil {
				return nil
			}
		}
	case edDSA:
		if len(k.raw) == 32 && !smallOrder([32]byte(k.raw)) {
			return nil
		}
	case rs256:
		if len(k.raw) < 4+minModulus/8 || k.raw[4] == 0 {
			return ErrKey
		}
		exponent, modulus := binary.BigEndian.Uint32(k.raw), k.raw[4:]
		size := 8*len(modulus) - bits.LeadingZeros8(modulus[0])
		if exponent >= minExponent && exponent < 1<<31 && exponent%2 == 1 &&
			size >= minModulus && size <= maxModulus && modulus[len(modulus)-1]%2 == 1 {
			return nil
		}
	}
	return ErrKey
}

// onEdwards reports whether y encodes a point of Ed25519, in the one way to write
// it: reduced, and such that x² = (y²-1)/(dy²+1) has a root (RFC 8032 section
// 5.1.3). The library would keep what is no point; it only never verifies.
func onEdwards(y [32]byte) bool {
	slices.Reverse(y[:])
	y[0] &= 0x7f
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mod(d.Mul(d, big.NewInt(-121665)), p)
	n := new(big.Int).SetBytes(y[:])
	if n.Cmp(p) >= 0 {
		return false
	}
	n.Mod(n.Mul(n, n), p)
	u := new(big.Int).Sub(n, one)
	v := n.Add(n.Mul(n, d), one)
	return big.Jacobi(u.Mod(u.Mul(u, v), p), p) >= 0 // a quotient has a root if the product has
}

// smallOrder reports whether y encodes a point of Ed25519 whose order divides
// eight, in any of its forms, whatever the sign.
func smallOrder(y [32]byte) bool {
	y[31] &= 0x7f
	switch hex.EncodeToString(y[:]) {
	case "0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"0100000000000000000000000000000000000000000000000000000000000000", // the identity
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 0, not reduced
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": // 1, not reduced
		return true
	}
	return false
}

// cose returns k as a COSE key.
func (k publicKey) cose() []byte {
	switch k.alg {
	case es256:
		b := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, k.raw[:32]...)
		return append(append(b, 0x22, 0x58, 32), k.raw[32:]...)
	case edDSA:
		return append([]byte{0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32}, k.raw...)
	}
	exponent, modulus := bytes.TrimLeft(k.raw[:4], "\x00"), k.raw[4:]
	b := []byte{0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, byte(len(modulus) >> 8), byte(len(modulus))}
	b = append(append(b, modulus...), 0x21, 0x40|byte(len(exponent)))
	return append(b, exponent...)
}
