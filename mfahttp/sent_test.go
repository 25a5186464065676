package mfahttp_test

// The pages with the real factor for email, and an outbox in the place of a
// server.

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfahttp"
)

const (
	annsAddress = "ann@example.com"
	annsMasked  = "a…@example.com"
	sentTo      = "We sent a code to " + annsMasked
	stillGood   = "If you have a code already, it is still good. Another one can be sent at "
)

type outbox struct{ mail.Outbox }

// code is the latest that went to an address.
func (o *outbox) code(t testing.TB, address string) string {
	t.Helper()
	all := o.To(address)
	if len(all) == 0 {
		t.Fatalf("no mail to %s", address)
	}
	return regexp.MustCompile(`\b\d{6}\b`).FindString(all[len(all)-1].Text)
}

func (o *outbox) wantMails(t testing.TB, n int) {
	t.Helper()
	if got := len(o.All()); got != n {
		t.Errorf("%d mails, not %d", got, n)
	}
}

// mailSite is a site where everybody's address is ann's, and the other methods
// come after email.
func mailSite(t testing.TB, opts *mfahttp.Options, others ...mfa.Method) (*site, *outbox) {
	t.Helper()
	out := &outbox{}
	s := newSite(t, opts, append([]mfa.Method{emailotp.New(out, nil), backup{}}, others...)...)
	s.email = annsAddress
	return s, out
}

// withMail enrols ann's address and waits until the next code may go out.
func (s *site) withMail(out *outbox) *browser {
	s.t.Helper()
	b := s.browser()
	b.login("ann").wantRedirect("/")
	scan := b.post("/mfa/enroll", b.get("/mfa/enroll?kind=email").form("/mfa/enroll")).want(200)
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", out.code(s.t, annsAddress))).want(200, "SAVED-1-CODE0")
	s.clock.Advance(time.Minute)
	out.Clear()
	return b
}

// resend is the button that sends a code.
var resend = regexp.MustCompile(`<button class="mfa-quiet"([^>]*)>(Send[^<]*)</button>`)

// wantResend checks that button: what it says, and until when it waits, "" for
// not at all.
func (r *response) wantResend(label, until string) *response {
	r.t.Helper()
	m := resend.FindStringSubmatch(r.Body)
	if m == nil || m[2] != label {
		r.t.Fatalf("no button %q in\n%s", label, r.Body)
	}
	if until == "" && m[1] != "" || until != "" && m[1] != ` data-wait="2026-03-02T`+until+`Z" data-wait-text="Send again in {time}"` {
		r.t.Fatalf("the button: %s, want %s", m[1], until)
	}
	return r
}

func (r *response) without(texts ...string) *response {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.Body, text) {
			r.t.Fatalf("%q is in\n%s", text, r.Body)
		}
	}
	return r
}

const (
	codeField = `required autofocus aria-describedby="prompt sent">`
	signInAt  = "/mfa/sign-in"
)

func wrongFor(code string) string {
	if code == "111111" {
		return "222222"
	}
	return "111111"
}

