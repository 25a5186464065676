package mail_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
)

// A counter is a Sender that should not be called.
type counter struct{ calls atomic.Int64 }

func (c *counter) Send(context.Context, mail.Message) error {
	c.calls.Add(1)
	return nil
}

// TestInjection: no recipient, subject or service name that is more than it
// should be reaches a Sender behind a Router or Queue, or makes a connection.
func TestInjection(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("a", 10<<20)
	recipients := []string{
		"", "anna", "a@b.de\r\nBcc: eve@example.org", "a@b.de\nBcc: eve@example.org", "a@b.de\r", "a\r\n@b.de", "a@b\r\n.de",
		"a@b.de>\r\nRCPT TO:<eve@example.org", "a@b.de>\r\nDATA\r\n.\r\nMAIL FROM:<eve@example.org",
		"a@b.de> SIZE=1", "a@b.de> NOTIFY=SUCCESS", "a@b.de\x00", "\x00a@b.de", "a@b.de,eve@example.org", "a@b.de;eve@example.org",
		"a@b.de eve@example.org", "Anna <a@b.de>", "<a@b.de>", `"a b"@c.de`, `"a@b.de>\r\nRCPT"@c.de`, "a(b)@c.de", "@x.de:a@b.de",
		"friends:a@b.de;", "a@[127.0.0.1]", "a@127.0.0.1", "a@b@c.de", "ä@b.de", "a@müller.de", "a@\u212a.de", "a\u2028@b.de", "a\xff@b.de",
		huge + "@b.de", "a@" + huge + ".de", strings.Repeat("a@b.de,", 1<<20), strings.Repeat(" ", 10<<20) + "a@b.de",
	}
	lines := []string{ // subjects, and names that are filled into one
		"a\r\nBcc: eve@example.org", "a\nBcc: eve@example.org", "a\rBcc: eve@example.org", "a\r\n\r\n<html>", "a\x00b", "a\x1b[2J",
		"a\u2028b", "a\u0085b", "a\u202eb", "a\xff", "a\tb\vc", huge,
	}

	h := newHouse(t, nil)
	direct := h.sender(t, nil)
	var behind counter
	queue := mail.NewQueue(&behind, 1000, nil)
	senders := map[string]mail.Sender{
		"smtp":               direct,
		"router":             mail.Route(func(context.Context, string) (mail.Sender, error) { return &behind, nil }),
		"router to smtp":     mail.Route(func(context.Context, string) (mail.Sender, error) { return direct, nil }),
		"queue":              queue,
		"queue behind":       mail.Route(func(context.Context, string) (mail.Sender, error) { return queue, nil }),
		"queue of an outbox": mail.NewQueue((&mail.Outbox{}).As(from), 1000, nil),
	}
	type fields struct{ Service, Code string }
	letters, err := mail.NewLetters(map[string]mail.Letter{"en": {
		Subject: "Your code for {{.Service}}", Text: "{{.Service}}: {{.Code}}", HTML: "<p>{{.Service}}: {{.Code}}</p>",
	}}, fields{"Acme", "000000"})
	if err != nil {
		t.Fatal(err)
	}

	start := time.Now()
	refuse := func(what string, m mail.Message) {
		t.Helper()
		for name, s := range senders {
			if err := s.Send(t.Context(), m); !errors.Is(err, mail.ErrMessage) {
				t.Errorf("%s takes %s: %v", name, what, err)
			}
		}
	}
	for _, to := range recipients {
		refuse("the recipient "+short(to), letter(to))
	}
	for _, line := range lines {
		m := letter("anna@example.org")
		m.Subject = line
		refuse("the subject "+short(line), m)

		m, err := letters.Render("en", fields{line, "001234"})
		if err != nil {
			t.Errorf("%s: %v", short(line), err)
		}
		m.To = "anna@example.org"
		refuse("the service "+short(line), m)

		// A name that a user chose must not be able to stop a notice either.
		m, err = letters.Render("en", fields{mail.Legible(line), "001234"})
		m.To = "anna@example.org"
		if err != nil || m.Check() != nil {
			t.Errorf("the name %s stops a mail: %v, %v", short(line), err, m.Check())
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("refusing took %v", took)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	queue.Run(ended) // sends what is in it
	if n := behind.calls.Load(); n > 0 {
		t.Errorf("%d messages reached a sender", n)
	}
	if n := h.connections(); n > 0 {
		t.Errorf("%d connections to the server", n)
	}
}

func short(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// TestHarmless: what only looks dangerous arrives as it is, once, at one
// recipient.
func TestHarmless(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.sender(t, nil)
	m := letter("!#$%&'*+-/=?^_`{|}~@example.org")
	m.Subject = "Bcc: eve@example.org, RCPT TO:<eve@example.org> %s %0d%0aBcc: \\r\\n <b>"
	m.Text = "\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n\n.\n\r.\rBcc: eve@example.org\r\n.\r\nQUIT"
	m.HTML = "\r\n--boundary\r\n.\r\n" + m.Text
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := h.arrived()
	if len(got) != 1 || !slices.Equal(got[0].to, []string{m.To}) || h.connections() != 1 {
		t.Fatalf("%d arrived over %d connections", len(got), h.connections())
	}
	m.Text = strings.ReplaceAll(strings.ReplaceAll(m.Text, "\r\n", "\n"), "\r", "\n") // a line end is a line end
	m.HTML = strings.ReplaceAll(strings.ReplaceAll(m.HTML, "\r\n", "\n"), "\r", "\n")
	checkArrived(t, got[0].raw, m)
}
