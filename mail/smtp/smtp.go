package smtp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa/mail"
)

// Options may be nil. They print as [redacted].
type Options struct {
	// Name is shown in front of the sender's address: printable, of at most 128
	// bytes. "": the address stands alone.
	Name string

	// Username and Password sign in to the server. Both "": no signing in.
	Username, Password string

	// TLS is how the connection is protected. Zero: StartTLS.
	TLS TLS

	// Roots are who may have signed the server's certificate. nil: whom the
	// system trusts.
	Roots *x509.CertPool

	// ServerName is the name that the certificate must be for. "": the host that
	// is connected to.
	ServerName string

	// Timeout bounds one whole Send, from looking the server up to its last
	// answer; a context that ends sooner ends it sooner. Zero: 10 seconds.
	Timeout time.Duration
}

// TLS is how a connection is protected.
type TLS int

const (
	// StartTLS asks for TLS on a connection that begins without (RFC 3207,
	// usually port 587 or 25). A server that does not offer it is refused.
	StartTLS TLS = iota

	// Implicit speaks TLS from the first byte (RFC 8314, usually port 465).
	Implicit

	// Plaintext protects nothing: who is on the way reads the codes. It is for a
	// relay on the same machine, or behind a network that somebody else protects.
	// It does not go with Username, unless the server is on the same machine.
	Plaintext
)

const (
	defaultTimeout = 10 * time.Second
	maxName        = 128 // bytes
)

// A Sender sends by one server, from one address. It prints as [redacted].
type Sender struct {
	c *config
}

var _ mail.Sender = (*Sender)(nil)

type config struct {
	addr, host   string // "mail.acme.example:587", "mail.acme.example"
	from, domain string // "no-reply@acme.example", "acme.example"
	name         string
	protection   TLS
	tls          *tls.Config
	timeout      time.Duration

	// A function, nil for no signing in, because fmt prints what is in it in no
	// format: also where a struct holds a Sender in an unexported field, and fmt
	// cannot call Format.
	credentials func() (username, password string)
}

// New returns a Sender that delivers to the server at addr, "host:port", from one
// bare address (mail.Address). It does not connect. An error says which of the
// arguments cannot be, without quoting it.
func New(addr, from string, opts *Options) (*Sender, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	host, port, err := net.SplitHostPort(addr)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return nil, errors.New("smtp: the server's address is not host:port")
	}
	from, err = mail.Address(from)
	if err != nil {
		return nil, errors.New("smtp: the sender is not one bare address")
	}
	switch {
	case len(o.Name) > maxName || !utf8.ValidString(o.Name) || strings.ContainsFunc(o.Name, unprintable):
		return nil, errors.New("smtp: the name is too long or cannot be printed")
	case (o.Username == "") != (o.Password == ""):
		return nil, errors.New("smtp: of user name and password there is only one")
	case strings.Contains(o.Username+o.Password, "\x00"): // what separates them in PLAIN (RFC 4616)
		return nil, errors.New("smtp: the user name or password contains NUL")
	case o.TLS < StartTLS || o.TLS > Plaintext:
		return nil, errors.New("smtp: there is no such kind of TLS")
	case o.TLS == Plaintext && o.Username != "" && !loopback(host):
		return nil, errors.New("smtp: no password goes over the network in plaintext")
	case o.Timeout < 0:
		return nil, errors.New("smtp: the timeout is negative")
	}
	c := &config{
		addr: addr, host: host,
		from: from, domain: from[strings.LastIndexByte(from, '@')+1:],
		name:       o.Name,
		protection: o.TLS,
		tls:        &tls.Config{ServerName: o.ServerName, RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		timeout:    o.Timeout,
	}
	if c.tls.ServerName == "" {
		c.tls.ServerName = host
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if o.Username != "" {
		c.credentials = func() (string, string) { return o.Username, o.Password }
	}
	return &Sender{c}, nil
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

// loopback reports whether a host is this machine by its very name.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

const redacted = "smtp [redacted]"

func (Sender) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, redacted) }
func (Sender) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Sender) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

func (Options) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, redacted) }
func (Options) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Options) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
