package smtp_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// kinds are what an error can be. It is exactly one of them.
var kinds = []error{smtp.ErrConnect, smtp.ErrTLS, smtp.ErrAuth, smtp.ErrTemporary, smtp.ErrPermanent,
	context.Canceled, context.DeadlineExceeded}

// checkError: err is of that kind and no other, and repeats nothing of what
// somebody has to keep to himself.
func checkError(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		t.Fatal("it was sent")
	}
	for _, kind := range kinds {
		if errors.Is(err, kind) != errors.Is(want, kind) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	for _, secret := range []string{"qz", "012345", "example", "AHF6"} { // AHF6 begins the PLAIN answer
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in: %v", secret, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 120 {
		t.Errorf("%q", err)
	}
}

// checkUnsent: the server got neither a message nor, within plaintext, a password.
func checkUnsent(t *testing.T, s *server, forbidden ...string) {
	t.Helper()
	if got := s.taken(); len(got) > 0 {
		t.Errorf("%d messages arrived", len(got))
	}
	for _, line := range s.commands() {
		verb, _, _ := strings.Cut(line, " ")
		if slices.Contains(forbidden, verb) {
			t.Errorf("the server heard %q", line)
		}
	}
}

func TestTLSIsMandatory(t *testing.T) {
	t.Parallel()
	noTrust := func(o *smtp.Options) { o.Roots = nil }
	for name, tt := range map[string]struct {
		server func(*server)
		opts   func(*smtp.Options)
	}{
		"not offered":              {func(s *server) { s.plain = []string{"AUTH PLAIN"} }, nil},
		"no EHLO":                  {func(s *server) { s.reply = replies("EHLO", "502 what?") }, nil},
		"refused for now":          {func(s *server) { s.reply = replies("STARTTLS", "454 qz") }, nil},
		"refused":                  {func(s *server) { s.reply = replies("STARTTLS", "502 qz") }, nil},
		"hangs up":                 {func(s *server) { s.reply = replies("STARTTLS", hangup) }, nil},
		"untrusted":                {nil, noTrust},
		"untrusted, implicit":      {func(s *server) { s.implicit = true }, noTrust},
		"another name":             {nil, func(o *smtp.Options) { o.ServerName = "mail.qz.example" }},
		"another name, implicit":   {func(s *server) { s.implicit = true }, func(o *smtp.Options) { o.ServerName = "mail.qz.example" }},
		"implicit against plain":   {nil, func(o *smtp.Options) { o.TLS = smtp.Implicit }},
		"words after the go-ahead": {func(s *server) { s.tls, s.reply = nil, replies("STARTTLS", "220 go\r\n250-x\r\n250 AUTH PLAIN") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tt.server)
			err := s.sender(t, tt.opts).Send(t.Context(), message(nil))
			if name == "words after the go-ahead" && errors.Is(err, smtp.ErrAuth) {
				err = smtp.ErrTLS // they were dropped: within TLS no AUTH is offered
			}
			checkError(t, err, smtp.ErrTLS)
			checkUnsent(t, s, "AUTH", "MAIL", "RCPT", "DATA")
		})
	}
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		s := newServerFor(t, nil, "127.0.0.1", time.Now().Add(-time.Hour))
		err := s.sender(t, nil).Send(t.Context(), message(nil))
		checkError(t, err, smtp.ErrTLS)
		checkUnsent(t, s, "AUTH", "MAIL")
		if !strings.Contains(err.Error(), "not valid now") {
			t.Error(err)
		}
	})
}

func replies(verb, reply string) func(string) string {
	return func(v string) string {
		if v == verb {
			return reply
		}
		return ""
	}
}

