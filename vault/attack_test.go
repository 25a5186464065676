package vault_test

// Attacks on the vault: stores that misbehave at random against a simple model,
// clocks of machines that disagree, and what a careless factor can do.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// dice are the same in every run (xorshift).
type dice uint64

func (d *dice) roll(n int) int {
	*d ^= *d << 13
	*d ^= *d >> 7
	*d ^= *d << 17
	return int(uint64(*d) >> 1 % uint64(n))
}

// hostile is a store between a vault and a sound one, which fails, lies, sends
// twice, sends late and lets others go first, as the dice fall.
type hostile struct {
	store.Store
	dice   *dice
	others func(ctx context.Context, userID string) // another writer's turn
	late   []store.Change                           // on their way still
	storm  int                                      // sends that fail still, the last to arrive after all
	busy   bool                                     // others are at it
	calm   bool
}

func (h *hostile) arrive(ctx context.Context) {
	for _, c := range h.late {
		_ = h.Store.Apply(ctx, c)
	}
	h.late = nil
}

func (h *hostile) Load(ctx context.Context, userID string) (store.Record, error) {
	if !h.calm && h.dice.roll(20) == 0 {
		return store.Record{}, store.ErrUnavailable
	}
	return h.Store.Load(ctx, userID)
}

func (h *hostile) Apply(ctx context.Context, c store.Change) error {
	h.arrive(ctx)
	if h.calm {
		return h.Store.Apply(ctx, c)
	}
	lie := func(error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, errDown) }
	rush := func() {
		for range 1 + h.dice.roll(2) {
			h.others(ctx, c.UserID)
		}
	}
	if h.storm > 0 {
		if h.storm--; h.storm == 0 {
			h.late = append(h.late, c)
		}
		return lie(nil)
	}
	switch h.dice.roll(10) {
	case 0: // fails
		return lie(nil)
	case 1: // lands and lies
		return lie(h.Store.Apply(ctx, c))
	case 2: // is sent twice
		_ = h.Store.Apply(ctx, c)
		return h.Store.Apply(ctx, c)
	case 3: // is overtaken
		rush()
		return h.Store.Apply(ctx, c)
	case 4: // lands, lies and is overtaken
		err := h.Store.Apply(ctx, c)
		rush()
		return lie(err)
	case 5: // is sent twice, with others in between
		_ = h.Store.Apply(ctx, c)
		rush()
		return h.Store.Apply(ctx, c)
	case 6: // arrives later
		h.late = append(h.late, c)
		return lie(nil)
	case 7: // is in a storm
		h.storm = 3
		return lie(nil)
	}
	return h.Store.Apply(ctx, c)
}

// journal is the kind whose one factor's data is the list of what was saved.
const journal vault.Kind = "journal"

var keyring = []string{"k0", "k1", "k2"}

func note(a *vault.Account, n int) error {
	s := a.Scope(journal, "", "")
	if fs := s.Factors(); len(fs) > 0 {
		fs[0].Data = append(slices.Clone(fs[0].Data), byte(n>>8), byte(n))
		return nil
	}
	_, err := s.Add(vault.Factor{Data: []byte{byte(n >> 8), byte(n)}})
	return err
}

func noted(t *testing.T, v *vault.Vault, user string) (ns []int) {
	t.Helper()
	s, err := v.View(t.Context(), user)
	must(t, err)
	for _, f := range s.Factors {
		if f.Kind == journal {
			for pair := range slices.Chunk(f.Data, 2) {
				ns = append(ns, int(pair[0])<<8|int(pair[1]))
			}
		}
	}
	slices.Sort(ns)
	return ns
}

// Whatever a store does, each change that was acknowledged is in the record
// once and has its effect once; one that was denied is not and has none; of
// one that is unknown the effect is not had. Keys belong to whose record names them.
func TestNoStoreMakesTheVaultLie(t *testing.T) {
	t.Parallel()
	for seed := range 16 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { besiege(t, uint64(seed)*0x9e3779b97f4a7c15+1) })
		})
	}
}

