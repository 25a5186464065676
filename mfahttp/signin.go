package mfahttp

// The pages of the second step, at a sign-in and within a session, and of the
// enrolment that a sign-in may force.

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/seed-f4994bf1/mfa"
)

// complete ends a sign-in.
func (v *visit) complete(l *mfa.Login) {
	if err := v.start(l); err != nil {
		v.fail(err)
		return
	}
	if v.api {
		v.apiComplete(l)
		return
	}
	v.redirect(v.next())
}

// offers are what a page can take an answer to, strongest first, and which of
// them the input names. Without any, the visit is answered.
func (v *visit) offers(f flow, p *mfa.Pending) (offers []mfa.Offer, chosen int, ok bool) {
	offers, err := p.Offers(v.ctx)
	switch {
	case rejected(err):
		v.over(f)
		return nil, 0, false
	case err != nil:
		v.fail(err)
		return nil, 0, false
	}
	offers = slices.DeleteFunc(offers, func(o mfa.Offer) bool { return !drawable(o.Traits) })
	if len(offers) == 0 {
		v.fail(mfa.ErrNoMethod)
		return nil, 0, false
	}
	i := slices.IndexFunc(offers, func(o mfa.Offer) bool {
		return o.Kind == v.in.Kind && (v.in.FactorID == "" || o.FactorID == v.in.FactorID)
	})
	return offers, max(i, 0), true
}

// showStep sends the browser to the page of the second step, and a code on its
// way if the method that is chosen needs one.
func (v *visit) showStep(p *mfa.Pending) {
	v.h.setCookie(v.w, v.r, stepCookie, p.Token())
	next, _ := local(v.in.Next)
	at := v.h.opts.Path + string(signIn)
	if p.MustEnroll() {
		v.redirect(with(at, "kind", string(v.in.Kind), "next", next))
		return
	}
	offers, i, ok := v.offers(signIn, p)
	if !ok {
		return
	}
	o, sent := offers[i], ""
	if o.Challenge {
		c, delivered, err := v.challenge(p, o)
		switch {
		case rejected(err) && !errors.Is(err, mfa.ErrTooMany):
			v.over(signIn)
			return
		case err != nil && !rejected(err):
			v.fail(err)
			return
		case err != nil || !delivered:
			v.drawStep(signIn, p, drawing{err: err, failed: true})
			return
		case c.Hint != "":
			sent = "1"
		}
	}
	v.redirect(with(at, "kind", string(v.in.Kind), "factor_id", v.in.FactorID, "sent", sent, "next", next))
}

// pageStep is the page of the second step: of the sign-in that this browser
// began last. It changes nothing, and sends no code.
func (v *visit) pageStep() {
	v.query()
	binding, _ := v.h.binding(v.r)
	token, ok := v.h.cookie(v.r, stepCookie)
	if !ok || binding == "" {
		v.pageOver()
		return
	}
	p, err := v.h.guard.ResumeBound(token, binding)
	if err != nil {
		v.over(signIn)
		return
	}
	v.drawStep(signIn, p, drawing{sent: v.r.URL.Query().Has("sent")})
}

// drawing is how a step's page differs from the plain one.
type drawing struct {
	sent   bool           // a code is on its way
	failed bool           // it could not be sent
	c      *mfa.Challenge // which
	err    error          // the answer was not accepted
}

// drawStep draws the page that takes an answer: for the method that the input
// names, else for the strongest. Whatever was answered, it says no more than
// what may be offered now.
func (v *visit) drawStep(f flow, p *mfa.Pending, d drawing) {
	if p.MustEnroll() {
		v.drawForcedEnroll(p, d.err)
		return
	}
	offers, chosen, ok := v.offers(f, p)
	if !ok {
		return
	}
	o := offers[chosen]
	pg := page{
		name: string(f), title: v.t.SignInTitle, Flow: f, Token: p.Token(), Offer: &o, Kind: v.t.kind(o.Kind), CanResend: o.Challenge,
	}
	if f == stepUp {
		pg.title = v.t.StepUpTitle
	}
	next, _ := local(v.in.Next)
	pg.Here = with(v.h.opts.Path+string(f), "kind", string(o.Kind), "factor_id", o.FactorID, "next", next, "rule", parseRule(v.in.RuleText).text())
	for i, other := range offers {
		if i != chosen {
			pg.Others = append(pg.Others, choice{other.Kind, other.FactorID, v.t.kind(other.Kind).Use, other.Hint})
		}
	}
	if d.sent {
		pg.Sent = o.Hint
	}
	if d.c != nil {
		pg.Sent, pg.Resend = d.c.Hint, d.c.Resend
	}
	status := http.StatusOK
	if d.failed && d.err == nil {
		pg.Alert = v.t.SendFailed
	}
	v.alert(&pg, &status, d.err)
	if d.failed && d.err != nil { // the pause is for sending; what is typed is looked at
		pg.Alert, pg.SendPaused, pg.Resend = v.t.SendPaused, true, pg.Until
	}
	v.draw(status, pg)
}

