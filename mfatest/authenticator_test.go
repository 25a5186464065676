package mfatest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

func ExampleNewAuthenticator() {
	a := mfatest.NewAuthenticator("https://acme.example")
	credential, err := a.Create([]byte(`{
		"rp": {"id": "acme.example", "name": "Acme"},
		"user": {"id": "YWRh", "name": "ada", "displayName": "Ada"},
		"challenge": "dGhpcnR5LXR3byByYW5kb20gYnl0ZXM",
		"pubKeyCredParams": [{"type": "public-key", "alg": -7}]
	}`))
	fmt.Println(len(credential) > 0, err)

	// A page that looks like ours gets nothing out of it.
	a.Origin = "https://acme-example.com"
	_, err = a.Get([]byte(`{"rpId": "acme.example", "challenge": "c3RvbGVu"}`))
	fmt.Println(err)
	// Output:
	// true <nil>
	// mfatest: SecurityError: the RP ID is not the page's
}

// What an Authenticator would not say of itself, Forge does: here a signature by
// a page that looks like ours.
func ExampleAuthenticator_forge() {
	a := mfatest.NewAuthenticator("https://acme.example")
	a.Forge = func(f *mfatest.Forgery) { f.Origin = "https://acme-example.com" }
	credential, _ := a.Create([]byte(`{
		"rp": {"id": "acme.example"}, "user": {"id": "YWRh"}, "challenge": "AAAA", "pubKeyCredParams": [{"alg": -8}]
	}`))
	var reply struct {
		Response struct {
			ClientDataJSON string `json:"clientDataJSON"`
		} `json:"response"`
	}
	_ = json.Unmarshal(credential, &reply)
	clientData, _ := base64.RawURLEncoding.DecodeString(reply.Response.ClientDataJSON)
	fmt.Println(string(clientData))
	// Output: {"type":"webauthn.create","challenge":"AAAA","origin":"https://acme-example.com","crossOrigin":false}
}

const creation = `{"rp":{"id":"acme.example"},"user":{"id":"YWRh"},"challenge":"AAAA","pubKeyCredParams":[{"alg":%d}],` +
	`"excludeCredentials":[{"id":"%s"}],"authenticatorSelection":{"residentKey":"%s","userVerification":"%s"}}`

func options(alg int, exclude, resident, verification string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(creation, alg, exclude, resident, verification))
}

