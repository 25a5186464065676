package sentcode

// The rules of a code: when it may be sent, what it is bound to, how often it
// may be guessed.

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

const (
	maxTries = 5
	pause    = time.Minute
	perHour  = 5
	perDay   = 10

	perDayAll = 30

	bucketPause = "pause"
	bucketSent  = "sent" // accepted ones not counted
	bucketAll   = "all"
)

var (
	errAddress = fmt.Errorf("sentcode: not an address (%w)", mfa.ErrArgument)
	errHidden  = errors.New("sentcode: no secret to compare with: call it inside Account.Guess")
)

// A budget is one of those that each message is charged to.
type budget struct {
	bucket string
	limits []vault.Limit
}

func budgets() []budget {
	const hour, day = time.Hour, 24 * time.Hour
	return []budget{
		{bucketAll, []vault.Limit{{N: perDayAll, Per: day}}},
		{bucketSent, []vault.Limit{{N: perHour, Per: hour}, {N: perDay, Per: day}}},
		{bucketPause, []vault.Limit{{N: 1, Per: pause}}},
	}
}

// allow charges one message to the user, or refuses until all budgets have room.
func allow(s *vault.Scope) error {
	var wait time.Duration
	var charged []string
	for _, b := range budgets() {
		if wait > 0 {
			b.limits = append(b.limits, vault.Limit{}) // which allows nothing: it only asks, and writes nothing
		}
		if more, ok := s.Allow(b.bucket, b.limits...); ok {
			charged = append(charged, b.bucket)
		} else {
			wait = max(wait, more)
		}
	}
	if wait == 0 {
		return nil
	}
	for _, bucket := range charged {
		s.Refund(bucket, s.Now())
	}
	return &mfa.LimitError{RetryAfter: wait}
}

// issue draws a code for one ceremony, in the place of the one before, and has
// it sent once that is saved.
func (m *Method) issue(s *vault.Scope, r mfa.Request, factorID, address string) (*mfa.Challenge, error) {
	now := s.Now()
	expires := now.Add(m.ttl)
	if !r.Until.IsZero() && r.Until.Before(expires) {
		expires = r.Until
	}
	code := draw(m.digits)
	c := vault.Challenge{FactorID: factorID, Flow: r.Flow, Purpose: string(r.Purpose)}
	err := s.Issue(vault.Challenge{
		FactorID: factorID, Flow: r.Flow, Purpose: string(r.Purpose), Expires: expires,
		Data:   ticket{sent: now, digits: m.digits, address: address}.encode(),
		Secret: mac(s, c, address, code),
	})
	if err != nil {
		return nil, err
	}
	message := Message{User: r.User, To: address, Code: mfa.Secret(code), Purpose: r.Purpose, TTL: expires.Sub(now)}
	s.AfterSave(func(ctx context.Context) error { return m.ch.Send(ctx, message) })
	return &mfa.Challenge{
		Kind: m.Kind(), FactorID: factorID, Hint: m.ch.Mask(address), Expires: expires, Resend: now.Add(pause),
	}, nil
}

// mac is what is kept of a code: it is worth nothing for another user (the
// Scope's), purpose, factor, address or ceremony.
func mac(s *vault.Scope, c vault.Challenge, address, code string) []byte {
	return s.MAC("code", c.Purpose, c.FactorID, address, c.Flow, code)
}

// out returns the codes that are out for one ceremony, none or one for each
// factor or enrolment.
func out(s *vault.Scope, r mfa.Request) (cs []vault.Challenge) {
	for _, c := range s.Challenges() {
		if c.Flow == r.Flow && c.Purpose == string(r.Purpose) {
			cs = append(cs, c)
		}
	}
	return cs
}

// judge returns nil if typed is the code that is out for this factor, address
// and ceremony, and ends it.
func (m *Method) judge(s *vault.Scope, r mfa.Request, factorID, address, typed string) error {
	code, ok := canonical(typed)
	if !ok {
		return vault.Uncounted(mfa.ErrInvalid)
	}
	var own *vault.Challenge
	var others []vault.Challenge
	for _, c := range s.Challenges() {
		if c.FactorID == factorID && c.Flow == r.Flow && c.Purpose == string(r.Purpose) {
			own = &c
		} else {
			others = append(others, c)
		}
	}
	if own == nil { // nothing can be guessed here, so nothing is learned: not even of other ceremonies
		return vault.Uncounted(mfa.ErrExpired)
	}
	t, err := decodeTicket(own.Data)
	switch {
	case err != nil:
		return err
	case len(own.Secret) == 0:
		return errHidden
	case len(code) != t.digits:
		return vault.Uncounted(mfa.ErrInvalid)
	case t.address == address && subtle.ConstantTimeCompare(mac(s, *own, address, code), own.Secret) == 1:
		s.Take(own.FactorID, own.Flow, own.Purpose)
		s.Refund(bucketSent, t.sent) // who receives and types it is not flooded
		s.Refund(bucketPause, t.sent)
		return nil
	}
	for _, c := range others {
		t, err := decodeTicket(c.Data)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(mac(s, c, t.address, code), c.Secret) == 1 {
			return vault.Uncounted(mfa.ErrInvalid)
		}
	}
	if t.tries++; t.tries >= maxTries {
		s.Take(own.FactorID, own.Flow, own.Purpose)
		return mfa.ErrInvalid
	}
	own.Data = t.encode()
	if err := s.Issue(*own); err != nil {
		return err
	}
	return mfa.ErrInvalid
}

// draw returns that many random digits, each as likely as the others.
func draw(digits int) string {
	code := make([]byte, 0, digits)
	var b [16]byte
	for {
		_, _ = rand.Read(b[:]) // ends the process when it fails
		for _, c := range b {
			if c >= 250 { // or the first six digits were likelier
				continue
			}
			if code = append(code, '0'+c%10); len(code) == digits {
				return string(code)
			}
		}
	}
}

const maxTyped = 64 // bytes

// canonical returns the digits that were typed, without the ASCII spaces and
// hyphens with which mails and people group them. Everything else is refused.
func canonical(typed string) (code string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	digits := make([]byte, 0, maxDigits)
	for i := range len(typed) {
		switch c := typed[i]; {
		case c == ' ' || c == '-':
		case '0' <= c && c <= '9' && len(digits) < maxDigits:
			digits = append(digits, c)
		default:
			return "", false
		}
	}
	return string(digits), len(digits) >= minDigits
}
