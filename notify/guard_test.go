package notify_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/notify"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A house is a Guard whose notices go to an Outbox of their own.
type house struct {
	*mfatest.Kit
	guard   *mfa.Guard
	notices *mail.Outbox
	failed  []mfa.Event
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{Kit: mfatest.New(t), notices: new(mail.Outbox)}
	var err error
	h.guard, err = mfa.New(h.Vault, mfa.Config{
		Service: "Acme",
		Methods: []mfa.Method{totp.New(nil), emailotp.New(h.Mail, nil), backupcodes.New(nil)},
		Users:   directory,
		Notify:  newNotifier(t, h.notices, &notify.Options{Settings: settings}),
		OnEvent: func(_ context.Context, e mfa.Event) {
			if e.Type == mfa.EventDeliveryFailed {
				h.failed = append(h.failed, e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func directory(_ context.Context, id string) (mfa.User, error) {
	return mfa.User{ID: id, Email: id + "@example.com"}, nil
}

func subjects(o *mail.Outbox) (all []string) {
	for _, m := range o.All() {
		all = append(all, m.Subject)
	}
	return all
}

func wantSubjects(t *testing.T, o *mail.Outbox, want ...string) {
	t.Helper()
	got := subjects(o)
	if len(got) != len(want) {
		t.Fatalf("told %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != "Acme: "+want[i] {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// an account's life, as its owner reads it.
func TestWithGuard(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.Enroll(h.guard, "ada")
	wantSubjects(t, h.notices, "A sign-in method was added", "New backup codes were made")
	wantIn(t, "the notice of an app", h.notices.All()[0].Text, "Method: Authenticator app\n")
	wantIn(t, "the notice of codes", h.notices.All()[1].Text, "Backup codes left: 10\n", "Account: ada@example.com")

	h.notices.Clear()
	p.SignIn(h.guard, totp.Kind)
	wantSubjects(t, h.notices)

	p.SignIn(h.guard, backupcodes.Kind)
	wantSubjects(t, h.notices, "A backup code was used")
	wantIn(t, "the notice", h.notices.All()[0].Text, "Backup codes left: 9\n")

	h.notices.Clear()
	ctx := mfa.WithClient(t.Context(), mfa.Client{IP: "192.0.2.1", Agent: firefox})
	for range 6 {
		login, err := h.guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := login.Pending.Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: "000000"}); !errors.Is(err, mfa.ErrRejected) {
			t.Fatal(err)
		}
	}
	wantSubjects(t, h.notices, "Somebody entered wrong codes")
	wantIn(t, "the alarm", h.notices.All()[0].Text, "IP address: 192.0.2.1\n", "Device: Firefox, Windows\n", "change it now")

	h.notices.Clear()
	if err := h.guard.AddressChanged(ctx, "ada", "countess@example.org"); err != nil {
		t.Fatal(err)
	}
	if len(h.notices.To("ada@example.com")) != 1 || len(h.notices.To("countess@example.org")) != 1 {
		t.Errorf("told %q", subjects(h.notices))
	}
	h.notices.Clear()
	if err := h.guard.Admin("Grace").Reset(ctx, "ada", "lost her phone"); err != nil {
		t.Fatal(err)
	}
	wantSubjects(t, h.notices, "Two-step sign-in was reset")
	wantIn(t, "the notice", h.notices.All()[0].Text, "Done by: Grace\nReason: lost her phone\n")
}

// a notice that fails undoes nothing, is told, and shows nobody's address.
func TestGuardHearsOfFailure(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.notices.Fail(errors.New("421 ada@example.com: not now"))
	h.Enroll(h.guard, "ada") // would end the test if it failed
	if len(h.failed) != 2 || h.failed[0].Of != mfa.EventFactorAdded || h.failed[1].Of != mfa.EventCodesMade {
		t.Fatalf("events of failures: %v", h.failed)
	}
	wantIn(t, "the error", h.failed[0].Err.Error(), "421 [address] not now")
	login, err := h.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	if err != nil || login.Pending == nil {
		t.Errorf("the method was not saved: %v", err)
	}
}

// whoever hangs up after the change was saved does not keep its notice back.
func TestHangingUpStopsNoNotice(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	var out mail.Outbox
	g := guardOver(t, interrupted{memstore.New(), func(apply func() error) error {
		defer hangUp()
		return apply()
	}}, keys, &out)
	if err := g.SignOutEverywhere(ctx, "ada"); err != nil || ctx.Err() == nil {
		t.Fatalf("%v, %v", err, ctx.Err())
	}
	wantSubjects(t, &out, "Signed out everywhere")
}

// A change that was not saved is told to nobody, one that was saved once.
func TestOnlyWhatWasSavedIsTold(t *testing.T) {
	t.Parallel()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("lost once", func(t *testing.T) {
		t.Parallel()
		var out mail.Outbox
		tries := 0
		g := guardOver(t, interrupted{memstore.New(), func(apply func() error) error {
			if tries++; tries == 1 {
				return store.ErrConflict
			}
			return apply()
		}}, keys, &out)
		if err := g.PasswordChanged(t.Context(), "ada"); err != nil || tries != 2 {
			t.Fatalf("%v after %d tries", err, tries)
		}
		wantSubjects(t, &out, "The password was changed")
	})
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		var out mail.Outbox
		g := guardOver(t, interrupted{memstore.New(), func(func() error) error { return store.ErrUnavailable }}, keys, &out)
		if err := g.PasswordChanged(t.Context(), "ada"); err == nil {
			t.Fatal("saved")
		}
		wantSubjects(t, &out)
	})
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		const each = 8
		var out mail.Outbox
		st := memstore.New()
		var wg sync.WaitGroup
		for range 2 {
			g := guardOver(t, st, keys, &out)
			for range each {
				wg.Go(func() {
					if err := g.PasswordChanged(t.Context(), "ada"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if n := len(out.To("ada@example.com")); n != 2*each {
			t.Errorf("told %d times of %d changes", n, 2*each)
		}
	})
}

func guardOver(t *testing.T, st store.Store, keys vault.Keys, out *mail.Outbox) *mfa.Guard {
	t.Helper()
	v, err := vault.Open(st, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := mfa.New(v, mfa.Config{Service: "Acme", Users: directory, Notify: newNotifier(t, out, nil), Methods: []mfa.Method{totp.New(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// interrupted is a store on whose saves something happens.
type interrupted struct {
	store.Store
	save func(apply func() error) error
}

func (s interrupted) Apply(ctx context.Context, c store.Change) error {
	return s.save(func() error { return s.Store.Apply(ctx, c) })
}
