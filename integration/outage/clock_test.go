package outage

// Instances whose clocks jump by hours while the same codes are given to all of
// them at once: none is accepted twice.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
)

const instances = 3

// jumping gives every code of some users to all instances while their clocks jump,
// and returns how many codes of a kind were accepted, and how many more than
// once.
func jumping(t *testing.T, url string, over func(store.Store) store.Store) (passed, twice map[mfa.Kind]int) {
	t.Helper()
	keys, straight := newKeys(t), openAt(t, url)
	var at [instances]*instance
	var clocks [instances]*mfatest.Clock
	for n := range at {
		clocks[n] = mfatest.NewClock(mfatest.Start())
		at[n] = mustInstance(t, over(openAt(t, url)), keys, clocks[n].Now)
	}
	passed, twice = map[mfa.Kind]int{}, map[mfa.Kind]int{}
	for n := range number(4, 40) {
		kit := mfatest.New(t)
		right := mustInstance(t, straight, keys, kit.Clock.Now)
		kit.Vault = right.vault
		p := kit.Enroll(right.guard, fmt.Sprintf("user %d", n), totp.Kind)
		now := kit.Clock.Now()

		stop := make(chan struct{})
		var jumps sync.WaitGroup
		jumps.Go(func() {
			offsets := []time.Duration{0, 0, 0, -5 * time.Hour, 5 * time.Hour, 30 * time.Second, 90 * time.Second}
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				clocks[rand.IntN(instances)].Set(now.Add(offsets[rand.IntN(len(offsets))]))
			}
		})
		give := func(kind mfa.Kind, code string) {
			var mu sync.Mutex
			var all sync.WaitGroup
			count := 0
			for range 2 {
				for _, i := range at {
					all.Go(func() {
						v := i.try(context.Background(), p.UserID, kind, code)
						mu.Lock()
						defer mu.Unlock()
						if v == accepted {
							count++
						}
					})
				}
			}
			all.Wait()
			if count > 0 {
				passed[kind]++
			}
			if count > 1 {
				twice[kind]++
			}
			if err := right.guard.Admin("test").Unlock(t.Context(), p.UserID); err != nil {
				t.Fatal(err)
			}
		}
		for _, code := range p.Codes()[:6] {
			give(backupcodes.Kind, code)
		}
		for _, after := range []time.Duration{30 * time.Second, 5 * time.Hour, time.Minute, -5 * time.Hour} {
			give(totp.Kind, p.App().Code(now.Add(after)))
		}
		close(stop)
		jumps.Wait()
	}
	return passed, twice
}

func TestClocksJump(t *testing.T) {
	on(t, append(single, servers.SQLite, servers.RedisCluster), func(t *testing.T, k servers.Kind) {
		passed, twice := jumping(t, servers.Shared(t, k).URL(t), func(s store.Store) store.Store { return s })
		t.Logf("accepted: %v", passed)
		for kind, n := range twice {
			t.Errorf("%s: %d codes were accepted twice", kind, n)
		}
		if passed[totp.Kind] == 0 || passed[backupcodes.Kind] == 0 {
			t.Errorf("accepted: %v; this was no test", passed)
		}
	})
}

// Over a store that loads, compares and saves: some are.
func TestClocksJumpSeesACarelessStore(t *testing.T) {
	t.Parallel()
	_, twice := jumping(t, servers.Shared(t, servers.PostgreSQL).URL(t), func(s store.Store) store.Store { return careless{s} })
	t.Logf("accepted twice: %v", twice)
	if twice[backupcodes.Kind] == 0 {
		t.Error("nothing was seen")
	}
}
