package sqlstore

// The store: one conditional statement per change, and its affected rows.

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/seed-f4994bf1/mfa/store"
)

var (
	_ store.Store  = (*Store)(nil)
	_ store.Lister = (*Store)(nil)
)

// maxPage bounds what UserIDs reads at once, whatever the caller's limit.
const maxPage = 1000

// Options adjust a store. A nil *Options is the zero value.
type Options struct {
	// Prefix begins the tables' names: 1 to 40 lower-case ASCII letters, digits
	// and underscores, not a digit first, and not "sqlite_". Zero: "mfa_".
	Prefix string

	// NoMigrate lets Open only check the schema, and fail with
	// [store.ErrSchema] if it is missing or old. Zero: Open creates and
	// upgrades. [Migrate] and [Schema] do not look at it.
	NoMigrate bool

	// Unprepared sends the text of a statement with each call, for a pooler
	// between here and the database that keeps no prepared statements. That is
	// still one round trip with default_query_exec_mode=exec of pgx, without which
	// pgx prepares by itself, and with interpolateParams=true of
	// go-sql-driver/mysql; otherwise it is two. Zero: statements are prepared
	// once on each connection.
	Unprepared bool
}

// prefix returns the checked table prefix. It is the only part of an SQL text
// that comes from outside.
func (o *Options) prefix() (string, error) {
	if o == nil || o.Prefix == "" {
		return "mfa_", nil
	}
	valid := len(o.Prefix) <= 40 && !(len(o.Prefix) >= 7 && o.Prefix[:7] == "sqlite_")
	for i, c := range []byte(o.Prefix) {
		valid = valid && (c >= 'a' && c <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9')
	}
	if !valid {
		return "", fmt.Errorf("%w: table prefix", store.ErrArgument)
	}
	return o.Prefix, nil
}

// A Store keeps records in three tables of an SQL database. It may be used from
// many goroutines at once.
type Store struct {
	db        *sql.DB
	isolation sql.IsolationLevel
	closed    atomic.Bool

	load, create, update, remove, owner, claim, release, list statement
}

// A statement is a text, prepared unless Options.Unprepared is set.
type statement struct {
	text     string
	prepared *sql.Stmt
}

// Open returns a store on db, after it has created or upgraded its tables (see
// Options.NoMigrate). It does not change the settings of db; see the package
// documentation for those that it relies on. opts may be nil.
//
// Errors: [store.ErrArgument] for a nil db, an unknown dialect or a bad prefix;
// [store.ErrSchema] if the tables were made by a newer version, are incomplete,
// or may not be made; [store.ErrUnavailable] if the database fails, after trying
// again for up to a second. One that hangs is waited for to the end of ctx.
func Open(ctx context.Context, db *sql.DB, dialect Dialect, opts *Options) (*Store, error) {
	t, err := textsOf(dialect, opts)
	if err != nil {
		return nil, err
	}
	if db == nil {
		return nil, fmt.Errorf("%w: no database", store.ErrArgument)
	}
	prepare := t.migrate
	if opts != nil && opts.NoMigrate {
		prepare = t.ready
	}
	if err := patiently(ctx, db, prepare); err != nil {
		return nil, err
	}
	s := &Store{
		db: db, isolation: t.isolation,
		load: statement{text: t.load}, create: statement{text: t.create}, update: statement{text: t.update}, remove: statement{text: t.remove},
		owner: statement{text: t.owner}, claim: statement{text: t.claim}, release: statement{text: t.release}, list: statement{text: t.list},
	}
	if opts != nil && opts.Unprepared {
		return s, nil
	}
	for _, st := range s.statements() {
		if st.prepared, err = db.PrepareContext(ctx, st.text); err != nil {
			s.Close() // what is prepared so far; the first error is the one to tell
			return nil, failed(ctx, "prepare", err)
		}
	}
	return s, nil
}

func (s *Store) statements() []*statement {
	return []*statement{&s.load, &s.create, &s.update, &s.remove, &s.owner, &s.claim, &s.release, &s.list}
}

// Close releases the prepared statements, after which every call fails with
// [store.ErrUnavailable]. It does not close the pool. Closing twice is no error.
func (s *Store) Close() error {
	s.closed.Store(true)
	var errs []error
	for _, st := range s.statements() {
		if st.prepared != nil {
			errs = append(errs, st.prepared.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return failed(context.Background(), "close", err)
	}
	return nil
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, userID string) (store.Record, error) {
	if err := store.CheckUserID(userID); err != nil {
		return store.Record{}, err
	}
	var r store.Record
	if err := s.row(ctx, nil, "load", &s.load, []byte(userID), &r.Version, &r.Data); err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// Owner implements [store.Store].
func (s *Store) Owner(ctx context.Context, key string) (string, error) {
	if err := store.CheckKey(key); err != nil {
		return "", err
	}
	return s.ownerOf(ctx, nil, key)
}

// ownerOf asks for the owner of a key, in tx if that is not nil.
func (s *Store) ownerOf(ctx context.Context, tx *sql.Tx, key string) (string, error) {
	var userID []byte
	if err := s.row(ctx, tx, "owner", &s.owner, []byte(key), &userID); err != nil {
		return "", err
	}
	return string(userID), nil
}

// Apply implements [store.Store]. Without keys it is a single statement.
func (s *Store) Apply(ctx context.Context, c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if len(c.Claim)+len(c.Release) == 0 {
		return s.swap(ctx, nil, c)
	}
	if s.closed.Load() { // before a transaction prepares the statements again
		return failed(ctx, "begin", errClosed)
	}
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: s.isolation})
	if err != nil {
		return failed(ctx, "begin", err)
	}
	defer tx.Rollback() // without effect after the commit
	if err := s.swap(ctx, tx, c); err != nil {
		return err
	}
	if err := s.moveKeys(ctx, tx, c); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return failed(ctx, "commit", err)
	}
	return nil
}

// swap changes the record by one conditional statement, in tx if that is not
// nil. In a transaction it comes first: it is a write, which takes SQLite's
// lock in good order, and it says ErrConflict before any key is looked at.
func (s *Store) swap(ctx context.Context, tx *sql.Tx, c store.Change) error {
	id, data := []byte(c.UserID), c.Data
	if data == nil {
		data = []byte{} // nil would be NULL
	}
	var n int64
	var err error
	switch {
	case c.Old == 0:
		n, err = s.exec(ctx, tx, "create", &s.create, id, c.New, data)
	case c.New == 0:
		n, err = s.exec(ctx, tx, "delete", &s.remove, id, c.Old)
	default:
		n, err = s.exec(ctx, tx, "update", &s.update, c.New, data, id, c.Old)
	}
	if err == nil && n == 0 {
		return store.ErrConflict
	}
	return err
}

// moveKeys releases and claims the keys of c, in the order of their bytes so
// that two transactions never wait for each other.
func (s *Store) moveKeys(ctx context.Context, tx *sql.Tx, c store.Change) error {
	type move struct {
		key   string
		claim bool
	}
	var moves []move
	for _, key := range c.Release {
		moves = append(moves, move{key, false})
	}
	for _, key := range c.Claim {
		moves = append(moves, move{key, true})
	}
	slices.SortFunc(moves, func(a, b move) int { return cmp.Compare(a.key, b.key) })

	id := []byte(c.UserID)
	for _, m := range moves {
		if !m.claim {
			if _, err := s.exec(ctx, tx, "release", &s.release, []byte(m.key), id); err != nil {
				return err
			}
			continue
		}
		n, err := s.exec(ctx, tx, "claim", &s.claim, []byte(m.key), id)
		if err != nil {
			return err
		}
		if n == 1 {
			continue
		}
		// The key has an owner. It stays this user's, if it is, until the end
		// of this transaction: only a change of the record that is swapped
		// above could release it.
		switch owner, err := s.ownerOf(ctx, tx, m.key); {
		case err == nil && owner == c.UserID:
		case err == nil || errors.Is(err, store.ErrNotFound): // released since: it was taken all the same
			return store.ErrKeyTaken
		default:
			return err
		}
	}
	return nil
}

// UserIDs implements [store.Lister]. The cursor is the last user ID of the page
// before. limit is at least 1; a page holds at most 1000 users.
func (s *Store) UserIDs(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("%w: a page of %d users", store.ErrArgument, limit)
	}
	limit = min(limit, maxPage)
	rows, err := s.query(ctx, nil, &s.list, []byte(cursor), limit+1) // one more tells whether there is a next page
	if err != nil {
		return nil, "", failed(ctx, "list", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, "", failed(ctx, "list", err)
		}
		ids = append(ids, string(id))
	}
	if err := rows.Err(); err != nil {
		return nil, "", failed(ctx, "list", err)
	}
	if len(ids) > limit {
		ids = ids[:limit]
		next = ids[limit-1]
	}
	return ids, next, nil
}

