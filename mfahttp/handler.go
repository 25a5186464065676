package mfahttp

// The handler: what it is made of, and how a request finds its way.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-f4994bf1/mfa"
)

// An App is the application's own sessions, as the handler needs them.
type App interface {
	// Session says who is signed in on r, and the text of Session.Token that
	// StartSession kept. "" as userID: nobody is. "" as token: somebody who
	// has proven nothing.
	Session(r *http.Request) (userID, token string)

	// StartSession starts the application's session of
	// l.Session.UserID(), keeps l.Session.Token() in it, and sets what the
	// browser needs on w, without writing a status or a body. It is called
	// after a sign-in, a step-up, and each change that renews the session.
	//
	// Implementations must give the session a fresh identifier each time and
	// end the one that r came with (ASVS 7.2.4). l.Carry is what they put
	// into FirstFactor.Carry, at a sign-in.
	StartSession(w http.ResponseWriter, r *http.Request, l *mfa.Login) error

	// Reauthenticate asks for the first factor again: the session proves too
	// little, or it was too long ago. It writes the whole response, mostly a
	// redirect to the sign-in page. The query parameter "next" of r is where
	// the user wants to go, a local path that was checked.
	Reauthenticate(w http.ResponseWriter, r *http.Request)
}

// Options may be nil.
type Options struct {
	// Path is where the Handler is mounted: it begins and ends with a slash.
	// "": "/mfa/".
	Path string

	// Home is where users go who have nowhere else to go. "": "/".
	Home string

	// Login is the application's sign-in page; it gets the query parameter
	// "next". "": "/login".
	Login string

	// Texts by BCP 47 tag ("fr", "pt-BR"), over or beside the built-in
	// English ("en") and German ("de"). What is empty in one takes the
	// built-in text.
	Texts map[string]Texts

	// Language says which language to answer r in, as a BCP 47 tag. nil or
	// "": the user's Locale, where it is known, else Accept-Language.
	Language func(r *http.Request) string

	// Client says who called, for events. nil: nobody is named. Behind a proxy
	// only the application knows which header to trust.
	Client func(r *http.Request) mfa.Client

	// OnError gets the cause of what is answered with a status of 500 or more,
	// or of a session that did not start, to be logged. nil: nobody hears of it.
	OnError func(r *http.Request, err error)

	// Render writes a page in the application's own frame. nil: a plain one.
	// The status is written for it with its first byte, the headers are set
	// before it is called and may be changed by it, such as the
	// Cross-Origin-Opener-Policy of pages that the application shows in a
	// pop-up.
	Render func(w http.ResponseWriter, r *http.Request, p Page) error

	// AllowHTTP takes Secure and the prefix __Host- from the cookies of a
	// request that came without TLS. It is for development on plain http with
	// another name than localhost, and with Safari, which keeps no Secure
	// cookie there; Chromium and Firefox do on localhost. Never set it behind
	// a proxy that ends TLS.
	AllowHTTP bool

	// NoTrial leaves out the page after a device was added that has the user
	// sign in with it once. false: it is there, and can be passed over.
	NoTrial bool

	// Apps are the authenticator apps that the wizard names. nil: some that
	// are widespread; empty: none.
	Apps []AppLink
}

// An AppLink is an authenticator app that the wizard names.
type AppLink struct {
	Name string
	URL  string // https
}

// A Handler serves the pages and the JSON API. It is safe for use by many
// goroutines, and keeps nothing that a restart would lose.
type Handler struct {
	guard  *mfa.Guard
	app    App
	opts   Options
	texts  map[string]*Texts
	tmpl   *template.Template
	assets map[string]asset
	routes map[string]route
	origin *http.CrossOriginProtection
}

// A route is one path below Options.Path.
type route struct {
	get, post func(*visit)
}

