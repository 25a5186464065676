package browser

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A mailbox is the application's inbox page, in a tab of its own.
type mailbox struct {
	*page
	s *site
}

// read opens the newest mail to an address whose subject has that in it, once it
// is there.
func (b mailbox) read(to, subject string) {
	b.t.Helper()
	newest := fmt.Sprintf(`[...document.querySelectorAll(".mails a")].find(a =>
		a.querySelector("strong").innerText.includes(%q) && a.innerText.includes("To " + %q + " "))?.href ?? ""`, subject, to)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		b.open(b.s.url("/inbox"))
		if at := eval[string](b.page, newest); at != "" {
			b.open(at)
			b.wait(subject, to)
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("no mail %q to %s:\n%s", subject, to, b.describe())
		}
	}
}

// code reads a mail and returns the code in it.
func (b mailbox) code(to, subject string) string {
	b.t.Helper()
	b.read(to, subject)
	m := regexp.MustCompile(`(?m)^ {4}(\d{6})$`).FindStringSubmatch(eval[string](b.page, `document.querySelector("pre").innerText`))
	if m == nil {
		b.t.Fatalf("no code in\n%s", b.describe())
	}
	return m[1]
}

// lookHTML takes the picture of the HTML part of the mail that is open.
func (b mailbox) lookHTML(name string) {
	b.t.Helper()
	frame := eval[[]string](b.page, `(f => [f.src, f.sandbox.value])(document.querySelector("iframe"))`)
	if may := frame[1]; strings.Contains(may, "allow-scripts") || strings.Contains(may, "allow-same-origin") {
		b.t.Errorf("the mail's frame may %s", may)
	}
	b.open(frame[0])
	b.look(name)
	b.back()
}

const (
	confirmMail = "Confirm your address"
	signInMail  = "sign-in code"
)

// notThat is a code that is not that one.
func notThat(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// resend checks that another code can be asked for, but not yet, and how long
// that takes counts down.
func resend(p *page) {
	p.t.Helper()
	p.wait("Send again in")
	const button = `[...document.querySelectorAll("button")].find(b => b.innerText.startsWith("Send again"))`
	left := func() (s int) {
		text := eval[string](p, button+".innerText")
		if _, err := fmt.Sscan(strings.TrimPrefix(text, "Send again in"), &s); err != nil || s < 1 || s > 61 {
			p.t.Errorf("the button says %q", text)
		}
		return s
	}
	if !eval[bool](p, button+".disabled") {
		p.t.Error("a code can be sent again at once")
	}
	was := left()
	for end := time.Now().Add(patience); left() >= was; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Error("the time does not run")
			return
		}
	}
}

// emailOn turns codes by email on, to the profile's address, and returns the
// backup codes.
func emailOn(p *page, box mailbox, address string) []string {
	p.t.Helper()
	p.open(box.s.url("/mfa/"))
	p.click("Email")
	p.click("Continue")
	p.wait("We sent a code to")
	answer(p, box.code(address, confirmMail), "Confirm")
	p.wait("Save your backup codes")
	codes := eval[[]string](p, `[...document.querySelectorAll(".mfa-codes code")].map(e => e.innerText)`)
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	return codes
}

// appOn adds an authenticator app to what is there.
func appOn(p *page, s *site) *watch {
	p.t.Helper()
	p.open(s.url("/mfa/"))
	p.click("Authenticator app")
	p.fill("name", "my phone")
	p.click("Continue")
	w := &watch{phone: scan(p.t, p.readQR())}
	answer(p, w.next(), "Turn on")
	p.wait("The method was added", "my phone")
	return w
}

