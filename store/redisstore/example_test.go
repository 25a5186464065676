package redisstore_test

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
)

// A store on Redis, with a warning for each setting that can lose records.
func Example() {
	ctx := context.Background()
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 []string{"127.0.0.1:6379"},
		ContextTimeoutEnabled: true,
	})
	defer client.Close()
	st, err := redisstore.Open(ctx, client, nil)
	if err != nil {
		log.Fatal(err)
	}
	risks, err := st.Risks(ctx)
	if err != nil {
		log.Print(err) // the server does not tell its settings
	}
	for _, r := range risks {
		log.Print(r)
	}
	var accounts store.Store = st // for vault.Open
	_ = accounts
}
