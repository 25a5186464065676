package campaign

// What each call costs the store, and what others cost nothing.

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
)

// counted returns an instance, and what counts its calls.
func (h *house) counted(t *testing.T, cache int) (*instance, *counting) {
	t.Helper()
	var count *counting
	h.wrap = func(s store.Store) store.Store {
		count = &counting{Store: s}
		return count
	}
	return h.instanceOver(t, h.open(t), cache), count
}

func TestStoreCalls(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cache  int
		verify calls
	}{
		{"with the cache", 0, calls{loads: 0, applies: 1}},
		{"without the cache", -1, calls{loads: 1, applies: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, h *house) {
				i, count := h.counted(t, tt.cache)
				p := h.Enroll(i.guard, "ada")
				count.calls()
				costs := func(what string, want calls, do func() error, wants error) {
					t.Helper()
					err := do()
					if got := count.calls(); got != want {
						t.Errorf("%s: %+v, want %+v", what, got, want)
					}
					if !errors.Is(err, wants) {
						t.Errorf("%s: %v, want %v", what, err, wants)
					}
				}
				none, read := calls{}, calls{loads: 1}
				ctx := t.Context()
				first := mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword}

				var pending *mfa.Pending
				begin := func() error {
					login, err := i.guard.Begin(ctx, first)
					pending = login.Pending
					return err
				}
				var session *mfa.Session
				verify := func(a mfa.Answer) func() error {
					return func() error {
						login, err := pending.Verify(ctx, a)
						if err == nil {
							session = login.Session
						}
						return err
					}
				}
				for range 3 {
					costs("Begin", read, begin, nil)
					costs("Resume", none, func() error { _, err := i.guard.Resume(pending.Token()); return err }, nil)
					costs("Verify", tt.verify, verify(p.Answer(totp.Kind)), nil)
				}
				costs("Begin", read, begin, nil)
				costs("Verify of a backup code", tt.verify, verify(p.Answer(backupcodes.Kind)), nil)
				costs("Require", read, func() error { return i.guard.Require(ctx, session, mfa.Rule{}) }, nil)
				costs("Settings.Overview", read, func() error { _, err := i.guard.Settings(session).Overview(ctx); return err }, nil)
				costs("StepUp that is not needed", read, func() error { _, err := i.guard.StepUp(ctx, session, mfa.Rule{}); return err }, nil)

				// Who is nobody costs nothing.
				costs("a garbage token", none, func() error { _, err := i.guard.Resume("garbage"); return err }, mfa.ErrInvalid)
				costs("no token", none, func() error { _, err := i.guard.Resume(""); return err }, mfa.ErrInvalid)
				costs("a session's token", none, func() error { _, err := i.guard.Resume(session.Token()); return err }, mfa.ErrInvalid)
				costs("a garbage session", none, func() error { i.guard.Session("ada", "garbage"); return nil }, nil)
				costs("no user", none, func() error {
					_, err := i.guard.Begin(ctx, mfa.FirstFactor{By: mfa.ByPassword})
					return err
				}, mfa.ErrArgument)
				costs("Begin", read, begin, nil)
				costs("an answer of no kind", none, verify(mfa.Answer{Code: "123456"}), mfa.ErrInvalid)
				costs("an answer of a strange kind", none, verify(mfa.Answer{Kind: "dna", Code: "123456"}), mfa.ErrInvalid)

				// A malformed answer, one to a spent sign-in and a refused one are
				// decided on a fresh record, and write nothing.
				costs("a malformed answer", read, verify(mfa.Answer{Kind: totp.Kind, Code: "12"}), mfa.ErrInvalid)
				costs("Verify", tt.verify, verify(p.Answer(totp.Kind)), nil)
				costs("Verify of a spent sign-in", read, verify(p.Answer(totp.Kind)), mfa.ErrExpired)
				costs("Begin", read, begin, nil)
				for range 5 {
					wrong := wrongCode(p.App(), h.Clock.Now())
					costs("a wrong answer", tt.verify, verify(mfa.Answer{Kind: totp.Kind, Code: wrong}), mfa.ErrInvalid)
				}
				right := mfa.Answer{Kind: totp.Kind, Code: p.App().Code(h.Clock.Now().Add(p.App().Period))}
				for range 3 {
					costs("a refused answer", read, verify(right), mfa.ErrTooMany)
					costs("a refused backup code", read, verify(p.Answer(backupcodes.Kind)), mfa.ErrTooMany)
				}
			})
		})
	}
}

