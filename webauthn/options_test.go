package webauthn_test

// What browsers are given, and what others may see of it.

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares JSON, its members in their order, with a file.
func golden(t *testing.T, name string, got []byte, drawn ...string) {
	t.Helper()
	for i := 0; i < len(drawn); i += 2 {
		got = bytes.ReplaceAll(got, []byte(drawn[i]), []byte(drawn[i+1]))
	}
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(got), "", "  "); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	b.WriteByte('\n')
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s: %v\n%s\nwant\n%s", name, err, b.Bytes(), want)
	}
}

// What every browser is given, member by member.
func TestOptionsGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.setPolicy(mfa.Policy{})
	a := mfatest.NewAuthenticator(origin)
	e := w.enrol(t, "ada")
	var creation struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := json.Unmarshal(e.Challenge.Options, &creation); err != nil {
		t.Fatal(err)
	}
	handle := creation.User.ID
	golden(t, "create-first", e.Challenge.Options, challengeOf(t, e.Challenge.Options), "CHALLENGE", handle, "HANDLE")
	if _, err := e.confirm(t, create(t, a, e)); err != nil {
		t.Fatal(err)
	}
	id := b64(a.IDs()[0])

	p, c := w.second(t, "ada")
	golden(t, "get-second", c.Options, challengeOf(t, c.Options), "CHALLENGE", id, "ID")
	s := signsIn(t, p, get(t, a, c))
	w.setPolicy(mfa.Policy{PasskeyAlone: true})
	e = w.enrolIn(t, s)
	golden(t, "create-passkey", e.Challenge.Options, challengeOf(t, e.Challenge.Options), "CHALLENGE", handle, "HANDLE", id, "ID")

	_, c = w.alone(t)
	golden(t, "get-alone", c.Options, challengeOf(t, c.Options), "CHALLENGE")

	all, err := w.guard.Settings(s).Signals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "signals", all[webauthn.Kind], handle, "HANDLE", id, "ID")
	unknown, err := w.method.UnknownJSON(answer(get(t, a, &mfa.Challenge{Options: challengeFor(t, w)})))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "unknown", unknown, id, "ID")
	if _, err := w.method.UnknownJSON(mfa.Answer{}); !errors.Is(err, webauthn.ErrMalformed) {
		t.Errorf("UnknownJSON of nothing: %v", err)
	}
	golden(t, "related-origins", webauthn.New(origin, &webauthn.Options{
		Origins: []string{"https://acme.other", "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck"},
	}).RelatedOriginsJSON())
}

// challengeFor is the options of ada's second factor.
func challengeFor(t *testing.T, w *world) json.RawMessage {
	_, c := w.second(t, "ada")
	return c.Options
}

// Attestation is asked for where it is demanded, and nowhere else.
func TestAttestationIsAskedFor(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string]*webauthn.Options{
		`"attestation":"none"`:   nil,
		`"attestation":"direct"`: {Attestation: &webauthn.Attestation{Roots: noRoots}},
	} {
		w := newWorld(t, opts)
		if o := string(w.enrol(t, "ada").Challenge.Options); !strings.Contains(o, want) {
			t.Errorf("%s lacks %s", o, want)
		}
	}
}

