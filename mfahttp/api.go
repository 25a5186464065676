package mfahttp

// The JSON API: the same calls as the pages, and other answers.

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// Where a sign-in or step-up stands.
const (
	StatusComplete     = "complete"      // the session has started
	StatusSecondFactor = "second-factor" // verify with the token
	StatusEnroll       = "enroll"        // enroll and confirm with the token
	StatusCancelled    = "cancelled"
	StatusSignInAgain  = "sign-in-again" // all is set up, but the session could not start
)

type wireLogin struct {
	Status      string      `json:"status"`
	Token       string      `json:"token,omitempty"`
	Expires     *time.Time  `json:"expires,omitempty"`
	Offers      []wireOffer `json:"offers,omitempty"` // strongest first, recovery last
	Skipped     mfa.Skip    `json:"skipped,omitempty"`
	BackupCodes []string    `json:"backup_codes,omitempty"` // shown once
	BackupLeft  int         `json:"backup_left,omitempty"`
	Next        string      `json:"next,omitempty"`
}

type wireOffer struct {
	Kind              mfa.Kind `json:"kind"`
	FactorID          string   `json:"factor_id,omitempty"`
	Name              string   `json:"name,omitempty"`
	Hint              string   `json:"hint,omitempty"`
	Challenge         bool     `json:"challenge"` // ask for one before verify
	Typed             bool     `json:"typed"`
	PhishingResistant bool     `json:"phishing_resistant"`
	Recovery          bool     `json:"recovery"`
}

func toOffers(offers []mfa.Offer) []wireOffer {
	out := make([]wireOffer, len(offers))
	for i, o := range offers {
		out[i] = wireOffer{
			Kind: o.Kind, FactorID: o.FactorID, Name: o.Name, Hint: o.Hint, Challenge: o.Challenge,
			Typed: o.Traits.Typed, PhishingResistant: o.Traits.PhishingResistant, Recovery: o.Traits.Recovery,
		}
	}
	return out
}

type wireChallenge struct {
	Kind     mfa.Kind        `json:"kind"`
	FactorID string          `json:"factor_id,omitempty"`
	Hint     string          `json:"hint,omitempty"`
	Options  json.RawMessage `json:"options,omitempty"`
	Expires  *time.Time      `json:"expires,omitempty"`
	Resend   *time.Time      `json:"resend,omitempty"`
	Sent     bool            `json:"sent"`              // false: ask for it again
	Earlier  bool            `json:"earlier,omitempty"` // sent before, and another may not be sent until resend
}

