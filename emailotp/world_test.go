package emailotp_test

// The small world of these tests: a Guard over memory with an app's codes and
// emailed ones, a clock to set, an outbox, and who was told what.

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

const (
	who  = "anna"
	home = "anna@mail.example"
	work = "anna@work.example"
)

// A spy is a store that counts saves and lets another writer come first.
type spy struct {
	store.Store
	saves, lose atomic.Int64
}

func (s *spy) Apply(ctx context.Context, c store.Change) error {
	if s.lose.Add(-1) >= 0 {
		return store.ErrConflict
	}
	err := s.Store.Apply(ctx, c)
	if err == nil {
		s.saves.Add(1)
	}
	return err
}

type world struct {
	*testing.T
	now   atomic.Int64 // Unix milliseconds
	store *spy
	keys  vault.Keys
	vault *vault.Vault
	guard *mfa.Guard
	cfg   mfa.Config
	out   mail.Outbox
	email *emailotp.Method
	app   *totp.Method

	mu     sync.Mutex
	users  map[string]mfa.User
	events []mfa.Event
	limit  func(mfa.Use) error
	uses   []mfa.Use
}

func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, store: &spy{Store: memstore.New()}, keys: keys, app: totp.New(nil), users: map[string]mfa.User{}}
	w.email = emailotp.New(&w.out, nil)
	w.now.Store(1_800_000_000_000)
	w.users[who] = mfa.User{Email: home}
	w.cfg = mfa.Config{
		Service: "Acme", Methods: []mfa.Method{w.email, w.app},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			u := w.users[id]
			u.ID = id
			return u, nil
		},
		OnEvent: func(_ context.Context, e mfa.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	for _, f := range change {
		f(w)
	}
	w.vault, w.guard = w.another()
	return w
}

// asked makes the Guard ask w.limit, and keeps what it was asked.
func asked(w *world) {
	w.cfg.Limit = func(_ context.Context, u mfa.Use) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.uses = append(w.uses, u)
		if w.limit != nil {
			return w.limit(u)
		}
		return nil
	}
}

func (w *world) time() time.Time      { return time.UnixMilli(w.now.Load()) }
func (w *world) wait(d time.Duration) { w.now.Add(d.Milliseconds()) }

// another opens a vault and a Guard over the same store, as another process
// would.
func (w *world) another() (*vault.Vault, *mfa.Guard) {
	w.Helper()
	v, err := vault.Open(w.store, w.keys, &vault.Options{Now: w.time})
	if err != nil {
		w.Fatal(err)
	}
	g, err := mfa.New(v, w.cfg)
	if err != nil {
		w.Fatal(err)
	}
	return v, g
}

func (w *world) user(id string, change func(*mfa.User)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.users[id]
	change(&u)
	w.users[id] = u
}

// happened returns the events of that type, and forgets all.
func (w *world) happened(want mfa.EventType) []mfa.Event {
	es := w.eventsOf(want)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = nil
	return es
}

func (w *world) eventsOf(want mfa.EventType) (es []mfa.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Type == want {
			es = append(es, e)
		}
	}
	return es
}

func (w *world) begin(g *mfa.Guard, id, resume string) *mfa.Login {
	w.Helper()
	login, err := g.Begin(w.Context(), mfa.FirstFactor{UserID: id, By: mfa.ByPassword, Resume: resume})
	if err != nil {
		w.Fatalf("Begin: %v", err)
	}
	return login
}

func (w *world) pending(id string) *mfa.Pending {
	w.Helper()
	p := w.begin(w.guard, id, "").Pending
	if p == nil {
		w.Fatal("nothing is asked")
	}
	return p
}

var offer = mfa.Offer{Kind: emailotp.Kind}

// send has a code sent and returns it.
func (w *world) send(p *mfa.Pending) string {
	w.Helper()
	if _, err := p.Challenge(w.Context(), offer); err != nil {
		w.Fatalf("Challenge: %v", err)
	}
	return w.last()
}

// sent is send, and waits until another may be sent.
func (w *world) sent(p *mfa.Pending) string {
	w.Helper()
	code := w.send(p)
	w.wait(time.Minute)
	return code
}

var inText = regexp.MustCompile(`(?m)^    (\d{6,10})$`)

