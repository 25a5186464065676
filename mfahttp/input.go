package mfahttp

// Reading forms and JSON into the one input that both share.

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa"
)

// maxBody is how long a request may be.
const maxBody = 64 << 10

// input is all that a request may say, as a form and as JSON.
type input struct {
	Token        string          `json:"token"`
	Kind         mfa.Kind        `json:"kind"`
	FactorID     string          `json:"factor_id"`
	Code         string          `json:"code"`
	Credential   json.RawMessage `json:"credential"`
	EnrollmentID string          `json:"enrollment_id"`
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Address      string          `json:"address"`
	Rule         *wireRule       `json:"rule"`
	Conditional  bool            `json:"conditional"`

	// Forms alone. Next and RuleText bring the user back to where he was; Sent
	// and Hint say again what became of a code and where it went; QR, URI and
	// Secret show an enrolment again whose code was wrong; Codes are to be
	// downloaded.
	Next     string   `json:"-"`
	RuleText string   `json:"-"`
	Sent     string   `json:"-"`
	Hint     string   `json:"-"`
	QR       string   `json:"-"`
	URI      string   `json:"-"`
	Secret   string   `json:"-"`
	Codes    []string `json:"-"`

	form url.Values // as it came, to be sent again
}

// read fills v.in from the body, and from the query of a page.
func (v *visit) read(api bool) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
	if api {
		return v.readJSON()
	}
	if err := contentType(v.r, "application/x-www-form-urlencoded"); err != nil {
		return err
	}
	b, err := io.ReadAll(v.r.Body)
	if err != nil {
		return tooLarge(err)
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return errInvalidInput
	}
	v.in = fromForm(form)
	return nil
}

func (v *visit) readJSON() error {
	if err := contentType(v.r, "application/json"); err != nil {
		return err
	}
	b, err := io.ReadAll(v.r.Body)
	if err != nil {
		return tooLarge(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var in input
	if !utf8.Valid(b) || d.Decode(&in) != nil {
		return errInvalidInput
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errInvalidInput
	}
	v.in = in
	return nil
}

func contentType(r *http.Request, want string) error {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return errMediaType
	}
	return nil
}

func tooLarge(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return errTooLarge
	}
	return errInvalidInput
}

func fromForm(f url.Values) input {
	in := input{
		Token: f.Get("token"), Kind: mfa.Kind(f.Get("kind")), FactorID: f.Get("factor_id"), Code: f.Get("code"),
		EnrollmentID: f.Get("enrollment_id"), ID: f.Get("id"), Name: f.Get("name"), Address: f.Get("address"),
		Next: f.Get("next"), RuleText: f.Get("rule"), Sent: f.Get("sent"), Hint: f.Get("hint"), QR: f.Get("qr"), URI: f.Get("uri"), Secret: f.Get("secret"),
		Codes: f["codes"], form: f,
	}
	if c := f.Get("credential"); c != "" {
		in.Credential = json.RawMessage(c)
	}
	return in
}

// query fills v.in from the address of a page. Where codes go is never in one.
func (v *visit) query() {
	v.in = fromForm(v.r.URL.Query())
	v.in.form, v.in.Address, v.in.Hint, v.in.Credential = nil, "", "", nil
}

// answer is what was given, with digits of every script.
func (v *visit) answer() mfa.Answer {
	return mfa.Answer{Kind: v.in.Kind, Code: digits(v.in.Code), Credential: v.in.Credential}
}

// wantsJSON reports whether r is a program's: it accepts or sends JSON, and
// accepts no HTML.
func wantsJSON(r *http.Request) bool {
	accept := strings.ToLower(r.Header.Get("Accept"))
	if strings.Contains(accept, "text/html") {
		return false
	}
	return strings.Contains(accept, "application/json") || strings.Contains(accept, "application/problem+json") ||
		contentType(r, "application/json") == nil
}

// wireRule is a mfa.Rule as JSON. AllowWithout is the server's alone.
type wireRule struct {
	MaxAge            int64      `json:"max_age"` // seconds; 0: 300; -1: any
	PhishingResistant bool       `json:"phishing_resistant"`
	Not               []mfa.Kind `json:"not,omitempty"`
}

func toWire(r mfa.Rule) *wireRule {
	// Rounded up: a rule that is not met must not become one that is.
	w := &wireRule{MaxAge: int64((r.MaxAge-1)/time.Second) + 1, PhishingResistant: r.PhishingResistant, Not: r.Not}
	switch {
	case r.MaxAge == mfa.AnyAge:
		w.MaxAge = -1
	case r.MaxAge <= 0:
		w.MaxAge = 0
	}
	return w
}

// rule reads what a client says it has to satisfy. That it says so is no
// proof: the call that wanted it decides anew.
func (w *wireRule) rule() mfa.Rule {
	switch {
	case w == nil:
		return mfa.Rule{}
	case w.MaxAge < 0 || w.MaxAge > int64(mfa.AnyAge/time.Second):
		return mfa.Rule{MaxAge: mfa.AnyAge, PhishingResistant: w.PhishingResistant, Not: w.Not}
	}
	return mfa.Rule{
		MaxAge: time.Duration(w.MaxAge) * time.Second, PhishingResistant: w.PhishingResistant, Not: w.Not,
	}
}

// text writes a rule for the address of the step-up page: "300", "-1~resistant",
// "0~not:email". "" is the zero Rule.
func (w *wireRule) text() string {
	if w.MaxAge == 0 && !w.PhishingResistant && len(w.Not) == 0 {
		return ""
	}
	parts := []string{strconv.FormatInt(w.MaxAge, 10)}
	if w.PhishingResistant {
		parts = append(parts, "resistant")
	}
	for _, k := range w.Not {
		parts = append(parts, "not:"+string(k))
	}
	return strings.Join(parts, "~")
}

// parseRule reads what text wrote. What it does not understand it leaves out.
func parseRule(s string) *wireRule {
	w := &wireRule{}
	if len(s) > 512 {
		return w
	}
	for i, part := range strings.Split(s, "~") {
		switch kind, not := strings.CutPrefix(part, "not:"); {
		case i == 0:
			w.MaxAge, _ = strconv.ParseInt(part, 10, 64)
		case part == "resistant":
			w.PhishingResistant = true
		case not && len(w.Not) < 16:
			w.Not = append(w.Not, mfa.Kind(kind))
		}
	}
	return w
}
