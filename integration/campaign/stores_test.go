package campaign

// Stores that are wrong on purpose, or unlucky.

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/seed-f4994bf1/mfa/store"
)

// A careless store loads, compares and then saves: the mistake that
// compare-and-swap is there to avoid.
type careless struct{ store.Store }

func (s careless) Apply(ctx context.Context, c store.Change) error {
	rec, err := s.Load(ctx, c.UserID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if rec.Version != c.Old {
		return store.ErrConflict
	}
	runtime.Gosched()
	for {
		err := s.Store.Apply(ctx, c)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		// Somebody else saved meanwhile: over it.
		if rec, err = s.Load(ctx, c.UserID); err != nil {
			return err
		}
		if c.Old = rec.Version; c.Old == c.New {
			return nil
		}
	}
}

// A counting store counts the calls.
type counting struct {
	store.Store
	loads, applies, owners atomic.Int64
}

func (s *counting) Load(ctx context.Context, userID string) (store.Record, error) {
	s.loads.Add(1)
	return s.Store.Load(ctx, userID)
}

func (s *counting) Apply(ctx context.Context, c store.Change) error {
	s.applies.Add(1)
	return s.Store.Apply(ctx, c)
}

func (s *counting) Owner(ctx context.Context, key string) (string, error) {
	s.owners.Add(1)
	return s.Store.Owner(ctx, key)
}

// calls are the calls since the last time.
type calls struct{ loads, applies, owners int64 }

func (s *counting) calls() calls {
	return calls{s.loads.Swap(0), s.applies.Swap(0), s.owners.Swap(0)}
}

func carelessly(s store.Store) store.Store { return careless{s} }

// An unlucky store fails as it is told to, until it is told otherwise.
type unlucky struct {
	store.Store
	n       atomic.Int64 // calls of Apply since onApply was set
	inside  atomic.Int64 // of them, those that have not returned
	landed  atomic.Int64 // changes that were saved, whatever was told
	onApply func(ctx context.Context, n int, c store.Change, apply func(context.Context) error) error
	onLoad  func(ctx context.Context, load func(context.Context) (store.Record, error)) (store.Record, error)
}

func (s *unlucky) Apply(ctx context.Context, c store.Change) error {
	s.inside.Add(1)
	defer s.inside.Add(-1)
	apply := func(ctx context.Context) error {
		err := s.Store.Apply(ctx, c)
		if err == nil {
			s.landed.Add(1)
		}
		return err
	}
	if s.onApply == nil {
		return apply(ctx)
	}
	return s.onApply(ctx, int(s.n.Add(1)), c, apply)
}

func (s *unlucky) Load(ctx context.Context, userID string) (store.Record, error) {
	load := func(ctx context.Context) (store.Record, error) { return s.Store.Load(ctx, userID) }
	if s.onLoad == nil {
		return load(ctx)
	}
	return s.onLoad(ctx, load)
}

// lucky ends every fault.
func (s *unlucky) lucky() {
	s.onApply, s.onLoad = nil, nil
	s.n.Store(0)
}
