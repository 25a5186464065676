// Package storetest tests an implementation of [store.Store]: one suite for the
// stores of this library and for those that an application or a third party
// writes.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store {
//			return mystore.New(openTestDatabase(t))
//		})
//	}
//
// A store that passes swaps records as [store.Store] demands, also when many
// writers race, and does not take a failure for an answer. What the suite cannot
// see is durability: pull the plug yourself. Run it with the race detector.
//
// Each check is a subtest whose name stays; a failure names the rule that the
// store broke. The tests of this package hold, for every check, a store
// that is wrong on purpose and fails it.
//
// This package is for tests only.
package storetest

import (
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
)

// A Config says how the suite reaches the store.
type Config struct {
	// Open returns the store for one subtest. It may return a new one or the
	// same each time, also one that holds other records: the suite draws its
	// own user IDs and keys at random. (It leaves its records behind.)
	// Required.
	Open func(t *testing.T) store.Store

	// Again returns a second store on the data of s, which Open returned, with
	// nothing in common but the database, as another process would have. It
	// shows caches and state that a process keeps to itself. nil: those checks
	// are made on s alone, and there is no subtest "processes".
	Again func(t *testing.T, s store.Store) store.Store
}

// Run tests the stores that open returns. It is [RunWith] with open alone.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	RunWith(t, Config{Open: open})
}

// RunWith runs every check as a subtest of t, one after the other. Listing is
// tested if the store is a [store.Lister].
func RunWith(t *testing.T, config Config) {
	t.Helper()
	for _, c := range checks() {
		if c.name == "processes" && config.Again == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			k := &kit{T: t, s: config.Open(t)}
			k.other = k.s
			if config.Again != nil {
				k.other = config.Again(t, k.s)
			}
			c.run(k)
		})
	}
}

type check struct {
	name string
	run  func(*kit)
}

// checks returns the suite in order: a store under construction passes it from
// top to bottom.
func checks() []check {
	return []check{
		// records.go
		{"create", create},
		{"swap", swap},
		{"conflict", conflict},
		{"delete", remove},
		{"stale", stale},
		{"versions", versions},
		{"users", users},
		{"isolation", isolation},
		{"data", data},
		{"bounds", bounds},
		{"aliasing", aliasing},
		// keys.go
		{"claim", claim},
		{"release", release},
		{"key-bytes", keyBytes},
		{"all-or-nothing", allOrNothing},
		{"precedence", precedence},
		// failures.go
		{"cancelled", cancelled},
		{"interrupted", interrupted},
		{"error-text", errorText},
		// races.go
		{"processes", processes},
		{"visible", visible},
		{"race-swap", raceSwap},
		{"race-create", raceCreate},
		{"race-claim", raceClaim},
		// list.go
		{"list", list},
	}
}
