// A driver around SQLite's that writes down what it is asked to do, and fails
// where a test wants it to.
package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
	"testing"
)

// A recorder is a driver.Connector.
type recorder struct {
	name  string
	inner driver.Driver

	mu  sync.Mutex
	ops []string
	// around, if set, does an operation: it calls run, or not, and may fail.
	around func(op string, run func() error) error
}

// open returns a pool of one connection through the recorder.
func (r *recorder) open(t *testing.T, file string) *sql.DB {
	t.Helper()
	r.name, r.inner = dsn(file, recommended), openDB(t, file, recommended).Driver()
	db := sql.OpenDB(r)
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

// take returns what was done since the last take.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := r.ops
	r.ops = nil
	return ops
}

// set sets around.
func (r *recorder) set(around func(op string, run func() error) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.around = around
}

func (r *recorder) do(op string, run func() error) error {
	r.mu.Lock()
	r.ops = append(r.ops, op)
	around := r.around
	r.mu.Unlock()
	if around != nil {
		return around(op, run)
	}
	return run()
}

func (r *recorder) Driver() driver.Driver { return r.inner }

func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	c, err := r.inner.Open(r.name)
	if err != nil {
		return nil, err
	}
	return &recConn{r, c}, nil
}

type recConn struct {
	r *recorder
	driver.Conn
}

func (c *recConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		c.r.mu.Lock()
		c.r.ops = append(c.r.ops, "refused "+query)
		c.r.mu.Unlock()
		return nil, err
	}
	return &recStmt{c.r, query, s}, nil
}

func (c *recConn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	err = c.r.do("begin", func() error {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	return &recTx{c.r, tx}, err
}

func (c *recConn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c *recConn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

type recStmt struct {
	r     *recorder
	query string
	driver.Stmt
}

func (s *recStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	err = s.r.do("exec "+s.query, func() error {
		res, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
		return err
	})
	return &recResult{s.r, res}, err
}

func (s *recStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = s.r.do("query "+s.query, func() error {
		rows, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
		return err
	})
	return rows, err
}

type recResult struct {
	r *recorder
	driver.Result
}

func (s *recResult) RowsAffected() (n int64, err error) {
	s.r.mu.Lock()
	around := s.r.around
	s.r.mu.Unlock()
	run := func() error { n, err = s.Result.RowsAffected(); return err }
	if around == nil {
		err = run()
	} else {
		err = around("affected", run)
	}
	return n, err
}

type recTx struct {
	r *recorder
	driver.Tx
}

// Commit rolls back if the test fails it without running it, as when the
// connection breaks.
func (t *recTx) Commit() error {
	ran := false
	err := t.r.do("commit", func() error { ran = true; return t.Tx.Commit() })
	if !ran {
		t.Tx.Rollback()
	}
	return err
}

func (t *recTx) Rollback() error { return t.r.do("rollback", t.Tx.Rollback) }
