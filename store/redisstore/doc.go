// Package redisstore keeps sealed accounts in Redis: one server, a primary with
// replicas behind Sentinel, or a Redis Cluster.
//
//	client := redis.NewUniversalClient(&redis.UniversalOptions{
//		Addrs:                 []string{"127.0.0.1:6379"}, // several: a cluster
//		ContextTimeoutEnabled: true,
//	})
//	st, err := redisstore.Open(ctx, client, nil)
//	...
//	risks, err := st.Risks(ctx) // settings by which the servers could lose records
//
// Redis 6.0 or later is needed, or a server that speaks as it does. Valkey was not
// tried.
//
// # Durability
//
// A record that Redis loses is a user who has set up nothing, and a save that it
// forgets is a code that passes again. As it is shipped, Redis does both. Set
//
//	appendonly yes
//	appendfsync always
//	maxmemory-policy noeviction
//
// and let [Store.Risks] look at every server when the program starts. With
// appendfsync everysec a crash forgets a second. With a policy for all keys (allkeys-lru
// and its like) a full server deletes records; with noeviction it refuses saves,
// and nobody signs in until there is room.
//
// Replication of Redis is asynchronous: a primary that fails over takes along the
// saves that no replica had, though they were acknowledged. What such a save
// spent (a code, a counter of failures) is unspent again, and a unique key whose
// hold is lost can get a second owner. Where that is too much, take an SQL database
// with synchronous replicas.
//
// Reads go to primaries alone. [Open] refuses a cluster client that reads from
// replicas, and a [redis.Ring], which answers from another server when the right one
// is away, and a client with a cache of its own. A client of Sentinel with
// ReplicaOnly, a wrapper and a hook look like any other: give none that answers
// from a replica or from memory. A primary that the others do not see any more
// goes on answering until it notices; min-replicas-to-write shortens that.
//
// # The client
//
// Without ContextTimeoutEnabled a call does not end with its context but with the
// client's own timeouts, after its own retries. It makes the client follow
// deadlines; a call whose context is cancelled before its deadline, or has none,
// ends after ReadTimeout. A command that was sent again is
// recognised: the vault finds its own save. Give the store a pool of its own, or
// one that is large enough: a call waits for a connection for PoolTimeout.
//
// # What is stored
//
// With the default prefix, for each user
//
//	mfa:{2af}r:USER   the record: eight bytes of version, and sealed data
//	mfa:{2af}k:USER   a hash of the unique keys that the user owns; not for users without any
//	mfa:{2af}a:USER   while keys are being claimed, for at most 30 seconds
//	mfa:{2af}u        the user IDs of one of 1024 buckets, in a sorted set
//
// and for each unique key
//
//	mfa:k:KEY         who holds it
//
// USER and KEY are base64url, so that no byte of an ID is taken for a separator. The
// bucket in braces is a hash of the ID, so that all of one user lies in one slot of
// a cluster. Nothing but an attempt to claim expires.
//
// A load is one GET. A change that claims no key is one script on one slot, and so
// one round trip, and what the script found decides; where a record is there before
// and after, the script has one key, and goes on while a cluster moves its slot. A change that claims keys
// takes three steps, because a key lies in another slot than its user; file
// claims.go tells how they cannot come apart. In short: a key belongs to who
// lists it, and to list it takes an attempt that is still alive. A program that
// is killed in the middle blocks the key for half a minute at most, by the
// server's clock. Somebody else who claims it at the same moment is told that it
// is taken; [Store.Owner] names owners alone.
//
// # Security
//
// Data is sealed by the vault before it arrives. Who can write to Redis cannot forge
// a record, nor move one to another user, but can delete it or put an older one
// back. Give the store's prefix to the application's user alone (an ACL of
// ~mfa:* and its commands: GET, SETNX, EVAL, EVALSHA, ZRANGEBYLEX and what scripts
// call; CLUSTER SLOTS and ASKING for a cluster; CONFIG GET and INFO for Risks).
//
// # Concurrency
//
// A [Store] may be used from many goroutines, and many processes may use the same
// prefix.
//
// # Compatibility
//
// The layout has a version. A program that finds a newer one than it knows fails to
// open with [store.ErrSchema].
package redisstore
