package campaign

// A sealing key is replaced while people sign in: four steps, each
// deployed one process after the other, and nobody notices.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// A step is one HTTP request of a sign-in, so to speak: each can meet another
// process.
type step struct {
	N          int
	Do         string    // begin, challenge, verify, require
	Now        time.Time // the clock never goes back
	User       string
	Token      string          `json:",omitempty"` // of the sign-in
	Session    string          `json:",omitempty"`
	Credential json.RawMessage `json:",omitempty"`
}

// A stepped is the response to a step.
type stepped struct {
	N       int
	Token   string          `json:",omitempty"`
	Session string          `json:",omitempty"`
	Options json.RawMessage `json:",omitempty"`
	Error   string          `json:",omitempty"`
	Unknown bool            `json:",omitempty"` // the error is ErrUnknownKey
}

func (i *instance) take(s step) stepped {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r := stepped{N: s.N}
	err := func() error {
		switch s.Do {
		case "begin":
			login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: s.User, By: mfa.ByPassword})
			if err != nil {
				return err
			}
			if login.Pending == nil {
				return errors.New("no second factor was asked for")
			}
			r.Token = login.Pending.Token()
			return nil
		case "require":
			return i.guard.Require(ctx, i.guard.Session(s.User, s.Session), mfa.Rule{MaxAge: mfa.AnyAge})
		}
		p, err := i.guard.Resume(s.Token)
		if err != nil {
			return fmt.Errorf("resume: %w", err)
		}
		if s.Do == "challenge" {
			c, err := p.Challenge(ctx, mfa.Offer{Kind: webauthn.Kind})
			if err == nil {
				r.Options = c.Options
			}
			return err
		}
		login, err := p.Verify(ctx, mfa.Answer{Kind: webauthn.Kind, Credential: s.Credential})
		if err == nil {
			r.Session = login.Session.Token()
		}
		return err
	}()
	if err != nil {
		r.Error, r.Unknown = s.Do+": "+err.Error(), errors.Is(err, vault.ErrUnknownKey)
	}
	return r
}

// A front is one process of the application.
type front interface {
	take(step) stepped
	stop()
}

// A localFront is one in this process.
type localFront struct{ *instance }

func (localFront) stop() {}

// A remoteFront is another process.
type remoteFront struct {
	in   io.WriteCloser
	mu   sync.Mutex
	n    int
	asks map[int]chan stepped // nil: it has ended
}

func newRemoteFront(t testing.TB, url string, keys vault.Keys) *remoteFront {
	t.Helper()
	p := startProcess(t, "front", processSetting{URL: url, Keys: string(keys)})
	f := &remoteFront{in: p.stdin, asks: map[int]chan stepped{}}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(p.stdout)
		lines.Buffer(nil, 1<<20)
		if lines.Scan() { // that it is there
			close(ready)
		}
		for lines.Scan() {
			var r stepped
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Errorf("from the process: %v", err)
				break
			}
			f.mu.Lock()
			f.asks[r.N] <- r
			delete(f.asks, r.N)
			f.mu.Unlock()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for n, ask := range f.asks {
			ask <- stepped{N: n, Error: "the process ended"}
		}
		f.asks = nil
	}()
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the process did not begin")
	}
	return f
}

func (f *remoteFront) take(s step) stepped {
	out := make(chan stepped, 1)
	f.mu.Lock()
	if f.asks == nil {
		f.mu.Unlock()
		return stepped{Error: "the process has ended"}
	}
	f.n++
	s.N = f.n
	f.asks[s.N] = out
	b, err := json.Marshal(s)
	if err == nil {
		_, err = f.in.Write(append(b, '\n'))
	}
	if err != nil {
		delete(f.asks, s.N)
		f.mu.Unlock()
		return stepped{Error: err.Error()}
	}
	f.mu.Unlock()
	return <-out
}

func (f *remoteFront) stop() { f.in.Close() }

