package history

// Every store explains what the users were told; those that are wrong do not.

import (
	"os"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store/memstore"
)

// opsPerRound is how many calls each worker makes in a round, about. More of them
// make longer histories, not more of these.
const opsPerRound = 24

// long reports whether the large numbers are wanted.
func long() bool { return os.Getenv("MFA_LONG") != "" }

// loadTime is how long a load lasts.
func loadTime() time.Duration {
	if long() {
		return 30 * time.Second
	}
	return 3 * time.Second
}

func TestLinearisable(t *testing.T) {
	test := func(t *testing.T, h *house) {
		rs := h.load(loadTime(), opsPerRound)
		enough(t, rs)
		switch result := check(t, rs); result {
		case porcupine.Ok:
		case porcupine.Illegal:
			t.Error("what the users were told cannot have happened one after the other")
			unexplained(t, rs, true)
		default:
			t.Errorf("%s: the histories are too large to be checked", result)
		}
	}
	t.Run("memory, three instances", func(t *testing.T) {
		test(t, newHouse(t, "", memstore.New(), ""))
	})
	for _, k := range []servers.Kind{servers.SQLite, servers.PostgreSQL, servers.MariaDB, servers.Redis, servers.RedisCluster} {
		t.Run(string(k), func(t *testing.T) {
			test(t, newHouse(t, servers.Shared(t, k).URL(t), nil, ""))
		})
	}
}

// enough makes sure that a load was one: each call succeeded and was refused, and
// codes were presented by several workers at once.
func enough(t *testing.T, rs []record) {
	t.Helper()
	for _, f := range failed(rs) {
		t.Error(f)
	}
	type told struct {
		op      op
		verdict verdict
	}
	times := map[told]int{}
	type code struct {
		user, of string
		n        int
	}
	presented := map[code][]record{}
	for _, r := range rs {
		times[told{r.Op, r.Verdict}]++
		if r.Op == verify {
			c := code{r.User, r.App + r.Set, r.Step + r.Code}
			presented[c] = append(presented[c], r)
		}
	}
	raced := 0
	for _, rs := range presented {
		for i, r := range rs {
			for _, o := range rs[:i] {
				if o.Call <= r.Return && r.Call <= o.Return {
					raced++
				}
			}
		}
	}
	t.Logf("%d records; two with the same code at the same time %d times: %v", len(rs), raced, times)
	for _, want := range []told{
		{begin, pending}, {begin, session}, {verify, done}, {verify, replayed}, {verify, invalid}, {verify, expired},
		{enrol, done}, {enrol, stepUp}, {confirm, done}, {confirm, stepUp}, {remove, done}, {remove, lastFactor}, {remove, stepUp},
		{regenerate, done}, {regenerate, stepUp}, {require, done}, {require, stepUp}, {look, done}, {reset, done}, {signOut, done},
	} {
		if times[want] == 0 {
			t.Errorf("no %s was answered %s", want.op, want.verdict)
		}
	}
	if raced < 20 {
		t.Errorf("two with the same code at the same time %d times: that is no test", raced)
	}
}

// What a store that is wrong on purpose lets the users be told cannot be
// explained.
func TestWrongStoresAreRejected(t *testing.T) {
	for _, matter := range []string{careless, forgetful, stale} {
		t.Run(matter, func(t *testing.T) {
			rs := newHouse(t, servers.Shared(t, servers.SQLite).URL(t), nil, matter).load(2*time.Second, opsPerRound)
			if result := check(t, rs); result != porcupine.Illegal {
				t.Error(result)
			}
			unexplained(t, rs, false)
		})
	}
}

// A store that fails, and saves some of that later, is no wrong one: what it does
// not settle has an outcome that is unknown, and was told so.
func TestLateSavesAreExplained(t *testing.T) {
	rs := newHouse(t, servers.Shared(t, servers.SQLite).URL(t), nil, late).load(3*time.Second, opsPerRound)
	n := 0
	for _, r := range rs {
		if r.Verdict == unknown {
			n++
		}
	}
	t.Logf("%d outcomes were unknown", n)
	if n == 0 {
		t.Error("no outcome was unknown: that is no test")
	}
	for _, f := range failed(rs) {
		t.Error(f)
	}
	if result := check(t, rs); result != porcupine.Ok {
		t.Error(result)
		unexplained(t, rs, true)
	}
}
