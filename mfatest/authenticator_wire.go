package mfatest

// The bytes of an Authenticator: client data, authenticator data, keys, and the
// little CBOR that they take.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"slices"
)

// clientData is CollectedClientData, its members in the order of section 5.8.1.1.
func (f *Forgery) clientData() []byte {
	if f.ClientData != nil {
		return f.ClientData
	}
	quoted := func(s string) string {
		b, _ := json.Marshal(s) // strings always do
		return string(b)
	}
	s := `{"type":` + quoted(f.Type) + `,"challenge":` + quoted(f.Challenge) + `,"origin":` + quoted(f.Origin) + `,"crossOrigin":`
	if f.CrossOrigin {
		s += "true"
	} else {
		s += "false"
	}
	if f.TopOrigin != "" {
		s += `,"topOrigin":` + quoted(f.TopOrigin)
	}
	return []byte(s + "}")
}

// authData is authenticator data (section 6.1).
func (f *Forgery) authData(attested bool) []byte {
	if f.AuthData != nil {
		return f.AuthData
	}
	b := append(slices.Clone(f.RPIDHash), f.Flags)
	b = binary.BigEndian.AppendUint32(b, f.Counter)
	if attested {
		b = append(b, f.AAGUID[:]...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.CredentialID)))
		b = append(append(b, f.CredentialID...), f.Key...)
	}
	return append(append(b, f.Extensions...), f.Trailing...)
}

// signedBytes are what a signature is over.
func signedBytes(authData, clientData []byte) []byte {
	hash := sha256.Sum256(clientData)
	return slices.Concat(authData, hash[:])
}

// A key is a credential's.
type key struct {
	alg    int
	signer crypto.Signer
}

// newKey draws a key. That of RSA, which takes long, is drawn once per
// Authenticator.
func (a *Authenticator) newKey(alg int) (k key, err error) {
	k.alg = alg
	switch alg { // nil is crypto/rand's own source
	case ES256:
		k.signer, err = ecdsa.GenerateKey(elliptic.P256(), nil)
	case EdDSA:
		_, k.signer, err = ed25519.GenerateKey(nil)
	case RS256:
		if a.rsa == nil {
			a.rsa, err = rsa.GenerateKey(nil, 2048)
		}
		k.signer = a.rsa
	default:
		return k, ErrNotSupported
	}
	return k, err
}

// sign signs as WebAuthn has it: ES256 and RS256 over SHA-256, EdDSA over the
// message.
func (k key) sign(message []byte) []byte {
	var opts crypto.SignerOpts = crypto.Hash(0)
	if k.alg != EdDSA {
		opts = crypto.SHA256
		hash := sha256.Sum256(message)
		message = hash[:]
	}
	sig, err := k.signer.Sign(nil, message, opts)
	if err != nil {
		panic("mfatest: " + err.Error()) // a key that newKey drew signs
	}
	return sig
}

// cose returns the public key as a COSE key (RFC 9053).
func (k key) cose() []byte {
	switch p := k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, _ := p.Bytes() // 4, x, y
		return cborMap(cborInt(1), cborInt(2), cborInt(3), cborInt(ES256), cborInt(-1), cborInt(1),
			cborInt(-2), cborBytes(point[1:33]), cborInt(-3), cborBytes(point[33:]))
	case ed25519.PublicKey:
		return cborMap(cborInt(1), cborInt(1), cborInt(3), cborInt(EdDSA), cborInt(-1), cborInt(6), cborInt(-2), cborBytes(p))
	case *rsa.PublicKey:
		return cborMap(cborInt(1), cborInt(3), cborInt(3), cborInt(RS256),
			cborInt(-1), cborBytes(p.N.Bytes()), cborInt(-2), cborBytes(big.NewInt(int64(p.E)).Bytes()))
	}
	return nil
}

// spki returns the public key as getPublicKey does.
func (k key) spki() []byte {
	b, _ := x509.MarshalPKIXPublicKey(k.signer.Public()) // of those three kinds
	return b
}

// cborHead is the beginning of an item (RFC 8949 section 3).
func cborHead(major byte, n int) []byte {
	switch major <<= 5; {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return []byte{major | 25, byte(n >> 8), byte(n)}
	}
	return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
}

func cborInt(n int) []byte {
	if n < 0 {
		return cborHead(1, -1-n)
	}
	return cborHead(0, n)
}

func cborBytes(b []byte) []byte { return append(cborHead(2, len(b)), b...) }
func cborText(s string) []byte  { return append(cborHead(3, len(s)), s...) }

// cborMap is a map of keys and values in turn.
func cborMap(items ...[]byte) []byte {
	return slices.Concat(append([][]byte{cborHead(5, len(items)/2)}, items...)...)
}