// The whole life of codes by email: an address is confirmed, signs in, is one
// method of two, changes, and its owner hears of it all.
func TestEmail(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	box := mailbox{p.tab(), s}
	box.open(s.url("/inbox"))
	box.wait("No mail yet", "everybody's mail")
	box.look("inbox-empty")
	p.open(s.url("/signup"))
	p.look("signup")
	signUp(p, s)

	t.Log("turned on: the address is confirmed first, and the backup codes come with it")
	p.open(s.url("/mfa/"))
	p.click("Email")
	p.wait("Email address")
	p.look("email-address")
	if got := eval[string](p, `document.querySelector("#address").value`); got != email {
		t.Errorf("the field holds %q, not the profile's address", got)
	}
	p.click("Continue")
	p.wait("Confirm your address", "We sent a code to "+email)
	resend(p)
	p.look("email-confirm")
	code := box.code(email, confirmMail)
	box.wait(`"Acme" <tea@acme.example>`)
	box.look("inbox-code")
	box.lookHTML("mail-code")
	answer(p, notThat(code), "Confirm")
	p.wait(rejected)
	p.look("email-confirm-wrong")
	answer(p, code, "Confirm")
	p.wait("Save your backup codes")
	p.look("email-codes")
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	p.open(s.url("/mfa/"))
	p.wait("On", "Email", "a…@example.com", "10 left", "Set up a second method")
	p.look("security-email")
	box.read(email, "A sign-in method was added")
	box.wait("Codes by email", "From now on it can be used", s.url("/mfa/"))
	box.look("inbox-notice")
	box.lookHTML("mail-notice")

	t.Log("sign in with a fresh code; a wrong one, Back and the password again do not end it")
	signOut(p, s)
	signIn(p, s)
	p.wait("One more step", "We sent a code to a…@example.com")
	resend(p)
	p.look("second-step-email")
	code = box.code(email, signInMail)
	answer(p, notThat(code), "Sign in")
	p.wait(rejected, "Send again in")
	p.look("second-step-email-wrong")
	p.back()
	signIn(p, s)
	p.wait("it is still good")
	p.look("second-step-email-paused")
	answer(p, code, "Sign in")
	p.wait("Good tea")
	t.Log("the same code again")
	signOut(p, s)
	signIn(p, s)
	p.wait("We sent a code to")
	answer(p, code, "Sign in")
	p.wait(rejected)
	answer(p, box.code(email, signInMail), "Sign in")
	p.wait("Good tea")

	t.Log("an app beside it: the stronger one is asked for first")
	w := appOn(p, s)
	if p.has("Set up a second method") {
		t.Error("the advice stays after it was followed")
	}
	p.look("security-both")
	signOut(p, s)
	signIn(p, s)
	p.wait("authenticator app", "Code by email", "a…@example.com", "Backup code")
	p.look("second-step-both")
	p.click("Code by email")
	p.wait("We sent a code to a…@example.com", "Code from an authenticator app")
	code = box.code(email, signInMail)
	p.click("Code from an authenticator app")
	p.click("Code by email") // the code is still good
	p.wait("it is still good")
	answer(p, code, "Sign in")
	p.wait("Good tea")

	t.Log("another address in the profile: both are told, and codes go on to the confirmed one")
	const moved = "ada@example.org"
	p.open(s.url("/profile"))
	p.wait("Email address", email)
	p.look("profile")
	p.fill("email", moved)
	p.fill("password", "wrong "+password)
	p.click("Change address")
	p.wait("Your password is wrong")
	p.look("profile-wrong")
	p.fill("email", moved)
	p.fill("password", password)
	p.click("Change address")
	p.wait("Your email address was changed")
	p.look("profile-changed")
	for _, to := range []string{email, moved} {
		box.read(to, "An address was changed")
	}
	box.look("inbox-moved")
	signInAs(p, s, moved)
	p.click("Code by email")
	p.wait("We sent a code to a…@example.com")
	answer(p, box.code(email, signInMail), "Sign in")
	p.wait("Good tea", moved)
	p.open(s.url("/mfa/"))
	p.wait("Your account has a new email address", "Old address")
	p.look("security-stale")

	t.Log("the advice leads to confirming the new one, and codes go there")
	p.click("Change address")
	p.wait("until you have confirmed the new address")
	if got := eval[string](p, `document.querySelector("#address").value`); got != moved {
		t.Errorf("the field holds %q, not the new address", got)
	}
	p.look("email-change")
	p.click("Continue")
	p.wait("We sent a code to " + moved)
	answer(p, box.code(moved, confirmMail), "Confirm")
	p.wait("a…@example.org")
	if p.has("Your account has a new email address") {
		t.Error("the advice stays after it was followed")
	}
	p.look("security-moved")
	signOut(p, s)
	signInAs(p, s, moved)
	p.click("Code by email")
	p.wait("We sent a code to a…@example.org")
	answer(p, box.code(moved, signInMail), "Sign in")
	p.wait("Good tea")

	t.Log("removed: the owner hears of that, too")
	p.open(s.url("/mfa/"))
	p.click("Remove: my phone")
	if p.has("Confirm that it is you") {
		answer(p, w.next(), "Confirm")
	}
	p.wait("Remove my phone?")
	p.click("Remove")
	p.wait("The method was removed")
	box.read(moved, "A sign-in method was removed")
	box.wait("my phone")
	box.open(s.url("/inbox"))
	box.look("inbox")
}

