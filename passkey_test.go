package mfa_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// passkeys is a world whose Guard has the real methods, and passkeys among them.
func passkeys(t *testing.T) (*world, *mfatest.Kit) {
	t.Helper()
	w := newWorld(t, func(w *world) {
		quick := backupcodes.New(&backupcodes.Options{Chars: 24}) // such codes need no slow hash
		w.cfg.Methods = []mfa.Method{webauthn.New(mfatest.Origin, nil), totp.New(nil), quick}
	})
	k := mfatest.New(t)
	k.Vault, k.Clock = w.vault, mfatest.NewClock(w.clock.Now())
	return w, k
}

// owner enrols a passkey that may sign in alone, and then more.
func owner(w *world, k *mfatest.Kit, userID string, more ...mfa.Kind) *mfatest.Person {
	w.Helper()
	w.policy(userID, mfa.Policy{PasskeyAlone: true})
	return k.Enroll(w.guard, userID, append([]mfa.Kind{webauthn.Kind}, more...)...)
}

func (w *world) beginPasskey(f mfa.PasskeySignIn) (*mfa.Pending, *mfa.Challenge) {
	w.Helper()
	p, c, err := w.guard.BeginPasskey(w.Context(), f)
	if err != nil || p == nil || c == nil {
		w.Fatalf("BeginPasskey: %v, %v, %v", p, c, err)
	}
	return p, c
}

// Where the policy lets a passkey stand for both factors, it is one proof that
// opens everything.
func TestPasskeyAlone(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	w.forget()
	pending, c := w.beginPasskey(mfa.PasskeySignIn{Carry: "/inbox"})
	if pending.UserID() != "" || pending.MustEnroll() || !c.Expires.Equal(pending.Expires()) {
		t.Errorf("of %q, enrol %v, until %v", pending.UserID(), pending.MustEnroll(), c.Expires)
	}
	login := w.verify(pending, p.Answer(webauthn.Kind, c))
	s := login.Session
	if s.UserID() != "alice" || s.By() != mfa.ByPasskey || login.Carry != "/inbox" || login.Skipped != "" || login.BackupLeft != 10 {
		t.Errorf("%q by %q, carrying %q, skipped %q, %d codes", s.UserID(), s.By(), login.Carry, login.Skipped, login.BackupLeft)
	}
	for name, err := range map[string]error{
		"Require":  w.guard.Require(t.Context(), s, mfa.Rule{PhishingResistant: true}),
		"settings": w.guard.Settings(s).Check(t.Context()),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := w.seen(); !slices.Equal(got, []mfa.EventType{mfa.EventSignedIn}) {
		t.Errorf("events %v", got)
	}
	_, err := pending.Verify(t.Context(), p.Answer(webauthn.Kind, c))
	wantErr(t, "once more", err, mfa.ErrExpired)
}

// where the policy does not, a passkey is the first factor, and another kind
// has to be the second. The policy of the moment decides.
func TestPasskeyIsTheFirstFactor(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice", totp.Kind)
	pending, c := w.beginPasskey(mfa.PasskeySignIn{Carry: "/inbox", Binding: "browser"})
	answer := p.Answer(webauthn.Kind, c)
	w.policy("alice", mfa.Policy{})
	login, err := pending.Verify(t.Context(), answer)
	if err != nil || login.Session != nil || login.Pending == nil || login.Carry != "/inbox" {
		t.Fatalf("%v, %v; want a Pending", login, err)
	}
	_, err = pending.Verify(t.Context(), answer)
	wantErr(t, "the passkey once more", err, mfa.ErrExpired)

	_, err = w.guard.Resume(login.Pending.Token())
	wantErr(t, "without its browser", err, mfa.ErrInvalid)
	next, err := w.guard.ResumeBound(login.Pending.Token(), "browser")
	if err != nil {
		t.Fatal(err)
	}
	if next.UserID() != "alice" {
		t.Errorf("of %q", next.UserID())
	}
	offers, err := next.Offers(t.Context())
	if err != nil || slices.ContainsFunc(offers, func(o mfa.Offer) bool { return o.Kind == webauthn.Kind }) || len(offers) != 2 {
		t.Errorf("offers %v, %v; want the app and the codes", offers, err)
	}
	_, err = next.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind})
	wantErr(t, "a challenge for the passkey", err, mfa.ErrArgument)
	_, err = next.Verify(t.Context(), answer)
	wantErr(t, "the passkey as the second factor too", err, mfa.ErrInvalid)

	w.clock.add(30 * time.Second)
	k.Clock.Set(w.clock.Now())
	s := w.verify(next, p.Answer(totp.Kind)).Session
	if s.By() != mfa.ByPasskey || len(s.Proofs()) != 1 || s.Proofs()[0].Kind != totp.Kind {
		t.Errorf("by %q, proofs %+v", s.By(), s.Proofs())
	}
}

