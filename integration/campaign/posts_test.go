package campaign

// Posts are places from where requests come at once: instances in this process,
// and other processes.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An attempt is one request: an answer to a pending sign-in, to a step-up of a
// session, or to an enrolment that a session began; or what Do says.
type attempt struct {
	N          int `json:",omitempty"` // of the answer to it
	Token      string
	Kind       mfa.Kind
	Code       string
	Credential json.RawMessage `json:",omitempty"` // in place of Code
	Late       bool            // let go after the others, by a call of its own
	User       string          `json:",omitempty"` // of the session
	Session    string          `json:",omitempty"` // "": Token is of a sign-in
	Enrollment string          `json:",omitempty"` // "": Token is of a step-up
	Do         doing           `json:",omitempty"` // "": answer
	Factor     string          `json:",omitempty"` // that is removed
}

// A doing is what an attempt can be other than an answer.
type doing string

const (
	removing     doing = "remove"     // Factor, in the settings of Session
	regenerating doing = "regenerate" // the backup codes, there
	resetting    doing = "reset"      // User, by an administrator
)

// An answer is what became of an attempt.
type answer struct {
	N       int `json:",omitempty"`
	Verdict verdict
	Session string   `json:",omitempty"` // that was begun or renewed
	Codes   []string `json:",omitempty"` // that were shown
}

func (a attempt) by(ctx context.Context, g *mfa.Guard) answer {
	session, codes, err := a.do(ctx, g)
	b := answer{N: a.N, Verdict: accepted}
	switch {
	case err != nil:
		b.Verdict = verdictOf(nil, err)
	case session != nil:
		b.Session = session.Token()
	case a.Do != resetting:
		b.Verdict = "neither an error nor a session"
	}
	for _, c := range codes {
		b.Codes = append(b.Codes, c.Reveal())
	}
	return b
}

func (a attempt) do(ctx context.Context, g *mfa.Guard) (*mfa.Session, []mfa.Secret, error) {
	own := g.Session(a.User, a.Session)
	switch a.Do {
	case removing:
		c, err := g.Settings(own).Remove(ctx, a.Factor)
		if err != nil {
			return nil, nil, err
		}
		return c.Session, nil, nil
	case regenerating:
		e, err := g.Settings(own).Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
		if err != nil {
			return nil, nil, err
		}
		return e.Session, e.Codes, nil
	case resetting:
		return nil, nil, g.Admin("test").Reset(ctx, a.User, "lost everything")
	}
	answer := mfa.Answer{Kind: a.Kind, Code: a.Code, Credential: a.Credential}
	if a.Enrollment != "" {
		c, err := g.Settings(own).Confirm(ctx, a.Enrollment, answer)
		if err != nil {
			return nil, nil, err
		}
		return c.Session, c.BackupCodes, nil
	}
	p, err := g.Resume(a.Token)
	if a.Session != "" {
		p, err = g.ResumeStepUp(own, a.Token)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("resume: %v", err) // no verdict on an answer
	}
	login, err := p.Verify(ctx, answer)
	if err != nil || login.Pending != nil {
		return nil, nil, err
	}
	return login.Session, nil, nil
}

// A post takes attempts and holds them inside the Guard until they are let go.
type post interface {
	// gather starts the attempts and returns how many are inside the Guard,
	// none of them answered, once that is all of them.
	gather(attempts []attempt) (inside int)
	release()               // all but the late ones
	releaseLate()           // the late ones
	answers() <-chan answer // one for each attempt
}

// A local post is an instance in this process.
type local struct {
	*instance
	hold, late *hold
	out        chan answer
}

func (l *local) gather(attempts []attempt) int {
	l.hold, l.late = newHold(len(attempts)), newHold(len(attempts))
	l.out = make(chan answer, len(attempts))
	for _, a := range attempts {
		hold := l.hold
		if a.Late {
			hold = l.late
		}
		go func() { l.out <- a.by(hold.in(context.Background()), l.guard) }()
	}
	n := 0
	for range attempts {
		select {
		case <-l.hold.inside:
		case <-l.late.inside:
		case <-time.After(10 * time.Second):
			return n
		}
		n++
	}
	return n - len(l.out) // an answer before the release is nobody inside
}

func (l *local) release()               { close(l.hold.let) }
func (l *local) releaseLate()           { close(l.late.let) }
func (l *local) answers() <-chan answer { return l.out }

// locals returns n instances over h as posts.
func (h *house) locals(t testing.TB, n int, methods ...mfa.Method) []post {
	t.Helper()
	var posts []post
	for range n {
		posts = append(posts, &local{instance: h.instance(t, methods...)})
	}
	return posts
}

// What goes to another process, one JSON value a line.
type message struct {
	Do       string    `json:",omitempty"` // to it: gather, release, late
	Now      time.Time `json:",omitzero"`
	Attempts []attempt `json:",omitempty"`

	Inside int    `json:",omitempty"` // from it
	Answer answer `json:",omitzero"`
	Error  string `json:",omitempty"`
}

