package main

// The application: its routes, pages and sessions.

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfahttp"
)

//go:embed pages
var files embed.FS

type app struct {
	db      *database
	factors *keeper
	mailer  *mailer
	at      string                 // where the pages can be reached
	notices map[string]*mail.Queue // by tenant: one whose server hangs holds up nobody else's
	guard   *mfa.Guard
	pages   *mfahttp.Handler
	tmpl    *template.Template

	passkeys bool // they work at this address
}

func (a *app) close() {
	if a.factors != nil {
		_ = a.factors.Close()
	}
	if a.db.DB != nil {
		_ = a.db.Close()
	}
}

func (a *app) parse() (err error) {
	a.tmpl, err = template.ParseFS(files, "pages/*.html")
	return err
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mfa/", a.pages) // Security page, wizard, second step, JSON API
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "pages/style.css") })
	mux.HandleFunc("GET /signup", a.form("signup", "Sign up"))
	mux.HandleFunc("POST /signup", a.signUp)
	mux.HandleFunc("GET /login", a.form("login", "Sign in"))
	mux.HandleFunc("POST /login", a.signIn)
	mux.HandleFunc("POST /logout", a.signOut)
	mux.HandleFunc("POST /order", a.signedIn(a.order))
	mux.HandleFunc("POST /key", a.signedIn(a.key))
	mux.HandleFunc("POST /api/token", a.apiToken)
	mux.HandleFunc("GET /api/me", a.apiMe)
	if a.mailer.inbox != nil {
		mux.HandleFunc("GET /inbox", a.ownName(a.mails))
		mux.HandleFunc("GET /inbox/{number}", a.ownName(a.mail))
		mux.HandleFunc("GET /inbox/{number}/html", a.ownName(a.mailHTML))
	}

	// Who has a second factor must have proven it within the last five
	// minutes; for the admin page there is no way round having one.
	fresh := a.pages.Require(mfa.Rule{AllowWithout: true})
	mux.Handle("GET /profile", fresh(a.form("profile", "Profile")))
	mux.Handle("POST /profile", fresh(http.HandlerFunc(a.move)))
	mux.Handle("GET /password", fresh(a.form("password", "Change password")))
	mux.Handle("POST /password", fresh(http.HandlerFunc(a.password)))
	strict := a.pages.Require(mfa.Fresh(15 * time.Minute))
	mux.Handle("GET /admin", strict(a.adminOnly(a.admin)))
	mux.Handle("POST /admin/reset", strict(a.adminOnly(a.reset)))
	mux.Handle("POST /admin/service", strict(a.adminOnly(a.service)))
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 64<<10))
}

// page is what the templates see.
type page struct {
	Title, Alert, Note string
	User               *user // signed in
	Email, Next        string
	Tenant             string // that was chosen
	Tenants            []tenant
	Key                string // shown once
	Rows               []row
	Letters            []letter
	Inbox              bool // there is one
	Host               string
	Library            *mfahttp.Page
	Script             string        // of the library, for passkeys
	Passkey            template.HTML // the button
}

// Shop is whose page it is.
func (p page) Shop() string {
	if p.User != nil {
		return p.User.Shop()
	}
	return tenants()[0].Name
}

// row is one line of the admin page.
type row struct {
	user
	*mfa.Overview
}

