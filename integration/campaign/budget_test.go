package campaign

// Whoever has only the password: cannot fill the record,
// push out what the victim began, or keep the victim from signing in.

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A watching store keeps an eye on the size of what is saved.
type watching struct {
	store.Store
	largest, saves int
}

func (s *watching) Apply(ctx context.Context, c store.Change) error {
	s.largest = max(s.largest, len(c.Data))
	s.saves++
	return s.Store.Apply(ctx, c)
}

// largest is what a user with one app and ten codes may take at the most,
// whatever is done with the password. It is far below the 12 kB from which
// enrolment is refused.
const largest = 3 << 10

// attack does all that a password allows, once. It reports whether it got in.
func attack(t *testing.T, h *house, i *instance, app *mfatest.App) (in bool) {
	t.Helper()
	ctx := t.Context()
	begin := func() *mfa.Pending {
		login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
		if err != nil {
			t.Fatal(err)
		}
		in = in || login.Session != nil
		return login.Pending
	}
	try := func(login *mfa.Login, err error) { in = in || err == nil && login.Session != nil }
	p := begin()
	for _, a := range []mfa.Answer{
		{}, {Kind: "dna", Code: "x"}, {Kind: totp.Kind}, {Kind: totp.Kind, Code: "12"}, {Kind: totp.Kind, Code: string(make([]byte, 1000))},
		{Kind: totp.Kind, Code: wrongCode(app, h.Clock.Now())}, {Kind: backupcodes.Kind, Code: strings.Repeat("0", 24)},
	} {
		try(p.Verify(ctx, a))
	}
	if _, err := p.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind}); err == nil {
		t.Error("enrolled with the password alone")
	}
	if login, err := p.Confirm(ctx, "x", mfa.Answer{Kind: totp.Kind, Code: "123456"}); err == nil {
		try(login, err)
	}
	if _, err := p.Challenge(ctx, mfa.Offer{Kind: totp.Kind}); err == nil {
		t.Error("a challenge of an app")
	}
	switch _, err := p.Challenge(ctx, byMail); {
	case err == nil:
		mails, wrong := h.Mail.All(), "000000"
		if mfatest.Code(mails[len(mails)-1].Message) == wrong {
			wrong = "000001"
		}
		try(p.Verify(ctx, mfa.Answer{Kind: emailotp.Kind, Code: wrong}))
	case !errors.Is(err, mfa.ErrRejected):
		t.Error(err)
	}
	if _, err := p.Offers(ctx); err != nil && !errors.Is(err, mfa.ErrExpired) {
		t.Error(err)
	}
	p.Cancel(ctx)
	begin().Cancel(ctx)
	return in
}

func TestPasswordAlone(t *testing.T) {
	t.Run("app", func(t *testing.T) { passwordAlone(t, totp.Kind) })
	t.Run("app and email", func(t *testing.T) { passwordAlone(t, totp.Kind, emailotp.Kind) })
}

func passwordAlone(t *testing.T, kinds ...mfa.Kind) {
	h := newHouse(t, "")
	watch := &watching{Store: h.Store}
	stamps := &stamping{Sender: h.Mail, clock: h.Clock}
	h.post = stamps
	i := h.instanceOver(t, watch, 0)
	p := h.Enroll(i.guard, "ada", kinds...)
	stamps.at = nil
	signIns, savesAtFirst := 0, watch.saves
	hours := number(48, 24*60)
	for n := range hours * 12 { // every five minutes
		// What the victim has begun goes on under the attack.
		pending := i.begin(t, "ada")
		for range 3 {
			if attack(t, h, i, p.App()) {
				t.Fatal("in with the password alone")
			}
		}
		h.Clock.Advance(5 * time.Minute)
		if n%3 != 0 {
			continue
		}
		o, err := i.guard.Admin("test").Overview(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		if o.LockedFor > 24*time.Hour {
			t.Fatalf("locked for %v", o.LockedFor)
		}
		if o.LockedFor > 0 {
			continue
		}
		// The victim comes first now and then; it is enough.
		if _, err := pending.Verify(t.Context(), p.Answer(totp.Kind)); err != nil {
			t.Fatalf("the victim's own sign-in: %v", err)
		}
		signIns++
	}
	saves := watch.saves - savesAtFirst
	t.Logf("%d h: %d saves (%.1f an hour), %d mails, %d sign-ins of the victim, the largest record %d bytes",
		hours, saves, float64(saves)/float64(hours), len(stamps.at), signIns, watch.largest)
	if mails := len(stamps.at); len(kinds) > 1 && mails < hours/24*5 || mails > (hours/24+1)*10 {
		t.Errorf("%d mails in %d hours", mails, hours)
	}
	if watch.largest > largest {
		t.Errorf("the record grew to %d bytes", watch.largest)
	}
	if signIns < hours/24-1 {
		t.Errorf("the victim signed in %d times in %d hours", signIns, hours)
	}
	if saves > hours*12 {
		t.Errorf("%d saves in %d hours", saves, hours)
	}
	h.Clock.Advance(aDay)
	p.SignIn(i.guard, totp.Kind)
}

// A flood of cancelled sign-ins kills nobody else's.
func TestCancelFlood(t *testing.T) {
	h := newHouse(t, "")
	i := h.instance(t, totp.New(nil))
	p := h.Enroll(i.guard, "ada")
	for range 20 {
		h.Clock.Advance(time.Hour)
		pending := i.begin(t, "ada")
		h.Clock.Advance(time.Millisecond)
		for range 100 {
			i.begin(t, "ada").Cancel(t.Context())
		}
		h.Clock.Advance(time.Minute)
		if _, err := pending.Verify(t.Context(), p.Answer(totp.Kind)); err != nil {
			t.Fatalf("the victim's sign-in: %v", err)
		}
	}
}

// Who must enrol, and has only the password, cannot fill the record either.
func TestForcedEnrolmentFlood(t *testing.T) {
	h := newHouse(t, "")
	h.with = func(_ string, u *mfa.User) { u.Policy.Demand = mfa.Required }
	watch := &watching{Store: h.Store}
	i := h.instanceOver(t, watch, 0)
	for range number(24, 240) {
		for range 30 {
			login, err := i.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
			if err != nil {
				t.Fatal(err)
			}
			e, err := login.Pending.Enroll(t.Context(), mfa.NewFactor{Kind: totp.Kind, Name: "a name of many letters, as long as it may be at the most: 64 bytes"[:64]})
			if err == nil {
				login.Pending.Confirm(t.Context(), e.ID, mfa.Answer{Kind: totp.Kind, Code: "000000"})
			} else if !errors.Is(err, mfa.ErrTooMany) {
				t.Fatal(err)
			}
			login.Pending.Cancel(t.Context())
		}
		h.Clock.Advance(time.Hour)
	}
	t.Logf("%d saves, the largest record %d bytes", watch.saves, watch.largest)
	if watch.largest > largest {
		t.Errorf("the record grew to %d bytes", watch.largest)
	}
	h.Clock.Advance(aDay)
	h.Enroll(i.guard, "ada")
}
