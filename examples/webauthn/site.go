package main

// The rest of the site, which has nothing to do with passkeys.

import (
	"context"
	"flag"
	"fmt"
	"html"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"unicode"
)

// fit reports whether somebody may be called that.
func fit(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (a *app) endSessions(_ context.Context, userID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.sessions, func(_ string, s session) bool { return s.user == userID })
	return nil
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie("session"); err == nil {
		a.mu.Lock()
		delete(a.sessions, c.Value)
		a.mu.Unlock()
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	user, _ := a.Session(r)
	if user == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Acme</title><p>Hello, %s.
<p><a href="/mfa/">Security</a><form method="post" action="/logout"><button>Sign out</button></form>`, html.EscapeString(user))
}

func main() {
	port := flag.String("port", "8080", "where to listen, on localhost")
	flag.Parse()
	addr := net.JoinHostPort("localhost", *port)
	h, err := handler("http://" + addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("open http://%s/, sign up by a name, add a passkey, sign out, and sign in with it", addr)
	log.Fatal(http.ListenAndServe(addr, h))
}