// runFront is a remote front's own side.
func runFront(s processSetting, in io.Reader, out io.Writer) error {
	st, err := servers.Open(context.Background(), s.URL)
	if err != nil {
		return err
	}
	defer st.Close()
	clock := mfatest.NewClock(mfatest.Start())
	i, err := newInstance(st, vault.Keys(s.Keys), clock, 0, nil, quickMethods(&mail.Outbox{})...)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(v any) {
		b, _ := json.Marshal(v)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%s\n", b)
	}
	say("ready")
	var open sync.WaitGroup
	defer open.Wait()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return err
		}
		if s.Now.After(clock.Now()) {
			clock.Set(s.Now)
		}
		open.Go(func() { say(i.take(s)) })
	}
	return lines.Err()
}

// A fleet is the processes of an application, of which one after the other is
// replaced.
type fleet struct {
	*house
	berths []*berth
}

// A berth holds one process, or for a moment none.
type berth struct {
	sync.RWMutex
	front
}

func (b *berth) take(s step) stepped {
	b.RLock()
	defer b.RUnlock()
	return b.front.take(s)
}

func newFleet(t testing.TB, h *house, keys vault.Keys) *fleet {
	f := &fleet{house: h}
	n := 3
	if h.url == "" {
		n = 2
	}
	for range n {
		f.berths = append(f.berths, &berth{front: f.start(t, keys)})
	}
	return f
}

func (f *fleet) start(t testing.TB, keys vault.Keys) front {
	t.Helper()
	if f.url == "" {
		return localFront{f.under(t, keys)}
	}
	return newRemoteFront(t, f.url, keys)
}

// under returns an instance in this process with that ring.
func (h *house) under(t testing.TB, keys vault.Keys) *instance {
	t.Helper()
	other := *h
	other.keys = keys
	return other.instance(t)
}

// replace restarts one process with another ring, when it has answered what it
// was asked.
func (f *fleet) replace(t testing.TB, n int, keys vault.Keys) {
	t.Helper()
	next := f.start(t, keys)
	f.berths[n].Lock()
	defer f.berths[n].Unlock()
	f.berths[n].stop()
	f.berths[n].front = next
}

// ask has any of the processes take a step.
func (f *fleet) ask(s step) stepped {
	s.Now = f.Clock.Now()
	return f.berths[rand.IntN(len(f.berths))].take(s)
}

// signIn signs somebody in. Each step meets any of the processes.
func (f *fleet) signIn(userID string, by *mfatest.Authenticator) (session string, failed *stepped) {
	f.Clock.Advance(100 * time.Millisecond)
	r := f.ask(step{Do: "begin", User: userID})
	if r.Error != "" {
		return "", &r
	}
	token := r.Token
	if r = f.ask(step{Do: "challenge", User: userID, Token: token}); r.Error != "" {
		return "", &r
	}
	credential, err := by.Get(r.Options)
	if err != nil {
		return "", &stepped{Error: err.Error()}
	}
	if r = f.ask(step{Do: "verify", User: userID, Token: token, Credential: credential}); r.Error != "" {
		return "", &r
	}
	session = r.Session
	if r = f.ask(step{Do: "require", User: userID, Session: session}); r.Error != "" {
		return "", &r
	}
	return session, nil
}

// A traffic is people who sign in on and on.
type traffic struct {
	mu     sync.Mutex
	moved  sync.Cond
	done   []int // sign-ins, by person
	failed []stepped
	stop   bool
	ended  sync.WaitGroup
}

func (f *fleet) traffic(people []*mfatest.Person) *traffic {
	tr := &traffic{done: make([]int, len(people))}
	tr.moved.L = &tr.mu
	for n, p := range people {
		tr.ended.Go(func() {
			for stop := false; !stop; {
				_, failed := f.signIn(p.UserID, p.Authenticator())
				tr.mu.Lock()
				if tr.done[n]++; failed != nil {
					tr.failed = append(tr.failed, *failed)
				}
				stop = tr.stop
				tr.moved.Broadcast()
				tr.mu.Unlock()
			}
		})
	}
	return tr
}

