package mfahttp_test

// The pages and the API with a factor that signs, and devices for it that do as
// they are told.

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// key is a factor whose "signature" is the challenge and the device's name.
type key struct{}

type keyOptions struct {
	Challenge string   `json:"challenge"`
	Allow     []string `json:"allow"`
}

type keyAnswer struct {
	Device    string `json:"device"`
	Challenge string `json:"challenge"`
}

func (key) Kind() mfa.Kind     { return "webauthn" }
func (key) Traits() mfa.Traits { return mfa.Traits{PhishingResistant: true} }
func (key) Check() error       { return nil }

func (key) Hint(f vault.Factor) string { return "Model of " + f.Key }

func (key) ask(s *vault.Scope, challenge string) json.RawMessage {
	o := keyOptions{Challenge: challenge}
	for _, f := range s.Factors() {
		o.Allow = append(o.Allow, f.Key)
	}
	b, _ := json.Marshal(o)
	return b
}

func (k key) Enroll(_ context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if r.Conditional && !r.User.Policy.PasskeyAlone {
		return nil, mfa.ErrArgument
	}
	f, err := s.Draft(vault.Factor{Name: r.Name}, 5*time.Minute)
	if err != nil {
		return nil, err
	}
	c := vault.Challenge{FactorID: f.ID, Expires: s.Now().Add(5 * time.Minute), Data: []byte(rand.Text())}
	if err := s.Issue(c); err != nil {
		return nil, err
	}
	text := string(c.Data)
	if r.Conditional {
		text = "unasked " + text
	}
	return &mfa.Enrollment{ID: f.ID, Kind: "webauthn", Challenge: &mfa.Challenge{Kind: "webauthn", Options: k.ask(s, text)}}, nil
}

func (key) read(a mfa.Answer) (k keyAnswer, err error) {
	if json.Unmarshal(a.Credential, &k) != nil || k.Device == "" {
		return k, vault.Uncounted(mfa.ErrInvalid)
	}
	return k, nil
}

func (k key) Confirm(_ context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
	c, ok := s.Take(r.EnrollmentID, r.Flow, string(r.Purpose))
	f := s.Drafted(r.EnrollmentID)
	if !ok || f == nil {
		return nil, mfa.ErrExpired
	}
	a, err := k.read(r.Answer)
	if err != nil {
		return nil, err
	}
	if a.Challenge != string(c.Data) && a.Challenge != "unasked "+string(c.Data) || s.Taken(a.Device) {
		return nil, mfa.ErrInvalid
	}
	f.Key = a.Device
	return s.Activate(f.ID)
}

func (k key) Challenge(_ context.Context, s *vault.Scope, r mfa.ChallengeRequest) (*mfa.Challenge, error) {
	return &mfa.Challenge{Kind: "webauthn", Options: k.ask(s, "for "+r.Flow)}, nil
}

func (key) Discover(mfa.Request) (*mfa.Challenge, []byte, error) {
	state := rand.Text()
	b, _ := json.Marshal(keyOptions{Challenge: state})
	return &mfa.Challenge{Kind: "webauthn", Options: b}, []byte(state), nil
}

func (k key) Identify(a mfa.Answer) (string, error) {
	c, err := k.read(a)
	return c.Device, err
}

func (k key) Verify(_ context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	a, err := k.read(r.Answer)
	if err != nil {
		return nil, err
	}
	want := "for " + r.Flow
	if r.Purpose == mfa.PurposeAlone {
		want = string(r.State)
	}
	for _, f := range s.Factors() {
		switch {
		case f.Key != a.Device || a.Challenge != want:
		case a.Device == "broken":
			return nil, mfa.ErrUnavailable
		default:
			return &mfa.Verification{FactorID: f.ID, UserVerified: true}, nil
		}
	}
	return nil, mfa.ErrInvalid
}

func (k key) Signals(s *vault.Scope, u mfa.User) (json.RawMessage, error) {
	o := []string{}
	for _, f := range s.Factors() {
		o = append(o, f.Key)
	}
	return json.Marshal(map[string]any{"accepted": map[string]any{"allAcceptedCredentialIds": o}, "details": map[string]string{"name": u.Name}})
}