// New returns a Handler over g, or what is wrong with opts.
func New(g *mfa.Guard, app App, opts *Options) (*Handler, error) {
	if g == nil || app == nil {
		return nil, errors.New("mfahttp: no guard or no app")
	}
	h := &Handler{guard: g, app: app, origin: http.NewCrossOriginProtection()}
	if opts != nil {
		h.opts = *opts
	}
	for _, o := range []struct {
		path *string
		name string
		def  string
	}{{&h.opts.Path, "Path", "/mfa/"}, {&h.opts.Home, "Home", "/"}, {&h.opts.Login, "Login", "/login"}} {
		if *o.path == "" {
			*o.path = o.def
		}
		if p, ok := local(*o.path); !ok || p != *o.path || strings.Contains(p, "?") {
			return nil, fmt.Errorf("mfahttp: Options.%s is not a local path", o.name)
		}
	}
	if !strings.HasSuffix(h.opts.Path, "/") {
		return nil, errors.New("mfahttp: Options.Path does not end with a slash")
	}
	if h.opts.Apps == nil {
		h.opts.Apps = widespread()
	}
	h.opts.Apps = slices.Clone(h.opts.Apps)
	for _, a := range h.opts.Apps {
		if a.Name == "" || !strings.HasPrefix(a.URL, "https://") {
			return nil, errors.New("mfahttp: Options.Apps wants names and https URLs")
		}
	}
	h.texts = texts(h.opts.Texts)
	var err error
	if h.tmpl, err = templates(); err != nil {
		return nil, fmt.Errorf("mfahttp: %w", err)
	}
	if h.assets, err = assets(); err != nil {
		return nil, fmt.Errorf("mfahttp: %w", err)
	}
	h.routes = routes()
	return h, nil
}

func widespread() []AppLink {
	return []AppLink{
		{"Google Authenticator", "https://support.google.com/accounts/answer/1066447"},
		{"Microsoft Authenticator", "https://www.microsoft.com/security/mobile-authenticator-app"},
		{"Authy", "https://www.authy.com/download/"},
		{"Duo Mobile", "https://duo.com/product/multi-factor-authentication-mfa/duo-mobile-app"},
	}
}

func routes() map[string]route {
	rs := map[string]route{
		"": {get: (*visit).pageSecurity},

		"sign-in":         {get: (*visit).pageStep},
		"sign-in/over":    {get: (*visit).pageOver},
		"sign-in/enroll":  {get: (*visit).pageStep, post: (*visit).pageForcedEnroll},
		"sign-in/confirm": {get: (*visit).pageStep, post: (*visit).pageForcedConfirm},

		"step-up": {get: (*visit).pageStepUp},
		"passkey": {get: (*visit).pagePasskeyOver, post: (*visit).pagePasskey},

		"enroll":         {get: (*visit).pageEnroll, post: (*visit).pageEnrollBegin},
		"confirm":        {get: (*visit).pageBackToSecurity, post: (*visit).pageConfirm},
		"trial":          {get: (*visit).pageTrial, post: (*visit).pageTrialDo},
		"codes":          {get: (*visit).pageNewCodes, post: (*visit).pageNewCodesMake},
		"codes/download": {get: (*visit).pageBackToSecurity, post: (*visit).pageDownload},
		"rename":         {get: (*visit).pageRename, post: (*visit).pageRenameDo},
		"remove":         {get: (*visit).pageRemove, post: (*visit).pageRemoveDo},
		"off":            {get: (*visit).pageOff, post: (*visit).pageOffDo},
		"off/done":       {get: (*visit).pageOffDone},

		"api/sign-in/enroll":  {post: (*visit).apiForcedEnroll},
		"api/sign-in/confirm": {post: (*visit).apiForcedConfirm},

		"api/step-up": {post: (*visit).apiStepUp},

		"api/passkey":        {post: (*visit).apiPasskey},
		"api/passkey/verify": {post: (*visit).apiPasskeyVerify},

		"api/settings":            {get: (*visit).apiSettings},
		"api/settings/enroll":     {post: (*visit).apiEnroll},
		"api/settings/confirm":    {post: (*visit).apiConfirm},
		"api/settings/codes":      {post: (*visit).apiCodes},
		"api/settings/rename":     {post: (*visit).apiRename},
		"api/settings/remove":     {post: (*visit).apiRemove},
		"api/settings/remove-all": {post: (*visit).apiRemoveAll},
	}
	for _, f := range []flow{signIn, stepUp} {
		get := (*visit).pageStep
		if f == stepUp {
			get = (*visit).pageStepUp
		}
		rs[string(f)+"/verify"] = route{get: get, post: func(v *visit) { v.pageVerify(f) }}
		rs[string(f)+"/method"] = route{get: get, post: func(v *visit) { v.pageMethod(f) }}
		rs[string(f)+"/cancel"] = route{get: get, post: func(v *visit) { v.pageCancel(f) }}
		rs["api/"+string(f)+"/offers"] = route{post: func(v *visit) { v.apiOffers(f) }}
		rs["api/"+string(f)+"/challenge"] = route{post: func(v *visit) { v.apiChallenge(f) }}
		rs["api/"+string(f)+"/verify"] = route{post: func(v *visit) { v.apiVerify(f) }}
		rs["api/"+string(f)+"/cancel"] = route{post: func(v *visit) { v.apiCancel(f) }}
	}
	return rs
}

