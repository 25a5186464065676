package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// addDevice adds one in the wizard and returns when the browser was asked.
func addDevice(p *page, s *site, name string, look bool) {
	p.t.Helper()
	p.open(s.url("/mfa/"))
	p.click("Passkey or security key")
	p.wait("Name for this device")
	if look {
		p.look("device-name")
	}
	p.fill("name", name)
	p.click("Continue")
	p.wait("Now your device", name)
	if look {
		p.look("device-add")
	}
	p.press("Add this device")
}

// firstDevice adds one, keeps its backup codes and tries it.
func firstDevice(p *page, s *site, name string, look bool) []string {
	p.t.Helper()
	addDevice(p, s, name, look)
	p.wait("Save your backup codes")
	codes := eval[[]string](p, `[...document.querySelectorAll(".mfa-codes code")].map(e => e.innerText)`)
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	p.wait("Try it once", name)
	if look {
		p.look("device-trial")
	}
	p.press("Try it")
	p.wait("and it works", name)
	return codes
}

const useDevice = "Use your device"

// S15, S16, S18: devices come, sign in, are renamed and go.
func TestDevices(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	laptop := p.builtIn()
	firstDevice(p, s, "my laptop", true)
	if got := laptop.credentials(); len(got) != 1 || !got[0].IsResidentCredential || got[0].UserName != email || got[0].RpID != "localhost" {
		t.Errorf("the laptop keeps %+v", got)
	}

	t.Log("the same device again")
	addDevice(p, s, "my laptop again", false)
	p.wait("This device was added before")
	p.look("device-registered")

	t.Log("a security key")
	laptop.touched(false)
	p.securityKey()
	addDevice(p, s, "blue key", false)
	p.wait("Try it once", "blue key")
	laptop.touched(true) // the trial asks for the new one alone
	p.press("Try it")
	p.wait("and it works", "my laptop", "blue key", "last used")
	p.look("devices")

	t.Log("the second step, by either")
	signOut(p, s)
	laptop.touched(false)
	signIn(p, s)
	p.wait("One more step", "Backup code")
	p.look("second-step-device")
	p.press(useDevice)
	p.wait("Good tea")

	t.Log("rename")
	p.open(s.url("/mfa/"))
	p.click("Rename: blue key")
	p.fill("name", "key on my ring")
	p.click("Save")
	p.wait("The name was changed", "key on my ring")

	t.Log("remove: the browser hears of it")
	p.click("Remove: my laptop")
	p.click("Remove")
	p.wait("The method was removed", "delete it there, too")
	if p.has("my laptop") {
		t.Error("it is still there")
	}
	for end := time.Now().Add(3 * time.Second); len(laptop.credentials()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("the browser still offers the device that was removed")
			break
		}
	}
	if strings.Contains(s.out.String(), "ERROR") {
		t.Error(s.out)
	}
}

// before runs a script before those of each page, until it is told to stop.
func (p *page) before(js string) (stop func()) {
	p.t.Helper()
	added := call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: js})
	return func() {
		p.t.Helper()
		call(p, cdppage.RemoveScriptToEvaluateOnNewDocument, cdppage.RemoveScriptToEvaluateOnNewDocumentParams(added))
	}
}

// noAutofill is a browser without it: with it, a virtual device that is touched at
// once would sign in as soon as the field for the name is there.
const noAutofill = `PublicKeyCredential.isConditionalMediationAvailable = async () => false`

// soon is the value of a promise.
func soon[T any](p *page, js string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// Passkeys sign in without a name, by the button and in the field for it; what goes
// wrong there is said, with another way.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	p.open(s.url("/login"))
	p.look("login-passkey")
	signUp(p, s)
	laptop := p.builtIn()
	codes := firstDevice(p, s, "my laptop", false)

	t.Log("without a name")
	stop := p.before(noAutofill)
	signOut(p, s)
	p.open(s.url("/login?next=/profile"))
	p.press("Sign in with a passkey")
	p.wait("You sign in with it") // the profile, which wants a fresh second factor

	t.Log("after a password; the finger is not known, and there is another way on the page")
	signOut(p, s)
	signIn(p, s)
	p.wait("One more step")
	laptop.verified(false)
	p.press(useDevice)
	p.wait("It was cancelled, took too long", "Backup code")
	p.look("second-step-refused")
	p.open(s.url("/mfa/sign-in")) // loaded again, it is the same step
	p.click("Backup code")
	answer(p, codes[0], "Sign in")
	p.wait("Good tea")

	t.Log("on a device that is not the one")
	laptop.verified(true)
	passkey := laptop.credentials()[0]
	laptop.clear()
	signOut(p, s)
	signIn(p, s)
	p.press(useDevice)
	p.wait("there is no device for this account here", "Another way")
	p.click("Backup code")
	answer(p, codes[1], "Sign in")
	p.wait("Good tea")

	t.Log("somebody guesses codes: a passkey signs in all the same")
	signOut(p, s)
	signIn(p, s)
	p.click("Backup code")
	for range 6 {
		p.do(unlockButton())
		answer(p, "AAAA-AAAA-AAAA-AAAA", "Sign in")
	}
	p.wait("Too many attempts")
	laptop.add(passkey)
	p.open(s.url("/login"))
	p.press("Sign in with a passkey")
	p.wait("Good tea")

	t.Log("from the field for the name, in a browser that has that")
	signOut(p, s)
	stop()
	p.open(s.url("/login"))
	p.wait("Good tea", email)

	t.Log("one that was removed")
	passkey = laptop.credentials()[0]
	p.open(s.url("/mfa/"))
	p.click("Turn off two-step sign-in")
	p.click("Turn off")
	p.wait("Two-step sign-in is off")
	laptop.clear() // whatever the browser has heard
	stop = p.before(noAutofill)
	defer stop()
	signOut(p, s)
	laptop.add(passkey)
	p.open(s.url("/login"))
	p.press("Sign in with a passkey")
	p.wait("This passkey was not accepted")
	p.look("passkey-refused")
	p.click("Go to sign-in")
	p.wait("Password")

	t.Log("none at all")
	laptop.clear()
	p.press("Sign in with a passkey")
	p.wait("No passkey was used")
	p.look("login-passkey-refused")
}

