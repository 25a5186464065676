package campaign

// 64 instances that update one user: every update lands or is told to
// be busy, and none is lost.

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

const (
	crowdOf  = 64
	patience = 5*time.Second + 15*time.Second // what an update may take, and a slow machine
)

// addOne counts in a factor of its own, so that a lost update shows.
func addOne(ctx context.Context, i *instance, userID string) error {
	_, err := vault.Update(ctx, i.vault, userID, func(a *vault.Account) (struct{}, error) {
		s := a.Scope("counter", "", "")
		fs := s.Factors()
		if len(fs) == 0 {
			f, err := s.Add(vault.Factor{Data: make([]byte, 8)})
			if err != nil {
				return struct{}{}, err
			}
			fs = append(fs, f)
		}
		fs[0].Data = binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(fs[0].Data)+1)
		return struct{}{}, nil
	})
	return err
}

func counted(t *testing.T, i *instance, userID string) int {
	t.Helper()
	s, err := i.vault.View(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Factors {
		if f.Kind == "counter" {
			return int(binary.BigEndian.Uint64(f.Data))
		}
	}
	return 0
}

type manyResult struct {
	landed, busy int
	longest      time.Duration
	strange      error
}

func many(i []*instance, each int) (sum manyResult) {
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, i := range i {
		all.Go(func() {
			<-start
			for range each {
				began := time.Now()
				err := addOne(context.Background(), i, "ada")
				took := time.Since(began)
				mu.Lock()
				sum.longest = max(sum.longest, took)
				switch {
				case err == nil:
					sum.landed++
				case errors.Is(err, vault.ErrBusy):
					sum.busy++
				default:
					sum.strange = err
				}
				mu.Unlock()
			}
		})
	}
	close(start)
	all.Wait()
	return sum
}

func crowdOver(t *testing.T, h *house) []*instance {
	var is []*instance
	for range crowdOf {
		is = append(is, h.instance(t, totp.New(nil)))
	}
	return is
}

func TestManyInstances(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		t.Parallel() // they wait for one another most of the time
		is := crowdOver(t, h)
		sum := many(is, h.number(3, 2, 10))
		t.Logf("%d landed, %d busy, the longest took %v", sum.landed, sum.busy, sum.longest.Round(time.Millisecond))
		if n := counted(t, is[0], "ada"); n != sum.landed {
			t.Errorf("%d landed, and %d were counted", sum.landed, n)
		}
		if sum.strange != nil {
			t.Errorf("neither landed nor busy: %v", sum.strange)
		}
		if sum.longest > patience {
			t.Errorf("an update took %v", sum.longest)
		}
		if sum.busy > sum.landed {
			t.Errorf("more were busy (%d) than landed (%d)", sum.busy, sum.landed)
		}
	})
}

// The same on a store that loads, compares and saves: updates are lost, and
// seen to be.
func TestManyInstancesSeeALostUpdate(t *testing.T) {
	h := newHouse(t, "")
	h.wrap = carelessly
	is := crowdOver(t, h)
	sum := many(is, 10)
	if n := counted(t, is[0], "ada"); n >= sum.landed {
		t.Errorf("%d landed, and %d were counted: no update was lost", sum.landed, n)
	}
}

// Through the Guard: 64 instances revoke, and each that was told so did.
func TestManyRevocations(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		t.Parallel()
		var saved atomic.Int64
		h.wrap = func(s store.Store) store.Store { return &landing{s, &saved} }
		is := crowdOver(t, h)
		p := h.Enroll(is[0].guard, "ada")
		session := p.SignIn(is[1].guard, totp.Kind)
		saved.Store(0)
		var told, busy atomic.Int64
		var all sync.WaitGroup
		for _, i := range is {
			all.Go(func() {
				switch err := i.guard.SignOutEverywhere(context.Background(), "ada"); {
				case err == nil:
					told.Add(1)
				case errors.Is(err, mfa.ErrBusy):
					busy.Add(1)
				default:
					t.Errorf("neither done nor busy: %v", err)
				}
			})
		}
		all.Wait()
		if saved.Load() != told.Load() {
			t.Errorf("%d were told that it is done, and %d were saved", told.Load(), saved.Load())
		}
		if err := is[2].guard.Require(t.Context(), session, mfa.Rule{MaxAge: mfa.AnyAge}); !errors.Is(err, mfa.ErrStepUpRequired) {
			t.Errorf("the session goes on: %v", err)
		}
		t.Logf("%d done, %d busy", told.Load(), busy.Load())
	})
}

// A landing store counts the changes that landed.
type landing struct {
	store.Store
	n *atomic.Int64
}

func (s *landing) Apply(ctx context.Context, c store.Change) error {
	err := s.Store.Apply(ctx, c)
	if err == nil {
		s.n.Add(1)
	}
	return err
}
