package mfahttp_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfahttp"
)

func TestSecurityPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.get("/mfa/").wantRedirect("/login?next=%2Fmfa%2F")
	b.login("ann")
	off := b.get("/mfa/").want(200, "Two-step sign-in", ">Off<", "Turn it on with", "Authenticator app")
	if strings.Contains(off.Body, "Turn off") || strings.Contains(off.Body, "Make new codes") {
		t.Error("there is nothing to turn off")
	}
	b.enroll("ann")
	on := b.get("/mfa/").want(200, ">On<", "my phone", "2026-03-02", "never", "10 left", "Turn off two-step sign-in",
		"Set up a second method") // S12, S16
	if strings.Contains(on.Body, secretText) {
		t.Error("the secret is shown again")
	}
	s.browser().signIn("ann", code(1))
	s.mu.Lock()
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	s.mu.Unlock()
	if r := b.signIn("ann", code(2)).get("/mfa/").want(200, "has to keep it on"); strings.Contains(r.Body, "/mfa/off") {
		t.Error("offers to turn off what is required")
	}
	s.mu.Lock()
	s.policy["robot"] = mfa.Policy{Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByAPIKey}}
	s.mu.Unlock()
	r := s.browser()
	r.login("robot").wantRedirect("/")
	r.get("/mfa/").want(200, "exempt", "api-key")
}

// S3, S4, S5, R-030: the wizard.
func TestWizard(t *testing.T) {
	t.Parallel()
	s := newSite(t, &mfahttp.Options{Apps: []mfahttp.AppLink{{Name: "Our App", URL: "https://apps.example/ours"}}})
	b := s.browser()
	b.login("ann")
	first := b.get("/mfa/enroll?kind=totp&next=/orders").want(200, "Get an authenticator app", `href="https://apps.example/ours"`)
	form := first.form("/mfa/enroll")
	b.post("/mfa/enroll", set(form, "name", "\u202e")).want(422, "This name cannot be used")
	scan := b.post("/mfa/enroll", set(form, "name", "my phone")).want(200, "Scan this code", secretText,
		"data:image/svg+xml;base64,"+base64.StdEncoding.EncodeToString([]byte(secretQR)), `href="otpauth://totp/`)
	if csp := scan.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "; img-src data:") {
		t.Error(csp)
	}
	// A code that is wrong or came too late: the same page, and the next one.
	for range 2 {
		scan = b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinWrong)).
			want(422, "That was not accepted", secretText, "data:image/svg+xml;base64,", `href="otpauth://totp/`)
	}
	b.get("/mfa/").want(200, ">Off<") // not on before a right code
	codes := b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).
		want(200, "SAVED-1-CODE0", "SAVED-1-CODE9", "I saved these codes", "Download", `type="checkbox" required`)
	codes.form("/orders")
	file := b.post("/mfa/codes/download", codes.form("/mfa/codes/download")).want(200, "SAVED-1-CODE9", "Acme")
	if d := file.Header.Get("Content-Disposition"); d != `attachment; filename="backup-codes.txt"` ||
		file.Header.Get("Content-Type") != "text/plain; charset=utf-8" || file.Header.Get("Cache-Control") != "no-store" {
		t.Error(file.Header)
	}
	b.get("/mfa/").want(200, ">On<", "my phone")
}

// S4: within a limit.
func TestWizardLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.login("ann")
	scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}})
	form := scan.form("/mfa/confirm")
	for range 5 {
		b.post("/mfa/confirm", set(form, "code", pinWrong)).want(422)
	}
	r := b.post("/mfa/confirm", set(form, "code", pinRight)).want(429, "Too many attempts", secretText)
	if r.Header.Get("Retry-After") != "30" {
		t.Error(r.Header)
	}
	s.clock.Advance(31 * time.Second)
	b.post("/mfa/confirm", set(form, "code", pinRight)).want(200, "SAVED-1-CODE0")
}

