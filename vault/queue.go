package vault

import (
	"context"
	"fmt"
	"sync"
	"time"
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
