package webauthn_test

// The world of the tests: a Guard over a store that counts, and ceremonies in
// which one thing is changed.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

const origin = mfatest.Origin

// A world is a Guard with webauthn and totp, and what happened to it.
type world struct {
	kit    *mfatest.Kit
	keys   vault.Keys
	method *webauthn.Method
	guard  *mfa.Guard
	writes atomic.Int64

	users  atomic.Int64
	mu     sync.Mutex
	policy mfa.Policy
	events []mfa.Event
}

type counting struct {
	store.Store
	writes *atomic.Int64
}

func (c counting) Apply(ctx context.Context, change store.Change) error {
	c.writes.Add(1)
	return c.Store.Apply(ctx, change)
}

// newWorld returns one in which passkeys sign in alone.
func newWorld(t *testing.T, opts *webauthn.Options) *world {
	t.Helper()
	w := &world{kit: mfatest.New(t), method: webauthn.New(origin, opts), policy: mfa.Policy{PasskeyAlone: true}}
	var err error
	if w.keys, err = vault.NewKey(); err != nil {
		t.Fatal(err)
	}
	w.guard = w.another(t, w.kit.Store, w.method, totp.New(nil))
	return w
}

// another returns a Guard over a vault of its own, as another process has it.
func (w *world) another(t *testing.T, st *memstore.Store, methods ...mfa.Method) *mfa.Guard {
	t.Helper()
	v, err := vault.Open(counting{st, &w.writes}, w.keys, &vault.Options{Now: w.kit.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w.kit.Vault = v
	g, err := mfa.New(v, mfa.Config{
		Service: "Acme", Methods: methods,
		Users: func(_ context.Context, id string) (mfa.User, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return mfa.User{ID: id, Name: id + "@acme.example", DisplayName: "Ms " + id, Policy: w.policy}, nil
		},
		OnEvent: func(_ context.Context, e mfa.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (w *world) setPolicy(p mfa.Policy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policy = p
}

// seen counts the events of a type.
func (w *world) seen(of mfa.EventType) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Type == of {
			n++
		}
	}
	return n
}

// user is a new one's ID.
func (w *world) user() string { return fmt.Sprintf("user%d", w.users.Add(1)) }

// An enrolment is one that began.
type enrolment struct {
	*mfa.Enrollment
	settings *mfa.Settings
	user     string
}

// enrol begins one for a user who has signed in by a password alone.
func (w *world) enrol(t *testing.T, userID string) enrolment {
	t.Helper()
	login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	if err != nil || login.Session == nil {
		t.Fatalf("Begin: %v, or something is set up", err)
	}
	return w.enrolIn(t, login.Session)
}

func (w *world) enrolIn(t *testing.T, s *mfa.Session) enrolment {
	t.Helper()
	settings := w.guard.Settings(s)
	e, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if err != nil {
		t.Fatalf("Enroll: %v", err)
	}
	return enrolment{e, settings, s.UserID()}
}

func (e enrolment) confirm(t *testing.T, credential []byte) (*mfa.Session, error) {
	c, err := e.settings.Confirm(t.Context(), e.ID, answer(credential))
	if err != nil {
		return nil, err
	}
	return c.Session, nil
}

func answer(credential []byte) mfa.Answer {
	return mfa.Answer{Kind: webauthn.Kind, Credential: credential}
}

// holder registers an authenticator of a new user, nil: an ordinary one.
func (w *world) holder(t *testing.T, a *mfatest.Authenticator) (userID string, _ *mfatest.Authenticator) {
	t.Helper()
	if a == nil {
		a = mfatest.NewAuthenticator(origin)
	}
	userID = w.user()
	e := w.enrol(t, userID)
	credential, err := a.Create(e.Challenge.Options)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	if _, err := e.confirm(t, credential); err != nil {
		t.Fatalf("Confirm: %v", err)
	}
	return userID, a
}

// pending begins a sign-in with a password.
func (w *world) pending(t *testing.T, userID string) *mfa.Pending {
	t.Helper()
	login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	if err != nil || login.Pending == nil {
		t.Fatalf("Begin: %v, or nothing is asked for", err)
	}
	return login.Pending
}

// second asks for the second factor of a sign-in.
func (w *world) second(t *testing.T, userID string) (*mfa.Pending, *mfa.Challenge) {
	t.Helper()
	p := w.pending(t, userID)
	return p, challenge(t, p)
}

func challenge(t *testing.T, p *mfa.Pending) *mfa.Challenge {
	t.Helper()
	c, err := p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind})
	if err != nil {
		t.Fatalf("Challenge: %v", err)
	}
	return c
}

// alone begins a sign-in by a passkey.
func (w *world) alone(t *testing.T) (*mfa.Pending, *mfa.Challenge) {
	t.Helper()
	p, c, err := w.guard.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
	if err != nil {
		t.Fatalf("BeginPasskey: %v", err)
	}
	return p, c
}

// begin is second for a user, alone for "".
func (w *world) begin(t *testing.T, userID string) (*mfa.Pending, *mfa.Challenge) {
	t.Helper()
	if userID == "" {
		return w.alone(t)
	}
	return w.second(t, userID)
}

// get is what a answers to c.
func get(t *testing.T, a *mfatest.Authenticator, c *mfa.Challenge) []byte {
	t.Helper()
	credential, err := a.Get(c.Options)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return credential
}

// create is what a answers to an enrolment.
func create(t *testing.T, a *mfatest.Authenticator, e enrolment) []byte {
	t.Helper()
	credential, err := a.Create(e.Challenge.Options)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return credential
}

// signsIn demands that it does.
func signsIn(t *testing.T, p *mfa.Pending, credential []byte) *mfa.Session {
	t.Helper()
	login, err := p.Verify(t.Context(), answer(credential))
	if err != nil || login.Session == nil {
		t.Fatalf("Verify: %v; want a session", err)
	}
	return login.Session
}

// refused demands a verdict with that error.
func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("%s: %v is no verdict", what, err)
	}
}

