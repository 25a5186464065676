package servers

// A proxy before a server, which counts, delays and cuts.

import (
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Cut says what happens to a request.
type Cut int

const (
	Pass Cut = iota // it is passed on, and so is its answer

	// CutBeforeServer: the server never sees it, and both connections are closed.
	CutBeforeServer

	// CutAfterServer: the server answers it, the client never sees the answer, and
	// both connections are closed.
	CutAfterServer
)

// A Proxy passes TCP connections on to one target. A request is whatever a
// client sends on one connection until the server sends something: one that is
// written in several packets, or that the server answers in several, is one. The
// messages of a handshake and of a farewell are requests too.
type Proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	links    map[*link]bool
	requests int64
	delay    time.Duration
	refuse   bool
	armed    Cut
	in       int // requests until the armed one, 0 for not armed
	ask      func([]byte) Cut
}

// NewProxy returns a proxy that ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, links: map[*link]bool{}}
	p.work.Go(p.serve)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		l.Close()
		p.CutNow()
		p.work.Wait()
	})
	return p
}

// Addr returns the address (host:port) at which it stands for the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetDelay lets everything arrive later by so much, in each direction.
func (p *Proxy) SetDelay(oneWay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = oneWay
}

// RoundTrips returns how many requests there were, over all connections.
func (p *Proxy) RoundTrips() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Reset begins to count anew.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = 0
}

// Arm lets the n-th request from now (1 is the next, over all connections) end
// so. 0 disarms.
func (p *Proxy) Arm(n int, c Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in, p.armed = n, c
}

// OnRequest lets decide decide about each request by its bytes: those of its
// first packet, up to 64 kB. Connections ask at the same time. An armed request
// is not asked about. nil ends it.
func (p *Proxy) OnRequest(decide func(request []byte) Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ask = decide
}

// Refuse lets new connections be closed at once, or no more.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// CutNow closes all connections.
func (p *Proxy) CutNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Through returns the URL of a single server by the proxy's address.
func Through(address, addr string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.Contains(u.Host, ",") {
		panic("servers: no proxy stands before " + address)
	}
	u.Host = addr
	return u.String()
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.connect(client) })
	}
}

func (p *Proxy) connect(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	l := &link{proxy: p, client: client, server: server}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.links[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	l.run()
}

// judge counts a request and says what becomes of it.
func (p *Proxy) judge(request []byte) Cut {
	p.mu.Lock()
	p.requests++
	if p.in > 0 {
		if p.in--; p.in == 0 {
			c := p.armed
			p.mu.Unlock()
			return c
		}
	}
	ask := p.ask
	p.mu.Unlock()
	if ask == nil {
		return Pass
	}
	return ask(request)
}

func (p *Proxy) late() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// A link is one connection of a client, and the one to the server that belongs
// to it.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu      sync.Mutex
	asking  bool // the client was the last to send
	swallow bool // the answer that comes is the last
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

func (l *link) run() {
	var work sync.WaitGroup
	work.Go(func() {
		// Who hangs up does not stop the server at once.
		l.carry(l.client, l.server, l.sent)
		if c, ok := l.server.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
	})
	work.Go(func() {
		l.carry(l.server, l.client, l.answered)
		l.close()
	})
	work.Wait()
}

// sent looks at what the client has sent, and says whether it is passed on.
func (l *link) sent(data []byte) bool {
	l.mu.Lock()
	first := !l.asking
	l.asking = true
	l.mu.Unlock()
	if !first {
		return true
	}
	switch l.proxy.judge(data) {
	case CutBeforeServer:
		l.close()
		return false
	case CutAfterServer:
		l.mu.Lock()
		l.swallow = true
		l.mu.Unlock()
	}
	return true
}

// answered looks at what the server has sent, and says whether it is passed on.
func (l *link) answered([]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = false
	if l.swallow {
		l.close()
	}
	return !l.swallow
}

// A packet is what was read at once, and when it may arrive.
type packet struct {
	data []byte
	due  time.Time
}

// carry reads from one side and writes to the other, until one of them ends or
// look says no. What is read arrives in order, each at its time.
func (l *link) carry(from, to net.Conn, look func([]byte) bool) {
	packets := make(chan packet, 64)
	var work sync.WaitGroup
	work.Go(func() {
		for p := range packets {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				l.close() // ends the reader too
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !look(buf[:n]) {
				break
			}
			packets <- packet{append([]byte(nil), buf[:n]...), time.Now().Add(l.proxy.late())}
		}
		if err != nil {
			break
		}
	}
	close(packets)
	work.Wait()
}