// A visit is one request and what is needed to answer it.
type visit struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	api   bool // answer in JSON
	entry bool // in the application's own route
	in    input
	lang  string
	t     *Texts
}

func (h *Handler) visit(w http.ResponseWriter, r *http.Request, api bool) *visit {
	v := &visit{h: h, w: w, r: r, ctx: r.Context(), api: api}
	if h.opts.Client != nil {
		v.ctx = mfa.WithClient(v.ctx, h.opts.Client(r))
	}
	v.lang, v.t = h.language(r, "")
	return v
}

// ServeHTTP serves everything below Options.Path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rel, below := strings.CutPrefix(r.URL.Path, h.opts.Path)
	if a, ok := h.assets[rel]; ok && below {
		a.serve(w, r)
		return
	}
	v := h.visit(w, r, strings.HasPrefix(rel, "api/") || wantsJSON(r))
	secure(w.Header())
	rt, ok := h.routes[rel]
	if !ok || !below {
		v.fail(errNotFound)
		return
	}
	switch do := rt.post; r.Method {
	case http.MethodGet, http.MethodHead:
		if rt.get == nil {
			w.Header().Set("Allow", http.MethodPost)
			v.fail(errMethod)
			return
		}
		rt.get(v)
	case http.MethodPost:
		if do == nil {
			w.Header().Set("Allow", "GET, HEAD")
			v.fail(errMethod)
			return
		}
		if err := h.origin.Check(r); err != nil {
			v.fail(errCrossOrigin)
			return
		}
		if err := v.read(strings.HasPrefix(rel, "api/")); err != nil {
			v.fail(err)
			return
		}
		do(v)
	default:
		allow := []string{}
		if rt.get != nil {
			allow = append(allow, http.MethodGet, http.MethodHead)
		}
		if rt.post != nil {
			allow = append(allow, http.MethodPost)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		v.fail(errMethod)
	}
}

// secure sets the headers of everything that is not an asset.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; "+
		"frame-ancestors 'none'; base-uri 'none'")
	header.Set("Cache-Control", "no-store")
	// Not no-referrer: with it, browsers write "Origin: null" on a form, and
	// those that send no Sec-Fetch-Site could not be told from another site.
	// No address of ours holds a secret.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// SignIn is to be called where the application, having verified the first
// factor, used to start its session. It calls Guard.Begin and writes the whole
// response: the session and a redirect, or a redirect to the page that asks for
// the second step, or to the wizard if the user must set one up; in JSON if r
// accepts JSON and no HTML.
//
// The user ends at the form or query field "next" of r, if it is a local path,
// else at Options.Home. f.Binding and f.Resume are set here. Exemptions do not
// hold here, whatever r accepts: SignInProgram is for them.
func (h *Handler) SignIn(w http.ResponseWriter, r *http.Request, f mfa.FirstFactor) {
	v := h.visit(w, r, wantsJSON(r))
	v.entry = true
	secure(w.Header())
	v.in.Next = r.URL.Query().Get("next")
	if r.Form != nil {
		v.in.Next = r.Form.Get("next")
	}
	binding, known := h.binding(r)
	if !known {
		binding = rand.Text()
	}
	f.Binding = binding
	if f.Resume == "" {
		f.Resume, _ = h.cookie(r, stepCookie) // a code that is on its way stays good
	}
	login, err := h.guard.Begin(v.ctx, f)
	switch {
	case err != nil:
		v.fail(err)
	case login.Session != nil && login.Skipped == mfa.SkippedExempt:
		v.fail(errExempt)
	case login.Session != nil:
		v.complete(login)
	default:
		if !known {
			h.setCookie(w, r, bindingCookie, binding)
		}
		if v.api {
			v.apiPending(login.Pending)
			return
		}
		v.showStep(login.Pending)
	}
}

