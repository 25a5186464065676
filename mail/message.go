package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Message is one mail to one recipient. It prints without its content, which
// may hold a code.
type Message struct {
	Tenant  string // whose server and sender address it goes out by; "": the only one's
	To      string // one bare address, as Address returns it
	Subject string // one line
	Text    string // plain text
	HTML    string // the same in HTML, or ""
}

// A Sender sends mail.
//
// Callers pass messages that Check accepts, and a context with an end: what is
// sent is often waited for.
//
// Implementations must refuse with ErrMessage what Check refuses, must return
// soon after the context has ended, and must not put what the message says, or
// to whom, into an error. nil means that the next server has taken it over.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

var (
	// ErrMessage: the message must not be sent: its recipient is not one bare
	// address, or its subject or text is not what it may be.
	ErrMessage = errors.New("mail: invalid message")

	// ErrNoSender: the tenant has no server to send by.
	ErrNoSender = errors.New("mail: no sender is configured")
)

const (
	maxSubject = 512       // bytes
	maxBody    = 256 << 10 // bytes of each part
)

// Check returns an error that wraps ErrMessage unless m may be sent: To is one
// bare address, Subject is one line without control characters, and nothing is
// longer than a mail of this kind could be.
func (m Message) Check() error {
	to, err := Address(m.To)
	switch {
	case err != nil:
		return err
	case to != m.To:
		return fmt.Errorf("%w: recipient", ErrMessage)
	case m.Subject == "" || len(m.Subject) > maxSubject || !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, unprintable):
		return fmt.Errorf("%w: subject", ErrMessage)
	case len(m.Tenant) > 255 || strings.ContainsFunc(m.Tenant, unprintable):
		return fmt.Errorf("%w: tenant", ErrMessage)
	case m.Text == "" || !body(m.Text) || !body(m.HTML):
		return fmt.Errorf("%w: body", ErrMessage)
	}
	return nil
}

func unprintable(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) }

func body(s string) bool {
	return len(s) <= maxBody && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
	})
}

const redacted = "mail [redacted]"

func (m Message) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, redacted) }
func (m Message) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (m Message) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