var optionsPattern = regexp.MustCompile(`data-options="([^"]*)"`)

// options are what the page has for the browser.
func (r *response) options() (o keyOptions) {
	r.t.Helper()
	m := optionsPattern.FindStringSubmatch(r.Body)
	if m == nil || json.Unmarshal([]byte(html.UnescapeString(m[1])), &o) != nil || o.Challenge == "" {
		r.t.Fatalf("status %d: no options in\n%s", r.Code, r.Body)
	}
	return o
}

// sign is the page's form with what a device answers.
func (r *response) sign(action, device string) url.Values {
	r.t.Helper()
	return set(r.form(action), "credential", credential(device, r.options().Challenge))
}

func credential(device, challenge string) string {
	b, _ := json.Marshal(keyAnswer{device, challenge})
	return string(b)
}

func keySite(t testing.TB, opts *mfahttp.Options) *site {
	t.Helper()
	return newSite(t, opts, key{}, pin{"totp"}, backup{})
}

// withKey signs in and enrols a device, and waits a moment.
func (s *site) withKey(user, device string) *browser {
	s.t.Helper()
	b := s.browser()
	b.login(user).wantRedirect("/")
	page := b.post("/mfa/enroll", url.Values{"kind": {"webauthn"}, "name": {device + " one"}}).want(200)
	b.post("/mfa/confirm", page.sign("/mfa/confirm", device)).want(200, "Save your backup codes")
	s.clock.Advance(time.Second)
	return b
}

