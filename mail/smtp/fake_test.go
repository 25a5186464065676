package smtp_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// A server is a mail server of a hundred lines, which misbehaves as it is told.
type server struct {
	addr  string
	roots *x509.CertPool // who trusts them trusts the server

	plain, tls []string                 // what EHLO offers before and within TLS
	implicit   bool                     // TLS from the first byte
	reply      func(verb string) string // instead of its own reply; "" for that
	hear       func(verb string)        // before each reply

	mu    sync.Mutex
	conns int
	heard []string // commands, as they came
	mails []string // what came after DATA
}

// never is a reply that does not come; hangup is one that ends the connection.
const never, hangup = "never", "hangup"

// newServer starts one on loopback: STARTTLS, and AUTH PLAIN within.
func newServer(t testing.TB, change func(*server)) *server {
	t.Helper()
	return newServerFor(t, change, "127.0.0.1", time.Now().Add(time.Hour))
}

func newServerFor(t testing.TB, change func(*server), name string, until time.Time) *server {
	t.Helper()
	s := &server{plain: []string{"STARTTLS"}, tls: []string{"AUTH PLAIN LOGIN"}, roots: x509.NewCertPool()}
	if change != nil {
		change(s)
	}
	cert := newCertificate(t, name, until)
	s.roots.AddCert(cert.Leaf)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	end := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			all.Go(func() {
				defer conn.Close()
				stop := make(chan struct{})
				all.Go(func() { // so that the test's end ends it
					select {
					case <-end:
						conn.Close()
					case <-stop:
					}
				})
				s.serve(conn, config, end)
				close(stop)
			})
		}
	})
	t.Cleanup(func() { close(end); l.Close(); all.Wait() })
	return s
}

func newCertificate(t testing.TB, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-24 * time.Hour), NotAfter: until}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
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

func (s *server) serve(conn net.Conn, config *tls.Config, end <-chan struct{}) {
	offers := s.plain
	if s.implicit {
		if s.say("HANDSHAKE") == never {
			<-end
			return
		}
		conn, offers = tls.Server(conn, config), s.tls
	}
	in := bufio.NewReader(conn)
	answer := func(verb, reply string) bool {
		if said := s.say(verb); said != "" {
			reply = said
		}
		switch reply {
		case hangup:
			return false
		case never:
			<-end
			return false
		}
		_, err := conn.Write([]byte(reply + "\r\n"))
		return err == nil
	}
	if !answer("GREETING", "220 fake") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.heard = append(s.heard, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		ok := true
		switch verb {
		case "EHLO":
			reply := "250"
			for _, o := range append([]string{"fake"}, offers...) {
				reply = strings.ReplaceAll(reply, "250 ", "250-") + " " + o + "\r\n250"
			}
			ok = answer(verb, strings.TrimSuffix(reply, "\r\n250"))
		case "STARTTLS":
			if ok = answer(verb, "220 go"); !ok || strings.HasPrefix(s.say(verb), "4") || strings.HasPrefix(s.say(verb), "5") {
				break
			}
			if s.say("HANDSHAKE") == never {
				<-end
				return
			}
			conn, offers = tls.Server(conn, config), s.tls
			in = bufio.NewReader(conn)
		case "AUTH":
			if !strings.HasPrefix(line, "AUTH LOGIN") {
				ok = answer(verb, "235 welcome")
				break
			}
			for _, question := range []string{"334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"} {
				if ok = answer("QUESTION", question); ok {
					line, _ = in.ReadString('\n')
					s.mu.Lock()
					s.heard = append(s.heard, strings.TrimSpace(line))
					s.mu.Unlock()
				}
			}
			ok = ok && answer(verb, "235 welcome")
		case "DATA":
			if ok = answer(verb, "354 go on"); !ok || s.say(verb) != "" {
				break
			}
			var body strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				body.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.mails = append(s.mails, body.String())
			s.mu.Unlock()
			ok = answer("CONTENT", "250 taken")
		case "QUIT":
			answer(verb, "221 bye")
			return
		default:
			ok = answer(verb, "250 ok")
		}
		if !ok {
			return
		}
	}
}

func (s *server) say(verb string) string {
	if s.hear != nil {
		s.hear(verb)
	}
	if s.reply == nil {
		return ""
	}
	return s.reply(verb)
}

func (s *server) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

const (
	user, password = "qzuserqz", "qzpasswordqz"
	from, to       = "no-reply@acme.example", "qzannaqz@example.org"
)

// sender returns a Sender to the server that signs in.
func (s *server) sender(t testing.TB, change func(*smtp.Options)) *smtp.Sender {
	t.Helper()
	o := &smtp.Options{Username: user, Password: password, Roots: s.roots}
	if s.implicit {
		o.TLS = smtp.Implicit
	}
	if change != nil {
		change(o)
	}
	sender, err := smtp.New(s.addr, from, o)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func message(change func(*mail.Message)) mail.Message {
	m := mail.Message{To: to, Subject: "qzsubjectqz", Text: "qztextqz 012345", HTML: "<p>qztextqz 012345</p>"}
	if change != nil {
		change(&m)
	}
	return m
}
