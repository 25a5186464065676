package mfahttp

// The Security page, the wizard, and the pages of each change.

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-f4994bf1/mfa"
)

// owner is the signed-in user, or the answer that nobody is. at is the page
// to come back to.
func (v *visit) owner(at string) (*mfa.Session, bool) {
	s := v.session()
	if s == nil {
		v.needSignIn(at)
		return nil, false
	}
	return s, true
}

// fresh is owner for a page whose form will change something: what is missing
// is asked for first, not after the form was filled in.
func (v *visit) fresh(at string) (*mfa.Session, bool) {
	s, ok := v.owner(at)
	if !ok {
		return nil, false
	}
	if err := v.h.guard.Settings(s).Check(v.ctx); err != nil {
		v.need(err, at)
		return nil, false
	}
	return s, true
}

// overview is what the user has; from here on his own language is known.
func (v *visit) overview(s *mfa.Session) (*mfa.Overview, bool) {
	o, err := v.h.guard.Settings(s).Overview(v.ctx)
	if err != nil {
		v.fail(err)
		return nil, false
	}
	v.lang, v.t = v.h.language(v.r, o.User.Locale)
	return o, true
}

// at is the address of a page below Path, to come back to.
func (v *visit) at(page string) string {
	next, _ := local(v.in.Next)
	return with(v.h.opts.Path+page, "id", v.in.ID, "kind", string(v.in.Kind), "name", v.in.Name, "next", next)
}

// onward is where the wizard leads: where the user came from, or the Security
// page.
func (v *visit) onward(done string) string {
	if next, ok := local(v.in.Next); ok {
		return next
	}
	return with(v.h.opts.Path, "done", done)
}

func (v *visit) pageBackToSecurity() { v.redirect(v.h.opts.Path) }

func (v *visit) row(f mfa.FactorInfo) factorRow {
	kt := v.t.kind(f.Kind)
	r := factorRow{FactorInfo: f, Label: f.Name, KindName: kt.Name, Addressed: addressed(f.Traits)}
	if r.Label == "" {
		r.Label = kt.Name
	}
	return r
}

func (v *visit) pageSecurity() {
	v.query()
	s, ok := v.owner(v.at(""))
	if !ok {
		return
	}
	o, ok := v.overview(s)
	if !ok {
		return
	}
	t := v.t
	pg := page{name: "security", title: t.SecurityTitle, Overview: o}
	switch v.r.URL.Query().Get("done") {
	case "added":
		pg.Status = t.DoneAdded
	case "tried":
		pg.Status = t.DoneTried
	case "renamed":
		pg.Status = t.DoneRenamed
	case "changed":
		pg.Status = t.DoneChanged
	case "removed":
		pg.Status = strings.TrimSpace(t.DoneRemoved + " " + t.kind(v.in.Kind).After)
	case "needed":
		pg.Status = t.DoneNeeded
	}
	recovery := v.recovery(o)
	pg.Backup = recovery != ""
	replaced := map[mfa.Kind]bool{}
	for _, f := range o.Factors {
		if !f.Traits.Recovery {
			r := v.row(f)
			r.Change = r.Addressed && slices.Contains(o.Available, f.Kind)
			replaced[f.Kind] = r.Change
			pg.Factors = append(pg.Factors, r)
		}
	}
	for _, k := range o.Available {
		if traits, ok := v.h.guard.Traits(k); ok && !traits.Recovery && drawable(traits) && !replaced[k] {
			pg.Adds = append(pg.Adds, choice{Kind: k, Label: t.kind(k).Add})
		}
	}
	for _, a := range o.Advice {
		if text := t.Advice[a]; text != "" {
			pg.Advice = append(pg.Advice, text)
		}
	}
	by := make([]string, len(o.Exempt))
	for i, b := range o.Exempt {
		by[i] = string(b)
	}
	pg.Exempt = strings.Join(by, ", ")
	pg.Required = v.required(o)
	if o.LockedFor > 0 {
		pg.Until = v.after(o.LockedFor)
	}
	pg.Signals = v.signals(s)
	v.draw(http.StatusOK, pg)
}

// required reports whether the policy forbids to turn it off now.
func (v *visit) required(o *mfa.Overview) bool {
	now, err := v.h.guard.Now()
	return o.User.Policy.Demand == mfa.Required && err == nil && !now.Before(o.User.Policy.From)
}

// pageEnroll is the wizard's first page: which apps fit, and a name.
func (v *visit) pageEnroll() {
	v.query()
	t, known := v.h.guard.Traits(v.in.Kind)
	if !known || t.Recovery || !drawable(t) {
		v.fail(errNotFound)
		return
	}
	if s, ok := v.fresh(v.at("enroll")); ok {
		v.drawEnroll(s, nil)
	}
}

