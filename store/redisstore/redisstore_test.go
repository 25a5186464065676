// Tests that need no server. Those on real ones are in the module integration.
package redisstore

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/store"
)

func TestArguments(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	defer ring.Close()
	cluster := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs = []string{"127.0.0.1:1"}
		c := redis.NewClusterClient(&o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	caching := func(o redis.Options) redis.UniversalClient {
		o.Addr = "127.0.0.1:1"
		c := redis.NewClient(&o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	for name, tt := range map[string]struct {
		client redis.UniversalClient
		prefix string
	}{
		"no client":          {nil, ""},
		"a ring":             {ring, ""},
		"reads of replicas":  {cluster(redis.ClusterOptions{ReadOnly: true}), ""},
		"the nearest":        {cluster(redis.ClusterOptions{RouteByLatency: true}), ""},
		"any":                {cluster(redis.ClusterOptions{RouteRandomly: true}), ""},
		"a cache":            {caching(redis.Options{ClientSideCacheConfig: &redis.ClientSideCacheConfig{}}), ""},
		"the caller's cache": {caching(redis.Options{ClientSideCache: redis.NewLocalCache(redis.CacheConfig{})}), ""},
		"a brace":            {client, "mfa{"},
		"a closing brace":    {client, "}"},
		"a space":            {client, "a b"},
		"a star":             {client, "*"},
		"a line":             {client, "a\n"},
		"no ASCII":           {client, "ä"},
		"a prefix too long":  {client, strings.Repeat("a", 41)},
		"a prefix with NUL":  {client, "a\x00"},
		"a prefix with [ab]": {client, "[ab]"},
	} {
		if s, err := Open(t.Context(), tt.client, &Options{Prefix: tt.prefix}); !errors.Is(err, store.ErrArgument) || s != nil {
			t.Errorf("%s: %v, want ErrArgument", name, err)
		}
	}
	if _, err := Open(t.Context(), client, &Options{Prefix: "Acme-1.x_y:"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("nobody there: %v, want ErrUnavailable", err)
	}
}

// The names are data at rest: who is in another bucket is gone.
func TestNames(t *testing.T) {
	t.Parallel()
	s := &Store{prefix: "mfa:"}
	got := s.user("ada")
	want := user{record: "mfa:{1ee}r:YWRh", claims: "mfa:{1ee}k:YWRh", attempt: "mfa:{1ee}a:YWRh", siblings: "mfa:{1ee}u"}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := s.claim(strings.Repeat("\xff", store.KeySize)), "mfa:k:"+strings.Repeat("_", 42)+"8"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// No two users and no user and key share a name, whatever bytes they have
//
func TestNamesAreApart(t *testing.T) {
	t.Parallel()
	s := &Store{prefix: "mfa:"}
	ids := []string{"a", "A", "a:b", "a:", ":a", "a}", "{a", "{a}", "a*", "a?", "[a]", "a b", "a\x00", "\x00a", "a\n", "\xff", "a/b", "r:a", "k:a", "YQ"}
	seen := map[string]string{}
	for _, id := range ids {
		u := s.user(id)
		for _, name := range []string{u.record, u.claims, u.attempt, s.claim((id + strings.Repeat("x", store.KeySize))[:store.KeySize])} {
			if other, there := seen[name]; there {
				t.Errorf("%q and %q share %q", id, other, name)
			}
			seen[name] = id
			if strings.ContainsAny(name[len("mfa:"):], "*?[]\x00 \n") || strings.Count(name, "{") > 1 || strings.Count(name, "}") > 1 {
				t.Errorf("%q is called %q", id, name)
			}
		}
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	const users = 1 << 17
	var count [buckets]int
	for i := range users {
		count[bucketOf(string(binary.BigEndian.AppendUint32(nil, uint32(i))))]++
	}
	for b, n := range count {
		if n < users/buckets*6/10 || n > users/buckets*14/10 {
			t.Errorf("bucket %d has %d of %d users", b, n, users)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for v, want := range map[int64]string{
		0: "", 1: "\x00\x00\x00\x00\x00\x00\x00\x01", 1<<63 - 1: "\x7f\xff\xff\xff\xff\xff\xff\xff", 1<<53 + 1: "\x00\x20\x00\x00\x00\x00\x00\x01",
	} {
		if got := versionText(v); got != want {
			t.Errorf("%d: %q, want %q", v, got, want)
		}
	}
}

func TestRiskIsOneSentence(t *testing.T) {
	t.Parallel()
	r := Risk{Server: "127.0.0.1:6379", Setting: "appendonly", Value: "no", Why: "a restart forgets what no snapshot holds"}
	if got, want := r.String(), "redis 127.0.0.1:6379: appendonly is no: a restart forgets what no snapshot holds"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