// A remote post is an instance in another process.
type remote struct {
	t     testing.TB
	clock *mfatest.Clock
	in    io.Writer
	mu    sync.Mutex
	ready chan int
	out   chan answer
}

func (r *remote) send(m message) {
	b, err := json.Marshal(m)
	if err == nil {
		_, err = r.in.Write(append(b, '\n'))
	}
	if err != nil {
		r.t.Errorf("to the process: %v", err)
	}
}

func (r *remote) gather(attempts []attempt) int {
	r.mu.Lock()
	r.out = make(chan answer, len(attempts))
	r.mu.Unlock()
	r.send(message{Do: "gather", Now: r.clock.Now(), Attempts: attempts})
	select {
	case n := <-r.ready:
		return n
	case <-time.After(20 * time.Second):
		return 0
	}
}

func (r *remote) release()     { r.send(message{Do: "release"}) }
func (r *remote) releaseLate() { r.send(message{Do: "late"}) }
func (r *remote) answers() <-chan answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out
}

// remotes returns n processes over the house's store. careless puts the
// load-compare-save store between them and it.
func (h *house) remotes(t testing.TB, n int, careless bool) []post {
	t.Helper()
	setting := processSetting{URL: h.url, Keys: string(h.keys), Careless: careless, Slow: h.slow}
	var posts []post
	for range n {
		cmd := startProcess(t, "post", setting)
		r := &remote{t: t, clock: h.Clock, in: cmd.stdin, ready: make(chan int, 1)}
		go func() {
			lines := bufio.NewScanner(cmd.stdout)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				var m message
				if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
					t.Errorf("from the process: %v", err)
					return
				}
				switch {
				case m.Error != "":
					t.Errorf("in the process: %s", m.Error)
				case m.Inside > 0:
					r.ready <- m.Inside
				default:
					r.mu.Lock()
					r.out <- m.Answer
					r.mu.Unlock()
				}
			}
		}()
		posts = append(posts, r)
	}
	return posts
}

// three returns three processes as posts; three instances where the store is in
// this one's memory.
func (h *house) three(t testing.TB) []post {
	t.Helper()
	if h.url == "" {
		return h.locals(t, 3)
	}
	return h.remotes(t, 3, false)
}

// runPost is a remote post's own side.
func runPost(s processSetting, in io.Reader, out io.Writer) error {
	st, err := servers.Open(context.Background(), s.URL)
	if err != nil {
		return err
	}
	defer st.Close()
	var over store.Store = st
	if s.Careless {
		over = careless{st}
	}
	clock := mfatest.NewClock(time.Time{})
	methods := quickMethods(&mail.Outbox{})
	if s.Slow {
		methods = slowMethods(&mail.Outbox{})
	}
	i, err := newInstance(over, vault.Keys(s.Keys), clock, 0, nil, methods...)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(m message) {
		b, _ := json.Marshal(m)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%s\n", b)
	}
	l := &local{instance: i}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return err
		}
		switch m.Do {
		case "gather":
			clock.Set(m.Now)
			say(message{Inside: l.gather(m.Attempts)})
			answers := l.answers()
			go func() {
				for range m.Attempts {
					say(message{Answer: <-answers})
				}
			}()
		case "release":
			l.release()
		case "late":
			l.releaseLate()
		}
	}
	return lines.Err()
}

// Other processes are this test binary again, with a role in its environment.

type processSetting struct {
	URL, Keys string
	Careless  bool   `json:",omitempty"` // of a post: loads, compares and saves
	Slow      bool   `json:",omitempty"` // of a post: backup codes under a slow hash
	Behind    bool   `json:",omitempty"` // of a load: answers before it saves
	Users     string `json:",omitempty"` // of a load: how its user IDs begin; of a claimer: user and key
	Stop      int    `json:",omitempty"` // of a claimer: after so many commands
}

const (
	roleVariable    = "MFA_CAMPAIGN_ROLE"
	settingVariable = "MFA_CAMPAIGN_SETTING"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(servers.Main(m))
	}
	var s processSetting
	err := json.Unmarshal([]byte(os.Getenv(settingVariable)), &s)
	if err == nil {
		switch role {
		case "post":
			err = runPost(s, os.Stdin, os.Stdout)
		case "claimer":
			err = runClaimer(s, os.Stdin, os.Stdout)
		case "front":
			err = runFront(s, os.Stdin, os.Stdout)
		case "load":
			err = runLoad(s, os.Stdout)
		default:
			err = fmt.Errorf("no role %q", role)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

type process struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
}

// startProcess starts this binary in a role. Without a kill it ends when its
// standard input does, at the end of the test.
func startProcess(t testing.TB, role string, s processSetting) *process {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, settingVariable+"="+string(b),
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Stderr = os.Stderr
	p := &process{Cmd: cmd}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	// Not StdoutPipe: what a killed process said is read to its end first.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, cmd.Stdout = r, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		p.stdin.Close()
		if p.ProcessState == nil {
			timer := time.AfterFunc(10*time.Second, func() { p.Process.Kill() })
			p.Wait()
			timer.Stop()
		}
		r.Close()
	})
	return p
}