// Each partner's mail comes from its own address. One has no mail: no codes by
// email there, and the administrator reads why.
func TestPartners(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	box := mailbox{p.tab(), s}
	signUpAt(p, s, "initech", "milton@example.com")
	p.open(s.url("/mfa/"))
	p.wait("Initech", "Authenticator app")
	if eval[bool](p, `!!document.querySelector("a[href*='kind=email']")`) {
		t.Error("codes by email are on offer where there is no mail")
	}
	p.look("security-initech")
	w, _ := enable(p, s, false)
	p.open(s.url("/admin"))
	if p.has("Confirm that it is you") {
		answer(p, w.next(), "Confirm")
	}
	p.wait("Who has what", "email is not on offer", `no sender is configured for tenant "initech"`)
	p.look("admin-withheld")
	signOut(p, s)

	signUpAt(p, s, "globex", "bob@example.com")
	codes := emailOn(p, box, "bob@example.com")
	box.wait(`"Globex" <shop@globex.example>`, "Globex may send sign-in codes")
	box.look("inbox-globex")
	p.look("security-globex")

	t.Log("a backup code is used, and the owner hears of it")
	signOut(p, s)
	signInAs(p, s, "bob@example.com")
	p.click("Backup code")
	answer(p, codes[0], "Sign in")
	p.wait("Good tea")
	box.read("bob@example.com", "A backup code was used")

	t.Log("an administrator resets the account: the partner's security desk is told, too")
	signOut(p, s)
	signInAs(p, s, "milton@example.com")
	answer(p, w.next(), "Sign in")
	p.wait("Good tea")
	p.open(s.url("/admin"))
	p.wait("bob@example.com", "Globex", "b…@example.com")
	const form = `[...document.querySelectorAll(".person")].find(e => e.innerText.includes("bob@")).querySelector("form")`
	_ = eval[int](p, form+`.closest("details").open = true, 0`)
	p.look("admin-people")
	_ = eval[int](p, form+`.reason.value = "lost the phone", `+form+`.requestSubmit(), 0`)
	p.wait("Reset: bob@example.com")
	p.look("admin-reset")
	for _, to := range []string{"bob@example.com", "security@globex.example"} {
		box.read(to, "Two-step sign-in was reset")
		box.wait("lost the phone", "shop@globex.example")
	}
	box.look("inbox-security-desk")
	box.lookHTML("mail-security-desk")
}

// Codes by email need no JavaScript.
func TestEmailWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	box := mailbox{p.tab(), s}
	p.do(noScripts())
	box.do(noScripts())
	signUp(p, s)
	emailOn(p, box, email)
	signOut(p, s)
	signIn(p, s)
	p.wait("We sent a code to", "Another code can be sent at", "Send again")
	p.look("second-step-email-no-js")
	answer(p, notThat(""), "Sign in")
	p.wait(rejected)
	answer(p, box.code(email, signInMail), "Sign in")
	p.wait("Good tea")
}
