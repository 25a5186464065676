package perf

// A network that takes as long as it says. Timers of Go may be a millisecond late
// while the process waits for sockets, which is as much as is to be simulated.

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A relay passes connections on to a target, and whatever one side sends later by
// its delay.
type relay struct {
	listener net.Listener
	oneWay   atomic.Int64 // nanoseconds
}

// newRelay returns one that ends with the test.
func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{listener: l}
	var work sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, client, server)
			mu.Unlock()
			work.Go(func() { r.carry(client, server) })
			work.Go(func() { r.carry(server, client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	return r
}

func (r *relay) carry(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pause(time.Duration(r.oneWay.Load()))
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
