package mfahttp

// Drawing: one template per page, one frame around all of them, and the two
// assets.

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"html"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/mfa.css assets/mfa.js
var assetFiles embed.FS

// A Page is what Options.Render puts into the application's own frame.
type Page struct {
	// Name says which page it is: "sign-in", "step-up", "over", "first",
	// "enroll", "scan", "device", "trial", "codes", "security", "rename", "remove",
	// "last", "new-codes", "off", "off-done", "passkey", "problem".
	Name  string
	Title string        // plain text
	Lang  string        // BCP 47
	Dir   string        // "ltr" or "rtl"
	Body  template.HTML // one <main> element, with everything in it

	Style  string // address of the style sheet that Body wants
	Script string // address of the ES module that Body can do without, but for passkeys
}

// page is what the templates see. Which fields are set depends on the page.
type page struct {
	name, title string
	Title       string

	T    *Texts
	Path string
	Home string
	Lang string
	Kind KindTexts

	// Here is the address that the page should be reloaded from and come back
	// to, if it is the answer to a form.
	Here string

	Flow     flow
	Token    string
	Next     string
	RuleText string
	Alert    string // one sentence in a red box
	Status   string // one sentence in a green box
	Until    time.Time
	Now      time.Time // by the server's clock, where there is something to wait for

	Invalid bool // what was entered is wrong

	Offer  *mfa.Offer
	Device string // or address, that the answer comes from
	Others []choice

	Options string // for the browser, which makes or uses a credential
	Signals string // what the browser is told of the user's passkeys

	Sent       string // where a code went
	Sending    string // the same for the next page
	Paused     bool   // none goes out until Resend
	Resend     time.Time
	CanResend  bool
	SentBefore bool

	Forced       bool
	Apps         []AppLink
	EnrollKind   mfa.Kind
	Traits       mfa.Traits
	Name         string
	WantsName    bool
	Address      string
	Hint         string
	Replaces     string // where codes go so far
	EnrollmentID string
	QR           string // base64 of an SVG document
	URI          string
	Secret       string

	Codes    []string
	Wizard   bool // they end the wizard
	Service  string
	Continue string

	Overview *mfa.Overview
	Required bool
	Factors  []factorRow
	Backup   bool // there is a set, or one may be made
	Adds     []choice
	Advice   []string
	Exempt   string
	Factor   factorRow

	Text   string
	Again  []field
	Action string
}

// A choice is another method that may be taken.
type choice struct {
	Kind     mfa.Kind
	FactorID string
	Label    string
	Hint     string
}

type factorRow struct {
	mfa.FactorInfo
	Label, KindName string
	Addressed       bool // it has an address for a name
	Change          bool // which can be changed now
}

// A field is a form's, to be sent again.
type field struct{ Name, Value string }

func templates() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"fill": func(text string, pairs ...string) string {
			for i := 0; i+1 < len(pairs); i += 2 {
				text = strings.ReplaceAll(text, "{"+pairs[i]+"}", pairs[i+1])
			}
			return text
		},
		"at":    atTime,
		"to":    toAddress,
		"day":   func(t time.Time) template.HTML { return timeElement(t, "2006-01-02", "day") },
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"itoa":  strconv.Itoa,
		"url":   with,
		// A form sent by GET puts its fields in the place of its action's query.
		"actionPath": func(s string) string { path, _, _ := strings.Cut(s, "?"); return path },
		"actionFields": func(s string) (fields []field) {
			_, query, _ := strings.Cut(s, "?")
			q, _ := url.ParseQuery(query)
			for _, name := range slices.Sorted(maps.Keys(q)) {
				for _, value := range q[name] {
					fields = append(fields, field{name, value})
				}
			}
			return fields
		},
		"svg": func(b64 string) template.URL { return template.URL("data:image/svg+xml;base64," + b64) },
		// The two are checked when they come in, by showable.
		"otpauth": func(s string) template.URL { return template.URL(s) },
	}).ParseFS(templateFiles, "templates/*.html")
}