// drawEnroll draws it, with why what was entered was refused. An address is
// proposed where there is none yet, or where the profile has another by now.
func (v *visit) drawEnroll(s *mfa.Session, err error) {
	o, ok := v.overview(s)
	if !ok {
		return
	}
	i := slices.IndexFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.Kind == v.in.Kind })
	if i < 0 && !slices.Contains(o.Available, v.in.Kind) {
		v.fail(errNotFound) // the policy or its server does not have it: there is nothing to fill in
		return
	}
	pg := v.enrollPage(v.in.Kind)
	pg.Here = v.at("enroll")
	if i >= 0 && addressed(pg.Traits) {
		pg.title, pg.Replaces = v.t.ChangeAddress, o.Factors[i].Hint
	}
	if err == nil && v.in.Kind == kindEmail && (i < 0 || o.Factors[i].Stale) {
		pg.Address = o.User.Email
	}
	v.drawEnrollPage(pg, err)
}

// pageEnrollBegin is its second: what to scan, and the code that confirms it.
func (v *visit) pageEnrollBegin() {
	s, ok := v.owner(v.at("enroll"))
	if !ok {
		return
	}
	t, known := v.h.guard.Traits(v.in.Kind)
	if !known || t.Recovery || !drawable(t) {
		v.fail(errNotFound)
		return
	}
	e, err := v.enroll(s, v.newFactor())
	switch {
	case e != nil && e.Active && len(e.Codes) > 0:
		v.drawCodes(e.Session, e.Codes, v.onward(""), err)
	case err == nil && e.Active:
		v.redirect(v.onward("added"))
	case err == nil && signed(t):
		v.drawDevice(e, "")
	case err == nil:
		v.drawScan(v.scanOf(e), "", nil)
	case v.resendRefused(err):
		v.drawScan(v.scanPaused(err), "", nil)
	case errors.Is(err, mfa.ErrArgument), errors.Is(err, mfa.ErrTooMany) && t.OutOfBand:
		v.drawEnroll(s, err)
	default:
		v.need(err, v.at("enroll"))
	}
}

// A scan is what the second page shows of an enrolment. The guard shows it
// once; so that a mistyped code does not mean a new entry in the app, the page
// sends it along with the code, in the body, and gets it back from there.
type scan struct {
	id      string
	kind    mfa.Kind
	qr, uri string
	secret  string
	hint    string // where a code went
	sent    sending
}

func (v *visit) scanOf(e *enrollment) scan {
	sc := scan{id: e.ID, kind: e.Kind, uri: e.URI.Reveal(), secret: e.Secret.Reveal()}
	if e.QR != "" {
		sc.qr = base64.StdEncoding.EncodeToString([]byte(e.QR.Reveal()))
	}
	if e.Challenge != nil {
		sc.hint = e.Challenge.Hint
		sc.sent, _ = v.became(e.Challenge, e.sent, nil)
	}
	return sc
}

// scanBack is what the form of the second page brought.
func (v *visit) scanBack() scan {
	sc := scan{id: v.in.EnrollmentID, kind: v.in.Kind, hint: v.in.Hint, sent: v.sent()}
	if v.in.showable() {
		sc.qr, sc.uri, sc.secret = v.in.QR, v.in.URI, v.in.Secret
	}
	return sc
}

// resendRefused reports that the second page wanted its code once more, too soon.
func (v *visit) resendRefused(err error) bool {
	return v.in.EnrollmentID != "" && errors.Is(err, mfa.ErrTooMany)
}

func (v *visit) scanPaused(err error) scan {
	sc := v.scanBack()
	sc.sent, _ = v.became(nil, false, err)
	return sc
}

// drawScan draws the second page, with why an answer was not accepted.
func (v *visit) drawScan(sc scan, token string, err error) {
	kt := v.t.kind(sc.kind)
	pg := page{
		name: "scan", title: v.t.ScanTitle, Kind: kt, EnrollKind: sc.kind, EnrollmentID: sc.id,
		QR: sc.qr, URI: sc.uri, Secret: sc.secret, Hint: sc.hint, Address: v.in.Address,
		Name: v.in.Name, Token: token, Forced: token != "", Here: v.at("enroll"),
	}
	if pg.Forced {
		next, _ := local(v.in.Next)
		pg.Here = with(v.h.opts.Path+string(signIn), "kind", string(sc.kind), "next", next)
	}
	if sc.qr == "" {
		pg.title = kt.Name
	}
	if !safeURI(pg.URI) {
		pg.URI = ""
	}
	status := http.StatusOK
	if t, _ := v.h.guard.Traits(sc.kind); t.OutOfBand {
		pg.title = v.t.AddressTitle
		// In full, as it was typed: so a slip of the finger is seen.
		v.tell(&pg, &status, sc.sent, cmp.Or(v.in.Address, sc.hint), err)
	} else {
		v.alert(&pg, &status, err, v.t.TooMany)
	}
	v.draw(status, pg)
}

