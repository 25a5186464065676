package mfahttp_test

// What the tests stand on: an application with a sign-in page and sessions, a
// browser, and two factors that are quick and do as they are told.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// pin is a typed factor: each six-digit number from 100000 on is right once,
// and burns all below it. Some smaller ones mean trouble.
type pin struct{ kind mfa.Kind }

const (
	pinWrong       = "000000"
	pinExpired     = "000001"
	pinNotEnrolled = "000002"
	pinUnavailable = "000003"
	pinUnknown     = "000004"
	pinBusy        = "000005"
	pinBroken      = "000006"
	pinRight       = "100000"
	secretText     = "NBSWY3DPEB3W64TMMQ"
	secretURI      = "otpauth://totp/Acme:ann?secret=" + secretText + "&issuer=Acme"
	secretQR       = `<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h7v7H0z"/></svg>`
)

func (p pin) Kind() mfa.Kind     { return p.kind }
func (p pin) Traits() mfa.Traits { return mfa.Traits{Typed: true} }
func (p pin) Check() error       { return nil }

func (p pin) Enroll(_ context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if len(s.Factors()) >= 5 {
		return nil, mfa.ErrLimit
	}
	f, err := s.Draft(vault.Factor{Name: r.Name, Secret: []byte("0")}, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: f.ID, Kind: p.kind, URI: secretURI, Secret: secretText, QR: secretQR}, nil
}

func (p pin) Confirm(_ context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
	f := s.Drafted(r.EnrollmentID)
	if f == nil {
		return nil, vault.Uncounted(mfa.ErrExpired)
	}
	if err := use(f, r.Answer.Code); err != nil {
		return nil, err
	}
	return s.Activate(f.ID)
}

func (p pin) Verify(_ context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	if len(s.Factors()) == 0 {
		return nil, mfa.ErrNotEnrolled
	}
	f := s.Factors()[0]
	if err := use(f, r.Answer.Code); err != nil {
		return nil, err
	}
	return &mfa.Verification{FactorID: f.ID}, nil
}

func use(f *vault.Factor, code string) error {
	for text, err := range map[string]error{
		pinWrong: mfa.ErrInvalid, pinExpired: mfa.ErrExpired, pinNotEnrolled: mfa.ErrNotEnrolled,
		pinUnavailable: mfa.ErrUnavailable, pinUnknown: mfa.ErrOutcomeUnknown, pinBusy: mfa.ErrBusy,
		pinBroken: errors.New("broken: " + secretText),
	} {
		if code == text {
			return err
		}
	}
	if !regexp.MustCompile(`^[1-9][0-9]{5}$`).MatchString(code) {
		return vault.Uncounted(mfa.ErrInvalid)
	}
	if code <= string(f.Secret) {
		return mfa.ErrReplayed
	}
	f.Secret = []byte(code)
	return nil
}

// backup is a set of ten numbered codes.
type backup struct{}

func (backup) Kind() mfa.Kind     { return "backup" }
func (backup) Traits() mfa.Traits { return mfa.Traits{Typed: true, Recovery: true} }
func (backup) Check() error       { return nil }

func (backup) Enroll(_ context.Context, s *vault.Scope, _ mfa.EnrollRequest) (*mfa.Enrollment, error) {
	generation := 1
	for _, f := range s.Factors() {
		generation = int(f.Data[0]) + 1
		s.Remove(f.ID)
	}
	f, err := s.Add(vault.Factor{Data: []byte{byte(generation), 10}, Secret: []byte{0}})
	if err != nil {
		return nil, err
	}
	e := &mfa.Enrollment{ID: f.ID, Kind: "backup", Active: true}
	for i := range 10 {
		e.Codes = append(e.Codes, mfa.Secret(backupCode(generation, i)))
	}
	return e, nil
}

func backupCode(generation, i int) string { return fmt.Sprintf("SAVED-%d-CODE%d", generation, i) }

func (backup) Verify(_ context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	f := s.Factors()[0]
	// Each code only after the one before it: enough for a test.
	if r.Answer.Code != backupCode(int(f.Data[0]), int(10-f.Data[1])) {
		return nil, mfa.ErrInvalid
	}
	f.Data[1]--
	return &mfa.Verification{FactorID: f.ID}, nil
}

func (backup) Left(f vault.Factor) int { return int(f.Data[1]) }

// failing is a store that can be switched off.
type failing struct {
	store.Store
	down sync.Mutex
	fail bool
}

func (s *failing) set(fail bool) { s.down.Lock(); defer s.down.Unlock(); s.fail = fail }
func (s *failing) err() error {
	s.down.Lock()
	defer s.down.Unlock()
	if s.fail {
		return fmt.Errorf("%w: gone", store.ErrUnavailable)
	}
	return nil
}