func toChallenge(c *mfa.Challenge, sent bool) *wireChallenge {
	if c == nil {
		return nil
	}
	return &wireChallenge{
		Kind: c.Kind, FactorID: c.FactorID, Hint: c.Hint, Options: c.Options,
		Expires: instant(c.Expires), Resend: instant(c.Resend), Sent: sent, Earlier: c.Earlier,
	}
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type wireEnrollment struct {
	ID        string         `json:"id"`
	Kind      mfa.Kind       `json:"kind"`
	Active    bool           `json:"active"` // it counts already: no confirm
	URI       string         `json:"uri,omitempty"`
	Secret    string         `json:"secret,omitempty"`
	QR        string         `json:"qr_svg,omitempty"`
	Codes     []string       `json:"backup_codes,omitempty"`
	Challenge *wireChallenge `json:"challenge,omitempty"`
}

func toEnrollment(e *enrollment) wireEnrollment {
	return wireEnrollment{
		ID: e.ID, Kind: e.Kind, Active: e.Active, URI: e.URI.Reveal(), Secret: e.Secret.Reveal(), QR: e.QR.Reveal(),
		Codes: reveal(e.Codes), Challenge: toChallenge(e.Challenge, e.sent),
	}
}

type wireFactor struct {
	ID                string     `json:"id"`
	Kind              mfa.Kind   `json:"kind"`
	Name              string     `json:"name,omitempty"`
	Hint              string     `json:"hint,omitempty"`
	Added             time.Time  `json:"added"`
	LastUsed          *time.Time `json:"last_used,omitempty"`
	PhishingResistant bool       `json:"phishing_resistant"`
	Recovery          bool       `json:"recovery"`
	Single            bool       `json:"single"` // enrolling another replaces it
	Disabled          bool       `json:"disabled,omitempty"`
	Stale             bool       `json:"stale,omitempty"` // codes go to an address that the profile had
	Left              int        `json:"left,omitempty"`
}

func toFactor(f mfa.FactorInfo) wireFactor {
	return wireFactor{
		ID: f.ID, Kind: f.Kind, Name: f.Name, Hint: f.Hint, Added: f.Added.UTC(), LastUsed: instant(f.LastUsed),
		PhishingResistant: f.Traits.PhishingResistant, Recovery: f.Traits.Recovery, Single: f.Traits.Single,
		Disabled: f.Disabled, Stale: f.Stale, Left: f.Left,
	}
}

type wireOverview struct {
	Enabled    bool         `json:"enabled"`
	Factors    []wireFactor `json:"factors"` // oldest first
	BackupLeft int          `json:"backup_left"`
	Available  []mfa.Kind   `json:"available"` // that can be enrolled now
	Advice     []mfa.Advice `json:"advice"`
	RetryAfter int          `json:"retry_after,omitempty"` // seconds until a typed answer is looked at
	Exempt     []mfa.By     `json:"exempt,omitempty"`
}

type wireChange struct {
	Factor      *wireFactor `json:"factor,omitempty"`
	BackupCodes []string    `json:"backup_codes,omitempty"` // shown once
}

func toChange(c *mfa.Change) wireChange {
	w := wireChange{BackupCodes: reveal(c.BackupCodes)}
	if c.Factor.ID != "" {
		f := toFactor(c.Factor)
		w.Factor = &f
	}
	return w
}

func (v *visit) ok(body any) { v.writeJSON(http.StatusOK, mediaTypeJSON, body) }

// apiPending says what a sign-in or step-up still wants.
func (v *visit) apiPending(p *mfa.Pending) {
	offers, err := p.Offers(v.ctx)
	if err != nil {
		v.fail(err)
		return
	}
	l := wireLogin{Status: StatusSecondFactor, Token: p.Token(), Expires: instant(p.Expires()), Offers: toOffers(offers)}
	if p.MustEnroll() {
		l.Status = StatusEnroll
	}
	v.ok(l)
}

func (v *visit) apiComplete(l *mfa.Login) {
	next, _ := local(v.in.Next)
	v.ok(wireLogin{
		Status: StatusComplete, Skipped: l.Skipped, BackupCodes: reveal(l.BackupCodes), BackupLeft: l.BackupLeft, Next: next,
	})
}

func (v *visit) apiOffers(f flow) {
	p, err := v.pending(f)
	if err != nil {
		v.fail(err)
		return
	}
	v.apiPending(p)
}

func (v *visit) apiChallenge(f flow) {
	p, err := v.pending(f)
	if err != nil {
		v.fail(err)
		return
	}
	c, sent, err := v.challenge(p, mfa.Offer{Kind: v.in.Kind, FactorID: v.in.FactorID})
	if err != nil {
		v.fail(err)
		return
	}
	v.ok(toChallenge(c, sent))
}

func (v *visit) apiVerify(f flow) {
	p, err := v.pending(f)
	if err != nil {
		v.fail(err)
		return
	}
	l, err := v.verify(p)
	if err != nil {
		v.fail(err)
		return
	}
	v.apiComplete(l)
}

func (v *visit) apiCancel(f flow) {
	p, err := v.pending(f)
	if err == nil {
		err = p.Cancel(v.ctx)
	}
	if err != nil {
		v.fail(err)
		return
	}
	v.ok(wireLogin{Status: StatusCancelled})
}

func (v *visit) apiForcedEnroll() {
	p, err := v.pending(signIn)
	if err != nil {
		v.fail(err)
		return
	}
	e, err := begun(p.Enroll(v.ctx, v.newFactor()))
	if err != nil {
		v.fail(err)
		return
	}
	v.ok(toEnrollment(e))
}

func (v *visit) apiForcedConfirm() {
	p, err := v.pending(signIn)
	if err != nil {
		v.fail(err)
		return
	}
	l, err := v.forcedConfirm(p)
	switch {
	case err == nil:
		v.apiComplete(l)
	case l != nil && len(l.BackupCodes) > 0: // they will not come again
		v.report(err)
		v.ok(wireLogin{Status: StatusSignInAgain, BackupCodes: reveal(l.BackupCodes)})
	default:
		v.fail(err)
	}
}

// apiOwner is the signed-in user.
func (v *visit) apiOwner() (*mfa.Session, bool) {
	s := v.session()
	if s == nil {
		v.fail(errSignIn)
	}
	return s, s != nil
}

func (v *visit) apiStepUp() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	l, err := v.h.guard.StepUp(v.ctx, s, v.in.Rule.rule())
	switch {
	case err != nil:
		v.fail(err)
	case l.Session != nil:
		v.ok(wireLogin{Status: StatusComplete})
	default:
		v.apiPending(l.Pending)
	}
}

func (v *visit) apiSettings() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	o, err := v.h.guard.Settings(s).Overview(v.ctx)
	if err != nil {
		v.fail(err)
		return
	}
	w := wireOverview{
		Enabled: o.Enabled(), Factors: []wireFactor{}, BackupLeft: o.BackupLeft,
		Available: append([]mfa.Kind{}, o.Available...), Advice: append([]mfa.Advice{}, o.Advice...), Exempt: o.Exempt,
	}
	for _, f := range o.Factors {
		w.Factors = append(w.Factors, toFactor(f))
	}
	if o.LockedFor > 0 {
		w.RetryAfter = seconds(o.LockedFor)
	}
	v.ok(w)
}

func (v *visit) apiEnroll() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	v.apiEnrolled(v.enroll(s, v.newFactor()))
}

func (v *visit) apiCodes() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	v.apiEnrolled(v.newCodes(s))
}

func (v *visit) apiEnrolled(e *enrollment, err error) {
	if e == nil {
		v.fail(err)
		return
	}
	v.report(err)
	v.ok(toEnrollment(e)) // codes are shown even if the session did not start
}

func (v *visit) apiConfirm() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	c, err := v.confirm(s)
	if c == nil {
		v.fail(err)
		return
	}
	v.report(err)
	v.ok(toChange(c))
}

func (v *visit) apiRename() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	if err := v.h.guard.Settings(s).Rename(v.ctx, v.in.ID, v.in.Name); err != nil {
		v.fail(err)
		return
	}
	v.ok(wireChange{})
}

func (v *visit) apiRemove() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	c, err := v.remove(s)
	if err != nil {
		v.fail(err)
		return
	}
	v.ok(toChange(c))
}

func (v *visit) apiRemoveAll() {
	s, ok := v.apiOwner()
	if !ok {
		return
	}
	c, err := v.removeAll(s)
	if err != nil {
		v.fail(err)
		return
	}
	v.ok(toChange(c))
}