// scanAgain draws the second page again after a code that was not accepted, or
// goes to ended if the enrolment itself is over.
func (v *visit) scanAgain(err error, token string, ended func()) {
	if errors.Is(err, mfa.ErrExpired) {
		ended()
		return
	}
	v.drawScan(v.scanBack(), token, err)
}

// added is what the Security page will say of the enrolment that is about to be
// confirmed.
func (v *visit) added(s *mfa.Session) string {
	if t, _ := v.h.guard.Traits(v.in.Kind); addressed(t) {
		o, err := v.h.guard.Settings(s).Overview(v.ctx)
		if err == nil && slices.ContainsFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.Kind == v.in.Kind }) {
			return "changed"
		}
	}
	return "added"
}

func (v *visit) pageConfirm() {
	s, ok := v.owner(v.h.opts.Path)
	if !ok {
		return
	}
	done := v.added(s)
	c, err := v.confirm(s)
	var stale *mfa.StepUpError
	switch {
	case c != nil && len(c.BackupCodes) > 0:
		v.drawCodes(c.Session, c.BackupCodes, v.tryOut(c.Session, c.Factor.ID, v.onward(done)), err)
	case err == nil:
		v.redirect(v.tryOut(c.Session, c.Factor.ID, v.onward(done)))
	case errors.As(err, &stale):
		// An earlier click has confirmed it, or another tab changed
		// something: the list says what there is.
		v.redirect(v.h.opts.Path)
	case rejected(err) && v.ofDevice() && !errors.Is(err, mfa.ErrExpired): // its challenge is used up, whatever came
		v.drawEnroll(s, err)
	case rejected(err):
		v.scanAgain(err, "", func() {
			v.draw(http.StatusUnprocessableEntity, page{
				name: "problem", title: v.t.ScanExpiredTitle, Text: v.t.ScanExpired, Continue: v.h.opts.Path,
			})
		})
	default:
		v.fail(err)
	}
}

// drawCodes shows backup codes, this once. With an error, the session could
// not be started: the codes stand all the same.
func (v *visit) drawCodes(s *mfa.Session, codes []mfa.Secret, onward string, err error) {
	pg := page{
		name: "codes", title: v.t.CodesTitle, Codes: reveal(codes), Continue: onward, Here: onward,
		Wizard: v.in.EnrollmentID != "",
	}
	if err != nil {
		v.report(err)
		pg.Alert = v.t.CodesSession
	}
	if o, err := v.h.guard.Settings(s).Overview(v.ctx); err == nil {
		pg.Service = o.User.Service
	}
	v.draw(http.StatusOK, pg)
}

// pageDownload gives the codes of a form back as a file: no address ever holds
// them, and nothing is kept.
func (v *visit) pageDownload() {
	s, ok := v.owner(v.h.opts.Path)
	if !ok {
		return
	}
	o, ok := v.overview(s)
	if !ok {
		return
	}
	if n := len(v.in.Codes); n == 0 || n > 64 || slices.ContainsFunc(v.in.Codes, func(c string) bool { return !plainCode(c) }) {
		v.fail(errInvalidInput)
		return
	}
	v.w.Header().Set(headerContentType, mediaTypeText)
	v.w.Header().Set("Content-Disposition", `attachment; filename="backup-codes.txt"`)
	text := strings.ReplaceAll(v.t.CodesFile, "{service}", o.User.Service)
	_, _ = v.w.Write([]byte(text + "\r\n\r\n" + strings.Join(v.in.Codes, "\r\n") + "\r\n"))
}

func plainCode(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '-', c == ' ':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (v *visit) pageNewCodes() {
	v.query()
	if _, ok := v.fresh(v.at("codes")); ok {
		v.draw(http.StatusOK, page{name: "new-codes", title: v.t.NewCodesTitle})
	}
}

func (v *visit) pageNewCodesMake() {
	s, ok := v.owner(v.at("codes"))
	if !ok {
		return
	}
	e, err := v.newCodes(s)
	if e != nil {
		v.drawCodes(e.Session, e.Codes, v.h.opts.Path, err)
		return
	}
	if rejected(err) && !errors.Is(err, mfa.ErrTooMany) { // there is nothing that codes could stand in for
		v.redirect(v.h.opts.Path)
		return
	}
	v.need(err, v.at("codes"))
}

// newCodes makes a new set.
func (v *visit) newCodes(s *mfa.Session) (*enrollment, error) {
	o, err := v.h.guard.Settings(s).Overview(v.ctx)
	if err != nil {
		return nil, err
	}
	k := v.recovery(o)
	if k == "" {
		return nil, mfa.ErrNotEnrolled
	}
	return v.enroll(s, mfa.NewFactor{Kind: k})
}

// factor is the user's own factor that the page is about.
func (v *visit) factor(s *mfa.Session) (*mfa.Overview, factorRow, bool) {
	o, ok := v.overview(s)
	if !ok {
		return nil, factorRow{}, false
	}
	i := slices.IndexFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.ID == v.in.ID })
	if i < 0 {
		v.fail(mfa.ErrNotFound)
		return nil, factorRow{}, false
	}
	return o, v.row(o.Factors[i]), true
}

