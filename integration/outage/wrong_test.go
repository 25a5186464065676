package outage

// Stores that are wrong on purpose.

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// A behind store answers before it saves.
type behind struct {
	store.Store
	mu    sync.Mutex
	seen  map[string]store.Record // what Load shows, by user ID
	queue []store.Change
}

// newBehind returns one that saves every quarter of a second, until ctx ends.
func newBehind(ctx context.Context, s store.Store) *behind {
	b := &behind{Store: s, seen: map[string]store.Record{}}
	go func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			b.mu.Lock()
			queue := b.queue
			b.queue = nil
			b.mu.Unlock()
			for _, c := range queue {
				s.Apply(ctx, c)
			}
		}
	}()
	return b
}

func (b *behind) Load(ctx context.Context, userID string) (store.Record, error) {
	b.mu.Lock()
	rec, ok := b.seen[userID]
	b.mu.Unlock()
	if ok {
		return rec, nil
	}
	return b.Store.Load(ctx, userID)
}

func (b *behind) Apply(_ context.Context, c store.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec, ok := b.seen[c.UserID]; ok && rec.Version != c.Old {
		return store.ErrConflict
	}
	b.seen[c.UserID] = store.Record{Version: c.New, Data: c.Data}
	b.queue = append(b.queue, c)
	return nil
}

// A trusting store takes an error for a success.
type trusting struct{ store.Store }

func (s trusting) Apply(ctx context.Context, c store.Change) error {
	if err := s.Store.Apply(ctx, c); err != nil && !errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return nil
}

// A forgetful store takes an error for a conflict and shows once more what was
// there before: over it a vault does what one would that does not look for its
// own save.
type forgetful struct {
	store.Store
	mu   sync.Mutex
	last map[string]store.Record
	once map[string]bool
}

func newForgetful(s store.Store) *forgetful {
	return &forgetful{Store: s, last: map[string]store.Record{}, once: map[string]bool{}}
}

func (s *forgetful) Load(ctx context.Context, userID string) (store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.once[userID] {
		s.once[userID] = false
		return s.last[userID], nil
	}
	rec, err := s.Store.Load(ctx, userID)
	s.last[userID] = rec
	return rec, err
}

func (s *forgetful) Apply(ctx context.Context, c store.Change) error {
	err := s.Store.Apply(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.last[c.UserID] = store.Record{Version: c.New, Data: c.Data}
	case errors.Is(err, store.ErrUnavailable):
		s.once[c.UserID] = s.last[c.UserID].Version == c.Old && c.Old != 0
		return store.ErrConflict
	}
	return err
}

// A careless store loads, compares and then saves over whatever is there.
type careless struct{ store.Store }

func (s careless) Apply(ctx context.Context, c store.Change) error {
	rec, err := s.Load(ctx, c.UserID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if rec.Version != c.Old {
		return store.ErrConflict
	}
	for {
		err := s.Store.Apply(ctx, c)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if rec, err = s.Load(ctx, c.UserID); err != nil {
			return err
		}
		if c.Old = rec.Version; c.Old == c.New {
			return nil
		}
	}
}
