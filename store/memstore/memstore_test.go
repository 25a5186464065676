// Tests of the memory store: the conformance suite, and what is its own.
package memstore_test

import (
	"errors"
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
}

func TestZeroValue(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return new(memstore.Store) })
}

// A shared store, full of other subtests' leftovers, conforms as well: that is
// how a suite may be run on a database that is costly to set up.
func TestConformanceShared(t *testing.T) {
	t.Parallel()
	shared := memstore.New()
	storetest.Run(t, func(*testing.T) store.Store { return shared })
}

func TestPageOfNone(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, -1} {
		if _, _, err := memstore.New().UserIDs(t.Context(), "", limit); !errors.Is(err, store.ErrArgument) {
			t.Errorf("UserIDs with limit %d = %v, want ErrArgument", limit, err)
		}
	}
}
