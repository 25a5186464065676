// Bytes of a record and of a unique key, by the layouts of the servers.
package scale

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
)

const idSize = 36 // of a UUID as text

// A layout computes bytes from those of a sealed record.
type layout struct {
	name   string
	record func(sealed int) float64 // with its share of pages and index
	claim  func() float64
	save   func(sealed int) float64 // what the log takes
	first  func(sealed int) float64 // and where a save is the first on its page since a checkpoint
}

// loose is how full the pages of an index are in which keys come in no order.
const loose = 0.70

func up(n, to int) int { return (n + to - 1) / to * to }

// pgRow is a row of PostgreSQL with its pointer: the header, the ID with one byte
// of length, the version on 8, and the data with four.
func pgRow(sealed int) int { return up(up(24+1+idSize, 8)+8+4+sealed, 8) + 4 }

// pgRows is how many rows are put into a page at fillfactor 70.
func pgRows(sealed int) float64 { return math.Floor((8192*0.70 - 24) / float64(pgRow(sealed))) }

// pgImage is a page as it goes into the log: used as at first, or full after
// some saves.
func pgImage(sealed int) float64 { return (pgRows(sealed)*float64(pgRow(sealed)) + 8192) / 2 }

func respString(n int) int { return len(fmt.Sprint(n)) + 1 + 2 + n + 2 }

// redisKey is the length of a record's key with the default prefix.
const redisKey = len("mfa:{2af}r:") + (idSize*4+2)/3

// sizeClass is what jemalloc takes for n bytes.
func sizeClass(n int) int {
	if n <= 128 {
		return up(max(n, 8), 16)
	}
	step := 1 << (int(math.Log2(float64(n-1))) - 2)
	return up(n, step)
}

// sds is a string of Redis.
func sds(n int) int {
	header := 3
	switch {
	case n < 32:
		header = 1
	case n >= 256:
		header = 5 // two lengths of two bytes and a flag
	}
	return sizeClass(header + n + 1)
}

const (
	redisEntry = 24 + 8*1.5 // of a dictionary, with its places in the table
	redisValue = 16
)

var layouts = []layout{
	{
		name: "PostgreSQL",
		record: func(sealed int) float64 {
			return 8192/pgRows(sealed) + float64(up(8+1+idSize, 8)+4)/loose
		},
		claim: func() float64 {
			return float64(up(24+33+1+idSize, 8)+4) + float64(up(8+33, 8)+4)/loose
		},
		save:  func(sealed int) float64 { return float64(pgRow(sealed)) + 60 + 40 },
		first: func(sealed int) float64 { return pgImage(sealed) + float64(pgRow(sealed)) + 100 },
	},
	{
		name:   "MariaDB, MySQL",
		record: func(sealed int) float64 { return float64(5+3+idSize+6+7+8+sealed) / loose },
		claim:  func() float64 { return float64(5+1+32+6+7+idSize) / loose },
		save:   func(sealed int) float64 { return float64(2*(idSize+8+sealed+8) + 200) }, // the binary log, with both images of the row
		first:  func(sealed int) float64 { return float64(2*(idSize+8+sealed+8) + 200) },
	},
	{
		name: "Redis",
		record: func(sealed int) float64 {
			// The record, and the ID in the bucket's sorted set: a dictionary's entry and a
			// node with a third more than one level.
			return redisEntry + redisValue + float64(sds(redisKey)+sds(8+sealed)) +
				redisEntry + float64(sds(idSize)) + 24 + 16*1.33
		},
		claim: func() float64 {
			// The holder, and half of a user's hash of two keys in a listpack.
			return redisEntry + redisValue + float64(sds(len("mfa:k:")+43)+sds(40+idSize)) +
				(redisEntry+redisValue+float64(sds(redisKey)+sizeClass(7+2*(34+42))))/2
		},
		save:  func(sealed int) float64 { return redisSave(sealed) },
		first: func(sealed int) float64 { return redisSave(sealed) },
	},
}

// redisSave is SET with the record, as it is appended.
func redisSave(sealed int) float64 {
	return float64(len("*3\r\n$3\r\nSET\r\n") + 1 + respString(redisKey) + 1 + respString(8+sealed))
}