// What a browser sends to be shown again is shown as an image and as text, or
// not at all.
func TestScanShowsNothingForeign(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.login("ann")
	form := b.post("/mfa/enroll", url.Values{"kind": {"totp"}}).form("/mfa/confirm")
	for name, bad := range map[string][]string{
		"script":      {"qr", base64.StdEncoding.EncodeToString([]byte(`<svg onload="alert(1)">`))},
		"quote":       {"qr", `"><script>alert(1)</script>`},
		"scheme":      {"uri", "javascript:alert(1)"},
		"otpauth-ish": {"uri", "otpauth:javascript:alert(1)"},
		"secret":      {"secret", "<script>alert(1)</script>"},
		"long":        {"secret", strings.Repeat("A", 300)},
		"huge image":  {"qr", base64.StdEncoding.EncodeToString([]byte("<" + strings.Repeat("a", 33<<10)))},
	} {
		t.Run(name, func(t *testing.T) {
			f := url.Values{}
			for k, v := range form {
				f[k] = v
			}
			r := b.post("/mfa/confirm", set(set(f, bad...), "code", "1")).want(422)
			if strings.Contains(r.Body, "<script>alert") || strings.Contains(r.Body, `href="javascript`) ||
				strings.Contains(r.Body, "<svg onload") || strings.Contains(r.Body, "otpauth:javascript") {
				t.Error(r.Body)
			}
		})
	}
	b.post("/mfa/codes/download", url.Values{"codes": {"<script>"}}).want(400)
	b.post("/mfa/codes/download", url.Values{}).want(400)
	s.browser().post("/mfa/codes/download", url.Values{"codes": {"A"}}).wantRedirect("/login?next=%2Fmfa%2F")
}

// each change wants a second factor within five minutes, and the user
// comes back to where it is one click away.
func TestChangesBehindStepUp(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"enroll?kind=totp", "codes", "rename", "remove", "off"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			b := s.browser().enroll("ann").signIn("ann", code(1))
			page := "/mfa/" + at
			if at == "rename" || at == "remove" {
				page += "?id=" + idOf(b.get("/mfa/").Body)
			}
			b.get(page).want(200) // just signed in
			s.clock.Advance(6 * time.Minute)
			action, _, _ := strings.Cut(page, "?")
			q, _ := url.Parse(page)
			form := q.Query()
			if at == "rename" {
				form.Set("name", "old phone")
			}
			// The page asks first; a form that came too late is not carried out.
			to := b.get(page).want(303).Header.Get("Location")
			late := b.post(action, form).want(303).Header.Get("Location")
			if !strings.HasPrefix(to, "/mfa/step-up?") || late != to && at != "rename" {
				t.Fatalf("%q, late %q", to, late)
			}
			step := b.get(to).want(200, "Confirm that it is you")
			b.post("/mfa/step-up/verify", set(step.form("/mfa/step-up/verify"), "code", pinWrong)).want(422, "Confirm that it is you")
			before := b.cookies["app"]
			done := b.post("/mfa/step-up/verify", set(step.form("/mfa/step-up/verify"), "code", code(2)))
			done.wantRedirect(page)
			if b.cookies["app"] == before {
				t.Error("the session identifier was kept (R-104)")
			}
			b.get(page).want(200)
			b.get(to).wantRedirect(page) // Back and again
			b.post("/mfa/step-up/verify", set(step.form("/mfa/step-up/verify"), "code", code(2))).wantRedirect(to)
			r := b.post(action, form)
			switch at {
			case "enroll?kind=totp":
				r.want(200, "Scan this code")
			case "codes":
				r.want(200, "SAVED-2-CODE0")
			case "rename":
				r.wantRedirect("/mfa/?done=renamed")
				b.get("/mfa/?done=renamed").want(200, "The name was changed", "old phone")
			case "remove":
				r.want(409, "This is your only method")
			case "off":
				r.wantRedirect("/mfa/off/done")
				b.get("/mfa/off/done").want(200, "delete the entry") // S9
				b.get("/mfa/").want(200, ">Off<")
			}
		})
	}
}

func idOf(body string) string {
	_, rest, _ := strings.Cut(body, "/mfa/remove?id=")
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// with nothing set up, the first factor has to be fresh; the application
// asks for it.
func TestFirstFactorAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.login("ann")
	s.clock.Advance(6 * time.Minute)
	to := b.get("/mfa/enroll?kind=totp").want(303).Header.Get("Location")
	b.get(to).wantRedirect("/login?next=%2Fmfa%2Fenroll%3Fkind%3Dtotp")
	if len(s.reauth) != 1 || s.reauth[0] != "/mfa/enroll?kind=totp" {
		t.Errorf("Reauthenticate: %q", s.reauth)
	}
	// A form is not sent on to another site.
	page := b.post("/mfa/enroll", url.Values{"kind": {"totp"}, "name": {"my phone"}}).want(403, "Please sign in once more")
	if !strings.Contains(page.Body, "first=1") {
		t.Error(page.Body)
	}
	b.login("ann", "next", s.reauth[0]).wantRedirect("/mfa/enroll?kind=totp")
	b.get("/mfa/enroll?kind=totp").want(200)
	// What Reauthenticate gets to see as next was checked.
	b.get("/mfa/step-up?first=1&next=//evil.example").wantRedirect("/login?next=%2F")
}

