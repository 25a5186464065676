package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	email    = "ada@example.com"
	password = "correct horse battery"
	rejected = "That was not accepted"
)

func signUp(p *page, s *site) { p.t.Helper(); signUpAt(p, s, "acme", email) }

// signUpAt makes an account of that partner's.
func signUpAt(p *page, s *site, partner, address string) {
	p.t.Helper()
	p.open(s.url("/signup"))
	p.fill("email", address)
	p.fill("password", password)
	p.choose("tenant", partner)
	p.click("Create account")
	p.wait("Good tea", address)
}

func signIn(p *page, s *site) { p.t.Helper(); signInAs(p, s, email) }

func signInAs(p *page, s *site, address string) {
	p.t.Helper()
	p.open(s.url("/login"))
	p.fill("email", address)
	p.fill("password", password)
	p.click("Continue")
}

func signOut(p *page, s *site) {
	p.t.Helper()
	p.open(s.url("/"))
	p.click("Sign out")
	p.wait("You are signed out")
}

func answer(p *page, code, button string) {
	p.t.Helper()
	p.fill("code", code)
	p.click(button)
}

// wrongCode is a code that is right at no time near now.
func wrongCode(w *watch) string {
	near := map[string]bool{}
	for d := -5; d <= 5; d++ {
		near[w.code(time.Now().Add(time.Duration(d)*step*time.Second))] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !near[code] {
			return code
		}
	}
}

// enable switches two-step sign-in on, as a person does, and returns the watch
// and the backup codes.
func enable(p *page, s *site, look bool) (*watch, []string) {
	p.t.Helper()
	seen := func(name string) {
		if look {
			p.look(name)
		}
	}
	p.open(s.url("/mfa/"))
	p.wait("Two-step sign-in", "Off")
	seen("security-off")
	p.click("Authenticator app")
	p.wait("Get an authenticator app", "Google Authenticator", "Authy")
	seen("wizard-apps")
	p.fill("name", "my phone")
	p.click("Continue")
	p.wait("Scan this code")
	seen("wizard-scan")
	w := &watch{phone: scan(p.t, p.readQR())}
	shown := eval[string](p, `document.querySelector("code").innerText`)
	if strings.ReplaceAll(shown, " ", "") != w.secret {
		p.t.Errorf("the page's key %q is not the picture's", shown)
	}

	// wrong, then expired, then right: the same entry in the app stays good
	answer(p, wrongCode(w), "Turn on")
	p.wait("Scan this code", rejected)
	seen("wizard-wrong")
	if again := p.readQR(); again != "" && scan(p.t, again).secret != w.secret {
		p.t.Error("a wrong code changed the key")
	}
	answer(p, w.code(time.Now().Add(-5*step*time.Second)), "Turn on")
	p.wait("Scan this code", rejected)
	answer(p, w.next(), "Turn on")
	p.wait("Save your backup codes")
	seen("wizard-codes")
	codes := eval[[]string](p, `[...document.querySelectorAll(".mfa-codes code")].map(e => e.innerText)`)
	if len(codes) != 10 {
		p.t.Fatalf("%d backup codes", len(codes))
	}
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	return w, codes
}

