package vault

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// A queue lets one change of each user at a time through in this process.
// Across processes compare-and-swap decides; the queue only saves them work.
type queue struct {
	mu    sync.Mutex
	users map[string]*place
}

type place struct {
	turn    chan struct{} // holds one token while nobody has the turn
	waiting int           // who has or wants it
}

func newQueue() *queue { return &queue{users: map[string]*place{}} }

// enter waits for the user's turn. ErrBusy if it does not come in time.
func (q *queue) enter(ctx context.Context, userID string) (leave func(), err error) {
	q.mu.Lock()
	p := q.users[userID]
	if p == nil {
		p = &place{turn: make(chan struct{}, 1)}
		p.turn <- struct{}{}
		q.users[userID] = p
	}
	p.waiting++
	q.mu.Unlock()

	select {
	case <-p.turn: // free: no timer needed
		return func() { q.leave(userID, p) }, nil
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.turn:
		return func() { q.leave(userID, p) }, nil
	case <-t.C:
		err = ErrBusy
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget(userID, p)
	return nil, err
}

func (q *queue) leave(userID string, p *place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.turn <- struct{}{}
	q.forget(userID, p)
}

func (q *queue) forget(userID string, p *place) {
	if p.waiting--; p.waiting == 0 {
		delete(q.users, userID)
	}
}

// A cache keeps the sealed records that were seen last, for the first try of an
// Update. A nil cache keeps nothing.
type cache struct {
	mu    sync.Mutex
	max   int
	order *list.List // of cached, most recent first
	byID  map[string]*list.Element
}

type cached struct {
	userID string
	record store.Record
}

func newCache(max int) *cache {
	return &cache{max: max, order: list.New(), byID: map[string]*list.Element{}}
}

func (c *cache) get(userID string) (store.Record, bool) {
	if c == nil {
		return store.Record{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[userID]
	if !ok {
		return store.Record{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).record, true
}

func (c *cache) put(userID string, rec store.Record) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[userID]; ok {
		e.Value.(*cached).record = rec
		c.order.MoveToFront(e)
		return
	}
	c.byID[userID] = c.order.PushFront(&cached{userID, rec})
	if c.order.Len() > c.max {
		last := c.order.Back()
		delete(c.byID, last.Value.(*cached).userID)
		c.order.Remove(last)
	}
}

func (c *cache) drop(userID string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[userID]; ok {
		delete(c.byID, userID)
		c.order.Remove(e)
	}
}
