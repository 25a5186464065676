package campaign

// SIGKILL at random points of a running load. What the client was told before
// is compared with what the store holds after.

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
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

const loaders = 4 // that make requests at once in the process that is killed

// A line is one of the client's log: before a request with Answered false,
// after it with the same Number and what was told.
type line struct {
	Number   string
	User     string
	Op       string    // enrol, confirm, sign-in, regenerate, remove, mail
	Answered bool      `json:",omitempty"`
	Now      time.Time `json:",omitzero"`
	Kind     mfa.Kind  `json:",omitempty"`
	Code     string    `json:",omitempty"`
	FactorID string    `json:",omitempty"`
	URI      string    `json:",omitempty"` // of the app that is confirmed
	Codes    []string  `json:",omitempty"` // that were shown
	Token    string    `json:",omitempty"` // of the sign-in that an emailed code is for
	Verdict  verdict   `json:",omitempty"`
}

// methodsOf are the methods of a loader's users: for most of them a set of
// codes that is long enough to need no slow hash, so that more happens.
func methodsOf(userID string, by mail.Sender) []mfa.Method {
	if strings.Contains(userID, "/0/") {
		return slowMethods(by)
	}
	return quickMethods(by)
}

// runLoad is the process that is killed.
func runLoad(s processSetting, out io.Writer) error {
	st, err := servers.Open(context.Background(), s.URL)
	if err != nil {
		return err
	}
	defer st.Close()
	var over store.Store = st
	if s.Behind {
		over = writeBehind(st)
	}
	var mu sync.Mutex
	say := func(l line) {
		b, _ := json.Marshal(l)
		mu.Lock()
		defer mu.Unlock()
		out.Write(append(b, '\n')) // straight into the pipe: it outlives the process
	}
	errs := make(chan error)
	for n := range loaders {
		go func() { errs <- load(over, vault.Keys(s.Keys), fmt.Sprintf("%s/%d/", s.Users, n), say) }()
	}
	return <-errs
}

