package smtp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	netmail "net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/seed-f4994bf1/mfa/mail"
)

// compose returns the message as it goes over the wire: UTF-8, quoted-printable,
// and without what go-mail would add by itself, the names of the machine and of
// the library. m has passed Check.
func (c *config) compose(m mail.Message) ([]byte, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&netmail.Address{Name: c.name, Address: c.from})
	msg.ToMailAddress(&netmail.Address{Address: m.To})
	msg.Subject(subject(m.Subject))
	msg.SetMessageIDWithValue(rand.Text() + "@" + c.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no holiday replies (RFC 3834 section 5)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("%w: it cannot be written", mail.ErrMessage)
	}
	return b.Bytes(), nil
}

// subject returns a subject that arrives as it was checked. Runs of spaces would
// be folded into lines that are empty but for them, at which some servers see the
// headers end; and what looks like an encoded word (RFC 2047) would be decoded,
// into characters that Check would have refused.
func subject(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "=?", "= ?")
}
