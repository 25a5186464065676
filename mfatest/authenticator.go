package mfatest

// A security key or passkey provider, and the browser before it: WebAuthn Level 3
// written anew, on the standard library alone, so that package webauthn is
// compared with something else than itself.

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Why a browser gives a page no credential, by the names of its DOMExceptions.
var (
	ErrInvalidState = errors.New("mfatest: InvalidStateError: a credential that was to be excluded")
	ErrNotAllowed   = errors.New("mfatest: NotAllowedError: there is nothing that would do")
	ErrNotSupported = errors.New("mfatest: NotSupportedError: no algorithm in common")
	ErrSecurity     = errors.New("mfatest: SecurityError: the RP ID is not the page's")
)

// The algorithms that an Authenticator can, by their COSE names.
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// The flags of authenticator data (WebAuthn section 6.1).
const (
	FlagUP = 1 << 0 // user present
	FlagUV = 1 << 2 // user verified
	FlagBE = 1 << 3 // may be backed up
	FlagBS = 1 << 4 // is backed up
	FlagAT = 1 << 6 // attested credential data follows
	FlagED = 1 << 7 // extensions follow
)

// An Authenticator is one with its browser and its person, who touches it and
// enters the PIN at once. Its exported fields may be changed between ceremonies;
// the zero value of each but Origin is a good authenticator: discoverable
// credentials bound to the device, without a counter and attestation. Create and
// Get may be called from many goroutines.
type Authenticator struct {
	Origin    string // of the page
	TopOrigin string // of the page that shows ours in a frame; "": none does

	Algorithms []int    // that it can, in no order; nil: ES256, EdDSA and RS256
	AAGUID     [16]byte // its model
	Transports []string // nil: internal and hybrid

	Unverified      bool   // it has no PIN and no sensor: UV is never set
	Unattended      bool   // the browser asks nobody, as for a conditional creation: neither UP nor UV is set
	BackupEligible  bool   // BE
	BackedUp        bool   // BS
	NotDiscoverable bool   // it keeps no passkeys
	SelfAttested    bool   // "packed", by the credential's own key; false: "none"
	Step            uint32 // how much the counter grows with each signature; 0: it stays zero

	// Forge, if not nil, changes what is going to be signed, and who signs it.
	Forge func(*Forgery)

	// Alter, if not nil, changes the reply after that: the members of what toJSON
	// returns. reply["response"] is a map[string]any, and bytes are base64url
	// without padding.
	Alter func(reply map[string]any)

	mu          sync.Mutex
	credentials []*credential // oldest first
	rsa         *rsa.PrivateKey
}

// A Forgery is one ceremony before it is signed, with everything as an honest
// authenticator would have it. Forge may change any of it.
type Forgery struct {
	// The client data.
	Type, Challenge, Origin string
	CrossOrigin             bool
	TopOrigin               string // "": left out
	ClientData              []byte // if not nil, in place of all that

	// The authenticator data, in its order. Attested data follows only in a
	// creation, whatever the flags say; extensions only where they are given.
	RPIDHash     []byte
	Flags        byte
	Counter      uint32
	AAGUID       [16]byte
	CredentialID []byte // the reply's too; a sign-in has it in the reply alone
	Key          []byte // COSE
	Extensions   []byte // CBOR
	Trailing     []byte // behind all that
	AuthData     []byte // if not nil, in place of all that

	// Sign signs with the credential's key.
	Sign func(message []byte) (signature []byte)

	// The attestation of a creation. Statement returns CBOR for what was signed:
	// authenticator data, and the hash of the client data.
	Format    string
	Statement func(signed []byte) []byte

	UserHandle []byte // of a sign-in; nil: left out
}

type credential struct {
	id, user     []byte
	rpID         string
	key          key
	counter      uint32
	discoverable bool
}

// NewAuthenticator returns an Authenticator without credentials whose browser
// shows the page at origin, such as "https://acme.example".
func NewAuthenticator(origin string) *Authenticator { return &Authenticator{Origin: origin} }

