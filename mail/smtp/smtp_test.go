package smtp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	const addr = "mail.acme.example:587"
	for name, tt := range map[string]struct {
		addr, from string
		o          smtp.Options
	}{
		"no address":         {"", from, smtp.Options{}},
		"no port":            {"mail.acme.example", from, smtp.Options{}},
		"empty port":         {"mail.acme.example:", from, smtp.Options{}},
		"port by name":       {"mail.acme.example:smtp", from, smtp.Options{}},
		"port 0":             {"mail.acme.example:0", from, smtp.Options{}},
		"port 65536":         {"mail.acme.example:65536", from, smtp.Options{}},
		"no host":            {":587", from, smtp.Options{}},
		"no sender":          {addr, "", smtp.Options{}},
		"sender with a name": {addr, "Acme <no-reply@acme.example>", smtp.Options{}},
		"sender, CRLF":       {addr, "no-reply@acme.example\r\n", smtp.Options{}},
		"name, CRLF":         {addr, from, smtp.Options{Name: "Acme\r\nBcc: x@y.de"}},
		"name, direction":    {addr, from, smtp.Options{Name: "Acme\u202e"}},
		"name, UTF-8":        {addr, from, smtp.Options{Name: "Acme\xff"}},
		"name, long":         {addr, from, smtp.Options{Name: strings.Repeat("a", 129)}},
		"no password":        {addr, from, smtp.Options{Username: user}},
		"no user":            {addr, from, smtp.Options{Password: password}},
		"NUL in user":        {addr, from, smtp.Options{Username: user + "\x00x", Password: password}},
		"NUL in password":    {addr, from, smtp.Options{Username: user, Password: password + "\x00x"}},
		"TLS below":          {addr, from, smtp.Options{TLS: -1}},
		"TLS above":          {addr, from, smtp.Options{TLS: smtp.Plaintext + 1}},
		"negative timeout":   {addr, from, smtp.Options{Timeout: -1}},
		"open password":      {addr, from, smtp.Options{TLS: smtp.Plaintext, Username: user, Password: password}},
		"open password, IP":  {"192.0.2.1:25", from, smtp.Options{TLS: smtp.Plaintext, Username: user, Password: password}},
		"open password, like": {"localhost.acme.example:25", from,
			smtp.Options{TLS: smtp.Plaintext, Username: user, Password: password}},
	} {
		s, err := smtp.New(tt.addr, tt.from, &tt.o)
		if err == nil || s != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, secret := range []string{user, password, "acme"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error quotes: %v", name, err)
			}
		}
	}
	for _, host := range []string{"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]"} {
		if _, err := smtp.New(host+":25", from, &smtp.Options{TLS: smtp.Plaintext, Username: user, Password: password}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := smtp.New(addr, from, nil); err != nil {
		t.Error(err)
	}
}

// TestConversation: every command, in its order, and nothing of the password or
// the message before TLS.
func TestConversation(t *testing.T) {
	t.Parallel()
	plain := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
	b64 := base64.StdEncoding.EncodeToString
	envelope := []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA", "QUIT"}
	ehlo := "EHLO acme.example"
	for name, tt := range map[string]struct {
		server func(*server)
		opts   func(*smtp.Options)
		want   []string
	}{
		"STARTTLS": {nil, nil, slices.Concat([]string{ehlo, "STARTTLS", ehlo, plain}, envelope)},
		"LOGIN": {func(s *server) { s.tls = []string{"AUTH LOGIN"} }, nil,
			slices.Concat([]string{ehlo, "STARTTLS", ehlo, "AUTH LOGIN", b64([]byte(user)), b64([]byte(password))}, envelope)},
		"implicit": {func(s *server) { s.implicit = true }, nil, slices.Concat([]string{ehlo, plain}, envelope)},
		"not signed in": {nil, func(o *smtp.Options) { o.Username, o.Password = "", "" },
			slices.Concat([]string{ehlo, "STARTTLS", ehlo}, envelope)},
		"plaintext": {func(s *server) { s.plain = nil }, func(o *smtp.Options) { o.TLS, o.Username, o.Password = smtp.Plaintext, "", "" },
			slices.Concat([]string{ehlo}, envelope)},
		"plaintext, signed in on this machine": {func(s *server) { s.plain = []string{"AUTH PLAIN"} },
			func(o *smtp.Options) { o.TLS = smtp.Plaintext }, slices.Concat([]string{ehlo, plain}, envelope)},
		"another name for the certificate": {nil, func(o *smtp.Options) { o.ServerName = "127.0.0.1" },
			slices.Concat([]string{ehlo, "STARTTLS", ehlo, plain}, envelope)},
		"8BITMIME, SMTPUTF8 and DSN": {func(s *server) { s.tls = []string{"8BITMIME", "SMTPUTF8", "DSN", "AUTH PLAIN"} }, nil,
			slices.Concat([]string{ehlo, "STARTTLS", ehlo, plain, "MAIL FROM:<" + from + "> BODY=8BITMIME"}, envelope[1:])},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tt.server)
			if err := s.sender(t, tt.opts).Send(t.Context(), message(nil)); err != nil {
				t.Fatal(err)
			}
			if got := s.commands(); !slices.Equal(got, tt.want) {
				t.Errorf("commands\n%q, want\n%q", got, tt.want)
			}
			if len(s.taken()) != 1 {
				t.Errorf("%d messages arrived", len(s.taken()))
			}
		})
	}
}

