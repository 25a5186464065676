package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
)

// letter waits for the newest mail to an address whose subject contains that, and
// returns its page.
func (b *browser) letter(to, subject string) *answer {
	b.s.t.Helper()
	row := regexp.MustCompile(`<a href="(/inbox/\d+)"><strong>([^<]*)</strong>\s*<small>To ([^ <]*) `)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // notices wait in a queue
		box := b.get("/inbox").want(200, "everybody's mail")
		for _, m := range row.FindAllStringSubmatch(box.body, -1) {
			if strings.Contains(m[2], subject) && m[3] == to {
				return b.get(m[1]).want(200)
			}
		}
		if time.Now().After(end) {
			b.s.t.Fatalf("no mail %q to %s in\n%s", subject, to, box.body)
		}
	}
}

// mailed is the code in a mail.
func (a *answer) mailed() string {
	a.t.Helper()
	m := regexp.MustCompile(`(?m)^ {4}(\d{6})\s*$`).FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("no code in\n%s", a.body)
	}
	return m[1]
}

// turnEmailOn enrols an address. The page after it shows backup codes if it is
// the first method.
func (b *browser) turnEmailOn(address string) *answer {
	b.s.t.Helper()
	b.get("/mfa/enroll?kind=email").want(200, `name="address"`)
	sent := b.post("/mfa/enroll", "kind", "email", "address", address).want(200, `name="enrollment_id"`)
	return b.post("/mfa/confirm", "kind", "email", "enrollment_id", sent.field("enrollment_id"), "code",
		b.letter(address, "Confirm your address").mailed()).want(200)
}

// S13, S14 and S17: codes by email, from the enrolment to a new address, and what
// the user is told on the way.
func TestEmail(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0")
	defer func() { s.end() }()
	const old, moved = "ann@example.com", "ann@example.org"
	ann := s.browser()
	ann.post("/signup", "email", old, "password", password, "tenant", "acme").want(200, "Acme", "Inbox")
	ann.get("/mfa/").want(200, "kind=email")
	codes := ann.turnEmailOn(old).want(200, "Save your backup codes").codes()
	ann.letter(old, "Confirm your address").want(200, `"Acme" <tea@acme.example>`, "It works once", "/html").want(200)
	ann.letter(old, "added").want(200, s.url+"/mfa/")

	// In with a code; another one has to wait; the password again does not end the
	// code that is on its way.
	ann.post("/logout")
	step := ann.post("/login", "email", old, "password", password).want(200, "One more step", "a…@example.com")
	first := ann.letter(old, "sign-in code").mailed()
	ann.post("/mfa/sign-in/method", "token", step.field("token"), "kind", "email").want(200, "still good")
	ann.post("/mfa/sign-in/verify", "token", step.field("token"), "kind", "email", "code", "000000")
	again := ann.post("/login", "email", old, "password", password).want(200, "still good")
	ann.post("/mfa/sign-in/verify", "token", again.field("token"), "kind", "email", "code", first).want(200, "Good tea")

	// Another address in the profile: the old one is told, codes go on to it, and
	// the Security page asks to confirm the new one.
	bob := s.browser()
	bob.post("/signup", "email", "bob@example.com", "password", password, "tenant", "globex").want(200, "Globex")
	for alert, form := range map[string][]string{
		"enter an email address":    {"email", "nowhere", "password", password},
		"your address already":      {"email", "ANN@example.com", "password", password},
		"has an account already":    {"email", "bob@example.com", "password", password},
		"Your password is wrong":    {"email", moved, "password", "wrong password"},
		"Please enter an email add": {"email", "Ann <ann@example.org>", "password", password},
	} {
		ann.post("/profile", form...).want(422, alert)
	}
	ann.post("/profile", "email", moved, "password", password).want(200, "Your email address was changed")
	for _, to := range []string{old, moved} {
		ann.letter(to, "address was changed").want(200, "…@example.") // each sees the other masked
	}
	ann.get("/mfa/").want(200, "Sign in") // signed out everywhere
	ann.post("/login", "email", old, "password", password).want(422, "is wrong")
	step = ann.post("/login", "email", moved, "password", password).want(200, "a…@example.com")
	ann.post("/mfa/sign-in/verify", "token", step.field("token"), "kind", "email", "code", ann.letter(old, "sign-in code").mailed()).
		want(200, "Good tea, "+moved)
	ann.get("/mfa/").want(200, "a…@example.com")
	ann.turnEmailOn(moved).want(200, "a…@example.org")
	ann.letter(old, "added") // or replaced: the old one hears of it, too
	ann.post("/logout")
	step = ann.post("/login", "email", moved, "password", password).want(200, "a…@example.org")
	ann.letter(moved, "sign-in code")
	ann.post("/mfa/sign-in/verify", "token", step.field("token"), "kind", "backup", "code", codes[0]).want(200, "Good tea")
	ann.letter(moved, "ackup code") // was used

	// A reset is told to the partner's security desk, too.
	bob.turnEmailOn("bob@example.com")
	bob.letter("bob@example.com", "Confirm your address").want(200, `"Globex" <shop@globex.example>`)
	page := ann.get("/admin").want(200, "bob@example.com", "Globex", "b…@example.com")
	id := regexp.MustCompile(`(?s)bob@example.com.*?name="id" value="([^"]*)"`).FindStringSubmatch(page.body)
	ann.post("/admin/reset", "id", id[1], "reason", "lost the phone").want(200, "Reset: bob@example.com")
	bob.letter("bob@example.com", "was reset").want(200, "lost the phone")
	bob.letter("security@globex.example", "").want(200, "lost the phone", "bob@example.com", `"Globex" <shop@globex.example>`)
	html := bob.get(bob.letter("security@globex.example", "").path+"/html").want(200, "lost the phone")
	if strings.Contains(html.body, "<script") || strings.Contains(html.body, s.url) { // the link is the user's alone
		t.Error(html.body)
	}
	ann.get("/inbox/0").want(404)
	ann.get("/inbox/9999/html").want(404)
}