func (s *failing) Load(ctx context.Context, id string) (store.Record, error) {
	if err := s.err(); err != nil {
		return store.Record{}, err
	}
	return s.Store.Load(ctx, id)
}

func (s *failing) Apply(ctx context.Context, c store.Change) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.Apply(ctx, c)
}

// site is an application.
type site struct {
	t     testing.TB
	clock *clock
	store *failing
	vault *vault.Vault
	guard *mfa.Guard
	pages *mfahttp.Handler
	mux   *http.ServeMux

	mu       sync.Mutex
	policy   map[string]mfa.Policy
	locale   string
	email    string
	sessions map[string][2]string // cookie: user ID and token
	started  int
	reauth   []string // the "next" of each call
	noStart  error
	events   []mfa.Event
}

func newSite(t testing.TB, opts *mfahttp.Options, methods ...mfa.Method) *site {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{
		t: t, clock: &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)},
		store: &failing{Store: memstore.New()}, policy: map[string]mfa.Policy{}, sessions: map[string][2]string{},
	}
	if s.vault, err = vault.Open(s.store, keys, &vault.Options{Now: s.clock.Now}); err != nil {
		t.Fatal(err)
	}
	if len(methods) == 0 {
		methods = []mfa.Method{pin{"totp"}, backup{}}
	}
	s.build(opts, methods...)
	return s
}

// build makes the guard and the handler, as a restart would.
func (s *site) build(opts *mfahttp.Options, methods ...mfa.Method) {
	s.t.Helper()
	var err error
	s.guard, err = mfa.New(s.vault, mfa.Config{
		Service: "Acme", Methods: methods,
		Users: func(_ context.Context, id string) (mfa.User, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return mfa.User{ID: id, Policy: s.policy[id], Locale: s.locale, Email: s.email}, nil
		},
		OnEvent: func(_ context.Context, e mfa.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
		EndSessions: func(_ context.Context, id string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			for c, who := range s.sessions {
				if who[0] == id {
					delete(s.sessions, c)
				}
			}
			return nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.pages, err = mfahttp.New(s.guard, s, opts); err != nil {
		s.t.Fatal(err)
	}
	s.mux = http.NewServeMux()
	s.mux.Handle("/mfa/", s.pages)
	s.mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "login page") })
	s.mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s.pages.SignIn(w, r, mfa.FirstFactor{UserID: r.FormValue("user"), By: mfa.ByPassword})
	})
	s.mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if session, ok := s.pages.SignInProgram(w, r, mfa.FirstFactor{UserID: r.FormValue("user"), By: mfa.ByAPIKey}); ok {
			_, _ = io.WriteString(w, "token of "+session.UserID())
		}
	})
	protected := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "for %s alone", mfahttp.FromContext(r.Context()).UserID())
	})
	s.mux.Handle("/vault", s.pages.Require(mfa.Rule{})(protected))
	s.mux.Handle("/vault/strong", s.pages.Require(mfa.Rule{PhishingResistant: true})(protected))
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "home") })
}

func (s *site) Session(r *http.Request) (userID, token string) {
	c, err := r.Cookie("app")
	if err != nil {
		return "", ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.sessions[c.Value]
	return who[0], who[1]
}

func (s *site) StartSession(w http.ResponseWriter, r *http.Request, l *mfa.Login) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noStart != nil {
		return s.noStart
	}
	if c, err := r.Cookie("app"); err == nil {
		delete(s.sessions, c.Value)
	}
	s.started++
	id := "session-" + strconv.Itoa(s.started)
	s.sessions[id] = [2]string{l.Session.UserID(), l.Session.Token()}
	http.SetCookie(w, &http.Cookie{Name: "app", Value: id, Path: "/"})
	return nil
}

func (s *site) Reauthenticate(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.reauth = append(s.reauth, r.URL.Query().Get("next"))
	s.mu.Unlock()
	http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.Query().Get("next")), http.StatusSeeOther)
}

func (s *site) starts() int { s.mu.Lock(); defer s.mu.Unlock(); return s.started }

// browser keeps cookies, says where a request came from, and remembers every
// address, header and cookie that it saw.
type browser struct {
	t       testing.TB
	site    *site
	cookies map[string]string
	header  http.Header // sent with each request
	seen    strings.Builder
	set     strings.Builder // every cookie
}

func (s *site) browser() *browser {
	return &browser{t: s.t, site: s, cookies: map[string]string{}, header: http.Header{}}
}

type response struct {
	t      testing.TB
	Code   int
	Header http.Header
	Body   string
}

