// Command quickstart is the smallest login with a second step: users and
// sessions in memory, one password for everybody. The README quotes it.
//
//	go run ./examples/quickstart
//
// Then open http://localhost:8080/ and sign in with any name and the password
// "demo".
package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// handler is the application: everything that has to do with the second step is
// here and in the three methods of app.
func handler() (http.Handler, error) {
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
		Service:     "Acme",
		Methods:     []mfa.Method{totp.New(nil), backupcodes.New(nil)},
		EndSessions: a.endSessions,
	})
	if err != nil {
		return nil, err
	}
	pages, err := mfahttp.New(guard, a, nil)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", pages) // Security page, wizards, second step, JSON
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user := r.FormValue("user")
		if user == "" || r.FormValue("password") != "demo" {
			login(w, r)
			return
		}
		pages.SignIn(w, r, mfa.FirstFactor{UserID: user, By: mfa.ByPassword}) // instead of starting a session
	})
	secret := pages.Require(mfa.Fresh(5 * time.Minute))
	mux.Handle("GET /secret", secret(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "only with a fresh second factor")
	})))
	mux.HandleFunc("GET /login", login)
	mux.HandleFunc("GET /{$}", a.home)
	return http.NewCrossOriginProtection().Handler(mux), nil
}

// app is the application's own sessions, as mfahttp asks for them.
type app struct {
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