func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p = a.around(w, r, p)
	scripts := ""
	if a.passkeys && (name == "login" || name == "home" && p.User != nil) {
		p.Script, p.Passkey = a.pages.Script(), a.pages.PasskeyButton(r)
		scripts = "script-src 'self'; connect-src 'self'; "
	}
	var b bytes.Buffer
	if err := a.tmpl.ExecuteTemplate(&b, name, p); err != nil {
		a.fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy",
		"default-src 'none'; "+scripts+"style-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// frame puts our header around a page of the library.
func (a *app) frame(w http.ResponseWriter, r *http.Request, p mfahttp.Page) error {
	return a.tmpl.ExecuteTemplate(w, "library", a.around(w, r, page{Title: p.Title, Library: &p}))
}

// around fills in what stands on every page.
func (a *app) around(w http.ResponseWriter, r *http.Request, p page) page {
	p.Host, p.Inbox, p.Tenants = r.Host, a.mailer.inbox != nil, tenants()
	if s := a.sessionOf(r.Context(), cookieAfter(w, r)); s.UserID != "" {
		if u, err := a.db.user(r.Context(), s.UserID); err == nil {
			p.User = &u
		}
	}
	return p
}

func (a *app) fail(w http.ResponseWriter, err error) {
	slog.Error("webapp", "error", err)
	http.Error(w, "Something went wrong. Please try again.", http.StatusInternalServerError)
}

// form is a page with a form and nothing else.
func (a *app) form(name, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p := page{Title: title, Next: q.Get("next")}
		switch {
		case q.Has("again"):
			p.Note = "Please sign in once more, then you will come back to where you were."
		case q.Has("changed"):
			p.Note = "Your password was changed. Sign in with the new one."
		case q.Has("moved"):
			p.Note = "Your email address was changed. Sign in with the new one."
		case q.Has("bye"):
			p.Note = "You are signed out."
		}
		a.render(w, r, http.StatusOK, name, p)
	}
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	p := page{Title: "Tea"}
	if r.URL.Query().Has("ordered") {
		p.Note = "Thank you for your order. Your account needs a second step from now on. If it has none yet, set it up under Security, or at the next sign-in."
	}
	a.render(w, r, http.StatusOK, "home", p)
}

// emailOf returns the one form in which an email address is kept.
func emailOf(r *http.Request) (string, bool) {
	email := strings.ToLower(strings.TrimSpace(r.FormValue("email")))
	address, err := mail.Address(email)
	return email, err == nil && address == email
}

func (a *app) signUp(w http.ResponseWriter, r *http.Request) {
	email, ok := emailOf(r)
	password := r.FormValue("password")
	tenant := tenantOf(cmp.Or(r.FormValue("tenant"), tenants()[0].ID))
	again := func(alert string) {
		a.render(w, r, http.StatusUnprocessableEntity, "signup",
			page{Title: "Sign up", Alert: alert, Email: email, Tenant: tenant.ID})
	}
	switch {
	case !ok:
		again("Please enter an email address.")
		return
	case tenant.ID == "":
		again("Please choose a partner.")
		return
	case len(password) < 10 || len(password) > 256:
		again("Please take a password of ten characters or more.")
		return
	}
	id, err := a.db.addUser(r.Context(), tenant.ID, email, password)
	switch {
	case errors.Is(err, errTaken):
		again("This address has an account already. Sign in instead.")
	case err != nil:
		a.fail(w, err)
	default:
		a.pages.SignIn(w, r, mfa.FirstFactor{UserID: id, By: mfa.ByPassword})
	}
}

func (a *app) signIn(w http.ResponseWriter, r *http.Request) {
	email, _ := emailOf(r)
	id, err := a.db.byPassword(r.Context(), email, r.FormValue("password"))
	switch {
	case errors.Is(err, errNoUser):
		a.render(w, r, http.StatusUnprocessableEntity, "login", page{
			Title: "Sign in", Alert: "Email address or password is wrong.", Email: email, Next: r.FormValue("next"),
		})
	case err != nil:
		a.fail(w, err)
	default:
		// Here the session was started before there was a second step.
		a.pages.SignIn(w, r, mfa.FirstFactor{UserID: id, By: mfa.ByPassword})
	}
}

func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		if err := a.db.endSession(r.Context(), byBrowser, c.Value); err != nil {
			a.fail(w, err)
			return
		}
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true})
	http.Redirect(w, r, "/login?bye", http.StatusSeeOther)
}

// order is a demo: who has ordered must have a second factor (see app.user).
func (a *app) order(w http.ResponseWriter, r *http.Request, s session) {
	if err := a.db.order(r.Context(), s.UserID); err != nil {
		a.fail(w, err)
		return
	}
	http.Redirect(w, r, "/?ordered", http.StatusSeeOther)
}

func (a *app) key(w http.ResponseWriter, r *http.Request, s session) {
	key, err := a.db.addKey(r.Context(), s.UserID)
	if err != nil {
		a.fail(w, err)
		return
	}
	a.render(w, r, http.StatusOK, "home", page{Title: "Tea", Key: key})
}

