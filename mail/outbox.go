package mail

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
)

// An Outbox is a Sender that keeps what it is given: for tests, and for an inbox
// page in development. The zero Outbox is ready. It may be used by many
// goroutines.
type Outbox struct {
	mu   sync.Mutex
	kept []Kept
	fail error
}

// A Kept is a message as it would have gone out.
type Kept struct {
	From string // the address of the sender that took it, "" of the Outbox itself
	Message
}

func (o *Outbox) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "outbox [redacted]") }

// maxKept is how many messages are kept: the oldest give way.
const maxKept = 10_000

// Send implements Sender.
func (o *Outbox) Send(ctx context.Context, m Message) error { return o.keep(ctx, "", m) }

// As returns a Sender that keeps its mail here, as sent from that address.
func (o *Outbox) As(from string) Sender { return &desk{o, from} }

type desk struct {
	out  *Outbox
	from string
}

func (d *desk) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "outbox [redacted]") }

func (d *desk) Send(ctx context.Context, m Message) error { return d.out.keep(ctx, d.from, m) }

func (o *Outbox) keep(ctx context.Context, from string, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	if len(o.kept) >= maxKept {
		o.kept = slices.Delete(o.kept, 0, len(o.kept)-maxKept+1)
	}
	o.kept = append(o.kept, Kept{from, m})
	return nil
}

// Fail makes each Send from now on fail with err, and with nil succeed again.
func (o *Outbox) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = err
}

// All returns what was kept, oldest first.
func (o *Outbox) All() []Kept {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.kept)
}

// To returns what was kept for an address, oldest first.
func (o *Outbox) To(address string) []Kept {
	return slices.DeleteFunc(o.All(), func(k Kept) bool { return k.To != address })
}

// Clear forgets everything.
func (o *Outbox) Clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = nil
}