// Who goes back after a sign-in by a passkey finds a button that works once more.
func TestPasskeyAgain(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	p.builtIn()
	firstDevice(p, s, "my laptop", false)
	stop := p.before(noAutofill)
	defer stop()
	signOut(p, s)
	p.open(s.url("/login"))
	p.press("Sign in with a passkey")
	p.wait("Good tea", email)
	for range 2 {
		p.back()
		p.wait("Password")
		p.press("Sign in with a passkey")
		p.wait("Good tea", email)
	}
}

// Two tabs of a browser that has no cookie yet begin at once: the first one's answer
// is still one of this browser.
func TestPasskeyTabs(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	p.builtIn()
	firstDevice(p, s, "my laptop", false)
	signOut(p, s)
	stop := p.before(noAutofill)
	defer stop()
	_ = call(p, network.ClearBrowserCookies, cdp.Empty{})
	p.open(s.url("/login"))
	q := p.tab()
	q.before(noAutofill)
	q.open(s.url("/login"))
	// Here the person takes a moment, and there all day.
	_ = eval[int](p, `(() => { const go = navigator.credentials.get.bind(navigator.credentials);
		navigator.credentials.get = async (o) => { await new Promise((r) => setTimeout(r, 1500)); return go(o); }; return 0; })()`)
	_ = eval[int](q, `(() => { navigator.credentials.get = () => new Promise(() => {}); return 0; })()`)
	at := time.Now().Add(500 * time.Millisecond).UnixMilli()
	for _, tab := range []*page{p, q} {
		_ = eval[int](tab, fmt.Sprintf(`(setTimeout(() => document.querySelector("[data-mfa-passkey]").click(), %d - Date.now()), 0)`, at))
	}
	p.wait("Good tea", email)
}

// Where two steps are required, a passkey is one way to begin.
func TestForcedDevice(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	p.click("Place a demo order")
	signOut(p, s)
	p.builtIn()
	signIn(p, s)
	p.wait("Your account has to be protected")
	p.click("Passkey or security key")
	p.fill("name", "my phone")
	p.click("Continue")
	p.wait("Now your device", "my phone")
	p.look("forced-device")
	p.press("Add this device")
	p.wait("Save your backup codes")
	p.do(clickOn("input[type=checkbox]"))
	p.click("Continue")
	p.wait("Try it once", "my phone")
	p.click("Later")
	p.wait("Good tea")
}

// After a password the browser makes a passkey without asking, for who has a
// second step already. A browser without a password manager refuses, in silence; so
// that there is something to see, it is asked as for any other device.
func TestPasskeyUpgrade(t *testing.T) {
	t.Parallel()
	need(t, "oathtool")
	p := newBrowser(t)
	s := newSite(t)
	laptop := p.builtIn()
	signUp(p, s)
	if !soon[bool](p, `(async () => !!(await PublicKeyCredential.getClientCapabilities?.())?.conditionalCreate)()`) {
		t.Error("this browser makes none")
	}
	stop := p.before(`
		const create = navigator.credentials.create.bind(navigator.credentials);
		navigator.credentials.create = async (o) => {
			if (o.mediation !== "conditional") throw new Error("asked");
			delete o.mediation;
			const c = await create(o);
			sessionStorage.setItem("made", "1");
			return c;
		};`)
	t.Log("nothing set up: it would turn the second step on, so nothing happens")
	_ = eval[int](p, `sessionStorage.clear(), 0`)
	p.open(s.url("/"))
	w, _ := enable(p, s, false)
	if n := len(laptop.credentials()); n != 0 {
		t.Fatalf("%d passkeys were made unasked", n)
	}
	laptop.touched(false) // no sign-in by the field for the name
	signOut(p, s)
	_ = eval[int](p, `sessionStorage.clear(), 0`)
	signIn(p, s)
	laptop.touched(true)
	answer(p, w.next(), "Sign in")
	p.wait("Good tea")
	for end := time.Now().Add(patience); len(laptop.credentials()) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no passkey was made\n%s", s.out)
		}
	}
	stop()
	time.Sleep(500 * time.Millisecond) // until the server has heard of it
	p.open(s.url("/mfa/"))
	p.wait("my phone", "last used never") // and the session goes on
	box := mailbox{p.tab(), s}
	box.read(email, "was added")
	signOut(p, s)
	p.open(s.url("/login"))
	p.wait("Good tea")
}

// Without JavaScript the page says so, and the other methods work.
func TestDeviceWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := newBrowser(t)
	s := newSite(t)
	signUp(p, s)
	p.builtIn()
	codes := firstDevice(p, s, "my laptop", false)
	p.do(noScripts())
	signOut(p, s)
	signIn(p, s)
	p.wait("One more step", "needs JavaScript")
	p.look("second-step-device-no-js")
	p.click("Backup code")
	answer(p, codes[0], "Sign in")
	p.wait("Good tea")
}