// alert says on a page why an answer was not accepted.
func (v *visit) alert(pg *page, status *int, err error) {
	if err == nil {
		return
	}
	p := classify(err)
	*status, pg.Alert = p.status, v.t.Rejected
	if p.typ == ProblemTooMany {
		v.w.Header().Set(headerRetryAfter, strconv.Itoa(seconds(p.retry)))
		pg.Alert, pg.Until = v.t.TooMany, v.after(p.retry)
	}
}

// over sends somebody on whose sign-in or step-up is not under way any more:
// he finished it in another tab or by an earlier click, or has to begin anew.
// It takes a GET of its own, which carries what another answer has set.
func (v *visit) over(f flow) {
	next, _ := local(v.in.Next)
	if f == stepUp {
		v.redirect(with(v.h.opts.Path+string(stepUp), "next", next, "rule", parseRule(v.in.RuleText).text()))
		return
	}
	v.redirect(with(v.h.opts.Path+"sign-in/over", "next", next))
}

// pageOver is where a sign-in's addresses lead by GET: on, for somebody who is
// signed in, else to the start.
func (v *visit) pageOver() {
	v.query()
	if v.signedIn() {
		v.redirect(v.next())
		return
	}
	next, _ := local(v.in.Next)
	v.forget()
	v.draw(http.StatusOK, page{name: "over", title: v.t.OverTitle, Continue: with(v.h.opts.Login, "next", next)})
}

// step finds the sign-in or step-up that a form is of.
func (v *visit) step(f flow) (*mfa.Pending, bool) {
	p, err := v.pending(f)
	switch {
	case err == nil:
		return p, true
	case errors.Is(err, errSignIn):
		next, _ := local(v.in.Next)
		v.needSignIn(next)
	case rejected(err):
		v.over(f)
	default:
		v.fail(err)
	}
	return nil, false
}

func (v *visit) pageVerify(f flow) {
	p, ok := v.step(f)
	if !ok {
		return
	}
	_, err := v.verify(p)
	switch {
	case err == nil:
		if f == signIn {
			v.forget()
		}
		v.redirect(v.next())
	case rejected(err):
		v.drawStep(f, p, drawing{err: err})
	default:
		v.fail(err)
	}
}

// pageMethod takes another method, or sends a code once more. It changes
// nothing else: the choice is in the address alone.
func (v *visit) pageMethod(f flow) {
	p, ok := v.step(f)
	if !ok {
		return
	}
	if f == signIn {
		v.showStep(p)
		return
	}
	offers, i, ok := v.offers(f, p)
	if !ok {
		return
	}
	o := offers[i]
	if !o.Challenge {
		next, _ := local(v.in.Next)
		v.redirect(with(v.h.opts.Path+string(stepUp), "kind", string(o.Kind), "factor_id", o.FactorID, "next", next,
			"rule", parseRule(v.in.RuleText).text()))
		return
	}
	// The code is good for this step-up, and a GET would begin another.
	c, sent, err := v.challenge(p, o)
	switch {
	case err == nil && sent:
		v.drawStep(f, p, drawing{c: c})
	case err == nil, errors.Is(err, mfa.ErrTooMany):
		v.drawStep(f, p, drawing{err: err, failed: true})
	case rejected(err):
		v.over(f)
	default:
		v.fail(err)
	}
}

