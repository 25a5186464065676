package servers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// An echo is a server that answers each line, in two packets, and remembers what
// it has seen.
type echo struct {
	addr string
	mu   sync.Mutex
	seen []string
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	e := &echo{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(c)
		}
	}()
	return e
}

func (e *echo) serve(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		e.mu.Lock()
		e.seen = append(e.seen, lines.Text())
		e.mu.Unlock()
		io.WriteString(c, "you said ")
		io.WriteString(c, lines.Text()+"\n")
	}
}

func (e *echo) saw() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.seen, " ")
}

// A caller is a client of an echo.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, addr string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &caller{c, bufio.NewReader(c)}
}

// say sends a line and returns the answer; an error is that of a closed
// connection, never of a silent one.
func (c *caller) say(t *testing.T, line string) (string, error) {
	t.Helper()
	io.WriteString(c, line+"\n")
	answer, err := c.in.ReadString('\n')
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("no answer to %q, and the connection is open", line)
	}
	return strings.TrimSpace(answer), err
}

func (c *caller) hears(t *testing.T, line string) {
	t.Helper()
	if got, err := c.say(t, line); err != nil || got != "you said "+line {
		t.Fatalf("the answer to %q is %q, %v", line, got, err)
	}
}

func (c *caller) isCut(t *testing.T, line string) {
	t.Helper()
	if got, err := c.say(t, line); err == nil || got != "" {
		t.Fatalf("the answer to %q is %q, %v; want none", line, got, err)
	}
}

func TestProxyCounts(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := NewProxy(t, e.addr)
	a, b := call(t, p.Addr()), call(t, p.Addr())
	for range 3 {
		a.hears(t, "one")
		b.hears(t, "two")
	}
	if n := p.RoundTrips(); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
	p.Reset()
	// In pieces, each of which has arrived before the next is sent.
	io.WriteString(a, "in ")
	for end := time.Now().Add(10 * time.Second); p.RoundTrips() == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got, err := a.say(t, "pieces"); got != "you said in pieces" {
		t.Errorf("the answer is %q, %v", got, err)
	}
	if n := p.RoundTrips(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestProxyDelays(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := NewProxy(t, e.addr)
	c := call(t, p.Addr())
	c.hears(t, "hello")
	const oneWay = 30 * time.Millisecond
	p.SetDelay(oneWay)
	begin := time.Now()
	c.hears(t, "late")
	if took := time.Since(begin); took < 2*oneWay {
		t.Errorf("an answer after %v, want 2 x %v", took, oneWay)
	}
	// What is sent at once arrives at once: it is a delay, no narrow pipe.
	begin = time.Now()
	const lines = 100
	for i := range lines {
		fmt.Fprintln(c, i)
		time.Sleep(100 * time.Microsecond)
	}
	for i := range lines {
		got, err := c.in.ReadString('\n')
		if want := fmt.Sprintf("you said %d\n", i); err != nil && !errors.Is(err, io.EOF) || !strings.HasSuffix(got, want) {
			t.Fatalf("line %d is %q, %v", i, got, err)
		}
	}
	if took := time.Since(begin); took > lines*oneWay*2/3 { // one after the other they would take lines*oneWay at least
		t.Errorf("%d lines took %v: one after the other", lines, took)
	}
	p.SetDelay(0)
	c.hears(t, "soon")
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := NewProxy(t, e.addr)
	c := call(t, p.Addr())
	c.hears(t, "a")
	p.Arm(2, CutBeforeServer)
	c.hears(t, "b")
	c.isCut(t, "swallowed")
	if got := e.saw(); got != "a b" {
		t.Errorf("the server saw %q", got)
	}

	c = call(t, p.Addr())
	p.Arm(1, CutAfterServer)
	c.isCut(t, "answered")
	if got := e.saw(); got != "a b answered" {
		t.Errorf("the server saw %q", got)
	}

	other := call(t, p.Addr())
	c = call(t, p.Addr())
	other.hears(t, "c") // armed once, cut once
	p.OnRequest(func(request []byte) Cut {
		switch string(request) {
		case "x\n":
			return CutBeforeServer
		case "y\n":
			return CutAfterServer
		}
		return Pass
	})
	c.hears(t, "d")
	c.isCut(t, "x")
	c = call(t, p.Addr())
	c.isCut(t, "y")
	other.hears(t, "e") // another connection lives on
	p.OnRequest(nil)
	if got := e.saw(); got != "a b answered c d y e" {
		t.Errorf("the server saw %q", got)
	}

	p.Refuse(true)
	call(t, p.Addr()).isCut(t, "nobody")
	other.hears(t, "f")
	p.Refuse(false)
	c = call(t, p.Addr())
	c.hears(t, "g")
	p.CutNow()
	other.isCut(t, "h")
	c.isCut(t, "i")
	call(t, p.Addr()).hears(t, "j")
}

// The proxy before real servers: one save is one round trip, and a cut save is a
// failure of which nobody knows whether it landed.
func TestThrough(t *testing.T) {
	each(t, except(SQLite, RedisCluster), func(t *testing.T, k Kind) {
		server := Shared(t, k)
		p := NewProxy(t, server.Addrs()[0])
		direct := server.URL(t)
		s := open(t, Through(direct, p.Addr()))
		apply(t, s, store.Change{UserID: "u", New: 1, Data: []byte("x")})
		apply(t, s, store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("y")})
		p.Reset()
		for i := range int64(5) {
			apply(t, s, store.Change{UserID: "u", Old: 2 + i, New: 3 + i, Data: []byte("z")})
		}
		if n := p.RoundTrips(); n != 5 {
			t.Errorf("5 saves took %d round trips", n)
		}
		p.Reset()
		for range 5 {
			holds(t, s, "u", 7)
		}
		if n := p.RoundTrips(); n != 5 {
			t.Errorf("5 loads took %d round trips", n)
		}
		// Redis sends again what was not answered: then it conflicts with itself.
		resends := k == Redis || k == Miniredis
		p.Arm(1, CutAfterServer)
		err := s.Apply(t.Context(), store.Change{UserID: "u", Old: 7, New: 8, Data: []byte("z")})
		if want := map[bool]error{false: store.ErrUnavailable, true: store.ErrConflict}[resends]; !errors.Is(err, want) {
			t.Errorf("Apply whose answer is lost = %v, want %v", err, want)
		}
		holds(t, open(t, direct), "u", 8)
		p.OnRequest(func(request []byte) Cut {
			if strings.Contains(string(request), "never") {
				return CutBeforeServer
			}
			return Pass
		})
		if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: 8, New: 9, Data: []byte("never")}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Apply whose request is lost = %v, want ErrUnavailable", err)
		}
		holds(t, open(t, direct), "u", 8)
	})
}

// The nodes of a Proxied cluster tell their clients the proxies' addresses, also
// after a new start.
func TestProxied(t *testing.T) {
	t.Parallel()
	server := New(t, RedisCluster, Proxied)
	s := open(t, server.URL(t))
	use := func(user string) {
		t.Helper()
		for _, p := range server.Proxies() {
			p.Reset()
		}
		for i := range 30 {
			apply(t, s, store.Change{UserID: fmt.Sprint(user, i), New: 1, Data: []byte("x")})
		}
		for i, p := range server.Proxies() {
			if p.RoundTrips() == 0 {
				t.Errorf("nothing went through proxy %d", i)
			}
		}
	}
	use("a")
	server.Kill(t)
	server.Start(t)
	s = open(t, server.URL(t))
	use("b")
	if n := len(server.Proxies()); n != 3 {
		t.Errorf("%d proxies", n)
	}
}