// move changes the account's address, which is the sign-in name, too. In earnest
// the new one is confirmed first, as it would be at the sign-up.
func (a *app) move(w http.ResponseWriter, r *http.Request) {
	// Half of it would be worse than none: it goes on if the caller hangs up.
	ctx := context.WithoutCancel(mfa.WithClient(r.Context(), client(r)))
	u, err := a.db.user(ctx, mfahttp.FromContext(ctx).UserID())
	if err != nil {
		a.fail(w, err)
		return
	}
	email, ok := emailOf(r)
	again := func(alert string) {
		a.render(w, r, http.StatusUnprocessableEntity, "profile", page{Title: "Profile", Alert: alert, Email: email})
	}
	switch {
	case !ok:
		again("Please enter an email address.")
		return
	case email == u.Email:
		again("That is your address already.")
		return
	}
	if _, err := a.db.byPassword(ctx, u.Email, r.FormValue("password")); err != nil {
		again("Your password is wrong.")
		return
	}
	// The guard tells both addresses and finds the new one in the profile, so that
	// comes first. If it cannot, the old one comes back: an account must not move
	// without a word to its owner.
	err = a.db.setEmail(ctx, u.ID, u.Email, email)
	if errors.Is(err, errTaken) {
		again("This address has an account already.")
		return
	}
	if err == nil {
		err = a.guard.AddressChanged(ctx, u.ID, u.Email)
		if _, told := errors.AsType[*mfa.EffectError](err); err != nil && !told {
			err = errors.Join(err, a.db.setEmail(ctx, u.ID, email, u.Email))
		}
	}
	if err != nil {
		a.fail(w, err)
		return
	}
	http.Redirect(w, r, "/login?moved", http.StatusSeeOther)
}

func (a *app) password(w http.ResponseWriter, r *http.Request) {
	ctx, id := mfa.WithClient(r.Context(), client(r)), mfahttp.FromContext(r.Context()).UserID()
	u, err := a.db.user(ctx, id)
	if err != nil {
		a.fail(w, err)
		return
	}
	again := func(alert string) {
		a.render(w, r, http.StatusUnprocessableEntity, "password", page{Title: "Change password", Alert: alert})
	}
	password := r.FormValue("new")
	if len(password) < 10 || len(password) > 256 {
		again("Please take a password of ten characters or more.")
		return
	}
	if _, err := a.db.byPassword(ctx, u.Email, r.FormValue("old")); err != nil {
		again("Your present password is wrong.")
		return
	}
	// Sign-ins under way, sessions and keys end, here and everywhere. They do so
	// first: a failure must not leave them alive under the new password.
	err = a.guard.PasswordChanged(ctx, id)
	if err == nil {
		err = a.db.dropKeys(ctx, id)
	}
	if err == nil {
		err = a.db.setPassword(ctx, id, password)
	}
	if err != nil {
		a.fail(w, err)
		return
	}
	http.Redirect(w, r, "/login?changed", http.StatusSeeOther)
}

func (a *app) adminOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := a.db.user(r.Context(), mfahttp.FromContext(r.Context()).UserID())
		if err != nil || !u.Admin {
			http.NotFound(w, r)
			return
		}
		next(w, r)
	})
}

func (a *app) admin(w http.ResponseWriter, r *http.Request) {
	a.drawAdmin(w, r, http.StatusOK, page{})
}

// drawAdmin lists who has which methods.
func (a *app) drawAdmin(w http.ResponseWriter, r *http.Request, status int, p page) {
	users, err := a.db.users(r.Context())
	if err != nil {
		a.fail(w, err)
		return
	}
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	for o, err := range a.actor().Overviews(r.Context(), ids...) {
		if err != nil {
			a.fail(w, err)
			return
		}
		p.Rows = append(p.Rows, row{users[len(p.Rows)], o})
	}
	p.Title = "Admin"
	a.render(w, r, status, "admin", p)
}

// actor is who does it: a name that users are told, and that is logged. This
// example has one administrator; others would each have a name of their own.
func (a *app) actor() *mfa.Admin { return a.guard.Admin("the administrator") }

func (a *app) reset(w http.ResponseWriter, r *http.Request) {
	reason := strings.TrimSpace(r.FormValue("reason"))
	if reason == "" || len(reason) > 1024 {
		a.drawAdmin(w, r, http.StatusUnprocessableEntity, page{Alert: "A reset needs a reason, not a long one."})
		return
	}
	u, err := a.db.user(r.Context(), r.FormValue("id"))
	if errors.Is(err, errNoUser) {
		a.drawAdmin(w, r, http.StatusNotFound, page{Alert: "There is no such user."})
		return
	}
	if err == nil {
		err = a.actor().Reset(r.Context(), u.ID, reason)
	}
	if err == nil {
		err = a.db.dropKeys(r.Context(), u.ID) // they let in without a second step while nothing is set up
	}
	if err != nil {
		a.fail(w, err)
		return
	}
	a.drawAdmin(w, r, http.StatusOK, page{Note: "Reset: " + u.Email + ". The password alone signs in until a method is set up again."})
}

