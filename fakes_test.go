package mfa_test

// The small world that the tests of Guard live in: factors of every sort that
// need no cryptography, a clock to set, a directory, and who was told what.

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

var (
	_ mfa.Method    = (*device)(nil)
	_ mfa.Confirmer = (*device)(nil)

	_ mfa.Conditional = (*conditional)(nil)
	_ mfa.Confirmer   = (*conditional)(nil)

	_ mfa.Challenger = (*mailer)(nil)
	_ mfa.Confirmer  = (*mailer)(nil)

	_ mfa.Method  = (*codes)(nil)
	_ mfa.Counted = (*codes)(nil)
)

const (
	kindApp   mfa.Kind = "app"   // typed
	kindKey   mfa.Kind = "key"   // signed, resists phishing
	kindMail  mfa.Kind = "mail"  // typed, out of band, needs a challenge
	kindCodes mfa.Kind = "codes" // typed, recovery
)

// A device is an authenticator that answers "secret-n", with an n that only
// grows. What a typed one compares with lies in Factor.Secret, what a signed one
// compares with in Factor.Data, behind the last n.
type device struct {
	kind   mfa.Kind
	traits mfa.Traits

	// in place of its own, where not nil
	check   func() error
	enroll  func(context.Context, *vault.Scope, mfa.EnrollRequest) (*mfa.Enrollment, error)
	confirm func(context.Context, *vault.Scope, mfa.ConfirmRequest) (*vault.Factor, error)
	verify  func(context.Context, *vault.Scope, mfa.VerifyRequest) (*mfa.Verification, error)
}

func (d *device) Kind() mfa.Kind     { return d.kind }
func (d *device) Traits() mfa.Traits { return d.traits }

func (d *device) Check() error {
	if d.check != nil {
		return d.check()
	}
	return nil
}

func (d *device) Enroll(ctx context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if d.enroll != nil {
		return d.enroll(ctx, s, r)
	}
	secret := strings.ToLower(rand.Text())
	f := vault.Factor{Name: r.Name, Data: make([]byte, 8), Secret: []byte(secret)}
	if !d.traits.Typed {
		f.Data, f.Secret = append(f.Data, secret...), nil
	}
	draft, err := s.Draft(f, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: draft.ID, Kind: d.kind, Secret: mfa.Secret(secret), URI: mfa.Secret("fake://" + secret)}, nil
}

func (d *device) Confirm(ctx context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
	if d.confirm != nil {
		return d.confirm(ctx, s, r)
	}
	f := s.Drafted(r.EnrollmentID)
	if f == nil {
		return nil, vault.Uncounted(mfa.ErrExpired)
	}
	if err := d.judge(f, r.Answer); err != nil {
		return nil, err
	}
	return s.Activate(f.ID)
}

func (d *device) Verify(ctx context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	if d.verify != nil {
		return d.verify(ctx, s, r)
	}
	var verdict error = mfa.ErrNotEnrolled
	for _, f := range s.Factors() {
		err := d.judge(f, r.Answer)
		if err == nil {
			return &mfa.Verification{FactorID: f.ID}, nil
		}
		if verdict == mfa.ErrNotEnrolled || errors.Is(err, mfa.ErrReplayed) {
			verdict = err
		}
	}
	return nil, verdict
}