// S14: where the code went and when another may be sent is told after the
// redirect, by a reload, and after a wrong code; a GET sends nothing.
func TestEmailStep(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil)
	s.withMail(out)
	b := s.browser()
	to := b.post("/login", url.Values{"user": {"ann"}, "next": {"/orders"}}).Header.Get("Location")
	for range 2 {
		b.get(to).want(200, sentTo, codeField, "Another code can be sent at", "09:02:00 UTC", "<title>One more step").
			wantResend("Send again", "09:02:00")
	}
	out.wantMails(t, 1)
	first := out.code(t, annsAddress)
	s.clock.Advance(30 * time.Second)
	step := b.get(to)
	wrong := b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", wrongFor(first))).
		want(422, "That was not accepted", sentTo, `aria-describedby="prompt sent alert" aria-invalid="true"`, "<title>Error: ").
		wantResend("Send again", "09:02:00")
	// Also if at first nothing could be found out.
	s.store.set(true)
	down := b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", wrongFor(first))).want(503)
	s.store.set(false)
	b.post("/mfa/sign-in/verify", down.form("/mfa/sign-in/verify")).want(422, sentTo).wantResend("Send again", "09:02:00")
	// And what the script puts into the history says it as well.
	here := regexp.MustCompile(`data-here="([^"]*)"`).FindStringSubmatch(wrong.Body)[1]
	b.get(strings.ReplaceAll(here, "&amp;", "&")).want(200, sentTo).wantResend("Send again", "09:02:00")

	s.clock.Advance(30 * time.Second)
	b.get(to).want(200, sentTo).without("data-wait").wantResend("Send again", "")
	again := b.follow(b.post("/mfa/sign-in/method", wrong.form("/mfa/sign-in/method"))).want(200, sentTo).wantResend("Send again", "09:03:00")
	out.wantMails(t, 2)
	if second := out.code(t, annsAddress); second != first {
		b.post("/mfa/sign-in/verify", set(again.form("/mfa/sign-in/verify"), "code", first)).want(422)
	}
	b.post("/mfa/sign-in/verify", set(again.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/orders")
	out.wantMails(t, 2)
}

// Back and the password again, a double click, a second tab, too
// late.
func TestEmailBackAndTabs(t *testing.T) {
	t.Parallel()
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		b.login("ann").want(200, sentTo)
		paused := b.login("ann").want(200, stillGood, "09:02:00 UTC", annsMasked, codeField, `<button class="mfa-primary">`).
			without("aria-invalid", "<title>Error", "We sent a code").wantResend("Send again", "09:02:00")
		out.wantMails(t, 1)
		code := out.code(t, annsAddress)
		wrong := b.post("/mfa/sign-in/verify", set(paused.form("/mfa/sign-in/verify"), "code", wrongFor(code))).
			want(422, stillGood, "That was not accepted").wantResend("Send again", "09:02:00")
		s.clock.Advance(time.Minute)
		b.get(signInAt+"?sent="+wrong.form("/mfa/sign-in/verify").Get("sent")).want(200).without(stillGood).wantResend("Send again", "")
		b.post("/mfa/sign-in/verify", set(wrong.form("/mfa/sign-in/verify"), "code", code)).wantRedirect("/")
	})
	t.Run("double click and two tabs", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		one := b.login("ann")
		two := b.login("ann")
		s.clock.Advance(time.Minute)
		b.follow(b.post("/mfa/sign-in/method", one.form("/mfa/sign-in/method"))).want(200, sentTo)
		b.follow(b.post("/mfa/sign-in/method", one.form("/mfa/sign-in/method"))).want(200, stillGood, "09:03:00 UTC")
		b.follow(b.post("/mfa/sign-in/method", two.form("/mfa/sign-in/method"))).want(200, stillGood)
		out.wantMails(t, 2)
		b.post("/mfa/sign-in/verify", set(two.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/")
		b.post("/mfa/sign-in/verify", set(one.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/mfa/sign-in/over")
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		step := b.login("ann")
		s.clock.Advance(11 * time.Minute)
		form := set(step.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))
		b.post("/mfa/sign-in/verify", form).wantRedirect("/mfa/sign-in/over")
		b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method")).wantRedirect("/mfa/sign-in/over")
		out.wantMails(t, 1)
	})
	t.Run("past the hour's", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		step := b.login("ann").want(200, sentTo)
		for range 4 { // the one that enrolled was accepted
			s.clock.Advance(time.Minute)
			step = b.follow(b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))).want(200, sentTo)
		}
		s.clock.Advance(time.Minute)
		code := out.code(t, annsAddress)
		paused := b.follow(b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))).want(200, stillGood, "10:01:00 UTC").without(sentTo)
		out.wantMails(t, 5)
		b.post("/mfa/sign-in/verify", set(paused.form("/mfa/sign-in/verify"), "code", code)).wantRedirect("/")
	})
}