// S15: a name, then the browser's prompt, then one sign-in by the new device.
func TestDeviceWizard(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	b := s.browser()
	b.login("ann")
	b.get("/mfa/").want(200, `href="/mfa/enroll?kind=webauthn"`, "Passkey or security key")
	first := b.get("/mfa/enroll?kind=webauthn&next=/orders").want(200, "<h1>Passkey or security key</h1>", `id="name"`).without("data-credential")
	b.post("/mfa/enroll", set(first.form("/mfa/enroll"), "name", "\u202e")).want(422, "This name cannot be used")
	page := b.post("/mfa/enroll", set(first.form("/mfa/enroll"), "name", "blue <key>")).
		want(200, `data-credential="create"`, "Now your device", "blue <key>", "This method needs JavaScript",
			`data-registered="This device was added before`, `data-start disabled`, `data-here="/mfa/enroll?kind=webauthn&name=blue`).
		without("<img", `id="code"`, "blue <key>")
	if csp := page.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'") ||
		strings.Contains(csp, "unsafe") || strings.Contains(csp, "connect") {
		t.Error(csp)
	}

	// What is refused begins anew, with the name.
	for _, bad := range []string{"", "{", `{"device":"blue"}`, credential("blue", "another")} {
		again := b.post("/mfa/confirm", set(page.form("/mfa/confirm"), "credential", bad)).
			want(422, "nothing was added", `value="blue <key>"`)
		page = b.post("/mfa/enroll", again.form("/mfa/enroll")).want(200)
	}
	old := page.sign("/mfa/confirm", "blue")
	s.clock.Advance(4 * time.Minute)
	page = b.post("/mfa/enroll", set(first.form("/mfa/enroll"), "name", "blue key")).want(200)
	s.clock.Advance(time.Minute)
	form := page.sign("/mfa/confirm", "blue")
	codes := b.post("/mfa/confirm", form).want(200, "SAVED-1-CODE0")
	b.post("/mfa/confirm", form).want(422, "This setup has ended") // by an earlier click
	b.post("/mfa/confirm", old).want(422, "This setup has ended")

	trialForm := codes.form("/mfa/trial")
	if trialForm.Get("next") != "/orders" || trialForm.Get("id") == "" {
		t.Fatal(trialForm)
	}
	trialAt := "/mfa/trial?" + trialForm.Encode()
	trial := b.get(trialAt).want(200, "Try it once", "blue key", `href="/orders"`, "Later", "data-new", `data-credential="get"`)
	b.post("/mfa/trial", set(trial.form("/mfa/trial"), "credential", credential("blue", "another"))).want(422, "That was not accepted").form("/mfa/trial")
	b.post("/mfa/trial", set(trial.form("/mfa/trial"), "token", "x")).wantRedirect(trialAt)
	b.post("/mfa/trial", trial.sign("/mfa/trial", "blue")).wantRedirect("/orders")

	// Another one: the session has proven a factor by now. It is tried by itself.
	s.clock.Advance(time.Second)
	page = b.post("/mfa/enroll", url.Values{"kind": {"webauthn"}, "name": {"laptop"}}).want(200)
	if o := page.options(); len(o.Allow) != 1 || o.Allow[0] != "blue" {
		t.Error(o)
	}
	to := b.post("/mfa/confirm", page.sign("/mfa/confirm", "white")).Header.Get("Location")
	if !strings.HasPrefix(to, "/mfa/trial?id=") || strings.Contains(to, "next") {
		t.Fatal(to)
	}
	trial = b.get(to).want(200, "laptop", `href="/mfa/?done=added"`)
	other := b.post("/mfa/trial", trial.sign("/mfa/trial", "blue"))
	other.wantRedirect(strings.Replace(to, "?", "?done=other&", 1))
	s.clock.Advance(time.Second)
	trial = b.get(other.Header.Get("Location")).want(200, "That was another one of your devices")
	b.post("/mfa/trial", trial.sign("/mfa/trial", "white")).wantRedirect("/mfa/?done=tried")
	b.get("/mfa/?done=tried").want(200, "it works", "Model of white", "2026-03-02")
	b.get("/mfa/trial?id=nobody").want(404)
	s.browser().get(trialAt).want(303)
	n := s.starts()
	for _, f := range b.get("/mfa/api/settings").object()["factors"].([]any) {
		if f := f.(map[string]any); f["recovery"] == true {
			b.get("/mfa/trial?id=" + f["id"].(string)).wantRedirect("/mfa/?done=added")
		}
	}
	if s.starts() != n {
		t.Error("a GET starts a session")
	}
	// A device of somebody else is refused, in the same words.
	s.browser().login("bob")
	c := s.browser()
	c.login("bob")
	page = c.post("/mfa/enroll", url.Values{"kind": {"webauthn"}}).want(200)
	c.post("/mfa/confirm", page.sign("/mfa/confirm", "blue")).want(422, "nothing was added")
	// Too late.
	page = c.post("/mfa/enroll", url.Values{"kind": {"webauthn"}}).want(200)
	s.clock.Advance(6 * time.Minute)
	c.post("/mfa/confirm", page.sign("/mfa/confirm", "red")).want(422, "This setup has ended")
	c.post("/mfa/enroll", url.Values{"kind": {"webauthn"}}).want(403, "Please sign in once more")
}

func TestNoTrial(t *testing.T) {
	t.Parallel()
	s := keySite(t, &mfahttp.Options{NoTrial: true})
	b := s.browser()
	b.login("ann")
	page := b.post("/mfa/enroll", url.Values{"kind": {"webauthn"}}).want(200)
	if to := b.post("/mfa/confirm", page.sign("/mfa/confirm", "blue")).want(200); strings.Contains(to.Body, "trial") {
		t.Error(to.Body)
	}
}

