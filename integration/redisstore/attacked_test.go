package redisstore

// What attacks on the store have found: a crowd at one user, a server that repeats
// what it was sent, a server that is full.

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// Many machines claim keys for one user at once, and end each other's attempts: each
// change lands or is told to be busy. None is in doubt, as nothing failed.
func TestManyMachinesClaimForOneUser(t *testing.T) {
	t.Parallel()
	address := servers.Shared(t, servers.Redis).URL(t)
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	const machines, each = 32, 3
	const user = "everybody's"
	var last [machines]string // what landed last, of each machine
	var mu sync.Mutex
	landed, busy := 0, 0
	begin := make(chan struct{})
	var all sync.WaitGroup
	for m := range machines {
		v, err := vault.Open(open(t, address), keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			<-begin
			name := fmt.Sprint("machine ", m)
			for n := range each {
				key := fmt.Sprintf("%s key %d", name, n)
				_, err := vault.Update(t.Context(), v, user, func(a *vault.Account) (struct{}, error) {
					s := a.Scope("passkey", "enrol", "flow")
					for _, f := range s.Factors() {
						if f.Name == name {
							s.Remove(f.ID)
						}
					}
					_, err := s.Add(vault.Factor{Name: name, Key: key})
					return struct{}{}, err
				})
				mu.Lock()
				switch {
				case err == nil:
					landed++
					last[m] = key
				case errors.Is(err, vault.ErrBusy):
					busy++
				default:
					t.Errorf("%s: %v", key, err)
				}
				mu.Unlock()
			}
		})
	}
	close(begin)
	all.Wait()
	t.Logf("of %d changes %d landed, %d are told to be busy", machines*each, landed, busy)
	if landed < machines {
		t.Errorf("of %d changes %d landed: nobody gets on", machines*each, landed)
	}
	v, err := vault.Open(open(t, address), keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	account, err := v.View(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	for _, f := range account.Factors {
		has[f.Name] = f.Key
	}
	for m, key := range last {
		if name := fmt.Sprint("machine ", m); has[name] != key {
			t.Errorf("%s has the key %q, told was %q", name, has[name], key)
		}
	}
}

// A server that does not know a command repeats its arguments, and so does many a
// proxy. An error's text goes to logs: it has the server's code, and nothing that
// was sent. Who looks for the server's error finds it.
func TestErrorsRepeatNothing(t *testing.T) {
	t.Parallel()
	mini := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: mini.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	s, err := redisstore.Open(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	const user, data = "ada@example.com", "sealed data"
	v := view{client, "mfa:"}
	var repeated atomic.Int64
	mini.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		c.WriteError("ERR unknown command '" + cmd + "', with args beginning with: '" + strings.Join(args, "' '") + "'")
		repeated.Add(1)
		return true
	})
	change := func(c store.Change) func() error {
		c.UserID, c.Data = user, []byte(data)
		return func() error { return s.Apply(t.Context(), c) }
	}
	for name, call := range map[string]func() error{
		"Open": func() error {
			_, err := redisstore.Open(t.Context(), client, nil)
			return err
		},
		"Load": func() error {
			_, err := s.Load(t.Context(), user)
			return err
		},
		"Owner": func() error {
			_, err := s.Owner(t.Context(), key(1))
			return err
		},
		"UserIDs": func() error {
			_, _, err := s.UserIDs(t.Context(), user, 10)
			return err
		},
		"Risks": func() error {
			_, err := s.Risks(t.Context())
			return err
		},
		"a create":               change(store.Change{New: 1}),
		"a save":                 change(store.Change{Old: 1, New: 2}),
		"a claim":                change(store.Change{Old: 1, New: 2, Claim: []string{key(1)}}),
		"a release":              change(store.Change{Old: 1, New: 2, Release: []string{key(1)}}),
		"a create with a claim":  change(store.Change{New: 1, Claim: []string{key(1)}}),
		"a claim with a release": change(store.Change{Old: 1, New: 2, Claim: []string{key(1)}, Release: []string{key(2)}}),
	} {
		err := call()
		unavailable(t, name, err)
		for _, sent := range []string{user, encoded(user), data, key(1), encoded(key(1)), v.bucket(user), "mfa:"} {
			if strings.Contains(fmt.Sprint(err), sent) {
				t.Errorf("%s: the error's text repeats %q: %v", name, sent, err)
			}
		}
		if answer, ok := errors.AsType[redis.Error](err); !ok || !strings.HasPrefix(answer.Error(), "ERR unknown command") || !redis.HasErrorPrefix(err, "unknown command") {
			t.Errorf("%s: the server's error is not to be found: %v", name, err)
		}
	}
	if n := repeated.Load(); n < 11 {
		t.Errorf("the server was asked %d times: this was no test", n)
	}
}

// A program starts on a server that is full, if it has started there before: people
// may read, and the store is not what takes their login away.
func TestOpensOnAFullServer(t *testing.T) {
	t.Parallel()
	for _, kind := range []servers.Kind{servers.Redis, servers.Miniredis} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			full := servers.New(t, kind)
			address := full.URL(t)
			s := open(t, address)
			if err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1, Data: []byte("kept")}); err != nil {
				t.Fatal(err)
			}
			full.Full(t, true)
			unavailable(t, "Apply on a full server", s.Apply(t.Context(), store.Change{UserID: "u", Old: 1, New: 2}))
			again, err := servers.Open(t.Context(), address)
			if err != nil {
				t.Fatalf("Open of a layout that is there, on a full server = %v", err)
			}
			defer again.Close()
			if r, err := again.Load(t.Context(), "u"); err != nil || r.Version != 1 || string(r.Data) != "kept" {
				t.Errorf("Load on a full server = %d, %q, %v", r.Version, r.Data, err)
			}
			_, err = servers.Open(t.Context(), full.URL(t))
			unavailable(t, "Open without a layout, on a full server", err)
		})
	}
}