// whoever goes back and gives the password again keeps the code in hand
// also after the pause, as long as it can be typed, and gets no second mail.
func TestEmailBackLater(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{
		"a minute": time.Minute, "61 seconds": 61 * time.Second, "five minutes": 5 * time.Minute, "a minute left": 9 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, out := mailSite(t, nil)
			s.withMail(out)
			b := s.browser()
			b.login("ann").want(200, sentTo)
			code := out.code(t, annsAddress)
			s.clock.Advance(after)
			step := b.login("ann").want(200, sentTo).wantResend("Send again", "")
			out.wantMails(t, 1)
			b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code)).wantRedirect("/")
		})
	}
	t.Run("less than a minute left", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		b.login("ann").want(200, sentTo)
		s.clock.Advance(9*time.Minute + time.Second)
		step := b.login("ann").want(200, sentTo).wantResend("Send again", "09:11:01")
		out.wantMails(t, 2)
		b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/")
	})
	t.Run("not delivered", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		out.Fail(errors.New("no connection"))
		b.login("ann").want(200, "could not be sent")
		out.Fail(nil)
		step := b.login("ann").want(200, sentTo).without(stillGood)
		out.wantMails(t, 1)
		b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/")
	})
	t.Run("asked for", func(t *testing.T) { // by the button, a new one comes, and ends the one in hand
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		b := s.browser()
		step := b.login("ann").want(200, sentTo)
		code := out.code(t, annsAddress)
		s.clock.Advance(time.Minute)
		step = b.follow(b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))).want(200, sentTo)
		out.wantMails(t, 2)
		if second := out.code(t, annsAddress); second != code {
			b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code)).want(422)
		}
	})
}

const notYet = "<span>Another code can be sent at "

// that a code is still good is said only where one is out that the page
// would take.
func TestEmailNoneOut(t *testing.T) {
	t.Parallel()
	t.Run("somebody else used up the hour's", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		s.withMail(out)
		for range 5 {
			s.browser().login("ann").want(200, sentTo)
			s.clock.Advance(2 * time.Minute)
		}
		theirs := out.code(t, annsAddress)
		b := s.browser()
		to := b.post("/login", url.Values{"user": {"ann"}}).Header.Get("Location")
		step := b.get(to).want(200, notYet, "10:01:00 UTC", codeField, annsMasked).without("still good", "We sent").wantResend("Send a code", "10:01:00")
		b.get(to).want(200, notYet).without("still good", "We sent")
		b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", theirs)).
			want(422, "That was not accepted", notYet).without("still good", "We sent")
		b.follow(b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))).want(200, notYet).without("still good", "We sent")
		s.browser().login("ann").want(200, notYet).without("still good", "We sent")
		out.wantMails(t, 5)
		b.header.Set("Accept-Language", "de")
		b.get(to).want(200, "Ein weiterer Code kann um", "10:01:00 UTC").without("gilt er noch")
	})
	t.Run("a step-up opened twice", func(t *testing.T) {
		t.Parallel()
		s, out := mailSite(t, nil)
		b := s.withMail(out)
		b.login("ann")
		b.signInByMail(out)
		s.clock.Advance(10 * time.Minute)
		out.Clear()
		const at, method, verify = "/mfa/step-up?next=%2Forders&rule=300", "/mfa/step-up/method", "/mfa/step-up/verify"
		first, second := b.get(at).want(200), b.get(at).want(200)
		b.post(method, first.form(method)).want(200, sentTo)
		code := out.code(t, annsAddress)
		later := b.post(method, second.form(method)).want(429, notYet).without("still good", "We sent", "<title>Error").wantResend("Send a code", "09:12:00")
		if later.Header.Get("Retry-After") != "60" {
			t.Error(later.Header)
		}
		b.post(verify, set(later.form(verify), "code", code)).want(422, notYet).without("still good")
		paused := b.post(method, first.form(method)).want(429, stillGood)
		out.wantMails(t, 1)
		b.post(verify, set(paused.form(verify), "code", code)).wantRedirect("/orders")
	})
}

// a mail that could not be sent is told, also by a reload, and may be sent
// again at once.
func TestEmailNotSent(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil)
	s.withMail(out)
	out.Fail(errors.New("no connection to mail.example"))
	b := s.browser()
	to := b.post("/login", url.Values{"user": {"ann"}}).Header.Get("Location")
	var failed *response
	for range 2 {
		failed = b.get(to).want(200, "The code could not be sent. Please try again.", annsMasked).
			without("We sent", "mail.example", "aria-invalid").wantResend("Send again", "")
	}
	out.Fail(nil)
	step := b.follow(b.post("/mfa/sign-in/method", failed.form("/mfa/sign-in/method"))).want(200, sentTo)
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/")
}

