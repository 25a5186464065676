package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/vault"
)

// server runs the program on a port of its own, and again after restart.
type server struct {
	t    *testing.T
	file string
	args []string
	url  string
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, file, addr string, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	s := &server{t: t, file: file, args: args, stop: cancel, done: make(chan error, 1)}
	go func() {
		err := run(ctx, append([]string{"-addr", addr, "-db", file}, args...), w)
		_ = w.CloseWithError(err)
		s.done <- err
	}()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "open: "); ok {
			s.url = at
			break
		}
	}
	if s.url == "" {
		t.Fatalf("did not start: %v", lines.Err())
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return s
}

func (s *server) end() {
	s.t.Helper()
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Errorf("the end: %v", err)
	}
}

// restart ends the program and starts it on the same file and address.
func (s *server) restart() {
	s.t.Helper()
	s.end()
	*s = *start(s.t, s.file, strings.TrimPrefix(s.url, "http://"), s.args...)
}

type browser struct {
	s    *server
	http *http.Client
}

func (s *server) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	// No connection outlives its request: the program may be restarted.
	return &browser{s, &http.Client{
		Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	}}
}

type answer struct {
	t    *testing.T
	code int
	path string // where the redirects led
	body string
}

func (b *browser) do(r *http.Request, err error) *answer {
	b.s.t.Helper()
	if err != nil {
		b.s.t.Fatal(err)
	}
	res, err := b.http.Do(r)
	if err != nil {
		b.s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return &answer{b.s.t, res.StatusCode, res.Request.URL.RequestURI(), string(body)}
}

func (b *browser) get(path string) *answer {
	b.s.t.Helper()
	return b.do(http.NewRequest(http.MethodGet, b.s.url+path, nil))
}

func (b *browser) post(path string, pairs ...string) *answer {
	b.s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, b.s.url+path, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.s.url)
	}
	return b.do(r, err)
}

// want ends the test unless the page has that status and these texts.
func (a *answer) want(code int, texts ...string) *answer {
	a.t.Helper()
	body := html.UnescapeString(a.body)
	for _, text := range texts {
		if !strings.Contains(body, text) {
			a.t.Fatalf("%q is not on %s (%d):\n%s", text, a.path, a.code, body)
		}
	}
	if a.code != code {
		a.t.Fatalf("%s: %d, want %d\n%s", a.path, a.code, code, body)
	}
	return a
}

// field is the value of a hidden field.
func (a *answer) field(name string) string {
	a.t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("no field %s on %s:\n%s", name, a.path, a.body)
	}
	return html.UnescapeString(m[1])
}

