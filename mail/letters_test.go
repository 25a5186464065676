package mail_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa/mail"
)

type fields struct{ Service, Code string }

var sample = fields{"Acme", "012345"}

func letter(subject string) mail.Letter {
	return mail.Letter{Subject: subject + " {{.Service}}", Text: "{{.Service}}: {{.Code}}", HTML: "<p title=\"{{.Service}}\">{{.Code}}</p>"}
}

func letters(t *testing.T) *mail.Letters {
	t.Helper()
	ls, err := mail.NewLetters(map[string]mail.Letter{
		"en": letter("en"), "de": letter("de"), "pt-BR": letter("pt-br"), "zh-Hant-TW": letter("tw"),
	}, sample)
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

func TestLettersLanguage(t *testing.T) {
	t.Parallel()
	ls := letters(t)
	start := time.Now()
	for tag, want := range map[string]string{
		"": "en", "en": "en", "en-GB": "en", "de": "de", "DE": "de", "de-AT": "de", "de-AT-1996": "de",
		"pt-BR": "pt-br", "pt-br": "pt-br", "pt-BR-x-a": "pt-br", "pt": "en", "pt-PT": "en",
		"zh-Hant-TW": "tw", "zh-Hant": "en", "fr": "en", "den": "en",
		"-": "en", "--": "en", "-de": "en", "de-": "de", "de--": "de", "\xff": "en", "de\r\n": "en",
		strings.Repeat("a", 10<<20): "en", strings.Repeat("-", 10<<20): "en", "de" + strings.Repeat("-a", 5<<20): "en",
	} {
		m, err := ls.Render(tag, sample)
		if err != nil || m.Subject != want+" Acme" {
			t.Errorf("%.40q: %q, %v, want %s", tag, m.Subject, err, want)
		}
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestLettersFill(t *testing.T) {
	t.Parallel()
	ls := letters(t)
	evil := `"><script>alert('x')</script>&`
	m, err := ls.Render("en", fields{evil, "000001"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(m.HTML, "<script") || strings.Contains(m.HTML, `""`) || !strings.Contains(m.HTML, "000001") {
		t.Errorf("HTML %s", m.HTML)
	}
	if m.Text != evil+": 000001" { // text is text
		t.Errorf("text %s", m.Text)
	}
	if m.To != "" || m.Tenant != "" {
		t.Error("it has a recipient")
	}

	// A line end that was filled in stays, and Check refuses it.
	m, err = ls.Render("en", fields{"Acme\r\nBcc: eve@example.org", "000001"})
	if err != nil {
		t.Fatal(err)
	}
	m.To = "anna@example.org"
	if err := m.Check(); !errors.Is(err, mail.ErrMessage) {
		t.Errorf("%q: %v", m.Subject, err)
	}
}

// TestLettersRenderFails: without what was filled in.
func TestLettersRenderFails(t *testing.T) {
	t.Parallel()
	ls := letters(t)
	for name, data := range map[string]any{
		"nil": nil, "another type": "012345", "missing key": map[string]string{"Code": "012345"},
	} {
		m, err := ls.Render("de", data)
		if !errors.Is(err, mail.ErrMessage) || m != (mail.Message{}) || strings.Contains(err.Error(), "012345") {
			t.Errorf("%s: %q, %v", name, m.Text, err)
		}
	}
}

func TestNewLettersRefuses(t *testing.T) {
	t.Parallel()
	good := letter("en")
	with := func(change func(*mail.Letter)) map[string]mail.Letter {
		l := good
		change(&l)
		return map[string]mail.Letter{"en": good, "de": l}
	}
	for name, tt := range map[string]struct {
		byTag map[string]mail.Letter
		want  string
	}{
		"none":               {nil, `no letter for "en"`},
		"no English":         {map[string]mail.Letter{"de": good}, `no letter for "en"`},
		"subject syntax":     {with(func(l *mail.Letter) { l.Subject = "{{" }), `"de"`},
		"text syntax":        {with(func(l *mail.Letter) { l.Text = "{{if}}" }), `"de"`},
		"HTML syntax":        {with(func(l *mail.Letter) { l.HTML = "{{end}}" }), `"de"`},
		"unknown field":      {with(func(l *mail.Letter) { l.Text = "{{.Kode}}" }), `"de"`},
		"unknown, subject":   {with(func(l *mail.Letter) { l.Subject = "{{.Kode}}" }), `"de"`},
		"unknown, HTML":      {with(func(l *mail.Letter) { l.HTML = "{{.Kode}}" }), `"de"`},
		"HTML out of place":  {with(func(l *mail.Letter) { l.HTML = "<a href='{{.Code}}" }), `"de"`},
		"no subject":         {with(func(l *mail.Letter) { l.Subject = " " }), "subject"},
		"subject of 2 lines": {with(func(l *mail.Letter) { l.Subject = "a\nb" }), "subject"},
		"no text":            {with(func(l *mail.Letter) { l.Text = "{{/* */}}" }), "body"},
		"no tag":             {map[string]mail.Letter{"en": good, "": good}, "tag"},
		"a long tag":         {map[string]mail.Letter{"en": good, strings.Repeat("a", 65): good}, "tag"},
		"one language twice": {map[string]mail.Letter{"en": good, "de-AT": good, "de-at": good}, "second"},
	} {
		if ls, err := mail.NewLetters(tt.byTag, sample); err == nil || ls != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, l := range []mail.Letter{{"s{{.Kode}}", "t", "h"}, {"s", "t{{.Kode}}", "h"}, {"s", "t", "h{{.Kode}}"}} {
		if _, err := mail.NewLetters(map[string]mail.Letter{"en": l}, map[string]string{"Code": "012345"}); err == nil {
			t.Errorf("%v: a map without the key", l)
		}
	}
	if _, err := mail.NewLetters(map[string]mail.Letter{"EN": good}, sample); err != nil {
		t.Errorf("the case of a tag matters: %v", err)
	}
	noHTML := mail.Letter{Subject: "s", Text: "t"}
	if ls, err := mail.NewLetters(map[string]mail.Letter{"en": noHTML}, nil); err != nil {
		t.Error(err)
	} else if m, err := ls.Render("", nil); err != nil || m.HTML != "" {
		t.Errorf("%q, %v", m.HTML, err)
	}
}

func TestLegible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Anna's phone":                          "Anna's phone",
		"  Anna's\r\n\t phone  ":                "Anna's phone",
		"Müller 日本 👍":                           "Müller 日本 👍",
		"a\x00b\x1bc\x7fd":                      "abcd",
		"a\u202eb\u200bc\ufeffd":                "abcd",
		"a\xffb\ufffdc":                         "abc",
		"a\u2028b\u2029c\u0085d":                "a b c d",
		"":                                      "",
		" \r\n\u200b ":                          "",
		"x\r\nBcc: eve@example.org":             "x Bcc: eve@example.org",
		strings.Repeat("ä", 100):                strings.Repeat("ä", 64),
		strings.Repeat("a", 63) + " bc":         strings.Repeat("a", 63),
		strings.Repeat("a", 62) + " bc":         strings.Repeat("a", 62) + " b",
		strings.Repeat("a ", 100):               strings.TrimSpace(strings.Repeat("a ", 32)),
		strings.Repeat("\u200b", 1000) + "end":  "end",
		strings.Repeat("\u200b", 1<<20) + "end": "", // only so much is looked at
	} {
		got := mail.Legible(in)
		if got != want {
			t.Errorf("Legible(%.40q) = %q, want %q", in, got, want)
		}
		if n := utf8.RuneCountInString(got); n > 64 {
			t.Errorf("Legible(%.40q) has %d characters", in, n)
		}
		m := message(func(m *mail.Message) { m.Subject = "Removed: " + got })
		if err := m.Check(); err != nil {
			t.Errorf("Legible(%.40q) keeps a notice from being sent: %v", in, err)
		}
	}
}

func TestLegibleIsFast(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, s := range []string{"a", " ", "\x00", "\u202e", "\xff"} {
		mail.Legible(strings.Repeat(s, 10<<20))
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}