// goes waits until everybody has signed in n times more, not counting what was
// under way.
func (tr *traffic) goes(n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for who, before := range append([]int(nil), tr.done...) {
		for tr.done[who] < before+n+1 {
			tr.moved.Wait()
		}
	}
}

// end stops everybody, and returns how many sign-ins there were and those that
// failed.
func (tr *traffic) end() (all int, failed []stepped) {
	tr.mu.Lock()
	tr.stop = true
	tr.mu.Unlock()
	tr.ended.Wait()
	for _, n := range tr.done {
		all += n
	}
	return all, tr.failed
}

// A town is a fleet with people who sign in on and on, and with others whose
// records nobody touches.
type town struct {
	*fleet
	busy, idle []*mfatest.Person
}

const bystanders = 30

func newTown(t testing.TB, h *house, keys vault.Keys) *town {
	t.Helper()
	i := h.under(t, keys)
	w := &town{}
	for n := range 4 {
		w.busy = append(w.busy, h.Enroll(i.guard, fmt.Sprintf("busy-%d", n), webauthn.Kind))
	}
	for n := range bystanders {
		w.idle = append(w.idle, h.Enroll(i.guard, fmt.Sprintf("idle-%d", n), totp.Kind))
	}
	w.fleet = newFleet(t, h, keys)
	return w
}

// sealedUnder counts the records by the ID of the key that they are under.
func (i *instance) sealedUnder(t testing.TB) map[string]int {
	t.Helper()
	count := map[string]int{}
	for id, err := range i.vault.Users(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		s, err := i.vault.View(t.Context(), id)
		switch {
		case errors.Is(err, vault.ErrUnknownKey):
			count["unknown"]++
		case err != nil:
			t.Fatal(err)
		default:
			count[s.KeyID]++
		}
	}
	return count
}

func newKeys(t testing.TB) vault.Keys {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func idOf(keys vault.Keys) string {
	id, _, _ := strings.Cut(string(keys), ":")
	return id
}

func TestRotationUnderLoad(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		old, next := h.keys, newKeys(t)
		w := newTown(t, h, old)
		people := bystanders + len(w.busy)
		kept, failed := w.signIn(w.busy[0].UserID, w.busy[0].Authenticator())
		if failed != nil {
			t.Fatal(failed.Error)
		}
		holds := func(when string) {
			t.Helper()
			for range 2 * len(w.berths) {
				if r := w.ask(step{Do: "require", User: w.busy[0].UserID, Session: kept}); r.Error != "" {
					t.Errorf("a session from the beginning, %s: %s", when, r.Error)
					return
				}
			}
		}
		load := w.traffic(w.busy)

		// One: everybody learns the new key.
		for n := range w.berths {
			w.replace(t, n, old+","+next)
			load.goes(1)
		}
		holds("when the new key is known")

		// Two: it seals. A first pass of three comes too early, and is broken off.
		ops := h.under(t, next+","+old)
		var last, behind string
		for n := range w.berths {
			w.replace(t, n, next+","+old)
			load.goes(1)
			if n > 0 {
				continue
			}
			pass, stop := context.WithCancel(ctx)
			p, err := ops.vault.Reseal(pass, &vault.ResealOptions{PerSecond: 200, Progress: func(p vault.Progress) {
				if strings.HasPrefix(p.Last, "idle") {
					behind = p.Last
				}
				if p.Seen == people/3 {
					stop()
				}
			}})
			stop()
			if !errors.Is(err, context.Canceled) || p.Seen != people/3 {
				t.Fatalf("a pass that was to be broken off: %+v, %v", p, err)
			}
			last = p.Last

			// Behind it a process that is not replaced yet still seals under the
			// old key.
			for _, p := range w.idle {
				if p.UserID == behind {
					p.SignIn(h.under(t, old+","+next).guard, totp.Kind)
				}
			}
		}
		holds("when the new key seals")

		// Three: until nothing is left under the old one.
		p, err := ops.vault.Reseal(ctx, &vault.ResealOptions{PerSecond: 200, After: last})
		if err != nil || p.Failed > 0 || p.Seen != people-people/3 {
			t.Errorf("the rest of a pass: %+v, %v", p, err)
		}
		if count := ops.sealedUnder(t); count[idOf(old)] == 0 {
			t.Errorf("one pass was enough: %v", count)
		}
		passes := 1
		for ; p.Resealed+p.Failed > 0; passes++ {
			if passes == 5 {
				t.Fatalf("after %d passes: %+v", passes, p)
			}
			if p, err = ops.vault.Reseal(ctx, &vault.ResealOptions{PerSecond: 200}); err != nil {
				t.Fatal(err)
			}
		}
		if count := ops.sealedUnder(t); count[idOf(next)] != people || len(count) != 1 {
			t.Errorf("of %d records so many are under each key: %v", people, count)
		}
		holds("when everything is resealed")

		// Four: the old one goes, when the last sign-in that began under it is over.
		load.goes(1)
		for n := range w.berths {
			w.replace(t, n, next)
			load.goes(1)
		}
		all, failures := load.end()
		t.Logf("%d sign-ins, %d passes", all, passes)
		for n, r := range failures {
			t.Errorf("a sign-in failed: %s", r.Error)
			if n == 10 {
				break
			}
		}
		last4 := h.under(t, next)
		if count := last4.sealedUnder(t); count[idOf(next)] != people || len(count) != 1 {
			t.Errorf("in the end: %v", count)
		}
		for _, p := range w.idle[:5] {
			p.SignIn(last4.guard, totp.Kind)
			p.SignIn(last4.guard, backupcodes.Kind)
		}
		// A session that nobody renewed is asked to prove again; it is no failure.
		if err := last4.guard.Require(ctx, last4.guard.Session(w.busy[0].UserID, kept), mfa.Rule{MaxAge: mfa.AnyAge}); !errors.Is(err, mfa.ErrStepUpRequired) {
			t.Errorf("a session under the key that is gone: %v", err)
		}
	})
}

