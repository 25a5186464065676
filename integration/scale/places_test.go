// Where a user and a key lie: in a Redis Cluster, by Citus and by Vitess.
package scale

import (
	"crypto/md5"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
)

const (
	buckets = 1024  // of users, as package redisstore has
	slots   = 16384 // of a Redis Cluster
	shards  = 256   // in which hashed shards are counted; fewer are unions of them
)

// A place is where a user lies.
type place struct{ bucket, citus, vitess int }

func placeOf(userID []byte) place {
	h := sha256.Sum256(userID)
	keyspace := md5.Sum(userID) // the vindex binary_md5
	return place{
		bucket: int(binary.BigEndian.Uint16(h[:])) % buckets,
		// Citus cuts the range of signed hashes into equal parts.
		citus:  int(uint32(int32(hashAny(userID)))^1<<31) >> 24,
		vitess: int(keyspace[0]),
	}
}

// slotOf is the slot of a key of Redis: the CRC16 of what stands in braces, or of
// the whole key.
func slotOf(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	return int(crc16(key)) % slots
}

// nodeOf is the node of n that has a slot, where each has as many.
func nodeOf(slot, n int) int { return slot * n / slots }

func bucketSlot(bucket int) int { return slotOf(fmt.Sprintf("mfa:{%03x}u", bucket)) }

// claimSlot is where a unique key lies.
func claimSlot(key []byte) int { return slotOf("mfa:k:" + base64.RawURLEncoding.EncodeToString(key)) }

// crc16 is that of XMODEM: polynomial 1021, beginning with 0.
func crc16(s string) (c uint16) {
	for i := range len(s) {
		c = c<<8 ^ crcTable[byte(c>>8)^s[i]]
	}
	return c
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		table[i] = c
	}
	return table
}()

// hashAny is the hash that PostgreSQL gives to text and bytea, and by which
// Citus distributes them: lookup3 of Bob Jenkins, with its lengths.
func hashAny(k []byte) uint32 {
	a := 0x9e3779b9 + uint32(len(k)) + 3923095
	b, c := a, a
	for ; len(k) >= 12; k = k[12:] {
		a += binary.LittleEndian.Uint32(k)
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		for _, r := range [...]int{4, 6, 8, 16, 19, 4} {
			a -= c
			a ^= bits.RotateLeft32(c, r)
			c += b
			a, b, c = b, c, a
		}
	}
	var rest [12]byte
	copy(rest[:], k)
	a += binary.LittleEndian.Uint32(rest[:])
	b += binary.LittleEndian.Uint32(rest[4:])
	c += binary.LittleEndian.Uint32(rest[8:]) << 8 // the lowest byte is for the length
	for _, r := range [...]int{14, 11, 25, 16, 4, 14, 24} {
		c ^= b
		c -= bits.RotateLeft32(b, r)
		a, b, c = b, c, a
	}
	return b // that of the last round
}

// What is computed is where the store puts things.
func TestBucketsAreThoseOfTheStore(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	st, err := redisstore.Open(t.Context(), client, nil)
	must(t, err)
	for i := range 50 {
		id, key := userID(i), draw(i, 7).bytes(32)
		must(t, st.Apply(t.Context(), store.Change{UserID: id, New: 1, Data: []byte("x"), Claim: []string{string(key)}}))
		bucket := fmt.Sprintf("mfa:{%03x}", placeOf([]byte(id)).bucket)
		for _, name := range []string{bucket + "r:" + base64.RawURLEncoding.EncodeToString([]byte(id)), bucket + "u", "mfa:k:" + base64.RawURLEncoding.EncodeToString(key)} {
			if !server.Exists(name) {
				t.Errorf("no key %s", name)
			}
		}
	}
	for key, want := range map[string]int{"123456789": 0x31c3, "foo": 12182, "{foo}bar": 12182, "x{foo}y{z}": 12182} {
		if got := slotOf(key); got != want {
			t.Errorf("slot of %q: %d, want %d", key, got, want)
		}
	}
}

// Citus distributes by the hash of PostgreSQL, which PostgreSQL tells.
func TestHashIsThatOfPostgreSQL(t *testing.T) {
	db := openDB(t, servers.PostgreSQL)
	for n := range 40 {
		text := strings.Repeat("mfa-", n/4) + "xyz"[:n%4]
		var want int32
		must(t, db.QueryRow("SELECT hashtext($1)", text).Scan(&want))
		if got := int32(hashAny([]byte(text))); got != want {
			t.Errorf("hash of %d bytes: %d, want %d", len(text), got, want)
		}
	}
}

func openDB(t *testing.T, k servers.Kind) *sql.DB {
	t.Helper()
	st, err := servers.Open(t.Context(), servers.New(t, k).URL(t))
	must(t, err)
	t.Cleanup(func() { st.Close() })
	return st.DB
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fold adds up what is counted by fine partitions by coarser ones.
func fold[T int64 | uint32](fine []T, n int, of func(i int) int) []int64 {
	out := make([]int64, n)
	for i, c := range fine {
		out[of(i)] += int64(c)
	}
	return out
}

// skew is the largest over the mean.
func skew(counts []int64) float64 {
	sum := int64(0)
	for _, c := range counts {
		sum += c
	}
	return float64(slices.Max(counts)) * float64(len(counts)) / float64(max(sum, 1))
}
