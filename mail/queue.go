package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Of a Queue that did not take a message: it has no room, or its Run has ended.
var (
	ErrFull   = errors.New("mail: queue is full")
	ErrClosed = errors.New("mail: queue is closed")
)

// A Queue is a Sender that takes messages at once and has them sent by Run, so
// that nobody waits for a mail server. It is for notices; the sender of a code
// should be waited for, so that a failure can be told.
//
// One slow server holds up all that is behind it: tenants with servers of their own
// should have queues of their own. It is in memory: what is in it when the process
// ends is lost. Who needs more sends to a mail server on the same machine, which
// keeps and repeats.
type Queue struct {
	to      Sender
	waiting chan Message
	onError func(Message, error)

	mu      sync.Mutex
	running int
	closed  bool // the last Run has ended, and none has begun since
}

const (
	sendTime  = 30 * time.Second // for one message
	drainTime = 5 * time.Second  // for what is left when Run's context ends
)

// NewQueue returns one with room for so many messages, at least one. onError is
// told, by Run, of each that could not be sent; nil: nobody is.
func NewQueue(to Sender, room int, onError func(Message, error)) *Queue {
	return &Queue{to: to, waiting: make(chan Message, max(room, 1)), onError: onError}
}

// Send takes a message, or returns ErrFull, ErrClosed or what is wrong with it. It
// never waits.
func (q *Queue) Send(ctx context.Context, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	select {
	case q.waiting <- m:
		return nil
	default:
		return ErrFull
	}
}

// Available implements what Available asks.
func (q *Queue) Available(ctx context.Context, tenant string) error {
	return Available(ctx, q.to, tenant)
}

// Run sends what is in the queue and what comes, one after the other, until ctx
// ends; then what is in it by now. Five seconds after ctx has ended, what is under
// way is ended too, and the rest fails. Several Runs at a time send side by side.
//
// Messages may come before the first Run. When the last has ended, none is taken
// any more that nobody would send: Send returns ErrClosed, until Run is called again.
func (q *Queue) Run(ctx context.Context) {
	q.begin()
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })()
	for ctx.Err() == nil {
		select {
		case m := <-q.waiting:
			q.send(late, m)
		case <-ctx.Done():
		}
	}
	for !q.ended() {
		select {
		case m := <-q.waiting:
			q.send(late, m)
		default: // another Run was quicker
		}
	}
}

func (q *Queue) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running++
	q.closed = false
}

// ended reports whether a Run has nothing left to send, and may end. Under the lock,
// no message comes in between.
func (q *Queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return false
	}
	q.running--
	q.closed = q.running == 0
	return true
}

func (q *Queue) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "queue [redacted]") }

func (q *Queue) send(ctx context.Context, m Message) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := q.try(ctx, m); err != nil && q.onError != nil {
		q.onError(m, err)
	}
}

// try keeps Run alive whatever a Sender does.
func (q *Queue) try(ctx context.Context, m Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("mail: a sender panicked")
		}
	}()
	return q.to.Send(ctx, m)
}