func (d *device) judge(f *vault.Factor, a mfa.Answer) error {
	text := a.Code
	secret := f.Secret
	if !d.traits.Typed {
		text, secret = string(a.Credential), f.Data[8:]
	}
	given, number, ok := strings.Cut(text, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	if !ok || err != nil {
		return vault.Uncounted(mfa.ErrInvalid)
	}
	if len(secret) == 0 || subtle.ConstantTimeCompare([]byte(given), secret) != 1 {
		return mfa.ErrInvalid
	}
	if n <= binary.BigEndian.Uint64(f.Data) {
		return mfa.ErrReplayed
	}
	binary.BigEndian.PutUint64(f.Data, n)
	return nil
}

// A conditional is a device that may not be there for a user.
type conditional struct {
	*device
	available func(mfa.User) error
}

func (c *conditional) Available(_ context.Context, u mfa.User) error { return c.available(u) }

// A mailer sends a code per challenge. It has one try.
type mailer struct {
	*device
	mu       sync.Mutex
	sent     []sent
	fail     error // of sending
	careless bool  // it does not look whose factor it is
}

type sent struct{ user, flow, code string }

func (m *mailer) Challenge(_ context.Context, s *vault.Scope, r mfa.ChallengeRequest) (*mfa.Challenge, error) {
	if s.Factor(r.FactorID) == nil && !m.careless {
		return nil, vault.Uncounted(mfa.ErrNotEnrolled)
	}
	if wait, ok := s.Allow("send", vault.Limit{N: 5, Per: time.Hour}); !ok {
		return nil, &mfa.LimitError{RetryAfter: wait}
	}
	code := rand.Text()
	if err := s.Issue(vault.Challenge{FactorID: r.FactorID, Expires: s.Now().Add(time.Hour), Secret: []byte(code)}); err != nil {
		return nil, err
	}
	s.AfterSave(func(context.Context) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sent = append(m.sent, sent{r.User.ID, r.Flow, code})
		return m.fail
	})
	return &mfa.Challenge{Kind: m.kind, FactorID: r.FactorID, Hint: "a…@example.com", Expires: s.Now().Add(time.Hour)}, nil
}

func (m *mailer) Verify(_ context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	for _, f := range s.Factors() {
		c, ok := s.Take(f.ID, "", "")
		if !ok {
			continue
		}
		if subtle.ConstantTimeCompare(c.Secret, []byte(r.Answer.Code)) == 1 {
			return &mfa.Verification{FactorID: f.ID}, nil
		}
		return nil, mfa.ErrInvalid
	}
	return nil, vault.Uncounted(mfa.ErrExpired)
}

func (m *mailer) last() sent {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) == 0 {
		return sent{}
	}
	return m.sent[len(m.sent)-1]
}

// codes are five recovery codes; Data counts those that are left.
type codes struct{ *device }

const codesInSet = 5

func (c *codes) Left(f vault.Factor) int { return int(f.Data[0]) }

// Confirm hides the device's: codes are not confirmed.
func (c *codes) Confirm() {}

func (c *codes) Enroll(ctx context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if c.enroll != nil {
		return c.enroll(ctx, s, r)
	}
	for _, f := range s.Factors() {
		s.Remove(f.ID)
	}
	e := &mfa.Enrollment{Kind: c.kind, Active: true}
	var all []string
	for range codesInSet {
		code := "code" + rand.Text()
		all, e.Codes = append(all, code), append(e.Codes, mfa.Secret(code))
	}
	f, err := s.Add(vault.Factor{Data: []byte{codesInSet}, Secret: []byte(strings.Join(all, " "))})
	if err != nil {
		return nil, err
	}
	e.ID = f.ID
	return e, nil
}

func (c *codes) Verify(ctx context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	if c.verify != nil {
		return c.verify(ctx, s, r)
	}
	if !strings.HasPrefix(r.Answer.Code, "code") {
		return nil, vault.Uncounted(mfa.ErrInvalid)
	}
	for _, f := range s.Factors() {
		all := strings.Fields(string(f.Secret))
		i := slices.Index(all, r.Answer.Code)
		if i < 0 {
			continue
		}
		all[i] = "used"
		f.Secret = []byte(strings.Join(all, " "))
		f.Data[0]--
		return &mfa.Verification{FactorID: f.ID}, nil
	}
	return nil, mfa.ErrInvalid
}

// A clock stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A spy is a store that counts, and fails on demand.
type spy struct {
	store.Store
	mu           sync.Mutex
	loads, saves int
	fail         error // of both
}

func (s *spy) Load(ctx context.Context, userID string) (store.Record, error) {
	s.mu.Lock()
	s.loads++
	err := s.fail
	s.mu.Unlock()
	if err != nil {
		return store.Record{}, err
	}
	return s.Store.Load(ctx, userID)
}

func (s *spy) Apply(ctx context.Context, c store.Change) error {
	s.mu.Lock()
	s.saves++
	err := s.fail
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Store.Apply(ctx, c)
}

func (s *spy) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// during returns how many loads and saves f causes.
func (s *spy) during(f func()) (loads, saves int) {
	s.mu.Lock()
	l, w := s.loads, s.saves
	s.mu.Unlock()
	f()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads - l, s.saves - w
}