// What an address says of a code is looked at before a page repeats it.
func TestSentInAddress(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil, pin{"totp"})
	s.withMail(out)
	b := s.browser()
	b.login("ann")
	at := func(d time.Duration) string { return strconv.FormatInt(s.clock.Now().Add(d).Unix(), 10) }
	for _, bad := range []string{
		"", "1", "x", "-1", "0x10", "99999999999999999999", "9223372036854775807", "-9223372036854775808", "paused", "paused-", "paused-x",
		"paused-9223372036854775807", "paused--1", "paused-paused-" + at(0), "failed-" + at(0), "sent", at(0) + " ", at(11 * time.Minute),
		at(-11 * time.Minute), "paused-" + at(25*time.Hour), "paused-" + at(-11*time.Minute),
		"later", "later-", "later-x", "later-paused-" + at(0), "paused-later-" + at(0), "later-" + at(25*time.Hour), "later-" + at(-11*time.Minute), "<script>",
	} {
		b.get(signInAt+"?sent="+url.QueryEscape(bad)).want(200).without("We sent", stillGood, "data-wait", `name="sent"`, "<script>").wantResend("Send a code", "")
	}
	b.get(signInAt+"?sent="+at(9*time.Minute)).want(200, sentTo).wantResend("Send again", "09:10:00")
	b.get(signInAt+"?sent="+at(-9*time.Minute)).want(200, sentTo).wantResend("Send again", "")
	b.get(signInAt+"?sent=paused-"+at(9*time.Minute)).want(200, stillGood).wantResend("Send again", "09:10:00")
	b.get(signInAt+"?sent=later-"+at(9*time.Minute)).want(200, notYet).without("still good").wantResend("Send a code", "09:10:00")
	b.get(signInAt+"?kind=backup&sent="+at(0)).want(200).without("We sent", "Send again")
	out.wantMails(t, 1)
}

// The picker lists the strongest first, with where codes go; coming back to email
// sends nothing needlessly.
func TestEmailPicker(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil, pin{"totp"})
	b := s.withMail(out)
	b.login("ann")
	b.signInByMail(out)
	scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}}).want(200)
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).wantRedirect("/mfa/?done=added")
	s.clock.Advance(time.Minute)
	out.Clear()

	c := s.browser()
	step := c.login("ann").want(200, "your authenticator app shows", "Code by email <small>"+annsMasked+"</small>")
	out.wantMails(t, 0)
	choices := step.forms("/mfa/sign-in/method")
	if choices[0].Get("kind") != "email" || choices[1].Get("kind") != "backup" {
		t.Error(choices)
	}
	byMail := c.follow(c.post("/mfa/sign-in/method", choices[0])).want(200, "Enter the code from the email", sentTo)
	c.follow(c.post("/mfa/sign-in/method", byMail.forms("/mfa/sign-in/method")[1])).want(200, "your authenticator app shows").without(sentTo)
	again := c.follow(c.post("/mfa/sign-in/method", choices[0])).want(200, "Enter the code from the email", stillGood)
	out.wantMails(t, 1)
	c.post("/mfa/sign-in/verify", set(again.form("/mfa/sign-in/verify"), "code", out.code(t, annsAddress))).wantRedirect("/")
}

// signInByMail passes both steps.
func (b *browser) signInByMail(out *outbox) {
	b.t.Helper()
	step := b.login("ann")
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", out.code(b.t, annsAddress))).wantRedirect("/")
}

