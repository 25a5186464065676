package mfahttp_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfahttp"
)

func TestSignInNothingSetUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.login("ann").wantRedirect("/")
	b.login("ann", "next", "/orders?id=1").wantRedirect("/orders?id=1")
	b.login("ann", "next", "//evil.example").wantRedirect("/")
	if b.cookies["__Host-mfa"] != "" {
		t.Error("a cookie without need")
	}
}

func TestSignInByApp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	b := s.browser()
	before := s.starts()
	step := b.login("ann", "next", "/orders").want(200, "One more step", "my phone",
		`autocomplete="one-time-code"`, `inputmode="numeric"`, "Backup code")
	if s.starts() != before {
		t.Fatal("a session before the second step (R-100)")
	}
	if strings.Contains(step.Body, "the-password") {
		t.Error("the password is on the page (R-115)")
	}
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code(1))).wantRedirect("/orders")
	if s.starts() != before+1 {
		t.Error("StartSession was not called once (R-104)")
	}
	b.get("/vault").want(200, "for ann alone")
}

// A page needs no more than its own fields: whatever else is said about who it
// is counts for nothing.
func TestSignInIsAboutItsToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	s.browser().enroll("bob")
	b := s.browser()
	step := b.login("ann").want(200)
	form := set(step.form("/mfa/sign-in/verify"), "code", code(1), "user", "bob", "user_id", "bob", "UserID", "bob")
	b.post("/mfa/sign-in/verify?user=bob&token=x", form).wantRedirect("/")
	b.get("/vault").want(200, "for ann alone")

	for name, token := range map[string]string{
		"none": "", "nonsense": "nonsense", "cut": form.Get("token")[:40], "longer": form.Get("token") + "A",
		"spent": form.Get("token"), "huge": strings.Repeat("A", 60000), "NUL": "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.browser()
			c.cookies["__Host-mfa"] = b.cookies["__Host-mfa"]
			r := c.post("/mfa/sign-in/verify", url.Values{"token": {token}, "kind": {"totp"}, "code": {code(2)}})
			r.wantRedirect("/mfa/sign-in/over")
			c.get("/mfa/sign-in/over").want(200, "This sign-in has ended", "Start again")
			rr, o := c.json("/mfa/api/sign-in/verify", map[string]any{"token": token, "kind": "totp", "code": code(2)})
			if rr.Code != 422 || o["type"] != mfahttp.ProblemRejected {
				t.Errorf("%d %v", rr.Code, o)
			}
			if c.cookies["app"] != "" {
				t.Error("signed in")
			}
		})
	}
}

// The token alone is worth nothing in another browser.
func TestSignInIsTiedToTheBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	b := s.browser()
	form := set(b.login("ann").form("/mfa/sign-in/verify"), "code", code(1))
	thief := s.browser()
	thief.post("/mfa/sign-in/verify", form).wantRedirect("/mfa/sign-in/over")
	thief.login("bob") // nothing set up: no cookie
	thief.cookies["__Host-mfa"] = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	thief.post("/mfa/sign-in/verify", form).wantRedirect("/mfa/sign-in/over")
	b.post("/mfa/sign-in/verify", form).wantRedirect("/")
}

func TestCookies(t *testing.T) {
	t.Parallel()
	ann := url.Values{"user": {"ann"}}
	cookie := func(t *testing.T, r *response, name string) *http.Cookie {
		t.Helper()
		cs := (&http.Response{Header: r.Header}).Cookies()
		i := slices.IndexFunc(cs, func(c *http.Cookie) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("no cookie %s in %v", name, cs)
		}
		return cs[i]
	}
	t.Run("secure", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.browser().enroll("ann")
		b := s.browser()
		c := cookie(t, b.post("/login", ann), "__Host-mfa")
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 26 {
			t.Errorf("%+v", c)
		}
		if r := b.login("ann"); len(r.Header["Set-Cookie"]) != 0 {
			t.Error("it is changed by a second sign-in, which ends the first tab's")
		}
		b.cookies["__Host-mfa"] = "short"
		if c := cookie(t, b.post("/login", ann), "__Host-mfa"); c.Value == "short" {
			t.Error("a weak one is kept")
		}
	})
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, &mfahttp.Options{AllowHTTP: true})
		s.browser().enroll("ann")
		r := s.browser().post("/login", ann)
		for _, name := range []string{"http-mfa", "http-mfa-step"} {
			if c := cookie(t, r, name); c.Secure || !c.HttpOnly {
				t.Errorf("%+v", c)
			}
		}
	})
}

