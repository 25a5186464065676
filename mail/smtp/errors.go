package smtp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"syscall"
)

// What Send returns wraps one of these, mail.ErrMessage, or, when the context or
// Options.Timeout ended it, the context's error and none of these.
var (
	// ErrConnect: the server cannot be reached, went away, or speaks no SMTP. It
	// may help to try again later.
	ErrConnect = errors.New("smtp: no connection")

	// ErrTLS: the server offers no TLS, the handshake failed, or its certificate
	// is not trusted for its name. Nothing was sent.
	ErrTLS = errors.New("smtp: no protected connection")

	// ErrAuth: the server refused user name and password, or offers no way to
	// sign in by them here.
	ErrAuth = errors.New("smtp: not signed in")

	// ErrTemporary: the server refused for now (a reply of 400 to 499, RFC 5321
	// section 4.2.1). It may help to try again later.
	ErrTemporary = errors.New("smtp: refused for now")

	// ErrPermanent: the server refused for good (a reply of 500 to 599), for
	// example because it knows no such recipient.
	ErrPermanent = errors.New("smtp: refused")
)

// failure says how one step of the conversation failed: what it stands for by
// default, and what is known to be harmless of err. The server's words stay out:
// they may repeat the recipient, the user name or the message.
func failure(ctx context.Context, step string, kind, err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return refusal(step, kind, reply.Code)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("smtp: %s: %w", step, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		// the network's own clock for the same end was a little faster
		return fmt.Errorf("smtp: %s: %w", step, context.DeadlineExceeded)
	case kind == ErrAuth && lost(err):
		kind = ErrConnect
	}
	if why := reason(err); why != "" {
		return fmt.Errorf("%w: %s: %s", kind, step, why)
	}
	return fmt.Errorf("%w: %s", kind, step)
}

// refusal: at most steps the reply's first digit decides. Who does not get to TLS
// has none, whatever the digit; and a password is refused, not the message.
func refusal(step string, kind error, code int) error {
	switch {
	case kind == ErrTLS:
	case code/100 == 4:
		kind = ErrTemporary
	case code/100 == 5 && kind != ErrAuth:
		kind = ErrPermanent
	}
	return fmt.Errorf("%w: %s: reply %d", kind, step, code)
}

func lost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// reason is what an operator has to know of an error, in words of ours or of the
// system's.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "no such host"
		}
		return "the host cannot be looked up"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "a certificate of an unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "a certificate for another name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "a certificate that is not valid now"
		}
		return "an invalid certificate"
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	return ""
}