// S3: the wizard for an address.
func TestEmailWizard(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil)
	b := s.browser()
	b.login("ann")
	field := `<input id="address" name="address" type="email" autocomplete="email" value="%s" maxlength="254" autocapitalize="off" spellcheck="false" required autofocus`
	first := b.get("/mfa/enroll?kind=email&address=eve@evil.example&next=/orders").
		want(200, `<label for="address">Email address</label>`, fmt.Sprintf(field, annsAddress), "<h1>Code by email</h1>").
		without(`name="name"`, "evil", "Leave it empty")
	form := first.form("/mfa/enroll")
	b.post("/mfa/enroll", set(form, "address", "ann at example")).want(422, "This address cannot be used",
		fmt.Sprintf(field, "ann at example")+` aria-describedby="address-help alert" aria-invalid="true"`)
	const typo = "amn@example.com"
	scan := b.post("/mfa/enroll", set(form, "address", typo)).
		want(200, "Confirm your address", "We sent a code to "+typo, "Enter the code from the email", codeField, "Another address").
		wantResend("Send again", "09:01:00")

	// Too soon: the page stays what it was.
	paused := b.post("/mfa/enroll", scan.form("/mfa/enroll")).want(429, stillGood, "09:01:00 UTC", codeField).
		without("<title>Error").wantResend("Send again", "09:01:00")
	if paused.Header.Get("Retry-After") != "60" {
		t.Error(paused.Header)
	}
	same := func(r *response, what string) {
		t.Helper()
		for _, name := range []string{"enrollment_id", "address", "kind", "next"} {
			if r.form("/mfa/confirm").Get(name) != scan.form("/mfa/confirm").Get(name) || r.form("/mfa/confirm").Get(name) == "" {
				t.Errorf("%s: another %s", what, name)
			}
		}
	}
	same(paused, "paused")
	// Another address, too soon: what was typed stays.
	b.get(regexp.MustCompile(`href="(/mfa/enroll[^"]*)">Another address`).FindStringSubmatch(scan.Body)[1]).want(200, annsAddress)
	b.post("/mfa/enroll", set(form, "address", "other@example.com")).
		want(429, "Another code can be sent at", "09:01:00 UTC", fmt.Sprintf(field, "other@example.com"), `data-wait="2026-03-02T09:01:00Z">Continue`).
		without("Nothing is checked", "aria-invalid")

	wrong := b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", wrongFor(out.code(t, typo)))).
		want(422, "That was not accepted", "We sent a code to "+typo).wantResend("Send again", "09:01:00")
	same(wrong, "wrong")
	// What a browser sends is shown as text.
	for _, name := range []string{"address", "hint"} {
		form := set(scan.form("/mfa/confirm"), "address", "", name, `"><script>alert(1)</script>`, "code", "x")
		b.post("/mfa/confirm", form).want(422, `We sent a code to "><script>alert`).without("<script>alert")
	}
	s.clock.Advance(time.Minute)
	again := b.post("/mfa/enroll", wrong.form("/mfa/enroll")).want(200, "We sent a code to "+typo).wantResend("Send again", "09:02:00")
	same(again, "sent again")
	out.wantMails(t, 2)

	// One that cannot be sent is told, and the next may follow at once.
	s.clock.Advance(time.Minute)
	out.Fail(errors.New("no connection to mail.example"))
	failed := b.post("/mfa/enroll", set(form, "address", annsAddress)).want(200, "The code could not be sent").
		without("We sent", "mail.example").wantResend("Send again", "")
	out.Fail(nil)
	scan = b.post("/mfa/enroll", failed.form("/mfa/enroll")).want(200, "We sent a code to "+annsAddress)
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", out.code(t, annsAddress))).want(200, "SAVED-1-CODE0").form("/orders")
	b.get("/mfa/").want(200, annsMasked)
	if seen := b.seen.String() + b.set.String(); strings.Contains(seen, "ann") && regexp.MustCompile(`a[mn]n(@|%40)`).MatchString(seen) {
		t.Error("an address is in an address, a header or a cookie")
	}
	s.clock.Advance(11 * time.Minute)
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", "111111")).want(422, "This setup has ended")
}

