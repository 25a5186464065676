package servers

// The servers: which there are, how they start, and how they end.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

// A Kind says which database it is.
type Kind string

// The kinds. SQLite has no server: its files only lie in a folder of the test's.
// Miniredis is a Redis in this process. A RedisCluster has three nodes.
const (
	SQLite       Kind = "sqlite"
	PostgreSQL   Kind = "postgresql"
	MariaDB      Kind = "mariadb"
	Redis        Kind = "redis"
	RedisCluster Kind = "redis-cluster"
	Miniredis    Kind = "miniredis"
)

// Kinds returns all of them.
func Kinds() []Kind {
	return []Kind{SQLite, PostgreSQL, MariaDB, Redis, RedisCluster, Miniredis}
}

// An Option adjusts a server of New.
type Option string

const (
	// Small keeps the data of SQLite, PostgreSQL and MariaDB on a disk of its own
	// that Full can fill. It needs root and Linux.
	Small Option = "small"

	// Proxied puts a proxy before each node of a RedisCluster: the nodes tell
	// their clients the proxies' addresses.
	Proxied Option = "proxied"
)

// patience bounds every wait for a server.
const patience = time.Minute

// A Server is one server, or the three of a cluster.
type Server struct {
	kind    Kind
	engine  engine
	folder  string
	shared  bool
	small   bool
	nodes   []*node
	mini    *mini
	proxies []*Proxy

	mu    sync.Mutex // one at a time starts, stops and counts
	files int        // SQLite's, so far
}

// A node is one process of a server.
type node struct {
	process
	data   string // folder
	port   int
	bus    int    // of a cluster's node
	addr   string // where it listens
	public string // where clients find it
}

// An engine knows one kind of server.
type engine interface {
	// prepare makes the data and the nodes, which are not started yet.
	prepare(s *Server) error
	// ready returns nil once the node answers.
	ready(ctx context.Context, n *node) error
	// furnish makes what the stores need, after the first start.
	furnish(ctx context.Context, s *Server) error
	// settled returns nil once the nodes, all of which answer, work together.
	settled(ctx context.Context, s *Server) error
	// forbid lets all writes of the stores fail, or no more.
	forbid(ctx context.Context, s *Server, on bool) error
	// signals end the process in good order, and at once but without a trace.
	signals() (orderly, quick os.Signal)
}

// errMissing: something that this machine does not have.
var errMissing = errors.New("missing")

// missing ends the test: it skips, and fails in CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("MFA_CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// shared are the servers of this process, which Main stops.
var shared struct {
	sync.Mutex
	running bool
	servers map[Kind]func() (*Server, error)
	started []*Server
}

// Main runs the tests and stops what Shared started. It also silences the Redis
// client, which would tell of every connection that a test breaks.
func Main(m *testing.M) int {
	logging.Disable()
	shared.Lock()
	shared.running, shared.servers = true, map[Kind]func() (*Server, error){}
	shared.Unlock()
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		shared.running = false
		var wg sync.WaitGroup
		for _, s := range shared.started {
			wg.Go(func() {
				if err := s.discard(); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			})
		}
		wg.Wait()
	}()
	return m.Run()
}

// Shared returns the server of this kind that the tests of this process share,
// and starts it at the first call. No test may spoil it.
func Shared(t testing.TB, k Kind) *Server {
	t.Helper()
	shared.Lock()
	if !shared.running {
		shared.Unlock()
		t.Fatal("Shared without servers.Main in TestMain: nobody would stop the server")
	}
	once, ok := shared.servers[k]
	if !ok {
		once = sync.OnceValues(func() (*Server, error) {
			s, err := start(k, nil, nil)
			if s != nil {
				s.shared = true
				shared.Lock()
				shared.started = append(shared.started, s)
				shared.Unlock()
			}
			return s, err
		})
		shared.servers[k] = once
	}
	shared.Unlock()
	s, err := once()
	check(t, err)
	return s
}

