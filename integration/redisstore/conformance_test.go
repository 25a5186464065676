// The conformance suite on every kind of server.
package redisstore

import (
	"testing"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *servers.Server) {
		address := server.URL(t)
		storetest.RunWith(t, storetest.Config{
			Open:  func(t *testing.T) store.Store { return open(t, address) },
			Again: func(t *testing.T, _ store.Store) store.Store { return open(t, address) },
		})
	})
}