func TestRemoveAndRegenerate(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser().enroll("ann").signIn("ann", code(1))
	scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}, "name": {"tablet"}})
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).wantRedirect("/mfa/?done=added")
	id := idOf(b.get("/mfa/").want(200, "tablet").Body)
	// Another user's session does not see it.
	o := s.browser().enroll("eve").signIn("eve", code(1))
	o.get("/mfa/remove?id=" + id).want(404)
	o.post("/mfa/remove", url.Values{"id": {id}}).wantRedirect("/mfa/")
	o.post("/mfa/rename", url.Values{"id": {id}, "name": {"mine"}}).want(404)

	b.get("/mfa/remove?id="+id).want(200, "Remove my phone?")
	to := b.post("/mfa/remove", url.Values{"id": {id}}).want(303).Header.Get("Location")
	b.get(to).want(200, "The method was removed", "Now delete its entry in the app")
	b.signIn("ann", code(2)) // what the removed one has proven is gone
	b.get("/mfa/codes").want(200, "stop working at once")
	b.post("/mfa/codes", nil).want(200, "SAVED-2-CODE0")
	// The old ones are dead (S6).
	c := s.browser()
	step := c.login("ann")
	form := c.follow(c.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))).form("/mfa/sign-in/verify")
	c.post("/mfa/sign-in/verify", set(form, "code", backupCode(1, 0))).want(422)
	c.post("/mfa/sign-in/verify", set(form, "code", backupCode(2, 0))).wantRedirect("/")
	// Codes for nobody: nothing to stand in for.
	d := s.browser()
	d.login("dan")
	d.post("/mfa/codes", nil).wantRedirect("/mfa/")
	d.get("/mfa/enroll?kind=backup").want(404)
	d.post("/mfa/enroll", url.Values{"kind": {"backup"}}).want(404)
	d.get("/mfa/enroll?kind=nothing").want(404)
}

func TestRequire(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.get("/vault?x=1").wantRedirect("/login?next=%2Fvault%3Fx%3D1")
	b.login("ann")
	b.get("/vault").wantRedirect("/mfa/?done=needed&next=%2Fvault")
	b.get("/mfa/?done=needed&next=%2Fvault").want(200, "needs a second step", "next=%2Fvault")
	b.enroll("ann").signIn("ann", code(1))
	b.get("/vault").want(200, "for ann alone")
	b.get("/vault/strong").wantRedirect("/mfa/?done=needed&next=%2Fvault%2Fstrong")
	s.clock.Advance(6 * time.Minute)
	to := b.get("/vault?x=1").want(303).Header.Get("Location")
	step := b.get(to).want(200)
	b.post("/mfa/step-up/verify", set(step.form("/mfa/step-up/verify"), "code", code(2))).wantRedirect("/vault?x=1")
	// A form comes back to the page that it was on, and no further.
	s.clock.Advance(6 * time.Minute)
	b.header.Set("Referer", "http://example.com/cart?y=2")
	if to := b.post("/vault", nil).Header.Get("Location"); to != "/mfa/step-up?next=%2Fcart%3Fy%3D2" {
		t.Error(to)
	}
	b.header.Set("Referer", "http://evil.example/cart")
	if to := b.post("/vault", nil).Header.Get("Location"); to != "/mfa/step-up?next=%2F" {
		t.Error(to)
	}
	b.header.Set("Accept", "application/json")
	b.get("/vault").want(403, mfahttp.ProblemStepUp)
	s.browser().header.Set("Accept", "application/json")
	if mfahttp.FromContext(t.Context()) != nil {
		t.Error("a session from nowhere")
	}
}

