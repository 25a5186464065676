package main

// All that this application has to do with multi-factor authentication: it
// makes a guard over its database, says who a user is and what is wanted of
// him, and lends its sessions to the pages. Where it uses them: pages.SignIn
// and pages.Require in web.go, PasswordChanged in password, Overviews and Reset
// in admin.

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfahttp"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
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
	a.guard, err = mfa.New(v, mfa.Config{
		Service: "Acme", Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)},
		Users: a.user, EndSessions: a.db.endSessions,
		OnEvent: func(_ context.Context, e mfa.Event) { slog.Info("mfa", "event", e) },
	})
	if err != nil {
		return err
	}
	a.pages, err = mfahttp.New(a.guard, a, &mfahttp.Options{
		Render:    a.frame, // our own header around the library's pages
		OnError:   func(_ *http.Request, err error) { slog.Error("mfa", "error", err) },
		AllowHTTP: true, // only because this example speaks plain http, on loopback; leave it out
	})
	return err
}

// user is who somebody is and what is wanted of him: nobody must, all should,
// who has ordered has to, and a service account is exempt for its API key.
func (a *app) user(ctx context.Context, id string) (mfa.User, error) {
	u, err := a.db.user(ctx, id)
	if err != nil {
		return mfa.User{}, err
	}
	p := mfa.Policy{Demand: mfa.Recommended}
	switch {
	case u.Service:
		p = mfa.Policy{Demand: mfa.Exempt, ExemptBy: []mfa.By{mfa.ByAPIKey}}
	case u.Orders > 0:
		p.Demand = mfa.Required
	}
	return mfa.User{ID: u.ID, Name: u.Email, Email: u.Email, Policy: p}, nil
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
