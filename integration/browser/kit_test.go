package browser

// A browser, the application as its own process, and the tools of a person with
// a phone.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// need returns the path of a program, or skips the test: in CI it fails.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("MFA_CI") != "" {
			t.Fatalf("%s is missing", program)
		}
		t.Skipf("%s is missing: nothing to test with", program)
	}
	return path
}

// A site is the example application in a process of its own.
type site struct {
	t         testing.TB
	exe, addr string
	dir       string
	cmd       *exec.Cmd
	out       *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newSite builds the application and starts it on a database file of its own.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), exe: filepath.Join(t.TempDir(), "webapp")}
	_, here, _, _ := runtime.Caller(0)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.exe, ".")
	build.Dir = filepath.Join(filepath.Dir(here), "..", "..", "examples", "webapp")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the application: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) url(path string) string { return "http://" + s.addr + path }

func (s *site) start() {
	s.t.Helper()
	s.out = &syncBuffer{}
	s.cmd = exec.Command(s.exe, "-addr", s.addr, "-db", filepath.Join(s.dir, "site.db"))
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(s.url("/"))
		if err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the application does not answer: %v\n%s", err, s.out)
		}
	}
}

func (s *site) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// restart kills the application and starts it on the same file.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// A page is one tab.
type page struct {
	t    testing.TB
	ctx  context.Context
	shot string // the folder for screenshots, "" for none
}

// newBrowser starts Chromium with an empty profile and returns its first tab.
func newBrowser(t testing.TB) *page {
	t.Helper()
	chromium := need(t, cmp.Or(os.Getenv("MFA_CHROMIUM"), "chromium"))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(chromium), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	return firstPage(&page{t: t, ctx: ctx, shot: os.Getenv("MFA_SHOTS")})
}

// tab returns another tab of the same browser, with the same cookies.
func (p *page) tab() *page {
	p.t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx)
	p.t.Cleanup(cancel)
	return firstPage(&page{t: p.t, ctx: ctx, shot: p.shot})
}

// firstPage makes the tab: it lives as long as the context of its first action.
func firstPage(p *page) *page {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate("about:blank")); err != nil {
		p.t.Fatal(err)
	}
	return p
}

const patience = 20 * time.Second

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%v\non %s", err, p.describe())
	}
}

func eval[T any](p *page, js string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// describe is what a person would see, for a failed test.
func (p *page) describe() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + "\n" + document.title + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (p *page) open(u string) { p.t.Helper(); p.do(chromedp.Navigate(u)) }

// back presses Back, and waits until the page before is there: it may come from
// memory, with no event that says so.
func (p *page) back() {
	p.t.Helper()
	was := eval[float64](p, `performance.timeOrigin`)
	_ = eval[int](p, `history.back(), 0`)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if eval[float64](p, `document.readyState === "complete" ? performance.timeOrigin : `+fmt.Sprint(was)) != was {
			return
		}
	}
}

func (p *page) text() string { p.t.Helper(); return eval[string](p, `document.body.innerText`) }

// wait waits until the page shows every one of the texts, whatever their case.
func (p *page) wait(texts ...string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		seen, missing := strings.ToLower(p.describe()), ""
		for _, text := range texts {
			if !strings.Contains(seen, strings.ToLower(text)) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("the page does not say %q:\n%s", missing, p.describe())
		}
	}
}

func (p *page) has(text string) bool {
	p.t.Helper()
	return strings.Contains(strings.ToLower(p.text()), strings.ToLower(text))
}

// fill types into the field of that name, over what is there. It finds the field
// by the page's own means: chromedp's SendKeys reads a node while another
// goroutine of its own writes to it.
func (p *page) fill(name, value string) {
	p.t.Helper()
	js := fmt.Sprintf(`(() => {
		const e = document.querySelector('input[name=%q]:not([type=hidden])');
		if (!e || !e.checkVisibility()) return false;
		e.value = "";
		e.focus();
		return document.activeElement === e;
	})()`, name)
	for end := time.Now().Add(patience); !eval[bool](p, js); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("no field %q to type into:\n%s", name, p.describe())
		}
	}
	p.do(chromedp.KeyEvent(value))
}

