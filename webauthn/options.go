package webauthn

// What browsers are given: the JSON that PublicKeyCredential's
// parseCreationOptionsFromJSON and parseRequestOptionsFromJSON take, the related
// origins document, and the payloads of the Signal API.

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// timeout is how long a browser should wait for the person.
const timeout = 5 * time.Minute

type (
	creationOptions struct {
		RP          rpEntity     `json:"rp"`
		User        userEntity   `json:"user"`
		Challenge   string       `json:"challenge"`
		Params      []parameter  `json:"pubKeyCredParams"`
		Timeout     int64        `json:"timeout"` // milliseconds
		Exclude     []descriptor `json:"excludeCredentials"`
		Selection   selection    `json:"authenticatorSelection"`
		Attestation string       `json:"attestation"`
		Extensions  extensions   `json:"extensions"`
	}
	rpEntity struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	userEntity struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	}
	parameter struct {
		Type string `json:"type"`
		Alg  int    `json:"alg"`
	}
	descriptor struct {
		Type       string   `json:"type"`
		ID         string   `json:"id"`
		Transports []string `json:"transports,omitempty"`
	}
	selection struct {
		ResidentKey      string `json:"residentKey"`
		RequireResident  bool   `json:"requireResidentKey"`
		UserVerification string `json:"userVerification"`
	}
	extensions struct {
		CredProps bool `json:"credProps"`
	}
	requestOptions struct {
		Challenge        string       `json:"challenge"`
		Timeout          int64        `json:"timeout"`
		RPID             string       `json:"rpId"`
		Allow            []descriptor `json:"allowCredentials"`
		UserVerification string       `json:"userVerification"`
	}
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("webauthn: %w", err)
	}
	return b, nil
}

// descriptors are the user's keys, or the one that is named.
func descriptors(s *vault.Scope, id string) ([]descriptor, error) {
	ds := []descriptor{}
	for _, f := range s.Factors() {
		if id != "" && f.ID != id {
			continue
		}
		r, err := decodeRecord(f.Data)
		if err != nil {
			return nil, err
		}
		ds = append(ds, descriptor{"public-key", b64([]byte(f.Key)), transportList(r.transports)})
	}
	return ds, nil
}

func (m *Method) creation(s *vault.Scope, u mfa.User, c ceremony) (json.RawMessage, error) {
	exclude, err := descriptors(s, "")
	if err != nil {
		return nil, err
	}
	o := creationOptions{
		RP: rpEntity{m.site.rpID, u.Service}, User: m.user(s, u), Challenge: b64(c.challenge),
		Timeout: timeout.Milliseconds(), Exclude: exclude, Attestation: "none", Extensions: extensions{CredProps: true},
		Selection: selection{ResidentKey: "discouraged", UserVerification: m.verification()},
	}
	if c.alone || c.conditional {
		o.Selection.ResidentKey = "preferred"
	}
	if m.opts.Attestation != nil {
		o.Attestation = "direct"
	}
	for _, alg := range offered() {
		o.Params = append(o.Params, parameter{"public-key", alg})
	}
	return marshal(o)
}

// verification is what is wanted of an authenticator after a first factor.
func (m *Method) verification() string {
	if m.opts.VerifyAlways {
		return "required"
	}
	return "preferred"
}

func (m *Method) user(s *vault.Scope, u mfa.User) userEntity {
	e := userEntity{ID: b64(handle(s)), Name: u.Name, DisplayName: u.DisplayName}
	if e.Name == "" {
		e.Name = u.ID
	}
	if e.DisplayName == "" {
		e.DisplayName = e.Name
	}
	return e
}

func (m *Method) request(s *vault.Scope, challenge []byte, factorID string) (json.RawMessage, error) {
	allow, err := descriptors(s, factorID)
	if err != nil {
		return nil, err
	}
	return marshal(requestOptions{b64(challenge), timeout.Milliseconds(), m.site.rpID, allow, m.verification()})
}

func (m *Method) discovery(challenge []byte) (json.RawMessage, error) {
	return marshal(requestOptions{b64(challenge), timeout.Milliseconds(), m.site.rpID, []descriptor{}, "required"})
}

// RelatedOriginsJSON is the document to serve at
// https://{RPID}/.well-known/webauthn where Options.Origins has origins of other
// registrable domains (WebAuthn section 5.11).
func (m *Method) RelatedOriginsJSON() []byte {
	var web []string
	for _, o := range m.site.origins {
		if _, err := hostOf(o); err == nil {
			web = append(web, o)
		}
	}
	b, _ := json.Marshal(map[string][]string{"origins": web}) // strings always do
	return append(b, '\n')
}

// Signals implements mfa.Signaler: the arguments of signalAllAcceptedCredentials
// as "accepted", and of signalCurrentUserDetails as "details".
func (m *Method) Signals(s *vault.Scope, u mfa.User) (json.RawMessage, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	keys := []string{}
	for _, f := range s.Factors() {
		keys = append(keys, b64([]byte(f.Key)))
	}
	e := m.user(s, u)
	type accepted struct {
		RPID string   `json:"rpId"`
		User string   `json:"userId"`
		Keys []string `json:"allAcceptedCredentialIds"`
	}
	type details struct {
		RPID        string `json:"rpId"`
		User        string `json:"userId"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	}
	return marshal(struct {
		Accepted accepted `json:"accepted"`
		Details  details  `json:"details"`
	}{accepted{m.site.rpID, e.ID, keys}, details{m.site.rpID, e.ID, e.Name, e.DisplayName}})
}

// UnknownJSON is the argument of signalUnknownCredential for an answer that was
// refused because nobody has such a credential (any more). It tells a browser, and
// whoever else has the ID, that this is so.
func (m *Method) UnknownJSON(a mfa.Answer) (json.RawMessage, error) {
	id, err := m.Identify(a)
	if err != nil {
		return nil, err
	}
	return marshal(map[string]string{"rpId": m.site.rpID, "credentialId": b64([]byte(id))})
}
