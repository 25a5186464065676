package mfahttp

// Signing in by a passkey, with no name and no password: what the application's
// sign-in page needs for it, and what its script calls.

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// Script is the address of the ES module for the application's own sign-in page,
// where it makes the button of PasskeyButton work and offers passkeys in the field
// for the name:
//
//	<script type="module" src="{{.Script}}"></script>
//	<input name="user" autocomplete="username webauthn">
//
// On a page without either it does nothing. It is the one that the Handler's own
// pages have.
func (h *Handler) Script() string { return h.assetURL("assets/mfa.js") }

// PasskeyButton is the button "Sign in with a passkey" for the application's own
// sign-in page, in the language of r, to be put beside the form with the password
// and not into it. The user ends where SignIn would lead. "" if no method can do
// it.
//
// It is not shown before the script has found that the browser can do it, and has
// the class mfa-passkey alone. What goes wrong is told in the paragraph after it.
func (h *Handler) PasskeyButton(r *http.Request) template.HTML {
	v := h.visit(nil, r, false)
	if _, _, err := h.guard.BeginPasskey(v.ctx, mfa.PasskeySignIn{}); errors.Is(err, mfa.ErrNoMethod) {
		return ""
	}
	next, _ := local(r.URL.Query().Get("next"))
	if r.Form != nil {
		next, _ = local(r.Form.Get("next"))
	}
	var b strings.Builder
	err := h.tmpl.ExecuteTemplate(&b, "passkey-button", page{T: v.t, Lang: v.lang, Next: next})
	if err != nil {
		return ""
	}
	return template.HTML(strings.TrimSpace(b.String()))
}

// RelatedOrigins serves the document that webauthn.Method.RelatedOriginsJSON
// gives, at https://{RP ID}/.well-known/webauthn: the other sites that may use the
// same passkeys.
func RelatedOrigins(document []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set(headerContentType, mediaTypeJSON)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(document)
	})
}

type wirePasskey struct {
	Token   string          `json:"token"`
	Kind    mfa.Kind        `json:"kind"`
	Options json.RawMessage `json:"options"`
	Expires *time.Time      `json:"expires"`
}

// apiPasskey begins a sign-in by a passkey. It reads and writes nothing.
func (v *visit) apiPasskey() {
	binding, known := v.h.binding(v.r)
	if !known {
		binding = rand.Text()
	}
	p, c, err := v.h.guard.BeginPasskey(v.ctx, mfa.PasskeySignIn{Binding: binding})
	if err != nil {
		v.fail(err)
		return
	}
	if !known {
		v.h.setCookie(v.w, v.r, bindingCookie, binding)
	}
	v.ok(wirePasskey{Token: p.Token(), Kind: c.Kind, Options: c.Options, Expires: instant(c.Expires)})
}

// passkey judges the answer. A Login with a Pending has to go on with a second
// factor.
func (v *visit) passkey() (*mfa.Login, error) {
	binding, ok := v.h.binding(v.r)
	if !ok {
		return nil, mfa.ErrInvalid
	}
	p, err := v.h.guard.ResumePasskey(v.in.Token, binding)
	if err != nil {
		return nil, err
	}
	return p.Verify(v.ctx, v.answer())
}

// completePasskey ends the sign-in, and with it whichever this browser had under
// way: another's page of the second step is no place to go back to.
func (v *visit) completePasskey(l *mfa.Login) {
	if _, ok := v.h.cookie(v.r, stepCookie); ok {
		v.h.setCookie(v.w, v.r, stepCookie, "")
	}
	v.complete(l)
}

func (v *visit) apiPasskeyVerify() {
	l, err := v.passkey()
	switch {
	case err != nil:
		v.fail(err)
	case l.Pending != nil:
		v.apiPending(l.Pending)
	default:
		v.completePasskey(l)
	}
}

// pagePasskey takes the answer of the application's sign-in page.
func (v *visit) pagePasskey() {
	next, _ := local(v.in.Next)
	l, err := v.passkey()
	switch {
	case err == nil && l.Pending != nil:
		v.in.Kind, v.in.FactorID = "", "" // the second one is another
		v.showStep(l.Pending)
	case err == nil:
		v.completePasskey(l)
	case rejected(err) && !errors.Is(err, mfa.ErrTooMany):
		login := with(v.h.opts.Login, "next", next)
		v.draw(http.StatusUnprocessableEntity, page{
			name: "passkey", title: v.t.PasskeyTitle, Continue: login, Here: login,
		})
	default:
		v.fail(err)
	}
}

// pagePasskeyOver is where the address leads by GET: on, or to the sign-in page.
func (v *visit) pagePasskeyOver() {
	v.query()
	if v.signedIn() {
		v.redirect(v.next())
		return
	}
	next, _ := local(v.in.Next)
	v.redirect(with(v.h.opts.Login, "next", next))
}