// A user has one address: it is changed, not added.
func TestEmailChangeOfAddress(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil, pin{"totp"})
	b := s.withMail(out)
	page := b.get("/mfa/").want(200, `href="/mfa/enroll?kind=email" aria-label="Change address: Email">Change address</a>`, annsMasked, "Add a method").
		without("Old address", "/mfa/rename", `<span class="mfa-with"><svg class="mfa-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="M12 5.5v13M5.5 12h13"/></svg>Email`)
	if n := strings.Count(page.Body, "kind=email"); n != 1 {
		t.Errorf("the way to an address is there %d times", n)
	}
	page.want(200, `<rect x="3" y="5" width="18" height="14"`) // an envelope

	s.clock.Advance(6 * time.Minute)
	b.signInByMail(out)
	b.get("/mfa/enroll?kind=email&address=eve@evil.example").want(200, "<h1>Change address</h1>", "Codes go to "+annsMasked+" until", `value=""`)

	const fresh = "ann@new.example"
	s.mu.Lock()
	s.email = fresh
	s.mu.Unlock()
	b.get("/mfa/").want(200, "Old address", "Your account has a new email address. Codes still go to the old one until you confirm the new one.")
	first := b.get("/mfa/enroll?kind=email").want(200, `value="`+fresh+`"`)
	s.clock.Advance(time.Minute)
	b.post("/mfa/enroll", set(first.form("/mfa/enroll"), "address", "x")).want(422, "<h1>Change address</h1>", annsMasked)
	scan := b.post("/mfa/enroll", first.form("/mfa/enroll")).want(200, "We sent a code to "+fresh)
	done := b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", out.code(t, fresh)))
	done.wantRedirect("/mfa/?done=changed")
	b.get("/mfa/?done=changed").want(200, "Your address was changed.", "a…@new.example").without(annsMasked, "Old address")
}

// Without its sender the method is there, but cannot be changed.
func TestAddressThatCannotBeChanged(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil)
	b := s.withMail(out)
	s.policy["ann"] = mfa.Policy{Offer: []mfa.Kind{"backup"}}
	b.get("/mfa/").want(200, annsMasked).without("Change address", "/mfa/rename", "kind=email")
}

// A method that is not on offer has no form, like one that is not there at all;
// what the user has of it keeps its page.
func TestWizardOfWhatIsNotOffered(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil, pin{"totp"})
	s.policy["bob"] = mfa.Policy{Offer: []mfa.Kind{"backup", "totp"}}
	b := s.browser()
	b.login("bob").wantRedirect("/")
	b.get("/mfa/enroll?kind=none").want(404)
	b.get("/mfa/enroll?kind=email").want(404, "Nothing here").without("<form", "address")
	b.get("/mfa/enroll?kind=totp").want(200, "<form")
	ann := s.withMail(out)
	s.policy["ann"] = s.policy["bob"]
	ann.login("ann")
	ann.signInByMail(out)
	ann.get("/mfa/enroll?kind=email").want(200, "Change address")
}

func TestEmailForcedEnrollment(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil)
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	b := s.browser()
	first := b.login("ann").want(200, "Email address", "Leave it empty to use the address of your account.", `value=""`).
		without(`spellcheck="false" required`, `name="name"`)
	b.post("/mfa/sign-in/enroll", set(first.form("/mfa/sign-in/enroll"), "address", "x")).want(422, "This address cannot be used")
	scan := b.post("/mfa/sign-in/enroll", first.form("/mfa/sign-in/enroll")).want(200, sentTo).wantResend("Send again", "09:01:00")
	b.post("/mfa/sign-in/enroll", first.form("/mfa/sign-in/enroll")).want(429, stillGood)
	paused := b.post("/mfa/sign-in/enroll", scan.form("/mfa/sign-in/enroll")).want(429, stillGood)
	code := out.code(t, annsAddress)
	b.post("/mfa/sign-in/confirm", set(paused.form("/mfa/sign-in/confirm"), "code", wrongFor(code))).want(422, stillGood)
	wrong := b.post("/mfa/sign-in/confirm", set(scan.form("/mfa/sign-in/confirm"), "code", wrongFor(code))).want(422, sentTo)
	b.follow(b.post("/mfa/sign-in/method", wrong.forms("/mfa/sign-in/method")[0])).want(200, "Email address")
	s.clock.Advance(time.Minute)
	again := b.post("/mfa/sign-in/enroll", wrong.form("/mfa/sign-in/enroll")).want(200, sentTo)
	b.post("/mfa/sign-in/confirm", set(again.form("/mfa/sign-in/confirm"), "code", out.code(t, annsAddress))).want(200, "SAVED-1-CODE0")
}

