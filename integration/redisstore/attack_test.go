// A claim's protocol under attack on every kind of server: its process stops,
// or an answer is lost, or a command runs twice, at each command in turn.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

// A saboteur is a hook that does something to the n-th command of a client.
type saboteur struct {
	at, n   int
	what    trouble
	hit     bool
	passing bool
	late    func() error // sends what was held back
}

func (*saboteur) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*saboteur) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *saboteur) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		send := func() error {
			err := next(ctx, cmd)
			s.passing = redis.HasErrorPrefix(err, "NOSCRIPT")
			return err
		}
		if s.passing || s.what == fine {
			return send()
		}
		s.n++
		if s.n != s.at {
			return send()
		}
		s.hit = true
		switch s.what {
		case killed:
			runtime.Goexit()
		case lost:
			if err := send(); s.passing {
				s.n-- // it has not run: the next one is the same with its text
				s.hit = false
				return err
			}
			return errLost
		case belated:
			again := redis.NewCmd(context.WithoutCancel(ctx), cmd.Args()...)
			s.late = func() error { return next(context.WithoutCancel(ctx), again) }
			return errLost
		case resent:
			if err := send(); s.passing {
				s.n--
				s.hit = false
				return err
			}
		}
		return send()
	}
}

// applyIn applies a change in a process of its own, which may end.
func applyIn(ctx context.Context, s store.Store, c store.Change) error {
	err := errStopped
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = s.Apply(ctx, c)
	}()
	<-done
	return err
}

// TestEveryCommand: whatever happens to one command, what is stored is whole, the
// same user goes on at once, and another user can claim what is free, at the
// latest when the attempt has ended. Who comes back later saves nothing.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *servers.Server) {
		address := server.URL(t)
		clean := open(t, address)
		v := viewOf(t, clean, address)
		for user := range 64 { // so that every node knows the scripts
			id := fmt.Sprint("warm ", user)
			for _, c := range []store.Change{
				{UserID: id, New: 1, Claim: []string{key(1000 + user)}}, {UserID: id, Old: 1, Release: []string{key(1000 + user)}},
			} {
				if err := clean.Apply(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
		}
		round := 0
		for name, plan := range map[string]struct {
			had     bool // the user has a record, and owns the first key
			claim   []int
			release []int
		}{
			"a create that claims":          {false, []int{1, 2}, nil},
			"a claim":                       {true, []int{2}, nil},
			"two claims and a release":      {true, []int{3, 2}, []int{1}},
			"a claim of what one has":       {true, []int{1}, nil},
			"a claim of old and new":        {true, []int{1, 2}, nil},
			"a release":                     {true, nil, []int{1}},
			"a claim over somebody's death": {true, []int{4, 2}, []int{1}},
		} {
			for _, what := range []trouble{killed, lost, resent, belated} {
				for at := 1; ; at++ {
					round++
					user, other := fmt.Sprintf("user %d", round), fmt.Sprintf("other %d", round)
					own := func(numbers []int) (keys []string) {
						for _, n := range numbers {
							keys = append(keys, key(round*10+n))
						}
						return keys
					}
					all := own([]int{1, 2, 3, 4})
					c := store.Change{UserID: user, New: 2, Data: []byte("after"), Claim: own(plan.claim), Release: own(plan.release)}
					if plan.had {
						c.Old = 1
						if err := clean.Apply(t.Context(), store.Change{UserID: user, New: 1, Data: []byte("before"), Claim: all[:1]}); err != nil {
							t.Fatal(err)
						}
					}
					if len(plan.claim) > 0 && plan.claim[0] == 4 {
						v.set(t, v.hold(all[3]), "dddddddddddddddddddddddd0000000000000000somebody")
					}
					victim := open(t, address)
					hook := &saboteur{at: at, what: what}
					victim.Client.AddHook(hook)
					err := applyIn(t.Context(), victim, c)
					if !hook.hit {
						if err != nil {
							t.Fatalf("%s, with nothing done to it = %v", name, err)
						}
						victim.Close()
						break
					}
					a := attack{t, clean, v, fmt.Sprintf("%s; command %d; %s", name, at, what), user, other, all}
					a.check(c, err, hook.late)
					victim.Close()
					if t.Failed() {
						return
					}
				}
			}
		}
	})
}

