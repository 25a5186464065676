package vault_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/vault"
)

// The whole life of the limit: five at once, then pauses that double up to an
// hour, twenty in a day, whatever was answered meanwhile.
func TestLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for range vault.Burst {
		wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrInvalid)
	}
	for n, want := 0, 30*time.Second; n < 15; n, want = n+1, min(2*want, time.Hour) {
		var limit *vault.LimitError
		err := guess(t, b.Vault, "u", "secret")
		if !errors.As(err, &limit) || !errors.Is(err, vault.ErrTooMany) || limit.RetryAfter != want {
			t.Fatalf("pause %d: %v, want %v", n, err, want)
		}
		b.clock.Advance(want - time.Millisecond)
		wantErr(t, guess(t, b.Vault, "u", "secret"), vault.ErrTooMany)
		b.clock.Advance(time.Millisecond)
		wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrInvalid)
	}
	// twenty failures: the next is looked at when the first is a day old
	var limit *vault.LimitError
	if err := guess(t, b.Vault, "u", "secret"); !errors.As(err, &limit) || limit.RetryAfter < time.Hour {
		t.Fatalf("after %d failures in a day: %v", vault.PerDay, err)
	}
	b.clock.Advance(limit.RetryAfter - time.Millisecond)
	wantErr(t, guess(t, b.Vault, "u", "secret"), vault.ErrTooMany)
	b.clock.Advance(time.Millisecond)
	must(t, guess(t, b.Vault, "u", "secret"))
}

func TestRefusedTriesAreNotWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for range vault.Burst {
		_ = guess(t, b.Vault, "u", "wrong")
	}
	b.store.reset()
	b.clock.Advance(10 * time.Second)
	for _, code := range []string{"secret", "wrong"} {
		var limit *vault.LimitError
		if err := guess(t, b.Vault, "u", code); !errors.As(err, &limit) || limit.RetryAfter != 20*time.Second {
			t.Errorf("%s: %v, want the same 20 s to wait", code, err)
		}
	}
	if n := b.store.applies.Load(); n != 0 {
		t.Errorf("%d writes for refused tries", n)
	}
}

func TestSuccessIsRefunded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for range 3 * vault.PerDay {
		must(t, guess(t, b.Vault, "u", "secret"))
	}
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if s.Tries != (vault.Tries{}) {
		t.Errorf("right answers left %+v", s.Tries)
	}
}

func TestFinishedClearsThePauseAndNeverTheDay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for range vault.Burst - 1 {
		_ = guess(t, b.Vault, "u", "wrong")
	}
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Finished(kind); return nil }))
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if want := (vault.Tries{Run: 0, Day: vault.Burst - 1}); s.Tries != want {
		t.Errorf("after a finished sign-in %+v, want %+v", s.Tries, want)
	}
}

func TestUncountedIsNoTry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	b.store.reset()
	for range 3 * vault.Burst {
		err := update(t, b.Vault, "u", func(a *vault.Account) error {
			return a.Guess(kind, "sign-in", "", func(*vault.Scope) error { return vault.Uncounted(vault.ErrInvalid) })
		})
		wantErr(t, err, vault.ErrInvalid)
		if vault.Counts(err) {
			t.Fatal("an uncounted verdict counts")
		}
	}
	if n := b.store.applies.Load(); n != 0 {
		t.Errorf("%d writes for malformed answers", n)
	}
	if !vault.Counts(vault.ErrInvalid) || !vault.Counts(vault.ErrReplayed) || vault.Counts(errDown) || vault.Counts(&vault.LimitError{}) {
		t.Error("Counts takes the wrong errors for tries")
	}
}

func TestHundredFailuresDisableTheKind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	n := 0
	for ; n < vault.Consecutive; n++ {
		b.clock.Advance(25 * time.Hour)
		wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrInvalid)
	}
	b.clock.Advance(25 * time.Hour)
	wantErr(t, guess(t, b.Vault, "u", "secret"), vault.ErrInvalid)
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if len(s.Factors) != 1 || !s.Factors[0].Disabled || s.Factors[0].ID != id {
		t.Fatalf("after %d failures in a row: %+v", n, s.Factors)
	}
	// Unlocking does not bring it back; enrolling anew does, and takes it away.
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Unlock(); return nil }))
	wantErr(t, guess(t, b.Vault, "u", "secret"), vault.ErrInvalid)
	enroll(t, b.Vault, "u")
	must(t, guess(t, b.Vault, "u", "secret"))
	if s, err = b.View(t.Context(), "u"); err != nil || len(s.Factors) != 1 || s.Factors[0].ID == id {
		t.Fatalf("after enrolling anew: %v %v", s.Factors, err)
	}
}

func TestConfirmingGuessesCountApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	confirm := func() error {
		return update(t, b.Vault, "u", func(a *vault.Account) error {
			return a.Guess(kind, vault.PurposeConfirm, "", func(*vault.Scope) error { return vault.ErrInvalid })
		})
	}
	for range vault.Burst {
		wantErr(t, confirm(), vault.ErrInvalid)
	}
	wantErr(t, confirm(), vault.ErrTooMany)
	must(t, guess(t, b.Vault, "u", "secret"))
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Confirmed(); return nil }))
	wantErr(t, confirm(), vault.ErrInvalid)
}

func TestKindsShareOneBudget(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for i := range vault.Burst {
		k := vault.Kind([]string{"one", "two", "three"}[i%3])
		wantErr(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			return a.Guess(k, "sign-in", "", func(*vault.Scope) error { return vault.ErrInvalid })
		}), vault.ErrInvalid)
	}
	wantErr(t, guess(t, b.Vault, "u", "secret"), vault.ErrTooMany)
}

// A Scope that sees secrets is not to be had without the limit.
func TestSecretsAreShownOnlyInGuess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		return a.Scope(kind, "sign-in", "f").Issue(vault.Challenge{
			FactorID: id, Data: []byte("d"), Secret: []byte("s"), Expires: b.clock.Now().Add(time.Minute),
		})
	}))
	look := func(s *vault.Scope) (shown, readable int) {
		for _, f := range append(s.Factors(), s.Factor(id)) {
			shown += len(f.Secret)
			readable += len(f.Data)
		}
		for _, c := range s.Challenges() {
			shown += len(c.Secret)
			readable += len(c.Data)
		}
		return shown, readable
	}
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		if shown, readable := look(a.Scope(kind, "sign-in", "f")); shown != 0 || readable == 0 {
			t.Errorf("a Scope shows %d bytes of secrets and %d of data", shown, readable)
		}
		err := a.Guess(kind, "sign-in", "f", func(s *vault.Scope) error {
			if shown, _ := look(s); shown == 0 {
				t.Error("Guess shows no secrets")
			}
			return nil
		})
		if shown, _ := look(a.Scope(kind, "sign-in", "f")); shown != 0 {
			t.Errorf("a Scope shows %d bytes of secrets after Guess", shown)
		}
		for _, f := range a.Factors() {
			if f.Secret != nil {
				t.Error("Account.Factors shows a secret")
			}
		}
		return err
	}))
	must(t, guess(t, b.Vault, "u", "secret")) // and it was kept
}

func TestGuessCreatesNoRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	wantErr(t, guess(t, b.Vault, "nobody", "x"), vault.ErrNotEnrolled)
	if n := b.store.applies.Load(); n != 0 {
		t.Errorf("%d writes for a user without a record", n)
	}
}
