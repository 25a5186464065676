// What servers hold and how they are set: round trips, garbage, risks, lists.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
)

// A load is one round trip, and so is a save that claims nothing.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	server := servers.Shared(t, servers.Redis)
	proxy := servers.NewProxy(t, server.Addrs()[0])
	s := open(t, servers.Through(server.URL(t), proxy.Addr()))
	at := int64(0)
	apply := func() {
		t.Helper()
		if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: at, New: at + 1, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		at++
	}
	apply() // now the server knows the scripts
	apply()
	trips := func(what string, want int64, do func()) {
		t.Helper()
		var mu sync.Mutex
		var sent []string
		proxy.OnRequest(func(request []byte) servers.Cut {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, fmt.Sprintf("%.60q", request))
			return servers.Pass
		})
		proxy.Reset()
		do()
		if got := proxy.RoundTrips(); got != want {
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("%s takes %d round trips, want %d: %q", what, got, want, sent)
		}
	}
	trips("a save", 1, apply)
	trips("a load", 1, func() {
		if _, err := s.Load(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
	})
	claim := func(n int) func() {
		return func() {
			t.Helper()
			if err := s.Apply(t.Context(), store.Change{UserID: "u", Old: at, New: at + 1, Claim: []string{key(n)}}); err != nil {
				t.Fatal(err)
			}
			at++
		}
	}
	claim(1)()
	trips("a claim", 3, claim(2))
}

// What is not what this package writes is a failure, and never an answer.
func TestGarbage(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *servers.Server) {
		address := server.URL(t)
		s := open(t, address)
		v := viewOf(t, s, address)
		ctx := t.Context()
		do := func(args ...any) {
			t.Helper()
			if err := s.Client.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for i, spoil := range []func(user string){
			func(u string) { do("RPUSH", v.record(u), "x") },
			func(u string) { do("SET", v.record(u), "short") },
			func(u string) { do("SET", v.record(u), "") },
		} {
			user := fmt.Sprint("record ", i)
			spoil(user)
			_, err := s.Load(ctx, user)
			unavailable(t, fmt.Sprintf("Load of garbage %d", i), err)
		}
		// Of the wrong type: nothing can be claimed over it, and a save that fails
		// has changed nothing.
		for i, name := range []func(user string) string{v.record, v.list, v.attempt} {
			user := fmt.Sprint("type ", i)
			if i > 0 {
				if err := s.Apply(ctx, store.Change{UserID: user, New: 1, Data: []byte("kept")}); err != nil {
					t.Fatal(err)
				}
			}
			do("RPUSH", name(user), "x")
			if i == 2 { // an attempt is overwritten, whatever it is
				if err := s.Apply(ctx, store.Change{UserID: user, Old: 1, New: 2, Claim: []string{key(10 + i)}}); err != nil {
					t.Errorf("a claim over a garbage attempt = %v", err)
				}
				continue
			}
			for _, c := range []store.Change{
				{UserID: user, Old: 1, New: 2, Claim: []string{key(10 + i)}},
				{UserID: user, Old: 1, New: 2, Release: []string{key(20 + i)}},
			} {
				unavailable(t, fmt.Sprintf("Apply (claims %d) over garbage %d", len(c.Claim), i), s.Apply(ctx, c))
			}
			if i > 0 {
				if r, err := s.Load(ctx, user); err != nil || r.Version != 1 {
					t.Errorf("garbage %d: an Apply that failed has saved version %d, %v", i, r.Version, err)
				}
			}
		}
		for i, garbage := range []string{"x", strings.Repeat("x", 40), strings.Repeat("x", 60), strings.Repeat("\x00", 400)} {
			k := key(100 + i)
			do("SET", v.hold(k), garbage)
			_, err := s.Owner(ctx, k)
			unavailable(t, fmt.Sprintf("Owner of garbage %d", i), err)
			unavailable(t, fmt.Sprintf("a claim over garbage %d", i), s.Apply(ctx, store.Change{UserID: fmt.Sprint("claim ", i), New: 1, Claim: []string{k}}))
		}
		do("RPUSH", v.hold(key(200)), "x")
		_, err := s.Owner(ctx, key(200))
		unavailable(t, "Owner of a list", err)
		unavailable(t, "a claim over a list", s.Apply(ctx, store.Change{UserID: "c", New: 1, Claim: []string{key(200)}}))
		do("SET", v.siblings("lost"), "x")
		if _, err := everybody(ctx, s, 100); err == nil {
			t.Error("a listing over garbage ends well")
		} else {
			unavailable(t, "UserIDs", err)
		}
		do("SET", v.prefix+"layout", "2")
		if _, err := redisstore.Open(ctx, s.Client, &redisstore.Options{Prefix: v.prefix}); !errors.Is(err, store.ErrSchema) {
			t.Errorf("Open of a newer layout = %v, want ErrSchema", err)
		}
	})
}

