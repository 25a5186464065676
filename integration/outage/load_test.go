package outage

// A load that goes on whatever happens to the store, in processes of its own, and
// says everything that it was told.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A line is one request and what was told.
type line struct {
	Worker   string
	User     string
	Op       string    // begin, enrol, confirm, sign-in, guess, regenerate, remove
	Now      time.Time // by the worker's clock
	At       time.Time // really, when it was answered
	Kind     mfa.Kind  `json:",omitempty"`
	Code     string    `json:",omitempty"`
	FactorID string    `json:",omitempty"`
	Codes    []string  `json:",omitempty"` // that were shown
	Verdict  verdict
}

// A setting is what a process of the load is told.
type setting struct {
	URL, Keys string
	Name      string
	Workers   int
	Behind    bool `json:",omitempty"` // its stores answer before they save
}

const settingVariable = "MFA_OUTAGE_LOAD"

func TestMain(m *testing.M) {
	text := os.Getenv(settingVariable)
	if text == "" {
		flag.Parse()
		if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
			flag.Set("test.parallel", "4") // they wait for servers, most of the time
		}
		os.Exit(servers.Main(m))
	}
	logging.Disable() // Redis' client, which would tell of every connection
	var s setting
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = runLoad(s, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runLoad is one process: it ends when its input does.
func runLoad(s setting, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var over [2]store.Store // two pools: what one instance knows the other does not
	for n := range over {
		st, err := servers.Open(ctx, s.URL)
		if err != nil {
			return err
		}
		defer st.Close()
		over[n] = st
	}
	if s.Behind {
		over[0] = newBehind(ctx, over[0])
		over[1] = over[0]
	}
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	var mu sync.Mutex
	say := func(l line) {
		b, _ := json.Marshal(l)
		mu.Lock()
		defer mu.Unlock()
		out.Write(append(b, '\n'))
	}
	var wg sync.WaitGroup
	for n := range s.Workers {
		w := &worker{name: fmt.Sprintf("%s/%d", s.Name, n), clock: mfatest.NewClock(mfatest.Start()), say: say}
		for i := range over {
			var err error
			if w.at[i], err = newInstance(over[i], vault.Keys(s.Keys), w.clock.Now); err != nil {
				return err
			}
		}
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
	return nil
}

// A worker is the client of one user after the other.
type worker struct {
	name  string
	clock *mfatest.Clock
	at    [2]*instance
	say   func(line)

	user    string
	session *mfa.Session
	app     *mfatest.App // the first, which is used
	codes   []string     // that are surely good
	extra   []string     // IDs of further apps
	extras  int          // begun
}

func (w *worker) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		w.user = fmt.Sprintf("%s/%d", w.name, n)
		w.session, w.app, w.codes, w.extra, w.extras = nil, nil, nil, nil, 0
		w.life(ctx)
	}
}

// life is what one user does. Every request comes hours after the last, so that
// no limit is met.
func (w *worker) life(ctx context.Context) {
	v := w.ask(ctx, line{Op: "begin"}, func(ctx context.Context, _ *line) error {
		login, err := w.one().guard.Begin(ctx, mfa.FirstFactor{UserID: w.user, By: mfa.ByPassword})
		switch {
		case err != nil:
			return err
		case login.Session == nil:
			return errors.New("somebody new was asked for a second factor")
		}
		w.session = login.Session
		return nil
	})
	if v != accepted || !w.enrol(ctx) {
		return
	}
	for range 25 {
		if ctx.Err() != nil {
			return
		}
		w.clock.Advance(2 * time.Hour)
		what := rand.IntN(12)
		switch {
		case what < 3:
			w.signIn(ctx, totp.Kind, 1)
		case what < 5:
			w.signIn(ctx, totp.Kind, 2)
		case what < 7 && len(w.codes) > 1:
			w.signIn(ctx, backupcodes.Kind, 1)
		case what < 8 && len(w.codes) > 1:
			w.signIn(ctx, backupcodes.Kind, 2)
		case what == 8:
			w.guess(ctx)
		case w.signIn(ctx, totp.Kind, 1) != accepted:
		case what == 9 && w.extras < 4:
			w.enrol(ctx)
		case what == 10 && len(w.extra) > 0:
			w.remove(ctx)
		default:
			w.regenerate(ctx)
		}
	}
}

func (w *worker) one() *instance { return w.at[rand.IntN(2)] }

// ask makes a request and says what it was told.
func (w *worker) ask(ctx context.Context, l line, request func(context.Context, *line) error) verdict {
	l.Worker, l.User, l.Now = w.name, w.user, w.clock.Now()
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	err := request(within, &l)
	l.At, l.Verdict = time.Now(), verdictOf(err)
	w.say(l)
	if l.Verdict.failed() {
		w.rest(ctx)
	}
	return l.Verdict
}

// rest is what somebody does who was told to try again later.
func (w *worker) rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}

// signIn gives one code, so many times at once, each at an instance of its own.
func (w *worker) signIn(ctx context.Context, kind mfa.Kind, times int) verdict {
	code := ""
	if kind == totp.Kind {
		code = w.app.Next(w.clock)
	} else {
		code, w.codes = w.codes[0], w.codes[1:]
	}
	var wg sync.WaitGroup
	verdicts, sessions, first := make([]verdict, times), make([]*mfa.Session, times), rand.IntN(2)
	for n := range times {
		wg.Go(func() {
			verdicts[n] = w.ask(ctx, line{Op: "sign-in", Kind: kind, Code: code}, func(ctx context.Context, _ *line) (err error) {
				sessions[n], err = w.at[(first+n)%2].signIn(ctx, w.user, mfa.Answer{Kind: kind, Code: code})
				return err
			})
		})
	}
	wg.Wait()
	for n, v := range verdicts {
		if v == accepted {
			w.session = sessions[n]
			return accepted
		}
	}
	if kind == backupcodes.Kind && !slices.ContainsFunc(verdicts, func(v verdict) bool { return v != undone }) {
		w.codes = append(w.codes, code) // nobody has looked at it
	}
	return verdicts[0]
}