// service makes a service account.
func (a *app) service(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSpace(r.FormValue("name"))
	if name == "" || len(name) > 64 || strings.Contains(name, "@") {
		a.drawAdmin(w, r, http.StatusUnprocessableEntity, page{Alert: "A service needs a name, without @."})
		return
	}
	admin, err := a.db.user(r.Context(), mfahttp.FromContext(r.Context()).UserID())
	if err != nil {
		a.fail(w, err)
		return
	}
	id, err := a.db.addUser(r.Context(), admin.Tenant, name, "")
	if errors.Is(err, errTaken) {
		a.drawAdmin(w, r, http.StatusConflict, page{Alert: "There is a service of that name."})
		return
	}
	var key string
	if err == nil {
		key, err = a.db.addKey(r.Context(), id)
	}
	if err != nil {
		a.fail(w, err)
		return
	}
	a.drawAdmin(w, r, http.StatusOK, page{Key: key})
}

// apiToken trades an API key for a token. A service account is exempt from the
// second factor here, and here alone; a protected person's key gets a problem
// (RFC 9457) that says what to do.
func (a *app) apiToken(w http.ResponseWriter, r *http.Request) {
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	id, err := a.db.byKey(r.Context(), key)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unknown key", http.StatusUnauthorized)
		return
	}
	s, ok := a.pages.SignInProgram(w, r, mfa.FirstFactor{UserID: id, By: mfa.ByAPIKey})
	if !ok {
		return
	}
	token, err := a.db.addSession(r.Context(), byProgram, session{s.UserID(), s.Token()}, 10*time.Minute)
	if err != nil {
		a.fail(w, err)
		return
	}
	writeJSON(w, map[string]any{"token": token, "expires_in": 600})
}

func (a *app) apiMe(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s, err := a.db.session(r.Context(), byProgram, token)
	if err != nil || s.UserID == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unknown token", http.StatusUnauthorized)
		return
	}
	u, err := a.db.user(r.Context(), s.UserID)
	if err != nil {
		a.fail(w, err)
		return
	}
	writeJSON(w, map[string]any{"name": u.Email, "service": u.Service, "orders": u.Orders})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// Sessions. In earnest the cookie is Secure and its name begins with __Host-;
// this example speaks plain http.
const (
	cookieName = "session"
	sessionTTL = 12 * time.Hour
)

func (a *app) session(r *http.Request) session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return session{}
	}
	return a.sessionOf(r.Context(), c.Value)
}

func (a *app) sessionOf(ctx context.Context, text string) session {
	s, err := a.db.session(context.WithoutCancel(ctx), byBrowser, text)
	if err != nil {
		return session{} // nobody, rather than somebody
	}
	return s
}

// cookieAfter is what the browser's cookie will be after this answer, which may
// have renewed the session before it draws its page.
func cookieAfter(w http.ResponseWriter, r *http.Request) string {
	for _, line := range slices.Backward(w.Header()["Set-Cookie"]) {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == cookieName {
			return c.Value
		}
	}
	if c, err := r.Cookie(cookieName); err == nil {
		return c.Value
	}
	return ""
}

func (a *app) startSession(w http.ResponseWriter, r *http.Request, userID, proof string) error {
	if c, err := r.Cookie(cookieName); err == nil {
		if err := a.db.endSession(r.Context(), byBrowser, c.Value); err != nil {
			return err
		}
	}
	text, err := a.db.addSession(r.Context(), byBrowser, session{userID, proof}, sessionTTL)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: text, Path: "/", MaxAge: int(sessionTTL.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

func (a *app) signedIn(next func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := a.session(r)
		if s.UserID == "" {
			http.Redirect(w, r, loginPath("", ""), http.StatusSeeOther)
			return
		}
		next(w, r, s)
	}
}

func loginPath(next, why string) string {
	q := url.Values{}
	if next != "" {
		q.Set("next", next)
	}
	if why != "" {
		q.Set(why, "")
	}
	if len(q) == 0 {
		return "/login"
	}
	return "/login?" + q.Encode()
}
