package redisstore

// A cluster that moves its slots while it is used.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

// Saves that claim nothing go on while slots move. Others may fail, but are whole:
// the record is at one of two versions, and who lists a key owns it.
func TestSlotsMove(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-cli"); err != nil {
		if os.Getenv("MFA_CI") != "" {
			t.Fatalf("redis-cli is missing (Debian: redis-tools): %v", err)
		}
		t.Skipf("redis-cli is missing (Debian: redis-tools): %v", err)
	}
	server := servers.New(t, servers.RedisCluster)
	url := server.URL(t)
	const workers, usersEach = 8, 40

	slots := 500
	if long() {
		slots = 5000
	}
	moved := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	swaps, claims, failed := 0, 0, 0
	for w := range workers {
		s := open(t, url)
		all.Go(func() {
			at := map[string]int64{}
			key := map[string]string{}
			ctx := t.Context()
			for i := range usersEach {
				id := fmt.Sprintf("mover %d %d", w, i)
				if err := s.Apply(ctx, store.Change{UserID: id, New: 1, Data: []byte("1")}); err != nil {
					t.Error(err)
					return
				}
				at[id] = 1
			}
			for turn := 0; ; turn++ {
				select {
				case <-moved:
					return
				default:
				}
				id := fmt.Sprintf("mover %d %d", w, rand.IntN(usersEach))
				c := store.Change{UserID: id, Old: at[id], New: at[id] + 1, Data: fmt.Append(nil, at[id]+1)}
				claiming := turn%10 == 0
				if claiming {
					c.Claim = []string{fmt.Sprintf("%032d", rand.Int64())}
					if key[id] != "" {
						c.Release = []string{key[id]}
					}
				}
				err := s.Apply(ctx, c)
				mu.Lock()
				if claiming {
					claims++
				} else {
					swaps++
				}
				if err != nil {
					failed++
				}
				mu.Unlock()
				if err != nil && (!claiming || !errors.Is(err, store.ErrUnavailable)) {
					t.Errorf("claiming %t: %v", claiming, err)
				}
				rec, lerr := s.Load(ctx, id)
				switch {
				case lerr != nil:
					t.Errorf("Load: %v", lerr)
				case rec.Version == c.New && string(rec.Data) == string(c.Data):
					at[id] = c.New
					if claiming {
						key[id] = c.Claim[0]
					}
				case err == nil || rec.Version != c.Old:
					t.Errorf("after %v: at %d, want %d or %d", err, rec.Version, c.Old, c.New)
				}
				if err == nil && claiming {
					if owner, oerr := s.Owner(ctx, c.Claim[0]); oerr != nil || owner != id {
						t.Errorf("Owner = %q, %v; want %q", owner, oerr, id)
					}
				}
			}
		})
	}
	addrs := server.Addrs()
	for i := range addrs {
		from, to := node(t, addrs[i]), node(t, addrs[(i+1)%len(addrs)])
		out, err := exec.CommandContext(t.Context(), "redis-cli", "--cluster", "reshard", addrs[0],
			"--cluster-from", from, "--cluster-to", to, "--cluster-slots", fmt.Sprint(slots), "--cluster-yes").CombinedOutput()
		if err != nil {
			t.Errorf("reshard: %v\n%s", err, tail(out))
		}
	}
	close(moved)
	all.Wait()
	t.Logf("%d slots moved: %d saves, %d with a claim, %d of those failed", 3*slots, swaps, claims, failed)
	if swaps < 100 || claims < 10 {
		t.Error("nothing was saved meanwhile: this was no test")
	}
}

// node asks a server for its name in the cluster.
func node(t *testing.T, addr string) string {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	id, err := c.ClusterMyID(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func tail(out []byte) []byte { return out[max(0, len(out)-500):] }