func TestEmailAPI(t *testing.T) {
	t.Parallel()
	s, out := mailSite(t, nil)
	b := s.browser()
	b.login("ann")
	enroll := map[string]any{"kind": "email", "address": annsAddress}
	challenge := func(b *browser, path string, body map[string]any) map[string]any {
		t.Helper()
		r, o := b.json(path, body)
		r.want(200)
		return o["challenge"].(map[string]any)
	}
	out.Fail(errors.New("no connection"))
	if c := challenge(b, "/mfa/api/settings/enroll", enroll); c["sent"] != false || c["hint"] != annsMasked {
		t.Error(c)
	}
	out.Fail(nil)
	r, o := b.json("/mfa/api/settings/enroll", enroll)
	if c := o["challenge"].(map[string]any); r.Code != 200 || c["sent"] != true || c["resend"] != "2026-03-02T09:01:00Z" {
		t.Error(r.Code, c)
	}
	r, again := b.json("/mfa/api/settings/enroll", enroll)
	if c := again["challenge"].(map[string]any); r.Code != 200 || again["id"] != o["id"] || c["earlier"] != true || c["resend"] != "2026-03-02T09:01:00Z" {
		t.Error(r.Code, c)
	}
	other := map[string]any{"kind": "email", "address": "other@example.com"}
	if r, p := b.json("/mfa/api/settings/enroll", other); r.Code != 429 || p["retry_after"] != 60.0 || !strings.Contains(p["detail"].(string), "or sent") {
		t.Error(r.Code, p)
	}
	b.json("/mfa/api/settings/confirm", map[string]any{"kind": "email", "enrollment_id": o["id"], "code": out.code(t, annsAddress)})
	factor := func() map[string]any {
		t.Helper()
		for _, f := range b.get("/mfa/api/settings").want(200).object()["factors"].([]any) {
			if f := f.(map[string]any); f["kind"] == "email" {
				return f
			}
		}
		t.Fatal("no such factor")
		return nil
	}
	if f := factor(); f["single"] != true || f["stale"] != nil {
		t.Error(f)
	}
	s.mu.Lock()
	s.email = "ann@new.example"
	s.policy["bob"] = mfa.Policy{Demand: mfa.Required}
	s.mu.Unlock()
	if f := factor(); f["stale"] != true {
		t.Error(f)
	}

	bob := s.browser()
	_, o = bob.json("/login?user=bob", nil)
	out.Fail(errors.New("no connection"))
	if c := challenge(bob, "/mfa/api/sign-in/enroll", map[string]any{"kind": "email", "token": o["token"]}); c["sent"] != false || c["hint"] != "a…@new.example" {
		t.Error(c)
	}
}

// Another channel has words of its own, and German ones are as good.
func TestAddressTexts(t *testing.T) {
	t.Parallel()
	broken := false
	s := newSite(t, &mfahttp.Options{Texts: map[string]mfahttp.Texts{"en": {Kinds: map[mfa.Kind]mfahttp.KindTexts{
		"post": {Name: "Text message", Use: "Code by text message", Address: "Telephone number"},
	}}}}, post{&broken}, emailotp.New(&outbox{}, nil), backup{})
	b := s.browser()
	b.login("ann")
	b.get("/mfa/enroll?kind=post").want(200, ">Telephone number<", "<h1>Code by text message</h1>", "We send the first code there now", `type="text"`,
		`name="name"`).without("email")
	b.header.Set("Accept-Language", "de")
	b.get("/mfa/enroll?kind=post").want(200, ">Adresse<")
	first := b.get("/mfa/enroll?kind=email").want(200, ">E-Mail-Adresse<", "<h1>Code per E-Mail</h1>")
	form := set(first.form("/mfa/enroll"), "address", annsAddress)
	b.post("/mfa/enroll", form).want(200, "Wir haben einen Code an "+annsAddress+" geschickt.", "Erneut schicken",
		`data-wait-text="Erneut schicken in {time}"`, "Ein weiterer Code kann um")
}
