package vault

import (
	"container/list"
	"sync"
)

// A cache keeps what was seen last: sealed records, for the first try of an
// Update, and derived keys. A nil cache keeps nothing.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	max   int
	order *list.List // of *cached, most recent first
	byKey map[K]*list.Element
}

type cached[K comparable, V any] struct {
	key   K
	value V
}

func newCache[K comparable, V any](max int) *cache[K, V] {
	return &cache[K, V]{max: max, order: list.New(), byKey: map[K]*list.Element{}}
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
	c.order.MoveToFront(e)
	return e.Value.(*cached[K, V]).value, true
}

func (c *cache[K, V]) put(key K, value V) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		e.Value.(*cached[K, V]).value = value
		c.order.MoveToFront(e)
		return
	}
	c.byKey[key] = c.order.PushFront(&cached[K, V]{key, value})
	if c.order.Len() > c.max {
		last := c.order.Back()
		delete(c.byKey, last.Value.(*cached[K, V]).key)
		c.order.Remove(last)
	}
}

func (c *cache[K, V]) drop(key K) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		delete(c.byKey, key)
		c.order.Remove(e)
	}
}