// atTime puts an instant into the place of {time}.
func atTime(text string, t time.Time) template.HTML {
	before, after, _ := strings.Cut(text, "{time}")
	return template.HTML(html.EscapeString(before)) + timeElement(t, "15:04:05 UTC", "until") +
		template.HTML(html.EscapeString(after))
}

// toAddress puts an address into the place of {hint}: it keeps its own direction
// in a text of the other one.
func toAddress(text, address string) template.HTML {
	before, after, _ := strings.Cut(text, "{hint}")
	return template.HTML(html.EscapeString(before) + `<bdi class="mfa-address">` + html.EscapeString(address) + `</bdi>` +
		html.EscapeString(after))
}

// timeElement is an instant in UTC, which the script turns into the user's own
// time.
func timeElement(t time.Time, layout, as string) template.HTML {
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `" data-` + as + `>` + t.Format(layout) + `</time>`)
}

// draw writes a page.
func (v *visit) draw(status int, p page) {
	h := v.h
	p.Title = p.title
	p.T, p.Path, p.Home, p.Lang = v.t, h.opts.Path, h.opts.Home, v.lang
	if p.Next == "" {
		p.Next, _ = local(v.in.Next)
	}
	if p.RuleText == "" {
		p.RuleText = v.in.RuleText
	}
	if v.r.Method != http.MethodPost {
		p.Here = ""
	}
	if !p.Until.IsZero() || !p.Resend.IsZero() {
		p.Now, _ = h.guard.Now()
	}
	var body bytes.Buffer
	if err := h.tmpl.ExecuteTemplate(&body, p.name, p); err != nil {
		http.Error(v.w, v.t.FailedTitle, http.StatusInternalServerError)
		return
	}
	if p.QR != "" {
		csp := v.w.Header().Get("Content-Security-Policy")
		v.w.Header().Set("Content-Security-Policy", csp+"; img-src data:")
	}
	v.w.Header().Set("Content-Language", v.lang)
	v.w.Header().Set(headerContentType, mediaTypeHTML)
	out := Page{
		Name: p.name, Title: p.title, Lang: v.lang, Dir: v.t.Dir, Body: template.HTML(body.String()),
		Style: h.assetURL("assets/mfa.css"), Script: h.assetURL("assets/mfa.js"),
	}
	if p.Alert != "" || status >= http.StatusBadRequest && !p.Paused {
		out.Title = v.t.ErrorPrefix + ": " + out.Title
	}
	if h.opts.Render != nil {
		w := &pageWriter{ResponseWriter: v.w, status: status}
		if err := h.opts.Render(w, v.r, out); err != nil && !w.wrote {
			http.Error(v.w, v.t.FailedTitle, http.StatusInternalServerError)
		}
		return
	}
	var all bytes.Buffer
	if err := h.tmpl.ExecuteTemplate(&all, "frame", out); err != nil {
		http.Error(v.w, v.t.FailedTitle, http.StatusInternalServerError)
		return
	}
	v.w.WriteHeader(status)
	_, _ = v.w.Write(all.Bytes())
}

