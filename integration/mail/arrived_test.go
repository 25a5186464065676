package mail_test

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	netmail "net/mail"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// checkArrived compares what a server was given with what was sent. added are
// headers that the server put in front.
func checkArrived(t *testing.T, raw string, want mail.Message, added ...string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || subject != want.Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	if to := m.Header.Get("To"); to != "<"+want.To+">" {
		t.Errorf("to %q", to)
	}
	if f, err := m.Header.AddressList("From"); err != nil || len(f) != 1 || f[0].Address != from || f[0].Name != "Müller & Söhne" {
		t.Errorf("from %v, %v", f, err)
	}
	if id := m.Header.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@acme.example>") || len(id) < 30 {
		t.Errorf("message ID %q", id)
	}
	if m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Error("holiday replies are welcome")
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	machine := regexp.MustCompile(`(?i)\b(` + regexp.QuoteMeta(host) + `|go-mail|wneessen)\b`)
	known := append([]string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}, added...)
	for name, values := range m.Header {
		if !slices.Contains(known, name) || len(values) != 1 {
			t.Errorf("header %s: %q", name, values)
		}
		if machine.MatchString(strings.Join(values, " ")) {
			t.Errorf("header %s names the machine or a library: %q", name, values)
		}
	}

	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Fatalf("%s, %v", media, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for _, part := range []struct{ media, text string }{{"text/plain", want.Text}, {"text/html", want.HTML}} {
		p, err := r.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		media, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil || media != part.media || params["charset"] != "UTF-8" {
			t.Errorf("part %s %v, %v", media, params, err)
		}
		text, err := io.ReadAll(p)
		if got := strings.ReplaceAll(string(text), "\r\n", "\n"); err != nil || got != strings.ReplaceAll(part.text, "\r\n", "\n") {
			t.Errorf("%s arrived as\n%s\n%v, want\n%s", part.media, got, err, part.text)
		}
	}
	if _, err := r.NextPart(); err != io.EOF {
		t.Errorf("a third part: %v", err)
	}
}

func TestArrives(t *testing.T) {
	t.Parallel()
	const to = "o'neil+tag=1@example.org"
	for name, tt := range map[string]struct {
		house func(*house)
		opts  func(*smtp.Options)
	}{
		"STARTTLS, PLAIN":   {nil, nil},
		"STARTTLS, LOGIN":   {func(h *house) { h.ways = []string{sasl.Login} }, nil},
		"STARTTLS, both":    {func(h *house) { h.ways = []string{"SCRAM-SHA-256", sasl.Login, sasl.Plain} }, nil},
		"STARTTLS, nobody":  {func(h *house) { h.ways = nil }, nil},
		"implicit, PLAIN":   {func(h *house) { h.implicit = true }, nil},
		"implicit, LOGIN":   {func(h *house) { h.implicit, h.ways = true, []string{sasl.Login} }, nil},
		"plaintext, nobody": {func(h *house) { h.noTLS, h.ways = true, nil }, func(o *smtp.Options) { o.TLS = smtp.Plaintext }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, tt.house)
			want := letter(to)
			if err := h.sender(t, tt.opts).Send(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			got := h.arrived()
			if len(got) != 1 || got[0].from != from || !slices.Equal(got[0].to, []string{to}) {
				t.Fatalf("arrived: %+v", got)
			}
			checkArrived(t, got[0].raw, want)
			for _, name := range h.helo {
				if name != "acme.example" {
					t.Errorf("it greeted as %q", name)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	const to = "anna@example.org"
	words := "<" + to + "> " + user + " " + password + " 001234"
	at := func(stage string, code int) func(*house) {
		return func(h *house) {
			h.at = func(s string) error {
				if s == stage {
					return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{code / 100, 1, 1}, Message: words}
				}
				return nil
			}
		}
	}
	type test struct {
		house func(*house)
		opts  func(*smtp.Options)
		want  error
	}
	tests := map[string]test{
		"no TLS":                   {func(h *house) { h.noTLS = true }, nil, smtp.ErrTLS},
		"untrusted":                {nil, func(o *smtp.Options) { o.Roots = nil }, smtp.ErrTLS},
		"untrusted, implicit":      {func(h *house) { h.implicit = true }, func(o *smtp.Options) { o.Roots = nil }, smtp.ErrTLS},
		"another name":             {nil, func(o *smtp.Options) { o.ServerName = "mail.example" }, smtp.ErrTLS},
		"implicit, but STARTTLS":   {nil, func(o *smtp.Options) { o.TLS = smtp.Implicit }, smtp.ErrTLS},
		"handshake fails":          {func(h *house) { h.at = fails("handshake") }, nil, smtp.ErrTLS},
		"bad password":             {nil, func(o *smtp.Options) { o.Password = "wrong" }, smtp.ErrAuth},
		"bad password, LOGIN":      {func(h *house) { h.ways = []string{sasl.Login} }, func(o *smtp.Options) { o.Password = "wrong" }, smtp.ErrAuth},
		"bad password, implicit":   {func(h *house) { h.implicit = true }, func(o *smtp.Options) { o.Password = "wrong" }, smtp.ErrAuth},
		"bad user":                 {nil, func(o *smtp.Options) { o.Username = "wrong" }, smtp.ErrAuth},
		"no way to sign in":        {func(h *house) { h.ways = []string{"XOAUTH2"} }, nil, smtp.ErrAuth},
		"nobody":                   {nil, func(o *smtp.Options) { o.Username, o.Password = "", "" }, smtp.ErrPermanent},
		"AUTH 4xx":                 {at("AUTH", 454), nil, smtp.ErrTemporary},
		"AUTH 5xx":                 {at("AUTH", 535), nil, smtp.ErrAuth},
		"a server of another kind": {nil, nil, smtp.ErrConnect},
	}
	for _, stage := range []string{"MAIL", "RCPT", "DATA", "content"} {
		for code, want := range map[int]error{421: smtp.ErrTemporary, 451: smtp.ErrTemporary, 550: smtp.ErrPermanent, 554: smtp.ErrPermanent} {
			tests[fmt.Sprint(stage, " ", code)] = test{at(stage, code), nil, want}
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, tt.house)
			s := h.sender(t, tt.opts)
			if name == "a server of another kind" {
				s = stranger(t)
			}
			err := s.Send(t.Context(), letter(to))
			if !isKind(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			for _, secret := range []string{to, "anna", user, password, "wrong", "001234"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q is in: %v", secret, err)
				}
			}
			if n := len(h.arrived()); n > 0 {
				t.Errorf("%d arrived", n)
			}
		})
	}
}

func fails(stage string) func(string) error {
	return func(s string) error {
		if s == stage {
			return errors.New("no")
		}
		return nil
	}
}

// stranger returns a Sender to what is no mail server.
func stranger(t *testing.T) *smtp.Sender {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	s, err := smtp.New(l.Addr().String(), from, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
