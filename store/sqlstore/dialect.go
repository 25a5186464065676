package sqlstore

// Dialects: what a database has to be asked, each in a file of its own.

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/seed-f4994bf1/mfa/store"
)

// A Dialect says which database the pool speaks to. The zero value is none.
type Dialect uint8

// The dialects.
const (
	SQLite     Dialect = iota + 1 // SQLite 3.37 or later, through any driver
	PostgreSQL                    // PostgreSQL 12 or later
	MySQL                         // MySQL 8.0 or later, MariaDB 10.6 or later
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

	isolation sql.IsolationLevel // of a change with keys; the default's, unless another one is needed

	// The schema. Every text of setup runs by itself and does no harm when it
	// runs again. The others run in one transaction, of which lock is the first
	// statement, so that of two processes one waits for the other. Where a
	// database commits each change of its tables by itself, lock is "", and no
	// text does harm when it runs again, or in two processes at once.
	tables  string     // -> how many of {schema} and of all tables there are
	version string     // -> the schema's version; no row is version 0
	setup   []string   // makes {schema} ready to be locked
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
	case PostgreSQL:
		return postgreSQL(record, claim, schema), nil
	case MySQL:
		return mySQL(record, claim, schema), nil
	default:
		return nil, fmt.Errorf("%w: no such dialect", store.ErrArgument)
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
	for _, step := range t.steps {
		for _, text := range step {
			write(text)
		}
	}
	write(t.marked())
	return b.String()
}