// A world is a Guard and all that is around it.
type world struct {
	*testing.T
	clock *clock
	store *spy
	keys  vault.Keys
	vault *vault.Vault
	guard *mfa.Guard
	cfg   mfa.Config

	app, key *device
	mail     *mailer
	codes    *codes

	mu      sync.Mutex
	users   map[string]mfa.User
	missing map[string]error
	events  []mfa.Event
	notices []notice
	ended   []string // users whose sessions were ended
}

type notice struct {
	user mfa.User
	mfa.Event
}

type notifier func(context.Context, mfa.User, mfa.Event) error

func (n notifier) Notify(ctx context.Context, u mfa.User, e mfa.Event) error { return n(ctx, u, e) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, clock: &clock{now: start}, store: &spy{Store: memstore.New()}, keys: keys,
		app:   &device{kind: kindApp, traits: mfa.Traits{Typed: true}},
		key:   &device{kind: kindKey, traits: mfa.Traits{PhishingResistant: true}},
		mail:  &mailer{device: &device{kind: kindMail, traits: mfa.Traits{Typed: true, OutOfBand: true}}},
		codes: &codes{&device{kind: kindCodes, traits: mfa.Traits{Typed: true, Recovery: true}}},
		users: map[string]mfa.User{}, missing: map[string]error{},
	}
	w.cfg = mfa.Config{
		Service: "Acme", Methods: []mfa.Method{w.codes, w.mail, w.app, w.key},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			u := w.users[id]
			if u.ID == "" {
				u.ID = id
			}
			return u, w.missing[id]
		},
		Notify: notifier(func(_ context.Context, u mfa.User, e mfa.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.notices = append(w.notices, notice{u, e})
			return nil
		}),
		OnEvent: func(_ context.Context, e mfa.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
		EndSessions: func(_ context.Context, userID string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended = append(w.ended, userID)
			return nil
		},
	}
	for _, f := range change {
		f(w)
	}
	w.vault, w.guard = w.another(w.cfg)
	return w
}

// another opens a vault and a Guard of its own over the same store, as another
// process would.
func (w *world) another(cfg mfa.Config) (*vault.Vault, *mfa.Guard) {
	w.Helper()
	v, err := vault.Open(w.store, w.keys, &vault.Options{Now: w.clock.Now})
	if err != nil {
		w.Fatal(err)
	}
	g, err := mfa.New(v, cfg)
	if err != nil {
		w.Fatal(err)
	}
	return v, g
}

// with returns another Guard that has these methods alone.
func (w *world) with(ms ...mfa.Method) *mfa.Guard {
	w.Helper()
	cfg := w.cfg
	cfg.Methods = ms
	_, g := w.another(cfg)
	return g
}

func (w *world) policy(userID string, p mfa.Policy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users[userID] = mfa.User{ID: userID, Policy: p}
}

// lose makes the directory answer err for that user.
func (w *world) lose(userID string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing[userID] = err
}

func (w *world) told() []mfa.EventType {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ts []mfa.EventType
	for _, n := range w.notices {
		ts = append(ts, n.Type)
	}
	return ts
}

func (w *world) seen() []mfa.EventType {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ts []mfa.EventType
	for _, e := range w.events {
		ts = append(ts, e.Type)
	}
	return ts
}

// forget empties what was told and seen.
func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events, w.notices, w.ended = nil, nil, nil
}

func (w *world) count(ts []mfa.EventType, t mfa.EventType) int {
	n := 0
	for _, o := range ts {
		if o == t {
			n++
		}
	}
	return n
}