// S18: the second step by a device, and other methods on the same page.
func TestDeviceStep(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	owner := s.withKey("ann", "blue")
	trial := owner.get("/mfa/trial?id=" + s.factor(owner, "webauthn")).want(200)
	owner.post("/mfa/trial", trial.sign("/mfa/trial", "blue")).wantRedirect("/mfa/?done=tried")
	scan := owner.post("/mfa/enroll", url.Values{"kind": {"totp"}}).want(200)
	owner.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).wantRedirect("/mfa/?done=added")

	b := s.browser()
	r := b.post("/login", url.Values{"user": {"ann"}, "next": {"/orders"}})
	r.wantRedirect("/mfa/sign-in?next=%2Forders") // nothing is sent
	before, err := s.store.Load(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	step := b.follow(r).want(200, "One more step", `data-credential="get"`, "Use your device", "Another way",
		"Code from an authenticator app", "Backup code", "blue one", "This method needs JavaScript").
		without(`id="code"`, "Send a code")
	if o := step.options(); len(o.Allow) != 1 || o.Allow[0] != "blue" {
		t.Error(o)
	}
	if again := b.get("/mfa/sign-in").want(200); again.options().Challenge != step.options().Challenge {
		t.Error("loaded again it is another challenge")
	}
	if after, _ := s.store.Load(t.Context(), "ann"); after.Version != before.Version {
		t.Error("drawing the page writes")
	}
	for _, bad := range []string{"", "{", credential("red", step.options().Challenge), credential("blue", "another")} {
		b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "credential", bad)).
			want(422, "Try again, or take another way", `data-credential="get"`, "Backup code").options()
	}
	typed := b.follow(b.post("/mfa/sign-in/method", step.forms("/mfa/sign-in/method")[0])).want(200, `id="code"`).without("data-credential")
	b.follow(b.post("/mfa/sign-in/method", typed.forms("/mfa/sign-in/method")[0])).want(200, `data-credential="get"`)

	// Nothing known: the same again.
	s.store.set(true)
	failed := b.post("/mfa/sign-in/verify", step.sign("/mfa/sign-in/verify", "blue")).want(503, "Trying again is safe")
	s.store.set(false)
	b.post("/mfa/sign-in/verify", failed.form("/mfa/sign-in/verify")).wantRedirect("/orders")

	// Within the session.
	s.clock.Advance(6 * time.Minute)
	up := b.get("/mfa/step-up?next=/vault/strong&rule=0~resistant").want(200, `data-credential="get"`, "Confirm that it is you").
		without("Backup code")
	b.post("/mfa/step-up/verify", set(up.form("/mfa/step-up/verify"), "credential", "x")).want(422, `data-here="/mfa/step-up?kind=webauthn`)
	b.post("/mfa/step-up/verify", up.sign("/mfa/step-up/verify", "blue")).wantRedirect("/vault/strong")
	b.get("/vault/strong").want(200)
	s.clock.Advance(6 * time.Minute)
	up = b.get("/mfa/step-up?next=/vault").want(200, "Backup code")
	to := b.post("/mfa/step-up/method", up.forms("/mfa/step-up/method")[0])
	to = b.get(to.Header.Get("Location")).want(200, `id="code"`)
	b.post("/mfa/step-up/method", to.forms("/mfa/step-up/method")[0]).wantRedirect("/mfa/step-up?kind=webauthn&next=%2Fvault")
	for _, secret := range []string{"for ", "challenge", up.options().Challenge} {
		if strings.Contains(b.seen.String(), secret) {
			t.Errorf("%q is in an address or a header", secret)
		}
	}

	german := s.browser()
	german.header.Set("Accept-Language", "de")
	german.login("ann").want(200, "Gerät benutzen", "Noch ein Schritt", "braucht JavaScript")
}

// factor is the ID of the user's factor of that kind.
func (s *site) factor(b *browser, kind string) string {
	s.t.Helper()
	for _, f := range b.get("/mfa/api/settings").want(200).object()["factors"].([]any) {
		if f := f.(map[string]any); f["kind"] == kind {
			return f["id"].(string)
		}
	}
	s.t.Fatal("no such factor")
	return ""
}

