package webauthn

// The same over stores: what is under way outlives the process that began it, and
// of many who race one wins, in memory and on each database.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// A town is a store that several instances of the application share, each with
// its own handles.
type town struct {
	open  func(t *testing.T) (store.Store, func())
	keys  vault.Keys
	clock *mfatest.Clock
}

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

func newTown(t *testing.T, open func(*testing.T) (store.Store, func())) *town {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return &town{open: open, keys: keys, clock: mfatest.NewClock(mfatest.Start())}
}

// opened opens the store behind a URL, and returns what ends the process.
func opened(t *testing.T, url string) (store.Store, func()) {
	t.Helper()
	s, err := servers.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return s, end
}

// starts opens all anew, as a process does.
func (w *town) starts(t *testing.T) (_ *mfa.Guard, end func()) {
	t.Helper()
	s, end := w.open(t)
	v, err := vault.Open(s, w.keys, &vault.Options{Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	g, err := mfa.New(v, mfa.Config{
		Service: mfatest.Service, Methods: []mfa.Method{webauthn.New(origin, nil)},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Policy: mfa.Policy{Demand: mfa.Required, PasskeyAlone: true}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, end
}

// A process that does one thing and ends.
func (w *town) process(t *testing.T, do func(*mfa.Guard)) {
	t.Helper()
	g, end := w.starts(t)
	defer end()
	do(g)
}

// each runs f on every store.
func each(t *testing.T, f func(t *testing.T, w *town)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		memory := memstore.New()
		f(t, newTown(t, func(*testing.T) (store.Store, func()) { return memory, func() {} }))
	})
	for _, kind := range servers.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			url := servers.Shared(t, kind).URL(t)
			f(t, newTown(t, func(t *testing.T) (store.Store, func()) { return opened(t, url) }))
		})
	}
}

func begin(t *testing.T, g *mfa.Guard, user string) *mfa.Pending {
	t.Helper()
	login, err := g.Begin(t.Context(), mfa.FirstFactor{UserID: user, By: mfa.ByPassword})
	if err != nil || login.Pending == nil {
		t.Fatalf("Begin: %v, or nothing is asked for", err)
	}
	return login.Pending
}

func resume(t *testing.T, g *mfa.Guard, token string, alone bool) *mfa.Pending {
	t.Helper()
	p, err := g.Resume(token)
	if alone {
		p, err = g.ResumePasskey(token, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// joins enrols d as the user's first factor, in one process.
func (w *town) joins(t *testing.T, user string, d *device) {
	t.Helper()
	w.process(t, func(g *mfa.Guard) {
		p := begin(t, g, user)
		e, err := p.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Confirm(t.Context(), e.ID, d.create(t, e.Challenge)); err != nil {
			t.Fatal(err)
		}
	})
}

// each step in a process of its own. What was demanded at the beginning is
// demanded at the end, and what is used up stays so.
func TestRestarts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *town) {
		d := newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{BackupEligible: true, BackupState: true})
		var token, id string
		var made mfa.Answer
		w.process(t, func(g *mfa.Guard) { token = begin(t, g, "ada").Token() })
		w.process(t, func(g *mfa.Guard) {
			e, err := resume(t, g, token, false).Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind, Name: "Phone"})
			if err != nil {
				t.Fatal(err)
			}
			id, made = e.ID, d.create(t, e.Challenge)
		})
		w.process(t, func(g *mfa.Guard) { // whoever else has the answer cannot use it for himself
			_, err := begin(t, g, "mallory").Confirm(t.Context(), id, made)
			if !errors.Is(err, mfa.ErrExpired) {
				t.Errorf("in another's name: %v", err)
			}
		})
		w.process(t, func(g *mfa.Guard) {
			login, err := resume(t, g, token, false).Confirm(t.Context(), id, made)
			if err != nil || login.Session == nil {
				t.Fatalf("confirmed in another process: %v", err)
			}
		})
		w.process(t, func(g *mfa.Guard) {
			if _, err := resume(t, g, token, false).Confirm(t.Context(), id, made); !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("confirmed twice: %v", err)
			}
		})
		for round := range 3 {
			for _, alone := range []bool{false, true} {
				var c *mfa.Challenge
				w.process(t, func(g *mfa.Guard) {
					if !alone {
						token = begin(t, g, "ada").Token()
						return
					}
					p, passkey, err := g.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
					if err != nil {
						t.Fatal(err)
					}
					token, c = p.Token(), passkey
				})
				if !alone {
					w.process(t, func(g *mfa.Guard) {
						var err error
						if c, err = resume(t, g, token, false).Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind}); err != nil {
							t.Fatal(err)
						}
					})
				}
				answer := d.get(t, c)
				if alone { // what is demanded then is demanded in every process
					d.auth.Options.UserNotVerified = true
					unverified := d.get(t, c)
					d.auth.Options.UserNotVerified = false
					w.process(t, func(g *mfa.Guard) {
						if _, err := resume(t, g, token, true).Verify(t.Context(), unverified); !errors.Is(err, webauthn.ErrUserVerification) {
							t.Errorf("not verified: %v", err)
						}
					})
				}
				w.process(t, func(g *mfa.Guard) {
					login, err := resume(t, g, token, alone).Verify(t.Context(), answer)
					if err != nil || login.Session == nil || login.Session.UserID() != "ada" {
						t.Fatalf("round %d, alone %v: %v", round, alone, err)
					}
				})
				w.process(t, func(g *mfa.Guard) {
					if _, err := resume(t, g, token, alone).Verify(t.Context(), answer); !errors.Is(err, mfa.ErrExpired) {
						t.Errorf("round %d, alone %v: once more: %v", round, alone, err)
					}
				})
			}
		}
	})
}

