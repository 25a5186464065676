package history

// Three processes, and between them the parent, which hands on what was shown.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

const (
	processes = 3
	workers   = 32 // in all of them
)

// What goes between the processes, one JSON value a line.
type message struct {
	Round  *round  `json:",omitempty"` // to a process: begin
	Record *record `json:",omitempty"` // from one, and on to the others
	Done   bool    `json:",omitempty"` // from one: its part of the round
	Error  string  `json:",omitempty"` // from one
}

// A setting is what a process has to know.
type setting struct {
	URL, Keys string
	Wrong     string `json:",omitempty"` // what is the matter with the store
	Workers   []int
}

// serve is one process: it takes rounds and records, and says records.
func serve(st store.Store, s setting, in io.Reader, out io.Writer) error {
	own, err := newStation(st, vault.Keys(s.Keys))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(m message) {
		b, _ := json.Marshal(m)
		mu.Lock()
		defer mu.Unlock()
		out.Write(append(b, '\n'))
	}
	say(message{Done: true})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		switch {
		case m.Record != nil:
			own.board.show(*m.Record)
		case m.Round != nil:
			go func() {
				own.run(*m.Round, s.Workers, func(r record) { say(message{Record: &r}) })
				say(message{Done: true})
			}()
		}
	}
	return lines.Err()
}

const settingVariable = "MFA_HISTORY_SETTING"

func TestMain(m *testing.M) {
	text := os.Getenv(settingVariable)
	if text == "" {
		os.Exit(servers.Main(m))
	}
	if err := process(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func process(text string) error {
	var s setting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	st, err := servers.Open(context.Background(), s.URL)
	if err != nil {
		return err
	}
	defer st.Close()
	return serve(wrong(s.Wrong, st), s, os.Stdin, os.Stdout)
}

// A house is the processes over one store.
type house struct {
	t    testing.TB
	to   []io.Writer
	mu   []sync.Mutex // one line at a time to each
	done chan error   // of a process: its part of the round, or that it ended

	records struct {
		sync.Mutex
		all []record
	}
}

// newHouse starts them over the store at url, with what is the matter with it.
// Without a url they are in this process, over mem.
func newHouse(t testing.TB, url string, mem store.Store, matter string) *house {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, to: make([]io.Writer, processes), mu: make([]sync.Mutex, processes), done: make(chan error, processes+1)}
	var from []io.Reader
	for p := range processes {
		s := setting{URL: url, Keys: string(keys), Wrong: matter}
		for n := p; n < workers; n += processes {
			s.Workers = append(s.Workers, n)
		}
		start := h.start
		if url == "" {
			start = func(s setting) (io.Writer, io.Reader) { return h.startHere(mem, s) }
		}
		w, r := start(s)
		h.to[p], from = w, append(from, r)
	}
	for p, r := range from {
		go h.listen(p, r)
	}
	h.wait()
	return h
}

// start starts a process. It ends when its standard input does, at the end of the
// test.
func (h *house) start(s setting) (io.Writer, io.Reader) {
	h.t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), settingVariable+"="+string(b), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	w.Close()
	h.t.Cleanup(func() {
		in.Close()
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("a process: %v", err)
		}
		timer.Stop()
		r.Close()
	})
	return in, r
}

// startHere starts what would be a process in this one.
func (h *house) startHere(st store.Store, s setting) (io.Writer, io.Reader) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- serve(st, s, inR, outW)
		outW.Close()
	}()
	h.t.Cleanup(func() {
		inW.Close()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
	return inW, outR
}

// listen keeps what process p says, and hands it on.
func (h *house) listen(p int, from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			h.done <- err
			return
		}
		switch {
		case m.Done:
			h.done <- nil
		case m.Record != nil:
			h.records.Lock()
			h.records.all = append(h.records.all, *m.Record)
			h.records.Unlock()
			for o := range h.to {
				if o != p {
					h.send(o, lines.Bytes())
				}
			}
		}
	}
	h.done <- errors.New("a process has ended")
}

func (h *house) send(p int, line []byte) {
	h.mu[p].Lock()
	defer h.mu[p].Unlock()
	h.to[p].Write(append(line[:len(line):len(line)], '\n')) // a process that is gone is told by listen
}

// wait waits until all processes have done their part.
func (h *house) wait() {
	h.t.Helper()
	for range processes {
		select {
		case err := <-h.done:
			if err != nil {
				h.t.Fatal(err)
			}
		case <-time.After(time.Minute):
			h.t.Fatal("a process does not answer")
		}
	}
}

// load runs rounds for a while, four of them at least, and returns what the workers
// said.
func (h *house) load(d time.Duration, ops int) []record {
	h.t.Helper()
	for n, until := 0, time.Now().Add(d); n < 4 || time.Now().Before(until); n++ {
		b, err := json.Marshal(message{Round: &round{N: n, Started: monotonic(), Ops: ops}})
		if err != nil {
			h.t.Fatal(err)
		}
		for p := range processes {
			h.send(p, b)
		}
		h.wait()
	}
	h.records.Lock()
	defer h.records.Unlock()
	return h.records.all
}