func TestSignInByBackupCode(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	b := s.browser()
	step := b.login("ann")
	// Choosing a method is no step forward.
	before := s.starts()
	step = b.follow(b.post("/mfa/sign-in/method", step.form("/mfa/sign-in/method"))).want(200, "Backup code", `autocapitalize="characters"`)
	if s.starts() != before {
		t.Fatal("signed in by a choice")
	}
	form := step.form("/mfa/sign-in/verify")
	if form.Get("kind") != "backup" {
		t.Fatal(form)
	}
	b.post("/mfa/sign-in/verify", set(form, "code", backupCode(1, 0))).wantRedirect("/")
	b.get("/mfa/").want(200, "9 left")
}

// the four verdicts share one status and one body, on the page and as
// JSON.
func TestRejectedAnswersAreAlike(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pages, problems := map[string][]string{}, map[string][]string{}
	for i, answer := range []string{pinWrong, pinExpired, pinNotEnrolled, pinRight, "12345", "", "\x00", "<script>"} {
		user := "user" + string(rune('a'+i))
		s.browser().enroll(user)
		b := s.browser()
		b.cookies["__Host-mfa"] = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
		form := set(b.login(user).form("/mfa/sign-in/verify"), "code", answer)
		r := b.post("/mfa/sign-in/verify", form).want(422, "That was not accepted")
		body := strings.ReplaceAll(r.Body, form.Get("token"), "TOKEN")
		pages[body] = append(pages[body], answer)
		j, _ := b.json("/mfa/api/sign-in/verify", map[string]any{"token": form.Get("token"), "kind": "totp", "code": answer})
		if j.Code != 422 || j.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %d %v", answer, j.Code, j.Header)
		}
		problems[j.Body] = append(problems[j.Body], answer)
	}
	if len(pages) != 1 {
		t.Errorf("pages: %d kinds", len(pages))
	}
	if len(problems) != 1 {
		t.Errorf("problems: %v", problems)
	}
}

// past the limit the answer is 429 with the time to wait, the
// same for a right code.
func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	b := s.browser()
	step := b.login("ann")
	form := step.form("/mfa/sign-in/verify")
	for range 5 {
		b.post("/mfa/sign-in/verify", set(form, "code", pinWrong)).want(422)
	}
	wrong := b.post("/mfa/sign-in/verify", set(form, "code", pinWrong)).want(429, "Too many attempts", "09:00:30 UTC", `data-wait=`)
	right := b.post("/mfa/sign-in/verify", set(form, "code", code(1))).want(429)
	if wrong.Body != right.Body || wrong.Header.Get("Retry-After") != "30" || right.Header.Get("Retry-After") != "30" {
		t.Errorf("told apart; Retry-After %q and %q", wrong.Header.Get("Retry-After"), right.Header.Get("Retry-After"))
	}
	r1, o := b.json("/mfa/api/sign-in/verify", map[string]any{"token": form.Get("token"), "kind": "totp", "code": pinWrong})
	r2, _ := b.json("/mfa/api/sign-in/verify", map[string]any{"token": form.Get("token"), "kind": "totp", "code": code(1)})
	if r1.Code != 429 || r1.Body != r2.Body || r1.Header.Get("Retry-After") != "30" ||
		o["type"] != mfahttp.ProblemTooMany || o["retry_after"] != 30.0 {
		t.Errorf("%d %v", r1.Code, o)
	}
	// The password again changes nothing.
	again := b.login("ann").want(200)
	b.post("/mfa/sign-in/verify", set(again.form("/mfa/sign-in/verify"), "code", code(1))).want(429)
	s.clock.Advance(31 * time.Second)
	b.post("/mfa/sign-in/verify", set(form, "code", code(1))).wantRedirect("/")
}

// without a sign-in of one's own there is nothing to count.
func TestNoBudgetWithoutFirstFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	stranger := s.browser()
	for range 30 {
		stranger.post("/mfa/sign-in/verify", url.Values{"token": {"x"}, "kind": {"totp"}, "code": {pinWrong}, "user": {"ann"}})
		stranger.json("/mfa/api/sign-in/verify", map[string]any{"token": "x", "kind": "totp", "code": pinWrong})
	}
	s.browser().signIn("ann", code(1))
}

func TestFailuresOnThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	for _, answer := range []string{pinUnavailable, pinUnknown, pinBusy} {
		b := s.browser()
		form := set(b.login("ann", "next", "/orders").form("/mfa/sign-in/verify"), "code", answer)
		r := b.post("/mfa/sign-in/verify", form).want(503, "Trying again is safe", "Try again")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		again := r.form("/mfa/sign-in/verify")
		if again.Get("token") != form.Get("token") || again.Get("code") != answer || again.Get("next") != "/orders" {
			t.Errorf("the form does not repeat what was asked: %v", again)
		}
		j, o := b.json("/mfa/api/sign-in/verify", map[string]any{"token": form.Get("token"), "kind": "totp", "code": answer})
		if j.Code != 503 || o["type"] != mfahttp.ProblemUnavailable || j.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", j.Code, o)
		}
	}
	b := s.browser()
	form := b.login("ann").form("/mfa/sign-in/verify")
	r := b.post("/mfa/sign-in/verify", set(form, "code", pinBroken)).want(500, "Something went wrong")
	if strings.Contains(r.Body, "broken") || strings.Contains(r.Body, secretText) {
		t.Error("the error's text is on the page")
	}
	s.store.set(true)
	b.post("/mfa/sign-in/verify", set(form, "code", code(1))).want(503)
	b.login("ann").want(503, "Please try again in a moment")
	s.store.set(false)
	b.post("/mfa/sign-in/verify", set(form, "code", code(1))).wantRedirect("/")
	s.store.set(true)
	b.get("/mfa/").want(503)
	b.get("/vault").want(503)
	b.get("/mfa/step-up").want(503)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	b := s.browser()
	step := b.login("ann")
	b.post("/mfa/sign-in/cancel", step.form("/mfa/sign-in/cancel")).wantRedirect("/login")
	if b.cookies["__Host-mfa-step"] != "" {
		t.Error("the token is kept")
	}
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code(1))).wantRedirect("/mfa/sign-in/over")
	b.post("/mfa/sign-in/cancel", url.Values{}).wantRedirect("/login")
}

// The cookie of one tab is not the form of another: what is sent is about what
// the page showed.
func TestTwoUsersInTwoTabs(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	s.browser().enroll("bob")
	b := s.browser()
	ann := b.login("ann")
	b.login("bob")
	// Choosing a method in the first tab chooses it for the first.
	chosen := b.follow(b.post("/mfa/sign-in/method", ann.form("/mfa/sign-in/method")))
	b.post("/mfa/sign-in/verify", set(chosen.form("/mfa/sign-in/verify"), "code", backupCode(1, 0))).wantRedirect("/")
	b.get("/vault").want(200, "for ann alone")
}

