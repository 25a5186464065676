package mail_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

const (
	from           = "no-reply@acme.example"
	user, password = "no-reply", "correct horse"
)

// A house is a mail server in this process.
type house struct {
	addr  string
	roots *x509.CertPool

	noTLS, implicit bool
	ways            []string // to sign in
	// at is asked at each stage what to do: an error refuses, and what does not
	// return makes the server mute.
	at func(stage string) error

	mu    sync.Mutex
	conns int
	got   []arrived
	helo  []string
}

// arrived is one message, with the envelope it came in.
type arrived struct {
	from string
	to   []string
	raw  string
}

func newHouse(t testing.TB, change func(*house)) *house {
	t.Helper()
	h := &house{ways: []string{sasl.Plain}, roots: x509.NewCertPool(), at: func(string) error { return nil }}
	if change != nil {
		change(h)
	}
	cert := newCertificate(t)
	h.roots.AddCert(cert.Leaf)
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		h.mu.Lock()
		h.helo = append(h.helo, c.Hostname())
		h.mu.Unlock()
		return &session{h: h, signedIn: len(h.ways) == 0}, h.at("EHLO")
	}))
	server.Domain = "house.example"
	server.ErrorLog = log.New(io.Discard, "", 0)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, h.at("handshake") }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	l = &counting{l, h}
	switch {
	case h.implicit:
		l = tls.NewListener(l, config)
	case !h.noTLS:
		server.TLSConfig = config
	}
	var serve sync.WaitGroup
	serve.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { _ = server.Close(); serve.Wait() })
	return h
}

type counting struct {
	net.Listener
	h *house
}

func (l *counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.h.mu.Lock()
		l.h.conns++
		l.h.mu.Unlock()
	}
	return conn, err
}

func newCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A session is one connection to a house.
type session struct {
	h        *house
	signedIn bool
	arrived
}

func (s *session) AuthMechanisms() []string { return s.h.ways }

func (s *session) Auth(way string) (sasl.Server, error) {
	check := func(_, u, p string) error {
		if err := s.h.at("AUTH"); err != nil {
			return err
		}
		if u != user || p != password {
			return gosmtp.ErrAuthFailed
		}
		s.signedIn = true
		return nil
	}
	if way == sasl.Login {
		return &login{check: check}, nil
	}
	return sasl.NewPlainServer(check), nil
}

// login is the server's side of LOGIN: two questions.
type login struct {
	check   func(identity, user, password string) error
	answers []string
}

func (l *login) Next(answer []byte) (challenge []byte, done bool, err error) {
	if answer != nil {
		l.answers = append(l.answers, string(answer))
	}
	switch len(l.answers) {
	case 0:
		return []byte("Username:"), false, nil
	case 1:
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check("", l.answers[0], l.answers[1])
}

func (s *session) Mail(from string, _ *gosmtp.MailOptions) error {
	if !s.signedIn {
		return gosmtp.ErrAuthRequired
	}
	s.from = from
	return s.h.at("MAIL")
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.to = append(s.to, to)
	return s.h.at("RCPT")
}

func (s *session) Data(r io.Reader) error {
	if err := s.h.at("DATA"); err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.h.at("content"); err != nil {
		return err
	}
	s.raw = string(raw)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.got = append(s.h.got, s.arrived)
	return nil
}

func (s *session) Reset()        { s.arrived = arrived{} }
func (s *session) Logout() error { return nil }

func (h *house) arrived() []arrived {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (h *house) connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns
}

func (h *house) sender(t testing.TB, change func(*smtp.Options)) *smtp.Sender {
	t.Helper()
	o := &smtp.Options{Name: "Müller & Söhne", Roots: h.roots}
	if len(h.ways) > 0 {
		o.Username, o.Password = user, password
	}
	if h.implicit {
		o.TLS = smtp.Implicit
	}
	if change != nil {
		change(o)
	}
	s, err := smtp.New(h.addr, from, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// letter is a message with whatever can go wrong on its way.
func letter(to string) mail.Message {
	return mail.Message{
		To: to, Subject: "Ihr Code für Müller & Söhne – schön",
		Text: "Grüße!\r\n\r\n001234\r\n.\r\n..zwei Punkte\r\nFrom: nobody\r\nEin Gleichheitszeichen = und eine lange Zeile, die umbrochen wird, weil sie über 76 Zeichen hat.",
		HTML: "<!DOCTYPE html>\r\n<p title=\"Grüße\">001234</p>",
	}
}

var kinds = []error{smtp.ErrConnect, smtp.ErrTLS, smtp.ErrAuth, smtp.ErrTemporary, smtp.ErrPermanent,
	context.Canceled, context.DeadlineExceeded}

// isKind: of that kind and no other.
func isKind(err, want error) bool {
	return err != nil && !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) != errors.Is(want, k) })
}