func TestDeviceForcedEnrollment(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	b := s.browser()
	first := b.login("ann", "next", "/orders").want(200, "Passkey or security key", "Authenticator app", `name="name"`)
	form := set(first.form("/mfa/sign-in/enroll"), "name", "laptop")
	page := b.post("/mfa/sign-in/enroll", form).want(200, `data-credential="create"`, "laptop").without("/mfa/enroll")
	again := b.post("/mfa/sign-in/confirm", set(page.form("/mfa/sign-in/confirm"), "credential", "x")).want(422, "Please begin again", "laptop")
	page = b.post("/mfa/sign-in/enroll", again.form("/mfa/sign-in/enroll")).want(200)
	b.follow(b.post("/mfa/sign-in/method", page.form("/mfa/sign-in/method"))).want(200, "Your account has to be protected")
	codes := b.post("/mfa/sign-in/confirm", page.sign("/mfa/sign-in/confirm", "white")).want(200, "SAVED-1-CODE0")
	trial := b.get("/mfa/trial?"+codes.form("/mfa/trial").Encode()).want(200, "laptop", `href="/orders"`)
	b.post("/mfa/trial", trial.sign("/mfa/trial", "white")).wantRedirect("/orders")
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	s.withKey("ann", "blue")
	s.policy["ann"] = mfa.Policy{PasskeyAlone: true}
	begin := func(b *browser) url.Values {
		t.Helper()
		r, o := b.json("/mfa/api/passkey", map[string]any{})
		if r.Code != 200 || o["kind"] != "webauthn" || !strings.HasPrefix(fmt.Sprint(o["expires"]), "2026-03-02T09:") || len(o) != 4 {
			t.Fatal(r.Code, o)
		}
		return url.Values{"token": {o["token"].(string)}, "kind": {"webauthn"},
			"credential": {credential("blue", o["options"].(map[string]any)["challenge"].(string))}}
	}
	b := s.browser()
	form := begin(b)
	if b.cookies["__Host-mfa"] == "" || b.cookies["app"] != "" {
		t.Error(b.cookies)
	}
	kept := b.cookies["__Host-mfa"]
	begin(b)
	if b.cookies["__Host-mfa"] != kept {
		t.Error("a second one is another browser")
	}
	refused := b.post("/mfa/passkey", set(url.Values{"token": form["token"], "kind": {"webauthn"}, "credential": {credential("red", "x")}}, "next", "/orders")).
		want(422, "This passkey was not accepted", `href="/login?next=%2Forders"`, `data-here="/login?next=%2Forders"`)
	if strings.Contains(refused.Body, "red") || b.cookies["app"] != "" {
		t.Error(refused.Body)
	}
	other := s.browser()
	other.post("/mfa/passkey", form).want(422)
	begin(other)
	other.post("/mfa/passkey", form).want(422) // tied to the browser that began it
	cross := s.browser()
	cross.cookies["__Host-mfa"] = kept
	cross.header.Set("Sec-Fetch-Site", "cross-site")
	cross.post("/mfa/passkey", form).want(403, "another site")
	if r, _ := cross.json("/mfa/api/passkey", map[string]any{}); r.Code != 403 {
		t.Error(r.Code)
	}
	b.post("/mfa/passkey", set(form, "next", "/orders?id=1")).wantRedirect("/orders?id=1")
	if got := s.sessions[b.cookies["app"]][0]; got != "ann" {
		t.Error(got)
	}
	b.post("/mfa/passkey", form).want(422) // once
	b.get("/mfa/passkey?next=/orders").wantRedirect("/orders")
	s.browser().get("/mfa/passkey?next=/orders").wantRedirect("/login?next=%2Forders")
	b.get("/vault").want(200, "for ann alone")

	form = begin(b)
	b.post("/mfa/passkey", set(form, "next", "//evil.test")).wantRedirect("/")

	c := s.browser()
	r, o := c.json("/mfa/api/passkey", map[string]any{})
	r.want(200)
	answer := map[string]any{"token": o["token"], "kind": "webauthn", "credential": map[string]any{
		"device": "blue", "challenge": o["options"].(map[string]any)["challenge"]}}
	if r, o := c.json("/mfa/api/sign-in/verify", answer); r.Code != 422 {
		t.Error("answered where a second step is", o)
	}
	if r, o := c.json("/mfa/api/passkey/verify", answer); r.Code != 200 || o["status"] != mfahttp.StatusComplete || c.cookies["app"] == "" {
		t.Error(o)
	}
	if r, o := c.json("/mfa/api/passkey/verify", answer); r.Code != 422 || o["type"] != mfahttp.ProblemRejected {
		t.Error(o)
	}
	s.clock.Advance(11 * time.Minute)
	b.post("/mfa/passkey", form).want(422)
}

