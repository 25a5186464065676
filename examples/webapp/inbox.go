package main

// The inbox page: all mail of the shop, for development. Whoever reaches it
// reads everybody's codes, which is why it is there without -smtp alone.

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
)

// An inbox keeps mail, and when it came.
type inbox struct {
	kept mail.Outbox

	mu sync.Mutex
	at []time.Time // of every mail there was, oldest first
}

// A letter is one mail in the inbox.
type letter struct {
	Number int // from 1, never given to another
	At     time.Time
	mail.Kept
}

// as returns a sender whose mail comes here.
func (in *inbox) as(from string) mail.Sender { return stamped{in, in.kept.As(from)} }

type stamped struct {
	in *inbox
	mail.Sender
}

func (s stamped) Send(ctx context.Context, m mail.Message) error {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	err := s.Sender.Send(ctx, m)
	if err == nil {
		s.in.at = append(s.in.at, time.Now())
	}
	return err
}

// letters returns what is kept, newest first. The oldest may be forgotten.
func (in *inbox) letters() (ls []letter) {
	in.mu.Lock()
	defer in.mu.Unlock()
	all := in.kept.All()
	forgotten := len(in.at) - len(all)
	for i, k := range slices.Backward(all) {
		ls = append(ls, letter{forgotten + i + 1, in.at[forgotten+i], k})
	}
	return ls
}

// ownName answers only where this program can be reached by its own name. A foreign
// site may let its name point to loopback, and its pages could then read everybody's
// mail (DNS rebinding).
func (a *app) ownName(next http.HandlerFunc) http.HandlerFunc {
	own := strings.TrimPrefix(a.at, "http://")
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Host != own && r.Host+":80" != own {
			http.Error(w, "not at this name", http.StatusMisdirectedRequest)
			return
		}
		next(w, r)
	}
}

func (a *app) mails(w http.ResponseWriter, r *http.Request) {
	a.render(w, r, http.StatusOK, "inbox", page{Title: "Inbox", Letters: a.mailer.inbox.letters()})
}

func (a *app) mail(w http.ResponseWriter, r *http.Request) {
	if l, ok := a.letter(r); ok {
		a.render(w, r, http.StatusOK, "mail", page{Title: l.Subject, Letters: []letter{l}})
		return
	}
	http.NotFound(w, r)
}

// mailHTML is a mail's HTML part, for the frame in its page. It is shown as a
// mail program would: styles, and nothing else, from nowhere else. Links open in
// a tab of their own.
func (a *app) mailHTML(w http.ResponseWriter, r *http.Request) {
	l, ok := a.letter(r)
	if !ok || l.HTML == "" {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "+
		"frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(strings.Replace(l.HTML, "<head>", `<head><base target="_blank">`, 1)))
}

// letter is the one that the address names.
func (a *app) letter(r *http.Request) (letter, bool) {
	n, _ := strconv.Atoi(r.PathValue("number"))
	ls := a.mailer.inbox.letters()
	i, ok := slices.BinarySearchFunc(ls, n, func(l letter, n int) int { return cmp.Compare(n, l.Number) })
	if !ok {
		return letter{}, false
	}
	return ls[i], true
}
