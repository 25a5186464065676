package servers

// Every kind is started, used, killed and spoiled once.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("SERVERS_TEST_URL"); address != "" {
		os.Exit(child(address))
	}
	if k := os.Getenv("SERVERS_TEST_START"); k != "" {
		os.Exit(parent(Kind(k)))
	}
	os.Exit(Main(m))
}

// child is a process that has nothing but the URL.
func child(address string) int {
	s, err := Open(context.Background(), address)
	if err == nil {
		err = s.Apply(context.Background(), store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("by the child")})
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// parent is a process that starts a server and then waits to be killed.
func parent(k Kind) int {
	var opts []Option
	if k == PostgreSQL {
		opts = append(opts, Small)
	}
	s, err := start(k, opts, nil)
	if errors.Is(err, errMissing) {
		s, err = start(k, nil, nil)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(s.folder, strings.Join(s.Addrs(), " "))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 2
}

func open(t testing.TB, address string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func apply(t testing.TB, s *Store, c store.Change) {
	t.Helper()
	if err := s.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// holds fails the test unless the user's record is at this version.
func holds(t testing.TB, s *Store, user string, version int64) {
	t.Helper()
	if r, err := s.Load(t.Context(), user); err != nil || r.Version != version {
		t.Fatalf("Load = %d, %v; want %d", r.Version, err, version)
	}
}

// except returns the other kinds.
func except(these ...Kind) []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return slices.Contains(these, k) })
}

// each runs a test for some kinds.
func each(t *testing.T, kinds []Kind, test func(t *testing.T, k Kind)) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

func TestShared(t *testing.T) {
	each(t, Kinds(), func(t *testing.T, k Kind) {
		server := Shared(t, k)
		if Shared(t, k) != server {
			t.Error("another server at the second call")
		}
		want := map[Kind]int{PostgreSQL: 1, MariaDB: 1, Redis: 1, RedisCluster: 3, Miniredis: 1}[k]
		if got := server.Addrs(); len(got) != want {
			t.Errorf("the addresses are %q, want %d", got, want)
		}
		address := server.URL(t)
		s := open(t, address)
		other := open(t, server.URL(t))
		apply(t, s, store.Change{UserID: "u", New: 1, Data: []byte("x")})
		if _, err := other.Load(t.Context(), "u"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Load in another namespace = %v, want ErrNotFound", err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SERVERS_TEST_URL="+address)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("the child: %v\n%s", err, out)
		}
		holds(t, s, "u", 2)
		if ids, _, err := s.UserIDs(t.Context(), "", 10); err != nil || len(ids) != 1 {
			t.Errorf("UserIDs = %q, %v", ids, err)
		}
		if (s.DB == nil) == (s.Client == nil) {
			t.Errorf("DB %v, Client %v", s.DB, s.Client)
		}
	})
}

// What was acknowledged survives, and Start returns when the server works again.
func TestKillAndStart(t *testing.T) {
	each(t, except(SQLite), func(t *testing.T, k Kind) {
		server := New(t, k)
		address := server.URL(t)
		s := open(t, address)
		addrs := strings.Join(server.Addrs(), " ")
		for i, end := range []func(testing.TB){server.Kill, server.Stop} {
			user := fmt.Sprint("user ", i)
			apply(t, s, store.Change{UserID: user, New: 1, Data: []byte("x")})
			end(t)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if err := s.Apply(ctx, store.Change{UserID: user, Old: 1, New: 2}); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Apply without a server = %v, want ErrUnavailable", err)
			}
			cancel()
			for _, addr := range server.Addrs() {
				if c, err := net.Dial("tcp", addr); err == nil {
					c.Close()
					t.Errorf("somebody listens at %s", addr)
				}
			}
			server.Start(t)
			if got := strings.Join(server.Addrs(), " "); got != addrs {
				t.Errorf("it was at %s, and is at %s", addrs, got)
			}
			holds(t, open(t, address), user, 1)
		}
	})
}