// Whoever has nothing but a passkey, where it does not do, is not let in.
func TestPasskeyWithoutASecond(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	g := w.with(webauthn.New(mfatest.Origin, nil), totp.New(nil))
	w.policy("alice", mfa.Policy{})
	pending, c, err := g.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
	if err != nil {
		t.Fatal(err)
	}
	_, saves := w.store.during(func() {
		_, err = pending.Verify(t.Context(), p.Answer(webauthn.Kind, c))
	})
	wantErr(t, "no second factor", err, mfa.ErrNoMethod)
	if saves != 0 {
		t.Errorf("%d saves", saves)
	}
}

// what is under way without a name is nothing else, and stays in its
// browser.
func TestPasskeyPending(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	pending, c := w.beginPasskey(mfa.PasskeySignIn{Binding: "browser"})
	for name, resume := range map[string]func() (*mfa.Pending, error){
		"another browser":     func() (*mfa.Pending, error) { return w.guard.ResumePasskey(pending.Token(), "other") },
		"no browser":          func() (*mfa.Pending, error) { return w.guard.ResumePasskey(pending.Token(), "") },
		"as a sign-in":        func() (*mfa.Pending, error) { return w.guard.ResumeBound(pending.Token(), "browser") },
		"as a step-up":        func() (*mfa.Pending, error) { return w.guard.ResumeStepUp(p.Session(), pending.Token()) },
		"a sign-in as it":     func() (*mfa.Pending, error) { return w.guard.ResumePasskey(w.pending("alice").Token(), "") },
		"an altered token":    func() (*mfa.Pending, error) { return w.guard.ResumePasskey("A"+pending.Token(), "browser") },
		"a session's as it":   func() (*mfa.Pending, error) { return w.guard.ResumePasskey(p.Session().Token(), "") },
		"of another's secret": func() (*mfa.Pending, error) { return newWorld(t).guard.ResumePasskey(pending.Token(), "browser") },
	} {
		if _, err := resume(); !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if s := w.guard.Session("alice", pending.Token()); s.Token() != "" {
		t.Error("it was read as a session")
	}
	_, saves := w.store.during(func() {
		for name, call := range map[string]func() error{
			"Offers":    func() error { _, err := pending.Offers(t.Context()); return err },
			"Challenge": func() error { _, err := pending.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind}); return err },
			"Enroll":    func() error { _, err := pending.Enroll(t.Context(), mfa.NewFactor{Kind: totp.Kind}); return err },
			"Confirm":   func() error { _, err := pending.Confirm(t.Context(), "x", mfa.Answer{Kind: totp.Kind}); return err },
			"a code":    func() error { _, err := pending.Verify(t.Context(), p.Answer(backupcodes.Kind)); return err },
			"a stranger": func() error {
				_, err := pending.Verify(t.Context(), mfa.Answer{Kind: "dna"})
				return err
			},
		} {
			if call() == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if err := pending.Cancel(t.Context()); err != nil {
			t.Errorf("Cancel: %v", err)
		}
	})
	if saves != 0 {
		t.Errorf("%d saves", saves)
	}
	there, err := w.guard.ResumePasskey(pending.Token(), "browser")
	if err != nil {
		t.Fatal(err)
	}
	w.verify(there, p.Answer(webauthn.Kind, c))
}