// New returns a server for this test alone, which may spoil it. It ends with the
// test.
func New(t testing.TB, k Kind, opts ...Option) *Server {
	t.Helper()
	s, err := start(k, opts, func(target string) *Proxy { return NewProxy(t, target) })
	if s != nil {
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(s.said())
			}
			if err := s.discard(); err != nil {
				t.Error(err)
			}
		})
	}
	check(t, err)
	return s
}

// check ends the test if a server could not be had.
func check(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		missing(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start returns a server that answers. It may return one together with an
// error: that one is to be discarded.
func start(k Kind, opts []Option, proxy func(string) *Proxy) (*Server, error) {
	s := &Server{kind: k}
	proxied := false
	for _, o := range opts {
		switch {
		case o == Small && (k == SQLite || k == PostgreSQL || k == MariaDB):
			s.small = true
		case o == Proxied && k == RedisCluster:
			proxied = true
		default:
			return nil, fmt.Errorf("no option %q for %s", o, k)
		}
	}
	switch k {
	case SQLite: // files alone, and no engine
	case PostgreSQL:
		s.engine = postgres{}
	case MariaDB:
		s.engine = mariadb{}
	case Redis:
		s.engine = redisServer{}
	case RedisCluster:
		s.engine = redisServer{nodes: 3}
	case Miniredis:
		m, err := newMini()
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", k, err)
		}
		s.mini = m
		return s, nil
	default:
		return nil, fmt.Errorf("no such kind: %q", k)
	}
	var err error
	if s.folder, err = newFolder(k); err != nil {
		return nil, err
	}
	if s.engine == nil {
		if err := s.disk(filepath.Join(s.folder, "data"), nil, "2m"); err != nil {
			return s, fmt.Errorf("start %s: %w", k, err)
		}
		return s, nil
	}
	if err := s.engine.prepare(s); err != nil {
		return s, fmt.Errorf("start %s: %w", k, err)
	}
	if proxied {
		for _, n := range s.nodes {
			p := proxy(n.addr)
			s.proxies = append(s.proxies, p)
			n.public = p.Addr()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.startNodes(ctx, s.nodes...); err != nil {
		return s, err
	}
	if err := s.engine.furnish(ctx, s); err != nil {
		return s, fmt.Errorf("furnish %s: %w\n%s", k, err, s.said())
	}
	if err := s.settle(ctx); err != nil {
		return s, err
	}
	return s, nil
}

// prefix names the folders of this package.
const prefix = "mfa-servers-"

// swept removes once what processes that were killed have left behind.
var swept = sync.OnceFunc(sweep)

func sweep() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, folder := range found {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), prefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && !alive(n) {
			forgetMemory(filepath.Join(folder, "data"))
			unmount(filepath.Join(folder, "data"))
			os.RemoveAll(folder)
		}
	}
}

// newFolder returns a folder that other users can enter. Its name says whose it
// is.
func newFolder(k Kind) (string, error) {
	swept()
	folder, err := os.MkdirTemp("", fmt.Sprintf("%s%d-%s-", prefix, os.Getpid(), k))
	if err != nil {
		return "", err
	}
	return folder, os.Chmod(folder, 0o711)
}

// disk makes a data folder for a user, nil for our own: on a small disk if the
// server is to have one.
func (s *Server) disk(folder string, as *account, size string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	if s.small {
		if err := mount(folder, size); err != nil {
			return fmt.Errorf("%w: a small disk: %w", errMissing, err)
		}
		if err := os.Chmod(folder, 0o700); err != nil {
			return err
		}
	}
	return as.own(folder)
}

// Kind returns its kind.
func (s *Server) Kind() Kind { return s.kind }

// Proxies returns those before the nodes of a Proxied cluster.
func (s *Server) Proxies() []*Proxy { return s.proxies }

// Addrs returns the addresses (host:port) of its nodes, of proxies if those
// stand before them. SQLite has none.
func (s *Server) Addrs() []string {
	if s.mini != nil {
		return []string{s.mini.addr}
	}
	var addrs []string
	for _, n := range s.nodes {
		addrs = append(addrs, n.public)
	}
	return addrs
}

// Names of the stores' user and database.
const (
	user     = "mfa"
	database = "mfa"
)

// URL returns, at every call, a URL for Open with an empty namespace of its own.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	if s.kind == SQLite {
		s.mu.Lock()
		s.files++
		folder := filepath.Join(s.folder, "data", strconv.Itoa(s.files))
		s.mu.Unlock()
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		return (&url.URL{Scheme: "sqlite", OmitHost: true, Path: filepath.ToSlash(filepath.Join(folder, "mfa.db"))}).String()
	}
	where := strings.Join(s.Addrs(), ",")
	own := "prefix=t" + strings.ToLower(rand.Text()[:12]) + "_"
	switch s.kind {
	case PostgreSQL:
		return "postgres://" + user + "@" + where + "/" + database + "?sslmode=disable&" + own
	case MariaDB:
		return "mysql://" + user + "@" + where + "/" + database + "?" + own
	case RedisCluster:
		return "redis+cluster://" + where + "?" + own
	default:
		return "redis://" + where + "/0?" + own
	}
}

