package main

import (
	"encoding/json"
	"html"
	"regexp"
	"testing"

	"github.com/seed-f4994bf1/mfa/mfatest"
)

func want(t *testing.T, r *mfatest.Response, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !r.Contains(text) {
			t.Fatalf("%s (%d) does not say %q:\n%s", r.Path, r.Status, text, r.Body)
		}
	}
}

// options are what the page has for the browser.
func options(t *testing.T, page *mfatest.Response) json.RawMessage {
	t.Helper()
	m := regexp.MustCompile(`data-options="([^"]*)"`).FindStringSubmatch(page.Body)
	if m == nil {
		t.Fatal(page.Body)
	}
	return json.RawMessage(html.UnescapeString(m[1]))
}

// makes goes as far as the browser's prompt.
func makes(b *mfatest.Browser, name string) *mfatest.Response {
	b.Post("/signup", "name", name)
	return b.Post("/mfa/sign-in/enroll", "kind", "webauthn", "name", "laptop")
}

func create(t *testing.T, a *mfatest.Authenticator, options json.RawMessage) string {
	t.Helper()
	credential, err := a.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	return string(credential)
}

// What the browser is given; the answers are its own, and in integration/browser.
func TestWebauthn(t *testing.T) {
	t.Parallel()
	h, err := handler("http://localhost:8080")
	if err != nil {
		t.Fatal(err)
	}
	k := mfatest.New(t)
	b := k.Browser(h)
	want(t, b.Get("/"), `lang="en"`, "Sign in with a passkey", "data-mfa-passkey", `autocomplete="username webauthn"`, "/mfa/assets/mfa.js?v=")
	want(t, b.Post("/signup", "name", ""), "This is no name", "Sign in with a passkey")
	want(t, k.Browser(h).Post("/signup", "name", "ada"), "Your account has to be protected by a passkey") // and gives up
	want(t, b.Post("/signup", "name", "ada"), "Your account has to be protected", "Name for this device")
	page := b.Post("/mfa/sign-in/enroll", "kind", "webauthn", "name", "laptop")
	want(t, page, "Now your device", `data-credential="create"`)
	var o struct {
		RP        struct{ ID, Name string }
		User      struct{ ID, Name string }
		Challenge string
		Selection struct{ ResidentKey string } `json:"authenticatorSelection"`
	}
	if err := json.Unmarshal(options(t, page), &o); err != nil {
		t.Fatal(err)
	}
	if o.RP.ID != "localhost" || o.RP.Name != "Acme" || o.User.Name != "ada" || o.User.ID == "" || o.Challenge == "" ||
		o.Selection.ResidentKey != "preferred" {
		t.Errorf("%+v", o)
	}
	want(t, b.Post("/mfa/sign-in/confirm", "credential", "{}"), "Please begin again")
	want(t, b.Get("/"), "Sign in with a passkey") // a name alone is no sign-in

	late := k.Browser(h)
	lost := options(t, makes(late, "ada"))
	laptop := mfatest.NewAuthenticator("http://localhost:8080")
	tried := b.Post("/mfa/sign-in/confirm", "credential", create(t, laptop, options(t, makes(b, "ada"))))
	want(t, tried, "Try it once")
	if tried.Contains("codes") {
		t.Errorf("there is no page to enter them:\n%s", tried.Body)
	}
	want(t, b.Get("/"), "Hello, ada")
	want(t, b.Get("/mfa/"), "laptop", "<h1>Passkeys", "without a password")
	want(t, late.Post("/mfa/sign-in/confirm", "credential", create(t, mfatest.NewAuthenticator("http://localhost:8080"), lost)), "This sign-in has ended")
	want(t, late.Get("/"), "Sign in with a passkey") // who was later has nothing
	want(t, late.Post("/signup", "name", "ada"), "This name is taken", "Sign in with a passkey")
	if _, err := handler("http://127.0.0.1:8080"); err == nil {
		t.Error("an IP address is taken for a domain")
	}
}
