package servers

// What a test may do to a server of its own.

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// spoil begins something that others would notice, and returns what ends it.
func (s *Server) spoil(t testing.TB, what string) (context.Context, func()) {
	t.Helper()
	if s.shared {
		t.Fatalf("%s of the %s that all tests share: take New", what, s.kind)
	}
	s.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	return ctx, func() { cancel(); s.mu.Unlock() }
}

// chosen returns the i-th node, or all for a negative i.
func (s *Server) chosen(t testing.TB, i int) []*node {
	t.Helper()
	switch {
	case s.engine == nil && s.mini == nil:
		t.Fatalf("%s has no server", s.kind)
	case i < 0:
		return s.nodes
	case i >= len(s.nodes):
		t.Fatalf("%s has no node %d", s.kind, i)
	}
	return s.nodes[i : i+1]
}

// Kill ends the server as a failure of its machine would, all nodes at once:
// SIGKILL, children included. What was acknowledged must be there after Start.
func (s *Server) Kill(t testing.TB) { t.Helper(); s.kill(t, -1) }

// KillNode kills one node.
func (s *Server) KillNode(t testing.TB, i int) { t.Helper(); s.kill(t, i) }

func (s *Server) kill(t testing.TB, i int) {
	t.Helper()
	_, end := s.spoil(t, "Kill")
	defer end()
	for _, n := range s.chosen(t, i) {
		if !n.running() {
			t.Fatalf("%s does not run\n%s", s.kind, n.said())
		}
		n.kill()
	}
	if s.mini != nil {
		s.mini.Close()
	}
}

// Stop ends the server in good order.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	_, end := s.spoil(t, "Stop")
	defer end()
	for _, n := range s.chosen(t, -1) {
		if !n.running() {
			t.Fatalf("%s does not run\n%s", s.kind, n.said())
		}
		orderly, _ := s.engine.signals()
		if err := n.end(orderly, patience); err != nil {
			t.Fatal(err)
		}
	}
	if s.mini != nil {
		s.mini.Close()
	}
}

// Start starts what does not run, on the same data and at the same addresses, and
// waits until the server answers: of a cluster until all is well, if every node
// runs.
func (s *Server) Start(t testing.TB) { t.Helper(); s.restart(t, -1) }

// StartNode starts one node.
func (s *Server) StartNode(t testing.TB, i int) { t.Helper(); s.restart(t, i) }

func (s *Server) restart(t testing.TB, i int) {
	t.Helper()
	ctx, end := s.spoil(t, "Start")
	defer end()
	var down []*node
	for _, n := range s.chosen(t, i) {
		if !n.running() {
			down = append(down, n)
		}
	}
	if s.mini != nil {
		if err := s.mini.start(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := s.startNodes(ctx, down...); err != nil {
		t.Fatal(err)
	}
	if err := s.settle(ctx); err != nil {
		t.Fatal(err)
	}
}

// Pause freezes the server as it is, until Resume: connections stay and nothing
// answers.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	_, end := s.spoil(t, "Pause")
	defer end()
	for _, n := range s.chosen(t, -1) {
		if !n.running() {
			t.Fatalf("%s does not run\n%s", s.kind, n.said())
		}
		check(t, n.pause())
	}
	if s.mini != nil {
		s.mini.pause()
	}
}

// Resume lets what Pause froze go on.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	_, end := s.spoil(t, "Resume")
	defer end()
	for _, n := range s.chosen(t, -1) {
		if n.running() {
			n.resume()
		}
	}
	if s.mini != nil {
		s.mini.resume()
	}
}

// ReadOnly lets every write of the stores fail, or no more; they may read.
// PostgreSQL looks like a standby, MariaDB is read_only, Redis lacks a replica
// that it must have, Miniredis also refuses scripts that only read. SQLite is
// read-only by its URL: add mode=ro.
func (s *Server) ReadOnly(t testing.TB, on bool) {
	t.Helper()
	ctx, end := s.spoil(t, "ReadOnly")
	defer end()
	s.chosen(t, -1)
	if s.mini != nil {
		s.mini.refuse(on, "READONLY You can't write against a read only replica.")
		return
	}
	if err := s.engine.forbid(ctx, s, on); err != nil {
		t.Fatalf("read-only %t: %v\n%s", on, err, s.said())
	}
}

// Full fills the disk of a Small server, and the memory of a Redis, or makes room
// again. Files may have room inside for a while: the write that needs more fails.
// A server that ended for lack of room is started again when there is some.
func (s *Server) Full(t testing.TB, on bool) {
	t.Helper()
	ctx, end := s.spoil(t, "Full")
	defer end()
	if s.mini != nil {
		s.mini.refuse(on, "OOM command not allowed when used memory > 'maxmemory'.")
		return
	}
	if _, ok := s.engine.(redisServer); ok {
		limit := "0"
		if on {
			limit = "1"
		}
		if err := s.config(ctx, "maxmemory", limit); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !s.small {
		t.Fatal("Full of a server whose disk others use too: take New with Small")
	}
	filler := filepath.Join(s.folder, "data", "filler")
	if on {
		if err := fill(filler); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.Remove(filler); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, n := range s.nodes {
		// It may be on its way down: then it ends, or answers.
		err := until(ctx, &n.process, func(ctx context.Context) error { return s.engine.ready(ctx, n) })
		if err != nil && !n.running() {
			err = s.startNodes(ctx, n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fill writes until there is no room.
func fill(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			return err
		}
	}
	return nil
}
