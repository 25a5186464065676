package mfatest_test

import (
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A person reads the codes that were mailed, each once, in every order of kinds.
func TestPersonReadsMail(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]mfa.Kind{
		"alone": {emailotp.Kind}, "first": {emailotp.Kind, totp.Kind}, "second": {totp.Kind, emailotp.Kind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := mfatest.New(t)
			g := k.Guard()
			ada := k.Enroll(g, "ada", kinds...)
			for range 3 {
				s := ada.SignIn(g, emailotp.Kind)
				if p := s.Proofs(); len(p) != 1 || p[0].Kind != emailotp.Kind || p[0].Traits.PhishingResistant || !p[0].Traits.OutOfBand {
					t.Fatalf("proven: %+v", p)
				}
			}
			ada.SignIn(g, backupcodes.Kind)
			k.Clock.Advance(6 * time.Minute)
			ada.StepUp(g, emailotp.Kind)
			mails := k.Mail.To("ada@example.com")
			seen := map[string]bool{}
			for _, m := range mails {
				seen[mfatest.Code(m.Message)] = true
			}
			if len(mails) < 5 || len(seen) != len(mails) || seen[""] {
				t.Errorf("%d mails, codes %v", len(mails), seen)
			}
		})
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Hello 123456,\n\n    004711\n\nfor 10 minutes": "004711",
		"0123456789\r\n": "0123456789",
		"123456 is it":   "", "12345": "", "": "",
	} {
		if got := mfatest.Code(mail.Message{Text: text}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
