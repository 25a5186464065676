package mail_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
)

type senderFunc func(ctx context.Context, m mail.Message) error

func (f senderFunc) Send(ctx context.Context, m mail.Message) error { return f(ctx, m) }

func numbered(i int) mail.Message {
	return message(func(m *mail.Message) { m.Subject = fmt.Sprint(i) })
}

func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var box mail.Outbox
		q := mail.NewQueue(&box, 3, nil)
		for i := range 3 {
			if err := q.Send(t.Context(), numbered(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Send(t.Context(), numbered(3)); !errors.Is(err, mail.ErrFull) {
			t.Fatalf("a fourth in a queue of three: %v", err)
		}
		if len(box.All()) != 0 {
			t.Fatal("Send waited for the sender")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go q.Run(ctx)
		synctest.Wait()
		if err := q.Send(t.Context(), numbered(4)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		var got string
		for _, k := range box.All() {
			got += k.Subject
		}
		if got != "0124" {
			t.Errorf("sent %s", got)
		}
	})
}

// TestQueueRoom: no room, or less, is one.
func TestQueueRoom(t *testing.T) {
	t.Parallel()
	for _, room := range []int{-1, 0, 1} {
		q := mail.NewQueue(&mail.Outbox{}, room, nil)
		if err := q.Send(t.Context(), message(nil)); err != nil {
			t.Errorf("%d: %v", room, err)
		}
		if err := q.Send(t.Context(), message(nil)); !errors.Is(err, mail.ErrFull) {
			t.Errorf("%d: %v", room, err)
		}
	}
}

// TestQueueEnds: when Run's context ends, what is in the queue still goes out, if
// that does not take long; what does not is told.
func TestQueueEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		takes        time.Duration // for one message
		sent, failed int           // of ten; the context ends after one second
		ends         time.Duration // when Run returns
	}{
		"fast":  {100 * time.Millisecond, 10, 0, time.Second},
		"slow":  {900 * time.Millisecond, 6, 4, 6 * time.Second},
		"stuck": {time.Hour, 0, 10, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				sent, failed := 0, 0
				sender := senderFunc(func(ctx context.Context, _ mail.Message) error {
					select {
					case <-time.After(tt.takes):
						sent++
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				q := mail.NewQueue(sender, 10, func(_ mail.Message, err error) {
					failed++
					if !errors.Is(err, context.Canceled) {
						t.Errorf("told %v", err)
					}
				})
				for i := range 10 {
					if err := q.Send(t.Context(), numbered(i)); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				q.Run(ctx)
				if took := time.Since(start); sent != tt.sent || failed != tt.failed || took != tt.ends {
					t.Errorf("%d sent, %d failed, in %v", sent, failed, took)
				}
			})
		})
	}
}

// TestQueueOneMessage: one that nobody takes does not hold the others for ever.
func TestQueueOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var box mail.Outbox
		var told error
		q := mail.NewQueue(senderFunc(func(ctx context.Context, m mail.Message) error {
			if m.Subject == "0" {
				<-ctx.Done()
				return ctx.Err()
			}
			return box.Send(ctx, m)
		}), 2, func(_ mail.Message, err error) { told = err })
		for i := range 2 {
			if err := q.Send(t.Context(), numbered(i)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { q.Run(ctx) })
		time.Sleep(31 * time.Second)
		if len(box.All()) != 1 || !errors.Is(told, context.DeadlineExceeded) {
			t.Errorf("%d sent after the first, which failed with %v", len(box.All()), told)
		}
		cancel()
		run.Wait()
	})
}

// TestQueueTells: each failure once, also one that panics.
func TestQueueTells(t *testing.T) {
	t.Parallel()
	broken := errors.New("no route")
	var told []string
	q := mail.NewQueue(senderFunc(func(_ context.Context, m mail.Message) error {
		switch m.Subject {
		case "1":
			return broken
		case "2":
			panic(m.Text)
		}
		return nil
	}), 4, func(m mail.Message, err error) { told = append(told, m.Subject+" "+err.Error()) })
	for i := range 4 {
		if err := q.Send(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q.Run(ctx)
	if len(told) != 2 || told[0] != "1 no route" || told[1] != "2 mail: a sender panicked" {
		t.Errorf("told %q", told)
	}

	silent := mail.NewQueue(senderFunc(func(context.Context, mail.Message) error { panic("x") }), 1, nil)
	if err := silent.Send(t.Context(), message(nil)); err != nil {
		t.Fatal(err)
	}
	silent.Run(ctx)
}

// TestQueueClosed: what nobody would send is not taken, until somebody sends again.
func TestQueueClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var box mail.Outbox
		q := mail.NewQueue(&box, 3, nil)
		ctx, cancel := context.WithCancel(t.Context())
		other, stop := context.WithCancel(t.Context())
		go q.Run(ctx)
		go q.Run(other)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := q.Send(t.Context(), numbered(0)); err != nil {
			t.Errorf("one of two has ended: %v", err)
		}
		stop()
		synctest.Wait()
		for range 5 { // it is not full either
			if err := q.Send(t.Context(), numbered(1)); !errors.Is(err, mail.ErrClosed) {
				t.Errorf("after the last Run: %v", err)
			}
		}
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		go q.Run(ctx)
		synctest.Wait()
		if err := q.Send(t.Context(), numbered(2)); err != nil {
			t.Errorf("when it runs again: %v", err)
		}
		synctest.Wait()
		var got string
		for _, k := range box.All() {
			got += k.Subject
		}
		if got != "02" {
			t.Errorf("sent %s", got)
		}
	})
}

// TestQueueEndRaces: each message is sent or refused, also while Run ends.
func TestQueueEndRaces(t *testing.T) {
	t.Parallel()
	for range 200 {
		var box mail.Outbox
		q := mail.NewQueue(&box, 100, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { q.Run(ctx) })
		}
		var taken atomic.Int64
		for range 4 {
			all.Go(func() {
				for i := range 10 {
					switch err := q.Send(t.Context(), numbered(i)); {
					case err == nil:
						taken.Add(1)
					case !errors.Is(err, mail.ErrClosed):
						t.Error(err)
					}
				}
			})
		}
		cancel()
		all.Wait()
		if n := int64(len(box.All())); n != taken.Load() {
			t.Fatalf("%d taken, %d sent", taken.Load(), n)
		}
	}
}

func TestQueueRaces(t *testing.T) {
	t.Parallel()
	var box mail.Outbox
	q := mail.NewQueue(&box, 400, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var runs, senders sync.WaitGroup
	for range 3 {
		runs.Go(func() { q.Run(ctx) })
	}
	for range 8 {
		senders.Go(func() {
			for i := range 50 {
				if err := q.Send(t.Context(), numbered(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	cancel()
	runs.Wait()
	if n := len(box.All()); n != 400 {
		t.Errorf("%d of 400 sent", n)
	}
}
