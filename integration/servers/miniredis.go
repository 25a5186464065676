package servers

// Redis in this process: what it can do of what a server can.

import (
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// A mini is a Redis in this process.
type mini struct {
	*miniredis.Miniredis
	addr    string
	mu      sync.Mutex
	frozen  chan struct{} // not nil: commands wait until it is closed
	refusal string        // not empty: what writes are told
}

func newMini() (*mini, error) {
	port, err := newPort()
	if err != nil {
		return nil, err
	}
	m := &mini{Miniredis: miniredis.NewMiniRedis(), addr: loopback(port)}
	return m, m.start()
}

// start starts it at its address, with the data that it has.
func (m *mini) start() error {
	if m.Server() != nil {
		return nil
	}
	if err := m.StartAddr(m.addr); err != nil {
		return err
	}
	m.Server().SetPreHook(m.before)
	return nil
}

// before is asked before each command: it waits while the server is frozen, and
// answers in its place what is refused.
func (m *mini) before(c *server.Peer, cmd string, _ ...string) bool {
	m.mu.Lock()
	frozen := m.frozen
	m.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	m.mu.Lock()
	refusal := m.refusal
	m.mu.Unlock()
	if refusal == "" || strings.Contains(" PING HELLO CLIENT SELECT QUIT SCRIPT ", " "+cmd+" ") || m.IsReadOnlyCommand(cmd) {
		return false
	}
	c.WriteError(refusal)
	return true
}

func (m *mini) pause() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen == nil {
		m.frozen = make(chan struct{})
	}
}

func (m *mini) resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen != nil {
		close(m.frozen)
		m.frozen = nil
	}
}

func (m *mini) refuse(on bool, refusal string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusal = ""
	if on {
		m.refusal = refusal
	}
}