// whatever is done twice, in two tabs or by going back ends in a
// sensible page.
func TestTwiceTwoTabsBackReload(t *testing.T) {
	t.Parallel()
	t.Run("double click", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.browser().enroll("ann")
		b := s.browser()
		form := set(b.login("ann", "next", "/orders").form("/mfa/sign-in/verify"), "code", code(1))
		b.post("/mfa/sign-in/verify", form).wantRedirect("/orders")
		b.post("/mfa/sign-in/verify", form).wantRedirect("/mfa/sign-in/over?next=%2Forders")
		b.get("/mfa/sign-in/over?next=%2Forders").wantRedirect("/orders")
		if s.starts() != 3 { // enrolment, its confirmation, this
			t.Errorf("%d sessions", s.starts())
		}
	})
	t.Run("two tabs", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.browser().enroll("ann")
		b := s.browser()
		one := set(b.login("ann").form("/mfa/sign-in/verify"), "code", code(1))
		two := set(b.login("ann").form("/mfa/sign-in/verify"), "code", code(1))
		b.post("/mfa/sign-in/verify", one).wantRedirect("/")
		// It was one sign-in in two tabs, and is done.
		b.post("/mfa/sign-in/verify", two).wantRedirect("/mfa/sign-in/over")
		b.get("/mfa/sign-in/over").wantRedirect("/")
	})
	t.Run("reload and address bar", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.browser().enroll("ann")
		b := s.browser()
		ats := []string{"", "/verify", "/method", "/cancel", "/enroll", "/confirm"}
		for _, at := range ats {
			b.get("/mfa/sign-in"+at).want(200, "This sign-in has ended")
		}
		step := b.login("ann", "next", "/orders")
		for _, at := range ats {
			again := b.get("/mfa/sign-in"+at+"?next=/orders").want(200, "One more step")
			if again.form("/mfa/sign-in/verify").Encode() != step.form("/mfa/sign-in/verify").Encode() {
				t.Errorf("%s: another form", at)
			}
		}
		wrong := b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", pinWrong))
		wrong.want(422, `data-here="/mfa/sign-in?kind=totp&next=%2Forders"`)
		b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code(1))).wantRedirect("/orders")
		if b.cookies["__Host-mfa-step"] != "" {
			t.Error("the token is kept")
		}
		for _, at := range ats {
			b.get("/mfa/sign-in" + at).wantRedirect("/")
		}
		for _, at := range []string{"confirm", "codes/download"} {
			b.get("/mfa/" + at).wantRedirect("/mfa/")
		}
	})
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		restart := func() { s.build(nil, pin{"totp"}, backup{}) }
		b := s.browser()
		b.login("ann")
		restart()
		scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}})
		restart()
		b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).want(200, "SAVED-1-CODE0")
		restart()
		step := b.login("ann")
		restart()
		b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code(1))).wantRedirect("/")
		restart()
		b.get("/vault").want(200)
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.browser().enroll("ann")
		b := s.browser()
		form := set(b.login("ann").form("/mfa/sign-in/verify"), "code", code(1))
		s.clock.Advance(11 * time.Minute)
		b.post("/mfa/sign-in/verify", form).wantRedirect("/mfa/sign-in/over")
	})
	t.Run("confirmed twice", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		b := s.browser()
		b.login("ann")
		scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}})
		form := set(scan.form("/mfa/confirm"), "code", pinRight)
		old := b.cookies["app"]
		b.post("/mfa/confirm", form).want(200, "SAVED-1-CODE0")
		again := b.post("/mfa/confirm", form).want(422, "This setup has ended") // reloaded
		if strings.Contains(again.Body, "SAVED") || strings.Contains(again.Body, secretText) {
			t.Error("shown again after confirmation (R-033)")
		}
		b.cookies["app"] = old // the second click of two: its session has ended
		b.post("/mfa/confirm", form).wantRedirect("/login?next=%2Fmfa%2F")
	})
	t.Run("removed twice", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		b := s.browser().enroll("ann").signIn("ann", code(1))
		b.post("/mfa/off", nil).wantRedirect("/mfa/off/done")
		b.post("/mfa/off", nil).wantRedirect("/mfa/off/done")
	})
}

func TestForcedEnrollment(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	b := s.browser()
	start := b.login("ann", "next", "/orders").want(200, "Your account has to be protected", "Microsoft Authenticator")
	if b.cookies["app"] != "" {
		t.Fatal("signed in before anything is set up")
	}
	// A verification is nothing here; a bad name is told.
	b.post("/mfa/sign-in/verify", set(start.form("/mfa/sign-in/enroll"), "code", pinRight)).want(422, "Your account has to be protected")
	b.post("/mfa/sign-in/enroll", set(start.form("/mfa/sign-in/enroll"), "name", strings.Repeat("x", 65))).want(422, "This name cannot be used")
	scan := b.post("/mfa/sign-in/enroll", set(start.form("/mfa/sign-in/enroll"), "name", "my phone")).want(200, "Scan this code", secretText)
	scan = b.post("/mfa/sign-in/confirm", set(scan.form("/mfa/sign-in/confirm"), "code", pinWrong)).want(422, "That was not accepted", secretText)
	form := set(scan.form("/mfa/sign-in/confirm"), "code", pinRight)
	done := b.post("/mfa/sign-in/confirm", form).want(200, "SAVED-1-CODE0", "I saved these codes")
	done.form("/orders")
	if b.cookies["app"] == "" {
		t.Fatal("not signed in")
	}
	b.get("/mfa/").want(200, "my phone")
	b.post("/mfa/sign-in/confirm", form).wantRedirect("/mfa/sign-in/over?next=%2Forders")
	b.get("/mfa/sign-in/over?next=%2Forders").wantRedirect("/orders")
	b.get("/mfa/off") // needs a second factor, which was not proven yet
	b.signIn("ann", code(1))
	b.post("/mfa/off", nil).want(403, "has to keep")
}