// load enrols one user after the other and lets each of them do this and that.
func load(st store.Store, keys vault.Keys, users string, say func(line)) error {
	ctx := context.Background()
	clock := mfatest.NewClock(mfatest.Start())
	post := &loudPost{clock: clock, say: say}
	i, err := newInstance(st, keys, clock, 0, nil, methodsOf(users, post)...)
	if err != nil {
		return err
	}
	requests := 0
	for n := 0; ; n++ {
		userID := fmt.Sprintf("%s%d", users, n)
		request := func(ask line, do func(answer *line) error) error {
			clock.Advance(time.Second)
			requests++
			ask.Number, ask.User, ask.Now = fmt.Sprintf("%s%d", users, requests), userID, clock.Now()
			say(ask)
			answer := ask
			answer.Answered = true
			if err := do(&answer); err != nil {
				answer.Verdict = verdictOf(nil, err)
			} else {
				answer.Verdict = accepted
			}
			say(answer)
			if answer.Verdict != accepted {
				return fmt.Errorf("%s: %s", ask.Op, answer.Verdict)
			}
			return nil
		}
		begin := func() (*mfa.Login, error) {
			return i.guard.Begin(ctx, mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
		}
		login, err := begin()
		if err != nil {
			return err
		}
		session := login.Session
		app, codes := (*mfatest.App)(nil), []string(nil)
		shown := func(answer *line, cs []mfa.Secret) {
			codes = nil
			for _, c := range cs {
				codes = append(codes, c.Reveal())
			}
			answer.Codes = codes
		}
		enrol := func() error {
			var e *mfa.Enrollment
			err := request(line{Op: "enrol"}, func(*line) (err error) {
				e, err = i.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: totp.Kind})
				return err
			})
			if err != nil {
				return err
			}
			a, err := mfatest.NewApp(e.URI.Reveal())
			if err != nil {
				return err
			}
			answer := mfa.Answer{Kind: totp.Kind, Code: a.Next(clock)}
			ask := line{Op: "confirm", URI: e.URI.Reveal(), Kind: totp.Kind, Code: answer.Code, FactorID: e.ID}
			return request(ask, func(l *line) error {
				c, err := i.guard.Settings(session).Confirm(ctx, e.ID, answer)
				if err != nil {
					return err
				}
				session = c.Session
				if len(c.BackupCodes) > 0 {
					shown(l, c.BackupCodes)
					app = a
				}
				return nil
			})
		}
		enrolMail := func() error {
			post.line = line{Op: "mail", User: userID}
			var e *mfa.Enrollment
			err := request(line{Op: "enrol"}, func(*line) (err error) {
				e, err = i.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: "somebody@example.com"})
				return err
			})
			if err != nil {
				return err
			}
			answer := mfa.Answer{Kind: emailotp.Kind, Code: post.line.Code}
			return request(line{Op: "confirm", Kind: emailotp.Kind, Code: answer.Code, FactorID: e.ID}, func(*line) error {
				c, err := i.guard.Settings(session).Confirm(ctx, e.ID, answer)
				if err == nil {
					session = c.Session
				}
				return err
			})
		}
		signIn := func(kind mfa.Kind) error {
			answer := mfa.Answer{Kind: kind}
			if kind == totp.Kind {
				answer.Code = app.Next(clock)
			} else {
				answer.Code, codes = codes[0], codes[1:]
			}
			return request(line{Op: "sign-in", Kind: kind, Code: answer.Code}, func(*line) error {
				login, err := begin()
				if err != nil {
					return err
				}
				if login, err = login.Pending.Verify(ctx, answer); err != nil {
					return err
				}
				session = login.Session
				return nil
			})
		}
		signInByMail := func() error {
			login, err := begin()
			if err != nil {
				return err
			}
			pending := login.Pending
			post.line = line{Op: "mail", User: userID, Token: pending.Token()}
			if err := request(line{Op: "challenge"}, func(*line) error {
				_, err := pending.Challenge(ctx, byMail)
				return err
			}); err != nil {
				return err
			}
			for range 3 { // the mail takes its time, and the app does not
				if err := signIn(totp.Kind); err != nil {
					return err
				}
			}
			ask := post.line
			ask.Op, ask.Kind = "sign-in", emailotp.Kind
			return request(ask, func(*line) error {
				login, err := pending.Verify(ctx, mfa.Answer{Kind: ask.Kind, Code: ask.Code})
				if err == nil {
					session = login.Session
				}
				return err
			})
		}
		if err := enrol(); err != nil {
			return err
		}
		apps, mailed := 1, n%2 == 0
		if mailed {
			err := signIn(totp.Kind)
			if err == nil {
				err = enrolMail()
			}
			if err != nil {
				return err
			}
		}
		for range 12 {
			switch what := rand.IntN(10); {
			case what == 0:
				if err = signIn(totp.Kind); err == nil {
					err = request(line{Op: "regenerate"}, func(l *line) error {
						e, err := i.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
						if err != nil {
							return err
						}
						session = e.Session
						shown(l, e.Codes)
						return nil
					})
				}
			case what == 1:
				if apps == 5 {
					continue
				}
				if err = signIn(totp.Kind); err == nil {
					err = enrol() // one more app, which nobody uses
					apps++
				}
			case what == 2:
				o, oerr := i.guard.Settings(session).Overview(ctx)
				if oerr != nil {
					return oerr
				}
				last := o.Factors[len(o.Factors)-1]
				if last.Kind != totp.Kind { // the second app was confirmed after the codes
					continue
				}
				if err = signIn(totp.Kind); err == nil {
					err = request(line{Op: "remove", FactorID: last.ID}, func(*line) error {
						c, err := i.guard.Settings(session).Remove(ctx, last.ID)
						if err != nil {
							return err
						}
						session = c.Session
						apps--
						return nil
					})
				}
			case what >= 7 && mailed:
				err = signInByMail()
			case what <= 4 && len(codes) > 1:
				err = signIn(backupcodes.Kind)
			default:
				err = signIn(totp.Kind)
			}
			if err != nil {
				return err
			}
		}
	}
}

// A loud post says what it delivers before it answers.
type loudPost struct {
	clock *mfatest.Clock
	say   func(line)
	line  line // the latest; what for is set before
}

func (p *loudPost) Send(_ context.Context, m mail.Message) error {
	p.line.Code, p.line.Now = mfatest.Code(m), p.clock.Now()
	p.say(p.line)
	return nil
}

// A memory is what one user was told.
type memory struct {
	apps     map[string]string // URI by ID, of the factors that were confirmed
	first    string            // the ID of the first
	removed  map[string]bool   // was told so
	open     map[string]bool   // removal was asked for, and nothing told
	codes    []string          // shown last, and not used
	renewing bool              // new codes were asked for, and nothing told
	accepted []line            // sign-ins
	unknown  []line            // sign-ins that nothing was told of
	mailed   *line             // a code for a sign-in that has not been typed
}

