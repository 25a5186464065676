package notify_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/notify"
)

// Whatever somebody is called, the notice goes out, as one message with one link.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"Pixel 9", "a\r\nBcc: b", "<b>x", "https://evil.example", "x.\u202ey", "\xff.a", "a.b@c.example", "{{.}} {event}", ".\u00a0a"} {
		f.Add(s, "lost", "de-AT")
	}
	var out mail.Outbox
	n, err := notify.New(&out, nil)
	if err != nil {
		f.Fatal(err)
	}
	link := regexp.MustCompile(`://|[\pL\pN]\.[\pL]`)
	f.Fuzz(func(t *testing.T, name, reason, lang string) {
		out.Clear()
		u := mfa.User{ID: name, Name: name, DisplayName: name, Email: ada, Service: name, Locale: lang}
		e := mfa.Event{Type: mfa.EventType(name), Kind: mfa.Kind(name), Name: name, Actor: name, Reason: reason, Client: mfa.Client{IP: name, Agent: name}}
		if err := n.Notify(t.Context(), u, e); err != nil || len(out.All()) != 1 {
			t.Fatalf("%v, %d mails", err, len(out.All()))
		}
		m := out.All()[0]
		if strings.Count(m.HTML, "<a ") != 0 || strings.Count(m.Text, "\n") > 24 {
			t.Errorf("it added to the notice: %s\n%s", m.Text, m.HTML)
		}
		u.Service, e.Reason = "Acme", "" // which are not for everybody to choose
		out.Clear()
		if err := n.Notify(t.Context(), u, e); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(out.All()[0].Text, "\n") {
			if link.MatchString(line) && !strings.Contains(line, "@") {
				t.Errorf("like a link: %q", line)
			}
		}
	})
}
