// Command webauthn is the smallest site with passkeys alone: sign up by a name, add a
// passkey, and sign in with it, without a password and without the name.
//
//	go run ./examples/webauthn
//
// Then open http://localhost:8080/. Passkeys belong to a domain, so it has to be
// localhost and not 127.0.0.1. Everything is in memory.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// bySignUp is the first factor of who has just made the account.
const bySignUp mfa.By = "sign-up"

// handler is the application at origin, such as "http://localhost:8080".
func handler(origin string) (http.Handler, error) {
	keys, err := vault.NewKey() // in earnest: once, and kept like a password
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(memstore.New(), keys, nil) // in earnest: sqlstore
	if err != nil {
		return nil, err
	}
	a := &app{sessions: map[string]session{}}
	guard, err := mfa.New(v, mfa.Config{
		Service: "Acme",
		Methods: []mfa.Method{webauthn.New(origin, nil)}, // in earnest: and a way back for who loses it
		Users: func(_ context.Context, id string) (mfa.User, error) {
			// A passkey stands for both factors, and everybody must have one.
			return mfa.User{ID: id, Policy: mfa.Policy{PasskeyAlone: true, Demand: mfa.Required}}, nil
		},
		EndSessions: a.endSessions,
	})
	if err != nil {
		return nil, err
	}
	words := mfahttp.Texts{ // the others fit as they are; other languages likewise
		EnrollForced:  "Your account has to be protected by a passkey, which takes the place of a password.",
		SecurityTitle: "Passkeys", StateOnText: "A passkey signs you in, without a password.",
	}
	if a.pages, err = mfahttp.New(guard, a, &mfahttp.Options{Texts: map[string]mfahttp.Texts{"en": words}}); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", a.pages) // the passkey's sign-in, the wizard, the Security page
	mux.HandleFunc("POST /signup", func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("name")
		if !fit(name) {
			a.login(w, r, "This is no name.")
			return
		}
		o, err := guard.Admin("sign-up").Overview(r.Context(), name)
		switch {
		case err != nil:
			http.Error(w, "Please try again.", http.StatusServiceUnavailable)
		case o.Enabled(): // until it has a passkey, nobody has it: there is no session before
			a.login(w, r, "This name is taken. If it is yours, sign in with your passkey.")
		default:
			a.pages.SignIn(w, r, mfa.FirstFactor{UserID: name, By: bySignUp}) // leads to the wizard
		}
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { a.login(w, r, "") })
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("GET /{$}", a.home)
	return http.NewCrossOriginProtection().Handler(mux), nil
}

// app is the application's own sessions, as mfahttp asks for them.
type app struct {
	pages    *mfahttp.Handler
	mu       sync.Mutex
	sessions map[string]session // by the cookie's value
}

type session struct{ user, token string }

func (a *app) Session(r *http.Request) (userID, token string) {
	c, err := r.Cookie("session")
	if err != nil {
		return "", ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[c.Value]
	return s.user, s.token
}

func (a *app) StartSession(w http.ResponseWriter, r *http.Request, l *mfa.Login) error {
	id := rand.Text() // a fresh one each time
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, err := r.Cookie("session"); err == nil {
		delete(a.sessions, c.Value)
	}
	a.sessions[id] = session{l.Session.UserID(), l.Session.Token()}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return nil
}

func (a *app) Reauthenticate(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.Query().Get("next")), http.StatusSeeOther)
}

// login is the page with the library's button and script. The script also offers
// passkeys in the field for the name.
func (a *app) login(w http.ResponseWriter, r *http.Request, said string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'")
	if said != "" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		said = `<p role="alert">` + said
	}
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Sign in</title><script type="module" src="%s"></script>
<h1>Sign in</h1>%s<noscript><p>Passkeys need JavaScript.</noscript>
<h1>Sign up</h1>%s<form method="post" action="/signup">
<p><label>Name <input name="name" autocomplete="username webauthn" maxlength="64" required></label>
<p><button>Sign up</button></form>`, a.pages.Script(), a.pages.PasskeyButton(r), said)
}
