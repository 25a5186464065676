package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// ResealOptions may be nil.
type ResealOptions struct {
	// After is the user ID to go on behind, in the order of Users; "": from the
	// beginning. The user need not be there any more.
	After string

	// PerSecond is how many records are looked at within any second at the most,
	// also across calls that follow each other, and whatever becomes of them.
	// 0: no bound.
	PerSecond int

	Progress func(Progress) // called after each record; nil: not
}

// Progress of a Reseal.
type Progress struct {
	Last     string // the user ID that was looked at last: ResealOptions.After to go on
	Seen     int    // records looked at
	Resealed int    // of these, were under another key and are now under the first
	Failed   int    // of these, could not be opened or saved
}

// Reseal seals every record that is under another key than the first anew. It
// is the third step of a key's replacement (see Keys), for when every process has
// the new key first. Repeat it until a pass from the beginning to the end has
// Resealed and Failed at 0: one may fail while somebody signs in, and a process that
// lags behind may still seal under the old key. Signing in goes on meanwhile,
// and finds its records in the cache as before.
//
// One record's failure is counted and does not end the pass; an error does.
// Then Last says where to go on: a pass that is gone on with sees everybody who was
// there from its beginning. errors.ErrUnsupported if the store is no store.Lister.
func (v *Vault) Reseal(ctx context.Context, opts *ResealOptions) (Progress, error) {
	if opts == nil {
		opts = &ResealOptions{}
	}
	p := Progress{Last: opts.After}
	pace := newPace(opts.PerSecond)
	for id, err := range v.Users(ctx, opts.After) {
		if err != nil {
			return p, err
		}
		if err := pace.wait(ctx); err != nil {
			return p, fmt.Errorf("vault: reseal: %w", err)
		}
		resealed, err := v.reseal(ctx, id)
		if ctx.Err() != nil {
			return p, fmt.Errorf("vault: reseal: %w", ctx.Err())
		}
		p.Last = id
		p.Seen++
		switch {
		case err != nil:
			p.Failed++
		case resealed:
			p.Resealed++
		}
		if opts.Progress != nil {
			opts.Progress(p)
		}
	}
	return p, nil
}

// A pace keeps beginnings apart, so that every second holds as many of them as
// it may. Time that the work itself takes is not waited for again, and time that
// was lost is not made up by a burst.
type pace struct {
	apart time.Duration
	last  time.Time // when the last one began
}

func newPace(perSecond int) *pace {
	p := &pace{last: time.Now()} // a call before this one may have ended with a beginning
	if n := time.Duration(perSecond); n > 0 {
		p.apart = (time.Second + n - 1) / n // rounded up
	}
	return p
}

// wait returns when the next may begin.
func (p *pace) wait(ctx context.Context) error {
	if p.apart == 0 {
		return nil
	}
	if d := p.apart - time.Since(p.last); d > 0 {
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	p.last = time.Now()
	return nil
}

func (v *Vault) reseal(ctx context.Context, userID string) (bool, error) {
	leave, err := v.queue.enter(ctx, userID)
	if err != nil {
		return false, err
	}
	defer leave()
	cold := *v // a pass goes through everybody, and must not push out of memory who signs in
	cold.cache, cold.ring.boxes = nil, nil
	for retry := newRetry(); ; {
		rec, err := cold.load(ctx, userID)
		if err != nil || rec.Version == 0 {
			return false, err
		}
		id, _, err := sealedUnder(rec.Data)
		if err != nil || id == cold.ring.first() {
			return false, err
		}
		plain, err := cold.ring.open(purposeRecord, userID, rec.Data)
		if err != nil {
			return false, err
		}
		vs, err := versionsOf(plain)
		if err != nil {
			return false, err
		}
		c := store.Change{UserID: userID, Old: rec.Version, New: newVersion(rec.Version)}
		vs.then(c.New).put(plain)
		if c.Data, err = cold.ring.seal(purposeRecord, userID, plain); err != nil {
			return false, err
		}
		switch out, _, err := cold.save(ctx, c); out {
		case landed:
			if _, ok := v.cache.get(userID); ok {
				v.cache.put(userID, store.Record{Version: c.New, Data: c.Data})
			}
			return true, nil
		case lost:
		default:
			return false, err
		}
		if err := retry.pause(ctx); err != nil {
			return false, err
		}
	}
}
