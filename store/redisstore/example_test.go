package redisstore_test

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/store/redisstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A vault over Redis, with a warning for each setting that can lose records.
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
	v, err := vault.Open(st, vault.Keys("k1:..."), nil)
	_, _ = v, err
}