// parts returns the bodies of a message by their media type.
func parts(t *testing.T, m *netmail.Message) map[string]string {
	t.Helper()
	got := map[string]string{}
	add := func(contentType, encoding string, body io.Reader) {
		t.Helper()
		media, params, err := mime.ParseMediaType(contentType)
		if err != nil || params["charset"] != "UTF-8" {
			t.Errorf("content type %q: %v", contentType, err)
		}
		if encoding == "quoted-printable" {
			body = quotedprintable.NewReader(body)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		got[media] = strings.TrimSuffix(string(text), "\r\n") // what ends the last line is the wire's
	}
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if media != "multipart/alternative" {
		add(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
		return got
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart() // decodes quoted-printable itself
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		add(p.Header.Get("Content-Type"), "", p)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Grüße und ein langer Text = kein Zeilenende. ", 50)
	for name, tt := range map[string]struct {
		change  func(*mail.Message)
		subject string // as it arrives, "" for as it was
	}{
		"both parts": {nil, ""},
		"text alone": {func(m *mail.Message) { m.HTML = "" }, ""},
		"umlauts": {func(m *mail.Message) {
			m.Subject, m.Text, m.HTML = "Ihr Code für Müller – 日本", "Grüße\r\n\r\n001234", "<p>Grüße 001234</p>"
		}, ""},
		"dots": {func(m *mail.Message) { m.Text = ".\r\n..\r\n.\r\nQUIT\r\n.a" }, ""},
		"long": {func(m *mail.Message) { m.Subject, m.Text = strings.Repeat("Müller ", 30)+"!", long }, ""},
		"long line without spaces": {func(m *mail.Message) {
			m.Subject, m.Text = strings.Repeat("a", 256), strings.Repeat("a", 100_000)
		}, ""},
		"from the start of a line": {func(m *mail.Message) { m.Text = "From here\r\n>From there" }, ""},
		"many spaces":              {func(m *mail.Message) { m.Subject = "a" + strings.Repeat(" ", 200) + "b" }, "a b"},
		"an encoded word":          {func(m *mail.Message) { m.Subject = "a =?utf-8?q?=0D=0ABcc:_x?= b" }, "a = ?utf-8?q?=0D=0ABcc:_x?= b"},
		"a long recipient":         {func(m *mail.Message) { m.To = strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 90) + "de" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			m := message(tt.change)
			if err := s.sender(t, func(o *smtp.Options) { o.Name = `Müller "&" Söhne, <x@y.de>` }).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			raw := s.taken()[0]
			got, err := netmail.ReadMessage(strings.NewReader(raw))
			if err != nil {
				t.Fatalf("%v in\n%s", err, raw)
			}
			want := m.Subject
			if tt.subject != "" {
				want = tt.subject
			}
			if subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject")); subject != want {
				t.Errorf("subject %q, %v, want %q", subject, err, want)
			}
			if to := got.Header.Get("To"); to != "<"+m.To+">" {
				t.Errorf("to %q", to)
			}
			if f, err := netmail.ParseAddress(got.Header.Get("From")); err != nil || f.Address != from || f.Name != `Müller "&" Söhne, <x@y.de>` {
				t.Errorf("from %v, %v", f, err)
			}
			bodies := parts(t, got)
			if bodies["text/plain"] != m.Text || bodies["text/html"] != m.HTML || m.HTML == "" && len(bodies) != 1 {
				t.Errorf("arrived as %.300q", bodies)
			}
			checkHeaders(t, raw, got)
		})
	}
}

// checkHeaders: these and no others, and none names the machine or a library.
func checkHeaders(t *testing.T, raw string, m *netmail.Message) {
	t.Helper()
	known := []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	machine := regexp.MustCompile(`(?i)\b(` + regexp.QuoteMeta(host) + `|go-mail|wneessen)\b`)
	for name, values := range m.Header {
		if !slices.Contains(known, name) || len(values) != 1 {
			t.Errorf("header %s: %q", name, values)
		}
		if machine.MatchString(strings.Join(values, " ")) {
			t.Errorf("header %s: %q", name, values)
		}
	}
	if m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Error("holiday replies are welcome")
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	if id := m.Header.Get("Message-Id"); !strings.HasSuffix(id, "@acme.example>") || len(id) != len("<@acme.example>")+26 {
		t.Errorf("message ID %q", id)
	}
	for line := range strings.SplitSeq(raw, "\r\n") {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && r < ' ' || r > '~' }) {
			t.Errorf("line %.100q", line)
		}
	}
	headers, _, _ := strings.Cut(raw, "\r\n\r\n")
	for line := range strings.SplitSeq(headers, "\r\n") {
		if strings.TrimSpace(line) == "" {
			t.Errorf("an empty line in the headers:\n%s", headers)
		}
	}
}