func (v view) set(t testing.TB, name, value string) {
	t.Helper()
	if err := v.client.Set(t.Context(), name, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

type attack struct {
	*testing.T
	clean       store.Store
	view        view
	name        string
	user, other string
	keys        []string
}

func (a *attack) shape() shape {
	a.Helper()
	s, err := a.view.look(a.Context(), []string{a.user, a.other}, a.keys)
	if err != nil {
		a.Fatal(err)
	}
	if problem := s.whole(); problem != "" {
		a.Errorf("%s: %s", a.name, problem)
	}
	return s
}

// check looks at what an Apply has left that was told err. late sends what was
// held back, if it is not nil.
func (a *attack) check(c store.Change, err error, late func() error) {
	a.Helper()
	s := a.shape()
	landed := s.versions[a.user] == c.New
	if !landed && s.versions[a.user] != c.Old {
		a.Errorf("%s: version %d", a.name, s.versions[a.user])
	}
	for _, k := range c.Claim {
		if owns := s.owner(k) == a.user; owns != landed && (k != a.keys[0] || c.Old == 0) {
			a.Errorf("%s: landed %t, and owns a key: %t", a.name, landed, owns)
		}
	}
	switch {
	case err == nil && !landed:
		a.Errorf("%s: told nil, and not landed", a.name)
	case err != nil && !errors.Is(err, store.ErrUnavailable) && err != errStopped && !(errors.Is(err, store.ErrConflict) && landed):
		a.Errorf("%s: told %v, landed %t", a.name, err, landed)
	}
	// Another user: at once, or when the attempt has ended.
	version := int64(0)
	for _, k := range a.keys {
		s := a.shape()
		alive := s.attempts[a.user] != "" && s.holds[k] == s.attempts[a.user]+a.user
		take := store.Change{UserID: a.other, Old: version, New: version + 1, Claim: []string{k}}
		err := a.clean.Apply(a.Context(), take)
		owned := s.owner(k) != ""
		if taken := errors.Is(err, store.ErrKeyTaken); taken != (owned || alive) || !taken && err != nil {
			a.Errorf("%s: another user who claims a key (owned %t, an attempt under way %t) is told %v", a.name, owned, alive, err)
		}
		if err == nil {
			version++
		}
		if owned || !alive {
			continue
		}
		life, ttl := a.view.client.PTTL(a.Context(), a.view.attempt(a.user)).Result()
		if ttl != nil || life <= 0 || life.Seconds() > 30 {
			a.Errorf("%s: an attempt lives for %v, %v", a.name, life, ttl)
		}
		a.end(a.user)
		if err := a.clean.Apply(a.Context(), take); err != nil {
			a.Errorf("%s: another user who claims a key whose attempt has ended is told %v", a.name, err)
		} else {
			version++
		}
	}
	if late != nil {
		before := a.shape()
		lateErr := late()
		after := a.shape()
		// What comes late may land as long as nobody else came.
		if after.versions[a.user] == c.New && !landed {
			for _, k := range c.Claim {
				if before.owner(k) == a.other {
					a.Errorf("%s: saved when it came late, after another user took a key over: %v", a.name, lateErr)
				}
			}
			landed = true
		}
	}
	// The same user: at once.
	s = a.shape()
	next := store.Change{UserID: a.user, Old: s.versions[a.user], New: 9, Data: []byte("on")}
	for _, k := range a.keys {
		if s.owner(k) != a.other {
			next.Claim = append(next.Claim, k)
		}
	}
	if err := a.clean.Apply(a.Context(), next); err != nil {
		a.Errorf("%s: the same user, going on, is told %v", a.name, err)
	}
	s = a.shape()
	for _, k := range next.Claim {
		owner, err := a.clean.Owner(a.Context(), k)
		if err != nil || owner != a.user || s.owner(k) != a.user {
			a.Errorf("%s: in the end a key belongs to %q, %v", a.name, owner, err)
		}
	}
}

// end ends a user's attempt as its time would.
func (a *attack) end(user string) {
	a.Helper()
	if err := a.view.client.Del(a.Context(), a.view.attempt(user)).Err(); err != nil {
		a.Fatal(err)
	}
}

// TestLateSaves: the process stops before its save for longer than an attempt
// lives, another user takes the key over, and then the save is sent.
func TestLateSaves(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *servers.Server) {
		address := server.URL(t)
		clean, sleeper := open(t, address), open(t, address)
		a := attack{t, clean, viewOf(t, clean, address), "a late save", "sleeper", "other", []string{key(1), key(2)}}
		gate := &sleep{before: 4, asleep: make(chan struct{}), awake: make(chan struct{})}
		sleeper.Client.AddHook(gate)
		told := make(chan error)
		go func() {
			told <- sleeper.Apply(t.Context(), store.Change{UserID: a.user, New: 1, Claim: a.keys})
		}()
		<-gate.asleep
		a.end(a.user)
		if err := clean.Apply(t.Context(), store.Change{UserID: a.other, New: 1, Claim: a.keys[:1]}); err != nil {
			t.Errorf("another user, when the attempt has ended = %v", err)
		}
		close(gate.awake)
		if err := <-told; !errors.Is(err, store.ErrKeyTaken) {
			t.Errorf("who comes back late is told %v, want ErrKeyTaken", err)
		}
		if s := a.shape(); s.owner(key(1)) != a.other || s.owner(key(2)) != "" || s.versions[a.user] != 0 {
			t.Errorf("who comes back late has saved: %v", s.versions)
		}
	})
}

// sleep stops a client before its n-th command, NOSCRIPT aside.
type sleep struct {
	before, n     int
	passing       bool
	asleep, awake chan struct{}
}

func (*sleep) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*sleep) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *sleep) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !s.passing {
			if s.n++; s.n == s.before {
				close(s.asleep)
				<-s.awake
			}
		}
		err := next(ctx, cmd)
		s.passing = redis.HasErrorPrefix(err, "NOSCRIPT")
		return err
	}
}