// choose takes an option of the select of that name.
func (p *page) choose(name, value string) {
	p.t.Helper()
	p.do(chromedp.SetValue(chromedp.CSS(fmt.Sprintf("select[name=%q]", name)), value))
}

// click presses the button or link whose text or label begins so, and waits for
// the page that follows.
func (p *page) click(text string) {
	p.t.Helper()
	p.mark(text)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS("[data-test-target]"))); err != nil {
		p.t.Fatalf("clicking %q: %v\non %s", text, err, p.describe())
	}
}

// mark puts data-test-target on the one button or link that a person would
// press for that text.
func (p *page) mark(text string) {
	p.t.Helper()
	js := fmt.Sprintf(`(() => {
		document.querySelectorAll("[data-test-target]").forEach(e => e.removeAttribute("data-test-target"));
		const want = %q.toLowerCase();
		const words = e => (e.getAttribute("aria-label") || e.innerText || e.value || "").trim().toLowerCase();
		const seen = [...document.querySelectorAll("button, a[href], summary, input[type=submit]")]
			.filter(e => e.checkVisibility() && words(e).startsWith(want));
		const best = seen.find(e => words(e) === want) || seen[0];
		if (best) best.setAttribute("data-test-target", "");
		return seen.length;
	})()`, text)
	for end := time.Now().Add(patience); eval[int](p, js) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("nothing to press for %q:\n%s", text, p.describe())
		}
	}
}

// doubleClick presses twice, as fast as a person does.
func (p *page) doubleClick(text string) {
	p.t.Helper()
	p.mark(text)
	p.do(chromedp.DoubleClick(chromedp.CSS("[data-test-target]")))
}

// look takes the page's picture on a desktop and a phone, in light and dark,
// and checks that nothing sticks out on the phone.
func (p *page) look(name string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, screen := range []struct {
			name          string
			width, height int64
			scale         float64
		}{{"desktop", 1280, 900, 1}, {"phone", 360, 740, 2}} {
			ctx, cancel := context.WithTimeout(p.ctx, patience)
			err := errors.Join(
				chromedp.Do(ctx,
					chromedp.EmulateViewport(screen.width, screen.height, chromedp.EmulateScale(screen.scale)),
					chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
						_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
							Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
						})
						return err
					})))
			if err != nil {
				cancel()
				p.t.Fatal(err)
			}
			if wide := eval[int](p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
				p.t.Errorf("%s: %d pixels stick out on a %s", name, wide, screen.name)
			}
			if p.shot != "" {
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err == nil {
					err = os.WriteFile(filepath.Join(p.shot, fmt.Sprintf("%s-%s-%s.png", name, screen.name, scheme)), png, 0o644)
				}
				if err != nil {
					p.t.Error(err)
				}
			}
			cancel()
		}
	}
	// What is clicked next is found by where it lies: on the desktop again.
	p.do(chromedp.EmulateViewport(1280, 900))
	for end := time.Now().Add(patience); eval[int](p, `innerWidth`) != 1280; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the page stays %d pixels wide", eval[int](p, `innerWidth`))
		}
	}
}

// readQR photographs the page and reads the QR code on it, as a phone would.
func (p *page) readQR() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.t.TempDir(), "page.png")
	if err := os.WriteFile(file, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.Command(need(p.t, "zbarimg"), "-q", "--nodbus", "--raw", file).Output()
	if err != nil {
		p.t.Fatalf("no QR code on the page: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func clickOn(css string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(css)) }

// unlockButton makes a button that waits for the pause's end pressable, as it
// is without JavaScript.
func unlockButton() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[int](
			`document.querySelectorAll("button:disabled").forEach(b => b.disabled = false), 0`))
		return err
	})
}

// noScripts switches the page's JavaScript off; the tests' own goes on.
func noScripts() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// A phone is an authenticator app: oathtool with the secret that was scanned.
type phone struct {
	t      testing.TB
	secret string
}