func (b *browser) do(method, target, mediaType, body string) *response {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RequestURI = target
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	for name, values := range b.header {
		r.Header[name] = values
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.site.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	shown := w.Header().Clone()
	shown.Del("Set-Cookie") // HttpOnly, and where a token may be
	fmt.Fprintln(&b.seen, target, shown)
	fmt.Fprintln(&b.set, w.Header()["Set-Cookie"])
	return &response{b.t, w.Code, w.Header(), w.Body.String()}
}

func (b *browser) get(target string) *response {
	b.t.Helper()
	return b.do("GET", target, "", "")
}

func (b *browser) post(target string, form url.Values) *response {
	b.t.Helper()
	return b.do("POST", target, "application/x-www-form-urlencoded", form.Encode())
}

// json sends a JSON request and reads the answer into an object.
func (b *browser) json(target string, body map[string]any) (*response, map[string]any) {
	b.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.header.Set("Accept", "application/json")
	defer b.header.Del("Accept")
	r := b.do("POST", target, "application/json", string(text))
	return r, r.object()
}

func (r *response) object() map[string]any {
	r.t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.Body), &o); err != nil {
		r.t.Fatalf("not JSON: %d %s", r.Code, r.Body)
	}
	return o
}

// unmarked takes the marks off addresses in a sentence.
var unmarked = strings.NewReplacer(`<bdi class="mfa-address">`, "", "</bdi>", "")

// want ends the test unless the answer has that status and these texts.
func (r *response) want(status int, texts ...string) *response {
	r.t.Helper()
	if r.Code != status {
		r.t.Fatalf("status %d, want %d; Location %q\n%s", r.Code, status, r.Header.Get("Location"), r.Body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(unmarked.Replace(r.Body)), text) {
			r.t.Fatalf("%q is not in\n%s", text, r.Body)
		}
	}
	return r
}

func (r *response) wantRedirect(to string) *response {
	r.t.Helper()
	if r.Code != http.StatusSeeOther || r.Header.Get("Location") != to {
		r.t.Fatalf("status %d, Location %q, want 303 to %q\n%s", r.Code, r.Header.Get("Location"), to, r.Body)
	}
	return r
}

var (
	formPattern  = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputPattern = regexp.MustCompile(`<input[^>]*>`)
	attrPattern  = regexp.MustCompile(`(name|value|type)="([^"]*)"`)
)

// form returns the fields of the first form with that action, as the page has
// them.
func (r *response) form(action string) url.Values {
	r.t.Helper()
	return r.forms(action)[0]
}

func (r *response) forms(action string) (all []url.Values) {
	r.t.Helper()
	for _, m := range formPattern.FindAllStringSubmatch(r.Body, -1) {
		if html.UnescapeString(m[1]) != action {
			continue
		}
		form := url.Values{}
		for _, in := range inputPattern.FindAllString(m[2], -1) {
			attrs := map[string]string{}
			for _, a := range attrPattern.FindAllStringSubmatch(in, -1) {
				attrs[a[1]] = html.UnescapeString(a[2])
			}
			if attrs["name"] != "" {
				form.Add(attrs["name"], attrs["value"])
			}
		}
		all = append(all, form)
	}
	if len(all) == 0 {
		r.t.Fatalf("status %d: no form to %s in\n%s", r.Code, action, r.Body)
	}
	return all
}

func set(form url.Values, pairs ...string) url.Values {
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func (b *browser) login(user string, pairs ...string) *response {
	b.t.Helper()
	return b.follow(b.post("/login", set(url.Values{"user": {user}, "password": {"the-password"}}, pairs...)))
}

// follow goes on to the page of the second step, if that is where r leads.
func (b *browser) follow(r *response) *response {
	b.t.Helper()
	if to := r.Header.Get("Location"); r.Code == http.StatusSeeOther && strings.HasPrefix(to, "/mfa/sign-in") {
		return b.get(to)
	}
	return r
}

// enroll signs user in and sets up the first factor, with code pinRight.
func (b *browser) enroll(user string) *browser {
	b.t.Helper()
	b.login(user).wantRedirect("/")
	scan := b.post("/mfa/enroll", url.Values{"kind": {"totp"}, "name": {"my phone"}}).want(200, "Scan this code")
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinRight)).want(200, "Save your backup codes")
	return b
}

// code is the n-th right answer after the one that enrolled.
func code(n int) string { return strconv.Itoa(100000 + n) }

// signIn passes both steps.
func (b *browser) signIn(user, code string) *browser {
	b.t.Helper()
	step := b.login(user).want(200)
	b.post("/mfa/sign-in/verify", set(step.form("/mfa/sign-in/verify"), "code", code)).wantRedirect("/")
	return b
}
