// Several processes that claim, release and delete at random on the same keys,
// lose commands, and are killed.
package redisstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

const (
	childJob = "REDISSTORE_TEST_JOB"
	childURL = "REDISSTORE_TEST_URL"

	crowd      = 16 // users
	sharedKeys = 4
	calls      = 300 // of each process in each round
)

// child returns the command that does a job in a process of its own. It is this
// test binary again.
func child(ctx context.Context, job, address string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.count=1", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childJob+"="+job, childURL+"="+address)
	return cmd
}

// TestChild is what child processes run.
func TestChild(t *testing.T) {
	job := os.Getenv(childJob)
	if job == "" {
		return // its work is done in child processes
	}
	s := open(t, os.Getenv(childURL))
	switch job {
	case "random":
		s.Client.AddHook(lossy{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range calls / 4 {
					if err := randomly(t.Context(), s); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	case "hold": // until it is killed before its save
		gate := &sleep{before: 3, asleep: make(chan struct{}), awake: make(chan struct{})}
		s.Client.AddHook(gate)
		go func() {
			<-gate.asleep
			fmt.Println("asleep")
		}()
		err := s.Apply(t.Context(), store.Change{UserID: "ada", New: 1, Claim: []string{key(1)}})
		t.Errorf("Apply = %v, want never to return", err)
	default:
		t.Fatalf("no job %q", job)
	}
}

// lossy loses one command in twenty on its way, and one in twenty answers.
type lossy struct{}

func (lossy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (lossy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (lossy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch rand.IntN(20) {
		case 0:
			return errLost
		case 1:
			_ = next(ctx, cmd)
			return errLost
		case 2:
			_ = next(ctx, cmd) // the client sends it again
		}
		return next(ctx, cmd)
	}
}

// randomly makes one call for one user. Who owns what stands in the record, as
// bits, so that it can be compared.
func randomly(ctx context.Context, s store.Store) error {
	user := fmt.Sprint("user ", rand.IntN(crowd))
	r, err := s.Load(ctx, user)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUnavailable) {
		return err
	}
	if errors.Is(err, store.ErrUnavailable) {
		return nil
	}
	owned := byte(0)
	if r.Version != 0 {
		owned = r.Data[0]
	}
	c := store.Change{UserID: user, Old: r.Version, New: 1 + rand.Int64N(1<<62)}
	remove := r.Version != 0 && rand.IntN(6) == 0
	for k := range sharedKeys {
		bit := byte(1) << k
		switch has := owned&bit != 0; {
		case has && (remove || rand.IntN(2) == 0):
			c.Release = append(c.Release, key(k))
			owned &^= bit
		case !remove && rand.IntN(3) == 0:
			c.Claim = append(c.Claim, key(k))
			owned |= bit
		}
	}
	c.Data = []byte{owned}
	if remove {
		c.New, c.Data = 0, nil
	}
	err = s.Apply(ctx, c)
	if err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrKeyTaken) && !errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return nil
}

// Whatever is lost: at every quiet point each key is listed by one user at most,
// and by exactly the one whose record says so, and Owner agrees.
func TestRandomProcesses(t *testing.T) {
	t.Parallel()
	const processes = 3
	rounds := 3
	if long() {
		rounds = 30
	}
	onEach(t, func(t *testing.T, server *servers.Server) {
		address := server.URL(t)
		s := open(t, address)
		v := viewOf(t, s, address)
		var users, keys []string
		for i := range crowd {
			users = append(users, fmt.Sprint("user ", i))
		}
		for i := range sharedKeys {
			keys = append(keys, key(i))
		}
		owned := 0
		for range rounds {
			outs := make([]bytes.Buffer, processes)
			var wg sync.WaitGroup
			for i := range outs {
				cmd := child(t.Context(), "random", address)
				cmd.Stdout, cmd.Stderr = &outs[i], &outs[i]
				wg.Go(func() {
					if err := cmd.Run(); err != nil {
						t.Errorf("process %d: %v\n%s", i, err, outs[i].String())
					}
				})
			}
			wg.Wait()
			is, err := v.look(t.Context(), users, keys)
			if err != nil {
				t.Fatal(err)
			}
			if problem := is.whole(); problem != "" {
				t.Error(problem)
			}
			for n, k := range keys {
				owner, err := s.Owner(t.Context(), k)
				if err != nil && !errors.Is(err, store.ErrNotFound) || owner != is.owner(k) {
					t.Errorf("Owner says %q, %v; %q lists it", owner, err, is.owner(k))
				}
				if owner != "" {
					owned++
				}
				for _, u := range users {
					r, err := s.Load(t.Context(), u)
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Fatal(err)
					}
					if says := r.Version != 0 && r.Data[0]>>n&1 == 1; says != (u == owner) {
						t.Errorf("the record of %s says that it owns key %d: %t; its owner is %q", u, n, says, owner)
					}
				}
			}
		}
		if owned == 0 {
			t.Error("no key was owned at any quiet point: nothing was tested")
		}
	})
}

// A process that is killed between its holds and its save blocks the key until
// its attempt ends, and no longer; its user goes on at once.
func TestKilledBeforeSave(t *testing.T) {
	t.Parallel()
	for _, kind := range []servers.Kind{servers.Redis, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := servers.Shared(t, kind)
			for _, again := range []string{"ada", "bob"} {
				address := server.URL(t)
				s := open(t, address)
				v := viewOf(t, s, address)
				cmd := child(t.Context(), "hold", address)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if lines := bufio.NewScanner(out); !lines.Scan() || lines.Text() != "asleep" {
					t.Errorf("the process says %q", lines.Text())
				}
				cmd.Process.Kill()
				cmd.Wait()
				claim := store.Change{UserID: again, New: 7, Claim: []string{key(1)}}
				if again == "bob" {
					if err := s.Apply(t.Context(), claim); !errors.Is(err, store.ErrKeyTaken) {
						t.Errorf("another user at once = %v, want ErrKeyTaken", err)
					}
					// The rest of its life, cut short.
					if ok, err := s.Client.PExpire(t.Context(), v.attempt("ada"), time.Millisecond).Result(); !ok || err != nil {
						t.Fatal(ok, err)
					}
					for s.Client.Exists(t.Context(), v.attempt("ada")).Val() != 0 {
						time.Sleep(time.Millisecond)
					}
				}
				if err := s.Apply(t.Context(), claim); err != nil {
					t.Errorf("%s, going on = %v", again, err)
				}
				if owner, err := s.Owner(t.Context(), key(1)); owner != again {
					t.Errorf("the key belongs to %q, %v; want %s", owner, err, again)
				}
			}
		})
	}
}
