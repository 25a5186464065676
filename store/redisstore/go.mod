// A store on Redis. A module of its own, so that who keeps accounts elsewhere
// never sees its driver.
module github.com/seed-f4994bf1/mfa/store/redisstore

go 1.26.0

require (
	github.com/redis/go-redis/v9 v9.23.0
	github.com/seed-f4994bf1/mfa v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/seed-f4994bf1/mfa => ../..
