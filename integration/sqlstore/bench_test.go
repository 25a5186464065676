// Benchmarks of the two calls of a sign-in, with a record of 1 kB.
package sqlstore

import (
	"fmt"
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
)

func BenchmarkLoad(b *testing.B) {
	s := benchStore(b)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Load(b.Context(), fmt.Sprint("user ", i%1000)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := benchStore(b)
	data := make([]byte, 1000)
	at := make([]int64, 1000)
	for i := 0; b.Loop(); i++ {
		u := i % 1000
		c := store.Change{UserID: fmt.Sprint("user ", u), Old: at[u] + 1, New: at[u] + 2, Data: data}
		if err := s.Apply(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		at[u]++
	}
}

// benchStore returns a store with 1000 users at version 1.
func benchStore(b *testing.B) *handle {
	b.Helper()
	s := openFile(b, newFile(b))
	mustExec(b, s.db, "PRAGMA synchronous = OFF")
	for i := range 1000 {
		if err := s.Apply(b.Context(), store.Change{UserID: fmt.Sprint("user ", i), New: 1, Data: make([]byte, 1000)}); err != nil {
			b.Fatal(err)
		}
	}
	mustExec(b, s.db, "PRAGMA synchronous = FULL")
	return s
}
