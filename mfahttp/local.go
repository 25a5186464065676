package mfahttp

// What a request says, made safe: where to go next, and the digits of a code.

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

const maxNext = 1024

// local returns s as the path of a page of this application, in the form that
// a browser cannot read as anything else; false for everything that is not
// plainly one: another scheme or host, //host, /\host, dot segments, control
// characters.
func local(s string) (string, bool) {
	if s == "" || len(s) > maxNext || s[0] != '/' {
		return "", false
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return "", false
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	if i := strings.IndexFunc(u.Path, unicode.IsControl); i >= 0 || strings.ContainsRune(u.Path, '\\') {
		return "", false
	}
	for _, path := range []string{u.Path, u.EscapedPath()} {
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") {
			return "", false
		}
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." {
				return "", false
			}
		}
	}
	q, err := url.QueryUnescape(u.RawQuery)
	if err != nil || strings.IndexFunc(q, unicode.IsControl) >= 0 {
		return "", false
	}
	// Query and fragment keep their spelling, but for what does not belong
	// into a header or attribute.
	clean := &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: ascii(u.RawQuery)}
	return clean.String(), true
}

// ascii escapes what may not stand in a URL as it is.
func ascii(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= 0x20 || c >= 0x7f || strings.IndexByte(`"<>^`+"`{|}", c) >= 0:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// with returns path with query parameters, those that are not empty.
func with(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// here is where the browser should come back to after something came between
// it and r: the page itself, or for a form the page it was on.
func (h *Handler) here(r *http.Request) string {
	at := r.URL.RequestURI()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		ref, err := url.Parse(r.Referer())
		if err != nil || ref.Host != r.Host {
			return h.opts.Home
		}
		at = ref.RequestURI()
	}
	if next, ok := local(at); ok {
		return next
	}
	return h.opts.Home
}

// digits writes every decimal digit of Unicode as the ASCII one, since that is
// how some keyboards type a code.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 || !unicode.Is(unicode.Nd, r) {
			return r
		}
		// Each script's digits are ten runes in a row, from its zero on, and
		// every range of the table begins with a zero.
		for _, t := range unicode.Nd.R16 {
			if r <= rune(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		for _, t := range unicode.Nd.R32 {
			if r <= rune(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		return r
	}, s)
}
