package vault

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// ResealOptions may be nil.
type ResealOptions struct {
	After     string         // the user ID to go on after; "": from the beginning
	PerSecond int            // records looked at in a second at the most; 0: no bound
	Progress  func(Progress) // called after each record; nil: not
}

// Progress of a Reseal.
type Progress struct {
	Last     string // the user ID that was looked at last: ResealOptions.After to go on
	Seen     int    // records looked at
	Resealed int    // of these, were under another key and are now under the first
	Failed   int    // of these, could not be opened or saved
}

// Reseal seals every record that is under another key than the first anew. It
// is the third step of a key's replacement: repeat it until a pass ends with
// Resealed and Failed at 0, for other processes may still seal under the old
// key while it runs. Signing in goes on meanwhile. One record's failure is
// counted and does not end the pass; an error does, and Last says where.
// errors.ErrUnsupported if the store is no store.Lister.
func (v *Vault) Reseal(ctx context.Context, opts *ResealOptions) (Progress, error) {
	if opts == nil {
		opts = &ResealOptions{}
	}
	p := Progress{Last: opts.After}
	for id, err := range v.Users(ctx, opts.After) {
		if err != nil {
			return p, err
		}
		if opts.PerSecond > 0 && p.Seen > 0 {
			if err := sleep(ctx, time.Second/time.Duration(opts.PerSecond)); err != nil {
				return p, fmt.Errorf("vault: reseal: %w", err)
			}
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

func (v *Vault) reseal(ctx context.Context, userID string) (bool, error) {
	leave, err := v.queue.enter(ctx, userID)
	if err != nil {
		return false, err
	}
	defer leave()
	for retry := newRetry(); ; {
		rec, err := v.load(ctx, userID)
		if err != nil || rec.Version == 0 {
			return false, err
		}
		id, _, err := sealedUnder(rec.Data)
		if err != nil || id == v.ring.first() {
			return false, err
		}
		plain, err := v.ring.open(purposeRecord, userID, rec.Data)
		if err != nil {
			return false, err
		}
		vs, err := versionsOf(plain)
		if err != nil {
			return false, err
		}
		c := store.Change{UserID: userID, Old: rec.Version, New: newVersion(rec.Version)}
		vs.then(c.New).put(plain)
		if c.Data, err = v.ring.seal(purposeRecord, userID, plain); err != nil {
			return false, err
		}
		switch out, _, err := v.save(ctx, c); out {
		case landed:
			v.cache.put(userID, store.Record{Version: c.New, Data: c.Data})
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
