package smtp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// elsewhere is a connection that ended on another machine.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// TestLocalhostElsewhere: a name that should be this machine may lead elsewhere.
// The password does not follow.
func TestLocalhostElsewhere(t *testing.T) {
	t.Parallel()
	s, err := New("localhost:25", "no-reply@acme.example", &Options{TLS: Plaintext, Username: "user", Password: "password"})
	if err != nil {
		t.Fatal(err)
	}
	// Without a client: it is not asked.
	if err := s.c.signIn(t.Context(), nil, elsewhere{}); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
}

// TestFailure: what of an error is told, for those that need another network.
func TestFailure(t *testing.T) {
	t.Parallel()
	lookup := func(notFound bool) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "x", Name: "mail.acme.example", IsNotFound: notFound}}
	}
	for want, err := range map[string]error{
		"smtp: no connection: connect: no such host":                          lookup(true),
		"smtp: no connection: connect: the host cannot be looked up":          lookup(false),
		"smtp: no connection: connect: connection refused":                    &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"smtp: no connection: connect: connection timed out":                  &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ETIMEDOUT)},
		"smtp: no connection: connect":                                        io.EOF,
		"smtp: no connection: connect: a certificate of an unknown authority": x509.UnknownAuthorityError{},
		"smtp: no connection: connect: a certificate for another name":        x509.HostnameError{Certificate: &x509.Certificate{}, Host: "mail.acme.example"},
		"smtp: no connection: connect: a certificate that is not valid now":   x509.CertificateInvalidError{Reason: x509.Expired},
		"smtp: no connection: connect: an invalid certificate":                x509.CertificateInvalidError{Reason: x509.NameMismatch},
		"smtp: connect: context deadline exceeded":                            os.ErrDeadlineExceeded,
	} {
		if got := failure(t.Context(), "connect", ErrConnect, fmt.Errorf("dial failed: %w", err)); got.Error() != want {
			t.Errorf("%v\n%q, want\n%q", err, got, want)
		}
	}
	if err := failure(t.Context(), "connect", ErrConnect, os.ErrDeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