// A session that proves nothing, or nothing any more, is told of no credentials.
func TestSignalsNeedASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	p, c := w.second(t, userID)
	s := signsIn(t, p, get(t, a, c))
	if err := w.guard.SignOutEverywhere(t.Context(), userID); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*mfa.Session{"none": w.guard.Session(userID, ""), "revoked": s} {
		if all, err := w.guard.Settings(s).Signals(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// a user handle is 64 bytes that stay the user's own and say nothing.
func TestUserHandles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	seen := map[string]bool{}
	for range 5 {
		userID, a := w.holder(t, nil)
		p, c := w.second(t, userID)
		s := signsIn(t, p, get(t, a, c))
		h := handleOf(t, w, s)
		if len(h) != 64 || seen[string(h)] || bytes.Contains(h, []byte(userID)) || bytes.Equal(h[:32], h[32:]) {
			t.Fatalf("%x: not 64 bytes of this user alone", h)
		}
		seen[string(h)] = true
		var got []byte
		p, c = w.alone(t)
		signsIn(t, p, change{forge: func(f *mfatest.Forgery) { got = f.UserHandle }}.by(t, a, a.Get, c.Options))
		if !bytes.Equal(got, h) {
			t.Errorf("the authenticator has another handle than the signals")
		}
		if err := w.guard.SignOutEverywhere(t.Context(), userID); err != nil {
			t.Fatal(err)
		}
		p, c = w.alone(t)
		if again := handleOf(t, w, signsIn(t, p, get(t, a, c))); !bytes.Equal(again, h) {
			t.Error("it changed")
		}
	}
}

// The model is named where somebody knows it.
func TestHint(t *testing.T) {
	t.Parallel()
	model := [16]byte{1, 2, 3}
	w := newWorld(t, &webauthn.Options{NameOf: func(aaguid [16]byte) string {
		if aaguid == model {
			return "Acme Key"
		}
		return ""
	}})
	for want, aaguid := range map[string][16]byte{"Acme Key": model, "": {9}} {
		a := mfatest.NewAuthenticator(origin)
		a.AAGUID = aaguid
		userID, _ := w.holder(t, a)
		offers, err := w.pending(t, userID).Offers(t.Context())
		if err != nil || len(offers) != 1 || offers[0].Hint != want || !offers[0].Challenge {
			t.Errorf("%+v, %v; want the hint %q", offers, err, want)
		}
	}
}

// nothing that is handed out prints a challenge, an ID or a handle.
func TestRedacted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	e := w.enrol(t, "ada")
	a := mfatest.NewAuthenticator(origin)
	credential := create(t, a, e)
	secrets := []string{challengeOf(t, e.Challenge.Options), b64(a.IDs()[0])}
	values := []any{e.Enrollment, *e.Enrollment, e.Challenge, *e.Challenge, answer(credential)}
	if _, err := e.confirm(t, credential); err != nil {
		t.Fatal(err)
	}
	p, c := w.alone(t)
	secrets = append(secrets, challengeOf(t, c.Options), p.Token())
	values = append(values, p, *p, c, *c)
	_, err := p.Verify(t.Context(), answer(change{forge: func(f *mfatest.Forgery) { f.Origin = "https://evil.example" }}.by(t, a, a.Get, c.Options)))
	_, unknown := w.method.Identify(answer(credential))
	values = append(values, err, unknown)
	for _, event := range w.events {
		values = append(values, event)
	}
	for i, v := range values {
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x", v, v, v, v, v, b)
		out.Write(b)
		for _, s := range secrets {
			if strings.Contains(out.String(), s) {
				t.Errorf("%T, the %dth: shows %q", v, i, s)
			}
		}
	}
}

// What New is given is checked, and an invalid Method refuses everything.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, ok := range []struct {
		origin string
		opts   *webauthn.Options
	}{
		{origin, nil}, {"https://acme.example:8443", nil}, {"http://localhost:8080", nil}, {"http://app.localhost", nil},
		{"https://login.acme.example", &webauthn.Options{RPID: "acme.example"}},
		{origin, &webauthn.Options{Origins: []string{"https://acme.other"}, TopOrigins: []string{"https://shop.example"}}},
	} {
		if err := webauthn.New(ok.origin, ok.opts).Check(); err != nil {
			t.Errorf("%s, %+v: %v", ok.origin, ok.opts, err)
		}
	}
	for _, bad := range []struct {
		origin string
		opts   *webauthn.Options
	}{
		{"", nil}, {"acme.example", nil}, {"http://acme.example", nil}, {"https://acme.example/", nil}, {"https://ACME.example", nil},
		{"https://acme.example:443", nil}, {"https://127.0.0.1", nil}, {"https://[::1]", nil}, {"https://intranet", nil},
		{origin, &webauthn.Options{RPID: "example"}}, {origin, &webauthn.Options{RPID: "other.example"}},
		{origin, &webauthn.Options{RPID: "me.example"}}, {origin, &webauthn.Options{RPID: "www.acme.example"}},
		{"https://evilacme.example", &webauthn.Options{RPID: "acme.example"}},
		{origin, &webauthn.Options{Origins: []string{"*"}}}, {origin, &webauthn.Options{TopOrigins: []string{"https://*"}}},
		{origin, &webauthn.Options{Attestation: &webauthn.Attestation{}}},
	} {
		if err := webauthn.New(bad.origin, bad.opts).Check(); !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s, %+v: %v, want ErrArgument", bad.origin, bad.opts, err)
		}
	}
	for name, m := range map[string]*webauthn.Method{"nil": nil, "zero": {}, "invalid": webauthn.New("", nil)} {
		_, _, discover := m.Discover(mfa.Request{})
		_, identify := m.Identify(mfa.Answer{})
		_, enroll := m.Enroll(t.Context(), nil, mfa.EnrollRequest{})
		_, confirm := m.Confirm(t.Context(), nil, mfa.ConfirmRequest{})
		_, challenge := m.Challenge(t.Context(), nil, mfa.ChallengeRequest{})
		_, verify := m.Verify(t.Context(), nil, mfa.VerifyRequest{})
		_, signals := m.Signals(nil, mfa.User{})
		for _, err := range []error{m.Check(), discover, identify, enroll, confirm, challenge, verify, signals} {
			if !errors.Is(err, mfa.ErrArgument) {
				t.Errorf("%s: %v, want ErrArgument", name, err)
			}
		}
	}
}