// remember reads a client's log: what each user was told, and how many requests
// were in flight when it ended.
func remember(log []line) (users map[string]*memory, inFlight int) {
	users = map[string]*memory{}
	asked := map[string]line{}
	for _, l := range log {
		m := users[l.User]
		if m == nil {
			m = &memory{apps: map[string]string{}, removed: map[string]bool{}, open: map[string]bool{}}
			users[l.User] = m
		}
		switch {
		case l.Op == "mail" && l.Token != "":
			m.mailed = &l
		case l.Op == "sign-in" && l.Token != "":
			m.mailed = nil
		}
		if l.Op == "mail" {
			continue
		}
		if !l.Answered {
			asked[l.Number] = l
			continue
		}
		delete(asked, l.Number)
		if l.Verdict != accepted {
			continue
		}
		switch l.Op {
		case "confirm":
			if m.first == "" {
				m.first = l.FactorID
			}
			m.apps[l.FactorID] = l.URI
			m.accepted = append(m.accepted, l) // a confirming code is used too
		case "remove":
			m.removed[l.FactorID] = true
		case "sign-in":
			m.accepted = append(m.accepted, l)
			for i, c := range m.codes {
				if l.Kind == backupcodes.Kind && c == l.Code {
					m.codes = append(m.codes[:i:i], m.codes[i+1:]...)
					break
				}
			}
		}
		if len(l.Codes) > 0 {
			m.codes = l.Codes
		}
	}
	for _, l := range asked {
		m := users[l.User]
		switch l.Op {
		case "remove":
			m.open[l.FactorID] = true
		case "regenerate":
			m.renewing = true
		case "sign-in":
			m.unknown = append(m.unknown, l)
		}
	}
	return users, len(asked)
}