func besiege(t *testing.T, seed uint64) {
	d := dice(seed)
	sound, users := memstore.New(), []string{"u", "v"}
	clock := newClock()
	old, err := vault.NewKey()
	must(t, err)
	young, err := vault.NewKey()
	must(t, err)
	open := func(st store.Store, ring vault.Keys, size int) *vault.Vault {
		v, err := vault.Open(st, ring, &vault.Options{Now: clock.Now, Cache: size})
		must(t, err)
		return v
	}
	h := &hostile{Store: sound, dice: &d}
	vaults := []*vault.Vault{
		open(h, old+","+young, 0), open(h, young+","+old, 0), open(h, old+","+young, -1),
	}
	clean := open(sound, old+","+young, -1)
	others := []*vault.Vault{open(sound, young+","+old, 0), open(sound, old+","+young, -1)}

	number, effects := 0, map[int]int{}
	model := map[string][]int{} // what is known to be in each journal
	var went []int              // since the outer change began, by others; -1: a delete
	const deleted = -1

	// change runs one change, and says what became of it.
	change := func(ctx context.Context, v *vault.Vault, user string, ends error) (n int, err error) {
		number++
		n = number
		key := keyring[d.roll(len(keyring))]
		what := d.roll(4)
		got, err := vault.Update(ctx, v, user, func(a *vault.Account) (int, error) {
			if err := note(a, n); err != nil {
				return 0, err
			}
			a.AfterSave(func(context.Context) error { effects[n]++; return nil })
			s := a.Scope(kind, "", "")
			switch fs := s.Factors(); {
			case s.Taken(key):
				return n, vault.ErrInvalid
			case what == 0 && len(fs) > 0:
				s.Remove(fs[0].ID)
			case what == 1:
				if _, err := s.Add(vault.Factor{Key: key}); err != nil {
					return n, err
				}
			case what == 2 && len(fs) > 0: // away and back in one change
				k := fs[0].Key
				s.Remove(fs[0].ID)
				if _, err := s.Add(vault.Factor{Key: k}); err != nil {
					return n, err
				}
			}
			return n, ends
		})
		if err == nil && got != n {
			t.Errorf("change %d answers %d", n, got)
		}
		return n, err
	}
	h.others = func(ctx context.Context, user string) {
		if h.busy {
			return
		}
		h.busy = true
		defer func() { h.busy = false }()
		v := others[d.roll(len(others))]
		if d.roll(6) == 0 {
			must(t, v.Delete(ctx, user))
			went = append(went, deleted)
			return
		}
		n, err := change(context.WithoutCancel(ctx), v, user, nil)
		if err != nil && !errors.Is(err, vault.ErrRejected) {
			t.Errorf("another's change: %v", err)
		}
		went = append(went, n)
	}

	for range 120 {
		clock.Advance(time.Duration(d.roll(3000)) * time.Millisecond)
		user, v := users[d.roll(2)], vaults[d.roll(len(vaults))]
		went = nil
		h.calm = false
		var n int
		var err error
		switch d.roll(8) {
		case 0:
			n, err = deleted, v.Delete(t.Context(), user)
		case 1:
			n, err = change(t.Context(), v, user, errDown)
			if err == nil {
				t.Error("a failure ends as a success")
			}
		case 2:
			n, err = change(t.Context(), v, user, vault.ErrReplayed)
		case 3:
			_, err = v.Reseal(t.Context(), nil)
			n = 0
		case 4:
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+d.roll(50))*time.Millisecond)
			n, err = change(ctx, v, user, nil)
			cancel()
		default:
			n, err = change(t.Context(), v, user, nil)
		}
		h.calm, h.storm = true, 0
		h.arrive(t.Context())

		// what others did stands, in their order, before what was acknowledged
		want := slices.Clone(model[user])
		add := func(n int) {
			if n == deleted {
				want = nil
			} else if n != 0 {
				want = append(want, n)
			}
		}
		if n != 0 { // a Reseal meets others of both users: counted below
			for _, n := range went {
				add(n)
			}
		}
		acked := err == nil || errors.Is(err, vault.ErrRejected)
		// a Delete that failed may have been done, and others have come since
		unknown := errors.Is(err, vault.ErrOutcomeUnknown) || n == deleted && err != nil
		before := slices.Clone(want)
		if acked {
			add(n)
		}
		slices.Sort(want)
		slices.Sort(before)
		got := noted(t, clean, user)
		switch {
		case n == 0: // nothing is lost by sealing anew; others' changes may be there
			for _, u := range users {
				if len(went) == 0 && !slices.Equal(noted(t, clean, u), model[u]) {
					t.Errorf("seed %d: Reseal changed %v to %v", seed, model[u], noted(t, clean, u))
				}
			}
		case unknown: // it is there or it is not; others' changes are, unless it deleted them
			rest := slices.DeleteFunc(slices.Clone(got), func(m int) bool { return m == n })
			if n != deleted && !slices.Contains(went, deleted) && (!slices.Equal(rest, before) || len(got)-len(rest) > 1) {
				t.Errorf("seed %d: after %d with %v: %v, want %v", seed, n, err, got, before)
			}
		case !slices.Equal(got, want):
			t.Errorf("seed %d: after %d with %v and others' %v: %v, want %v", seed, n, err, went, got, want)
		}
		if n > 0 && effects[n] != map[bool]int{true: 1}[acked] {
			t.Errorf("seed %d: %d ended with %v after %d effects", seed, n, err, effects[n])
		}
		for _, m := range went {
			if m > 0 && effects[m] != 1 {
				t.Errorf("seed %d: another's %d had %d effects", seed, m, effects[m])
			}
		}
		for _, u := range users {
			model[u] = noted(t, clean, u)
		}
		holds := map[string]string{}
		for _, u := range users {
			s, err := clean.View(t.Context(), u)
			must(t, err)
			for _, f := range s.Factors {
				if f.Key != "" {
					if other, ok := holds[f.Key]; ok {
						t.Errorf("seed %d: key %s of both %s and %s", seed, f.Key, other, u)
					}
					holds[f.Key] = u
				}
			}
		}
		for _, key := range keyring {
			owner, err := clean.Owner(t.Context(), kind, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) || owner != holds[key] {
				t.Errorf("seed %d: key %s is owned by %q, %v; the record of %q names it", seed, key, owner, err, holds[key])
			}
		}
		if t.Failed() {
			return
		}
	}
}

