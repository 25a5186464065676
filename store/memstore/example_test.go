// The example of the package documentation.
package memstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
)

func Example() {
	ctx := context.Background()
	st := memstore.New()

	// The vault draws versions at random; here they are easy to read.
	fmt.Println(st.Apply(ctx, store.Change{UserID: "u1", New: 71, Data: []byte("sealed")}))

	// Two writers saw version 71: one of them wins.
	fmt.Println(st.Apply(ctx, store.Change{UserID: "u1", Old: 71, New: 29, Data: []byte("first")}))
	err := st.Apply(ctx, store.Change{UserID: "u1", Old: 71, New: 54, Data: []byte("second")})
	fmt.Println(errors.Is(err, store.ErrConflict))

	record, err := st.Load(ctx, "u1")
	fmt.Println(record.Version, string(record.Data), err)
	// Output:
	// <nil>
	// <nil>
	// true
	// 29 first <nil>
}