// A person of a Kit signs in by a security key in every way.
func TestPersonWithSecurityKey(t *testing.T) {
	t.Parallel()
	k := mfatest.New(t)
	g, err := mfa.New(k.Vault, mfa.Config{
		Service: mfatest.Service, Methods: []mfa.Method{webauthn.New(mfatest.Origin, nil), totp.New(nil)},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Policy: mfa.Policy{PasskeyAlone: true}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, kinds := range map[string][]mfa.Kind{
		"first": {webauthn.Kind}, "second": {totp.Kind, webauthn.Kind}, "before": {webauthn.Kind, totp.Kind},
	} {
		p := k.Enroll(g, name, kinds...)
		if s := p.SignIn(g, webauthn.Kind); s == nil || s.Proofs()[0].Kind != webauthn.Kind {
			t.Errorf("%s: not signed in by it", name)
		}
		if p.StepUp(g, webauthn.Kind) == nil {
			t.Errorf("%s: not stepped up", name)
		}
		login := p.SignInByPasskey(g)
		if login.Session == nil || p.Session() != login.Session || login.Session.UserID() != name {
			t.Errorf("%s: not signed in by a passkey", name)
		}
	}
	p := k.Enroll(g, "two", webauthn.Kind)
	session := p.SignIn(g, webauthn.Kind)
	p.Use(mfatest.NewAuthenticator(mfatest.Origin))
	e, err := g.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Settings(p.Session()).Confirm(t.Context(), e.ID, p.Scan(e)); err != nil {
		t.Fatal(err)
	}
	p.SignIn(g, webauthn.Kind)
	if !ends(t, k, func(*mfatest.Kit) { p.Answer(webauthn.Kind) }) {
		t.Error("it answered without a challenge")
	}
}

// What browsers refuse.
func TestBrowserRefuses(t *testing.T) {
	t.Parallel()
	a := mfatest.NewAuthenticator("https://login.acme.example")
	if _, err := a.Create(options(mfatest.ES256, "", "required", "required")); err != nil {
		t.Fatal(err)
	}
	id := base64.RawURLEncoding.EncodeToString(a.IDs()[0])
	request := func(rpID, id, verification string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"rpId":"%s","challenge":"AAAA","allowCredentials":[{"id":"%s"}],"userVerification":"%s"}`, rpID, id, verification))
	}
	bare := mfatest.NewAuthenticator(a.Origin)
	bare.Unverified, bare.NotDiscoverable, bare.Algorithms = true, true, []int{mfatest.EdDSA}
	if _, err := bare.Create(options(mfatest.EdDSA, "", "preferred", "preferred")); err != nil {
		t.Fatal(err)
	}
	evil := mfatest.NewAuthenticator("https://evilacme.example")
	for name, row := range map[string]struct {
		do      func(json.RawMessage) (json.RawMessage, error)
		options json.RawMessage
		want    error
	}{
		"excluded":              {a.Create, options(mfatest.ES256, id, "", ""), mfatest.ErrInvalidState},
		"another's RP ID":       {evil.Create, options(mfatest.ES256, "", "", ""), mfatest.ErrSecurity},
		"no algorithm":          {bare.Create, options(mfatest.ES256, "", "", ""), mfatest.ErrNotSupported},
		"an unknown algorithm":  {a.Create, options(-35, "", "", ""), mfatest.ErrNotSupported},
		"no PIN":                {bare.Create, options(mfatest.EdDSA, "", "", "required"), mfatest.ErrNotAllowed},
		"no passkeys":           {bare.Create, options(mfatest.EdDSA, "", "required", ""), mfatest.ErrNotAllowed},
		"a request of another":  {evil.Get, request("acme.example", id, ""), mfatest.ErrSecurity},
		"a credential it lacks": {a.Get, request("acme.example", "AAAA", ""), mfatest.ErrNotAllowed},
		"another RP's":          {a.Get, request("login.acme.example", id, ""), mfatest.ErrNotAllowed},
		"nothing to discover":   {bare.Get, json.RawMessage(`{"rpId":"acme.example","challenge":"AAAA"}`), mfatest.ErrNotAllowed},
		"no PIN to sign in":     {bare.Get, request("acme.example", base64.RawURLEncoding.EncodeToString(bare.IDs()[0]), "required"), mfatest.ErrNotAllowed},
	} {
		if _, err := row.do(row.options); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	for _, text := range []string{"", "[]", "{}", `{"challenge":"AAAA"}`, `{"rpId":"acme.example"}`, `{"user":{"id":"!"}}`} {
		_, create := a.Create(json.RawMessage(text))
		_, get := a.Get(json.RawMessage(text))
		if create == nil || get == nil {
			t.Errorf("%q: %v, %v", text, create, get)
		}
	}
}

// What it signs is right by the standard library, under the key that it gives as
// getPublicKey does.
func TestAuthenticatorSigns(t *testing.T) {
	t.Parallel()
	for _, alg := range []int{mfatest.ES256, mfatest.EdDSA, mfatest.RS256} {
		a := mfatest.NewAuthenticator(mfatest.Origin)
		created, err := a.Create(options(alg, "", "preferred", ""))
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.ParsePKIXPublicKey(member(t, created, "publicKey"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Get(json.RawMessage(`{"rpId":"acme.example","challenge":"AAAA"}`))
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(member(t, got, "clientDataJSON"))
		message := slices.Concat(member(t, got, "authenticatorData"), hash[:])
		digest, sig := sha256.Sum256(message), member(t, got, "signature")
		ok := false
		switch key := key.(type) {
		case *ecdsa.PublicKey:
			ok = ecdsa.VerifyASN1(key, digest[:], sig)
		case ed25519.PublicKey:
			ok = ed25519.Verify(key, message, sig)
		case *rsa.PublicKey:
			ok = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
		}
		if !ok || string(member(t, got, "userHandle")) != "ada" {
			t.Errorf("%d: the signature or the user handle is wrong", alg)
		}
	}
}

func member(t *testing.T, reply json.RawMessage, name string) []byte {
	t.Helper()
	var r struct {
		Response map[string]any `json:"response"`
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		t.Fatal(err)
	}
	text, _ := r.Response[name].(string)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		t.Fatalf("%s: %q", name, text)
	}
	return b
}

// Many goroutines may use one, and its counter never stands still.
func TestAuthenticatorConcurrently(t *testing.T) {
	t.Parallel()
	a := mfatest.NewAuthenticator(mfatest.Origin)
	a.Step = 1
	if _, err := a.Create(options(mfatest.EdDSA, "", "preferred", "")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	counters := map[string]bool{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got, err := a.Get(json.RawMessage(`{"rpId":"acme.example","challenge":"AAAA"}`))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			counters[string(member(t, got, "authenticatorData")[33:37])] = true
		})
	}
	all.Wait()
	if len(counters) != 20 {
		t.Errorf("%d counters of 20", len(counters))
	}
}