// pageWriter gives a page its status, whatever Render says.
type pageWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *pageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *pageWriter) WriteHeader(int) {
	if !w.wrote {
		w.wrote = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *pageWriter) Write(b []byte) (int, error) {
	w.WriteHeader(0)
	return w.ResponseWriter.Write(b)
}

// drawProblem draws what failed, with a way on.
func (v *visit) drawProblem(p problem) {
	t := v.t
	pg := page{name: "problem", Continue: v.h.opts.Home}
	switch p.typ {
	case ProblemTooMany:
		pg.title, pg.Text = t.TooManyTitle, t.TooMany
		pg.Until = v.after(p.retry)
	case ProblemRejected:
		pg.title, pg.Text = t.InvalidTitle, t.Rejected
	case ProblemNotFound:
		pg.title, pg.Text = t.NotFoundTitle, t.NotFoundText
	case ProblemCrossOrigin:
		pg.title, pg.Text = t.CrossTitle, t.CrossText
	case ProblemUnavailable:
		pg.title, pg.Text = t.UnavailableTitle, t.UnavailableText
		pg.Again, pg.Action = v.again()
		if pg.Action == "" {
			pg.Continue = v.h.opts.Login
		}
	case ProblemNoMethod:
		pg.title, pg.Text, pg.Continue = t.NoMethodTitle, t.NoMethodText, v.h.opts.Login
	case ProblemExempt:
		pg.title, pg.Text, pg.Continue = t.ExemptTitle, t.ExemptText, v.h.opts.Login
	case ProblemLimit:
		pg.title, pg.Text, pg.Continue = t.LimitTitle, t.LimitText, v.h.opts.Path
	case ProblemRequired:
		pg.title, pg.Text, pg.Continue = t.OffRequiredTitle, t.OffRequired, v.h.opts.Path
	case ProblemFailed:
		pg.title, pg.Text = t.FailedTitle, t.FailedText
	default:
		pg.title, pg.Text = t.InvalidTitle, t.InvalidText
	}
	v.draw(p.status, pg)
}

// again returns the form that came, so that it can be sent once more: a code
// works once, so that this is safe whatever became of the first.
func (v *visit) again() (fields []field, action string) {
	switch {
	case v.entry:
		return nil, "" // the application's own, which may hold a password
	case v.in.form == nil:
		return nil, v.h.here(v.r)
	}
	for _, name := range []string{
		"token", "kind", "factor_id", "code", "credential", "enrollment_id", "id", "name", "address", "next", "rule", "sent", "hint", "qr", "uri", "secret",
	} {
		if s := v.in.form.Get(name); s != "" {
			fields = append(fields, field{name, s})
		}
	}
	return fields, v.r.URL.EscapedPath()
}

// after is now and d. Should the clock fail, so does everything else.
func (v *visit) after(d time.Duration) time.Time {
	now, err := v.h.guard.Now()
	if err != nil {
		return time.Time{}
	}
	// Up to the whole second, so that nobody who waits until then is early.
	return now.Add(d + time.Second - 1).Truncate(time.Second)
}

const (
	maxSVG    = 32 << 10
	maxSecret = 256
)

// showable reports whether what a browser sent may be shown as an enrolment
// again: it is shown to whoever sent it, as an image and as text.
func (in *input) showable() bool {
	if in.QR == "" && in.URI == "" && in.Secret == "" {
		return false
	}
	if in.QR != "" {
		svg, err := base64.StdEncoding.DecodeString(in.QR)
		if err != nil || len(svg) > maxSVG || !bytes.HasPrefix(svg, []byte("<")) {
			return false
		}
	}
	return (in.URI == "" || safeURI(in.URI)) && len(in.Secret) <= maxSecret
}

// safeURI reports whether s is an otpauth URI that may be a link.
func safeURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "otpauth" && len(s) <= 2048 && strings.HasPrefix(s, "otpauth://")
}

// An asset is an embedded file.
type asset struct {
	body      []byte
	mediaType string
	version   string
}

func assets() (map[string]asset, error) {
	as := map[string]asset{}
	for name, mediaType := range map[string]string{
		"assets/mfa.css": "text/css; charset=utf-8",
		"assets/mfa.js":  "text/javascript; charset=utf-8",
	} {
		b, err := assetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		as[name] = asset{b, mediaType, hex.EncodeToString(sum[:8])}
	}
	return as, nil
}

func (h *Handler) assetURL(name string) string {
	return h.opts.Path + name + "?v=" + h.assets[name].version
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	etag := `"` + a.version + `"`
	w.Header().Set(headerContentType, a.mediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("ETag", etag)
	if r.URL.Query().Get("v") == a.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	if slices.Contains(strings.Split(r.Header.Get("If-None-Match"), ", "), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	_, _ = w.Write(a.body)
}
