package mail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
)

func message(change func(*mail.Message)) mail.Message {
	m := mail.Message{To: "anna@example.org", Subject: "Your code", Text: "The code is 012345."}
	if change != nil {
		change(&m)
	}
	return m
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*mail.Message){
		"plain":           nil,
		"HTML":            func(m *mail.Message) { m.HTML = "<p>The code is\r\n\t012345.</p>" },
		"tenant":          func(m *mail.Message) { m.Tenant = "Müller & Söhne" },
		"umlauts":         func(m *mail.Message) { m.Subject = "Ihr Code für Müller – 日本" },
		"longest subject": func(m *mail.Message) { m.Subject = strings.Repeat("ä", 256) },
		"longest text":    func(m *mail.Message) { m.Text = strings.Repeat("a", 256<<10) },
		"longest tenant":  func(m *mail.Message) { m.Tenant = strings.Repeat("a", 255) },
	} {
		if err := message(change).Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refused are messages that no Sender may take.
func refused() map[string]mail.Message {
	all := map[string]mail.Message{}
	for name, to := range nasty {
		all["to: "+name] = message(func(m *mail.Message) { m.To = to })
	}
	all["to: not its one form"] = message(func(m *mail.Message) { m.To = "anna@Example.org" })
	all["to: space"] = message(func(m *mail.Message) { m.To = " anna@example.org" })
	for name, s := range map[string]string{
		"nothing":           "",
		"CR":                "a\rb",
		"LF":                "a\nb",
		"CRLF and a header": "a\r\nBcc: x@y.de",
		"CRLF and a body":   "a\r\n\r\nb",
		"NUL":               "a\x00b",
		"tab":               "a\tb",
		"DEL":               "a\x7fb",
		"C1 control":        "a\u0085b",
		"line separator":    "a\u2028b",
		"right to left":     "a\u202eb",
		"zero width":        "a\u200bb",
		"byte order mark":   "\ufeffa",
		"private use":       "a\ue000b",
		"broken UTF-8":      "a\xffb",
		"513 bytes":         strings.Repeat("a", 513),
		"10 MB":             strings.Repeat("a", 10<<20),
	} {
		all["subject: "+name] = message(func(m *mail.Message) { m.Subject = s })
	}
	for name, s := range map[string]string{
		"NUL":          "a\x00b",
		"escape":       "a\x1b[2Jb",
		"DEL":          "a\x7fb",
		"broken UTF-8": "a\xffb",
		"too long":     strings.Repeat("a", 256<<10+1),
		"10 MB":        strings.Repeat("a", 10<<20),
	} {
		all["text: "+name] = message(func(m *mail.Message) { m.Text = s })
		all["HTML: "+name] = message(func(m *mail.Message) { m.HTML = s })
	}
	all["text: nothing"] = message(func(m *mail.Message) { m.Text, m.HTML = "", "<p>a</p>" })
	all["tenant: CRLF"] = message(func(m *mail.Message) { m.Tenant = "a\r\nb" })
	all["tenant: NUL"] = message(func(m *mail.Message) { m.Tenant = "a\x00b" })
	all["tenant: 256 bytes"] = message(func(m *mail.Message) { m.Tenant = strings.Repeat("a", 256) })
	return all
}

// TestCheckRefuses: and so does every Sender here, before it does anything.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	var box mail.Outbox
	asked := 0
	router := mail.Route(func(context.Context, string) (mail.Sender, error) { asked++; return &box, nil })
	queue := mail.NewQueue(&box, 1000, nil)
	senders := map[string]mail.Sender{"outbox": &box, "desk": box.As("x@y.de"), "router": router, "queue": queue}

	start := time.Now()
	for name, m := range refused() {
		err := m.Check()
		if !errors.Is(err, mail.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(err.Error()) > 60 {
			t.Errorf("%s: the error repeats the message: %.100s", name, err)
		}
		for who, s := range senders {
			if err := s.Send(t.Context(), m); !errors.Is(err, mail.ErrMessage) {
				t.Errorf("%s: %s: %v", name, who, err)
			}
		}
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	queue.Run(ctx) // sends what is in it
	if asked > 0 || len(box.All()) > 0 {
		t.Errorf("%d were routed and %d kept", asked, len(box.All()))
	}
}

// printed is v in every format that people print things in.
func printed(t *testing.T, v any) string {
	t.Helper()
	var out bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
		if strings.Count(format, "%") == 2 {
			fmt.Fprintf(&out, format, v, v)
			continue
		}
		fmt.Fprintf(&out, format, v)
	}
	text, err := json.Marshal(map[string]any{"v": v})
	if err != nil {
		t.Error(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("x", "v", v, slog.Group("g", "v", v))
	}
	return out.String()
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	const secret = "qzsecretqz"
	m := mail.Message{Tenant: secret, To: secret + "@example.org", Subject: secret, Text: secret, HTML: secret}
	var box mail.Outbox
	queue := mail.NewQueue(&box, 1, nil)
	for _, s := range []mail.Sender{&box, queue} {
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range map[string]any{
		"Message":       m,
		"*Message":      &m,
		"[]Message":     []mail.Message{m},
		"in a struct":   struct{ M mail.Message }{m},
		"map":           map[string]mail.Message{"a": m},
		"Kept":          mail.Kept{From: "x@y.de", Message: m},
		"All":           box.All(),
		"*Outbox":       &box,
		"sender of one": box.As("x@y.de"),
		"*Queue":        queue,
		"*Router":       mail.Route(func(context.Context, string) (mail.Sender, error) { return &box, nil }),
	} {
		// %x prints the words in another coat; the redacted form is the same there.
		out := printed(t, v)
		if strings.Contains(out, secret) || strings.Contains(out, fmt.Sprintf("%x", secret)) || strings.Contains(out, "cXpzZWNyZXRxe") {
			t.Errorf("%s prints as %s", name, out)
		}
	}
	if v := slog.AnyValue(m).Resolve(); v.Kind() != slog.KindString { // for handlers that use neither fmt nor JSON
		t.Errorf("it is logged as a %v", v.Kind())
	}
	if out := fmt.Sprintf("%v %+v %#v", m, m, m); out != "mail [redacted] mail [redacted] mail [redacted]" {
		t.Error(out)
	}
}