// nobody knows whose a sign-in by a passkey is until it is answered; whatever
// voids what was handed out to a user ends it too. One that is begun after that
// works, in the same millisecond already.
func TestRevocationEndsPasskey(t *testing.T) {
	t.Parallel()
	remove := func(w *world, p *mfatest.Person, k mfa.Kind) error {
		s := w.guard.Settings(p.Session())
		o, err := s.Overview(w.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.Kind == k })
		_, err = s.Remove(w.Context(), o.Factors[i].ID)
		return err
	}
	admin := func(w *world) *mfa.Admin { return w.guard.Admin("an administrator") }
	for name, row := range map[string]struct {
		revoke func(w *world, p *mfatest.Person) error
		want   error // of an answer; mfa.ErrInvalid: the passkey is gone
	}{
		"PasswordChanged":   {func(w *world, _ *mfatest.Person) error { return w.guard.PasswordChanged(w.Context(), "alice") }, mfa.ErrExpired},
		"SignOutEverywhere": {func(w *world, _ *mfatest.Person) error { return w.guard.SignOutEverywhere(w.Context(), "alice") }, mfa.ErrExpired},
		"Disabled":          {func(w *world, _ *mfatest.Person) error { return w.guard.Disabled(w.Context(), "alice") }, mfa.ErrExpired},
		"AddressChanged": {func(w *world, _ *mfatest.Person) error {
			return w.guard.AddressChanged(w.Context(), "alice", "old@acme.example")
		}, mfa.ErrExpired},
		"Reset":  {func(w *world, _ *mfatest.Person) error { return admin(w).Reset(w.Context(), "alice", "lost") }, mfa.ErrInvalid},
		"Delete": {func(w *world, _ *mfatest.Person) error { return admin(w).Delete(w.Context(), "alice") }, mfa.ErrInvalid},
		"a factor is added": {func(w *world, p *mfatest.Person) error {
			s := w.guard.Settings(p.Session())
			e, err := s.Enroll(w.Context(), mfa.NewFactor{Kind: webauthn.Kind})
			if err != nil {
				return err
			}
			credential, err := mfatest.NewAuthenticator(mfatest.Origin).Create(e.Challenge.Options)
			if err != nil {
				return err
			}
			_, err = s.Confirm(w.Context(), e.ID, mfa.Answer{Kind: webauthn.Kind, Credential: credential})
			return err
		}, mfa.ErrExpired},
		"codes are made": {func(w *world, p *mfatest.Person) error {
			_, err := w.guard.Settings(p.Session()).Enroll(w.Context(), mfa.NewFactor{Kind: backupcodes.Kind})
			return err
		}, mfa.ErrExpired},
		"another is removed":   {func(w *world, p *mfatest.Person) error { return remove(w, p, totp.Kind) }, mfa.ErrExpired},
		"it is removed itself": {func(w *world, p *mfatest.Person) error { return remove(w, p, webauthn.Kind) }, mfa.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, k := passkeys(t)
			w.T = t
			p := owner(w, k, "alice", totp.Kind)
			w.clock.add(30 * time.Second)
			p.Keep(p.SignInByPasskey(w.guard).Session) // which may do what is done here
			pending, c := w.beginPasskey(mfa.PasskeySignIn{})
			answer := p.Answer(webauthn.Kind, c) // the person has answered before
			w.clock.add(time.Millisecond)
			if err := row.revoke(w, p); err != nil {
				t.Fatal(err)
			}
			for _, later := range []time.Duration{0, time.Minute} {
				next, c := w.beginPasskey(mfa.PasskeySignIn{})
				w.clock.add(later)
				login, err := pending.Verify(t.Context(), answer)
				if wantErr(t, "the one under way", err, row.want); login != nil {
					t.Errorf("%v", login)
				}
				if row.want == mfa.ErrInvalid {
					continue
				}
				if login, err := next.Verify(t.Context(), p.Answer(webauthn.Kind, c)); err != nil || login.Session == nil {
					t.Errorf("one that was begun after it, %v later: %v", later, err)
				}
			}
		})
	}
}

// beginning reads nothing and writes nothing.
func TestBeginPasskeyTouchesNothing(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	owner(w, k, "alice")
	loads, saves := w.store.during(func() {
		for range 20 {
			w.beginPasskey(mfa.PasskeySignIn{})
		}
	})
	if loads+saves != 0 {
		t.Errorf("%d loads, %d saves", loads, saves)
	}
	_, _, err := w.guard.BeginPasskey(t.Context(), mfa.PasskeySignIn{Carry: strings.Repeat("x", 1025)})
	wantErr(t, "too much to carry", err, mfa.ErrArgument)
	_, _, err = newWorld(t).guard.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
	wantErr(t, "no such method", err, mfa.ErrNoMethod)
}

