// The example of the package documentation.
package storetest_test

import (
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/store/storetest"
)

// A test of a store, in a file that ends in _test.go.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestStore(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			return memstore.New() // your store
		})
	}
}