// startNodes starts nodes at once and waits until they answer.
func (s *Server) startNodes(ctx context.Context, nodes ...*node) error {
	for _, n := range nodes {
		if err := n.start(); err != nil {
			return fmt.Errorf("start %s: %w", s.kind, err)
		}
	}
	for _, n := range nodes {
		err := until(ctx, &n.process, func(ctx context.Context) error { return s.engine.ready(ctx, n) })
		if err != nil {
			return fmt.Errorf("start %s: %w\n%s", s.kind, err, n.said())
		}
	}
	return nil
}

// settle waits until the nodes work together, if all of them run.
func (s *Server) settle(ctx context.Context) error {
	for _, n := range s.nodes {
		if !n.running() {
			return nil
		}
	}
	err := until(ctx, &s.nodes[0].process, func(ctx context.Context) error { return s.engine.settled(ctx, s) })
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", s.kind, err, s.said())
	}
	return nil
}

// until asks again and again, because no server says when it is ready, and gives
// up when the process has ended.
func until(ctx context.Context, p *process, ask func(context.Context) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ask(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("it ended (%v); before: %w", p.ended(), err)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// said returns the last lines of every node's log.
func (s *Server) said() string {
	var b strings.Builder
	for _, n := range s.nodes {
		b.WriteString(n.said())
	}
	return b.String()
}

// discard ends the server and removes its data.
func (s *Server) discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mini != nil {
		s.mini.resume()
		s.mini.Close()
		return nil
	}
	var errs []error
	for _, n := range s.nodes {
		if !n.running() {
			continue
		}
		n.resume()
		_, quick := s.engine.signals()
		errs = append(errs, n.end(quick, 5*time.Second))
	}
	data := filepath.Join(s.folder, "data")
	forgetMemory(data)
	if s.small {
		unmount(data)
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

// ports are those that this process has given out.
var ports struct {
	sync.Mutex
	given map[int]bool
}

// newPort returns a port on loopback at which nobody listens. It is below those
// that the system gives to outgoing connections: a server that was killed finds
// its own again.
func newPort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 1000 {
		var b [2]byte
		rand.Read(b[:])
		port := 20000 + (int(b[0])<<8|int(b[1]))%12000
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		l.Close()
		ports.given[port] = true
		return port, nil
	}
	return 0, errors.New("no free port")
}

// newNode returns a node at a new port. What it runs is still to be said.
func (s *Server) newNode(data string) (*node, error) {
	port, err := newPort()
	if err != nil {
		return nil, err
	}
	n := &node{data: data, port: port, addr: loopback(port), public: loopback(port)}
	n.dir, n.log = s.folder, filepath.Join(s.folder, fmt.Sprintf("log-%d", len(s.nodes)))
	s.nodes = append(s.nodes, n)
	return n, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