func (w *worker) guess(ctx context.Context) {
	code := wrongCode(w.app, w.clock.Now())
	w.ask(ctx, line{Op: "guess", Kind: totp.Kind, Code: code}, func(ctx context.Context, _ *line) error {
		_, err := w.one().signIn(ctx, w.user, mfa.Answer{Kind: totp.Kind, Code: code})
		return err
	})
}

// enrol sets up an app: the first, or one more, which nobody uses.
func (w *worker) enrol(ctx context.Context) bool {
	w.extras++
	var e *mfa.Enrollment
	v := w.ask(ctx, line{Op: "enrol"}, func(ctx context.Context, _ *line) (err error) {
		e, err = w.one().guard.Settings(w.session).Enroll(ctx, mfa.NewFactor{Kind: totp.Kind})
		return err
	})
	if v != accepted {
		return false
	}
	app, err := mfatest.NewApp(e.URI.Reveal())
	if err != nil {
		panic(err)
	}
	answer := mfa.Answer{Kind: totp.Kind, Code: app.Next(w.clock)}
	v = w.ask(ctx, line{Op: "confirm", FactorID: e.ID, Code: answer.Code}, func(ctx context.Context, l *line) error {
		c, err := w.one().guard.Settings(w.session).Confirm(ctx, e.ID, answer)
		if err == nil {
			w.session = c.Session
			w.shown(l, c.BackupCodes)
		}
		return err
	})
	switch {
	case v != accepted:
		return false
	case w.app == nil:
		w.app = app
	default:
		w.extra = append(w.extra, e.ID)
	}
	return true
}

func (w *worker) shown(l *line, codes []mfa.Secret) {
	if len(codes) == 0 {
		return
	}
	w.codes = nil
	for _, c := range codes {
		w.codes = append(w.codes, c.Reveal())
	}
	l.Codes = w.codes
}

func (w *worker) regenerate(ctx context.Context) {
	v := w.ask(ctx, line{Op: "regenerate"}, func(ctx context.Context, l *line) error {
		e, err := w.one().guard.Settings(w.session).Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
		if err == nil {
			w.session = e.Session
			w.shown(l, e.Codes)
		}
		return err
	})
	if v == unknown {
		w.codes = nil
	}
}

func (w *worker) remove(ctx context.Context) {
	id := w.extra[0]
	v := w.ask(ctx, line{Op: "remove", FactorID: id}, func(ctx context.Context, _ *line) error {
		c, err := w.one().guard.Settings(w.session).Remove(ctx, id)
		if err == nil {
			w.session = c.Session
		}
		return err
	})
	if v != undone {
		w.extra = w.extra[1:]
	}
}

// A load is the processes, seen from outside.
type load struct {
	procs []*exec.Cmd
	ends  []io.Closer
	done  sync.WaitGroup

	mu    sync.Mutex
	lines []line
	errs  []error
	more  chan struct{} // closed and made anew with each line
}

// startLoad starts so many processes over the store at url.
func startLoad(t testing.TB, processes int, s setting) *load {
	t.Helper()
	l := &load{more: make(chan struct{})}
	t.Cleanup(func() { l.stop(t) })
	for n := range processes {
		s.Name = fmt.Sprint("process ", n)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), settingVariable+"="+string(text), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		l.procs, l.ends = append(l.procs, cmd), append(l.ends, in)
		l.done.Go(func() { l.listen(out) })
	}
	return l
}

func (l *load) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one line
		err := json.Unmarshal(lines.Bytes(), &one)
		l.mu.Lock()
		if err != nil {
			l.errs = append(l.errs, err)
		}
		l.lines = append(l.lines, one)
		close(l.more)
		l.more = make(chan struct{})
		l.mu.Unlock()
	}
}

// until waits until enough says so of all lines.
func (l *load) until(within time.Duration, enough func([]line) bool) bool {
	timeout := time.After(within)
	for {
		l.mu.Lock()
		lines, more := l.lines, l.more
		l.mu.Unlock()
		if enough(lines) {
			return true
		}
		select {
		case <-more:
		case <-timeout:
			return false
		}
	}
}

// stop ends the load in good order and returns its lines.
func (l *load) stop(t testing.TB) []line {
	t.Helper()
	for _, in := range l.ends {
		in.Close()
	}
	l.done.Wait()
	for _, p := range l.procs {
		if err := p.Wait(); err != nil {
			t.Errorf("a process of the load: %v", err)
		}
	}
	for _, err := range l.errs {
		t.Error(err)
	}
	l.procs, l.ends, l.errs = nil, nil, nil
	return l.lines
}

// accepting returns the workers who had something accepted after that time.
func accepting(lines []line, since time.Time) map[string]bool {
	who := map[string]bool{}
	for _, l := range slices.Backward(lines) {
		if l.Verdict == accepted && l.At.After(since) {
			who[l.Worker] = true
		}
		if since.Sub(l.At) > time.Minute {
			break
		}
	}
	return who
}
