package main

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

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

// field returns the value of a form field on the page.
func field(t *testing.T, r *mfatest.Response, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(r.Body)
	if m == nil {
		t.Fatalf("no field %s:\n%s", name, r.Body)
	}
	return html.UnescapeString(m[1])
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	h, err := handler()
	if err != nil {
		t.Fatal(err)
	}
	k := mfatest.New(t)
	b := k.Browser(h)
	want(t, b.Get("/"), "Sign in")
	want(t, b.Post("/login", "user", "ada", "password", "wrong"), "Sign in")
	want(t, b.Post("/login", "user", "ada", "password", "demo"), "Hello, ada")
	if r := b.Get("/secret"); r.Contains("only with a fresh second factor") {
		t.Fatal("the password alone shows the secret")
	}

	b.Get("/mfa/enroll?kind=totp")
	page := b.Post("/mfa/enroll", "kind", "totp", "name", "phone")
	want(t, page, "Scan this code")
	app, err := mfatest.NewApp(field(t, page, "uri"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want(t, b.Post("/mfa/confirm", "code", app.Code(now)), "Save your backup codes")

	other := k.Browser(h)
	step := other.Post("/login", "user", "ada", "password", "demo")
	want(t, step, "One more step")
	want(t, other.Get("/"), "Sign in") // half a sign-in is none
	other.Get("/mfa/sign-in")
	r := other.Post("/mfa/sign-in/verify", "kind", "totp", "code", app.Code(now.Add(30*time.Second)))
	want(t, r, "Hello, ada")
	want(t, other.Get("/secret"), "only with a fresh second factor")
	if r.Status != http.StatusOK || strings.Contains(r.Path, "token") {
		t.Errorf("ended at %s with %d", r.Path, r.Status)
	}
}