// pageCancel ends a sign-in or step-up, as far as that is possible: the
// token ends by itself.
func (v *visit) pageCancel(f flow) {
	if p, err := v.pending(f); err == nil {
		_ = p.Cancel(v.ctx)
	}
	if f == stepUp {
		v.redirect(v.h.opts.Home)
		return
	}
	v.forget()
	v.redirect(v.h.opts.Login)
}

// pageStepUp begins a step-up and goes on at once if none is needed. It writes
// nothing, and sends no code: a GET must not.
func (v *visit) pageStepUp() {
	v.query()
	next := v.next()
	s := v.session()
	if s == nil {
		v.needSignIn(next)
		return
	}
	if v.r.URL.Query().Get("first") != "" {
		v.reauthenticate(next)
		return
	}
	l, err := v.h.guard.StepUp(v.ctx, s, parseRule(v.in.RuleText).rule())
	var missing *mfa.StepUpError
	switch {
	case err == nil && l.Session != nil:
		v.redirect(next)
	case err == nil:
		v.drawStep(stepUp, l.Pending, drawing{})
	case errors.As(err, &missing) && missing.First:
		v.reauthenticate(next)
	default:
		v.need(err, next)
	}
}

func (v *visit) reauthenticate(next string) {
	r := v.r.Clone(v.ctx)
	r.URL.RawQuery, r.Form, r.PostForm = with("", "next", next)[1:], nil, nil
	r.RequestURI = r.URL.RequestURI()
	v.h.app.Reauthenticate(v.w, r)
}

// drawForcedEnroll draws the first page of the wizard within a sign-in.
func (v *visit) drawForcedEnroll(p *mfa.Pending, err error) {
	offers, chosen, ok := v.offers(signIn, p)
	if !ok {
		return
	}
	pg := v.enrollPage(offers[chosen].Kind)
	pg.Forced, pg.Token, pg.Flow = true, p.Token(), signIn
	next, _ := local(v.in.Next)
	pg.Here = with(v.h.opts.Path+string(signIn), "kind", string(pg.EnrollKind), "next", next)
	for i, o := range offers {
		if i != chosen {
			pg.Others = append(pg.Others, choice{Kind: o.Kind, Label: v.t.kind(o.Kind).Add})
		}
	}
	status := http.StatusOK
	if errors.Is(err, mfa.ErrArgument) {
		status, pg.Alert = http.StatusUnprocessableEntity, v.nameAlert()
	} else {
		v.alert(&pg, &status, err)
	}
	v.draw(status, pg)
}

// enrollPage is the first page of the wizard for one kind.
func (v *visit) enrollPage(k mfa.Kind) page {
	kt := v.t.kind(k)
	pg := page{name: "enroll", title: kt.Name, Kind: kt, EnrollKind: k, Name: v.in.Name, Address: v.in.Address}
	if k == kindTOTP {
		pg.Apps = v.h.opts.Apps
		pg.title = v.t.AppsTitle
	}
	if t, ok := v.h.guard.Traits(k); ok {
		pg.WantsAddress = t.OutOfBand
	}
	return pg
}

func (v *visit) nameAlert() string {
	if v.in.Address != "" {
		return v.t.AddressBad
	}
	return v.t.NameBad
}

func (v *visit) pageForcedEnroll() {
	p, ok := v.step(signIn)
	if !ok {
		return
	}
	e, err := begun(p.Enroll(v.ctx, v.newFactor()))
	switch {
	case err == nil:
		v.drawScan(http.StatusOK, scanOf(e), p.Token(), nil)
	case errors.Is(err, mfa.ErrTooMany), errors.Is(err, mfa.ErrArgument):
		v.drawForcedEnroll(p, err)
	case rejected(err):
		v.over(signIn)
	default:
		v.fail(err)
	}
}

func (v *visit) pageForcedConfirm() {
	p, ok := v.step(signIn)
	if !ok {
		return
	}
	l, err := v.forcedConfirm(p)
	if l != nil {
		v.forget()
	}
	switch {
	case l != nil && len(l.BackupCodes) > 0:
		v.drawCodes(l.Session, l.BackupCodes, v.next(), err)
	case err == nil:
		v.redirect(v.next())
	case rejected(err):
		v.scanAgain(err, p.Token(), func() { v.over(signIn) })
	default:
		v.fail(err)
	}
}