func (a *answer) codes() (codes []string) {
	a.t.Helper()
	for _, m := range regexp.MustCompile(`name="codes" value="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != 10 {
		a.t.Fatalf("%d codes on\n%s", len(codes), a.body)
	}
	return codes
}

// turnOn goes through the wizard.
func (b *browser) turnOn() (app *mfatest.App, codes []string) {
	b.s.t.Helper()
	b.get("/mfa/enroll?kind=totp").want(200, "Get an authenticator app")
	scan := b.post("/mfa/enroll", "kind", "totp", "name", "my phone").want(200, "Scan this code")
	app, err := mfatest.NewApp(scan.field("uri"))
	if err != nil {
		b.s.t.Fatal(err)
	}
	b.s.restart()
	wrong := b.post("/mfa/confirm", "kind", "totp", "enrollment_id", scan.field("enrollment_id"), "code", "no code",
		"qr", scan.field("qr"), "uri", scan.field("uri"), "secret", scan.field("secret")).want(422, "not accepted")
	done := b.post("/mfa/confirm", "kind", "totp", "enrollment_id", wrong.field("enrollment_id"), "code", app.Code(time.Now())).
		want(200, "Save your backup codes")
	return app, done.codes()
}

const password = "correct horse"

// TestShop goes through everything that a person would, with a restart between
// most steps.
func TestShop(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0")
	defer func() { s.end() }()
	ann := s.browser()
	ann.get("/").want(200, "Sign up")
	ann.post("/signup", "email", "ann@example.com", "password", "short").want(422, "ten characters")
	ann.post("/signup", "email", "Ann@Example.com", "password", password).want(200, "Good tea, ann@example.com", "Admin")
	ann.post("/signup", "email", "ann@example.com", "password", password).want(422, "has an account already")
	ann.get("/admin").want(200, "Two-step sign-in", "needs a second step") // strict: set one up first
	s.restart()
	ann.get("/mfa/").want(200, "We recommend a second step", ">Off<")
	_, codes := ann.turnOn()
	ann.get("/mfa/").want(200, ">On<", "my phone", "10 left")

	// Out, and in with a backup code.
	ann.post("/logout").want(200, "You are signed out")
	ann.get("/mfa/").want(200, "Sign in")
	ann.post("/login", "email", "ann@example.com", "password", "wrong password").want(422, "is wrong")
	s.restart()
	step := ann.post("/login", "email", "ann@example.com", "password", password).want(200, "One more step")
	ann.get("/mfa/").want(200, "Sign in") // the password alone is not enough
	s.restart()
	step = ann.post("/mfa/sign-in/method", "token", step.field("token"), "kind", "backup").want(200, "Backup code")
	s.restart()
	ann.post("/mfa/sign-in/verify", "token", step.field("token"), "kind", "backup", "code", strings.ToLower(codes[0])).
		want(200, "Good tea")
	again := ann.post("/login", "email", "ann@example.com", "password", password)
	ann.post("/mfa/sign-in/verify", "token", again.field("token"), "kind", "backup", "code", codes[0]).want(422, "not accepted")
	ann.get("/mfa/").want(200, "9 left")

	// New codes; then a second person who orders and has to.
	fresh := ann.post("/mfa/codes").want(200, "Save your backup codes", "Sign out", "Admin").codes() // whose session was just renewed
	if fresh[0] == codes[0] {
		t.Error("the same codes")
	}
	bob := s.browser()
	bob.post("/signup", "email", "bob@example.com", "password", password).want(200, "Good tea")
	bob.post("/key").want(200, "acme_")
	bob.post("/order").want(200, "needs a second step from now on")
	bob.post("/logout")
	forced := bob.post("/login", "email", "bob@example.com", "password", password).want(200, "has to be protected")
	bob.get("/password").want(200, "Sign in") // not signed in yet
	s.restart()
	scan := bob.post("/mfa/sign-in/enroll", "token", forced.field("token"), "kind", "totp").want(200, "Scan this code")
	app, err := mfatest.NewApp(scan.field("uri"))
	if err != nil {
		t.Fatal(err)
	}
	s.restart()
	done := bob.post("/mfa/sign-in/confirm", "token", scan.field("token"), "kind", "totp",
		"enrollment_id", scan.field("enrollment_id"), "code", app.Code(time.Now())).want(200, "Save your backup codes")
	bob.get("/mfa/").want(200, "has to keep it on")
	bob.get("/admin").want(200, "Confirm that it is you")

	// The administrator sees who has what, and resets who lost everything. What
	// the old codes have proven went with them.
	up := ann.get("/admin").want(200, "Confirm that it is you")
	ann.post("/mfa/step-up/verify", "token", up.field("token"), "next", up.field("next"), "kind", "backup", "code", fresh[1]).
		want(200, "Who has what")
	admin := ann.get("/admin").want(200, "bob@example.com", "totp", "backup", "10 left", "my phone")
	id := regexp.MustCompile(`(?s)bob@example.com.*?name="id" value="([^"]*)"`).FindStringSubmatch(admin.body)
	ann.post("/admin/reset", "id", id[1], "reason", " ").want(422, "needs a reason")
	ann.post("/admin/reset", "id", id[1], "reason", "lost the phone").want(200, "Reset: bob@example.com", "must be at the next sign-in")
	bob.get("/mfa/").want(200, "Sign in") // his session has ended
	back := bob.post("/login", "email", "bob@example.com", "password", password).want(200, "has to be protected")
	bob.post("/mfa/sign-in/verify", "token", back.field("token"), "kind", "backup", "code", done.codes()[0]).want(422)

	// A new password ends every session.
	ann.post("/password", "old", "wrong", "new", "battery staple").want(422, "is wrong")
	ann.post("/password", "old", password, "new", "battery staple").want(200, "Your password was changed")
	ann.get("/mfa/").want(200, "Sign in")
	last := ann.post("/login", "email", "ann@example.com", "password", "battery staple", "next", "/mfa/off").want(200, "One more step")
	ann.post("/mfa/sign-in/verify", "token", last.field("token"), "next", last.field("next"), "kind", "backup", "code", fresh[0]).
		want(200, "Turn off two-step sign-in?")
	ann.post("/mfa/off").want(200, "Two-step sign-in is off", "delete the entry")
	ann.post("/logout")
	ann.post("/login", "email", "ann@example.com", "password", "battery staple").want(200, "Good tea")
}

