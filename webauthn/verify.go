package webauthn

// The verification of WebAuthn Level 3, sections 7.1 and 7.2. What may be
// wrong is checked here by name, in the order of the sections; then the library
// verifies the whole once more, with the signature. So each check would have to
// fail twice to let something through.

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

// A site is whose answers are accepted.
type site struct {
	rpID       string
	origins    []string // exact
	topOrigins []string // that may show ours in a frame; nil: none may
}

// A demand is what one ceremony wants of an answer.
type demand struct {
	challenge   []byte
	verify      bool // UV
	conditional bool // made without asking: UP need not be set
}

// common are the steps that both ceremonies share.
func (s *site) common(r *response, kind protocol.CeremonyType, d demand) error {
	want := base64.RawURLEncoding.EncodeToString(d.challenge)
	hash := sha256.Sum256([]byte(s.rpID))
	up, uv, be, bs := r.auth.flags&flagUP != 0, r.auth.flags&flagUV != 0, r.auth.flags&flagBE != 0, r.auth.flags&flagBS != 0
	switch {
	case r.client.Type != string(kind):
		return ErrType
	case len(d.challenge) < challengeSize || subtle.ConstantTimeCompare([]byte(r.client.Challenge), []byte(want)) != 1:
		return ErrChallenge
	case !slices.Contains(s.origins, r.client.Origin):
		return ErrOrigin
	case !s.framed(r.client):
		return ErrCrossOrigin
	case subtle.ConstantTimeCompare(r.auth.rpIDHash, hash[:]) != 1:
		return ErrRPID
	case !up && !d.conditional:
		return ErrUserPresence
	case !uv && d.verify:
		return ErrUserVerification
	case bs && !be:
		return ErrBackup
	}
	return nil
}

// framed reports whether the page may have been where it was.
func (s *site) framed(c clientData) bool {
	if c.TopOrigin == nil { // then nobody says whose the frame was
		return !c.CrossOrigin
	}
	return c.CrossOrigin && slices.Contains(s.topOrigins, *c.TopOrigin)
}

// crossOrigin is how the library is told the same.
func (s *site) crossOrigin() bool { return len(s.topOrigins) > 0 }

func (c clientData) forLibrary() protocol.CollectedClientData {
	out := protocol.CollectedClientData{
		Type: protocol.CeremonyType(c.Type), Challenge: c.Challenge, Origin: c.Origin, CrossOrigin: c.CrossOrigin,
	}
	if c.TopOrigin != nil {
		out.TopOrigin = *c.TopOrigin
	}
	return out
}

// register verifies a registration (7.1) and returns what is to be kept of it.
func (s *site) register(key func([]byte) (publicKey, error), r *response, d demand, trust *Attestation, now time.Time) (record, error) {
	if err := s.common(r, protocol.CreateCeremony, d); err != nil {
		return record{}, err
	}
	if !r.auth.attested || !bytes.Equal(r.auth.id, r.id) {
		return record{}, ErrMalformed
	}
	k, err := key(r.auth.key)
	if err != nil {
		return record{}, err
	}
	var a protocol.AttestationObject
	if webauthncbor.Unmarshal(r.object, &a) != nil || a.AuthData.Unmarshal(a.RawAuthData) != nil {
		return record{}, ErrMalformed
	}
	client := r.client.forLibrary()
	err = client.Verify(base64.RawURLEncoding.EncodeToString(d.challenge), protocol.CreateCeremony, s.origins, nil, s.topOrigins,
		protocol.TopOriginExplicitVerificationMode, s.crossOrigin())
	if err != nil {
		return record{}, ErrMalformed
	}
	rp := sha256.Sum256([]byte(s.rpID))
	if a.AuthData.Verify(rp[:], nil, d.verify, !d.conditional) != nil {
		return record{}, ErrMalformed
	}
	if trust != nil {
		if err := trust.verify(&a, r, now); err != nil {
			return record{}, err
		}
	}
	return record{
		backupEligible: r.auth.flags&flagBE != 0, backedUp: r.auth.flags&flagBS != 0, verifiedOnce: r.auth.flags&flagUV != 0,
		unattested: trust == nil, counter: r.auth.counter, transports: transportBits(r.transports), aaguid: r.auth.aaguid, key: k,
	}, nil
}

// verify checks a trust path: a statement of a known format, signed, by a
// certificate that leads to a root of that model (7.1, the steps on
// attestation). No statement, and one by the credential's own key, will not do.
func (t *Attestation) verify(a *protocol.AttestationObject, r *response, now time.Time) error {
	hash := sha256.Sum256(r.clientData)
	if a.VerifyAttestation(hash[:], nil, protocol.AttestationPolicy{}, protocol.SignaturePolicy{}) != nil {
		return ErrAttestation
	}
	if a.Type == string(metadata.None) || a.Type == string(metadata.BasicSurrogate) {
		return ErrAttestation
	}
	chain, ok := a.AttStatement["x5c"].([]any)
	if !ok || len(chain) == 0 {
		return ErrAttestation
	}
	var leaf *x509.Certificate
	between := x509.NewCertPool()
	for i, c := range chain {
		der, _ := c.([]byte)
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return ErrAttestation
		}
		if i == 0 {
			leaf = cert
			if a.Format == string(protocol.AttestationFormatTPM) { // names its maker in a critical name, which the library has read
				leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, asn1.ObjectIdentifier{2, 5, 29, 17}.Equal)
			}
		} else {
			between.AddCert(cert)
		}
	}
	roots, err := t.Roots(r.auth.aaguid)
	if err != nil || roots == nil {
		return ErrAttestation
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return ErrAttestation
	}
	return nil
}

// nobodys is a record to verify against where there is none, so that this takes
// as long: its key is the base point of P-256, whose private key is one.
func nobodys() record {
	p := elliptic.P256().Params()
	return record{backupUnknown: true, key: publicKey{es256, append(p.Gx.FillBytes(make([]byte, 32)), p.Gy.FillBytes(make([]byte, 32))...)}}
}

// assert verifies a sign-in (7.2) with a credential, and returns what is to be
// kept of it from now on. cloned: the counter went back.
func (s *site) assert(r *response, d demand, old record) (now record, cloned bool, err error) {
	if err := s.common(r, protocol.AssertCeremony, d); err != nil {
		return old, false, err
	}
	be, bs := r.auth.flags&flagBE != 0, r.auth.flags&flagBS != 0
	if !old.backupUnknown && be != old.backupEligible {
		return old, false, ErrBackup
	}
	p := protocol.ParsedCredentialAssertionData{}
	p.Response.CollectedClientData = r.client.forLibrary()
	if p.Response.AuthenticatorData.Unmarshal(r.rawAuth) != nil {
		return old, false, ErrMalformed
	}
	p.Response.Signature = r.signature
	p.Raw.AssertionResponse.ClientDataJSON = r.clientData
	p.Raw.AssertionResponse.AuthenticatorData = r.rawAuth
	err = p.Verify(base64.RawURLEncoding.EncodeToString(d.challenge), s.rpID, "", s.origins, nil, s.topOrigins,
		protocol.TopOriginExplicitVerificationMode, s.crossOrigin(), d.verify, true, old.key.cose(), protocol.SignaturePolicy{})
	if err != nil {
		return old, false, ErrSignature
	}
	now = old
	now.backupEligible, now.backedUp, now.backupUnknown = be, bs, false
	cloned = (r.auth.counter != 0 || old.counter != 0) && r.auth.counter <= old.counter
	if !cloned {
		now.counter = r.auth.counter
	}
	return now, cloned, nil
}