// begin signs in with the password.
func (w *world) begin(userID string) *mfa.Login {
	w.Helper()
	login, err := w.guard.Begin(w.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	if err != nil {
		w.Fatalf("Begin: %v", err)
	}
	if (login.Session == nil) == (login.Pending == nil) {
		w.Fatal("not exactly one of Session and Pending")
	}
	return login
}

// pending is begin, for a user who has something to prove.
func (w *world) pending(userID string) *mfa.Pending {
	w.Helper()
	login := w.begin(userID)
	if login.Pending == nil {
		w.Fatal("Begin asked for nothing")
	}
	return login.Pending
}

// A person is a user with what they hold in their hands.
type person struct {
	*world
	id      string
	session *mfa.Session
	hands   map[mfa.Kind]*hand
	codes   []string
}

type hand struct {
	id, secret string
	n          int
	typed      bool
}

// next is an answer that was not given before.
func (h *hand) next(k mfa.Kind) mfa.Answer {
	h.n++
	return h.answer(k, h.n)
}

func (h *hand) answer(k mfa.Kind, n int) mfa.Answer {
	text := fmt.Sprintf("%s-%d", h.secret, n)
	if h.typed {
		return mfa.Answer{Kind: k, Code: text}
	}
	return mfa.Answer{Kind: k, Credential: []byte(text)}
}

// person signs up with these kinds, in their order, on the Security page.
func (w *world) person(userID string, kinds ...mfa.Kind) *person {
	w.Helper()
	p := &person{world: w, id: userID, hands: map[mfa.Kind]*hand{}}
	login := w.begin(userID)
	if login.Session == nil {
		w.Fatal("the user has something set up already")
	}
	p.session = login.Session
	for _, k := range kinds {
		p.add(k)
	}
	return p
}

// add enrols one more kind.
func (p *person) add(k mfa.Kind) {
	p.Helper()
	ctx := p.Context()
	for _, had := range []mfa.Kind{kindKey, kindApp} {
		if had != k && p.hands[had] != nil {
			p.signIn(had)
			break
		}
	}
	e, err := p.guard.Settings(p.session).Enroll(ctx, mfa.NewFactor{Kind: k, Name: "my " + string(k)})
	if err != nil {
		p.Fatalf("Enroll: %v", err)
	}
	h := &hand{id: e.ID, secret: e.Secret.Reveal(), typed: k != kindKey}
	p.hands[k] = h
	change, err := p.guard.Settings(p.session).Confirm(ctx, e.ID, h.next(k))
	if err != nil {
		p.Fatalf("Confirm: %v", err)
	}
	p.session = change.Session
	for _, c := range change.BackupCodes {
		p.codes = append(p.codes, c.Reveal())
	}
}

// answer is the next right answer of that kind.
func (p *person) answer(k mfa.Kind) mfa.Answer {
	p.Helper()
	if k == kindCodes {
		c := p.codes[0]
		p.codes = p.codes[1:]
		return mfa.Answer{Kind: k, Code: c}
	}
	return p.hands[k].next(k)
}

// verify demands that the answer passes.
func (w *world) verify(p *mfa.Pending, a mfa.Answer) *mfa.Login {
	w.Helper()
	login, err := p.Verify(w.Context(), a)
	if err != nil {
		w.Fatalf("Verify with a right answer: %v", err)
	}
	if login.Session == nil || login.Pending != nil {
		w.Fatal("Verify gave no Session, or a Pending too")
	}
	return login
}

// signIn signs in with that kind, and takes the session.
func (p *person) signIn(k mfa.Kind) {
	p.Helper()
	p.session = p.world.verify(p.pending(p.id), p.answer(k)).Session
}

func (p *person) settings() *mfa.Settings { return p.guard.Settings(p.session) }

// wrong is an answer of the right form that is not right.
func wrong(k mfa.Kind) mfa.Answer {
	switch k {
	case kindKey:
		return mfa.Answer{Kind: k, Credential: []byte("wrong-9")}
	case kindCodes:
		return mfa.Answer{Kind: k, Code: "codeWRONG"}
	}
	return mfa.Answer{Kind: k, Code: "wrong-9"}
}

// guesses gives n wrong answers, each in a sign-in of its own, waiting out the
// pauses.
func (w *world) guesses(userID string, k mfa.Kind, n int) {
	w.Helper()
	for range n {
		for {
			_, err := w.pending(userID).Verify(w.Context(), wrong(k))
			var limit *mfa.LimitError
			if errors.As(err, &limit) {
				w.clock.add(limit.RetryAfter)
				continue
			}
			if !errors.Is(err, mfa.ErrInvalid) {
				w.Fatalf("a wrong answer: %v, want ErrInvalid", err)
			}
			break
		}
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// wantStepUp demands a *StepUpError and returns it.
func wantStepUp(t *testing.T, what string, err error) *mfa.StepUpError {
	t.Helper()
	var missing *mfa.StepUpError
	if !errors.As(err, &missing) || !errors.Is(err, mfa.ErrStepUpRequired) {
		t.Fatalf("%s: %v, want a *StepUpError", what, err)
	}
	return missing
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
