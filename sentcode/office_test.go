package sentcode

// The small world of these tests: a vault over memory, a clock that stands still,
// and a post that keeps what it is given.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

const (
	kind mfa.Kind = "post"

	who   = "ada"
	home  = "pigeon 7, the attic"
	other = "pigeon 9, the cellar"
)

// A post is a Channel to pigeons.
type post struct {
	mu   sync.Mutex
	sent []Message
	fail error
	hook func(context.Context) // within Send
}

var errNoPigeon = errors.New("post: no pigeon")

func (p *post) Kind() mfa.Kind            { return kind }
func (p *post) Profile(u mfa.User) string { return u.Email }
func (p *post) Mask(address string) string {
	first, _, _ := strings.Cut(address, " ")
	return first + " …"
}
func (p *post) Available(context.Context, mfa.User) error { return nil }

func (p *post) Normalize(address string) (string, error) {
	if !strings.HasPrefix(address, "pigeon ") {
		return "", errors.New("post: not for pigeons: " + address)
	}
	return strings.TrimRight(strings.ToLower(address), " "), nil
}

func (p *post) Send(ctx context.Context, m Message) error {
	if p.hook != nil {
		p.hook(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.sent = append(p.sent, m)
	return nil
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// A spy is a store that counts saves and lets another writer come first.
type spy struct {
	store.Store
	saves atomic.Int64
	lose  atomic.Int64 // so many saves conflict
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

type office struct {
	t     testing.TB
	m     *Method
	post  *post
	store *spy
	vault *vault.Vault
	keys  vault.Keys
	now   atomic.Int64 // Unix milliseconds
}

func newOffice(t testing.TB, opts *Options) *office {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, post: &post{}, store: &spy{Store: memstore.New()}, keys: keys}
	o.m = New(o.post, opts)
	if err := o.m.Check(); err != nil {
		t.Fatal(err)
	}
	o.now.Store(1_800_000_000_000)
	o.vault = o.another()
	return o
}

// another opens a second vault over the same store.
func (o *office) another() *vault.Vault {
	o.t.Helper()
	v, err := vault.Open(o.store, o.keys, &vault.Options{Now: o.time})
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

func (o *office) time() time.Time      { return time.UnixMilli(o.now.Load()) }
func (o *office) wait(d time.Duration) { o.now.Add(d.Milliseconds()) }

// A ceremony is whose sign-in, step-up or enrolment something is for.
type ceremony struct {
	user, flow string
	purpose    mfa.Purpose
	until      time.Time
}

var signIn = ceremony{who, "flow", mfa.PurposeSignIn, time.Time{}}

func (c ceremony) request() mfa.Request {
	return mfa.Request{User: mfa.User{ID: c.user, Email: home}, Purpose: c.purpose, Flow: c.flow, Until: c.until}
}

func do[T any](o *office, c ceremony, f func(*vault.Scope) (T, error)) (T, error) {
	return vault.Update(context.Background(), o.vault, c.user, func(a *vault.Account) (T, error) {
		return f(a.Scope(kind, string(c.purpose), c.flow))
	})
}

// guess runs f where the secrets show.
func guess[T any](o *office, v *vault.Vault, c ceremony, f func(*vault.Scope) (T, error)) (T, error) {
	return vault.Update(context.Background(), v, c.user, func(a *vault.Account) (T, error) {
		var got T
		err := a.Guess(kind, string(c.purpose), c.flow, func(s *vault.Scope) (err error) {
			got, err = f(s)
			return err
		})
		if err == nil {
			a.Finished(kind)
		}
		return got, err
	})
}

func (o *office) enroll(c ceremony, address string) (*mfa.Enrollment, error) {
	return do(o, c, func(s *vault.Scope) (*mfa.Enrollment, error) {
		return o.m.Enroll(context.Background(), s, mfa.EnrollRequest{Request: c.request(), Address: address})
	})
}

func (o *office) confirm(c ceremony, id, code string) (*vault.Factor, error) {
	return guess(o, o.vault, c, func(s *vault.Scope) (*vault.Factor, error) {
		return o.m.Confirm(context.Background(), s, mfa.ConfirmRequest{
			Request: c.request(), EnrollmentID: id, Answer: mfa.Answer{Kind: kind, Code: code},
		})
	})
}

func (o *office) challenge(c ceremony) (*mfa.Challenge, error) {
	return do(o, c, func(s *vault.Scope) (*mfa.Challenge, error) {
		return o.m.Challenge(context.Background(), s, mfa.ChallengeRequest{Request: c.request()})
	})
}

// undelivered tells the method that what it sent last for a ceremony did not go out.
func (o *office) undelivered(c ceremony) {
	o.t.Helper()
	if _, err := do(o, c, func(s *vault.Scope) (int, error) {
		o.m.Undelivered(s, c.request())
		return 0, nil
	}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) verify(c ceremony, code string) error { return o.verifyIn(o.vault, c, code) }

func (o *office) verifyIn(v *vault.Vault, c ceremony, code string) error {
	_, err := guess(o, v, c, func(s *vault.Scope) (*mfa.Verification, error) {
		got, err := o.m.Verify(context.Background(), s, mfa.VerifyRequest{
			Request: c.request(), Answer: mfa.Answer{Kind: kind, Code: code},
		})
		if (err == nil) != (got != nil) || err == nil && s.Factor(got.FactorID) == nil {
			o.t.Errorf("a verification %v with error %v", got, err)
		}
		return got, err
	})
	return err
}

// session is the ceremony in which users of this office enrol.
func session(user string) ceremony {
	return ceremony{user: user, flow: "session of " + user, purpose: mfa.PurposeConfirm}
}

// enrolled confirms an address, and waits until another message may be sent.
func (o *office) enrolled(user, address string) *vault.Factor {
	o.t.Helper()
	e, err := o.enroll(session(user), address)
	if err != nil {
		o.t.Fatal(err)
	}
	f, err := o.confirm(session(user), e.ID, o.last().Code.Reveal())
	if err != nil {
		o.t.Fatal(err)
	}
	o.wait(pause)
	return f
}

// sent has a code sent, waits for the next one to be allowed, and returns it.
func (o *office) sent(c ceremony) string {
	o.t.Helper()
	if _, err := o.challenge(c); err != nil {
		o.t.Fatal(err)
	}
	o.wait(pause)
	return o.last().Code.Reveal()
}

func (o *office) last() Message {
	o.post.mu.Lock()
	defer o.post.mu.Unlock()
	if len(o.post.sent) == 0 {
		o.t.Fatal("nothing was sent")
	}
	return o.post.sent[len(o.post.sent)-1]
}

func (o *office) tries(user string) vault.Tries {
	o.t.Helper()
	s, err := o.vault.View(context.Background(), user)
	if err != nil {
		o.t.Fatal(err)
	}
	return s.Tries
}

// unlock takes the account's own limit out of the way.
func (o *office) unlock(user string) {
	o.t.Helper()
	if _, err := vault.Update(context.Background(), o.vault, user, func(a *vault.Account) (int, error) {
		a.Unlock()
		return 0, nil
	}); err != nil {
		o.t.Fatal(err)
	}
}

// wrongFor is a code of so many digits that is none of these.
func wrongFor(codes ...string) string {
	for c := byte('0'); ; c++ {
		if code := strings.Repeat(string(c), len(codes[0])); !slices.Contains(codes, code) {
			return code
		}
	}
}

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func wantUncounted(t testing.TB, what string, err, target error) {
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