// compare says what the store does not hold of what a user was told.
func (m *memory) compare(t *testing.T, h *house, st store.Store, userID string) (broken []string) {
	t.Helper()
	i := h.instanceOver(t, st, 0, methodsOf(userID, h.post)...)
	admin := i.guard.Admin("test")
	complain := func(format string, args ...any) {
		broken = append(broken, userID+": "+fmt.Sprintf(format, args...))
	}
	last := mfatest.Start()
	for _, l := range m.accepted {
		if l.Now.After(last) {
			last = l.Now
		}
	}
	h.Clock.Set(last)
	o, err := admin.Overview(t.Context(), userID)
	if err != nil {
		complain("overview: %v", err)
		return broken
	}
	has := map[string]bool{}
	for _, f := range o.Factors {
		has[f.ID] = true
	}
	for id := range m.apps {
		switch {
		case m.removed[id] && has[id]:
			complain("a removed factor is back")
		case !m.removed[id] && !m.open[id] && !has[id]:
			complain("a confirmed factor is lost")
		}
	}
	try := func(l line) verdict {
		if err := admin.Unlock(t.Context(), userID); err != nil {
			t.Fatal(err)
		}
		if l.Token != "" {
			p, err := i.guard.Resume(l.Token)
			if err != nil {
				t.Fatal(err)
			}
			return verdictOf(p.Verify(t.Context(), mfa.Answer{Kind: l.Kind, Code: l.Code}))
		}
		login, err := i.guard.Begin(t.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
		if err != nil {
			return verdictOf(nil, err)
		}
		if login.Pending == nil {
			return "no second factor was asked for"
		}
		return verdictOf(login.Pending.Verify(t.Context(), mfa.Answer{Kind: l.Kind, Code: l.Code}))
	}
	var lastCode *line
	for n, l := range m.accepted {
		if l.Kind == totp.Kind && m.apps[m.first] != "" && (l.Op == "sign-in" || l.FactorID == m.first) {
			lastCode = &m.accepted[n]
		}
	}
	if lastCode != nil { // the earlier ones are out of the window
		h.Clock.Set(lastCode.Now.Add(time.Second))
		if v := try(*lastCode); v != replayed {
			complain("the last accepted code again: %s", v)
		}
	}
	if l := m.mailed; l != nil { // what went out is good, once
		h.Clock.Set(l.Now.Add(time.Second))
		if l.Now.Before(last) {
			h.Clock.Set(last.Add(time.Second))
		}
		l.Kind = emailotp.Kind
		if v := try(*l); v != accepted {
			complain("a code that was mailed and not typed: %s", v)
		}
		if v := try(*l); v != expired {
			complain("a code that was mailed and typed twice: %s", v)
		}
	}
	h.Clock.Set(last.Add(time.Second))
	for _, l := range m.accepted {
		if l.Token != "" {
			if v := try(l); v != expired {
				complain("a used emailed code again: %s", v)
			}
		}
		if l.Kind == backupcodes.Kind {
			if v := try(l); v != invalid && v != replayed {
				complain("a used backup code again: %s", v)
			}
		}
	}
	for _, l := range m.unknown { // it may have been accepted; it must not be twice
		h.Clock.Set(l.Now.Add(time.Second))
		if v := try(l); v != accepted && v != replayed && v != invalid && (v != expired || l.Token == "") {
			complain("a code that nothing was told of: %s", v)
		}
		if v := try(l); !v.refused() {
			complain("a code that nothing was told of, for the second time: %s", v)
		}
	}
	// A set that was shown is there, unless the user asked for another.
	if n := len(m.codes); n > 0 && !m.renewing {
		unknown := 0
		for _, l := range m.unknown {
			if l.Kind == backupcodes.Kind {
				unknown++
			}
		}
		if v := try(line{Kind: backupcodes.Kind, Code: m.codes[n-1]}); v != accepted {
			complain("a code that was shown and is not used: %s", v)
		}
		o, err := admin.Overview(t.Context(), userID)
		if err != nil || o.BackupLeft > n-1 || o.BackupLeft < n-1-unknown {
			complain("%d codes are left, want %d (%v)", o.BackupLeft, n-1, err)
		}
	}
	return broken
}

// kill lets a load run over the house's store for a while, kills it and returns
// its log.
func kill(t *testing.T, h *house, users string, behind bool) []line {
	t.Helper()
	p := startProcess(t, "load", processSetting{URL: h.url, Keys: string(h.keys), Behind: behind, Users: users})
	var log []line
	first, done := make(chan struct{}), make(chan error, 1)
	go func() {
		lines := bufio.NewReader(p.stdout)
		for {
			b, err := lines.ReadBytes('\n')
			if err != nil { // what has no end was not said
				if errors.Is(err, io.EOF) {
					err = nil
				}
				done <- err
				return
			}
			var l line
			if err := json.Unmarshal(b, &l); err != nil {
				done <- err
				return
			}
			if log = append(log, l); len(log) == 1 {
				close(first)
			}
		}
	}()
	select {
	case <-first:
	case <-time.After(30 * time.Second):
		t.Fatal("the load did not begin")
	}
	time.Sleep(time.Duration(50+rand.IntN(700)) * time.Millisecond) // the random point; nothing waits for it
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || p.ProcessState.Exited() {
		t.Fatalf("the load ended by itself: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return log
}

// killing kills so often and returns what was lost, and in how many kills a
// request was in flight.
func killing(t *testing.T, h *house, kills int, behind bool) (broken []string, flying int) {
	t.Helper()
	st := h.open(t)
	requests, users, signIns, mailed, open := 0, 0, 0, 0, 0
	for n := range kills {
		log := kill(t, h, fmt.Sprintf("%d", n), behind)
		told, inFlight := remember(log)
		if inFlight > 0 {
			flying++
		}
		for userID, m := range told {
			broken = append(broken, m.compare(t, h, st, userID)...)
			signIns += len(m.accepted)
			for _, l := range m.accepted {
				if l.Token != "" {
					mailed++
				}
			}
			if m.mailed != nil {
				open++
			}
		}
		for _, l := range log {
			if l.Answered {
				requests++
			}
		}
		users += len(told)
	}
	t.Logf("%d kills, %d with a request in flight; %d requests of %d users, %d codes accepted, %d of them mailed, %d mailed and not typed; broken: %d",
		kills, flying, requests, users, signIns, mailed, open, len(broken))
	return broken, flying
}

func TestKill(t *testing.T) {
	onSharedStores(t, func(t *testing.T, h *house) {
		kills := h.number(10, 3, 50)
		broken, flying := killing(t, h, kills, false)
		for _, b := range broken {
			t.Error(b)
		}
		if flying < kills*8/10 {
			t.Errorf("%d of %d kills hit a request: this was no test", flying, kills)
		}
	})
}

// The same over a store that answers before it saves: something is lost, and
// seen.
func TestKillSeesAStoreThatSavesLater(t *testing.T) {
	onStores(t, at(servers.SQLite), func(t *testing.T, h *house) {
		if broken, _ := killing(t, h, 3, true); len(broken) == 0 {
			t.Error("nothing was seen to be lost")
		}
	})
}

// A behind store answers before it saves.
type behind struct {
	store.Store
	mu    sync.Mutex
	saved map[string]store.Record // what Load shows, by user ID
	queue []store.Change
}

func writeBehind(s store.Store) *behind {
	b := &behind{Store: s, saved: map[string]store.Record{}}
	go func() {
		for range time.Tick(30 * time.Millisecond) {
			b.mu.Lock()
			queue := b.queue
			b.queue = nil
			b.mu.Unlock()
			for _, c := range queue {
				s.Apply(context.Background(), c)
			}
		}
	}()
	return b
}

func (b *behind) Load(ctx context.Context, userID string) (store.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec, ok := b.saved[userID]; ok {
		return rec, nil
	}
	return b.Store.Load(ctx, userID)
}

func (b *behind) Apply(_ context.Context, c store.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.saved[c.UserID].Version != c.Old {
		return store.ErrConflict
	}
	b.saved[c.UserID] = store.Record{Version: c.New, Data: c.Data}
	b.queue = append(b.queue, c)
	return nil
}