// What is shown once is shown although the application's session failed.
func TestCodesAreShownWithoutSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	b := s.browser()
	start := b.login("ann")
	scan := b.post("/mfa/sign-in/enroll", start.form("/mfa/sign-in/enroll"))
	s.mu.Lock()
	s.noStart = errors.New("disk full")
	s.mu.Unlock()
	b.post("/mfa/sign-in/confirm", set(scan.form("/mfa/sign-in/confirm"), "code", pinRight)).
		want(200, "SAVED-1-CODE0", "could not be completed")
	b.login("bob").want(500, "Something went wrong")
}

// What a page says nothing of, the application can log. What a user did is no
// error of the application's.
func TestOnError(t *testing.T) {
	t.Parallel()
	var got []string
	s := newSite(t, &mfahttp.Options{OnError: func(r *http.Request, err error) {
		if errors.Is(err, mfa.ErrUnavailable) {
			err = mfa.ErrUnavailable
		}
		got = append(got, r.URL.Path+": "+err.Error())
	}})
	enrolling := s.browser()
	enrolling.login("bob")
	enrolled := s.browser()
	enrolled.enroll("ann")
	b := s.browser()
	form := b.login("ann").form("/mfa/sign-in/verify")
	b.post("/mfa/sign-in/verify", set(form, "code", pinWrong)).want(422)
	b.get("/mfa/nothing").want(404)
	if len(got) > 0 {
		t.Fatal(got)
	}
	b.post("/mfa/sign-in/verify", set(form, "code", pinBroken)).want(500)
	s.store.set(true)
	b.post("/mfa/sign-in/verify", set(form, "code", code(1))).want(503)
	s.store.set(false)
	scan := enrolling.post("/mfa/enroll", url.Values{"kind": {"totp"}})
	s.mu.Lock()
	s.noStart = errors.New("disk full")
	s.mu.Unlock()
	enrolling.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).want(200, "SAVED-1-CODE0")
	b.login("eve").want(500)
	want := []string{
		"/mfa/sign-in/verify: broken: " + secretText, "/mfa/sign-in/verify: " + mfa.ErrUnavailable.Error(),
		"/mfa/confirm: disk full", "/login: disk full",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// S10: an exemption never passes a page, nor what only says that it is none.
func TestExemption(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.policy["robot"] = mfa.Policy{Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByAPIKey, mfa.ByPassword}}
	b := s.browser()
	before := s.starts()
	b.login("robot").want(403, "This account is for programs")
	r, o := b.json("/login?user=robot", nil)
	if r.Code != 403 || o["type"] != mfahttp.ProblemExempt {
		t.Errorf("%d %v", r.Code, o)
	}
	if s.starts() != before {
		t.Error("a session")
	}
	b.post("/token", url.Values{"user": {"robot"}}).want(200, "token of robot")

	// A protected person gets a typed answer that says what to do.
	s.browser().enroll("ann")
	r = s.browser().post("/token", url.Values{"user": {"ann"}}).want(403)
	if o := r.object(); o["type"] != mfahttp.ProblemSecondFactor || o["sign_in"] != "/login" ||
		r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%v %v", o, r.Header)
	}
	s.mu.Lock()
	s.policy["new"] = mfa.Policy{Demand: mfa.Required}
	s.mu.Unlock()
	if o := s.browser().post("/token", url.Values{"user": {"new"}}).want(403).object(); o["type"] != mfahttp.ProblemMustEnroll {
		t.Error(o)
	}
	s.browser().post("/token", url.Values{"user": {"bob"}}).want(200, "token of bob")
}

func TestNoMethod(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	s.build(nil, pin{"other"})
	b := s.browser()
	b.login("ann").want(403, "No method can be used here")
	if r, o := b.json("/login?user=ann", nil); r.Code != 403 || o["type"] != mfahttp.ProblemNoMethod {
		t.Errorf("%d %v", r.Code, o)
	}
}

// digits of every script are digits.
func TestDigitsOfEveryScript(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser().enroll("ann")
	for _, typed := range []string{"１００００１", "١٠٠٠٠٢", "१००००३", "𝟏𝟎𝟎𝟎𝟎𝟒"} {
		s.browser().signIn("ann", typed)
	}
	b := s.browser()
	step := b.login("ann")
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", "100004")).want(422) // used
}