// guessing at codes locks nobody out of a passkey, whose signature nobody
// guesses; and signing in by it ends the pause.
func TestPasskeyWhileCodesArePaused(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice", totp.Kind)
	for range vault.Burst {
		_, err := w.pending("alice").Verify(t.Context(), mfa.Answer{Kind: totp.Kind, Code: "000000"})
		wantErr(t, "a wrong code", err, mfa.ErrInvalid)
	}
	_, err := w.pending("alice").Verify(t.Context(), mfa.Answer{Kind: totp.Kind, Code: "000000"})
	wantErr(t, "paused", err, mfa.ErrTooMany)

	second := w.pending("alice")
	c, err := second.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	pending, alone := w.beginPasskey(mfa.PasskeySignIn{})
	w.verify(pending, p.Answer(webauthn.Kind, alone))
	w.verify(second, p.Answer(webauthn.Kind, c))
}

// Whose passkey it is decides the account: a key that was removed, a user who is
// gone, and a policy that does not accept it let nobody in.
func TestPasskeyOfNobody(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice", totp.Kind)
	try := func(policy mfa.Policy) error {
		policy.PasskeyAlone = true
		w.policy("alice", policy)
		pending, c := w.beginPasskey(mfa.PasskeySignIn{})
		_, err := pending.Verify(t.Context(), p.Answer(webauthn.Kind, c))
		return err
	}
	wantErr(t, "not accepted", try(mfa.Policy{Rule: mfa.Rule{Not: []mfa.Kind{webauthn.Kind}}}), mfa.ErrInvalid)

	gone := errors.New("deleted")
	w.lose("alice", gone)
	if err := try(mfa.Policy{}); !errors.Is(err, gone) || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a directory that fails: %v, want a failure", err)
	}
	w.lose("alice", nil)

	w.store.breaks(errors.New("unreachable"))
	if err := try(mfa.Policy{}); err == nil || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a store that fails: %v, want a failure", err)
	}
	w.store.breaks(nil)

	if err := try(mfa.Policy{}); err != nil {
		t.Fatalf("as it should be: %v", err)
	}
	s := w.guard.Settings(p.SignInByPasskey(w.guard).Session)
	o, err := s.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.Kind == webauthn.Kind })
	pending, c := w.beginPasskey(mfa.PasskeySignIn{})
	answer := p.Answer(webauthn.Kind, c)
	if _, err := s.Remove(t.Context(), o.Factors[i].ID); err != nil {
		t.Fatal(err)
	}
	_, err = pending.Verify(t.Context(), answer)
	wantErr(t, "removed meanwhile", err, mfa.ErrInvalid)
	wantErr(t, "removed", try(mfa.Policy{}), mfa.ErrInvalid)
}

// strangerTo holds a passkey for the same site that nobody has there.
func strangerTo(t *testing.T) *mfatest.Person {
	t.Helper()
	w, k := passkeys(t)
	return owner(w, k, "bob")
}

