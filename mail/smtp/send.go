package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	client "github.com/wneessen/go-mail/smtp"

	"github.com/seed-f4994bf1/mfa/mail"
)

const (
	// maxReplies bounds what a server may say in one conversation, its
	// certificates included: an endless answer is not collected.
	maxReplies = 1 << 20

	// quitTime is how long a server has to answer the good-bye.
	quitTime = 500 * time.Millisecond
)

// Send implements mail.Sender. nil means that the server has taken the message
// over. An error wraps mail.ErrMessage, one of the errors of this package, or the
// context's; after the context's the message may have been taken over all the
// same, when the context ended between its last byte and the answer.
func (s *Sender) Send(ctx context.Context, m mail.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	content, err := s.c.compose(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.c.addr)
	if err != nil {
		return failure(ctx, "connect", ErrConnect, err)
	}
	defer conn.Close()
	// go-mail knows of no context once it is connected. Closing the connection
	// under it ends whatever it waits for.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	c, err := s.c.greet(ctx, conn)
	if err != nil {
		return err
	}
	err = s.c.signIn(ctx, c, conn)
	if err == nil {
		err = s.c.deliver(ctx, c, m.To, content)
	}
	if err == nil || errors.Is(err, ErrTemporary) || errors.Is(err, ErrPermanent) {
		quit(c)
	}
	return err
}

// greet says hello, over TLS unless Plaintext was chosen.
func (c *config) greet(ctx context.Context, raw net.Conn) (*client.Client, error) {
	var conn net.Conn = &bounded{raw, maxReplies}
	if c.protection == Implicit {
		protected := tls.Client(conn, c.tls)
		if err := protected.HandshakeContext(ctx); err != nil {
			return nil, failure(ctx, "handshake", ErrTLS, err)
		}
		conn = protected
	}
	s, err := client.NewClient(conn, c.host)
	if err != nil {
		return nil, failure(ctx, "greeting", ErrConnect, err)
	}
	s.SkipSMTPUTF8(true) // all that is sent in commands is ASCII
	if err := s.Hello(c.domain); err != nil {
		return nil, failure(ctx, "hello", ErrConnect, err)
	}
	if c.protection == StartTLS {
		if offered, _ := s.Extension("STARTTLS"); !offered {
			return nil, failure(ctx, "it is not offered", ErrTLS, nil)
		}
		if err := s.StartTLS(c.tls); err != nil {
			return nil, failure(ctx, "handshake", ErrTLS, err)
		}
	}
	return s, nil
}

// signIn sends user name and password, if there are any.
func (c *config) signIn(ctx context.Context, s *client.Client, conn net.Conn) error {
	if c.credentials == nil {
		return nil
	}
	// By its name it was this machine; what the name led to decides.
	if peer, ok := conn.RemoteAddr().(*net.TCPAddr); c.protection == Plaintext && !(ok && peer.IP.IsLoopback()) {
		return failure(ctx, "no password goes over the network in plaintext", ErrAuth, nil)
	}
	_, offers := s.Extension("AUTH")
	username, password := c.credentials()
	var auth client.Auth
	switch ways := strings.Fields(offers); {
	case slices.Contains(ways, "PLAIN"):
		auth = client.PlainAuth("", username, password, c.host, c.protection == Plaintext)
	case slices.Contains(ways, "LOGIN"):
		auth = client.LoginAuth(username, password, c.host, c.protection == Plaintext)
	default:
		return failure(ctx, "neither PLAIN nor LOGIN is offered", ErrAuth, nil)
	}
	if err := s.Auth(auth); err != nil {
		return failure(ctx, "sign-in", ErrAuth, err)
	}
	return nil
}

// deliver hands the message over: one sender, one recipient.
func (c *config) deliver(ctx context.Context, s *client.Client, to string, content []byte) error {
	if err := s.Mail("<" + c.from + ">"); err != nil {
		return failure(ctx, "sender", ErrConnect, err)
	}
	if err := s.Rcpt("<" + to + ">"); err != nil {
		return failure(ctx, "recipient", ErrConnect, err)
	}
	w, err := s.Data()
	if err != nil {
		return failure(ctx, "data", ErrConnect, err)
	}
	if _, err := w.Write(content); err != nil {
		return failure(ctx, "content", ErrConnect, err) // w stays open: half a message gets no end
	}
	if err := w.Close(); err != nil {
		return failure(ctx, "content", ErrConnect, err)
	}
	return nil
}

// quit says good-bye, when a command would be next. The message is taken over or
// refused by now: what comes back changes nothing and is not waited for long.
func quit(s *client.Client) {
	if s.UpdateDeadline(quitTime) == nil {
		_ = s.Quit()
	}
}

// A bounded connection reads so many bytes and no more.
type bounded struct {
	net.Conn
	left int
}

var errTooMuch = errors.New("smtp: the server says too much")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 && len(p) > 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