// Clone returns another one with the same keys and counters, as somebody has who
// copied them.
func (a *Authenticator) Clone() *Authenticator {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &Authenticator{
		Origin: a.Origin, TopOrigin: a.TopOrigin, Algorithms: a.Algorithms, AAGUID: a.AAGUID, Transports: a.Transports,
		Unverified: a.Unverified, Unattended: a.Unattended, BackupEligible: a.BackupEligible, BackedUp: a.BackedUp,
		NotDiscoverable: a.NotDiscoverable, SelfAttested: a.SelfAttested, Step: a.Step, rsa: a.rsa,
	}
	for _, c := range a.credentials {
		copied := *c
		b.credentials = append(b.credentials, &copied)
	}
	return b
}

// IDs returns the IDs of the credentials, oldest first.
func (a *Authenticator) IDs() [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids [][]byte
	for _, c := range a.credentials {
		ids = append(ids, bytes.Clone(c.id))
	}
	return ids
}

type descriptor struct {
	ID text `json:"id"`
}

// text is bytes as base64url without padding.
type text []byte

func (t *text) UnmarshalText(b []byte) (err error) {
	*t, err = base64.RawURLEncoding.DecodeString(string(b))
	return err
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Create is navigator.credentials.create: it takes the JSON of
// PublicKeyCredentialCreationOptions and returns what toJSON of the new
// credential gives. ErrInvalidState if it has one that is to be excluded,
// ErrSecurity, ErrNotSupported and ErrNotAllowed as a browser has them.
func (a *Authenticator) Create(options json.RawMessage) (json.RawMessage, error) {
	var o struct {
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID text `json:"id"`
		} `json:"user"`
		Challenge string `json:"challenge"`
		Params    []struct {
			Alg int `json:"alg"`
		} `json:"pubKeyCredParams"`
		Exclude   []descriptor `json:"excludeCredentials"`
		Selection struct {
			ResidentKey      string `json:"residentKey"`
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("mfatest: options of a creation: %w", err)
	}
	if len(o.User.ID) < 1 || len(o.User.ID) > 64 || o.Challenge == "" {
		return nil, errors.New("mfatest: TypeError: a creation without a user or a challenge")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.mayUse(o.RP.ID) {
		return nil, ErrSecurity
	}
	for _, d := range o.Exclude {
		if a.find(o.RP.ID, d.ID) != nil {
			return nil, ErrInvalidState
		}
	}
	resident := !a.NotDiscoverable && o.Selection.ResidentKey != "discouraged"
	if o.Selection.ResidentKey == "required" && !resident || o.Selection.UserVerification == "required" && !a.verifies() {
		return nil, ErrNotAllowed
	}
	alg := 0
	for _, p := range o.Params {
		if a.Algorithms == nil && (p.Alg == ES256 || p.Alg == EdDSA || p.Alg == RS256) || slices.Contains(a.Algorithms, p.Alg) {
			alg = p.Alg
			break
		}
	}
	k, err := a.newKey(alg)
	if err != nil {
		return nil, err
	}
	c := &credential{id: make([]byte, 32), user: o.User.ID, rpID: o.RP.ID, key: k, counter: a.Step, discoverable: resident}
	_, _ = rand.Read(c.id)

	f := a.forgery("webauthn.create", o.Challenge, c)
	f.Flags |= FlagAT
	f.Key, f.Format = k.cose(), "none"
	f.Statement = func([]byte) []byte { return cborMap() }
	if a.SelfAttested {
		f.Format = "packed"
		f.Statement = func(signed []byte) []byte {
			return cborMap(cborText("alg"), cborInt(alg), cborText("sig"), cborBytes(f.Sign(signed)))
		}
	}
	a.forge(f)
	c.id = f.CredentialID
	clientData, auth := f.clientData(), f.authData(true)
	signed := signedBytes(auth, clientData)
	object := cborMap(cborText("fmt"), cborText(f.Format), cborText("attStmt"), f.Statement(signed), cborText("authData"), cborBytes(auth))
	a.credentials = append(a.credentials, c)

	transports := a.Transports
	if transports == nil {
		transports = []string{"hybrid", "internal"}
	}
	return a.reply(f, map[string]any{"credProps": map[string]any{"rk": resident}}, map[string]any{
		"clientDataJSON": b64(clientData), "attestationObject": b64(object), "authenticatorData": b64(auth),
		"transports": transports, "publicKey": b64(k.spki()), "publicKeyAlgorithm": alg,
	})
}

// Get is navigator.credentials.get: it takes the JSON of
// PublicKeyCredentialRequestOptions and returns what toJSON of the assertion
// gives. Of an empty list it takes the newest discoverable credential, of another
// the first that it has. ErrNotAllowed if there is none, or if the user has to be
// verified and cannot be; ErrSecurity.
func (a *Authenticator) Get(options json.RawMessage) (json.RawMessage, error) {
	var o struct {
		Challenge        string       `json:"challenge"`
		RPID             string       `json:"rpId"`
		Allow            []descriptor `json:"allowCredentials"`
		UserVerification string       `json:"userVerification"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("mfatest: options of a request: %w", err)
	}
	if o.Challenge == "" {
		return nil, errors.New("mfatest: TypeError: a request without a challenge")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.mayUse(o.RPID) {
		return nil, ErrSecurity
	}
	c := a.choose(o.RPID, o.Allow)
	if c == nil || o.UserVerification == "required" && !a.verifies() {
		return nil, ErrNotAllowed
	}
	c.counter += a.Step
	f := a.forgery("webauthn.get", o.Challenge, c)
	if c.discoverable {
		f.UserHandle = c.user
	}
	a.forge(f)
	clientData, auth := f.clientData(), f.authData(false)
	response := map[string]any{
		"clientDataJSON": b64(clientData), "authenticatorData": b64(auth), "signature": b64(f.Sign(signedBytes(auth, clientData))),
	}
	if f.UserHandle != nil {
		response["userHandle"] = b64(f.UserHandle)
	}
	return a.reply(f, map[string]any{}, response)
}

// mayUse reports whether a page of a.Origin may use an RP ID: its host, or a
// domain above it. An app's origin is not looked at.
func (a *Authenticator) mayUse(rpID string) bool {
	u, err := url.Parse(a.Origin)
	if err != nil || rpID == "" {
		return false
	}
	return u.Scheme == "android" || u.Hostname() == rpID || strings.HasSuffix(u.Hostname(), "."+rpID)
}

func (a *Authenticator) verifies() bool { return !a.Unverified && !a.Unattended }

func (a *Authenticator) find(rpID string, id []byte) *credential {
	for _, c := range a.credentials {
		if c.rpID == rpID && bytes.Equal(c.id, id) {
			return c
		}
	}
	return nil
}

func (a *Authenticator) choose(rpID string, allow []descriptor) *credential {
	for _, d := range allow {
		if c := a.find(rpID, d.ID); c != nil {
			return c
		}
	}
	for _, c := range slices.Backward(a.credentials) {
		if len(allow) == 0 && c.rpID == rpID && c.discoverable {
			return c
		}
	}
	return nil
}

// forgery is a ceremony that is not one yet.
func (a *Authenticator) forgery(ceremony, challenge string, c *credential) *Forgery {
	hash := sha256.Sum256([]byte(c.rpID))
	f := &Forgery{
		Type: ceremony, Challenge: challenge, Origin: a.Origin, CrossOrigin: a.TopOrigin != "", TopOrigin: a.TopOrigin,
		RPIDHash: hash[:], Counter: c.counter, AAGUID: a.AAGUID, CredentialID: bytes.Clone(c.id), Sign: c.key.sign,
	}
	for _, flag := range []struct {
		set bool
		bit byte
	}{{!a.Unattended, FlagUP}, {a.verifies(), FlagUV}, {a.BackupEligible, FlagBE}, {a.BackedUp, FlagBS}} {
		if flag.set {
			f.Flags |= flag.bit
		}
	}
	return f
}

func (a *Authenticator) forge(f *Forgery) {
	if a.Forge != nil {
		a.Forge(f)
	}
}

// reply is what toJSON of a PublicKeyCredential returns.
func (a *Authenticator) reply(f *Forgery, results, response map[string]any) (json.RawMessage, error) {
	r := map[string]any{
		"id": b64(f.CredentialID), "rawId": b64(f.CredentialID), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": results, "response": response,
	}
	if a.Alter != nil {
		a.Alter(r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("mfatest: %w", err)
	}
	return b, nil
}
