// Package memstore keeps sealed accounts in memory, for tests, demonstrations
// and programs whose users may set up their factors anew after a restart.
//
//	st := memstore.New()
//
// # Security
//
// Everything is lost when the process ends: the users' factors, and with them
// what was spent and counted. An application whose accounts outlive the process
// must not use this package, or a restart switches the second factor off. (Its
// own flag in mfa.FirstFactor.Expect turns that into an error.) The bytes that
// are kept are those the caller passed, sealed by the vault.
//
// # Concurrency
//
// A Store may be used from many goroutines at once. It belongs to one process.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-f4994bf1/mfa/store"
)

var (
	_ store.Store  = (*Store)(nil)
	_ store.Lister = (*Store)(nil)
)

// A Store keeps records in memory. The zero value is empty and ready for use.
// A Store must not be copied after first use.
//
// It keeps nothing of a deleted record. A key stays owned until a change
// releases it, as in every other store.
type Store struct {
	mu      sync.RWMutex
	records map[string]store.Record // by user ID; the data is never shared and never written to
	owners  map[string]string       // user ID by key
}

// New returns an empty store.
func New() *Store {
	return &Store{}
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, userID string) (store.Record, error) {
	if err := store.CheckUserID(userID); err != nil {
		return store.Record{}, err
	}
	if err := alive(ctx); err != nil {
		return store.Record{}, err
	}
	s.mu.RLock()
	r, ok := s.records[userID]
	s.mu.RUnlock()
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	r.Data = bytes.Clone(r.Data)
	return r, nil
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := alive(ctx); err != nil {
		return err
	}
	r := store.Record{Version: c.New, Data: bytes.Clone(c.Data)}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[c.UserID].Version != c.Old { // 0 where there is none
		return store.ErrConflict
	}
	for _, key := range c.Claim {
		if owner, ok := s.owners[key]; ok && owner != c.UserID {
			return store.ErrKeyTaken
		}
	}

	// From here on nothing fails.
	if s.records == nil {
		s.records = make(map[string]store.Record)
		s.owners = make(map[string]string)
	}
	if c.New == 0 {
		delete(s.records, c.UserID)
	} else {
		s.records[c.UserID] = r
	}
	for _, key := range c.Release {
		if s.owners[key] == c.UserID {
			delete(s.owners, key)
		}
	}
	for _, key := range c.Claim {
		s.owners[key] = c.UserID
	}
	return nil
}

// Owner implements [store.Store].
func (s *Store) Owner(ctx context.Context, key string) (string, error) {
	if err := store.CheckKey(key); err != nil {
		return "", err
	}
	if err := alive(ctx); err != nil {
		return "", err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	userID, ok := s.owners[key]
	if !ok {
		return "", store.ErrNotFound
	}
	return userID, nil
}

// UserIDs implements [store.Lister], in the order of the user IDs' bytes. The
// cursor is the last user ID of the page before, and limit is at least 1. Each
// page looks at every user.
func (s *Store) UserIDs(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("%w: a page of %d users", store.ErrArgument, limit)
	}
	if err := alive(ctx); err != nil {
		return nil, "", err
	}
	s.mu.RLock()
	for id := range s.records {
		if id > cursor {
			ids = append(ids, id)
		}
	}
	s.mu.RUnlock()
	slices.Sort(ids)
	if len(ids) > limit {
		ids = slices.Clone(ids[:limit])
		next = ids[limit-1]
	}
	return ids, next, nil
}

// alive returns an error that wraps [store.ErrUnavailable] and the context's
// own if it has ended.
func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}