// The whole life of a second step: on, in, out, codes, off, and what goes wrong
// on the way.
func TestWebapp(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	p.open(s.url("/"))
	p.look("home")
	signUp(p, s)

	w, codes := enable(p, s, true)
	p.open(s.url("/mfa/"))
	p.wait("Two-step sign-in", "On", "my phone", "10 left")
	p.look("security-on")

	t.Log("the codes are shown once: Back does not bring them again")
	p.back()
	if p.has(codes[0]) {
		t.Error("Back shows the backup codes again")
	}

	t.Log("sign out, and in with a code of the app")
	signOut(p, s)
	signIn(p, s)
	p.wait("One more step", "authenticator app")
	p.look("second-step")
	if got := eval[string](p, `document.querySelector("#code").getAttribute("autocomplete")+document.activeElement.id`); got != "one-time-codecode" {
		t.Errorf("the field for the code: %q", got)
	}
	answer(p, wrongCode(w), "Sign in")
	p.wait("One more step", rejected)
	p.look("second-step-wrong")
	answer(p, w.code(time.Now().Add(-5*step*time.Second)), "Sign in") // expired
	p.wait("One more step", rejected)
	last := w.next()
	answer(p, last, "Sign in")
	p.wait("Good tea")

	t.Log("the same code again")
	signOut(p, s)
	signIn(p, s)
	answer(p, last, "Sign in")
	p.wait("One more step", rejected)

	t.Log("a backup code, in small letters and without hyphens")
	p.click("Backup code")
	p.wait("one of the backup codes")
	p.look("second-step-backup")
	answer(p, strings.ToLower(strings.ReplaceAll(codes[0], "-", "")), "Sign in")
	p.wait("Good tea")
	p.open(s.url("/mfa/"))
	p.wait("9 left")

	t.Log("a backup code works once")
	signOut(p, s)
	signIn(p, s)
	p.click("Backup code")
	answer(p, codes[0], "Sign in")
	p.wait(rejected)

	t.Log("the server is restarted between password and code")
	s.restart()
	p.click("Code from an authenticator app")
	answer(p, w.next(), "Sign in")
	p.wait("Good tea")

	t.Log("new codes: the old ones die")
	p.open(s.url("/mfa/"))
	p.click("Make new codes")
	if p.has("Confirm that it is you") {
		answer(p, w.next(), "Confirm")
	}
	p.wait("Make new backup codes?")
	p.look("codes-new")
	p.click("Make new codes")
	p.wait("Save your backup codes")
	fresh := eval[[]string](p, `[...document.querySelectorAll(".mfa-codes code")].map(e => e.innerText)`)
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	signOut(p, s)
	signIn(p, s)
	p.click("Backup code")
	answer(p, codes[1], "Sign in")
	p.wait(rejected)
	answer(p, fresh[0], "Sign in")
	p.wait("Good tea")

	t.Log("a double click, and Back afterwards, end in a sensible page")
	signOut(p, s)
	signIn(p, s)
	p.fill("code", w.next())
	p.doubleClick("Sign in")
	p.wait("Good tea")
	p.back()
	p.wait("Acme")
	p.open(s.url("/"))
	p.wait("Good tea")

	t.Log("two tabs sign in at once, each by itself")
	signOut(p, s)
	other := p.tab()
	signIn(p, s)
	signIn(other, s)
	answer(other, w.next(), "Sign in")
	other.wait("Good tea")
	answer(p, w.next(), "Sign in")
	p.wait("Good tea")

	t.Log("Back in the middle: the step goes on")
	signOut(p, s)
	signIn(p, s)
	answer(p, wrongCode(w), "Sign in")
	p.wait(rejected)
	p.back()
	if !p.has("One more step") && !p.has("Password") { // the step, or the form before it
		t.Errorf("Back: %s", p.describe())
	}
	signIn(p, s)
	answer(p, w.next(), "Sign in")
	p.wait("Good tea")

	t.Log("off again, with a current code")
	p.open(s.url("/mfa/"))
	p.click("Turn off two-step sign-in")
	if p.has("Confirm that it is you") {
		p.look("step-up")
		answer(p, w.next(), "Confirm")
	}
	p.wait("Turn off two-step sign-in?")
	p.look("off")
	p.click("Turn off")
	p.wait("Two-step sign-in is off", "delete the entry")
	p.look("off-done")
	signOut(p, s)
	signIn(p, s)
	p.wait("Good tea")
}

// Whoever guesses is paused, and told until when, whether right or wrong.
func TestPause(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	w, _ := enable(p, s, false)
	signOut(p, s)
	signIn(p, s)
	for range 5 {
		answer(p, wrongCode(w), "Sign in")
	}
	answer(p, wrongCode(w), "Sign in")
	p.wait("Too many attempts", "until")
	p.look("paused")
	if !eval[bool](p, `!!document.querySelector("time[datetime], [data-wait]")`) {
		t.Error("the page does not say in a machine's words when to try again")
	}
	t.Log("a new sign-in does not help, and a right code is not told from a wrong one")
	signIn(p, s)
	p.do(unlockButton())
	answer(p, w.next(), "Sign in")
	p.wait("Too many attempts")
}

// Placing an order makes the second step required: the next sign-in sets it up.
func TestRequired(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	p.click("Place a demo order")
	p.wait("Thank you for your order")
	p.look("ordered")
	signOut(p, s)
	signIn(p, s)
	p.wait("Your account has to be protected")
	p.look("forced-apps")
	p.fill("name", "phone")
	p.click("Continue")
	p.wait("Scan this code")
	p.look("forced-scan")
	w := &watch{phone: scan(t, p.readQR())}
	answer(p, w.next(), "Turn on")
	p.wait("Save your backup codes")
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	p.wait("Good tea")
	p.open(s.url("/mfa/"))
	p.wait("Your account has to keep it on")
	if p.has("Turn off two-step sign-in") {
		t.Error("the page offers to switch off what is required")
	}

	t.Log("the administrator sees it, and makes an exempt service account")
	p.open(s.url("/admin"))
	p.wait("Confirm that it is you") // the sign-in has proven the first factor alone
	p.look("step-up")
	answer(p, w.next(), "Confirm")
	p.wait("Who has what", email, "totp", "10 left")
	p.fill("name", "warehouse")
	p.click("Make it")
	p.wait("exempt: api-key", "shown only now")
	p.look("admin")
}

// Nothing of it needs JavaScript.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	p.do(noScripts())
	signUp(p, s)
	w, codes := enable(p, s, false)
	signOut(p, s)
	signIn(p, s)
	p.look("second-step-no-js")
	answer(p, w.next(), "Sign in")
	p.wait("Good tea")
	signOut(p, s)
	signIn(p, s)
	p.click("Backup code")
	answer(p, codes[3], "Sign in")
	p.wait("Good tea")
}