// Two machines whose clocks differ by more than the tolerance and less than a
// token's life: what was spent on the one that runs ahead stays spent on the
// other, whatever is spent after.
func TestSpentOnAMachineThatRunsAhead(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Minute
	for _, ahead := range []time.Duration{time.Minute, 2*time.Minute + time.Second, 5 * time.Minute, 9 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			enroll(t, b.Vault, "u")
			fast, err := vault.Open(b.store, b.keys, &vault.Options{Now: func() time.Time { return b.clock.Now().Add(ahead) }})
			must(t, err)
			issued := b.clock.Now()
			b.clock.Advance(20 * time.Second)
			must(t, update(t, fast, "u", func(a *vault.Account) error { a.Spend("token", issued, ttl); return nil }))
			for n := 0; b.clock.Now().Before(issued.Add(ttl)); n++ {
				live, err := vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (bool, error) { return a.Live("token", issued), nil })
				if must(t, err); live {
					t.Fatalf("good again after %d others were spent", n)
				}
				must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Spend(fmt.Sprint(n), a.Now(), ttl); return nil }))
				b.clock.Advance(20 * time.Second)
			}
		})
	}
}

// One enrolment, however big, leaves room for what a sign-in writes.
func TestEnrolmentLeavesRoomToSignIn(t *testing.T) {
	t.Parallel()
	for _, size := range []int{300, 3000, 3900, 7000, 11000, 15000} {
		b := newBench(t)
		enroll(t, b.Vault, "u")
		for n := range 60 {
			err := update(t, b.Vault, "u", func(a *vault.Account) error {
				_, err := a.Scope("big", "", "").Add(vault.Factor{Data: make([]byte, size)})
				return err
			})
			if errors.Is(err, vault.ErrFull) {
				break
			}
			must(t, err)
			if n == 59 {
				t.Error("no end of enrolments")
			}
		}
		for i := range 16 {
			must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
				a.Spend(fmt.Sprintf("%016d", i), a.Now(), time.Hour)
				a.Allow(fmt.Sprint("bucket", i%4), vault.Limit{N: 32, Per: time.Hour})
				return a.Scope("big", "sign-in", strings.Repeat("f", 32)).Issue(vault.Challenge{
					FactorID: fmt.Sprint(i % 8), Data: make([]byte, 64), Expires: a.Now().Add(time.Minute),
				})
			}))
		}
		for range vault.Burst {
			wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrInvalid)
		}
	}
}

