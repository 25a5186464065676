// Tests of the bound of the cache, in its own count and in real memory.
package vault

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
)

// check compares what a cache says of itself with what is in it.
func (c *cache[K, V]) check(t *testing.T) {
	t.Helper()
	n, bytes := 0, 0
	for e := c.list.next; e != &c.list; e = e.next {
		if c.byKey[e.key] != e || e.next.prev != e {
			t.Fatalf("entry %d is not where it should be", n)
		}
		if e.cost != c.cost(e.key, e.value) {
			t.Fatalf("entry %d counts %d bytes, and costs %d", n, e.cost, c.cost(e.key, e.value))
		}
		n++
		bytes += e.cost
	}
	if n != len(c.byKey) || bytes != c.bytes || bytes > c.max {
		t.Fatalf("%d entries of %d bytes; it counts %d and %d, at most %d", n, bytes, len(c.byKey), c.bytes, c.max)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const max = 1 << 20
	c := newCache(max, recordCost, strings.Clone)
	all := make([]byte, 64<<10)
	record := func(i int) store.Record { // 0 to 5000 bytes, now and then 64 kB
		n := i * 7919 % 5000
		if i%1000 == 0 {
			n = len(all)
		}
		return store.Record{Version: int64(i + 1), Data: all[:n:n]}
	}
	users := 200_000
	if os.Getenv("MFA_LONG") != "" {
		users = 1_000_000
	}
	for i := range users {
		c.put(fmt.Sprint(i), record(i))
		if c.bytes > max {
			t.Fatalf("%d bytes after %d users", c.bytes, i+1)
		}
		if i%3 == 0 { // the users of before come back, with other records
			c.put(fmt.Sprint(i-i%7), record(i+1))
			c.get(fmt.Sprint(i - i%100))
			c.drop(fmt.Sprint(i - i%50))
			if c.bytes > max {
				t.Fatalf("%d bytes after %d users", c.bytes, i+1)
			}
		}
		if i%100_000 == 0 {
			c.check(t)
		}
	}
	c.check(t)
	if c.bytes < max-2*recordCost("", record(0)) {
		t.Errorf("%d of %d bytes are used", c.bytes, max)
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	t.Parallel()
	cost := func(_ string, n int) int { return n }
	c := newCache(10, cost, strings.Clone)
	for _, tt := range []struct {
		do   func()
		want string
	}{
		{func() { c.put("a", 3) }, "a"},
		{func() { c.put("b", 3) }, "ba"},
		{func() { c.put("c", 4) }, "cba"}, // full to the byte
		{func() { c.get("a") }, "acb"},
		{func() { c.get("x") }, "acb"},
		{func() { c.put("d", 2) }, "dac"},
		{func() { c.put("c", 5) }, "cda"},
		{func() { c.put("e", 11) }, "cda"}, // larger than all, and pushes nobody out
		{func() { c.put("d", 11) }, "ca"},  // and what was there is out of date
		{func() { c.drop("x"); c.drop("c") }, "a"},
		{func() { c.put("f", 10) }, "f"},
		{func() { c.drop("f") }, ""},
	} {
		tt.do()
		got := ""
		for e := c.list.next; e != &c.list; e = e.next {
			got += e.key
		}
		if got != tt.want {
			t.Fatalf("%q is kept, want %q", got, tt.want)
		}
		c.check(t)
	}

	var none *cache[string, int]
	none.put("a", 1)
	none.drop("a")
	if _, ok := none.get("a"); ok {
		t.Error("a nil cache keeps something")
	}
}

// What the caches count is what they take, whatever the records are like and
// however many went through. (Not parallel: it measures the heap.)
func TestCacheCountsRealMemory(t *testing.T) {
	keys, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	const bound = 8 << 20
	long := strings.Repeat("x", 2000) // of which a user ID is a piece, as of a request's header
	for _, tt := range []struct {
		name       string
		users      int
		size, room int // of the data: its length, and the capacity behind it
	}{
		{"filled once", 8000, 1100, 0},
		{"thirty times", 100_000, 1100, 0},
		{"small", 40_000, 100, 0},
		{"just above a size of Go's", 10_000, 1025, 0},
		{"further above", 10_000, 4097, 0},
		{"large", 3000, 16_000, 0},
		{"with room", 10_000, 300, 800},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := heap()
			v, err := Open(memstore.New(), keys, &Options{Cache: bound})
			if err != nil {
				t.Fatal(err)
			}
			for i := range tt.users {
				userID := (fmt.Sprintf("%036d", i) + long)[:36]
				v.cache.put(userID, store.Record{Version: 1, Data: make([]byte, tt.size, tt.size+tt.room)})
				if i < 10_000 { // deriving is slow
					if _, err := v.ring.box(boxName{v.ring.first(), "token: " + long[:7], userID}); err != nil {
						t.Fatal(err)
					}
				}
			}
			took := heap() - before
			v.cache.check(t)
			v.ring.boxes.check(t)
			counted := v.cache.bytes + v.ring.boxes.bytes
			t.Logf("%d records and %d keys: %d bytes, counted as %d", len(v.cache.byKey), len(v.ring.boxes.byKey), took, counted)
			if counted > bound {
				t.Errorf("%d bytes are counted, at most %d may be", counted, bound)
			}
			if took > bound*5/4 || took > counted*5/4 || took < counted*3/4 {
				t.Errorf("%d bytes of memory are counted as %d, bound %d", took, counted, bound)
			}
			runtime.KeepAlive(v)
		})
	}
}

// heap returns the bytes that are in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what the first one freed is swept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestCacheOption(t *testing.T) {
	t.Parallel()
	keys, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ option, want int }{{0, 16 << 20}, {-1, 0}, {4 << 20, 4 << 20}, {1, 0}} {
		v, err := Open(memstore.New(), keys, &Options{Cache: tt.option})
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if v.cache != nil {
			got = v.cache.max + v.ring.boxes.max
		}
		if got != tt.want {
			t.Errorf("Cache %d: %d bytes, want %d", tt.option, got, tt.want)
		}
	}
}