// SignInProgram is SignIn for a route that programs sign in at, such as with a
// key: nobody is asked there. ok is true if the program may go on with the
// Session: the account is exempt for f.By, or has nothing set up. Else
// SignInProgram has written a problem that says what to do instead, and the
// caller returns.
//
// What the program gets for the Session must not be good for a browser: the key
// was no sign-in to the pages, where a first factor may be set up or changed.
func (h *Handler) SignInProgram(w http.ResponseWriter, r *http.Request, f mfa.FirstFactor) (s *mfa.Session, ok bool) {
	v := h.visit(w, r, true)
	login, err := h.guard.Begin(v.ctx, f)
	switch {
	case err == nil && login.Session != nil:
		return login.Session, true
	case err == nil && login.Pending.MustEnroll():
		err = errMustEnroll
	case err == nil:
		err = errSecondFactor
	}
	secure(w.Header())
	v.fail(err)
	return nil, false
}

type sessionKey struct{}

// FromContext returns the Session that Require let pass, nil outside of it.
func FromContext(ctx context.Context) *mfa.Session {
	s, _ := ctx.Value(sessionKey{}).(*mfa.Session)
	return s
}

// Require lets only those requests through whose session satisfies rule. A
// page is sent to sign in, to step up or to the settings, and comes back by a
// GET: of its own address or, for a form, of the page that the form was on. A
// program gets a problem that says what is missing.
func (h *Handler) Require(rule mfa.Rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := h.visit(w, r, wantsJSON(r))
			s := v.session()
			if s == nil {
				secure(w.Header())
				v.needSignIn(h.here(r))
				return
			}
			if err := h.guard.Require(v.ctx, s, rule); err != nil {
				secure(w.Header())
				v.need(err, h.here(r))
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
		})
	}
}

// session is the application's session, nil if nobody is signed in.
func (v *visit) session() *mfa.Session {
	userID, token := v.h.app.Session(v.r)
	if userID == "" {
		return nil
	}
	return v.h.guard.Session(userID, token)
}

// signedIn reports whether somebody is signed in, with a session of ours.
func (v *visit) signedIn() bool {
	s := v.session()
	return s != nil && s.Token() != ""
}

// redirect sends the browser on, with a GET.
func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// next is where the user wanted to go.
func (v *visit) next() string {
	if next, ok := local(v.in.Next); ok {
		return next
	}
	return v.h.opts.Home
}

// Two cookies go with a sign-in, and end with the browser. One ties it to the
// browser; it is kept over sign-ins, so that two of them may be under way in two
// tabs, and says nothing about the user. The other holds the token of the latest
// for the page that asks for the second step, so that it can be reloaded and come
// back to; what is sent from the page has the token of its own.
const (
	bindingCookie = "mfa"
	stepCookie    = "mfa-step"
	maxToken      = 3 << 10
)

// cookieName is how a cookie is called on r, and whether it is Secure.
func (h *Handler) cookieName(r *http.Request, name string) (string, bool) {
	if h.opts.AllowHTTP && r.TLS == nil {
		return "http-" + name, false
	}
	return "__Host-" + name, true
}

func (h *Handler) cookie(r *http.Request, name string) (value string, ok bool) {
	name, _ = h.cookieName(r, name)
	c, err := r.Cookie(name)
	if err != nil || c.Value == "" || len(c.Value) > maxToken {
		return "", false
	}
	return c.Value, true
}

// binding is what only this browser has.
func (h *Handler) binding(r *http.Request) (value string, ok bool) {
	value, ok = h.cookie(r, bindingCookie)
	return value, ok && len(value) >= 26 && len(value) <= 64
}

// setCookie sets a cookie, or with "" takes it away.
func (h *Handler) setCookie(w http.ResponseWriter, r *http.Request, name, value string) {
	c := &http.Cookie{Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	c.Name, c.Secure = h.cookieName(r, name)
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// forget takes the token of this sign-in out of the browser, if it is there.
func (v *visit) forget() {
	if token, ok := v.h.cookie(v.r, stepCookie); ok && (token == v.in.Token || v.in.Token == "") {
		v.h.setCookie(v.w, v.r, stepCookie, "")
	}
}
