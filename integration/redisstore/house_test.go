package redisstore

// How stores are opened, and what lies below them.

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// kinds are the servers that the store runs on.
func kinds() []servers.Kind {
	return []servers.Kind{servers.Redis, servers.RedisCluster, servers.Miniredis}
}

// onEach runs a test on every kind of server.
func onEach(t *testing.T, test func(t *testing.T, server *servers.Server)) {
	t.Helper()
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, servers.Shared(t, kind))
		})
	}
}

// long says whether large numbers are asked for.
func long() bool { return os.Getenv("MFA_LONG") != "" }

// open opens the store behind a URL with a client of its own.
func open(t testing.TB, address string) *servers.Store {
	t.Helper()
	s, err := servers.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A view reads the layout that the documentation of redisstore gives, past the
// store.
type view struct {
	client redis.Cmdable
	prefix string
}

// viewOf returns the view of a store that was opened by a URL.
func viewOf(t testing.TB, s *servers.Store, address string) view {
	t.Helper()
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return view{s.Client, values.Get("prefix")}
}

func (v view) bucket(user string) string {
	h := sha256.Sum256([]byte(user))
	return fmt.Sprintf("%s{%03x}", v.prefix, binary.BigEndian.Uint16(h[:])%1024)
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func (v view) record(user string) string   { return v.bucket(user) + "r:" + encoded(user) }
func (v view) list(user string) string     { return v.bucket(user) + "k:" + encoded(user) }
func (v view) attempt(user string) string  { return v.bucket(user) + "a:" + encoded(user) }
func (v view) siblings(user string) string { return v.bucket(user) + "u" }
func (v view) hold(key string) string      { return v.prefix + "k:" + encoded(key) }

// A shape is all that is stored of some users and keys.
type shape struct {
	versions map[string]int64             // user -> version, 0 for none
	lists    map[string]map[string]string // user -> key -> attempt
	attempts map[string]string            // user -> the one under way
	holds    map[string]string            // key -> attempt and user
	listed   map[string]bool              // user -> whether their bucket names them
}

// look reads the shape of users and keys.
func (v view) look(ctx context.Context, users, keys []string) (shape, error) {
	s := shape{map[string]int64{}, map[string]map[string]string{}, map[string]string{}, map[string]string{}, map[string]bool{}}
	type answers struct {
		record, attempt *redis.StringCmd
		list            *redis.MapStringStringCmd
		sibling         *redis.FloatCmd
	}
	asked, holds := map[string]answers{}, map[string]*redis.StringCmd{}
	_, err := v.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, u := range users {
			asked[u] = answers{p.Get(ctx, v.record(u)), p.Get(ctx, v.attempt(u)), p.HGetAll(ctx, v.list(u)), p.ZScore(ctx, v.siblings(u), u)}
		}
		for _, k := range keys {
			holds[k] = p.Get(ctx, v.hold(k))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return s, err
	}
	for u, a := range asked {
		if record := a.record.Val(); len(record) >= 8 {
			s.versions[u] = int64(binary.BigEndian.Uint64([]byte(record)))
		}
		s.attempts[u], s.lists[u], s.listed[u] = a.attempt.Val(), a.list.Val(), a.sibling.Err() == nil
	}
	for k, h := range holds {
		s.holds[k] = h.Val()
	}
	return s, nil
}

// owner returns the user whose list has the key, "" for nobody.
func (s shape) owner(key string) string {
	for u, list := range s.lists {
		if _, ok := list[key]; ok {
			return u
		}
	}
	return ""
}

// whole returns what is wrong with a shape, "" for nothing. It holds at every
// moment: at most one list has a key, who lists it holds it, by the attempt that
// the list names, and a bucket names who has a record.
func (s shape) whole() string {
	owners := map[string]string{}
	for _, u := range slices.Sorted(maps.Keys(s.lists)) {
		for key, attempt := range s.lists[u] {
			if other, ok := owners[key]; ok {
				return fmt.Sprintf("%s and %s both list %s", other, u, key)
			}
			owners[key] = u
			if s.holds[key] != attempt+u {
				return fmt.Sprintf("%s lists %s by %q, and it is held by %q", u, key, attempt, s.holds[key])
			}
		}
		if s.listed[u] != (s.versions[u] != 0) {
			return fmt.Sprintf("%s is at version %d, and named by the bucket: %t", u, s.versions[u], s.listed[u])
		}
	}
	return ""
}

// key returns the n-th key of a test.
func key(n int) string { return fmt.Sprintf("key %028d", n) }

// unavailable fails the test unless err is a failure and no answer.
func unavailable(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%s = %v, want ErrUnavailable", what, err)
	}
	for _, answer := range []error{store.ErrNotFound, store.ErrConflict, store.ErrKeyTaken, store.ErrArgument} {
		if errors.Is(err, answer) {
			t.Errorf("%s = %v, which is also %v", what, err, answer)
		}
	}
}
