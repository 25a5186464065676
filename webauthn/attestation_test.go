package webauthn_test

// what a maker says of a device, where it has to say something.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// A maker has a root, and makes one model of authenticators.
type maker struct {
	model [16]byte
	key   *ecdsa.PrivateKey
	root  *x509.Certificate
}

func newMaker(t *testing.T, model byte) maker {
	t.Helper()
	m := maker{model: [16]byte{model}, key: newKey(t)}
	m.root = m.certify(t, &m.key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return m
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certify has m sign a certificate; by is its own, nil: it is signed by itself.
func (m maker) certify(t *testing.T, public crypto.PublicKey, c, by *x509.Certificate) *x509.Certificate {
	t.Helper()
	c.SerialNumber = big.NewInt(1)
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = mfatest.Start().AddDate(-1, 0, 0), mfatest.Start().AddDate(10, 0, 0)
	}
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(nil, c, by, public, m.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// leaf is an attestation certificate as section 8.2.1 wants it.
func (m maker) leaf(t *testing.T, public crypto.PublicKey, end time.Time, by *x509.Certificate) *x509.Certificate {
	t.Helper()
	aaguid, err := asn1.Marshal(m.model[:])
	if err != nil {
		t.Fatal(err)
	}
	return m.certify(t, public, &x509.Certificate{
		Subject:   pkix.Name{Country: []string{"SE"}, Organization: []string{"Acme"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Acme Key"},
		NotBefore: mfatest.Start().AddDate(-1, 0, 0), NotAfter: end, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: aaguid}},
	}, by)
}

func (m maker) roots(aaguid [16]byte) (*x509.CertPool, error) {
	if aaguid != m.model {
		return nil, errors.New("an unknown model")
	}
	pool := x509.NewCertPool()
	pool.AddCert(m.root)
	return pool, nil
}

func noRoots([16]byte) (*x509.CertPool, error) { return nil, nil }

func TestAttestation(t *testing.T) {
	t.Parallel()
	acme, other := newMaker(t, 1), newMaker(t, 1)
	device := newKey(t)
	later := mfatest.Start().AddDate(5, 0, 0)
	leaf := acme.leaf(t, &device.PublicKey, later, acme.root)

	// packed is a statement by device, under these certificates.
	packed := func(chain ...*x509.Certificate) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) {
			f.Format, f.AAGUID = "packed", acme.model
			f.Statement = func(signed []byte) []byte {
				hash := sha256.Sum256(signed)
				sig, err := ecdsa.SignASN1(nil, device, hash[:])
				if err != nil {
					t.Error(err)
				}
				var x5c [][]byte
				for _, c := range chain {
					x5c = append(x5c, c.Raw)
				}
				return encode(t, map[string]any{"alg": mfatest.ES256, "sig": sig, "x5c": x5c})
			}
		}
	}
	then := func(forge func(*mfatest.Forgery), more func(*mfatest.Forgery)) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) { forge(f); more(f) }
	}
	between := acme.certify(t, &other.key.PublicKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Between"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, acme.root)
	self := other
	self.key = device

	changes := []change{
		{name: "none", want: webauthn.ErrAttestation},
		{name: "none, with something in it", want: webauthn.ErrAttestation, forge: func(f *mfatest.Forgery) {
			packed(leaf)(f)
			f.Format = "none"
		}},
		{name: "self", want: webauthn.ErrAttestation, tool: func(a *mfatest.Authenticator) { a.SelfAttested, a.AAGUID = true, acme.model }},
		{name: "an unknown format", want: webauthn.ErrAttestation, forge: then(packed(leaf), func(f *mfatest.Forgery) { f.Format = "acme" })},
		{name: "another format", want: webauthn.ErrAttestation, forge: then(packed(leaf), func(f *mfatest.Forgery) { f.Format = "tpm" })},
		{name: "nobody's chain", want: webauthn.ErrAttestation, forge: packed(other.leaf(t, &device.PublicKey, later, other.root))},
		{name: "nobody's chain with its root", want: webauthn.ErrAttestation, forge: packed(other.leaf(t, &device.PublicKey, later, other.root), other.root)},
		{name: "a root of its own", want: webauthn.ErrAttestation, forge: packed(self.leaf(t, &device.PublicKey, later, nil))},
		{name: "a root of its own, and ours behind it", want: webauthn.ErrAttestation, forge: packed(self.leaf(t, &device.PublicKey, later, nil), acme.root)},
		{name: "a certificate that has ended", want: webauthn.ErrAttestation, forge: packed(acme.leaf(t, &device.PublicKey, mfatest.Start().Add(-time.Hour), acme.root))},
		{name: "another model's", want: webauthn.ErrAttestation, forge: then(packed(leaf), func(f *mfatest.Forgery) { f.AAGUID = [16]byte{2} })},
		{name: "another device's certificate", want: webauthn.ErrAttestation, forge: packed(acme.leaf(t, &newKey(t).PublicKey, later, acme.root))},
		{name: "signed over something else", want: webauthn.ErrAttestation, forge: then(packed(leaf), func(f *mfatest.Forgery) {
			statement := f.Statement
			f.Statement = func(signed []byte) []byte { return statement(signed[1:]) }
		})},
		{name: "no certificates", want: webauthn.ErrAttestation, forge: packed()},
		{name: "no certificate", want: webauthn.ErrAttestation, forge: packed(&x509.Certificate{Raw: []byte{1}})},
		{name: "the maker's", forge: packed(leaf)},
		{name: "the maker's, with its root", forge: packed(leaf, acme.root)},
		{name: "the maker's, through another", forge: packed(other.leaf(t, &device.PublicKey, later, between), between)},
	}
	t.Run("demanded", func(t *testing.T) {
		registers(t, newWorld(t, &webauthn.Options{Attestation: &webauthn.Attestation{Roots: acme.roots}}), changes)
	})
	t.Run("no roots", func(t *testing.T) {
		registers(t, newWorld(t, &webauthn.Options{Attestation: &webauthn.Attestation{Roots: noRoots}}),
			[]change{{name: "nil", want: webauthn.ErrAttestation, forge: packed(leaf)}})
	})
	t.Run("not asked for", func(t *testing.T) { // and then not looked at
		for i := range changes {
			changes[i].want = nil
		}
		registers(t, newWorld(t, nil), changes)
	})
}

