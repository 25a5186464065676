package vault

// One decision: load, run the change, compare-and-swap, and only then answer.

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

const (
	patience   = 5 * time.Second  // how long an Update queues, and then how long it retries
	effectTime = 10 * time.Second // for one effect

	// How long it may take to find out whether a save landed.
	settleTime  = 2 * time.Second        // where the caller has hung up
	graceTime   = 200 * time.Millisecond // where the caller's time is over
	longestWait = time.Minute            // where the caller has more time than that
)

// Update loads the account, runs change and saves the result with
// compare-and-swap. nil and errors that wrap ErrRejected are verdicts: they are
// saved, then told. Any other error, or a panic, saves nothing and runs no
// effect.
//
// change runs again on a fresh account when another writer came first, so it
// returns its result instead of assigning to outer variables, and does nothing
// to the world but through AfterSave. Updates of one user queue: change must
// not call Update for the same one.
//
// Give ctx an end: where a store hangs, so does everybody who queues for the
// same user, for five seconds each.
//
// With an error the result is the zero T, except with an *EffectError alone:
// then the change was saved, and what it returned stands.
func Update[T any](ctx context.Context, v *Vault, userID string, change func(*Account) (T, error)) (T, error) {
	var result, zero T
	effects, err := v.decide(ctx, userID, func(a *Account) (err error) {
		result, err = change(a)
		return err
	})
	failed := deliver(ctx, effects)
	switch {
	case err == nil && failed == nil:
		return result, nil
	case err == nil:
		return result, failed
	case failed == nil:
		return zero, err
	}
	return zero, errors.Join(err, failed)
}

// decide holds the user's place in the queue while it tries, and returns the
// effects of the try that was saved.
func (v *Vault) decide(ctx context.Context, userID string, change func(*Account) error) ([]func(context.Context) error, error) {
	if err := store.CheckUserID(userID); err != nil {
		return nil, err
	}
	leave, err := v.queue.enter(ctx, userID)
	if err != nil {
		return nil, err
	}
	defer leave()

	var (
		memo     = map[string][]byte{}
		taken    []string
		retry    = newRetry()
		rec, hit = v.cache.get(userID)
		fresh    = !hit // a cached record is good for a try that ends in a save, and for nothing else
	)
	if fresh {
		rec, err = v.load(ctx, userID)
	}
	for {
		if err != nil {
			return nil, err
		}
		effects, c, verdict := v.try(userID, rec, memo, taken, change)
		if c == nil { // nothing to save, or nothing may be
			if !fresh && !errors.Is(verdict, ErrBusy) {
				rec, err = v.load(ctx, userID)
				fresh = true
				continue
			}
			return effects, verdict
		}
		out, next, failure := v.save(ctx, *c)
		switch out {
		case landed:
			v.cache.put(userID, store.Record{Version: c.New, Data: c.Data})
			return effects, verdict
		case keyTaken:
			more, err := v.foreign(ctx, userID, c.Claim)
			if err != nil {
				return nil, err
			}
			taken = append(taken, more...)
		case lost:
			if !fresh { // a stale cache is no contention
				rec, fresh = next, true
				continue
			}
		default:
			v.cache.drop(userID)
			return nil, failure
		}
		if err = retry.pause(ctx); err == nil {
			rec, err = v.load(ctx, userID) // after the pause: where somebody saves all the time, what was there before it always loses
			fresh = true
		}
	}
}

// try runs the change once. Without a change to save, the error says why:
// a verdict that left everything as it was, or a failure.
func (v *Vault) try(userID string, rec store.Record, memo map[string][]byte, taken []string, change func(*Account) error) ([]func(context.Context) error, *store.Change, error) {
	o, err := v.open(userID, rec)
	if err != nil {
		return nil, nil, err
	}
	a := o.account
	a.memo, a.taken = memo, taken
	verdict := func() error {
		defer a.close()
		return change(a)
	}()
	if verdict != nil && !errors.Is(verdict, ErrRejected) {
		return nil, nil, verdict
	}
	c, err := v.seal(o, rec)
	if err != nil {
		return nil, nil, err
	}
	return a.effects, c, verdict
}

// foreign returns those of the keys that other users own.
func (v *Vault) foreign(ctx context.Context, userID string, keys []string) ([]string, error) {
	var taken []string
	for _, key := range keys {
		switch owner, err := v.store.Owner(ctx, key); {
		case errors.Is(err, store.ErrNotFound) || err == nil && owner == userID:
		case err != nil:
			return nil, fmt.Errorf("vault: owner: %w", err)
		default:
			taken = append(taken, key)
		}
	}
	return taken, nil
}