func TestStepUpCancel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser().enroll("ann").signIn("ann", code(1))
	s.clock.Advance(6 * time.Minute)
	step := b.get("/mfa/step-up?next=/mfa/off").want(200)
	form := step.form("/mfa/step-up/verify")
	b.post("/mfa/step-up/cancel", step.form("/mfa/step-up/cancel")).wantRedirect("/")
	b.post("/mfa/step-up/verify", set(form, "code", code(2))).wantRedirect("/mfa/step-up?next=%2Fmfa%2Foff")
	// A step-up is no sign-in, nor another session's step-up.
	step = b.get("/mfa/step-up?next=/mfa/off")
	form = set(step.form("/mfa/step-up/verify"), "code", code(2))
	b.post("/mfa/sign-in/verify", form).wantRedirect("/mfa/sign-in/over?next=%2Fmfa%2Foff")
	s.browser().signIn("ann", code(3)).post("/mfa/step-up/verify", form).want(303)
	s.browser().post("/mfa/step-up/verify", form).wantRedirect("/login?next=%2Fmfa%2Foff")
}

// pagePaths are all pages that GET or POST can ask for.
func pagePaths() []string {
	return []string{
		"", "sign-in", "sign-in/over", "sign-in/verify", "sign-in/method", "sign-in/cancel", "sign-in/enroll", "sign-in/confirm", "step-up",
		"step-up/verify", "step-up/method", "step-up/cancel", "enroll", "confirm", "codes", "codes/download", "rename", "remove", "off",
		"off/done",
	}
}

func postPaths() []string {
	return []string{
		"sign-in/verify", "sign-in/method", "sign-in/cancel", "sign-in/enroll", "sign-in/confirm", "step-up/verify", "step-up/method",
		"step-up/cancel", "enroll", "confirm", "codes", "codes/download", "rename", "remove", "off",
	}
}

func apiPaths() []string {
	return []string{
		"sign-in/offers", "sign-in/challenge", "sign-in/verify", "sign-in/cancel", "sign-in/enroll", "sign-in/confirm", "step-up",
		"step-up/offers", "step-up/challenge", "step-up/verify", "step-up/cancel", "settings/enroll", "settings/confirm", "settings/codes",
		"settings/rename", "settings/remove", "settings/remove-all",
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	b := s.browser()
	check := func(name string, r *response) {
		t.Helper()
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"Cache-Control":           "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s: %s: %q", name, header, got)
			}
		}
		for _, bad := range []string{"<script>", " onclick", " style=", "javascript:", "http://", "//cdn"} {
			if strings.Contains(strings.ReplaceAll(r.Body, "http://www.w3.org", ""), bad) {
				t.Errorf("%s: %q in the page", name, bad)
			}
		}
	}
	check("step", b.login("ann"))
	for _, who := range []func(){func() {}, func() { b.signIn("ann", code(1)) }} {
		who()
		for _, at := range pagePaths() {
			check("GET "+at, b.get("/mfa/"+at))
		}
		for _, at := range postPaths() {
			check("POST "+at, b.post("/mfa/"+at, nil))
		}
		for _, at := range apiPaths() {
			r, _ := b.json("/mfa/api/"+at, map[string]any{})
			check("API "+at, r)
		}
	}
	check("not found", b.get("/mfa/nowhere").want(404, "Nothing here"))
	s.browser().enroll("eve")
	check("token", b.post("/token", url.Values{"user": {"eve"}}))
}

// what changes something is a POST of this site, in the form's or in
// JSON's content type, and short.
func TestChangesArePostsOfThisSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser().enroll("ann").signIn("ann", code(1))
	const form, js = "application/x-www-form-urlencoded", "application/json"
	type target struct{ path, right, wrong string }
	var targets []target
	for _, at := range postPaths() {
		targets = append(targets, target{"/mfa/" + at, form, js})
	}
	for _, at := range apiPaths() {
		targets = append(targets, target{"/mfa/api/" + at, js, form})
	}
	for _, tt := range targets {
		for name, header := range map[string][2]string{
			"cross-site":   {"Sec-Fetch-Site", "cross-site"},
			"same-site":    {"Sec-Fetch-Site", "same-site"},
			"other origin": {"Origin", "https://evil.example"},
			"null origin":  {"Origin", "null"},
		} {
			c := s.browser()
			c.cookies = b.cookies
			c.header["Sec-Fetch-Site"] = nil
			c.header[header[0]] = []string{header[1]}
			if r := c.do("POST", tt.path, tt.right, "{}"); r.Code != 403 {
				t.Errorf("%s %s: %d", name, tt.path, r.Code)
			}
		}
		for _, mediaType := range []string{tt.wrong, "", "text/plain", "multipart/form-data; boundary=x", "nonsense/"} {
			if r := b.do("POST", tt.path, mediaType, "{}"); r.Code != 415 {
				t.Errorf("%q %s: %d", mediaType, tt.path, r.Code)
			}
		}
		if r := b.do("POST", tt.path, tt.right, strings.Repeat("a", 64<<10+1)); r.Code != 413 {
			t.Errorf("long %s: %d", tt.path, r.Code)
		}
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "ODD"} {
			if r := b.do(method, tt.path, tt.right, ""); r.Code != 405 || !strings.Contains(r.Header.Get("Allow"), "POST") {
				t.Errorf("%s %s: %d %q", method, tt.path, r.Code, r.Header.Get("Allow"))
			}
		}
	}
	for _, at := range apiPaths() {
		if r := b.get("/mfa/api/" + at); r.Code != 405 {
			t.Errorf("GET %s: %d", at, r.Code)
		}
		for _, body := range []string{"", "{", "[]", `"x"`, "null x", `{"nothing":1}`, `{"code":1}`, `{}{}`, "\xff", `{"code":"` + "\xff" + `"}`} {
			if r := b.do("POST", "/mfa/api/"+at, js, body); r.Code != 400 {
				t.Errorf("%s %q: %d", at, body, r.Code)
			}
		}
	}
	if r := b.do("POST", "/mfa/", form, ""); r.Code != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d %v", r.Code, r.Header)
	}
	b.do("POST", "/mfa/sign-in/verify", form, "a=%zz").want(400)
	b.get("/mfa/").want(200, "my phone", "10 left") // nothing has changed
}