// a TPM's certificate names its maker in an alternative name that is
// critical and that crypto/x509 does not read (section 8.3.1). The library has read
// it, so it does not refuse the chain; everything else still does.
func TestAttestationOfTPM(t *testing.T) {
	t.Parallel()
	acme, other := newMaker(t, 1), newMaker(t, 1)
	device := newKey(t)
	certificate := func(m maker, critical ...pkix.Extension) *x509.Certificate {
		return m.certify(t, &device.PublicKey, &x509.Certificate{
			BasicConstraintsValid: true, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}},
			ExtraExtensions: append([]pkix.Extension{tpmName(t)}, critical...),
		}, m.root)
	}
	tpm := func(edit func(info []byte), chain ...*x509.Certificate) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) {
			f.Format, f.AAGUID = "tpm", acme.model
			if f.Key == nil {
				return
			}
			public := slices.Concat(
				[]byte{0, 0x23, 0, 0x0b, 0, 0x04, 0, 0x72, 0, 0}, // ECC, named by SHA-256, a signing key, no policy
				[]byte{0, 0x10, 0, 0x10, 0, 3, 0, 0x10},          // no cipher, no scheme, P-256, no KDF
				[]byte{0, 32}, f.Key[10:42], []byte{0, 32}, f.Key[45:77],
			)
			f.Statement = func(signed []byte) []byte {
				extra, name := sha256.Sum256(signed), sha256.Sum256(public)
				info := slices.Concat(
					[]byte{0xff, 'T', 'C', 'G', 0x80, 0x17, 0, 0, 0, 32}, extra[:], make([]byte, 8+4+4+1+8), // certified; clock and firmware
					[]byte{0, 34, 0, 0x0b}, name[:], []byte{0, 0},
				)
				edit(info)
				hash := sha256.Sum256(info)
				sig, err := ecdsa.SignASN1(nil, device, hash[:])
				if err != nil {
					t.Error(err)
				}
				var x5c [][]byte
				for _, c := range chain {
					x5c = append(x5c, c.Raw)
				}
				return encode(t, map[string]any{
					"ver": "2.0", "alg": mfatest.ES256, "sig": sig, "x5c": x5c, "certInfo": info, "pubArea": public,
				})
			}
		}
	}
	asIs := func([]byte) {}
	onP256 := func(a *mfatest.Authenticator) { a.Algorithms = []int{mfatest.ES256} }
	ours := certificate(acme)
	if !slices.ContainsFunc(ours.UnhandledCriticalExtensions, asn1.ObjectIdentifier{2, 5, 29, 17}.Equal) {
		t.Fatal("crypto/x509 reads the name itself: then the exception is not needed any more")
	}
	packed := acme.leaf(t, &device.PublicKey, mfatest.Start().AddDate(5, 0, 0), acme.root)
	packed = acme.certify(t, &device.PublicKey, &x509.Certificate{
		Subject: packed.Subject, BasicConstraintsValid: true, ExtraExtensions: []pkix.Extension{tpmName(t)},
	}, acme.root)
	changes := []change{
		{name: "the maker's", forge: tpm(asIs, ours)},
		{name: "the maker's, with its root", forge: tpm(asIs, ours, acme.root)},
		{name: "nobody's", want: webauthn.ErrAttestation, forge: tpm(asIs, certificate(other))},
		{name: "nobody's, with its root", want: webauthn.ErrAttestation, forge: tpm(asIs, certificate(other), other.root)},
		{name: "something else that is critical", want: webauthn.ErrAttestation, forge: tpm(asIs, certificate(acme, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0},
		}))},
		{name: "the same in another format", want: webauthn.ErrAttestation, forge: func(f *mfatest.Forgery) {
			f.Format, f.AAGUID = "packed", acme.model
			f.Statement = func(signed []byte) []byte {
				hash := sha256.Sum256(signed)
				sig, err := ecdsa.SignASN1(nil, device, hash[:])
				if err != nil {
					t.Error(err)
				}
				return encode(t, map[string]any{"alg": mfatest.ES256, "sig": sig, "x5c": [][]byte{packed.Raw}})
			}
		}},
		{name: "of other data", want: webauthn.ErrAttestation, forge: tpm(func(info []byte) { info[10] ^= 1 }, ours)},
		{name: "of another key", want: webauthn.ErrAttestation, forge: tpm(func(info []byte) { info[len(info)-3] ^= 1 }, ours)},
		{name: "not made in it", want: webauthn.ErrAttestation, forge: tpm(func(info []byte) { info[0] = 0 }, ours)},
	}
	for i := range changes {
		changes[i].tool = onP256
	}
	registers(t, newWorld(t, &webauthn.Options{Attestation: &webauthn.Attestation{Roots: acme.roots}}), changes)
}

// tpmName is the alternative name of section 3.2.9 of the TPM 2.0 EK profile: of a
// maker that is listed, Intel.
func tpmName(t *testing.T) pkix.Extension {
	t.Helper()
	name := pkix.RDNSequence{}
	for i, value := range []string{"id:494E5443", "Acme TPM", "id:13"} {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}, Value: value}})
	}
	directory, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: directory}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: names}
}