func TestPause(t *testing.T) {
	each(t, except(SQLite), func(t *testing.T, k Kind) {
		server := New(t, k)
		s := open(t, server.URL(t))
		apply(t, s, store.Change{UserID: "u", New: 1, Data: []byte("x")})
		server.Pause(t)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := s.Load(ctx, "u"); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load of a frozen server = %v, want ErrUnavailable at the deadline", err)
		}
		server.Resume(t)
		holds(t, s, "u", 1)
		s.Close()
		server.Pause(t) // and so it ends
	})
}

// One node of three goes: its users have no answer until it is back.
func TestOneNode(t *testing.T) {
	t.Parallel()
	server := New(t, RedisCluster)
	address := server.URL(t)
	s := open(t, address)
	for i := range 50 {
		apply(t, s, store.Change{UserID: fmt.Sprint(i), New: 1, Data: []byte("x")})
	}
	server.KillNode(t, 1)
	failed := 0
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := s.Load(ctx, fmt.Sprint(i)); errors.Is(err, store.ErrUnavailable) {
			failed++
		} else if err != nil {
			t.Error(err)
		}
		cancel()
	}
	if failed == 0 {
		t.Error("nobody misses the node")
	}
	server.StartNode(t, 1)
	s = open(t, address)
	for i := range 50 {
		holds(t, s, fmt.Sprint(i), 1)
	}
}

func TestReadOnly(t *testing.T) {
	each(t, except(SQLite), func(t *testing.T, k Kind) {
		server := New(t, k)
		address := server.URL(t)
		s := open(t, address)
		apply(t, s, store.Change{UserID: "u", New: 1, Data: []byte("x")})
		server.ReadOnly(t, true)
		for range 20 { // on every connection of the pool
			if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("y")}); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("Apply while read-only = %v, want ErrUnavailable", err)
			}
		}
		holds(t, s, "u", 1)
		server.ReadOnly(t, false)
		apply(t, s, store.Change{UserID: "u", Old: 1, New: 2, Data: []byte("y")})
		holds(t, s, "u", 2)
	})
}

func TestFull(t *testing.T) {
	each(t, Kinds(), func(t *testing.T, k Kind) {
		var opts []Option
		if k == SQLite || k == PostgreSQL || k == MariaDB {
			opts = append(opts, Small)
		}
		server := New(t, k, opts...)
		address := server.URL(t)
		s := open(t, address)
		apply(t, s, store.Change{UserID: "u", New: 1, Data: []byte("x")})
		server.Full(t, true)
		data := []byte(strings.Repeat("0123456789abcdef", 64))
		stored, failed := 0, error(nil)
		for i := range 50000 {
			if failed = s.Apply(t.Context(), store.Change{UserID: fmt.Sprint("user ", i), New: 7, Data: data}); failed != nil {
				break
			}
			stored++
		}
		if !errors.Is(failed, store.ErrUnavailable) {
			t.Fatalf("%d users stored, and then %v; want ErrUnavailable", stored, failed)
		}
		t.Logf("%d users stored, and then %v", stored, failed)
		server.Full(t, false)
		s = open(t, address)
		holds(t, s, "u", 1)
		for i := range stored {
			holds(t, s, fmt.Sprint("user ", i), 7)
		}
		apply(t, s, store.Change{UserID: "u", Old: 1, New: 2, Data: data})
	})
}

// TestNothingStays: the folder of a server, and what is mounted there, end with
// the test.
func TestNothingStays(t *testing.T) {
	each(t, except(RedisCluster, Miniredis), func(t *testing.T, k Kind) {
		var folder string
		t.Run("a test", func(t *testing.T) {
			var opts []Option
			if k == SQLite || k == PostgreSQL || k == MariaDB {
				opts = append(opts, Small)
			}
			folder = New(t, k, opts...).folder
			if _, err := os.Stat(folder); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", filepath.Base(folder), err)
		}
	})
}

// TestEndsWithProcess: a process that is killed takes its servers along, and the
// next one removes their folders.
func TestEndsWithProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		missing(t, "only Linux ends a server with the process that started it")
	}
	each(t, except(SQLite, RedisCluster, Miniredis), func(t *testing.T, k Kind) {
		Shared(t, k) // skips where it is missing
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SERVERS_TEST_START="+string(k))
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(filepath.Base(fields[0]), prefix) {
			t.Fatalf("it said %q", line)
		}
		dial := func(addr string) error {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err
		}
		for _, addr := range fields[1:] {
			if err := dial(addr); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		for _, addr := range fields[1:] {
			for end := time.Now().Add(10 * time.Second); dial(addr) == nil; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("somebody still listens at %s", addr)
				}
			}
		}
		// PostgreSQL's children are the last to go, and may write until then.
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			sweep()
			if _, err := os.Stat(fields[0]); errors.Is(err, os.ErrNotExist) {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s is still there: %v", filepath.Base(fields[0]), err)
			}
		}
	})
}