// A change is one thing that is not as it should be in a ceremony, or one that
// may be so where want is nil.
type change struct {
	name  string
	want  error
	forge func(*mfatest.Forgery)         // before it is signed
	alter func(reply map[string]any)     // after that
	raw   func(reply string) string      // as text
	tool  func(a *mfatest.Authenticator) // of the authenticator
}

// by has the change made in what do gives.
func (c change) by(t *testing.T, a *mfatest.Authenticator, do func(json.RawMessage) (json.RawMessage, error), options json.RawMessage) []byte {
	t.Helper()
	a.Forge, a.Alter = c.forge, c.alter
	defer func() { a.Forge, a.Alter = nil, nil }()
	body, err := do(options)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if c.raw != nil {
		body = []byte(c.raw(string(body)))
	}
	return body
}

// registers runs each change in a registration of its own. Whatever comes of it,
// the challenge is used up.
func registers(t *testing.T, w *world, changes []change) {
	t.Helper()
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			e, a := w.enrol(t, w.user()), mfatest.NewAuthenticator(origin)
			if c.tool != nil {
				c.tool(a)
			}
			honest := create(t, mfatest.NewAuthenticator(origin), e)
			_, err := e.confirm(t, c.by(t, a, a.Create, e.Challenge.Options))
			if c.want == nil {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			refused(t, "registered", err, c.want)
			_, err = e.confirm(t, honest)
			refused(t, "the same challenge once more", err, mfa.ErrExpired)
		})
	}
}

// signIns runs each change in a sign-in of its own, as a second factor and
// alone. What is refused writes nothing, and the right answer passes after it.
func signIns(t *testing.T, w *world, changes []change) {
	t.Helper()
	for _, c := range changes {
		userID, a := w.holder(t, nil)
		if c.tool != nil {
			c.tool(a)
		}
		for how, user := range map[string]string{"second": userID, "alone": ""} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				p, ch := w.begin(t, user)
				honest := get(t, a, ch)
				body := c.by(t, a, a.Get, ch.Options)
				before := w.writes.Load()
				_, err := p.Verify(t.Context(), answer(body))
				if c.want == nil {
					if err != nil {
						t.Fatalf("refused: %v", err)
					}
					return
				}
				refused(t, "signed in", err, c.want)
				if n := w.writes.Load() - before; n != 0 {
					t.Errorf("a refused answer was written %d times", n)
				}
				signsIn(t, p, honest)
			})
		}
	}
}

// edit changes the bytes of a member of the response.
func edit(name string, f func([]byte) []byte) func(map[string]any) {
	return func(reply map[string]any) {
		r := reply["response"].(map[string]any)
		b, _ := base64.RawURLEncoding.DecodeString(r[name].(string))
		r[name] = b64(f(b))
	}
}

// set sets a member of the reply, or of its response.
func set(name string, v any) func(map[string]any) {
	return func(reply map[string]any) {
		if _, top := reply[name]; !top {
			reply = reply["response"].(map[string]any)
		}
		reply[name] = v
	}
}

func replace(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func challengeOf(t *testing.T, options json.RawMessage) string {
	t.Helper()
	var o struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	return o.Challenge
}

// handleOf is the user handle of a session's user.
func handleOf(t *testing.T, w *world, s *mfa.Session) []byte {
	t.Helper()
	all, err := w.guard.Settings(s).Signals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var signals struct {
		Accepted struct {
			UserID string `json:"userId"`
		} `json:"accepted"`
	}
	if err := json.Unmarshal(all[webauthn.Kind], &signals); err != nil {
		t.Fatal(err)
	}
	b, err := base64.RawURLEncoding.DecodeString(signals.Accepted.UserID)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
