package mail_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// TestMute: whatever a server falls silent at, Send returns within 200 ms of its
// context's end: ten tries at each stage, of which one may be late, because the
// machine may be busy.
func TestMute(t *testing.T) {
	t.Parallel()
	const (
		tries, together = 10, 5
		patience        = 300 * time.Millisecond
		limit           = 200 * time.Millisecond
	)
	for name, tt := range map[string]struct {
		stage string
		house func(*house)
	}{
		"connect":             {stage: "connect"},
		"hello":               {stage: "EHLO"},
		"handshake":           {stage: "handshake"},
		"handshake, implicit": {"handshake", func(h *house) { h.implicit = true }},
		"hello, implicit":     {"EHLO", func(h *house) { h.implicit = true }},
		"AUTH PLAIN":          {stage: "AUTH"},
		"AUTH LOGIN":          {"AUTH", func(h *house) { h.ways = []string{sasl.Login} }},
		"MAIL":                {stage: "MAIL"},
		"RCPT":                {stage: "RCPT"},
		"DATA":                {stage: "DATA"},
		"content":             {stage: "content"},
		"content, implicit":   {"content", func(h *house) { h.implicit = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := make(chan struct{})
			reached := make(chan struct{}, tries)
			h := newHouse(t, func(h *house) {
				if tt.house != nil {
					tt.house(h)
				}
				h.at = func(stage string) error {
					if stage == tt.stage {
						reached <- struct{}{}
						<-end
					}
					return nil
				}
			})
			t.Cleanup(func() { close(end) }) // before the house's own
			s := h.sender(t, nil)
			if tt.stage == "connect" {
				s = silent(t, reached)
			}

			var mu sync.Mutex
			intime := 0
			try := func(i int) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				want := context.DeadlineExceeded
				if i%2 == 1 { // the caller hangs up
					ctx, cancel = context.WithCancel(t.Context())
					want = context.Canceled
					time.AfterFunc(patience, cancel)
				}
				defer cancel()
				var ended time.Time
				noted := make(chan struct{})
				context.AfterFunc(ctx, func() { ended = time.Now(); close(noted) })
				err := s.Send(ctx, letter("anna@example.org"))
				returned := time.Now()
				if !isKind(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
				<-noted
				mu.Lock()
				defer mu.Unlock()
				if returned.Sub(ended) <= limit {
					intime++
				}
			}
			for i := 0; i < tries; i += together {
				var all sync.WaitGroup
				for j := range together {
					all.Go(func() { try(i + j) })
				}
				all.Wait()
			}
			if intime < tries-1 {
				t.Errorf("%d of %d within %v", intime, tries, limit)
			}
			if len(reached) < tries-1 {
				t.Errorf("%d of %d came so far", len(reached), tries)
			}
			t.Logf("%d of %d within %v of the context's end", intime, tries, limit)
		})
	}
}

// silent returns a Sender to a server that takes connections and says nothing.
func silent(t *testing.T, reached chan<- struct{}) *smtp.Sender {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
			reached <- struct{}{}
		}
		for _, conn := range conns {
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	s, err := smtp.New(l.Addr().String(), from, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
