package history

// Stores that are wrong on purpose, and one that only seems to be.

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

const (
	careless  = "careless"  // loads, compares and saves
	forgetful = "forgetful" // loses a save now and then that it said was done
	stale     = "stale"     // shows a record now and then that is not there any more
	late      = "late"      // nothing wrong: saves now and then after it said that it failed
)

func wrong(matter string, s store.Store) store.Store {
	switch matter {
	case careless:
		return carelessStore{s}
	case forgetful:
		return forgetfulStore{s}
	case stale:
		return &staleStore{Store: s, seen: map[string][2]store.Record{}}
	case late:
		return &lateStore{Store: s, failing: map[int64]bool{}}
	}
	return s
}

type carelessStore struct{ store.Store }

func (s carelessStore) Apply(ctx context.Context, c store.Change) error {
	rec, err := s.Load(ctx, c.UserID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if rec.Version != c.Old {
		return store.ErrConflict
	}
	time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond) // what others save now is lost
	for {
		err := s.Store.Apply(ctx, c)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		rec, err := s.Load(ctx, c.UserID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if c.Old = rec.Version; c.Old == c.New {
			return nil
		}
	}
}

type forgetfulStore struct{ store.Store }

func (s forgetfulStore) Apply(ctx context.Context, c store.Change) error {
	if rand.IntN(50) > 0 {
		return s.Store.Apply(ctx, c)
	}
	rec, err := s.Load(ctx, c.UserID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if rec.Version != c.Old {
		return store.ErrConflict
	}
	return nil
}

type staleStore struct {
	store.Store
	mu   sync.Mutex
	seen map[string][2]store.Record // the record that Load found last, and the one before
}

func (s *staleStore) Load(ctx context.Context, userID string) (store.Record, error) {
	rec, err := s.Store.Load(ctx, userID)
	if err != nil {
		return rec, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen[userID]
	if rec.Version != seen[0].Version {
		seen = [2]store.Record{rec, seen[0]}
		s.seen[userID] = seen
	}
	if seen[1].Version != 0 && rand.IntN(20) == 0 {
		return seen[1], nil
	}
	return rec, nil
}

// A late store fails now and then, as one behind a broken network does. Most of
// what it fails at is saved after all, some of it when nobody waits any more.
type lateStore struct {
	store.Store
	mu      sync.Mutex
	failing map[int64]bool // changes, by Change.New
}

func (s *lateStore) Apply(ctx context.Context, c store.Change) error {
	s.mu.Lock()
	begins := !s.failing[c.New] && rand.IntN(60) == 0
	if begins {
		s.failing[c.New] = true
	}
	fails := s.failing[c.New]
	s.mu.Unlock()
	if begins {
		switch rand.IntN(4) {
		case 0, 1: // at once: others save on top of it, until nobody can tell
			s.Store.Apply(ctx, c)
		case 2:
			time.AfterFunc(time.Duration(rand.IntN(700))*time.Millisecond, func() {
				s.Store.Apply(context.Background(), c)
			})
		}
	}
	if fails {
		return store.ErrUnavailable
	}
	return s.Store.Apply(ctx, c)
}