// Where a passkey is the first factor alone, a second one of another kind follows.
func TestPasskeyAsFirstFactor(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	s.withKey("ann", "blue")
	b := s.browser()
	sign := func() url.Values {
		_, o := b.json("/mfa/api/passkey", map[string]any{})
		return url.Values{"token": {o["token"].(string)}, "kind": {"webauthn"}, "next": {"/orders"},
			"credential": {credential("blue", o["options"].(map[string]any)["challenge"].(string))}}
	}
	step := b.follow(b.post("/mfa/passkey", sign())).want(200, "Backup code").without("data-credential")
	if b.cookies["app"] != "" {
		t.Error("a session after one factor")
	}
	form := sign()
	r, o := b.json("/mfa/api/passkey/verify", map[string]any{"token": form.Get("token"), "kind": "webauthn", "credential": json.RawMessage(form.Get("credential"))})
	if r.Code != 200 || o["status"] != mfahttp.StatusSecondFactor || len(o["offers"].([]any)) != 1 {
		t.Error(o)
	}
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", backupCode(1, 0))).wantRedirect("/orders")
}

// passkey begins a sign-in by one and returns the form with what device answers.
func (b *browser) passkey(device string) url.Values {
	b.t.Helper()
	r, o := b.json("/mfa/api/passkey", map[string]any{})
	r.want(200)
	return url.Values{"token": {o["token"].(string)}, "kind": {"webauthn"},
		"credential": {credential(device, o["options"].(map[string]any)["challenge"].(string))}}
}

// Who signs in by a passkey leaves nobody else's sign-in behind in this browser.
func TestPasskeyForgetsAnothersStep(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	s.withKey("ann", "blue")
	s.withKey("bob", "red")
	s.policy["bob"] = mfa.Policy{PasskeyAlone: true}
	asJSON := func(b *browser, form url.Values) {
		r, o := b.json("/mfa/api/passkey/verify", map[string]any{"token": form.Get("token"), "kind": "webauthn", "credential": json.RawMessage(form.Get("credential"))})
		if r.want(200); o["status"] != mfahttp.StatusComplete {
			t.Error(o)
		}
	}
	asForm := func(b *browser, form url.Values) { b.post("/mfa/passkey", form).wantRedirect("/") }
	for name, verify := range map[string]func(*browser, url.Values){"a page": asForm, "JSON": asJSON} {
		b := s.browser()
		b.login("ann").want(200, "One more step")
		refused := b.passkey("red")
		b.post("/mfa/passkey", set(refused, "credential", credential("red", "another"))).want(422)
		b.get("/mfa/sign-in").want(200, "One more step") // nothing has happened
		verify(b, b.passkey("red"))
		if b.cookies["__Host-mfa-step"] != "" {
			t.Errorf("%s: the cookie is still there", name)
		}
		if r := b.get("/mfa/sign-in"); strings.Contains(r.Body, "One more step") || strings.Contains(r.Body, "blue") {
			t.Errorf("%s: %d, another's step", name, r.Code)
		}
		c := s.browser()
		verify(c, c.passkey("red"))
		if strings.Contains(c.set.String(), "__Host-mfa-step") {
			t.Errorf("%s: a cookie that is not there is taken away", name)
		}
	}
}

