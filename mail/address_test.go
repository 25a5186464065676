package mail_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	label := strings.Repeat("b", 63)
	for in, want := range map[string]string{
		"anna@example.org":                      "anna@example.org",
		" \tanna@example.org ":                  "anna@example.org",
		"Anna.Berg@Mail.EXAMPLE.org":            "Anna.Berg@mail.example.org", // the local part is the receiver's to compare
		"o'neil+tag/x=1@example.org":            "o'neil+tag/x=1@example.org",
		"!#$%&'*+-/=?^_`{|}~@a.bc":              "!#$%&'*+-/=?^_`{|}~@a.bc",
		"-x@a.bc":                               "-x@a.bc",
		"=?x@a.bc":                              "=?x@a.bc", // half an encoded word is none
		"x?=@a.bc":                              "x?=@a.bc",
		"a@localhost":                           "a@localhost",
		"a@xn--mller-kva.example":               "a@xn--mller-kva.example",
		"a@1.2.3.example":                       "a@1.2.3.example",
		"a@3com":                                "a@3com",
		long + "@" + label + ".example":         long + "@" + label + ".example",
		"a@" + strings.Repeat("b.", 125) + "cd": "a@" + strings.Repeat("b.", 125) + "cd", // 254
	} {
		got, err := mail.Address(in)
		if err != nil || got != want {
			t.Errorf("Address(%q) = %q, %v, want %q", in, got, err, want)
		}
		again, err := mail.Address(got)
		if err != nil || again != got {
			t.Errorf("Address(%q) = %q, %v: not stable", got, again, err)
		}
	}
}

// nasty are recipients that must not reach a server: R-047.
var nasty = map[string]string{
	"nothing":              "",
	"spaces":               "  ",
	"no at":                "anna",
	"only at":              "@",
	"no local part":        "@example.org",
	"no domain":            "anna@",
	"two at":               "a@b@c.de",
	"CR":                   "a\r@b.de",
	"LF":                   "a@b.de\n",
	"CRLF and a header":    "a@b.de\r\nBcc: x@y.de",
	"CRLF and a command":   "a@b.de>\r\nRCPT TO:<x@y.de",
	"NUL":                  "a\x00@b.de",
	"NUL at the end":       "a@b.de\x00",
	"DEL":                  "a\x7f@b.de",
	"tab inside":           "a\t@b.de",
	"space inside":         "a b@c.de",
	"list, comma":          "a@b.de,c@d.de",
	"list, semicolon":      "a@b.de;c@d.de",
	"list, space":          "a@b.de c@d.de",
	"name":                 "Bob <b@x.y>",
	"angle brackets":       "<b@x.y>",
	"group":                "friends:a@b.de;",
	"quoted local part":    `"a b"@c.de`,
	"quoted line end":      "\"a\r\nb\"@c.de",
	"backslash":            `a\@b@c.de`,
	"comment":              "a(comment)@b.de",
	"comment behind":       "a@b.de (Bob)",
	"source route":         "@x.de:a@b.de",
	"percent in domain":    "a@b%c.de",
	"literal, IPv4":        "a@[127.0.0.1]",
	"literal, IPv6":        "a@[IPv6:::1]",
	"bare IPv4":            "a@127.0.0.1",
	"a number for a name":  "a@2130706433",
	"dot first":            ".a@b.de",
	"dot last":             "a.@b.de",
	"two dots":             "a..b@c.de",
	"domain, dot first":    "a@.b.de",
	"domain, dot last":     "a@b.de.",
	"domain, two dots":     "a@b..de",
	"hyphen first":         "a@-b.de",
	"hyphen last":          "a@b-.de",
	"underscore in domain": "a@b_c.de",
	"umlaut":               "ä@b.de",
	"umlaut domain":        "a@müller.de",
	"fullwidth at":         "a＠b.de",
	"fullwidth dot":        "a@b。de",
	"no-break space":       "\u00a0a@b.de",
	"zero width":           "a\u200b@b.de",
	"right to left":        "a\u202e@b.de",
	"Kelvin sign":          "a@\u212a.de", // strings.ToLower makes it a k
	"dotless i":            "a@\u0130.de",
	"broken UTF-8":         "a\xff@b.de",
	"encoded word, Q":      "=?utf-8?q?x=40y.de?=@b.de",
	"encoded word, line":   "=?utf-8?Q?a=0d=0aBcc=3ax?=@b.de",
	"encoded word, B":      "=?iso-8859-1?b?YQ==?=@b.de",
	"encoded word, inside": "a.=?us-ascii?q?b?=.c@b.de",
	"long local part":      strings.Repeat("a", 65) + "@b.de",
	"long label":           "a@" + strings.Repeat("b", 64) + ".de",
	"255 bytes":            "ab@" + strings.Repeat("b.", 125) + "cd",
	"10 MB":                strings.Repeat("a", 10<<20) + "@b.de",
	"10 MB of spaces":      strings.Repeat(" ", 10<<20) + "a@b.de",
	"10 MB of addresses":   strings.Repeat("a@b.de,", 10<<20/7),
	"10 MB of dots":        "a@" + strings.Repeat("b.", 5<<20) + "de",
}

func TestAddressRefuses(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for name, in := range nasty {
		got, err := mail.Address(in)
		if !errors.Is(err, mail.ErrMessage) || got != "" {
			t.Errorf("%s: %.40q, %v", name, got, err)
		}
		if err != nil && len(in) > 4 && strings.Contains(err.Error(), in) {
			t.Errorf("%s: the error repeats the address: %v", name, err)
		}
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"anna.berg@example.org": "a…@example.org",
		"a@Example.org":         "a…@example.org",
		"":                      "",
		"anna":                  "",
		"@example.org":          "",
		"a@b@c.de":              "",
		"ä@b.de":                "",
		"a@<script>":            "",
		"a@b.de\r\n":            "",
	} {
		if got := mail.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzAddress: whatever is accepted is one bare address and stays what it is.
func FuzzAddress(f *testing.F) {
	f.Add("Anna.Berg+x@Example.org ")
	for _, in := range nasty {
		if len(in) < 300 {
			f.Add(in)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := mail.Address(in)
		if err != nil {
			if got != "" || !errors.Is(err, mail.ErrMessage) {
				t.Fatalf("%q: %q, %v", in, got, err)
			}
			return
		}
		if again, err := mail.Address(got); err != nil || again != got {
			t.Errorf("%q became %q became %q, %v", in, got, again, err)
		}
		if strings.Count(got, "@") != 1 || len(got) > 254 || len(got) < 3 {
			t.Errorf("%q became %q", in, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.ContainsAny(got, `<>()[]\,;:"`) {
			t.Errorf("%q became %q", in, got)
		}
		if was := strings.Trim(in, " \t"); len(was) != len(got) || !strings.EqualFold(was, got) {
			t.Errorf("%q became another address: %q", in, got)
		}
		if m := (mail.Message{To: got, Subject: "s", Text: "t"}); m.Check() != nil {
			t.Errorf("Check refuses %q", got)
		}
	})
}