// TestMessageIDs: no two are the same.
func TestMessageIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	seen := map[string]bool{}
	for range 5 {
		if err := s.sender(t, nil).Send(t.Context(), message(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range s.taken() {
		m, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Header.Get("Message-Id")] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d message IDs for 5 messages", len(seen))
	}
}

// TestRefusedBeforeConnecting: what Check refuses makes no connection.
func TestRefusedBeforeConnecting(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	sender := s.sender(t, nil)
	for name, change := range map[string]func(*mail.Message){
		"name":          func(m *mail.Message) { m.To = "Bob <b@x.y>" },
		"list":          func(m *mail.Message) { m.To = "a@b.de,c@d.de" },
		"command":       func(m *mail.Message) { m.To = "a@b.de>\r\nRCPT TO:<x@y.de" },
		"second header": func(m *mail.Message) { m.Subject = "a\r\nBcc: x@y.de" },
		"no text":       func(m *mail.Message) { m.Text = "" },
	} {
		if err := sender.Send(t.Context(), message(change)); !errors.Is(err, mail.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	o := smtp.Options{Name: "Acme", Username: user, Password: password}
	s, err := smtp.New("mail.acme.example:587", from, &o)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"*Sender": s, "Sender": *s, "*Options": &o, "Options": o, "[]Options": []smtp.Options{o},
		"struct":               struct{ O smtp.Options }{o},
		"map":                  map[string]*smtp.Sender{"a": s},
		"Sender in a struct":   struct{ S smtp.Sender }{*s},
		"Sender, unexported":   struct{ s smtp.Sender }{*s},
		"*Sender, unexported":  struct{ s *smtp.Sender }{s},
		"as an interface":      struct{ s mail.Sender }{s},
		"behind a mail.Queue":  mail.NewQueue(s, 1, nil),
		"in a list of senders": []mail.Sender{s},
	} {
		var out bytes.Buffer
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, format, v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
		for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(h).Info("x", "v", v)
		}
		for _, secret := range []string{user, password, fmt.Sprintf("%x", user), fmt.Sprintf("%x", password)} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s prints as %s", name, out.String())
			}
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %v", s, *s, o, &o); got != "smtp [redacted] smtp [redacted] smtp [redacted] smtp [redacted]" {
		t.Error(got)
	}
}