// a user whom the directory refuses, and says so, is nobody: the answer for
// one of his passkeys is that for any other's, and nothing is told. Where the directory
// fails, it is a failure.
func TestPasskeyOfARefusedUser(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	stranger := strangerTo(t)
	refusal := fmt.Errorf("%w: alice may not sign in", mfa.ErrRejected)
	failure := errors.New("the directory is down")
	for name, row := range map[string]struct{ directory, want error }{
		"refused":  {refusal, mfa.ErrInvalid},
		"disabled": {fmt.Errorf("disabled: %w", refusal), mfa.ErrInvalid},
		"fails":    {failure, failure},
	} {
		w.lose("alice", row.directory)
		w.forget()
		said := map[string]string{}
		_, saves := w.store.during(func() {
			for whose, answer := range map[string]func(*mfa.Challenge) mfa.Answer{
				"a right answer": func(c *mfa.Challenge) mfa.Answer { return p.Answer(webauthn.Kind, c) },
				"a wrong answer": func(*mfa.Challenge) mfa.Answer {
					_, other := w.beginPasskey(mfa.PasskeySignIn{})
					return p.Answer(webauthn.Kind, other)
				},
				"an unknown key": func(c *mfa.Challenge) mfa.Answer { return stranger.Answer(webauthn.Kind, c) },
			} {
				pending, c := w.beginPasskey(mfa.PasskeySignIn{})
				login, err := pending.Verify(t.Context(), answer(c))
				if err == nil || login != nil {
					t.Fatalf("%s, %s: %v, %v", name, whose, login, err)
				}
				said[whose] = err.Error()
				if whose == "an unknown key" {
					wantErr(t, name+", "+whose, err, mfa.ErrInvalid)
					continue
				}
				if !errors.Is(err, row.want) || errors.Is(err, mfa.ErrRejected) != (row.want == mfa.ErrInvalid) {
					t.Errorf("%s, %s: %v, want %v", name, whose, err, row.want)
				}
			}
		})
		if row.want == mfa.ErrInvalid && (said["a right answer"] != said["an unknown key"] || said["a wrong answer"] != said["an unknown key"]) {
			t.Errorf("%s: it is told as %q", name, said)
		}
		if n := len(w.seen()) + len(w.told()); saves != 0 || n != 0 {
			t.Errorf("%s: %d saves, %d events", name, saves, n)
		}
	}
	w.lose("alice", nil)
	pending, c := w.beginPasskey(mfa.PasskeySignIn{})
	w.verify(pending, p.Answer(webauthn.Kind, c))
}

// An application's limit is asked before anything is looked up, and once more
// when it is known whose the answer may be. What it refuses is not judged.
func TestPasskeyLimit(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	var asked []mfa.Use
	var refuse string // whom
	refuses := false
	cfg := w.cfg
	cfg.Limit = func(_ context.Context, u mfa.Use) error {
		asked = append(asked, u)
		if refuses && u.UserID == refuse {
			return &mfa.LimitError{RetryAfter: time.Minute}
		}
		return nil
	}
	_, g := w.another(cfg)
	try := func(answer func(*mfa.Challenge) mfa.Answer) (loads, saves int, err error) {
		t.Helper()
		pending, c, err := g.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		a := answer(c)
		loads, saves = w.store.during(func() { _, err = pending.Verify(t.Context(), a) })
		for _, u := range asked {
			if u.Purpose != mfa.PurposeAlone || u.Kind != webauthn.Kind || u.Address != "" {
				t.Errorf("asked about %+v", u)
			}
		}
		return loads, saves, err
	}
	ids := func() (ids []string) {
		for _, u := range asked {
			ids = append(ids, u.UserID)
		}
		return ids
	}
	own := func(c *mfa.Challenge) mfa.Answer { return p.Answer(webauthn.Kind, c) }
	stranger := strangerTo(t)

	if _, _, err := try(own); err != nil || !slices.Equal(ids(), []string{"", "alice"}) {
		t.Errorf("%v, asked about %q; want nobody and then alice", err, ids())
	}
	_, _, err := try(func(c *mfa.Challenge) mfa.Answer { return stranger.Answer(webauthn.Kind, c) })
	if wantErr(t, "an unknown key", err, mfa.ErrInvalid); !slices.Equal(ids(), []string{""}) {
		t.Errorf("an unknown key: asked about %q, want nobody", ids())
	}

	refuses = true
	for _, row := range []struct {
		refuse string
		asked  []string
		loads  int
	}{{"", []string{""}, 0}, {"alice", []string{"", "alice"}, 0}} {
		refuse = row.refuse
		w.forget()
		loads, saves, err := try(own)
		wantPaused(t, "refused for "+row.refuse, err, time.Minute)
		if !slices.Equal(ids(), row.asked) || loads != row.loads || saves != 0 || len(w.seen()) != 0 {
			t.Errorf("refused for %q: asked about %q, %d loads, %d saves, events %v", row.refuse, ids(), loads, saves, w.seen())
		}
	}
	refuse = "somebody else"
	if _, _, err := try(own); err != nil {
		t.Errorf("another's limit: %v", err)
	}
}

// A discoverer is a device that signs in by itself, for good or ill.
type discoverer struct {
	*device
	challenge    *mfa.Challenge
	state        []byte
	verification *mfa.Verification
	got          mfa.VerifyRequest
}