// rounds of a race: fifty with MFA_LONG=1.
func rounds() int {
	if os.Getenv("MFA_LONG") != "" {
		return 50
	}
	return 5
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

// of thirty-two who post one assertion to two instances, one signs
// in, and the others are told that it is used.
func TestAssertionRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *town) {
		const n = 32
		var instances [2]*mfa.Guard
		for i := range instances {
			instances[i], _ = w.starts(t)
		}
		d := newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{})
		w.joins(t, "ada", d)
		for round := range rounds() {
			w.clock.Advance(time.Second) // sixteen sign-ins in one instant end all that began in it
			alone := round%2 == 1
			var p *mfa.Pending
			var c *mfa.Challenge
			var err error
			if alone {
				p, c, err = instances[0].BeginPasskey(t.Context(), mfa.PasskeySignIn{})
			} else {
				p = begin(t, instances[0], "ada")
				c, err = p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind})
			}
			if err != nil {
				t.Fatal(err)
			}
			answer := d.get(t, c)
			var there [n]*mfa.Pending
			for i := range there {
				there[i] = resume(t, instances[i%2], p.Token(), alone)
			}
			var logins [n]*mfa.Login
			var errs [n]error
			race(n, func(i int) { logins[i], errs[i] = there[i].Verify(t.Context(), answer) })
			won := 0
			for i, err := range errs {
				switch {
				case err == nil && logins[i].Session != nil:
					won++
				case !errors.Is(err, mfa.ErrExpired) || logins[i] != nil:
					t.Errorf("round %d: a loser: %v, %v", round, logins[i], err)
				}
			}
			if won != 1 {
				t.Errorf("round %d, alone %v: %d of %d signed in, want 1", round, alone, won, n)
			}
		}
	})
}

// of sixteen users who register one credential ID with two
// instances, one keeps it. The challenges of the others are used up.
func TestRegistrationRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *town) {
		const n = 16
		var instances [2]*mfa.Guard
		for i := range instances {
			instances[i], _ = w.starts(t)
		}
		for round := range max(2, rounds()/5) {
			type attempt struct {
				p      *mfa.Pending
				e      *mfa.Enrollment
				d      *device
				answer mfa.Answer
			}
			var attempts [n]attempt
			id := bytes.Repeat([]byte{byte(round + 1)}, 32)
			for i := range attempts {
				a := &attempts[i]
				a.p = begin(t, instances[i%2], fmt.Sprintf("user%d-%d", round, i))
				var err error
				if a.e, err = a.p.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind}); err != nil {
					t.Fatal(err)
				}
				a.d = newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{})
				a.d.cred.ID = id
				a.answer = a.d.create(t, a.e.Challenge)
			}
			var errs [n]error
			race(n, func(i int) { _, errs[i] = attempts[i].p.Confirm(t.Context(), attempts[i].e.ID, attempts[i].answer) })
			winner := slices.Index(errs[:], nil)
			for i, err := range errs {
				if i == winner {
					continue
				}
				if !errors.Is(err, webauthn.ErrRegistered) {
					t.Errorf("round %d: a loser: %v, want ErrRegistered", round, err)
				}
				a := attempts[i]
				honest := newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{})
				if _, err := a.p.Confirm(t.Context(), a.e.ID, honest.create(t, a.e.Challenge)); !errors.Is(err, mfa.ErrExpired) {
					t.Errorf("round %d: a loser's challenge once more: %v, want ErrExpired", round, err)
				}
			}
			if winner < 0 {
				t.Fatalf("round %d: nobody has it", round)
			}
			// Whoever signs in by it is the winner, also elsewhere and later.
			w.process(t, func(g *mfa.Guard) {
				p, c, err := g.BeginPasskey(t.Context(), mfa.PasskeySignIn{})
				if err != nil {
					t.Fatal(err)
				}
				login, err := p.Verify(t.Context(), attempts[winner].d.get(t, c))
				if err != nil || login.Session == nil || login.Session.UserID() != fmt.Sprintf("user%d-%d", round, winner) {
					t.Errorf("round %d: the winner: %v", round, err)
				}
			})
		}
	})
}