// S10: a service account is exempt at its route alone; a protected person's key
// gets an answer that says what to do.
func TestPrograms(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "127.0.0.1:0")
	defer func() { s.end() }()
	ann := s.browser()
	ann.post("/signup", "email", "ann@example.com", "password", password)
	token := func(key string) (*answer, map[string]any) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.url+"/api/token", nil)
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		a := s.browser().do(r, err)
		var o map[string]any
		_ = json.Unmarshal([]byte(a.body), &o)
		return a, o
	}
	keyOf := func(a *answer) string {
		t.Helper()
		m := regexp.MustCompile(`<code>(acme_[A-Z0-9]+)</code>`).FindStringSubmatch(a.body)
		if m == nil {
			t.Fatal(a.body)
		}
		return m[1]
	}
	if a, _ := token("nonsense"); a.code != 401 {
		t.Error(a.code)
	}
	own := keyOf(ann.post("/key"))
	if a, o := token(own); a.code != 200 || o["token"] == "" {
		t.Error(a)
	}
	_, codes := ann.turnOn()
	a, o := token(own)
	if kind, _ := o["type"].(string); a.code != 403 || !strings.HasSuffix(kind, "/second-factor-required") || o["sign_in"] != "/login" {
		t.Errorf("%d %v", a.code, o)
	}

	step := ann.post("/login", "email", "ann@example.com", "password", password)
	ann.post("/mfa/sign-in/verify", "token", step.field("token"), "kind", "backup", "code", codes[0])
	made := ann.post("/admin/service", "name", "warehouse").want(200, "exempt: api-key", "shown only now")
	a, o = token(keyOf(made))
	if a.code != 200 {
		t.Fatalf("%d %v", a.code, o)
	}
	r, err := http.NewRequest(http.MethodGet, s.url+"/api/me", nil)
	if err == nil {
		r.Header.Set("Authorization", fmt.Sprint("Bearer ", o["token"]))
	}
	s.browser().do(r, err).want(200, "warehouse")
	text, _ := o["token"].(string)
	page, err := http.NewRequest(http.MethodGet, s.url+"/mfa/", nil)
	if err == nil {
		page.AddCookie(&http.Cookie{Name: cookieName, Value: text})
	}
	if a := s.browser().do(page, err); !strings.HasPrefix(a.path, "/login") {
		t.Errorf("a program's token opens %s", a.path)
	}
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	cookies := ann.http.Jar.Cookies(at)
	i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == cookieName })
	me, err := http.NewRequest(http.MethodGet, s.url+"/api/me", nil)
	if err == nil {
		me.Header.Set("Authorization", "Bearer "+cookies[i].Value)
	}
	s.browser().do(me, err).want(401)
	ann.post("/admin/reset", "id", "nobody", "reason", "lost").want(404, "no such user")
	ann.post("/login", "email", "warehouse", "password", "").want(422, "is wrong")
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "shop.db")
	keys, err := readKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(keyFile(file))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if again, err := readKeys(file); err != nil || again != keys {
		t.Errorf("another key, %v", err)
	}
	if err := os.Chmod(keyFile(file), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(file); err == nil {
		t.Error("a key that others can read is taken")
	}
	if err := os.Remove(keyFile(file)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(file); err == nil {
		t.Error("a new key for an old database")
	}
	for _, none := range []string{"", dir} {
		if _, err := readKeys(none); err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("%q: %v", none, err)
		}
	}
}

// reopen opens a file as run does, without serving it.
func reopen(t *testing.T, file string) (*app, error) {
	t.Helper()
	m, err := newMailer("")
	if err != nil {
		t.Fatal(err)
	}
	return open(t.Context(), file, &place{scheme: "sqlite", file: file}, m, "http://localhost")
}

// Another database's key is told at the start, not to each user.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	a, err := reopen(t, file)
	if err != nil {
		t.Fatal(err)
	}
	err = a.guard.SignOutEverywhere(t.Context(), "somebody") // makes a record
	a.close()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = reopen(t, file); err != nil {
		t.Fatal(err)
	}
	a.close()
	keys, err := vault.NewKey()
	if err == nil {
		err = os.WriteFile(keyFile(file), []byte(keys), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, file); !errors.Is(err, vault.ErrUnknownKey) || !strings.Contains(err.Error(), "shop.db.key") {
		t.Errorf("with another key: %v", err)
	}
}

// What a URL would read otherwise is part of the file's name.
func TestOddFileName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := reopen(t, filepath.Join(dir, "a?b%41#c.db"))
	if err != nil {
		t.Fatal(err)
	}
	a.close()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 || !strings.HasPrefix(f.Name(), "a?b%41#c.db") {
			t.Errorf("%s %v", f.Name(), err)
		}
	}
}

func TestFlagsAlone(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"serve"}, io.Discard); err == nil {
		t.Error("an argument is ignored")
	}
}

func TestLoopbackAlone(t *testing.T) {
	t.Parallel()
	for addr, ok := range map[string]bool{
		"localhost:8080": true, "127.0.0.1:0": true, "[::1]:0": true, "0.0.0.0:80": false, ":8080": false, "example.com:80": false, "x": false,
	} {
		if err := loopback(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// Passkeys are there where they can work: at a name, not at an IP address.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0")
	defer s.end()
	login := s.browser().get("/login?next=/profile").want(200, `autocomplete="username webauthn"`, "data-mfa-passkey", `data-next="/profile"`,
		`<script type="module" src="/mfa/assets/mfa.js?v=`)
	if strings.Contains(login.body, "data-mfa-upgrade") {
		t.Error("nobody is signed in")
	}
	b := s.browser()
	b.post("/signup", "email", "ada@example.com", "password", "correct horse battery").want(200, "Good tea", "data-mfa-upgrade")
	b.post("/mfa/enroll", "kind", "webauthn", "name", "laptop").want(200, "Now your device", `"id":"localhost"`, `"residentKey":"preferred"`)

	ip := start(t, filepath.Join(t.TempDir(), "shop.db"), "127.0.0.1:0")
	defer ip.end()
	if r := ip.browser().get("/login").want(200, "Password"); strings.Contains(r.body, "passkey") || strings.Contains(r.body, "<script") {
		t.Error(r.body)
	}
}
