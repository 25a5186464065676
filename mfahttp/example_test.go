package mfahttp_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// shop lends its sessions to the pages. A real one keeps them in its database.
type shop map[string][2]string

func (s shop) Session(r *http.Request) (userID, token string) {
	c, err := r.Cookie("session")
	if err != nil {
		return "", ""
	}
	return s[c.Value][0], s[c.Value][1]
}

func (s shop) StartSession(w http.ResponseWriter, _ *http.Request, l *mfa.Login) error {
	id := fmt.Sprint("session", len(s)) // random, in earnest
	s[id] = [2]string{l.Session.UserID(), l.Session.Token()}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", Secure: true, HttpOnly: true})
	return nil
}

func (s shop) Reauthenticate(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.Query().Get("next")), http.StatusSeeOther)
}

func Example() {
	keys, err := vault.NewKey() // in earnest: made once, and kept like a password
	if err != nil {
		log.Fatal(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		log.Fatal(err)
	}
	guard, err := mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)}})
	if err != nil {
		log.Fatal(err)
	}
	pages, err := mfahttp.New(guard, shop{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mfa/", pages)
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// The password was right. Here the session used to be started.
		pages.SignIn(w, r, mfa.FirstFactor{UserID: "ann", By: mfa.ByPassword})
	})
	protected := pages.Require(mfa.Rule{}) // a second factor, at most five minutes ago
	mux.Handle("/payout", protected(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "paid to", mfahttp.FromContext(r.Context()).UserID())
	})))

	// Ann has nothing set up: she is signed in, and sent to set it up when she
	// asks for what needs it.
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/login", strings.NewReader("")))
	fmt.Println(w.Code, w.Header().Get("Location"))
	r := httptest.NewRequest("GET", "/payout", nil)
	r.Header.Set("Cookie", w.Header().Get("Set-Cookie"))
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output:
	// 303 /
	// 303 /mfa/?done=needed&next=%2Fpayout
}
