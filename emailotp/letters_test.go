package emailotp_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
)

var update = flag.Bool("update", false, "write the golden letters anew")

// What the mails say, word for word, in each language and for each purpose.
func TestLettersGolden(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"en", "de"} {
		w := newWorld(t)
		w.user(who, func(u *mfa.User) {
			u.Locale, u.DisplayName, u.Service = locale+"-XX", "Anna & Co <anna>", "Acme & Söhne"
		})
		session := w.person(who)
		w.signIn(who)
		w.user(who, func(u *mfa.User) { u.DisplayName = "" })
		w.sent(w.stepUp(session))
		mails := w.out.To(home)
		if len(mails) != 3 {
			t.Fatalf("%d mails", len(mails))
		}
		for i, what := range []string{"enrol", "sign-in", "step-up"} {
			m := mails[i].Message
			if m.HTML == "" || strings.Contains(m.Subject, codeIn(m)) {
				t.Errorf("%s %s: subject %q, %d bytes of HTML", locale, what, m.Subject, len(m.HTML))
			}
			// nobody has confirmed the first one's address: its words may be a stranger's
			if named := strings.Contains(m.Text+m.HTML, "Anna"); named != (what == "sign-in") {
				t.Errorf("%s %s: by name: %t", locale, what, named)
			}
			if strings.Contains(m.Text+m.HTML, "http") || strings.Contains(m.HTML, " href") || strings.Contains(m.HTML, " src") {
				t.Errorf("%s %s: a link", locale, what)
			}
			text := strings.ReplaceAll("Subject: "+m.Subject+"\n\n"+m.Text+"\n\n"+m.HTML+"\n", codeIn(m), "123456")
			golden(t, locale+"-"+what+".txt", text)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: the mail is now\n%s", name, got)
	}
}

// A letter of one's own is taken in the place of a built-in one, or beside it.
func TestOwnLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.email = emailotp.New(&w.out, &emailotp.Options{Digits: 8, Letters: map[string]mail.Letter{
			"de":    {Subject: "eigen {{.Service}}", Text: "Code:\n\n    {{.Code}}\n\n{{.Name}} {{.Minutes}} {{.Enroll}}"},
			"fr-CA": {Subject: "le mien", Text: "Code:\n\n    {{.Code}}\n"},
		}})
		w.cfg.Methods = []mfa.Method{w.email}
	})
	for locale, want := range map[string]string{
		"de": "eigen Acme", "de-AT": "eigen Acme", "DE": "eigen Acme", "fr-CA": "le mien", "fr-ca-x": "le mien",
		"fr": "Confirm your address for Acme", "": "Confirm your address for Acme", "xx": "Confirm your address for Acme", "en-GB": "Confirm your address for Acme",
		strings.Repeat("de-", 100): "Confirm your address for Acme",
	} {
		id := "user " + locale
		if len(id) > 50 {
			id = "long"
		}
		w.user(id, func(u *mfa.User) { u.Email, u.Locale, u.DisplayName = home, locale, "Anna" })
		w.out.Clear()
		w.person(id)
		m := w.out.All()[0]
		if m.Subject != want || len(codeIn(m.Message)) != 8 {
			t.Errorf("%.20q: %q with code of %d digits, want %q", locale, m.Subject, len(codeIn(m.Message)), want)
		}
		if want == "eigen Acme" && (!strings.HasSuffix(m.Text, "Anna 10 true") || m.HTML != "") {
			t.Errorf("%q: %q", locale, m.Text)
		}
	}
}
