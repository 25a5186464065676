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
	offers = slices.DeleteFunc(offers, func(o mfa.Offer) bool { return !takes(o) && !(p.MustEnroll() && drawable(o.Traits)) })
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
	var s sending
	if o := offers[i]; sends(o) {
		var err error
		o.Keep = v.entry // only who asks for another code ends the one in hand
		s, err = v.resend(p, o)
		switch {
		case rejected(err):
			v.over(signIn)
			return
		case err != nil:
			v.fail(err)
			return
		}
	}
	v.redirect(with(at, "kind", string(v.in.Kind), "factor_id", v.in.FactorID, "sent", s.text(), "next", next))
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
	v.drawStep(signIn, p, v.sent(), nil)
}

// drawStep draws the page that takes an answer: for the method that the input
// names, else for the strongest. s is what became of its code, err why an answer
// was not accepted. Whatever was answered, it says no more than what may be
// offered now.
func (v *visit) drawStep(f flow, p *mfa.Pending, s sending, err error) {
	if p.MustEnroll() {
		v.drawForcedEnroll(p, err)
		return
	}
	offers, chosen, ok := v.offers(f, p)
	if !ok {
		return
	}
	o := offers[chosen]
	pg := page{
		name: string(f), title: v.t.SignInTitle, Flow: f, Token: p.Token(), Offer: &o, Kind: v.t.kind(o.Kind),
	}
	if f == stepUp {
		pg.title = v.t.StepUpTitle
	}
	status := http.StatusOK
	switch {
	case sends(o):
		v.tell(&pg, &status, s, o.Hint, err)
	case signed(o.Traits):
		var failed error
		pg.Options, failed = v.options(p, o)
		switch {
		case rejected(failed):
			v.over(f)
			return
		case failed != nil:
			v.fail(failed)
			return
		}
		v.alert(&pg, &status, err, v.t.TooMany)
	default:
		v.alert(&pg, &status, err, v.t.TooMany)
	}
	if pg.Options != "" && pg.Invalid {
		pg.Alert = v.t.DeviceRejected
	}
	switch {
	case o.Traits.Recovery:
	case o.Name != "":
		pg.Device = o.Name
	case pg.Sent == "":
		pg.Device = o.Hint
	}
	again := pg.Sending
	if f == stepUp { // loaded again, it is another, with a code of its own
		again = ""
	}
	next, _ := local(v.in.Next)
	pg.Here = with(v.h.opts.Path+string(f), "kind", string(o.Kind), "factor_id", o.FactorID, "sent", again, "next", next,
		"rule", parseRule(v.in.RuleText).text())
	for i, other := range offers {
		if i != chosen {
			pg.Others = append(pg.Others, choice{other.Kind, other.FactorID, v.t.kind(other.Kind).Use, other.Hint})
		}
	}
	v.draw(status, pg)
}

// alert says on a page why an answer was not accepted; tooMany is for a limit.
func (v *visit) alert(pg *page, status *int, err error, tooMany string) {
	if err == nil {
		return
	}
	p := classify(err)
	*status, pg.Alert = p.status, v.t.Rejected
	if p.typ == ProblemTooMany {
		v.w.Header().Set(headerRetryAfter, strconv.Itoa(seconds(p.retry)))
		pg.Alert, pg.Until = tooMany, v.after(p.retry)
		return
	}
	pg.Invalid = true
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
		v.drawStep(f, p, v.sent(), err)
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
	if !sends(o) {
		next, _ := local(v.in.Next)
		v.redirect(with(v.h.opts.Path+string(stepUp), "kind", string(o.Kind), "factor_id", o.FactorID, "next", next,
			"rule", parseRule(v.in.RuleText).text()))
		return
	}
	// The code is good for this step-up, and a GET would begin another.
	s, err := v.resend(p, o)
	switch {
	case err == nil:
		v.drawStep(f, p, s, nil)
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
		v.drawStep(stepUp, l.Pending, sending{}, nil)
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
	v.drawEnrollPage(pg, err)
}

// enrollPage is the first page of the wizard for one kind.
func (v *visit) enrollPage(k mfa.Kind) page {
	kt := v.t.kind(k)
	pg := page{name: "enroll", title: kt.Name, Kind: kt, EnrollKind: k, Name: v.in.Name, Address: v.in.Address}
	pg.Traits, _ = v.h.guard.Traits(k)
	pg.WantsName = !addressed(pg.Traits)
	switch {
	case k == kindTOTP:
		pg.Apps = v.h.opts.Apps
		pg.title = v.t.AppsTitle
	case pg.Traits.OutOfBand:
		pg.title = kt.Use
	}
	return pg
}

// drawEnrollPage draws it, with why what was entered was refused.
func (v *visit) drawEnrollPage(pg page, err error) {
	status, tooMany := http.StatusOK, v.t.TooMany
	if pg.Traits.OutOfBand { // nothing is checked here, but a code is sent
		tooMany = v.t.SendLater
	}
	switch pg.Invalid = errors.Is(err, mfa.ErrArgument); {
	case rejected(err) && !errors.Is(err, mfa.ErrTooMany):
		status, pg.Alert = http.StatusUnprocessableEntity, v.t.DeviceFailed
	case pg.Invalid && pg.Traits.OutOfBand:
		status, pg.Alert = http.StatusUnprocessableEntity, v.t.AddressBad
	case pg.Invalid:
		status, pg.Alert = http.StatusUnprocessableEntity, v.t.NameBad
	default:
		v.alert(&pg, &status, err, tooMany)
	}
	v.draw(status, pg)
}

func (v *visit) pageForcedEnroll() {
	p, ok := v.step(signIn)
	if !ok {
		return
	}
	e, err := begun(p.Enroll(v.ctx, v.newFactor()))
	switch {
	case err == nil && v.ofDevice():
		v.drawDevice(e, p.Token())
	case err == nil:
		v.drawScan(v.scanOf(e), p.Token(), nil)
	case v.resendRefused(err):
		v.drawScan(v.scanPaused(err), p.Token(), nil)
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
		v.drawCodes(l.Session, l.BackupCodes, v.tryOut(l.Session, "", v.next()), err)
	case err == nil:
		v.redirect(v.tryOut(l.Session, "", v.next()))
	case rejected(err) && v.ofDevice(): // its challenge is used up, whatever came
		v.drawForcedEnroll(p, err)
	case rejected(err):
		v.scanAgain(err, p.Token(), func() { v.over(signIn) })
	default:
		v.fail(err)
	}
}
