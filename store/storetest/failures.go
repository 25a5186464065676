package storetest

// Checks of failures: they are no answers, are whole, and tell nobody's secrets.

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

const noAnswer = "a failure is never an answer: not ErrNotFound, ErrConflict, ErrKeyTaken or ErrArgument"

func cancelled(k *kit) {
	const ends = "a call whose context has ended fails"
	user, key, ctx := k.user(), k.key(), k.ended()
	v := k.put(user, []byte("one"), key)

	for _, id := range []string{user, k.user()} {
		if _, err := k.s.Load(ctx, id); err == nil {
			k.broken(ends, "Load = nil")
		} else if isAnswer(err) {
			k.broken(noAnswer, "Load with an ended context = %v", err)
		}
	}
	for _, id := range []string{key, k.key()} {
		if _, err := k.s.Owner(ctx, id); err == nil {
			k.broken(ends, "Owner = nil")
		} else if isAnswer(err) {
			k.broken(noAnswer, "Owner with an ended context = %v", err)
		}
	}
	taken := k.key()
	k.put(k.user(), nil, taken)
	for _, c := range []store.Change{
		{UserID: user, Old: v, New: k.version(), Data: []byte("two")},
		{UserID: user, Old: v, New: k.version(), Data: []byte("two"), Claim: []string{k.key()}, Release: []string{key}},
		{UserID: user, Old: v, New: k.version(), Data: []byte("two"), Claim: []string{taken}},
		{UserID: user, Old: v ^ 1, New: k.version(), Data: []byte("two")},
		{UserID: user, Old: v, Release: []string{key}},
		{UserID: user, New: k.version(), Data: []byte("two")},
	} {
		if err := k.s.Apply(ctx, c); err == nil {
			k.broken(ends, "Apply(%s) = nil", describe(c))
		} else if isAnswer(err) {
			k.broken(noAnswer, "Apply(%s) with an ended context = %v", describe(c), err)
		}
		if c.Old != v || len(c.Claim) == 1 && c.Claim[0] == taken {
			k.has(user, v, []byte("one"), "a change that does not fit is not applied")
			continue
		}
		if k.whole(c, []byte("one")) { // it landed: back to where we were
			back := store.Change{UserID: user, Old: c.New, New: v, Data: []byte("one"), Claim: c.Release, Release: c.Claim}
			k.apply(back, nil, "a change that fits is applied")
		}
	}
}

func interrupted(k *kit) {
	user, key := k.user(), k.key()
	v := k.put(user, []byte("0"), key)
	pace := time.Second // how long a call takes
	for range 10 {
		started := time.Now()
		k.has(user, v, []byte("0"), "Load returns what was created")
		pace = min(pace, max(time.Since(started), 10*time.Microsecond))
	}

	// Contexts end before, during and after the calls: by the clock, and by how
	// often the store has looked whether they did.
	soon := func(i int) (context.Context, func()) {
		if i%2 == 0 {
			return &lookedAt{Context: k.Context(), left: i / 2 % 8, ended: make(chan struct{})}, func() {}
		}
		ctx, cancel := context.WithCancel(k.Context())
		timer := time.AfterFunc(pace*time.Duration(i%20)/10, cancel)
		return ctx, func() { timer.Stop(); cancel() }
	}
	was := []byte("0")
	for i := range 100 {
		ctx, cancel := soon(i)
		if _, err := k.s.Load(ctx, user); isAnswer(err) {
			k.broken(noAnswer, "Load, interrupted = %v", err)
		}
		cancel()
		ctx, cancel = soon(i)
		if _, err := k.s.Owner(ctx, key); isAnswer(err) {
			k.broken(noAnswer, "Owner, interrupted = %v", err)
		}
		cancel()

		c := store.Change{UserID: user, Old: v, New: k.version(), Data: fmt.Append(nil, i+1),
			Claim: []string{k.key()}, Release: []string{key}}
		ctx, cancel = soon(i)
		err := k.s.Apply(ctx, c)
		cancel()
		if isAnswer(err) {
			k.broken(noAnswer, "Apply(%s), interrupted = %v", describe(c), err)
		}
		if landed := k.whole(c, was); !landed && err == nil {
			k.broken("nil says that the change was applied", "Apply(%s) = nil, and the record is as before", describe(c))
		} else if !landed {
			// It may land as late as now, so a conflict is as good.
			if err := k.s.Apply(k.Context(), c); err != nil && !errors.Is(err, store.ErrConflict) {
				k.broken("a change that fits is applied", "Apply(%s), repeated = %v", describe(c), err)
			}
		}
		k.has(user, c.New, c.Data, "a change whose outcome is unknown can be repeated")
		v, key, was = c.New, c.Claim[0], c.Data
	}
}