func scan(t testing.TB, uri string) *phone {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") == "" {
		t.Fatalf("the QR code says %q", uri)
	}
	return &phone{t, u.Query().Get("secret")}
}

// code is the app's code at that time.
func (f *phone) code(at time.Time) string {
	f.t.Helper()
	cmd := exec.Command(need(f.t, "oathtool"), "--totp", "--base32", "-N", at.UTC().Format("2006-01-02 15:04:05 UTC"), "-")
	cmd.Stdin = strings.NewReader(f.secret)
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("oathtool: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// A watch gives codes in the order of their steps, each step once, as near to
// now as the window allows: before that it waits.
type watch struct {
	*phone
	last int64
}

const step = 30

func (w *watch) next() string {
	w.t.Helper()
	for {
		now := time.Now().Unix() / step
		s := max(w.last+1, now-1)
		// not the window's far edge, where the answer could come too late
		if s == now-1 && time.Now().Unix()%step > step-5 {
			s = now
		}
		if s <= now+1 {
			w.last = s
			return w.code(time.Unix(s*step, 0))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// An authenticator is a virtual one of the browser's: what is built in, or a
// security key. Its tab alone has it.
type authenticator struct {
	p  *page
	id webauthn.AuthenticatorID
}

// authenticator gives the tab one, which answers at once.
func (p *page) authenticator(o webauthn.VirtualAuthenticatorOptions) *authenticator {
	p.t.Helper()
	o.Protocol, o.Ctap2version = webauthn.AuthenticatorProtocolCtap2, webauthn.Ctap2versionCtap21
	o.AutomaticPresenceSimulation = true
	call(p, webauthn.Enable, webauthn.EnableParams{})
	made := call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o})
	return &authenticator{p, made.AuthenticatorID}
}

// builtIn is what a laptop or a phone has: it keeps passkeys and knows its user.
func (p *page) builtIn() *authenticator {
	p.t.Helper()
	return p.authenticator(webauthn.VirtualAuthenticatorOptions{
		Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
		DefaultBackupEligibility: true, DefaultBackupState: true,
	})
}

// securityKey is one for USB, without a PIN.
func (p *page) securityKey() *authenticator {
	p.t.Helper()
	return p.authenticator(webauthn.VirtualAuthenticatorOptions{Transport: webauthn.AuthenticatorTransportUsb})
}

// touched says whether somebody is there to touch it.
func (a *authenticator) touched(yes bool) {
	a.p.t.Helper()
	call(a.p, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: yes})
}

// verified says whether it knows the finger, face or PIN that it is given.
func (a *authenticator) verified(yes bool) {
	a.p.t.Helper()
	call(a.p, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: yes})
}

func (a *authenticator) credentials() []*webauthn.Credential {
	a.p.t.Helper()
	return call(a.p, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// add puts a credential into it that it had before.
func (a *authenticator) add(c *webauthn.Credential) {
	a.p.t.Helper()
	type params struct { // the command's own have more, which not every authenticator takes
		ID         webauthn.AuthenticatorID `json:"authenticatorId"`
		Credential map[string]any           `json:"credential"`
	}
	call(a.p, cdp.Command[params, cdp.Empty]{Method: webauthn.CommandAddCredential}, params{a.id, map[string]any{
		"credentialId": c.CredentialID, "isResidentCredential": c.IsResidentCredential, "rpId": c.RpID, "privateKey": c.PrivateKey,
		"userHandle": c.UserHandle, "signCount": c.SignCount, "backupEligibility": c.BackupEligibility, "backupState": c.BackupState,
	}})
}

func (a *authenticator) clear() {
	a.p.t.Helper()
	call(a.p, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: a.id})
}

// call sends a command of the browser's protocol to the tab.
func call[P, R any](p *page, cmd cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	var result R
	err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) (err error) {
		result, err = chromedp.Call(ctx, cmd, params)
		return err
	}))
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// press presses a button that does not lead to another page by itself.
func (p *page) press(text string) {
	p.t.Helper()
	p.mark(text)
	p.do(clickOn("[data-test-target]"))
}
