package mfahttp

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa"
)

func TestLocalNext(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"/":                         "/",
		"/orders?id=1&b=%20c":       "/orders?id=1&b=%20c",
		"/a/b.c/":                   "/a/b.c/",
		"/ä?ö=ü":                    "/%C3%A4?%C3%B6=%C3%BC",
		"/a%2Fb":                    "/a%2Fb",
		"/x?next=https://evil.test": "/x?next=https://evil.test",
		"/a#b":                      "/a",
		"/a b?c d":                  "/a%20b?c%20d",
		`/a?"<>'`:                   "/a?%22%3C%3E'",
	} {
		if got, ok := local(s); !ok || got != want {
			t.Errorf("local(%q) = %q, %v; want %q", s, got, ok, want)
		}
	}
	for _, s := range []string{
		"", "orders", "?x", "#x", "//evil.test", "///evil.test", "/\\evil.test", `\\evil.test`, `/a\b`, "https://evil.test",
		"https:evil.test", "javascript:alert(1)", "data:text/html,x", "/\t/evil.test", "/\n/evil.test", "\t//evil.test",
		"/%09/evil.test", "/%5Cevil.test", "/%5cevil.test", "/.//evil.test", "/..//evil.test", "/a/../..//evil.test", "/./x", "/a/..",
		"/%2e%2e/x", "/%2E/x", "/%2F/evil.test", "/%2f%2fevil.test", "/a//b", "/\x00", "/a\r\nSet-Cookie: x=y", "/%0d%0aSet-Cookie:x",
		"/a?x=%0d%0aSet-Cookie:x", "/\u0085x", "/%zz", "/" + strings.Repeat("a", maxNext), " /x", "/\x7f", "http://", "mailto:x@y",
		"/%C2%85",
	} {
		if got, ok := local(s); ok {
			t.Errorf("local(%q) = %q", s, got)
		}
	}
}

func FuzzLocalNext(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/a?b=c#d", "/%2f", "/..", "http://x/y", "/ä", "/a%0ab", "/:80", "/@x", "/?//x"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://app.example/mfa/sign-in/verify")
	f.Fuzz(func(t *testing.T, s string) {
		next, ok := local(s)
		if !ok {
			return
		}
		u, err := base.Parse(next)
		if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
			t.Fatalf("%q leads to %v", next, u)
		}
		for i := range len(next) {
			if next[i] <= 0x20 || next[i] >= 0x7f || next[i] == '\\' {
				t.Fatalf("%q in a header", next)
			}
		}
		if strings.HasPrefix(next, "//") || !strings.HasPrefix(next, "/") {
			t.Fatalf("%q", next)
		}
		if again, ok := local(next); len(next) <= maxNext && (!ok || again != next) {
			t.Fatalf("%q becomes %q", next, again)
		}
	})
}

func TestDigits(t *testing.T) {
	t.Parallel()
	// Every decimal digit that Go knows, against its own order: in each
	// script, ten in a row.
	n := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsDigit(r) {
			continue
		}
		if want := string(rune('0' + n%10)); digits(string(r)) != want {
			t.Errorf("digits(%q) = %q, want %q", r, digits(string(r)), want)
		}
		n++
	}
	if n < 600 || n%10 != 0 {
		t.Errorf("%d digits", n)
	}
	for _, s := range []string{"", "abc", "12 34-56", "½²Ⅷ一", "+1", "a\x00b"} {
		if digits(s) != s {
			t.Errorf("digits(%q) = %q", s, digits(s))
		}
	}
}

func FuzzDigits(f *testing.F) {
	f.Add("123")
	f.Add("１２３")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		out := digits(s)
		if utf8.RuneCountInString(out) != utf8.RuneCountInString(s) {
			t.Fatalf("%q becomes %q", s, out)
		}
		for _, r := range out {
			if r >= 0x80 && unicode.IsDigit(r) {
				t.Fatalf("%q is left of %q", r, s)
			}
		}
	})
}

func FuzzRule(f *testing.F) {
	f.Add("300~resistant~not:email")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, s string) {
		w := parseRule(s)
		if again := parseRule(w.text()); len(w.text()) <= 512 && again.text() != w.text() {
			t.Fatalf("%q: %q, then %q", s, w.text(), again.text())
		}
		_ = w.rule()
	})
}

func TestRuleOnTheWay(t *testing.T) {
	t.Parallel()
	for _, r := range []mfa.Rule{
		{}, mfa.Fresh(1), mfa.Fresh(90e9), {MaxAge: mfa.AnyAge}, {PhishingResistant: true}, {Not: []mfa.Kind{"email", "sms"}},
	} {
		got := parseRule(toWire(r).text()).rule()
		// Never a longer time than asked for, but for the rest of a second.
		if got.PhishingResistant != r.PhishingResistant || len(got.Not) != len(r.Not) || got.MaxAge < r.MaxAge || got.MaxAge > r.MaxAge+1e9 && r.MaxAge != mfa.AnyAge {
			t.Errorf("%+v becomes %+v", r, got)
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	h := &Handler{texts: texts(map[string]Texts{"pt-BR": {SignInTitle: "Mais um passo"}, "de-CH": {Save: "Sichern"}})}
	for accept, want := range map[string]string{
		"": "en", "de": "de", "de-AT,en;q=0.5": "de", "fr,de;q=0.3,en;q=0.8": "en", "pt-br": "pt-br", "pt": "en", "*": "en",
		";;;,,q=": "en", "de;q=0": "en", "DE-ch": "de-ch", strings.Repeat("x,", 5000): "en",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", accept)
		if got, _ := h.language(r, ""); got != want {
			t.Errorf("%.40q: %s, want %s", accept, got, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if got, _ := h.language(r, "de_DE"); got != "de" {
		t.Error(got)
	}
	h.opts.Language = func(*http.Request) string { return "pt-BR" }
	if _, txt := h.language(r, "de"); txt.SignInTitle != "Mais um passo" || txt.SignInButton != "Sign in" {
		t.Errorf("%q %q", txt.SignInTitle, txt.SignInButton)
	}
	if ch := h.texts["de-ch"]; ch.Save != "Sichern" || ch.Cancel != "Abbrechen" {
		t.Errorf("%q %q", ch.Save, ch.Cancel)
	}
}

// Both languages say everything, with the same things to fill in.
func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	en, de := english(), german()
	empty := Texts{}
	for lang, txt := range map[string]Texts{"en": en, "de": de} {
		filled := txt
		fill(&filled, &en)
		if missing := countEmpty(txt); missing != 0 {
			t.Errorf("%s: %d texts are missing", lang, missing)
		}
		if len(txt.Advice) != len(en.Advice) || len(txt.Kinds) != len(en.Kinds) {
			t.Errorf("%s: advice or kinds are missing", lang)
		}
	}
	if countEmpty(empty) < 100 {
		t.Error("the count does not count")
	}
	if got, want := placeholders(de), placeholders(en); got != want {
		t.Errorf("to fill in: German %s, English %s", got, want)
	}
}