// An emailed code costs a save to be sent, and one to be used. Who may not have
// one sent costs a read.
func TestStoreCallsOfMailedCodes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cache int
		save  calls
	}{
		{"with the cache", 0, calls{loads: 0, applies: 1}},
		{"without the cache", -1, calls{loads: 1, applies: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, h *house) {
				i, count := h.counted(t, tt.cache)
				p := h.Enroll(i.guard, "ada", totp.Kind, emailotp.Kind)
				ctx, read := t.Context(), calls{loads: 1}
				costs := func(what string, want calls, do func() error, wants error) {
					t.Helper()
					count.calls()
					err := do()
					if got := count.calls(); got != want {
						t.Errorf("%s: %+v, want %+v", what, got, want)
					}
					if !errors.Is(err, wants) {
						t.Errorf("%s: %v, want %v", what, err, wants)
					}
				}
				var pending *mfa.Pending
				begin := func() error {
					login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
					pending = login.Pending
					return err
				}
				challenge := func() error { _, err := pending.Challenge(ctx, byMail); return err }
				verify := func(a mfa.Answer) func() error {
					return func() error { _, err := pending.Verify(ctx, a); return err }
				}
				for range 3 {
					h.Clock.Advance(aDay)
					costs("Begin", read, begin, nil)
					costs("an answer before its challenge", read, verify(mfa.Answer{Kind: emailotp.Kind, Code: "123456"}), mfa.ErrExpired)
					costs("Challenge", tt.save, challenge, nil)
					costs("Challenge again at once", read, challenge, mfa.ErrTooMany)
					right := p.Answer(emailotp.Kind)
					costs("a malformed answer", read, verify(mfa.Answer{Kind: emailotp.Kind, Code: "12"}), mfa.ErrInvalid)
					wrong := mfa.Answer{Kind: emailotp.Kind, Code: "123456"}
					if right.Code == wrong.Code {
						wrong.Code = "654321"
					}
					costs("a wrong answer", tt.save, verify(wrong), mfa.ErrInvalid)
					costs("Verify", tt.save, verify(right), nil)
					costs("Verify of a spent sign-in", read, verify(right), mfa.ErrExpired)
					costs("Challenge of a spent sign-in", read, challenge, mfa.ErrExpired)
				}

				// What could not be sent costs one more save, so that it can be
				// asked for again at once.
				h.Mail.Fail(errors.New("no mail today"))
				h.Clock.Advance(aDay)
				costs("Begin", read, begin, nil)
				var undelivered *mfa.EffectError
				unsent := func() error {
					if err := challenge(); !errors.As(err, &undelivered) {
						return fmt.Errorf("not undelivered: %w", err)
					}
					return nil
				}
				costs("Challenge that cannot be sent", calls{loads: 2 * tt.save.loads, applies: 2}, unsent, nil)
				h.Mail.Fail(nil)
				costs("Challenge again", tt.save, challenge, nil)

				session := p.SignIn(i.guard, totp.Kind)
				var e *mfa.Enrollment
				enroll := func() (err error) {
					e, err = i.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: "new@example.com"})
					return err
				}
				costs("Enroll at once", read, enroll, mfa.ErrTooMany)
				h.Clock.Advance(time.Minute)
				costs("Enroll", tt.save, enroll, nil)
				code := mfatest.Code(h.Mail.To("new@example.com")[0].Message)
				costs("Confirm", tt.save, func() error {
					_, err := i.guard.Settings(session).Confirm(ctx, e.ID, mfa.Answer{Kind: emailotp.Kind, Code: code})
					return err
				}, nil)
			})
		})
	}
}

// The counter counts.
func TestStoreCallsAreCounted(t *testing.T) {
	h := newHouse(t, "")
	count := &counting{Store: h.Store}
	ctx := t.Context()
	if _, err := count.Load(ctx, "ada"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if err := count.Apply(ctx, store.Change{UserID: "ada", New: 1}); err != nil {
		t.Error(err)
	}
	if _, err := count.Owner(ctx, string(make([]byte, store.KeySize))); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if got := count.calls(); got != (calls{1, 1, 1}) {
		t.Errorf("counted %+v", got)
	}
}