// a secret is only in the body of the answer that shows it once, and
// comes by POST.
func TestNoSecretInAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.login("ann", "next", "/orders")
	scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}})
	scan = b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinWrong))
	codes := b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight))
	b.post("/mfa/codes/download", codes.form("/mfa/codes/download"))
	step := b.login("ann")
	token := step.form("/mfa/sign-in/verify").Get("token")
	b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", pinWrong))
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code(1)))
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code(1)))
	s.clock.Advance(6 * time.Minute)
	up := b.get(b.get("/mfa/off").Header.Get("Location"))
	b.post("/mfa/step-up/verify", set(up.form("/mfa/step-up/verify"), "code", code(2)))
	b.post("/mfa/codes", nil).want(200, "SAVED-2")
	for _, at := range pagePaths() {
		r := b.get("/mfa/" + at)
		for _, secret := range []string{secretText, "SAVED-"} {
			if strings.Contains(r.Body, secret) {
				t.Errorf("GET %s shows %s", at, secret)
			}
		}
	}
	seen := b.seen.String()
	for _, secret := range []string{secretText, "SAVED-", token, up.form("/mfa/step-up/verify").Get("token"), pinRight, code(1), "the-password",
		base64.StdEncoding.EncodeToString([]byte(secretQR))} {
		if strings.Contains(seen, secret) || strings.Contains(seen, url.QueryEscape(secret)) {
			t.Errorf("%.20q is in an address or header", secret)
		}
	}
	for _, secret := range []string{secretText, "SAVED-", pinRight, code(1), "the-password"} {
		if strings.Contains(b.set.String(), secret) {
			t.Errorf("%s is in a cookie", secret)
		}
	}
	for _, e := range s.events {
		for _, secret := range []string{secretText, "SAVED-", token, pinRight} {
			if strings.Contains(fmt.Sprintf("%+v", e), secret) {
				t.Errorf("event %s: %s", e.Type, secret)
			}
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	var got mfahttp.Page
	fail := false
	s := newSite(t, &mfahttp.Options{Render: func(w http.ResponseWriter, _ *http.Request, p mfahttp.Page) error {
		got = p
		if fail {
			return fmt.Errorf("no template")
		}
		w.WriteHeader(http.StatusTeapot) // the status is not Render's
		_, err := io.WriteString(w, "<html>"+string(p.Body))
		return err
	}})
	b := s.browser()
	b.login("ann")
	b.get("/mfa/").want(200, "<html><main", "Two-step sign-in")
	if got.Name != "security" || got.Title != "Two-step sign-in" || got.Lang != "en" || got.Dir != "ltr" {
		t.Errorf("%+v", got)
	}
	b.get(got.Style).want(200, ".mfa")
	b.get(got.Script).want(200, "data-once")
	b.get("/mfa/nowhere").want(404, "<html>")
	if got.Title != "Error: Nothing here" {
		t.Error(got.Title)
	}
	fail = true
	b.get("/mfa/").want(500)
}

func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.login("ann")
	body := b.get("/mfa/").Body
	for name, mediaType := range map[string]string{"mfa.css": "text/css; charset=utf-8", "mfa.js": "text/javascript; charset=utf-8"} {
		_, rest, ok := strings.Cut(body, "/mfa/assets/"+name+"?v=")
		version, _, _ := strings.Cut(rest, `"`)
		if !ok {
			t.Fatal(body)
		}
		r := b.get("/mfa/assets/" + name + "?v=" + version).want(200)
		if r.Header.Get("Content-Type") != mediaType || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Error(r.Header)
		}
		if r := b.get("/mfa/assets/" + name).want(200); r.Header.Get("Cache-Control") != "no-cache" {
			t.Error(r.Header)
		}
		b.header.Set("If-None-Match", r.Header.Get("ETag"))
		b.get("/mfa/assets/" + name).want(304)
		b.header.Del("If-None-Match")
		b.post("/mfa/assets/"+name, nil).want(405)
	}
	b.get("/mfa/assets/").want(404)
	b.get("/mfa/assets/../handler.go")
}

func TestGermanPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.header.Set("Accept-Language", "de-AT, en;q=0.3")
	b.login("ann")
	r := b.get("/mfa/").want(200, "Anmeldung in zwei Schritten", `<html lang="de" dir="ltr">`, "Aus")
	if r.Header.Get("Content-Language") != "de" {
		t.Error(r.Header)
	}
	b.header.Del("Accept-Language")
	b.get("/mfa/").want(200, "Two-step sign-in")
	s.mu.Lock()
	s.locale = "de-DE"
	s.mu.Unlock()
	b.get("/mfa/").want(200, "Anmeldung in zwei Schritten")
}

func TestNew(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for name, o := range map[string]mfahttp.Options{
		"path":      {Path: "/mfa"},
		"relative":  {Path: "mfa/"},
		"home":      {Home: "https://evil.example"},
		"login":     {Login: "//evil.example"},
		"query":     {Login: "/login?x"},
		"app":       {Apps: []mfahttp.AppLink{{Name: "x", URL: "javascript:alert(1)"}}},
		"nameless":  {Apps: []mfahttp.AppLink{{URL: "https://apps.example"}}},
		"path dots": {Path: "/a/../b/"},
	} {
		if _, err := mfahttp.New(s.guard, s, &o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := mfahttp.New(nil, s, nil); err == nil {
		t.Error("no guard")
	}
	if _, err := mfahttp.New(s.guard, nil, nil); err == nil {
		t.Error("no app")
	}
	h, err := mfahttp.New(s.guard, s, &mfahttp.Options{Path: "/account/security/"})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/account/security/assets/mfa.css", nil))
	if w.Code != 200 {
		t.Error(w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/mfa/", nil)) // mounted elsewhere
	if w.Code != 404 {
		t.Error(w.Code)
	}
}

// Whatever comes, no page fails by itself.
func FuzzForms(f *testing.F) {
	f.Add("sign-in/verify", "token=x&kind=totp&code=1&next=//x")
	f.Add("confirm", "kind=totp&enrollment_id=x&code=1&qr=PHN2Zz4=&uri=otpauth://x&secret=A&next=/a")
	f.Add("rename", "id=%00&name=%ff")
	f.Add("api/sign-in/verify", `{"token":"x","kind":"totp","credential":{"a":1}}`)
	f.Add("step-up?rule=9223372036854775807~not:~resistant&next=/x", "")
	f.Fuzz(func(t *testing.T, at, body string) {
		if strings.ContainsAny(at, " \x00\r\n") || len(body) > 4096 {
			return
		}
		u, err := url.Parse("/mfa/" + at)
		if err != nil {
			return
		}
		s := newSite(t, nil)
		b := s.browser()
		b.login("ann")
		for _, mediaType := range []string{"application/x-www-form-urlencoded", "application/json"} {
			for _, method := range []string{"GET", "POST"} {
				r := httptest.NewRequest(method, "/mfa/", strings.NewReader(body))
				r.URL, r.RequestURI = u, u.RequestURI()
				r.Header.Set("Content-Type", mediaType)
				r.AddCookie(&http.Cookie{Name: "app", Value: b.cookies["app"]})
				w := httptest.NewRecorder()
				s.pages.ServeHTTP(w, r)
				if w.Code == 500 {
					t.Fatalf("%s %s: %s", method, u, w.Body)
				}
				if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
					t.Fatalf("sent to %q", to)
				}
			}
		}
	})
}
