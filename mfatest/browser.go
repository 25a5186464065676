package mfatest

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// A Browser is somebody's browser for a handler: it keeps cookies, follows
// redirects within the handler and knows the fields of the last page's form.
// It runs no script.
type Browser struct {
	// Origin is what the browser believes that it speaks to:
	// the constant Origin unless it is changed before the first request.
	Origin string

	t       testing.TB
	handler http.Handler
	jar     *cookiejar.Jar
	hidden  url.Values // hidden fields of the last page's forms
}

// Browser returns one with no cookies.
func (k *Kit) Browser(h http.Handler) *Browser {
	k.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return &Browser{Origin: Origin, t: k.t, handler: h, jar: jar}
}

// A Response is the page where a request ended, after all redirects.
type Response struct {
	Status int
	Header http.Header
	Path   string // of the page, with its query
	Body   string
	Via    []string // the paths that redirected to it
}

// Contains reports whether the page shows this text, or has it in its markup.
func (r *Response) Contains(text string) bool {
	return strings.Contains(r.Body, text) || strings.Contains(html.UnescapeString(r.Body), text)
}

// Get asks for a page.
func (b *Browser) Get(path string) *Response {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// Post sends a form: names and values in turn, and besides them the hidden
// fields of the last page.
func (b *Browser) Post(path string, form ...string) *Response {
	b.t.Helper()
	if len(form)%2 != 0 {
		b.t.Fatal("mfatest: a form of names and values in turn")
	}
	values := url.Values{}
	for name, vs := range b.hidden {
		values[name] = vs[:1]
	}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return b.do(http.MethodPost, path, values)
}

const maxRedirects = 10

func (b *Browser) do(method, path string, form url.Values) *Response {
	b.t.Helper()
	at, err := url.Parse(b.Origin + "/")
	if err != nil {
		b.t.Fatal(err)
	}
	var via []string
	for {
		u, err := at.Parse(path)
		if err != nil || u.Scheme != at.Scheme || u.Host != at.Host {
			b.t.Fatalf("mfatest: %q leads out of the handler", path)
		}
		var body io.Reader
		if form != nil {
			body = strings.NewReader(form.Encode())
		}
		// As a server gets it: the path, and the host beside it.
		r := httptest.NewRequest(method, u.RequestURI(), body)
		r.Host = u.Host
		r = r.WithContext(b.t.Context())
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", b.Origin)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		for _, c := range b.jar.Cookies(u) {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		res := w.Result()
		b.jar.SetCookies(u, res.Cookies())
		to := res.Header.Get("Location")
		if res.StatusCode < 300 || res.StatusCode > 399 || to == "" {
			page := w.Body.String()
			b.hidden = hiddenFields(page)
			return &Response{res.StatusCode, res.Header, u.RequestURI(), page, via}
		}
		if via = append(via, u.RequestURI()); len(via) > maxRedirects {
			b.t.Fatalf("mfatest: it redirects in a circle: %q", via)
		}
		if res.StatusCode != http.StatusTemporaryRedirect && res.StatusCode != http.StatusPermanentRedirect {
			method, form = http.MethodGet, nil
		}
		next, err := u.Parse(to)
		if err != nil {
			b.t.Fatalf("mfatest: it redirects to %q", to)
		}
		path = next.String()
	}
}

// hiddenFields reads the hidden inputs of a page. Markup that a template wrote
// needs no more.
func hiddenFields(page string) url.Values {
	values := url.Values{}
	for _, tag := range regexp.MustCompile(`(?is)<input\b[^>]*>`).FindAllString(page, -1) {
		if strings.EqualFold(attribute(tag, "type"), "hidden") && attribute(tag, "name") != "" {
			values.Add(attribute(tag, "name"), attribute(tag, "value"))
		}
	}
	return values
}

func attribute(tag, name string) string {
	m := regexp.MustCompile(`(?is)\s` + name + `\s*=\s*("([^"]*)"|'([^']*)'|([^\s>]+))`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[2] + m[3] + m[4])
}
