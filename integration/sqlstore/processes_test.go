// Tests with several processes on one file. A child is this test binary again,
// told by an environment variable what to do.
package sqlstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

const (
	childJob  = "SQLSTORE_TEST_JOB"
	childFile = "SQLSTORE_TEST_FILE"
	childName = "SQLSTORE_TEST_NAME"

	rounds       = 400 // swaps that each racing process has to win
	racingRounds = 100 // and on a server
)

// child returns the command that does a job in a process of its own.
func child(ctx context.Context, job, file, name string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.count=1", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childJob+"="+job, childFile+"="+file, childName+"="+name)
	return cmd
}

// TestChild is what child processes run.
func TestChild(t *testing.T) {
	job, name := os.Getenv(childJob), os.Getenv(childName)
	if job == "" {
		return // its work is done in child processes
	}
	if job == "race" { // on a URL
		race(t, parse(t, os.Getenv(childFile)).open(t))
		return
	}
	s := openFile(t, os.Getenv(childFile))
	switch job {
	case "open": // has opened already
		if _, err := s.Load(t.Context(), "u"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Load = %v, want ErrNotFound", err)
		}
	case "count":
		count(t, s, rounds)
	case "move": // until killed: a key moves on with every version
		r, err := s.Load(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		for v := r.Version; ; v++ {
			c := store.Change{UserID: "u", Old: v, New: v + 1, Data: fmt.Append(nil, v+1),
				Claim: []string{key(int(v + 1))}, Release: []string{key(int(v))}}
			if err := s.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			fmt.Println("at", v+1)
		}
	default:
		t.Fatalf("no job %q (%s)", job, name)
	}
}

// race creates a record that others create as well, and then counts on it.
func race(t *testing.T, s store.Store) {
	err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1, Data: []byte("0")})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	count(t, s, racingRounds)
}

// count wins so many swaps of one record.
func count(t *testing.T, s store.Store, rounds int) {
	for won := 0; won < rounds; {
		r, err := s.Load(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(string(r.Data))
		if err != nil {
			t.Fatal(err)
		}
		// The same New in every process: only the affected rows tell who won.
		c := store.Change{UserID: "u", Old: r.Version, New: r.Version + 1, Data: fmt.Append(nil, n+1)}
		if n%10 == 0 {
			c.Claim = []string{key(n)}
		}
		switch err := s.Apply(t.Context(), c); {
		case err == nil:
			won++
			fmt.Println("won", n+1)
		case !errors.Is(err, store.ErrConflict):
			t.Fatal(err)
		}
	}
}

// Three processes race for every version of one record.
func TestProcesses(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := openFile(t, file)
	if err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1, Data: []byte("0")}); err != nil {
		t.Fatal(err)
	}
	raced(t, rounds, func(i int) *exec.Cmd { return child(t.Context(), "count", file, fmt.Sprint(i)) })
	counted(t, s, rounds)
}

const racers = 3 // processes that race

// raced starts the processes, and wants each of their swaps to have one winner.
func raced(t *testing.T, rounds int, start func(i int) *exec.Cmd) {
	t.Helper()
	outs := make([]bytes.Buffer, racers)
	var wg sync.WaitGroup
	for i := range outs {
		cmd := start(i)
		cmd.Stdout, cmd.Stderr = &outs[i], &outs[i]
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, outs[i].String())
			}
		})
	}
	wg.Wait()
	winners := make(map[string]int)
	for i := range outs {
		for line := range strings.Lines(outs[i].String()) {
			if n, ok := strings.CutPrefix(line, "won "); ok {
				winners[strings.TrimSpace(n)]++
			}
		}
	}
	for i := range racers * rounds {
		if n := winners[fmt.Sprint(i+1)]; n != 1 {
			t.Errorf("%d processes won swap %d, want 1", n, i+1)
		}
	}
}

// counted wants every swap of a race to be in the record.
func counted(t *testing.T, s store.Store, rounds int) {
	t.Helper()
	r, err := s.Load(t.Context(), "u")
	if want := fmt.Sprint(racers * rounds); err != nil || string(r.Data) != want {
		t.Errorf("after the race: %q, %v; want %s", r.Data, err, want)
	}
}

// Three processes open a file that does not exist yet.
func TestProcessesMigrate(t *testing.T) {
	t.Parallel()
	for range 10 {
		file := newFile(t)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if out, err := child(t.Context(), "open", file, "").CombinedOutput(); err != nil {
					t.Errorf("opening: %v\n%s", err, out)
				}
			})
		}
		wg.Wait()
	}
}

// A process that is killed while it writes loses nothing that it was told is
// stored, and leaves no half of a change.
func TestProcessKilled(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	s := openFile(t, file)
	if err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1, Data: []byte("1"), Claim: []string{key(1)}}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		cmd := child(t.Context(), "move", file, "")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told, lines := 0, bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Sscanf(lines.Text(), "at %d", &told)
			if told == 0 {
				t.Errorf("the process says %q", lines.Text())
			}
			time.AfterFunc(time.Duration(5+7*i)*time.Millisecond, func() { cmd.Process.Kill() })
		}
		cmd.Wait()
		r, err := s.Load(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		// The last line may have been cut off with the process.
		if v := int(r.Version); v != told && v != told+1 || string(r.Data) != fmt.Sprint(v) {
			t.Errorf("after the kill: version %d with %q; the process was told of %d", v, r.Data, told)
		}
		for n := int(r.Version) - 2; n <= int(r.Version)+2; n++ {
			owner, err := s.Owner(t.Context(), key(n))
			if (owner == "u") != (n == int(r.Version)) || err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("after the kill at version %d: key %d belongs to %q, %v", r.Version, n, owner, err)
			}
		}
	}
}