// TestReplies: the first digit decides, and the words stay out of the error.
func TestReplies(t *testing.T) {
	t.Parallel()
	const words = " 5.1.1 <" + to + "> no such " + user + " " + password + " 012345"
	type reply struct {
		verb, text string
		want       error
	}
	tests := []reply{
		{"GREETING", "421" + words, smtp.ErrTemporary},
		{"GREETING", "554" + words, smtp.ErrPermanent},
		{"GREETING", "250" + words, smtp.ErrConnect},
		{"GREETING", "HTTP/1.1 400 Bad Request" + words, smtp.ErrConnect},
		{"GREETING", hangup, smtp.ErrConnect},
		{"EHLO", hangup, smtp.ErrConnect},
		{"AUTH", "535" + words, smtp.ErrAuth},
		{"AUTH", "504" + words, smtp.ErrAuth},
		{"AUTH", "250" + words, smtp.ErrAuth},
		{"AUTH", "334 !" + words, smtp.ErrAuth},
		{"AUTH", "334 " + words, smtp.ErrAuth},
		{"AUTH", "454" + words, smtp.ErrTemporary},
		{"AUTH", hangup, smtp.ErrConnect},
	}
	for _, verb := range []string{"MAIL", "RCPT", "DATA", "CONTENT"} {
		tests = append(tests,
			reply{verb, "421" + words, smtp.ErrTemporary},
			reply{verb, "450-first line\r\n450" + words, smtp.ErrTemporary},
			reply{verb, "500" + words, smtp.ErrPermanent},
			reply{verb, "599" + words, smtp.ErrPermanent},
			reply{verb, "199" + words, smtp.ErrConnect},
			reply{verb, "x" + words, smtp.ErrConnect},
			reply{verb, hangup, smtp.ErrConnect})
	}
	for _, tt := range tests {
		t.Run(tt.verb+" "+tt.text[:3], func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *server) { s.reply = replies(tt.verb, tt.text) })
			err := s.sender(t, nil).Send(t.Context(), message(nil))
			checkError(t, err, tt.want)
			if tt.verb != "CONTENT" {
				checkUnsent(t, s)
			}
		})
	}
}

func TestAuthNotOffered(t *testing.T) {
	t.Parallel()
	for name, offers := range map[string][]string{"no AUTH": nil, "others": {"AUTH CRAM-MD5 XOAUTH2 PLAINER"}, "empty": {"AUTH"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *server) { s.tls = offers })
			checkError(t, s.sender(t, nil).Send(t.Context(), message(nil)), smtp.ErrAuth)
			checkUnsent(t, s, "AUTH", "MAIL")
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s, err := smtp.New(addr, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), message(nil))
	checkError(t, err, smtp.ErrConnect)
	if !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody learns why: %v", err)
	}
}

// stages are where a server can fall silent.
var stages = []string{"GREETING", "EHLO", "STARTTLS", "HANDSHAKE", "AUTH", "QUESTION", "MAIL", "RCPT", "DATA", "CONTENT"}

// silent is a server that hears one command and says nothing any more.
func silent(t testing.TB, stage string, hear func()) *server {
	return newServer(t, func(s *server) {
		s.reply = replies(stage, never)
		if stage == "QUESTION" {
			s.tls = []string{"AUTH LOGIN"}
		}
		s.hear = func(verb string) {
			if verb == stage && hear != nil {
				hear()
			}
		}
	})
}

// TestMuteServers: Send ends with its context, whatever it waits for. Each way of
// ending is tried at each stage: the caller's deadline, the caller's hanging up,
// and the Sender's own time.
func TestMuteServers(t *testing.T) {
	t.Parallel()
	for _, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			s := silent(t, stage, nil)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			checkError(t, s.sender(t, nil).Send(ctx, message(nil)), context.DeadlineExceeded)
			checkError(t, s.sender(t, func(o *smtp.Options) { o.Timeout = 150 * time.Millisecond }).Send(t.Context(), message(nil)),
				context.DeadlineExceeded)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
		t.Run(stage+" canceled", func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := silent(t, stage, cancel)
			start := time.Now()
			checkError(t, s.sender(t, nil).Send(ctx, message(nil)), context.Canceled)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("ended before", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		checkError(t, s.sender(t, nil).Send(ctx, message(nil)), context.Canceled)
		if n := s.connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestGoodBye: once the server has taken the message over, it is sent, however
// the server takes leave, and nobody waits long for it.
func TestGoodBye(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{never, hangup, "421 timeout", "nonsense"} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *server) { s.reply = replies("QUIT", reply) })
			start := time.Now()
			if err := s.sender(t, nil).Send(t.Context(), message(nil)); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(s.taken()) != 1 {
				t.Errorf("%d arrived", len(s.taken()))
			}
		})
	}
}

// TestEndlessReply: what a server says is not collected without end.
func TestEndlessReply(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"one line":   "220 " + strings.Repeat("a", 4<<20),
		"many lines": strings.Repeat("220-"+strings.Repeat("a", 996)+"\r\n", 4<<10) + "220 end",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(s *server) { s.reply = replies("GREETING", reply) })
			checkError(t, s.sender(t, nil).Send(t.Context(), message(nil)), smtp.ErrConnect)
		})
	}
}

// TestConcurrent: one Sender, many goroutines, each message whole.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	sender := s.sender(t, nil)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- sender.Send(t.Context(), message(nil)) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(s.taken()) != 8 {
		t.Errorf("%d of 8 arrived", len(s.taken()))
	}
}