func (d *discoverer) Challenge(context.Context, *vault.Scope, mfa.ChallengeRequest) (*mfa.Challenge, error) {
	return nil, mfa.ErrInvalid
}

func (d *discoverer) Discover(mfa.Request) (*mfa.Challenge, []byte, error) {
	return d.challenge, d.state, nil
}

func (d *discoverer) Identify(mfa.Answer) (string, error) { return "key of alice", nil }

func (d *discoverer) Confirm(ctx context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
	s.Drafted(r.EnrollmentID).Key = "key of alice"
	return d.device.Confirm(ctx, s, r)
}

func (d *discoverer) Verify(_ context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	d.got = r
	v := *d.verification
	if v.FactorID == "" {
		v.FactorID = s.Factors()[0].ID
	}
	return &v, nil
}

// What Guard demands of a Discoverer: a challenge with a state, a factor of the
// user, and one that has verified its user.
func TestDiscoverer(t *testing.T) {
	t.Parallel()
	d := &discoverer{device: &device{kind: kindKey, traits: mfa.Traits{PhishingResistant: true}}}
	w := newWorld(t, func(w *world) { w.cfg.Methods = []mfa.Method{d, w.app} })
	w.policy("alice", mfa.Policy{PasskeyAlone: true})
	w.person("alice", kindKey)

	for name, row := range map[string]struct {
		c     *mfa.Challenge
		state []byte
	}{"no challenge": {nil, []byte("s")}, "no state": {&mfa.Challenge{}, nil}, "an empty state": {&mfa.Challenge{}, []byte{}}} {
		d.challenge, d.state = row.c, row.state
		if _, _, err := w.guard.BeginPasskey(t.Context(), mfa.PasskeySignIn{}); err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v, want a failure", name, err)
		}
	}
	d.state = []byte("state")
	for name, row := range map[string]struct {
		v    mfa.Verification
		want error // nil: a session; errors.ErrUnsupported: a failure
	}{
		"verified":             {mfa.Verification{UserVerified: true}, nil},
		"not verified":         {mfa.Verification{}, mfa.ErrInvalid},
		"a factor of nobody":   {mfa.Verification{UserVerified: true, FactorID: "another"}, errors.ErrUnsupported},
		"accepted as a clone":  {mfa.Verification{UserVerified: true, Cloned: true}, nil},
		"a clone, no verified": {mfa.Verification{Cloned: true}, mfa.ErrInvalid},
	} {
		d.challenge = &mfa.Challenge{Kind: kindKey, Expires: w.clock.Now().Add(time.Hour)}
		d.verification = &row.v
		w.forget()
		pending, c := w.beginPasskey(mfa.PasskeySignIn{})
		if !c.Expires.Equal(pending.Expires()) {
			t.Errorf("%s: the challenge outlives the sign-in", name)
		}
		login, err := pending.Verify(t.Context(), mfa.Answer{Kind: kindKey, Credential: json.RawMessage("{}")})
		switch {
		case row.want == nil:
			if err != nil || login.Session == nil {
				t.Errorf("%s: %v", name, err)
			}
			if n := w.count(w.seen(), mfa.EventCloned); (n == 1) != row.v.Cloned {
				t.Errorf("%s: %d clones told", name, n)
			}
		case row.want == errors.ErrUnsupported:
			if err == nil || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%s: %v, want a failure", name, err)
			}
		default:
			wantErr(t, name, err, row.want)
		}
		if string(d.got.State) != "state" || d.got.Purpose != mfa.PurposeAlone || d.got.User.ID != "alice" || d.got.Flow == "" {
			t.Errorf("%s: it was asked %+v", name, d.got)
		}
	}
}

// A silent store is asked for nothing.
type silent struct{ t *testing.T }

func (s silent) Load(context.Context, string) (store.Record, error) {
	s.t.Error("a record was loaded")
	return store.Record{}, store.ErrNotFound
}

func (s silent) Apply(context.Context, store.Change) error {
	s.t.Error("a record was saved")
	return store.ErrConflict
}

func (s silent) Owner(context.Context, string) (string, error) {
	s.t.Error("an owner was looked up")
	return "", store.ErrNotFound
}