// A factor that was disabled can be enrolled anew with the same unique key.
func TestDisabledFactorsKeyIsOnesOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	add := func(a *vault.Account) error {
		_, err := a.Scope(kind, "", "").Add(vault.Factor{Key: "k", Secret: []byte("secret")})
		return err
	}
	must(t, update(t, b.Vault, "u", add))
	for range vault.Consecutive {
		b.clock.Advance(25 * time.Hour)
		wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrInvalid)
	}
	b.clock.Advance(25 * time.Hour)
	must(t, update(t, b.Vault, "u", add))
	must(t, guess(t, b.Vault, "u", "secret"))
	if owner, err := b.Owner(t.Context(), kind, "k"); err != nil || owner != "u" {
		t.Errorf("the key is owned by %q, %v", owner, err)
	}
}

// Secrets that a factor writes outside Guess are kept, and none shows there.
func TestSecretsWrittenOutsideGuess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		a.Scope(kind, "", "").Factor(id).Secret = []byte("new")
		return a.Guess(kind, "sign-in", "", func(s *vault.Scope) error {
			if got := string(s.Factor(id).Secret); got != "new" {
				t.Errorf("Guess shows %q", got)
			}
			return nil
		})
	}))
	must(t, guess(t, b.Vault, "u", "new"))
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		return a.Scope(kind, "sign-in", "f").Issue(vault.Challenge{Secret: []byte("s"), Expires: a.Now().Add(time.Minute)})
	}))
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		s := a.Scope(kind, "sign-in", "f")
		c, ok := s.Take("", "", "")
		if !ok || c.Secret != nil {
			t.Errorf("taken %t with %q", ok, c.Secret)
		}
		if cs := s.Challenges(); len(cs) != 0 {
			t.Errorf("left: %v", cs)
		}
		return s.Issue(c)
	}))
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		return a.Guess(kind, "sign-in", "f", func(s *vault.Scope) error {
			c, ok := s.Take("", "", "")
			if !ok || string(c.Secret) != "s" {
				t.Errorf("a challenge that was issued again is %q, %t", c.Secret, ok)
			}
			return s.Issue(c)
		})
	}))
	if _, err := vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (struct{}, error) {
		for _, c := range a.Scope(kind, "", "").Challenges() {
			if c.Secret != nil {
				t.Errorf("a Scope shows %q", c.Secret)
			}
		}
		return struct{}{}, nil
	}); err != nil {
		t.Error(err)
	}
}

// A factor that panics leaves nothing shown and no open Scope, also where the
// panic is caught.
func TestNothingShowsAfterAPanic(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		var kept *vault.Scope
		if !panics(func() {
			_ = a.Guess(kind, "sign-in", "", func(s *vault.Scope) error { kept = s; panic("verify") })
		}) {
			t.Error("the panic was swallowed")
		}
		if f := a.Scope(kind, "", "").Factor(id); f.Secret != nil {
			t.Errorf("a Scope shows %q", f.Secret)
		}
		if !panics(func() { kept.Factors() }) {
			t.Error("the Scope of Guess outlives it")
		}
		return nil
	}))
	must(t, guess(t, b.Vault, "u", "secret"))
}