var errClosed = errors.New("the store is closed")

// exec runs a statement, in tx if that is not nil, and returns the number of
// rows it affected.
func (s *Store) exec(ctx context.Context, tx *sql.Tx, what string, st *statement, args ...any) (int64, error) {
	var res sql.Result
	var err error
	switch {
	case s.closed.Load():
		err = errClosed
	case tx != nil && st.prepared != nil:
		res, err = tx.StmtContext(ctx, st.prepared).ExecContext(ctx, args...)
	case tx != nil:
		res, err = tx.ExecContext(ctx, st.text, args...)
	case st.prepared != nil:
		res, err = st.prepared.ExecContext(ctx, args...)
	default:
		res, err = s.db.ExecContext(ctx, st.text, args...)
	}
	if err != nil {
		return 0, failed(ctx, what, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, failed(ctx, what, err)
	}
	return n, nil
}

// query runs a statement that returns rows, in tx if that is not nil.
func (s *Store) query(ctx context.Context, tx *sql.Tx, st *statement, args ...any) (*sql.Rows, error) {
	switch {
	case s.closed.Load():
		return nil, errClosed
	case tx != nil && st.prepared != nil:
		return tx.StmtContext(ctx, st.prepared).QueryContext(ctx, args...)
	case tx != nil:
		return tx.QueryContext(ctx, st.text, args...)
	case st.prepared != nil:
		return st.prepared.QueryContext(ctx, args...)
	default:
		return s.db.QueryContext(ctx, st.text, args...)
	}
}

// row asks for the one row under an ID. No row is ErrNotFound, unless the
// context has ended and may have been the reason.
func (s *Store) row(ctx context.Context, tx *sql.Tx, what string, st *statement, id []byte, into ...any) error {
	rows, err := s.query(ctx, tx, st, id)
	if err != nil {
		return failed(ctx, what, err)
	}
	defer rows.Close()
	found := rows.Next()
	if found {
		err = rows.Scan(into...)
	}
	if err = errors.Join(err, rows.Close(), rows.Err()); err != nil {
		return failed(ctx, what, err)
	}
	switch {
	case found:
		return nil
	case ctx.Err() != nil:
		return failed(ctx, what, ctx.Err())
	}
	return store.ErrNotFound
}

// failed wraps an error of the driver with ErrUnavailable, and with the
// context's error where the driver tells its end in words of its own.
func failed(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %s: %w: %w", store.ErrUnavailable, what, ended, err)
	}
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, what, err)
}