// A judged is a test that only notes how it was ended.
type judged struct {
	testing.TB
	fate string
}

func (j *judged) Helper()              {}
func (j *judged) Skipf(string, ...any) { j.fate = "skipped"; runtime.Goexit() }
func (j *judged) Fatalf(format string, args ...any) {
	j.fate = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (j *judged) Fatal(args ...any) { j.Fatalf("%s", fmt.Sprint(args...)) }

// fate returns how a test ends that does this.
func fate(test func(testing.TB)) string {
	j := &judged{fate: "passed"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(j)
	}()
	<-done
	return j.fate
}

// What is missing skips, and fails in CI.
func TestMissing(t *testing.T) {
	_, err := find("a package", "no-such-program")
	absent := func(t testing.TB) { check(t, err) }
	t.Setenv("MFA_CI", "")
	if got := fate(absent); got != "skipped" {
		t.Errorf("a test without its server: %s", got)
	}
	t.Setenv("MFA_CI", "1")
	if got := fate(absent); !strings.Contains(got, "no-such-program") || !strings.Contains(got, "a package") {
		t.Errorf("a test without its server, in CI: %s", got)
	}
	if got := fate(func(t testing.TB) { check(t, errors.New("broken")) }); got != "failed: broken" {
		t.Errorf("a test whose server does not start: %s", got)
	}
}

// Nobody spoils what others use.
func TestSharedIsSafe(t *testing.T) {
	t.Parallel()
	server := Shared(t, Miniredis)
	s := open(t, server.URL(t))
	for name, spoil := range map[string]func(testing.TB){
		"Kill": server.Kill, "Stop": server.Stop, "Start": server.Start, "Pause": server.Pause, "Resume": server.Resume,
		"ReadOnly": func(t testing.TB) { server.ReadOnly(t, true) },
		"Full":     func(t testing.TB) { server.Full(t, true) },
	} {
		if got := fate(spoil); !strings.Contains(got, "take New") {
			t.Errorf("%s of a shared server: %s", name, got)
		}
	}
	apply(t, s, store.Change{UserID: "u", New: 1, Data: []byte("x")})
}

// A server that does not start says why.
func TestNoStart(t *testing.T) {
	t.Parallel()
	server := New(t, Redis)
	server.Stop(t)
	server.nodes[0].args = append(server.nodes[0].args, "--no-such-setting", "yes")
	if got := fate(server.Start); !strings.Contains(got, "no-such-setting") {
		t.Errorf("a server that cannot start: %s", got)
	}
}

// Kill takes along the children of a server, also one that is too busy to notice
// the end of its parent and with which PostgreSQL would not start again.
func TestKillTakesChildren(t *testing.T) {
	t.Parallel()
	server := New(t, PostgreSQL)
	s := open(t, server.URL(t))
	conn, err := s.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var pid int
	if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	busy := make(chan error)
	go func() {
		_, err := conn.ExecContext(t.Context(), "SELECT count(*) FROM generate_series(1, 9999) a, generate_series(1, 9999) b, generate_series(1, 9999) c")
		busy <- err
	}()
	for running := false; !running; {
		err := s.DB.QueryRowContext(t.Context(), "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1", pid).Scan(&running)
		if err != nil {
			t.Fatal(err)
		}
	}
	server.Kill(t)
	if err := <-busy; err == nil {
		t.Error("the child finished its work")
	}
	server.Start(t)
}