// The steps in another order: somebody meets a key that he does not know.
func TestRotationInTheWrongOrder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  servers.Kind
		rings func(old, next vault.Keys) []vault.Keys // one after the other
	}{
		{"sealing before everybody knows", "", func(old, next vault.Keys) []vault.Keys { return []vault.Keys{next + "," + old} }},
		{"sealing before everybody knows, three processes", servers.SQLite, func(old, next vault.Keys) []vault.Keys { return []vault.Keys{next + "," + old} }},
		{"at once", "", func(_, next vault.Keys) []vault.Keys { return []vault.Keys{next} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := houseOn(t, tt.kind)
			w := newTown(t, h, h.keys)
			load := w.traffic(w.busy)
			for _, ring := range tt.rings(h.keys, newKeys(t)) {
				for n := range w.berths {
					w.replace(t, n, ring)
					load.goes(5)
				}
			}
			all, failures := load.end()
			unknown := 0
			for _, r := range failures {
				if r.Unknown {
					unknown++
				}
			}
			t.Logf("%d sign-ins, %d failed, %d of them by an unknown key", all, len(failures), unknown)
			if unknown == 0 {
				t.Error("nobody met an unknown key")
			}
		})
	}
	// All steps but the third: who did not sign in meanwhile is lost.
	t.Run("nothing resealed", func(t *testing.T) {
		h := newHouse(t, "")
		old, next := h.keys, newKeys(t)
		w := newTown(t, h, old)
		load := w.traffic(w.busy)
		for _, ring := range []vault.Keys{old + "," + next, next + "," + old, next} {
			for n := range w.berths {
				w.replace(t, n, ring)
				load.goes(2)
			}
		}
		if all, failures := load.end(); len(failures) > 0 {
			t.Errorf("%d of %d sign-ins failed", len(failures), all)
		}
		if count := h.under(t, next).sealedUnder(t); count["unknown"] != bystanders {
			t.Errorf("%v, want %d under an unknown key", count, bystanders)
		}
	})
}
