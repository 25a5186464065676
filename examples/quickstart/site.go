package main

// The rest of the site, which has nothing to do with the second step.

import (
	"context"
	"flag"
	"fmt"
	"html"
	"log"
	"maps"
	"net"
	"net/http"
)

func (a *app) endSessions(_ context.Context, userID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.sessions, func(_ string, s session) bool { return s.user == userID })
	return nil
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	user, _ := a.Session(r)
	if user == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>Acme</title><p>Hello, %s.
<p><a href="/mfa/">Security</a> · <a href="/secret">Secret</a>`, html.EscapeString(user))
}

func login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!doctype html><title>Sign in</title><form method="post">
<p><label>Name <input name="user" autocomplete="username" required></label>
<p><label>Password (it is demo) <input name="password" type="password" autocomplete="current-password" required></label>
<p><button>Sign in</button></form>`)
}

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen, on loopback")
	flag.Parse()
	if host, _, err := net.SplitHostPort(*addr); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		log.Fatalf("-addr %s: everybody's password is demo, so it listens on loopback alone", *addr)
	}
	h, err := handler()
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("open http://%s/ and sign in with any name and the password \"demo\"", *addr)
	log.Fatal(http.ListenAndServe(*addr, h))
}