// whatever is answered, a password that was changed meanwhile ends it.
func TestPasskeyAfterAChange(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	s.withKey("ann", "blue")
	s.policy["ann"] = mfa.Policy{PasskeyAlone: true}
	b := s.browser()
	form := b.passkey("blue")
	s.clock.Advance(time.Second)
	if err := s.guard.PasswordChanged(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	b.post("/mfa/passkey", form).want(422, "This passkey was not accepted")
	if b.cookies["app"] != "" {
		t.Error("a session")
	}
	b.post("/mfa/passkey", b.passkey("blue")).wantRedirect("/")
}

// a user whom the directory refuses, and says so, is answered like nobody, and
// nobody's failure; where it fails, it is one.
func TestPasskeyOfARefusedUser(t *testing.T) {
	t.Parallel()
	var reported []error
	s := keySite(t, nil)
	s.withKey("ann", "blue")
	var directory error
	guard, err := mfa.New(s.vault, mfa.Config{
		Service: "Acme", Methods: []mfa.Method{key{}, pin{"totp"}, backup{}},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Policy: mfa.Policy{PasskeyAlone: true}}, directory
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := mfahttp.New(guard, s, &mfahttp.Options{OnError: func(_ *http.Request, err error) { reported = append(reported, err) }})
	if err != nil {
		t.Fatal(err)
	}
	s.mux = http.NewServeMux()
	s.mux.Handle("/mfa/", pages)
	b := s.browser()
	try := func(device string) (page, api string) {
		t.Helper()
		r := b.post("/mfa/passkey", b.passkey(device))
		form := b.passkey(device)
		o, _ := b.json("/mfa/api/passkey/verify", map[string]any{"token": form.Get("token"), "kind": "webauthn", "credential": json.RawMessage(form.Get("credential"))})
		return fmt.Sprint(r.Code, r.Header, r.Body), fmt.Sprint(o.Code, o.Header, o.Body)
	}
	directory = fmt.Errorf("%w: ann may not sign in", mfa.ErrRejected)
	nobodys, nobodysAPI := try("of nobody")
	if page, api := try("blue"); page != nobodys || api != nobodysAPI || !strings.HasPrefix(page, "422") || !strings.HasPrefix(api, "422") {
		t.Errorf("a refused user's is answered\n%s\n%s\nand nobody's\n%s\n%s", page, api, nobodys, nobodysAPI)
	}
	if len(reported) > 0 {
		t.Errorf("it is a failure: %v", reported)
	}
	directory = errors.New("the directory is down")
	if page, api := try("blue"); !strings.HasPrefix(page, "500") || !strings.HasPrefix(api, "500") || len(reported) != 2 {
		t.Errorf("a directory that fails: %s\n%s\nreported %v", page, api, reported)
	}
	directory = nil
	b.post("/mfa/passkey", b.passkey("blue")).wantRedirect("/")
}

func TestPasskeyWithoutMethod(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r, o := s.browser().json("/mfa/api/passkey", map[string]any{})
	if r.Code != 403 || o["type"] != mfahttp.ProblemNoMethod || r.Header.Get("Set-Cookie") != "" {
		t.Error(r.Code, o)
	}
	if b := s.pages.PasskeyButton(httptest.NewRequest("GET", "/login", nil)); b != "" {
		t.Error(b)
	}
}

func TestPasskeyButton(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	r := httptest.NewRequest("GET", "/login?next=/orders%3Fa=1%26b=2", nil)
	r.Header.Set("Accept-Language", "de")
	b := string(s.pages.PasskeyButton(r))
	for _, want := range []string{`<button type="button"`, "data-mfa-passkey", `data-next="/orders?a=1&amp;b=2"`, "hidden>Mit Passkey anmelden</button>", "data-mfa-said", `lang="de"`} {
		if !strings.Contains(b, want) {
			t.Errorf("%q is not in %s", want, b)
		}
	}
	evil := string(s.pages.PasskeyButton(httptest.NewRequest("GET", "/login?next=//evil.test", nil)))
	if strings.Contains(evil, "evil") {
		t.Error(evil)
	}
	if at := s.pages.Script(); !strings.HasPrefix(at, "/mfa/assets/mfa.js?v=") {
		t.Error(at)
	}
	s.browser().get(s.pages.Script()).want(200, "import.meta.url", "mediation")
}

func TestSignals(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	b := s.withKey("ann", "blue")
	b.get("/mfa/").want(200, `data-signals="{"webauthn":{"accepted":{"allAcceptedCredentialIds":["blue"]},"details":{"name":"ann"}}}"`)
	s.clock.Advance(time.Second)
	trial := b.get("/mfa/trial?id=" + s.factor(b, "webauthn")).want(200)
	b.post("/mfa/trial", trial.sign("/mfa/trial", "blue")).wantRedirect("/mfa/?done=tried")
	b.post("/mfa/off", url.Values{}).wantRedirect("/mfa/off/done")
	b.get("/mfa/off/done").want(200, `"allAcceptedCredentialIds":[]`)
	s.mu.Lock()
	for c, who := range s.sessions {
		s.sessions[c] = [2]string{who[0], "not a token"}
	}
	s.mu.Unlock()
	b.get("/mfa/").want(200).without("data-signals")
	plain := newSite(t, nil).browser()
	plain.login("ann")
	plain.get("/mfa/").want(200).without("data-signals")
}

func TestDeviceAPI(t *testing.T) {
	t.Parallel()
	s := keySite(t, nil)
	b := s.browser()
	b.login("ann")
	if r, p := b.json("/mfa/api/settings/enroll", map[string]any{"kind": "webauthn", "conditional": true}); r.Code != 422 {
		t.Errorf("turned on unasked: %d %v", r.Code, p)
	}
	_, e := b.json("/mfa/api/settings/enroll", map[string]any{"kind": "webauthn", "name": "laptop"})
	challenge, _ := e["challenge"].(map[string]any)["options"].(map[string]any)["challenge"].(string)
	answer := map[string]any{"device": "white", "challenge": challenge}
	_, c := b.json("/mfa/api/settings/confirm", map[string]any{"kind": "webauthn", "enrollment_id": e["id"], "credential": answer})
	if c["factor"].(map[string]any)["name"] != "laptop" || len(c["backup_codes"].([]any)) != 10 {
		t.Fatal(c)
	}
	s.policy["ann"] = mfa.Policy{PasskeyAlone: true}
	_, up := b.json("/mfa/api/settings/enroll", map[string]any{"kind": "webauthn", "conditional": true})
	if up["status"] == 403.0 { // the proof has to be a second factor's from now on
		_, su := b.json("/mfa/api/step-up", map[string]any{})
		_, ch := b.json("/mfa/api/step-up/challenge", map[string]any{"token": su["token"], "kind": "webauthn"})
		proof := map[string]any{"device": "white", "challenge": ch["options"].(map[string]any)["challenge"]}
		b.json("/mfa/api/step-up/verify", map[string]any{"token": su["token"], "kind": "webauthn", "credential": proof})
		_, up = b.json("/mfa/api/settings/enroll", map[string]any{"kind": "webauthn", "conditional": true})
	}
	if c, ok := up["challenge"].(map[string]any); !ok || !strings.HasPrefix(c["options"].(map[string]any)["challenge"].(string), "unasked ") {
		t.Errorf("conditional is lost: %v", up)
	}
	s.policy["ann"] = mfa.Policy{}
	if r, p := b.json("/mfa/api/settings/enroll", map[string]any{"kind": "webauthn", "conditional": true}); r.Code != 400 || p["type"] != mfahttp.ProblemInvalid || p["id"] != nil {
		t.Errorf("one that could not sign in: %d %v", r.Code, p)
	}
	_, o := b.json("/login?user=ann", nil)
	if first := o["offers"].([]any)[0].(map[string]any); first["challenge"] != true || first["typed"] != false || first["phishing_resistant"] != true {
		t.Error(first)
	}
	_, ch := b.json("/mfa/api/sign-in/challenge", map[string]any{"token": o["token"], "kind": "webauthn"})
	answer["challenge"] = ch["options"].(map[string]any)["challenge"]
	if _, o := b.json("/mfa/api/sign-in/verify", map[string]any{"token": o["token"], "kind": "webauthn", "credential": answer}); o["status"] != mfahttp.StatusComplete {
		t.Error(o)
	}
	if r := b.do("POST", "/mfa/passkey", "application/x-www-form-urlencoded", "credential="+strings.Repeat("a", 65<<10)); r.Code != http.StatusRequestEntityTooLarge {
		t.Error(r.Code)
	}
}

func TestRelatedOrigins(t *testing.T) {
	t.Parallel()
	h := mfahttp.RelatedOrigins([]byte(`{"origins":["https://acme.example"]}`))
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/.well-known/webauthn", nil))
		if w.Code != status || status == 200 && (w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}