// S19: each partner's mail has its own sender; one has none, and the method is not
// offered there.
func TestTenants(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0")
	defer func() { s.end() }()
	for tenant, from := range map[string]string{"acme": "tea@acme.example", "globex": "shop@globex.example"} {
		b, address := s.browser(), tenant+"@example.com"
		b.post("/signup", "email", address, "password", password, "tenant", tenant).want(200, "Good tea")
		b.turnEmailOn(address)
		b.letter(address, "Confirm your address").want(200, from)
	}
	none := s.browser()
	none.post("/signup", "email", "milton@example.com", "password", password, "tenant", "umbrella").want(422, "choose a partner")
	none.post("/signup", "email", "milton@example.com", "password", password, "tenant", "initech").want(200, "Initech")
	if security := none.get("/mfa/").want(200, "kind=totp"); strings.Contains(security.body, "kind=email") {
		t.Error("codes by email are on offer where there is no mail")
	}
	none.get("/mfa/enroll?kind=email").want(404)
	none.turnOn()
	none.get("/mfa/").want(200, ">On<")
}

// A partner's server that does not answer holds up no other partner's notices.
func TestQueues(t *testing.T) {
	t.Parallel()
	m, err := newMailer("")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(hanging)
	m.senders["globex"] = stop
	file := filepath.Join(t.TempDir(), "shop.db")
	a, err := open(t.Context(), file, &place{scheme: "sqlite", file: file}, m, "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	defer a.sendNotices(t.Context())()
	defer close(stop)
	for _, tenant := range []string{"globex", "globex", "acme"} {
		if err := a.notices[tenant].Send(t.Context(), mail.Message{Tenant: tenant, To: "ann@example.com", Subject: "a notice", Text: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(3 * time.Second); len(m.inbox.letters()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing came")
		}
	}
}

// hanging does not answer until it is closed.
type hanging chan struct{}

func (h hanging) Send(ctx context.Context, _ mail.Message) error {
	select {
	case <-h:
	case <-ctx.Done():
	}
	return errors.New("no answer")
}

// One address gets twenty codes an hour, however many accounts ask for them.
func TestMailLimit(t *testing.T) {
	t.Parallel()
	var l mailLimit
	send := func(to string) error { return l.use(t.Context(), mfa.Use{Address: to}) }
	for i := range 20 {
		if err := send("ann@example.com"); err != nil {
			t.Fatalf("code %d: %v", i+1, err)
		}
	}
	var limit *mfa.LimitError
	if err := send("Ann@example.com"); !errors.As(err, &limit) || limit.RetryAfter <= 59*time.Minute || limit.RetryAfter > time.Hour {
		t.Errorf("the 21st: %v", err)
	}
	for _, other := range []string{"bob@example.com", ""} {
		if err := send(other); err != nil {
			t.Errorf("%q: %v", other, err)
		}
	}
	l.since = l.since.Add(-time.Hour)
	if err := send("ann@example.com"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// Everybody's mail is not for whoever lets a name of his own point here.
func TestInboxAtItsOwnName(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0")
	defer func() { s.end() }()
	b := s.browser()
	b.post("/signup", "email", "ann@example.com", "password", password)
	b.turnEmailOn("ann@example.com")
	at := b.letter("ann@example.com", "Confirm your address").path
	port := s.url[strings.LastIndexByte(s.url, ':'):]
	for _, path := range []string{"/inbox", at, at + "/html"} {
		b.get(path).want(200)
		for _, host := range []string{"evil.example" + port, "evil.example", "localhost", "localhost:1", "127.0.0.1" + port, "localhost.evil.example" + port} {
			r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
			if err == nil {
				r.Host = host
			}
			if got := b.do(r, err).want(421); strings.Contains(got.body, "ann@") {
				t.Errorf("%s at %s:\n%s", path, host, got.body)
			}
		}
	}
}

// The administrator reads why a method is not on offer.
func TestWithheld(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0")
	defer func() { s.end() }()
	b := s.browser()
	b.post("/signup", "email", "milton@example.com", "password", password, "tenant", "initech")
	app, _ := b.turnOn()
	up := b.get("/admin").want(200, "Confirm that it is you")
	b.post("/mfa/step-up/verify", "token", up.field("token"), "next", "/admin", "kind", "totp", "code",
		app.Code(time.Now().Add(30*time.Second))).want(200, "email is not on offer", `no sender is configured for tenant "initech"`)
}

// A file of the version before this one had no tenants.
func TestMigration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `CREATE TABLE users (
		id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password BLOB, admin INTEGER NOT NULL, service INTEGER NOT NULL,
		orders INTEGER NOT NULL DEFAULT 0);
		INSERT INTO users (id, email, admin, service) VALUES ('1', 'ann@example.com', 1, 0)`)
	if err == nil {
		err = db.Close()
	}
	if err == nil {
		_, err = newKeys(keyFile(file))
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a, err := reopen(t, file)
		if err != nil {
			t.Fatal(err)
		}
		u, err := a.db.user(t.Context(), "1")
		if err != nil || u.Tenant != "acme" || u.Email != "ann@example.com" || !u.Admin {
			t.Errorf("%+v %v", u, err)
		}
		a.close()
	}
}

// An address changes with a word to its owner, or not at all.
func TestMoveFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	s := start(t, file, "localhost:0")
	defer func() { s.end() }()
	b := s.browser()
	b.post("/signup", "email", "ann@example.com", "password", password)
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, what := range []string{"INSERT", "UPDATE"} { // the account can be read, not written
		_, err := db.ExecContext(t.Context(), `CREATE TRIGGER no_`+what+` BEFORE `+what+` ON mfa_record
			BEGIN SELECT RAISE(ABORT, 'no'); END`)
		if err != nil {
			t.Fatal(err)
		}
	}
	b.post("/profile", "email", "ann@example.org", "password", password).want(500)
	s.browser().post("/login", "email", "ann@example.org", "password", password).want(422, "is wrong")
	s.browser().post("/login", "email", "ann@example.com", "password", password).want(200, "Good tea")
}

// settings writes a file for -smtp.
func settings(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mail.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSettings(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	for text, want := range map[string]string{
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "username": "tea", "password": "` + secret + `"}}`: "",
		`{"acme": {"addr": "localhost:465", "from": "tea@acme.example", "tls": "implicit", "security": "it@acme.example"}}`:   "",
		`{}`: "",
		``:   "EOF",
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "pasword": "` + secret + `"}}`:  `unknown field "pasword"`,
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "password": "` + secret + `"}}`: `"acme": smtp`,
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "password": 12345678}}`:         "cannot unmarshal",
		`{"umbrella": {"addr": "mail.example:587", "from": "tea@acme.example"}}`:                           "no such tenant",
		`{"acme": {"addr": "mail.example", "from": "tea@acme.example"}}`:                                   "host:port",
		`{"acme": {"addr": "mail.example:587"}}`:                                                           "one bare address",
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "tls": "none"}}`:                "tls is neither",
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "security": "a, b"}}`:           "security",
		`{"acme": {"addr": "mail.example:587", "from": "tea@acme.example", "roots": "nowhere.pem"}}`:       "roots",
		`{} {}`: "behind the settings",
		`{} }`:  "behind the settings",
		`{}]`:   "behind the settings",
		`{} x`:  "behind the settings",
		`null`:  "no settings",
	} {
		m, err := newMailer(settings(t, text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if printed := fmt.Sprintf("%v %+v %#v %v", m, m, m, err); strings.Contains(printed, secret) || strings.Contains(printed, "12345678") {
			t.Errorf("the password is printed: %s", printed)
		}
	}
	if _, err := newMailer(settings(t, `{"acme": {"addr": "a:25", "from": "a@b.de", "roots": "`+filepath.ToSlash(settings(t, "no PEM"))+`"}}`)); err == nil ||
		!strings.Contains(err.Error(), "no certificate") {
		t.Error(err)
	}
	open := settings(t, `{}`)
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{open, filepath.Join(t.TempDir(), "nowhere.json")} {
		err := run(t.Context(), []string{"-addr", "localhost:0", "-db", filepath.Join(t.TempDir(), "shop.db"), "-smtp", file}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "-smtp") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// With a server nothing stays here: codes go there, and there is no inbox page.
func TestSMTP(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0", "-smtp", fake.settings())
	defer func() { s.end() }()
	ann := s.browser()
	ann.post("/signup", "email", "ann@example.com", "password", password)
	ann.get("/inbox").want(404)
	sent := ann.post("/mfa/enroll", "kind", "email", "address", "ann@example.com").want(200, `name="enrollment_id"`)
	mail := fake.last()
	for _, want := range []string{"To: <ann@example.com>", `From: "Acme tea" <tea@acme.example>`} {
		if !strings.Contains(mail.body, want) {
			t.Errorf("%s is not in\n%s", want, mail.body)
		}
	}
	ann.post("/mfa/confirm", "kind", "email", "enrollment_id", sent.field("enrollment_id"), "code", mail.mailed()).want(200, "Save your backup codes")
	bob := s.browser()
	bob.post("/signup", "email", "bob@example.com", "password", password, "tenant", "globex")
	if security := bob.get("/mfa/").want(200); strings.Contains(security.body, "kind=email") {
		t.Error("a partner without a server is offered codes by email")
	}
}

// The server hangs up: the page says that the code could not be sent, and it can
// be sent again at once.
func TestNoServer(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	s := start(t, filepath.Join(t.TempDir(), "shop.db"), "localhost:0", "-smtp", fake.settings())
	defer func() { s.end() }()
	ann := s.browser()
	ann.post("/signup", "email", "ann@example.com", "password", password)
	fake.hangUp(true)
	ann.post("/mfa/enroll", "kind", "email", "address", "ann@example.com").want(200, "could not be sent")
	ann.get("/mfa/").want(200, ">Off<")
	fake.hangUp(false)
	sent := ann.post("/mfa/enroll", "kind", "email", "address", "ann@example.com").want(200, `name="enrollment_id"`)
	ann.post("/mfa/confirm", "kind", "email", "enrollment_id", sent.field("enrollment_id"), "code", fake.last().mailed()).want(200, "Save your backup codes")

	ann.post("/logout")
	fake.hangUp(true)
	step := ann.post("/login", "email", "ann@example.com", "password", password).want(200, "could not be sent")
	fake.hangUp(false)
	ann.post("/mfa/sign-in/method", "token", step.field("token"), "kind", "email").want(200, "We sent a code to")
	ann.post("/mfa/sign-in/verify", "token", step.field("token"), "kind", "email", "code", fake.last().mailed()).want(200, "Good tea")
}

// A fake is a mail server that keeps what it gets.
type fake struct {
	t     *testing.T
	l     net.Listener
	roots string
	mu    sync.Mutex
	down  bool
	mails []string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	f := &fake{t: t, l: l, roots: settings(t, string(roots))}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

func (f *fake) settings() string {
	b, err := json.Marshal(map[string]map[string]string{"acme": {
		"addr": f.l.Addr().String(), "tls": "implicit", "roots": f.roots,
		"from": "tea@acme.example", "name": "Acme tea", "username": "tea", "password": "hunter2",
	}})
	if err != nil {
		f.t.Fatal(err)
	}
	return settings(f.t, string(b))
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	p := textproto.NewConn(c)
	f.mu.Lock()
	down := f.down
	f.mu.Unlock()
	if down {
		return
	}
	_ = p.PrintfLine("220 fake")
	for {
		line, err := p.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			_ = p.PrintfLine("250-fake\r\n250 AUTH PLAIN")
		case "AUTH":
			_ = p.PrintfLine("235 welcome")
		case "DATA":
			_ = p.PrintfLine("354 go on")
			b, err := p.ReadDotBytes()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.mails = append(f.mails, string(b))
			f.mu.Unlock()
			_ = p.PrintfLine("250 taken")
		case "QUIT":
			_ = p.PrintfLine("221 bye")
			return
		default:
			_ = p.PrintfLine("250 ok")
		}
	}
}

// hangUp makes it hang up on everybody, or be well again.
func (f *fake) hangUp(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// last is the last mail that it got.
func (f *fake) last() *answer {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mails) == 0 {
		f.t.Fatal("no mail came")
	}
	body, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader([]byte(f.mails[len(f.mails)-1]))))
	if err != nil {
		f.t.Fatal(err)
	}
	return &answer{t: f.t, body: string(body)}
}