type outcome int

const (
	failed   outcome = iota // with an error: not saved, or nobody knows
	landed                  // saved
	lost                    // another writer came first; with the record that is there now
	keyTaken                // another user owns a key
)

// save applies c and finds out what became of it. A store's client may send a
// change twice, and a store may land one and answer an error: so a conflict can
// be with oneself, and an error can be a success. A store that is away is waited
// for, until the caller's context ends.
func (v *Vault) save(ctx context.Context, c store.Change) (outcome, store.Record, error) {
	var none store.Record
	if err := ctx.Err(); err != nil {
		return failed, none, fmt.Errorf("vault: %w", err) // nothing was sent
	}
	err := v.store.Apply(ctx, c)
	if err == nil {
		return landed, none, nil
	}
	own, cancel := settling(ctx)
	defer cancel()
	first, hungUp := err, ctx.Err() != nil
	for tries, wait := 1, 5*time.Millisecond; ; tries, wait = tries+1, min(8*wait, 320*time.Millisecond) {
		switch {
		case err == nil:
			return landed, none, nil
		case errors.Is(err, store.ErrArgument):
			return failed, none, fmt.Errorf("vault: save: %w", err)
		case errors.Is(err, store.ErrKeyTaken):
			return keyTaken, none, nil
		case errors.Is(err, store.ErrConflict), tries > 3:
			if rec, err := v.load(own, c.UserID); err == nil {
				return v.settle(c, rec, first)
			}
		}
		if sleep(own, wait) != nil {
			return unknown(first)
		}
		if !hungUp && ctx.Err() != nil { // in the meantime
			hungUp = true
			own, cancel = context.WithTimeout(own, settleTime)
			defer cancel()
		}
		err = v.store.Apply(own, c)
	}
}

// settling returns a context of our own for finding out whether a save landed: to
// the end of the caller's, and a moment longer where that has come.
func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := patience // where the caller names no end
	if end, ok := ctx.Deadline(); ok {
		wait = min(time.Until(end), longestWait)
	}
	if ctx.Err() != nil {
		wait = min(wait, settleTime)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), max(wait, graceTime))
}

func unknown(err error) (outcome, store.Record, error) {
	return failed, store.Record{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// settle looks for c in the record that is there now.
func (v *Vault) settle(c store.Change, rec store.Record, first error) (outcome, store.Record, error) {
	if rec.Version == c.New {
		return landed, rec, nil
	}
	conflict := errors.Is(first, store.ErrConflict)
	if rec.Version == c.Old && !conflict {
		return unknown(first) // it did not land, and may do so yet
	}
	if rec.Version == 0 || c.New == 0 {
		if conflict {
			return lost, rec, nil
		}
		return unknown(first) // deleted since: what was before left no trace
	}
	o, err := v.open(c.UserID, rec)
	if err != nil {
		return unknown(err)
	}
	switch {
	case slices.Contains(o.versions[:], c.New):
		return landed, rec, nil
	case conflict, slices.Contains(o.versions[:], c.Old):
		return lost, rec, nil
	}
	return unknown(first) // more saves since than a record remembers
}

// retry bounds how long a change is tried again.
type retry struct {
	until time.Time
	next  time.Duration
}

func newRetry() *retry {
	return &retry{until: time.Now().Add(patience), next: time.Millisecond}
}

// pause waits for a random time that grows, up to 100 ms. ErrBusy if there is
// no time left.
func (r *retry) pause(ctx context.Context) error {
	d := r.next/2 + time.Duration(randomUint64()%uint64(r.next))
	r.next = min(2*r.next, 100*time.Millisecond)
	if time.Now().Add(d).After(r.until) {
		return ErrBusy
	}
	if err := sleep(ctx, d); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return nil
}

func randomUint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver runs the effects of a saved change, each once. The caller's end does
// not end them: who hangs up does not suppress a notice.
func deliver(ctx context.Context, effects []func(context.Context) error) error {
	var errs []error
	for _, effect := range effects {
		if err := run(ctx, effect); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &EffectError{Err: errors.Join(errs...)}
}

func run(ctx context.Context, effect func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), effectTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("vault: an effect panicked")
		}
	}()
	return effect(ctx)
}
