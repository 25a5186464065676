package vault

import "sync"

// A cache keeps what was seen last, in so many bytes of memory: sealed
// records, for the first try of an Update, and derived keys. A nil cache keeps
// nothing.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	max   int
	bytes int
	cost  func(K, V) int // bytes of memory that an entry takes, all in all
	own   func(K) K      // a copy: a key may be a piece of a long text, which it would keep alive
	byKey map[K]*entry[K, V]
	list  entry[K, V] // no entry: its next was used last, its prev longest ago
}

type entry[K comparable, V any] struct {
	key        K
	value      V
	cost       int
	prev, next *entry[K, V]
}

func newCache[K comparable, V any](max int, cost func(K, V) int, own func(K) K) *cache[K, V] {
	c := &cache[K, V]{max: max, cost: cost, own: own, byKey: map[K]*entry[K, V]{}}
	c.list.prev, c.list.next = &c.list, &c.list
	return c
}

func (c *cache[K, V]) get(key K) (value V, ok bool) {
	if c == nil {
		return value, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return value, false
	}
	c.unlink(e)
	c.link(e)
	return e.value, true
}

// put keeps the value, in place of what is least used. One that is larger than
// the whole cache is not kept, nor is what was there under its key.
func (c *cache[K, V]) put(key K, value V) {
	if c == nil {
		return
	}
	cost := c.cost(key, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e != nil {
		c.remove(e)
	}
	if cost > c.max {
		return
	}
	for c.bytes+cost > c.max {
		c.remove(c.list.prev)
	}
	if e == nil {
		e = &entry[K, V]{key: c.own(key)}
	}
	e.value, e.cost = value, cost
	c.byKey[e.key] = e
	c.bytes += cost
	c.link(e)
}

func (c *cache[K, V]) drop(key K) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.remove(e)
	}
}

func (c *cache[K, V]) remove(e *entry[K, V]) {
	delete(c.byKey, e.key)
	c.bytes -= e.cost
	c.unlink(e)
}

func (c *cache[K, V]) link(e *entry[K, V]) {
	e.prev, e.next = &c.list, c.list.next
	e.prev.next, e.next.prev = e, e
}

func (c *cache[K, V]) unlink(e *entry[K, V]) {
	e.prev.next, e.next.prev = e.next, e.prev
}
