package vault_test

// What the tests of this package share: a clock, a store that misbehaves on
// demand, and short forms.

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

const kind vault.Kind = "fake"

var errDown = errors.New("the wire was cut")

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// faulty is a store whose calls can be counted and replaced.
type faulty struct {
	store.Store
	loads, applies atomic.Int64
	onApply        func(ctx context.Context, n int64, c store.Change) error // n counts from 1
	onLoad         func(ctx context.Context, n int64, userID string) (store.Record, error)
}

func (f *faulty) Load(ctx context.Context, userID string) (store.Record, error) {
	n := f.loads.Add(1)
	if f.onLoad != nil {
		return f.onLoad(ctx, n, userID)
	}
	return f.Store.Load(ctx, userID)
}

func (f *faulty) Apply(ctx context.Context, c store.Change) error {
	n := f.applies.Add(1)
	if f.onApply != nil {
		return f.onApply(ctx, n, c)
	}
	return f.Store.Apply(ctx, c)
}

func (f *faulty) UserIDs(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	return f.Store.(store.Lister).UserIDs(ctx, cursor, limit)
}

func (f *faulty) reset() { f.loads.Store(0); f.applies.Store(0) }

type bench struct {
	*vault.Vault
	store *faulty
	clock *clock
	keys  vault.Keys
}

func newBench(t testing.TB) *bench {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{store: &faulty{Store: memstore.New()}, clock: newClock(), keys: keys}
	b.Vault = b.another(t, keys)
	return b
}

// another opens a further vault on the same store and clock.
func (b *bench) another(t testing.TB, keys vault.Keys) *vault.Vault {
	t.Helper()
	v, err := vault.Open(b.store, keys, &vault.Options{Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func update(t testing.TB, v *vault.Vault, user string, f func(*vault.Account) error) error {
	t.Helper()
	_, err := vault.Update(t.Context(), v, user, func(a *vault.Account) (struct{}, error) {
		return struct{}{}, f(a)
	})
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// enroll gives the user one factor with a secret and returns its ID.
func enroll(t testing.TB, v *vault.Vault, user string) string {
	t.Helper()
	id, err := vault.Update(t.Context(), v, user, func(a *vault.Account) (string, error) {
		f, err := a.Scope(kind, "confirm", "").Add(vault.Factor{Name: "one", Data: []byte("data"), Secret: []byte("secret")})
		if err != nil {
			return "", err
		}
		return f.ID, nil
	})
	must(t, err)
	return id
}

// guess answers with a code that is right when it equals the secret.
func guess(t testing.TB, v *vault.Vault, user, code string) error {
	t.Helper()
	return update(t, v, user, func(a *vault.Account) error {
		return a.Guess(kind, "sign-in", "flow", func(s *vault.Scope) error {
			for _, f := range s.Factors() {
				if string(f.Secret) == code {
					return nil
				}
			}
			return vault.ErrInvalid
		})
	})
}
