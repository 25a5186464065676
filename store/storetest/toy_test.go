// A toy store with a choice of flaws, each where a real store would have it.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// A toy is right unless it has a flaw. It writes step by step, as a store
// without transactions does, and takes back what it wrote.
type toy struct {
	flaw string

	mu      sync.Mutex
	records map[string]store.Record
	owners  map[string]string
	dead    map[string]int64 // last versions of deleted users
	swaps   map[string]int   // how often a user's record was swapped
	old     map[string]lag   // what a replica still shows

	writers atomic.Int64 // how many are in Apply
}

type lag struct {
	record store.Record
	until  time.Time
}

func newToy(flaw string) *toy {
	return &toy{
		flaw:    flaw,
		records: make(map[string]store.Record),
		owners:  make(map[string]string),
		dead:    make(map[string]int64),
		swaps:   make(map[string]int),
		old:     make(map[string]lag),
	}
}

func (t *toy) Load(ctx context.Context, userID string) (store.Record, error) {
	if err := store.CheckUserID(userID); err != nil && t.flaw != "looks for any user ID" {
		return store.Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Record{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if was := t.old[userID]; time.Now().Before(was.until) {
		return was.record, nil
	}
	r, ok := t.records[userID]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	if t.flaw != "lends its data" {
		r.Data = bytes.Clone(r.Data)
	}
	return r, nil
}

func (t *toy) Owner(ctx context.Context, key string) (string, error) {
	if err := store.CheckKey(key); err != nil && t.flaw != "looks for any key" {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if userID, ok := t.owners[key]; ok {
		return userID, nil
	}
	return "", store.ErrNotFound
}

func (t *toy) Apply(ctx context.Context, c store.Change) error {
	crowd := t.writers.Add(1) > 1
	defer t.writers.Add(-1)
	if t.flaw == "lies in a crowd" || t.flaw == "sends twice in a crowd" {
		time.Sleep(50 * time.Microsecond) // for the crowd to gather
		crowd = crowd || t.writers.Load() > 1
	}
	err := t.apply(ctx, c)
	switch {
	case t.flaw == "lies in a crowd" && crowd && err == nil:
		return store.ErrUnavailable
	case t.flaw == "sends twice in a crowd" && crowd && err == nil:
		return t.apply(ctx, c)
	case t.flaw == "lies now and then" && err == nil && t.hundredth(c):
		return store.ErrUnavailable
	case t.flaw == "sends twice now and then" && err == nil && t.hundredth(c):
		return t.apply(ctx, c)
	}
	return err
}

// hundredth tells whether c was the hundredth swap of its user.
func (t *toy) hundredth(c store.Change) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.Old != 0 && t.swaps[c.UserID]%100 == 0
}

func (t *toy) apply(ctx context.Context, c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if r := t.records[c.UserID]; r.Version == c.Old && c.New != 0 {
			switch t.flaw {
			case "claims when cancelled":
				t.claim(c)
			case "writes data when cancelled":
				r.Data = bytes.Clone(c.Data)
				t.records[c.UserID] = r
			}
		}
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()

	r, there := t.records[c.UserID]
	if t.flaw == "claims first" && !t.taken(c) {
		t.claim(c)
	}
	if t.flaw == "releases first" {
		t.release(c)
	}
	if t.flaw == "tells of keys first" && t.taken(c) {
		return store.ErrKeyTaken
	}
	if !t.fits(c, r, there) {
		if t.flaw == "writes before it compares" && there && c.New != 0 {
			r.Data = bytes.Clone(c.Data)
			t.records[c.UserID] = r
		}
		return store.ErrConflict
	}
	if t.taken(c) {
		switch t.flaw {
		case "claims what it can":
			t.claim(c)
		case "swaps though a key is taken":
			t.swap(c, r)
		case "releases though a key is taken":
			t.release(c)
		}
		return store.ErrKeyTaken
	}
	switch {
	case t.flaw == "reads, then swaps" && c.Old != 0 && len(c.Claim) == 0,
		t.flaw == "reads, then creates" && c.Old == 0 && len(c.Claim) == 0,
		t.flaw == "asks, then claims" && len(c.Claim) != 0:
		t.mu.Unlock()
		time.Sleep(50 * time.Microsecond)
		t.mu.Lock()
	case t.flaw == "is interrupted after its claims":
		t.claim(c)
		if within(ctx) {
			return fmt.Errorf("%w: interrupted", store.ErrUnavailable)
		}
	}
	if t.flaw == "keeps the version of equal data" && there && bytes.Equal(r.Data, c.Data) && len(c.Claim) == 0 {
		return nil
	}
	t.swap(c, r)
	if t.flaw != "forgets releases" && (t.flaw != "forgets releases of a delete" || c.New != 0) {
		t.release(c)
	}
	if t.flaw != "forgets claims" && (t.flaw != "forgets claims of a create" || c.Old != 0) {
		t.claim(c)
	}
	if t.flaw == "lags now and then" && c.New != 0 && t.swaps[c.UserID]%100 == 99 {
		t.old[c.UserID] = lag{r, time.Now().Add(20 * time.Millisecond)}
	}
	return nil
}

// fits tells whether the record is at c.Old.
func (t *toy) fits(c store.Change, r store.Record, there bool) bool {
	switch t.flaw {
	case "create replaces":
		if c.Old == 0 {
			return true
		}
	case "swap creates":
		if c.Old != 0 && !there && c.New != 0 {
			return true
		}
	case "delete takes any version":
		if c.New == 0 && there {
			return true
		}
	case "swaps to a greater version":
		if there && c.Old != 0 {
			return c.Old >= r.Version
		}
	case "swaps if already at New":
		if there && c.New == r.Version {
			return true
		}
	case "compares versions as floats":
		return float64(r.Version) == float64(c.Old)
	case "compares 32 bits of a version":
		return there == (c.Old != 0) && int32(r.Version) == int32(c.Old)
	case "swaps the dead":
		if !there && c.Old != 0 && c.New != 0 && t.dead[c.UserID] == c.Old {
			return true
		}
	}
	return r.Version == c.Old
}

// swap writes the record.
func (t *toy) swap(c store.Change, r store.Record) {
	if c.Old != 0 {
		t.swaps[c.UserID]++
	}
	if t.flaw == "swaps by version alone" {
		for id, other := range t.records {
			if other.Version == c.Old {
				t.records[id] = store.Record{Version: c.New, Data: bytes.Clone(c.Data)}
			}
		}
	}
	data := c.Data
	if t.flaw != "keeps the caller's data" {
		data = bytes.Clone(c.Data)
	}
	if t.flaw == "wipes the caller's data" {
		clear(c.Data)
	}
	if t.flaw == "appends" {
		data = append(bytes.Clone(r.Data), data...)
	}
	if c.New != 0 {
		t.records[c.UserID] = store.Record{Version: c.New, Data: data}
		return
	}
	t.dead[c.UserID] = c.Old
	if t.flaw == "leaves a tombstone" {
		t.records[c.UserID] = store.Record{}
		return
	}
	delete(t.records, c.UserID)
}

// taken tells whether somebody else owns a key that c claims.
func (t *toy) taken(c store.Change) bool {
	for _, key := range c.Claim {
		owner, ok := t.owners[key]
		if ok && owner != c.UserID && t.flaw != "claims any key" || ok && t.flaw == "claims once" {
			return true
		}
	}
	return false
}

// claim claims those keys of c that are not taken.
func (t *toy) claim(c store.Change) {
	for _, key := range c.Claim {
		if owner, ok := t.owners[key]; !ok || owner == c.UserID || t.flaw == "claims any key" || t.flaw == "asks, then claims" {
			t.owners[key] = c.UserID
		}
	}
	if t.flaw == "wipes the caller's keys" {
		clear(c.Claim)
	}
}

func (t *toy) release(c store.Change) {
	for _, key := range c.Release {
		if t.owners[key] == c.UserID || t.flaw == "releases any key" {
			delete(t.owners, key)
		}
	}
	if t.flaw == "releases all" && len(c.Release) != 0 {
		for key, owner := range t.owners {
			if owner == c.UserID {
				delete(t.owners, key)
			}
		}
	}
}