func codeIn(m mail.Message) string {
	if found := inText.FindStringSubmatch(m.Text); found != nil {
		return found[1]
	}
	return ""
}

// last is the code of the latest mail.
func (w *world) last() string {
	w.Helper()
	all := w.out.All()
	if len(all) == 0 {
		w.Fatal("no mail")
	}
	code := codeIn(all[len(all)-1].Message)
	if code == "" {
		w.Fatal("a mail without a code")
	}
	return code
}

func answer(code string) mfa.Answer { return mfa.Answer{Kind: emailotp.Kind, Code: code} }

// enroll confirms an address ("": the profile's) in a session.
func (w *world) enroll(s *mfa.Session, address string) *mfa.Session {
	w.Helper()
	e, err := w.guard.Settings(s).Enroll(w.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: address})
	if err != nil {
		w.Fatalf("Enroll: %v", err)
	}
	c, err := w.guard.Settings(s).Confirm(w.Context(), e.ID, answer(w.last()))
	if err != nil {
		w.Fatalf("Confirm: %v", err)
	}
	w.wait(time.Minute)
	return c.Session
}

// person signs up with emailed codes.
func (w *world) person(id string) *mfa.Session {
	w.Helper()
	w.user(id, func(u *mfa.User) {
		if u.Email == "" {
			u.Email = id + "@mail.example"
		}
	})
	s := w.begin(w.guard, id, "").Session
	if s == nil {
		w.Fatal("somebody has something set up already")
	}
	return w.enroll(s, "")
}

// withApp adds an app's codes, and waits until its next code.
func (w *world) withApp(s *mfa.Session) (*totp.Key, *mfa.Session) {
	w.Helper()
	e, err := w.guard.Settings(s).Enroll(w.Context(), mfa.NewFactor{Kind: totp.Kind})
	if err != nil {
		w.Fatal(err)
	}
	k, err := totp.KeyOf(e)
	if err != nil {
		w.Fatal(err)
	}
	c, err := w.guard.Settings(s).Confirm(w.Context(), e.ID, w.typed(k))
	if err != nil {
		w.Fatal(err)
	}
	w.wait(time.Minute)
	return k, c.Session
}

func (w *world) typed(k *totp.Key) mfa.Answer {
	return mfa.Answer{Kind: totp.Kind, Code: k.Code(w.time())}
}

// signIn signs in with an emailed code.
func (w *world) signIn(id string) *mfa.Session {
	w.Helper()
	p := w.pending(id)
	login, err := p.Verify(w.Context(), answer(w.sent(p)))
	if err != nil {
		w.Fatalf("Verify: %v", err)
	}
	return login.Session
}

// stepUp begins a step-up.
func (w *world) stepUp(s *mfa.Session) *mfa.Pending {
	w.Helper()
	w.wait(time.Hour)
	login, err := w.guard.StepUp(w.Context(), s, mfa.Rule{})
	if err != nil || login.Pending == nil {
		w.Fatalf("StepUp: %v, %v", login, err)
	}
	return login.Pending
}

func (w *world) summary(id string) *vault.Summary {
	w.Helper()
	s, err := w.vault.View(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) unlock(id string) {
	w.Helper()
	if err := w.guard.Admin("root").Unlock(w.Context(), id); err != nil {
		w.Fatal(err)
	}
}

// unwritten runs f and demands that it saved nothing and was no try.
func (w *world) unwritten(what, id string, f func()) {
	w.Helper()
	saves, tries := w.store.saves.Load(), w.summary(id).Tries
	f()
	if n := w.store.saves.Load() - saves; n != 0 {
		w.Errorf("%s: %d saves", what, n)
	}
	if now := w.summary(id).Tries; now != tries {
		w.Errorf("%s: counted: %+v, before %+v", what, now, tries)
	}
}

func wrongFor(codes ...string) string {
	for c := byte('0'); ; c++ {
		code, taken := strings.Repeat(string(c), len(codes[0])), false
		for _, other := range codes {
			taken = taken || other == code
		}
		if !taken {
			return code
		}
	}
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func wantUncounted(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) || vault.Counts(err) {
		t.Errorf("%s: %v (counted: %t), want %v that is no try", what, err, vault.Counts(err), target)
	}
}

// race runs f n times at once, all of them held until each is ready.
func race(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}