// lookedAt is a context that ends when somebody has looked at it so often.
type lookedAt struct {
	context.Context
	mu    sync.Mutex
	left  int
	ended chan struct{}
}

func (c *lookedAt) look() (ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == -1 {
		close(c.ended)
	}
	return c.left < 0
}

func (c *lookedAt) Done() <-chan struct{} {
	c.look()
	return c.ended
}

func (c *lookedAt) Err() error {
	if c.look() {
		return context.Canceled
	}
	return nil
}

// whole tells whether the change c, which was to replace the data was, landed,
// and stops unless all of it did or none. A change that failed may still be on
// its way to the database, so it looks again for a while.
func (k *kit) whole(c store.Change, was []byte) (landed bool) {
	k.Helper()
	ctx := k.Context()
	var seen string
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		r, err := k.s.Load(ctx, c.UserID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			k.broken("Load answers", "Load = %v", err)
		}
		landed = r.Version == c.New
		want := was
		if landed {
			want = c.Data
		}
		right := (landed || r.Version == c.Old) && string(r.Data) == string(want)
		seen = fmt.Sprintf("the record is at New: %t, at Old: %t, with the data of that: %t", landed, r.Version == c.Old, right)
		for i, key := range append(append([]string{}, c.Claim...), c.Release...) {
			claimed := i < len(c.Claim)
			owner, err := k.s.Owner(ctx, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				k.broken("Owner answers", "Owner = %v", err)
			}
			owns := owner == c.UserID
			right = right && owns == (claimed == landed)
			seen += fmt.Sprintf("; owns a key to be claimed (%t): %t", claimed, owns)
		}
		if right {
			return landed
		}
	}
	k.broken("a change that fails happens wholly or not at all", "after Apply(%s): %s", describe(c), seen)
	return false
}

func errorText(k *kit) {
	const rule = "an error's text holds no user ID, key or data"
	user, key, data := k.user(), k.key(), []byte(k.user())
	v := k.put(user, data, key)
	long := strings.Repeat(user, 20)
	ctx, ended := k.Context(), k.ended()
	load := func(ctx context.Context, id string) error { _, err := k.s.Load(ctx, id); return err }
	owner := func(ctx context.Context, key string) error { _, err := k.s.Owner(ctx, key); return err }
	absent := k.user()
	secrets := []string{user, absent, key, string(data)}
	for _, err := range []error{
		load(ctx, absent), load(ended, user), load(ctx, long),
		owner(ctx, absent[:24]+"12345678"), owner(ended, key), owner(ctx, key+key),
		k.s.Apply(ctx, store.Change{UserID: user, New: k.version(), Data: data}),
		k.s.Apply(ctx, store.Change{UserID: user, Old: v ^ 1, New: k.version(), Data: data}),
		k.s.Apply(ctx, store.Change{UserID: absent, New: k.version(), Data: data, Claim: []string{key}}),
		k.s.Apply(ctx, store.Change{UserID: long, New: k.version(), Data: data}),
		k.s.Apply(ctx, store.Change{UserID: user, Old: v, New: k.version(), Claim: []string{key + key}}),
		k.s.Apply(ended, store.Change{UserID: user, Old: v, New: k.version(), Data: data, Claim: []string{key}}),
	} {
		if err == nil {
			continue // another check's business
		}
		text := strings.ToLower(err.Error())
		for _, secret := range secrets {
			quoted := fmt.Sprintf("%q", secret)
			for _, form := range []string{secret, quoted[1 : len(quoted)-1], hex.EncodeToString([]byte(secret))} {
				if strings.Contains(text, strings.ToLower(form)) {
					k.broken(rule, "an error says: %v", err)
				}
			}
		}
	}
}