func TestExpiredChallengeIsNotReturned(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		return a.Scope(kind, "p", "f").Issue(vault.Challenge{Data: []byte("d"), Secret: []byte("s"), Expires: a.Now().Add(time.Minute)})
	}))
	b.clock.Advance(time.Minute)
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		return a.Guess(kind, "p", "f", func(s *vault.Scope) error {
			if c, ok := s.Take("", "", ""); ok || c.Data != nil || c.Secret != nil {
				t.Errorf("taken %t: %q %q", ok, c.Data, c.Secret)
			}
			return nil
		})
	}))
}

// What one try writes to a value of Once is not seen by the next.
func TestOnceIsNotShared(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	other, tries := b.another(t, b.keys), 0
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		if tries++; tries < 4 {
			must(t, update(t, other, "u", name(fmt.Sprint(tries))))
		}
		got, err := a.Scope(kind, "", "").Once("x", func() ([]byte, error) { return []byte("value"), nil })
		if string(got) != "value" {
			t.Errorf("try %d got %q", tries, got)
		}
		clear(got)
		a.Spend("x", a.Now(), time.Minute)
		return err
	}))
}

func TestAllowWithOddLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for i, test := range []struct {
		limit vault.Limit
		want  int // of 40 uses at once
	}{
		{vault.Limit{N: 0, Per: time.Hour}, 0},
		{vault.Limit{N: -1, Per: time.Hour}, 0},
		{vault.Limit{}, 0},
		{vault.Limit{N: 3, Per: 24 * time.Hour}, 3},
		{vault.Limit{N: 1000, Per: time.Hour}, 32},
	} {
		got := 0
		for range 40 {
			must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
				wait, ok := a.Allow(fmt.Sprint(i), test.limit)
				if ok {
					got++
				} else if wait <= 0 {
					t.Errorf("%+v: refused for %v", test.limit, wait)
				}
				return nil
			}))
		}
		if got != test.want {
			t.Errorf("%+v: %d uses, want %d", test.limit, got, test.want)
		}
	}
}

// Whatever Seal returns, Unseal takes.
func TestSealedTokensOpenAtEverySize(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, subject := range []string{"", "u", strings.Repeat("s", 16)} {
		for _, size := range []int{0, 1, 1000, 5000, 6050, 6100, 6200, 10000} {
			token, err := b.Seal("p", subject, make([]byte, size))
			if errors.Is(err, vault.ErrFull) && size > 6000 {
				continue
			}
			must(t, err)
			if got, err := b.Unseal("p", subject, token); err != nil || len(got) != size {
				t.Errorf("%d bytes for %q: %d, %v", size, subject, len(got), err)
			}
			for _, other := range []string{"", "u", strings.Repeat("s", 16)} {
				if _, err := b.Unseal("p", other, token); other != subject && err == nil {
					t.Errorf("a token for %q opens for %q", subject, other)
				}
			}
			if _, err := b.Unseal(" of anybody: p", subject, token); err == nil {
				t.Error("a token opens for another purpose")
			}
		}
	}
}

// What a clock that ran ahead left is put right by one write, also where every
// try is refused.
func TestHealingIsWrittenOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	b.clock.Advance(24 * time.Hour)
	for range vault.Burst {
		wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrInvalid)
	}
	b.clock.Advance(-24 * time.Hour)
	b.store.reset()
	for range 29 { // the pause ends: it does not begin anew with each try
		wantErr(t, guess(t, b.Vault, "u", "secret"), vault.ErrTooMany)
		b.clock.Advance(time.Second)
	}
	if n := b.store.applies.Load(); n != 1 {
		t.Errorf("%d writes for refused tries, want 1", n)
	}
	b.clock.Advance(2 * time.Second)
	must(t, guess(t, b.Vault, "u", "secret"))
}