// what BeginPasskey began lives for five minutes, and then
// says so before it asks anybody whose credential it is.
func TestPasskeyExpires(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	stranger := mfatest.NewAuthenticator(mfatest.Origin)
	_, err := stranger.Create([]byte(`{"rp":{"id":"acme.example"},"user":{"id":"AA"},"challenge":"AA","pubKeyCredParams":[{"alg":-8}],"authenticatorSelection":{"residentKey":"required"}}`))
	if err != nil {
		t.Fatal(err)
	}
	unknown := func(c *mfa.Challenge) mfa.Answer {
		credential, err := stranger.Get(c.Options)
		if err != nil {
			t.Fatal(err)
		}
		return mfa.Answer{Kind: webauthn.Kind, Credential: credential}
	}

	last, c := w.beginPasskey(mfa.PasskeySignIn{})
	late, of := w.beginPasskey(mfa.PasskeySignIn{})
	for name, until := range map[string]time.Time{"the sign-in": last.Expires(), "its challenge": c.Expires} {
		if d := until.Sub(w.clock.Now()); d != 5*time.Minute {
			t.Errorf("%s lives for %v, want 5m", name, d)
		}
	}
	w.clock.add(5*time.Minute - time.Millisecond)
	_, err = last.Verify(t.Context(), unknown(c))
	wantErr(t, "in time, of nobody", err, mfa.ErrInvalid)
	w.verify(last, p.Answer(webauthn.Kind, c))

	w.clock.add(time.Millisecond)
	cfg := w.cfg
	cfg.Users = func(context.Context, string) (mfa.User, error) {
		t.Error("a user was asked for")
		return mfa.User{}, errors.New("asked")
	}
	v, err := vault.Open(silent{t}, w.keys, &vault.Options{Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	deaf, err := mfa.New(v, cfg)
	if err != nil {
		t.Fatal(err)
	}
	there, err := deaf.ResumePasskey(late.Token(), "")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for name, a := range map[string]mfa.Answer{
		"known": p.Answer(webauthn.Kind, of), "unknown": unknown(of), "nothing": {Kind: webauthn.Kind, Credential: json.RawMessage("{}")},
	} {
		login, err := there.Verify(t.Context(), a)
		wantErr(t, name, err, mfa.ErrExpired)
		if login != nil {
			t.Errorf("%s: %v", name, login)
		}
		said[err.Error()] = true
	}
	if len(said) != 1 {
		t.Errorf("what is expired is told as %v", said)
	}
	_, err = late.Verify(t.Context(), p.Answer(webauthn.Kind, of))
	wantErr(t, "where there is a store", err, mfa.ErrExpired)
}

// a passkey that lags behind is told of where it is accepted, though
// another factor has to follow; R-116: the session names both.
func TestPasskeyAndAnother(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	quick := backupcodes.New(&backupcodes.Options{Chars: 24})
	g := w.with(webauthn.New(mfatest.Origin, &webauthn.Options{AllowClones: true}), totp.New(nil), quick)
	w.policy("alice", mfa.Policy{PasskeyAlone: true})
	p := k.Enroll(g, "alice", webauthn.Kind, totp.Kind)
	key := p.Authenticator()
	key.Step = 1
	second := func(a mfa.Answer, begun *mfa.Pending) *mfa.Session {
		login, err := begun.Verify(t.Context(), a)
		if err != nil || login.Session != nil || login.Pending == nil {
			t.Fatalf("%v, %v; want a Pending", login, err)
		}
		w.clock.add(30 * time.Second)
		k.Clock.Set(w.clock.Now())
		return w.verify(login.Pending, p.Answer(totp.Kind)).Session
	}
	copied := key.Clone()
	w.policy("alice", mfa.Policy{})
	for _, row := range []struct {
		name   string
		key    *mfatest.Authenticator
		clones int
	}{{"the first", key, 0}, {"its copy", copied, 1}, {"the first again", key, 0}} {
		w.forget()
		pending, c, err := g.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
		if err != nil {
			t.Fatal(err)
		}
		p.Use(row.key)
		s := second(p.Answer(webauthn.Kind, c), pending)
		if n := w.count(w.seen(), mfa.EventCloned); n != row.clones {
			t.Errorf("%s: %d clones told, want %d", row.name, n, row.clones)
		}
		if got := s.AMR(); !slices.Equal(got, []string{"pop", "user", "otp", "mfa"}) {
			t.Errorf("%s: AMR %v", row.name, got)
		}
	}
}

// what goes in and out of a sign-in by a passkey prints as nothing.
func TestPasskeyPrintsNothing(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	p := owner(w, k, "alice")
	f := mfa.PasskeySignIn{Carry: "carried-secret", Binding: "bound-secret"}
	pending, c := w.beginPasskey(f)
	request := mfa.VerifyRequest{
		Request: mfa.Request{User: mfa.User{ID: "alice"}, Purpose: mfa.PurposeAlone, Flow: "flow-secret"},
		Answer:  p.Answer(webauthn.Kind, c), State: []byte("state-secret"),
	}
	var options struct{ Challenge string }
	if err := json.Unmarshal(c.Options, &options); err != nil || len(options.Challenge) != 43 {
		t.Fatalf("%q, %v", options.Challenge, err)
	}
	secrets := []string{"carried-secret", "bound-secret", "flow-secret", "state-secret", options.Challenge, pending.Token(), "signature"}
	for _, text := range secrets[:4] {
		secrets = append(secrets, fmt.Sprintf("%x", text), base64.StdEncoding.EncodeToString([]byte(text)), strings.Trim(fmt.Sprint([]byte(text)), "[]"))
	}
	for _, v := range []any{f, &f, request, &request, []any{f, request}, pending, c} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		all := fmt.Sprintf("%v %+v %#v %s %q %x %s %s", v, v, v, v, v, v, b, &log)
		for _, s := range secrets {
			if strings.Contains(all, s) {
				t.Errorf("%T shows %q", v, s)
			}
		}
	}
}

// a user who has nothing set up has no signals, whoever asks and however
// often: where there is no record a handle would be of the moment. One who has set up
// something else has no keys, and is the same each time.
func TestSignalsOfNobody(t *testing.T) {
	t.Parallel()
	w, k := passkeys(t)
	nobody := w.begin("bob").Session
	for range 3 {
		if all, err := w.guard.Settings(nobody).Signals(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("nothing set up: %s, %v", all, err)
		}
	}
	w.policy("cyd", mfa.Policy{PasskeyAlone: true})
	p := k.Enroll(w.guard, "cyd", totp.Kind)
	type signals struct {
		Accepted struct {
			User string   `json:"userId"`
			Keys []string `json:"allAcceptedCredentialIds"`
		} `json:"accepted"`
		Details struct {
			User string `json:"userId"`
		} `json:"details"`
	}
	read := func(s *mfa.Session, keys int) string {
		all, err := w.guard.Settings(s).Signals(t.Context())
		var got signals
		if err != nil || json.Unmarshal(all[webauthn.Kind], &got) != nil || len(all) != 1 || got.Accepted.Keys == nil ||
			len(got.Accepted.Keys) != keys || got.Details.User != got.Accepted.User || len(got.Accepted.User) != 86 {
			t.Fatalf("%s, %v; want %d keys", all, err, keys)
		}
		return got.Accepted.User
	}
	handle := read(p.Session(), 0)
	for range 3 {
		if again := read(p.Session(), 0); again != handle {
			t.Errorf("the handle was %s and is %s", handle, again)
		}
	}
	w.clock.add(30 * time.Second)
	k.Clock.Set(w.clock.Now())
	settings := w.guard.Settings(p.SignIn(w.guard, totp.Kind))
	e, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(e.Challenge.Options), `"id":"`+handle+`"`) {
		t.Errorf("the key gets another handle than %s: %s", handle, e.Challenge.Options)
	}
	credential, err := p.Authenticator().Create(e.Challenge.Options)
	if err != nil {
		t.Fatal(err)
	}
	c, err := settings.Confirm(t.Context(), e.ID, mfa.Answer{Kind: webauthn.Kind, Credential: credential})
	if err != nil {
		t.Fatal(err)
	}
	if again := read(c.Session, 1); again != handle {
		t.Errorf("with a key the handle is %s, before it was %s", again, handle)
	}
	removed, err := w.guard.Settings(c.Session).Remove(t.Context(), c.Factor.ID)
	if err != nil {
		t.Fatal(err)
	}
	if again := read(removed.Session, 0); again != handle { // so that the browser forgets it
		t.Errorf("without it the handle is %s, before it was %s", again, handle)
	}
}
