package sqlstore

// The schema: what Open, Migrate and Schema do with the tables.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// Schema returns, as a script, the statements that Open runs in an empty
// database, for a migration tool. opts may be nil. It fails with
// [store.ErrArgument] for an unknown dialect or a bad prefix.
func Schema(dialect Dialect, opts *Options) (string, error) {
	t, err := textsOf(dialect, opts)
	if err != nil {
		return "", err
	}
	return t.schema(), nil
}

// Migrate creates the tables or upgrades them. It may run in several processes
// at once, and when there is nothing to do it only reads. opts may be nil.
// Errors are those of [Open].
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect, opts *Options) error {
	t, err := textsOf(dialect, opts)
	if err != nil {
		return err
	}
	if db == nil {
		return fmt.Errorf("%w: no database", store.ErrArgument)
	}
	return patiently(ctx, db, t.migrate)
}

// patiently calls do until it answers, for a second at most. While one process
// creates an SQLite file and switches it to WAL another that opens it is refused
// without waiting for the busy timeout, and a server may still be starting. do
// can run again after any failure.
func patiently(ctx context.Context, db *sql.DB, do func(context.Context, *sql.DB) error) error {
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		err := do(ctx, db)
		if !errors.Is(err, store.ErrUnavailable) || pause > 500*time.Millisecond {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// migrate brings the schema to the latest version.
func (t *texts) migrate(ctx context.Context, db *sql.DB) error {
	version, err := t.found(ctx, db)
	if err != nil || version == t.latest() {
		return err
	}
	if err := run(ctx, db, t.setup...); err != nil {
		return err
	}
	if t.lock == "" {
		return t.climb(ctx, db, version)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: t.isolation})
	if err != nil {
		return failed(ctx, "migrate", err)
	}
	defer tx.Rollback() // without effect after the commit
	if err := run(ctx, tx, t.lock); err != nil {
		return err
	}
	// Another process may have done it in the meantime.
	version, err = t.found(ctx, tx)
	if err != nil || version == t.latest() {
		return err
	}
	if err := t.climb(ctx, tx, version); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return failed(ctx, "migrate", err)
	}
	return nil
}

// climb takes the steps from a version to the latest, and says so.
func (t *texts) climb(ctx context.Context, db queryer, version int64) error {
	for _, step := range t.steps[version:] {
		if err := run(ctx, db, step...); err != nil {
			return err
		}
	}
	return run(ctx, db, t.marked())
}

func run(ctx context.Context, db queryer, texts ...string) error {
	for _, text := range texts {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return failed(ctx, "migrate", err)
		}
	}
	return nil
}

// ready returns nil if the schema is the latest.
func (t *texts) ready(ctx context.Context, db *sql.DB) error {
	version, err := t.found(ctx, db)
	if err == nil && version < t.latest() {
		return fmt.Errorf("%w: version %d of the tables, needed is %d", store.ErrSchema, version, t.latest())
	}
	return err
}

// found returns the version of the schema that is there, 0 for none. A version
// that is unknown or does not fit the tables is an error: creating a missing
// table anew would read as users who have set up nothing.
func (t *texts) found(ctx context.Context, db queryer) (int64, error) {
	version, fits, err := t.look(ctx, db)
	if err == nil && !fits {
		// Another process may have committed the tables between our two
		// queries. It does so once.
		version, fits, err = t.look(ctx, db)
	}
	switch {
	case err != nil:
		return 0, err
	case version < 0 || version > t.latest():
		return 0, fmt.Errorf("%w: version %d of the tables, known is %d", store.ErrSchema, version, t.latest())
	case !fits:
		return 0, fmt.Errorf("%w: the tables are not those of their version %d", store.ErrSchema, version)
	}
	return version, nil
}

// look reads the version, and whether the tables that are there fit it: all of
// them, or none but the one that holds the version. Where each table is a commit
// by itself, somebody may have been stopped after some of them: the version
// is the last one, and comes with no record.
func (t *texts) look(ctx context.Context, db queryer) (version int64, fits bool, err error) {
	var schema, tables int64
	if err := db.QueryRowContext(ctx, t.tables).Scan(&schema, &tables); err != nil {
		return 0, false, failed(ctx, "schema", err)
	}
	if schema == 1 {
		err := db.QueryRowContext(ctx, t.version).Scan(&version)
		if err != nil && (!errors.Is(err, sql.ErrNoRows) || ctx.Err() != nil) {
			return 0, false, failed(ctx, "schema", err)
		}
	}
	if version == 0 {
		return 0, tables == schema || t.lock == "" && schema == 1, nil
	}
	return version, tables == 3, nil
}

// A queryer is a pool or a transaction.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
