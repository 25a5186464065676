package mfahttp

// Answers that a device signs and the script fetches from the browser: what such a
// step shows, the wizard's second page for a new device, and its trial.

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// signed reports whether a method's answers come from a program: the script asks
// the browser for them with a Challenge's Options. Such a challenge sends nothing
// and writes nothing, so that a page may have one made when it is drawn.
func signed(t mfa.Traits) bool { return !t.Typed && !t.OutOfBand && !t.Recovery }

// drawable reports whether a page can enrol such a method and take its answers.
func drawable(t mfa.Traits) bool { return t.Typed || signed(t) }

// takes reports whether a page can take an answer to o.
func takes(o mfa.Offer) bool { return o.Traits.Typed || signed(o.Traits) && o.Challenge }

// sends reports whether a code goes out for o.
func sends(o mfa.Offer) bool { return o.Challenge && !signed(o.Traits) }

var errNoOptions = errors.New("mfahttp: a challenge without options for the browser")

// options is what the browser needs for an answer to o.
func (v *visit) options(p *mfa.Pending, o mfa.Offer) (string, error) {
	c, _, err := v.challenge(p, o)
	switch {
	case err != nil:
		return "", err
	case len(c.Options) == 0:
		return "", errNoOptions
	}
	return string(c.Options), nil
}

// drawDevice draws the wizard's second page for a device: the browser makes the
// credential, and the form brings it.
func (v *visit) drawDevice(e *enrollment, token string) {
	if e.Challenge == nil || len(e.Challenge.Options) == 0 {
		v.fail(errNoOptions)
		return
	}
	pg := page{
		name: "device", title: v.t.DeviceTitle, Kind: v.t.kind(e.Kind), EnrollKind: e.Kind, EnrollmentID: e.ID,
		Options: string(e.Challenge.Options), Name: v.in.Name, Token: token, Forced: token != "", Flow: signIn, Here: v.at("enroll"),
	}
	pg.Traits, _ = v.h.guard.Traits(e.Kind)
	if pg.Forced {
		next, _ := local(v.in.Next)
		pg.Here = with(v.h.opts.Path+string(signIn), "kind", string(e.Kind), "next", next)
	}
	v.draw(http.StatusOK, pg)
}

// ofDevice reports whether the visit is about a method whose answers are signed.
func (v *visit) ofDevice() bool {
	t, ok := v.h.guard.Traits(v.in.Kind)
	return ok && signed(t)
}

// tryOut is where the confirmed enrolment leads: to the trial of a new device, if
// there is one, and from there to where it would have led.
func (v *visit) tryOut(s *mfa.Session, id, onward string) string {
	if v.h.opts.NoTrial || !v.ofDevice() {
		return onward
	}
	if id == "" { // of a forced enrolment, it is the only one of its kind
		o, err := v.h.guard.Settings(s).Overview(v.ctx)
		if err != nil {
			return onward
		}
		for _, f := range o.Factors {
			if f.Kind == v.in.Kind {
				id = f.ID
			}
		}
	}
	next, _ := local(v.in.Next)
	if v.in.Token != "" { // in a sign-in: the Security page is not where it leads
		next = v.next()
	}
	return v.trialOf(id, next, "")
}

func (v *visit) trialOf(id, next, done string) string {
	return with(v.h.opts.Path+"trial", "id", id, "next", next, "done", done)
}

// trial begins the step-up that a new device is tried with: one that nothing but an
// answer of its kind from now on satisfies. It writes nothing. Without one, the
// visit is answered.
func (v *visit) trial(at string) (factorRow, *mfa.Pending, bool) {
	s, ok := v.owner(at)
	if !ok {
		return factorRow{}, nil, false
	}
	o, row, ok := v.factor(s)
	if !ok {
		return factorRow{}, nil, false
	}
	rule := mfa.Rule{MaxAge: time.Nanosecond}
	for _, f := range o.Factors {
		if f.Kind != row.FactorInfo.Kind && !slices.Contains(rule.Not, f.Kind) {
			rule.Not = append(rule.Not, f.Kind)
		}
	}
	l, err := v.h.guard.StepUp(v.ctx, s, rule)
	if err != nil || l.Pending == nil || !signed(row.Traits) || row.Disabled {
		v.redirect(v.onward("added")) // nothing is lost: the device was added
		return factorRow{}, nil, false
	}
	return row, l.Pending, true
}

// pageTrial is the page after a device was added: one sign-in by it, or later.
func (v *visit) pageTrial() {
	v.query()
	alert := ""
	if v.r.URL.Query().Get("done") == "other" {
		alert = v.t.TrialOther
	}
	v.drawTrial(http.StatusOK, alert)
}

func (v *visit) drawTrial(status int, alert string) {
	next, _ := local(v.in.Next)
	at := v.trialOf(v.in.ID, next, "")
	row, p, ok := v.trial(at)
	if !ok {
		return
	}
	o := mfa.Offer{Kind: row.FactorInfo.Kind, FactorID: row.ID, Traits: row.Traits, Challenge: true}
	options, err := v.options(p, o)
	if err != nil {
		v.redirect(v.onward("added"))
		return
	}
	v.draw(status, page{
		name: "trial", title: v.t.TrialTitle, Kind: v.t.kind(o.Kind), Offer: &o, Device: row.Label, Factor: row,
		Options: options, Token: p.Token(), Flow: stepUp, Alert: alert, Continue: v.onward("added"), Here: at,
	})
}

// pageTrialDo takes the answer. One of another of the user's devices is a right
// answer, and not what the page is for.
func (v *visit) pageTrialDo() {
	next, _ := local(v.in.Next)
	p, err := v.pending(stepUp)
	if err != nil {
		v.redirect(v.trialOf(v.in.ID, next, ""))
		return
	}
	l, err := v.verify(p)
	switch {
	case l != nil && err != nil:
		v.fail(err)
	case err == nil && slices.ContainsFunc(l.Session.Proofs(), func(p mfa.Proof) bool { return p.FactorID == v.in.ID }):
		v.redirect(v.onward("tried"))
	case err == nil:
		v.redirect(v.trialOf(v.in.ID, next, "other"))
	case rejected(err):
		v.drawTrial(http.StatusUnprocessableEntity, v.t.DeviceRejected)
	default:
		v.fail(err)
	}
}

// signals is what the script tells the browser of the user's passkeys, "" if
// there is nothing to tell.
func (v *visit) signals(s *mfa.Session) string {
	all, err := v.h.guard.Settings(s).Signals(v.ctx)
	if err != nil {
		v.report(err) // the page does without
	}
	if len(all) == 0 {
		return ""
	}
	b, err := json.Marshal(all)
	if err != nil {
		v.report(err)
		return ""
	}
	return string(b)
}