// What is computed is near what servers take.
func TestLayouts(t *testing.T) {
	const n, sealed = 3000, 1000
	near := func(t *testing.T, what string, got, want, within float64) {
		t.Helper()
		t.Logf("%s: %.0f bytes, computed %.0f", what, got, want)
		if math.Abs(got/want-1) > within {
			t.Errorf("%s: %.0f bytes, computed %.0f", what, got, want)
		}
	}
	data := func(i, round int) []byte { return draw(i, uint64(20+round)).bytes(sealed) }
	fill := func(t *testing.T, st store.Store) {
		for i := range n {
			must(t, st.Apply(t.Context(), store.Change{UserID: userID(i), New: 1, Data: data(i, 0)}))
		}
	}
	swap := func(t *testing.T, st store.Store, round int) {
		for i := range n {
			must(t, st.Apply(t.Context(), store.Change{UserID: userID(i), Old: int64(round), New: int64(round + 1), Data: data(i, round)}))
		}
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		server := servers.New(t, servers.PostgreSQL)
		st, err := servers.Open(t.Context(), server.URL(t))
		must(t, err)
		defer st.Close()
		number := func(text string) (f float64) {
			t.Helper()
			must(t, st.DB.QueryRow(text).Scan(&f))
			return f
		}
		owner, err := sql.Open("pgx", "postgres://postgres@"+server.Addrs()[0]+"/mfa?sslmode=disable")
		must(t, err)
		defer owner.Close()
		fill(t, st)
		near(t, "a record", number("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 't%_record'")/n, layouts[0].record(sealed), 0.10)
		lsn := func() float64 { return number("SELECT pg_current_wal_insert_lsn() - '0/0'") }
		_, err = owner.Exec("CHECKPOINT")
		must(t, err)
		before := lsn()
		swap(t, st, 1)
		pages := math.Ceil(n / pgRows(sealed))
		near(t, "a save after a checkpoint", (lsn()-before)/n, layouts[0].save(sealed)+pages/n*pgImage(sealed), 0.30)
		before = lsn()
		swap(t, st, 2)
		near(t, "a save", (lsn()-before)/n, layouts[0].save(sealed), 0.30)
	})
	t.Run("MariaDB", func(t *testing.T) {
		st, err := servers.Open(t.Context(), servers.New(t, servers.MariaDB).URL(t))
		must(t, err)
		defer st.Close()
		fill(t, st)
		var table string
		must(t, st.DB.QueryRow("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE '%record'").Scan(&table))
		_, err = st.DB.Exec("ANALYZE TABLE " + table)
		must(t, err)
		var bytes float64
		must(t, st.DB.QueryRow("SELECT DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?", table).Scan(&bytes))
		// Tables grow by extents of 64 pages: here one is a fifth of the whole.
		near(t, "a record", bytes/n, layouts[1].record(sealed), 0.35)
	})
	t.Run("Redis", func(t *testing.T) {
		st, err := servers.Open(t.Context(), servers.New(t, servers.Redis).URL(t))
		must(t, err)
		defer st.Close()
		before := told(t, st.Client, "memory", "used_memory")
		fill(t, st)
		// Other keys are longer here by the prefix of the test; sets are small, and have no skiplist yet.
		near(t, "a record", (told(t, st.Client, "memory", "used_memory")-before)/n, layouts[2].record(sealed), 0.15)
		before = told(t, st.Client, "persistence", "aof_current_size")
		swap(t, st, 1)
		near(t, "a save", (told(t, st.Client, "persistence", "aof_current_size")-before)/n, layouts[2].save(sealed), 0.10)
	})
}

// told is a number of INFO.
func told(t *testing.T, client redis.UniversalClient, section, name string) (n float64) {
	t.Helper()
	info := client.InfoMap(context.Background(), section)
	must(t, info.Err())
	for _, fields := range info.Val() {
		if text, ok := fields[name]; ok {
			_, err := fmt.Sscan(text, &n)
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s in INFO %s", name, section)
	return 0
}