// everybody lists all users by pages.
func everybody(ctx context.Context, l store.Lister, limit int) (all []string, err error) {
	for cursor := ""; ; {
		ids, next, err := l.UserIDs(ctx, cursor, limit)
		if err != nil {
			return all, err
		}
		all = append(all, ids...)
		if next == "" {
			return all, nil
		}
		cursor = next
	}
}

// A listing of many users is whole, names each once, and can begin anywhere.
func TestListMany(t *testing.T) {
	t.Parallel()
	users := 500
	if long() {
		users = 5000
	}
	onEach(t, func(t *testing.T, server *servers.Server) {
		s := open(t, server.URL(t))
		var want []string
		for i := range users {
			id := fmt.Sprintf("user %d\xff", i)
			if err := s.Apply(t.Context(), store.Change{UserID: id, New: 1}); err != nil {
				t.Fatal(err)
			}
			want = append(want, id)
		}
		slices.Sort(want)
		order, err := everybody(t.Context(), s, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(slices.Values(order)); !slices.Equal(got, want) {
			t.Errorf("%d users are listed, want %d, each once", len(got), len(want))
		}
		for _, limit := range []int{1, 7, 333} {
			if got, err := everybody(t.Context(), s, limit); err != nil || !slices.Equal(got, order) {
				t.Errorf("with limit %d: %d users, %v; want the same %d", limit, len(got), err, len(order))
			}
		}
		for _, i := range []int{0, len(order) / 2, len(order) - 2} {
			rest, _, err := s.UserIDs(t.Context(), order[i], 1000)
			if n := min(len(rest), 1000); err != nil || n == 0 || !slices.Equal(rest, order[i+1:i+1+n]) {
				t.Errorf("behind user %d: %d users, %v", i, len(rest), err)
			}
		}
	})
}

// Each setting that can lose records is named, on every server of a cluster, and
// none where all is well.
func TestRisks(t *testing.T) {
	t.Parallel()
	for _, kind := range []servers.Kind{servers.Redis, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := servers.New(t, kind)
			s := open(t, server.URL(t))
			rs := s.Store.(*redisstore.Store)
			risks := func(want ...string) {
				t.Helper()
				found, err := rs.Risks(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range found {
					got = append(got, r.Setting+" "+r.Value)
					if !slices.Contains(server.Addrs(), r.Server) || r.Why == "" {
						t.Errorf("a risk of %q: %s", r.Server, r)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("risks %q, want %q", got, want)
				}
			}
			last := redis.NewClient(&redis.Options{Addr: server.Addrs()[len(server.Addrs())-1]})
			defer last.Close()
			set := func(setting, value string) {
				t.Helper()
				if err := last.ConfigSet(t.Context(), setting, value).Err(); err != nil {
					t.Fatal(err)
				}
			}
			risks()
			for _, bad := range [][3]string{
				{"appendfsync", "everysec", "always"}, {"appendfsync", "no", "always"}, {"appendonly", "no", "yes"},
				{"no-appendfsync-on-rewrite", "yes", "no"}, {"maxmemory-policy", "allkeys-lru", "noeviction"},
				{"maxmemory-policy", "allkeys-random", "noeviction"},
			} {
				set(bad[0], bad[1])
				risks(bad[0] + " " + bad[1])
				set(bad[0], bad[2])
			}
			risks()
		})
	}
	t.Run("replica", func(t *testing.T) {
		t.Parallel()
		primary, replica := servers.New(t, servers.Redis), servers.New(t, servers.Redis)
		p, r := open(t, primary.URL(t)), open(t, replica.URL(t))
		host, port, _ := strings.Cut(primary.Addrs()[0], ":")
		if err := r.Client.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
			t.Fatal(err)
		}
		has := func(s *servers.Store, want string) {
			t.Helper()
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // no server tells
				found, err := s.Store.(*redisstore.Store).Risks(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, risk := range found {
					if risk.Setting+" "+risk.Value == want {
						return
					}
				}
			}
			t.Errorf("no risk %q", want)
		}
		has(r, "role slave")
		has(p, "connected_slaves 1")
		unavailable(t, "Apply on a replica", r.Apply(t.Context(), store.Change{UserID: "u", New: 1}))
	})
}
