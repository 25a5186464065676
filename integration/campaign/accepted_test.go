package campaign

// What an accepted code takes out of the count of mails: itself.

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/totp"
)

// An accepted code takes itself out of the count, and no mail that nobody typed:
// whoever asks for others meanwhile cannot make more of them.
func TestAcceptedCodesForgiveNoOthers(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		stamps := &stamping{Sender: h.Mail, clock: h.Clock}
		h.post = stamps
		i := h.instance(t)
		p := h.Enroll(i.guard, "ada", totp.Kind, emailotp.Kind)
		h.Clock.Advance(aDay)
		own, answer := challenged(t, i, p)
		h.Clock.Advance(9 * time.Minute)
		stamps.at = nil // those of somebody else, that nobody types
		for n := range 60 * 6 {
			if _, err := i.begin(t, "ada").Challenge(t.Context(), byMail); err != nil && !errors.Is(err, mfa.ErrTooMany) {
				t.Fatal(err)
			}
			h.Clock.Advance(10 * time.Second)
			if n == 0 {
				if v := verdictOf(own.Verify(t.Context(), answer)); v != accepted {
					t.Fatal(v)
				}
			}
		}
		for _, l := range flooded(stamps.at) {
			t.Errorf("more than %d mails in %v", l.N, l.Per)
		}
		if len(stamps.at) < 5 {
			t.Errorf("%d mails: this was no test", len(stamps.at))
		}
	})
}

// Who types in every code may have another at once, thirty times a day: over two
// instances, and by as many sign-ins as one likes.
func TestAcceptedCodesHaveAnEnd(t *testing.T) {
	const aDayInAll = 30
	onEachStore(t, func(t *testing.T, h *house) {
		stamps := &stamping{Sender: h.Mail, clock: h.Clock}
		h.post = stamps
		is := []*instance{h.instance(t), h.instance(t)}
		p := h.Enroll(is[0].guard, "ada", totp.Kind, emailotp.Kind)
		h.Clock.Advance(aDay)
		stamps.at = nil
		start := h.Clock.Now()
		for n := 0; h.Clock.Now().Sub(start) < 3*24*time.Hour; n++ {
			pending := is[n%2].begin(t, "ada")
			switch _, err := pending.Challenge(t.Context(), byMail); {
			case errors.Is(err, mfa.ErrTooMany):
			case err != nil:
				t.Fatal(err)
			default:
				if v := verdictOf(pending.Verify(t.Context(), p.Answer(emailotp.Kind))); v != accepted {
					t.Fatal(v)
				}
			}
			h.Clock.Advance(17 * time.Minute)
		}
		for n := aDayInAll; n < len(stamps.at); n++ {
			if d := stamps.at[n].Sub(stamps.at[n-aDayInAll]); d < 24*time.Hour {
				t.Errorf("%d mails in %v", aDayInAll+1, d)
			}
		}
		if len(stamps.at) != 3*aDayInAll {
			t.Errorf("%d mails in three days, want %d", len(stamps.at), 3*aDayInAll)
		}
	})
}