func (v *visit) pageRename() {
	v.query()
	v.in.Kind, v.in.Name = "", ""
	s, ok := v.fresh(v.at("rename"))
	if !ok {
		return
	}
	if _, row, ok := v.factor(s); ok {
		v.draw(http.StatusOK, page{name: "rename", title: v.t.RenameTitle, Factor: row, Name: row.Name})
	}
}

func (v *visit) pageRenameDo() {
	name := v.in.Name
	v.in.Kind, v.in.Name = "", ""
	s, ok := v.owner(v.at("rename"))
	if !ok {
		return
	}
	err := v.h.guard.Settings(s).Rename(v.ctx, v.in.ID, name)
	switch {
	case err == nil:
		v.redirect(with(v.h.opts.Path, "done", "renamed"))
	case errors.Is(err, mfa.ErrArgument):
		if _, row, ok := v.factor(s); ok {
			v.draw(http.StatusUnprocessableEntity, page{
				name: "rename", title: v.t.RenameTitle, Factor: row, Name: name, Alert: v.t.NameBad,
			})
		}
	default:
		v.need(err, v.at("rename"))
	}
}

func (v *visit) pageRemove() {
	v.query()
	v.in.Kind, v.in.Name = "", ""
	s, ok := v.fresh(v.at("remove"))
	if !ok {
		return
	}
	o, row, ok := v.factor(s)
	if !ok {
		return
	}
	standing := 0
	for _, f := range o.Factors {
		if !f.Traits.Recovery && !f.Disabled {
			standing++
		}
	}
	if standing == 1 && !row.Disabled && !row.Traits.Recovery {
		v.drawLast(http.StatusOK, o)
		return
	}
	title := strings.ReplaceAll(v.t.RemoveTitle, "{name}", row.Label)
	v.draw(http.StatusOK, page{name: "remove", title: title, Factor: row})
}

// drawLast says that what is left is not removed but turned off.
func (v *visit) drawLast(status int, o *mfa.Overview) {
	v.draw(status, page{name: "last", title: v.t.LastTitle, Text: v.t.LastText, Required: v.required(o)})
}

func (v *visit) pageRemoveDo() {
	v.in.Kind, v.in.Name = "", ""
	s, ok := v.owner(v.at("remove"))
	if !ok {
		return
	}
	c, err := v.remove(s)
	switch {
	case err == nil:
		v.redirect(with(v.h.opts.Path, "done", "removed", "kind", string(c.Factor.Kind)))
	case c != nil:
		v.fail(err)
	case errors.Is(err, mfa.ErrLastFactor):
		if o, ok := v.overview(s); ok {
			v.drawLast(http.StatusConflict, o)
		}
	case errors.Is(err, mfa.ErrNotFound):
		v.redirect(v.h.opts.Path) // by an earlier click, or in another tab
	default:
		v.need(err, v.at("remove"))
	}
}

func (v *visit) pageOff() {
	v.query()
	s, ok := v.fresh(v.at("off"))
	if !ok {
		return
	}
	if o, ok := v.overview(s); ok {
		switch {
		case !o.Enabled():
			v.redirect(v.h.opts.Path)
			return
		case v.required(o):
			v.fail(mfa.ErrRequired)
			return
		}
		v.draw(http.StatusOK, page{name: "off", title: v.t.OffTitle})
	}
}

func (v *visit) pageOffDo() {
	s, ok := v.owner(v.at("off"))
	if !ok {
		return
	}
	_, err := v.removeAll(s)
	switch {
	case err == nil, errors.Is(err, mfa.ErrNotFound):
		v.redirect(v.h.opts.Path + "off/done")
	default:
		v.need(err, v.at("off"))
	}
}

func (v *visit) pageOffDone() {
	if s, ok := v.owner(v.h.opts.Path); ok {
		v.draw(http.StatusOK, page{name: "off-done", title: v.t.OffDone, Continue: v.h.opts.Path, Signals: v.signals(s)})
	}
}
