package emailotp

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/sentcode"
)

var (
	_ mfa.Method      = (*Method)(nil)
	_ mfa.Confirmer   = (*Method)(nil)
	_ mfa.Challenger  = (*Method)(nil)
	_ mfa.Conditional = (*Method)(nil)
	_ mfa.Addressed   = (*Method)(nil)

	_ sentcode.Channel  = (*channel)(nil)
	_ sentcode.Profiled = (*channel)(nil)
)

// Kind names this factor in answers, offers and stored accounts.
const Kind mfa.Kind = "email"

// Options may be nil.
type Options struct {
	// Digits of a code, 6 to 10. 0: 6.
	Digits int

	// TTL is how long a code is good: one minute to ten. 0: ten.
	TTL time.Duration

	// Letters by BCP 47 tag, over or beside the built-in English ("en") and
	// German ("de"): templates that are filled with a Mail. The one of
	// User.Locale is taken, or the nearest.
	Letters map[string]mail.Letter
}

// A Mail is what a letter is filled with. The names are cleaned with
// mail.Legible.
type Mail struct {
	Service string // User.Service
	Name    string // User.DisplayName, or ""
	Code    string
	Minutes int  // how long the code is good
	Enroll  bool // it confirms the address; else it signs in or steps up
}

// A Method is the factor, made by New. It never changes.
type Method struct {
	*sentcode.Method
	err error
}

// New returns the factor that sends by s. Whether opts are valid is told by
// Check, which mfa.New calls; without it, an invalid Method refuses everything.
func New(s mail.Sender, opts *Options) *Method {
	if opts == nil {
		opts = &Options{}
	}
	letters, err := mail.NewLetters(merged(opts.Letters), Mail{Service: "Service", Name: "Name", Code: "000000", Minutes: 10})
	switch {
	case s == nil:
		err = fmt.Errorf("emailotp: no sender (%w)", mfa.ErrArgument)
	case err != nil:
		err = fmt.Errorf("emailotp: options: %w (%w)", err, mfa.ErrArgument)
	}
	if err != nil {
		return &Method{sentcode.New(nil, nil), err}
	}
	return &Method{sentcode.New(&channel{s, letters}, &sentcode.Options{Digits: opts.Digits, TTL: opts.TTL}), nil}
}

func merged(own map[string]mail.Letter) map[string]mail.Letter {
	all := letters()
	maps.Copy(all, own)
	return all
}

// Kind implements mfa.Method.
func (m *Method) Kind() mfa.Kind { return Kind }

// Check returns an error that wraps mfa.ErrArgument if the sender or the options
// are not valid.
func (m *Method) Check() error {
	if m == nil || m.Method == nil {
		return fmt.Errorf("emailotp: a Method that New did not make (%w)", mfa.ErrArgument)
	}
	if m.err != nil {
		return m.err
	}
	return m.Method.Check()
}

// channel carries codes by mail.
type channel struct {
	sender  mail.Sender
	letters *mail.Letters
}

func (c *channel) Kind() mfa.Kind                           { return Kind }
func (c *channel) Profile(u mfa.User) string                { return u.Email }
func (c *channel) Normalize(address string) (string, error) { return mail.Address(address) }
func (c *channel) Mask(address string) string               { return mail.Mask(address) }

func (c *channel) Available(ctx context.Context, u mfa.User) error {
	return mail.Available(ctx, c.sender, u.Tenant)
}

func (c *channel) Send(ctx context.Context, m sentcode.Message) error {
	message, err := c.letters.Render(m.User.Locale, Mail{
		Service: mail.Legible(m.User.Service), Name: mail.Legible(m.User.DisplayName), Code: m.Code.Reveal(),
		Minutes: int(math.Ceil(m.TTL.Minutes())), Enroll: m.Purpose == mfa.PurposeConfirm,
	})
	if err != nil {
		return err
	}
	message.Tenant, message.To = m.User.Tenant, m.To
	if err := message.Check(); err != nil {
		return err
	}
	return c.sender.Send(ctx, message)
}
