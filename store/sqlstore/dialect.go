// Dialects: every SQL text of this package, per database.
package sqlstore

import (
	"fmt"
	"strings"

	"github.com/seed-f4994bf1/mfa/store"
)

// A Dialect says which database the pool speaks to. The zero value is none.
type Dialect uint8

// The dialects.
const (
	SQLite Dialect = iota + 1 // SQLite 3.37 or later, through any driver
)

// texts are the statements of one dialect with the tables' names in place. What
// stands behind each is its arguments, in the same order in every dialect. The
// rows that create, update, remove and claim affect are 1 or 0, and decide.
type texts struct {
	load    string // user ID -> version, data
	create  string // user ID, version, data; affects no row if the user has one
	update  string // new version, data, user ID, old version
	remove  string // user ID, old version
	owner   string // key -> user ID
	claim   string // key, user ID; affects no row if the key has an owner
	release string // key, user ID
	list    string // user ID, limit -> user IDs above it, in the order of their bytes

	// The schema, in the order in which Migrate uses the texts. Every text of
	// setup runs by itself and does no harm when it runs again; the
	// others run in one transaction of which lock is the first statement, so
	// that of two processes one waits for the other.
	tables  string     // -> how many of {schema} and of all tables there are
	version string     // -> the schema's version; no row is version 0
	setup   []string   // creates {schema}
	lock    string     // takes a lock until the end of the transaction
	steps   [][]string // steps[i] leads from version i to version i+1
	mark    string     // with %d for the version that steps have led to
}

// textsOf returns the statements of a dialect.
func textsOf(d Dialect, opts *Options) (*texts, error) {
	prefix, err := opts.prefix()
	if err != nil {
		return nil, err
	}
	record, claim, schema := prefix+"record", prefix+"claim", prefix+"schema"
	switch d {
	case SQLite:
		return sqlite(record, claim, schema), nil
	default:
		return nil, fmt.Errorf("%w: no such dialect", store.ErrArgument)
	}
}

// sqlite returns the statements of SQLite.
//
// Records lie in an ordinary table: a row of a kilobyte fits its pages, and
// those of a table without row IDs only up to about a quarter of one. The
// index on the user ID is not touched by a save.
func sqlite(record, claim, schema string) *texts {
	return &texts{
		load:    `SELECT version, data FROM ` + record + ` WHERE user_id = ?`,
		create:  `INSERT INTO ` + record + ` (user_id, version, data) VALUES (?, ?, ?) ON CONFLICT (user_id) DO NOTHING`,
		update:  `UPDATE ` + record + ` SET version = ?, data = ? WHERE user_id = ? AND version = ?`,
		remove:  `DELETE FROM ` + record + ` WHERE user_id = ? AND version = ?`,
		owner:   `SELECT user_id FROM ` + claim + ` WHERE claim_key = ?`,
		claim:   `INSERT INTO ` + claim + ` (claim_key, user_id) VALUES (?, ?) ON CONFLICT (claim_key) DO NOTHING`,
		release: `DELETE FROM ` + claim + ` WHERE claim_key = ? AND user_id = ?`,
		list:    `SELECT user_id FROM ` + record + ` WHERE user_id > ? ORDER BY user_id LIMIT ?`,

		tables: `SELECT count(CASE name WHEN '` + schema + `' THEN 1 END), count(*) FROM sqlite_master` +
			` WHERE type = 'table' AND name IN ('` + schema + `', '` + record + `', '` + claim + `')`,
		version: `SELECT version FROM ` + schema + ` WHERE id = 1`,
		setup: []string{
			`CREATE TABLE IF NOT EXISTS ` + schema + ` (
	id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
) STRICT`,
		},
		// A write, also where it changes nothing: a transaction that read first
		// could not become a writer while another process is one.
		lock: `INSERT INTO ` + schema + ` (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING`,
		steps: [][]string{
			{
				`CREATE TABLE ` + record + ` (
	user_id BLOB NOT NULL PRIMARY KEY,
	version INTEGER NOT NULL CHECK (version > 0),
	data BLOB NOT NULL
) STRICT`,
				`CREATE TABLE ` + claim + ` (
	claim_key BLOB NOT NULL PRIMARY KEY,
	user_id BLOB NOT NULL
) STRICT, WITHOUT ROWID`,
			},
		},
		mark: `UPDATE ` + schema + ` SET version = %d WHERE id = 1`,
	}
}

// latest is the schema version that this package knows.
func (t *texts) latest() int64 { return int64(len(t.steps)) }

// marked returns the statement that records the latest version.
func (t *texts) marked() string { return fmt.Sprintf(t.mark, t.latest()) }

// schema returns the whole schema as a script.
func (t *texts) schema() string {
	var b strings.Builder
	write := func(text string) { b.WriteString(text + ";\n") }
	for _, text := range t.setup {
		write(text)
	}
	write(t.lock)
	for _, step := range t.steps {
		for _, text := range step {
			write(text)
		}
	}
	write(t.marked())
	return b.String()
}
