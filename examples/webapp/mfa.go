package main

// All that this application has to do with multi-factor authentication: it
// makes a guard over its database, says who a user is, what is wanted of him and
// who else hears of it, and lends its sessions to the pages. Where it uses them:
// pages.SignIn and pages.Require in web.go, PasswordChanged in password,
// AddressChanged in move, Overviews and Reset in admin.

import (
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/notify"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

func (a *app) protect(ctx context.Context, st store.Store, keys vault.Keys) error {
	v, err := vault.Open(st, keys, nil)
	if err != nil {
		return err
	}
	for id, err := range v.Users(ctx, "") { // do the keys open what is there? One will tell
		if err == nil {
			_, err = v.View(ctx, id)
		}
		if err != nil {
			return err
		}
		break
	}
	// Codes go out at once, so that a failure can be told; notices wait in their
	// tenant's queue, so that nobody waits for them.
	sender := mail.Route(a.mailer.pick)
	a.notices = map[string]*mail.Queue{}
	for _, t := range tenants() {
		a.notices[t.ID] = mail.NewQueue(sender, 1000, func(m mail.Message, err error) {
			slog.Warn("a notice was not sent", "tenant", m.Tenant, "error", err)
		})
	}
	queues := mail.Route(func(_ context.Context, tenant string) (mail.Sender, error) {
		if q := a.notices[tenant]; q != nil {
			return q, nil
		}
		return nil, nil
	})
	notices, err := notify.New(queues, &notify.Options{Settings: a.at + "/mfa/", To: a.watchers})
	if err != nil {
		return err
	}
	a.guard, err = mfa.New(v, mfa.Config{
		Service: "Acme", Methods: append(a.methods(), emailotp.New(sender, nil), backupcodes.New(nil)),
		Users: a.user, Notify: notices, EndSessions: a.db.endSessions, OnEvent: logEvent, Limit: (&mailLimit{}).use,
	})
	if err != nil {
		return err
	}
	a.pages, err = mfahttp.New(a.guard, a, &mfahttp.Options{
		Render:    a.frame, // our own header around the library's pages
		Client:    client,
		OnError:   func(_ *http.Request, err error) { slog.Error("mfa", "error", err) },
		AllowHTTP: true, // only because this example speaks plain http, on loopback; leave it out
	})
	return err
}

// methods are an app and passkeys. These belong to a domain, which an IP address is
// not: at http://127.0.0.1 the example does without.
func (a *app) methods() []mfa.Method {
	methods := []mfa.Method{totp.New(nil)}
	keys := webauthn.New(a.at, &webauthn.Options{NameOf: model})
	if a.passkeys = keys.Check() == nil; a.passkeys {
		methods = append(methods, keys)
	}
	return methods
}

// A mailLimit lets twenty codes an hour go to one address. The library counts by
// account; but anybody may make many accounts here, and enter a stranger's address
// in each. In earnest it is kept where all processes see it.
type mailLimit struct {
	mu    sync.Mutex
	since time.Time
	sent  map[string]int // since then
}

func (l *mailLimit) use(_ context.Context, u mfa.Use) error {
	if u.Address == "" { // an answer is to be judged: for that the library's own limits do
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.since) >= time.Hour {
		l.since, l.sent = now, map[string]int{}
	}
	to := strings.ToLower(u.Address)
	if l.sent[to] >= 20 {
		return &mfa.LimitError{RetryAfter: l.since.Add(time.Hour).Sub(now)}
	}
	l.sent[to]++
	return nil
}

// model names a few of those that are listed at
// https://github.com/passkeydeveloper/passkey-authenticator-aaguids.
func model(aaguid [16]byte) string {
	return map[string]string{
		"ea9b8d664d011d213ce4b6b48cb575d4": "Google Password Manager",
		"fbfc3007154e4ecc8c0b6e020557d7bd": "iCloud Keychain",
		"08987058cadc4b81b6e130de50dcbe96": "Windows Hello",
		"bada5566a7aa401fbd9645619a55120d": "1Password",
		"d548826e79b4db40a3d811116f7e8349": "Bitwarden",
	}[hex.EncodeToString(aaguid[:])]
}

// user is who somebody is and what is wanted of him: nobody must, all should,
// who has ordered has to, and a service account is exempt for its API key.
func (a *app) user(ctx context.Context, id string) (mfa.User, error) {
	u, err := a.db.user(ctx, id)
	if err != nil {
		return mfa.User{}, err
	}
	p := mfa.Policy{Demand: mfa.Recommended, PasskeyAlone: true} // a passkey signs in without a password
	switch {
	case u.Service:
		p = mfa.Policy{Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByAPIKey}}
	case u.Orders > 0:
		p.Demand = mfa.Required
	}
	m := mfa.User{ID: u.ID, Name: u.Email, Email: u.Email, Tenant: u.Tenant, Service: u.Shop(), Policy: p}
	if u.Service {
		m.Email = "" // its name is no address
	}
	return m, nil
}

// watchers are who hears of an event besides the user: the tenant's security desk,
// of resets and when somebody guesses codes.
func (a *app) watchers(_ context.Context, u mfa.User, e mfa.Event) ([]string, error) {
	desk := a.mailer.security[u.Tenant]
	switch e.Type {
	case mfa.EventReset, mfa.EventPaused, mfa.EventDisabled:
		if desk != "" {
			return []string{desk}, nil
		}
	}
	return nil, nil
}

// logEvent writes what happened, for which an Event prints no address and no code.
// What could not be sent is an event, too, with the reason.
func logEvent(ctx context.Context, e mfa.Event) {
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelWarn
	}
	slog.Log(ctx, level, "mfa", "event", e)
}

// client is who calls, for notices. There is no proxy in front of this example
// whose word would have to be taken.
func client(r *http.Request) mfa.Client {
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	return mfa.Client{IP: ip, Agent: r.UserAgent()}
}

// Session, StartSession and Reauthenticate lend our sessions to the pages.

func (a *app) Session(r *http.Request) (userID, token string) {
	s := a.session(r)
	return s.UserID, s.Proof
}

func (a *app) StartSession(w http.ResponseWriter, r *http.Request, l *mfa.Login) error {
	return a.startSession(w, r, l.Session.UserID(), l.Session.Token())
}

func (a *app) Reauthenticate(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, loginPath(r.URL.Query().Get("next"), "again"), http.StatusSeeOther)
}
