package sqlstore

// What attacks on the store have found, on PostgreSQL: tables in two schemas, and
// poolers that forget prepared statements.

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// Tables that a search path finds in two schemas are no set: one of them is another
// program's, and in it nobody has set up anything.
func TestTwoSchemas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lost []string // tables that the first schema lacks
		want error
	}{
		"none":                  {nil, nil}, // the second is out of sight
		"the records":           {[]string{"record"}, store.ErrSchema},
		"the keys":              {[]string{"claim"}, store.ErrSchema},
		"the version":           {[]string{"schema"}, store.ErrSchema},
		"all but the records":   {[]string{"claim", "schema"}, store.ErrSchema},
		"all but the keys":      {[]string{"record", "schema"}, store.ErrSchema},
		"all but the version":   {[]string{"record", "claim"}, store.ErrSchema},
		"all: it is the second": {[]string{"record", "claim", "schema"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := fresh(t, servers.Shared(t, servers.PostgreSQL))
			admin := d.pool(t, "")
			first, second := d.prefix+"first", d.prefix+"second"
			for _, schema := range []string{first, second} {
				mustExec(t, admin, "CREATE SCHEMA "+schema) // gone with the server
				start(t, d.openOn(t, d.pool(t, "search_path="+schema), d.options()))
			}
			for _, table := range test.lost {
				mustExec(t, admin, "DROP TABLE "+first+"."+d.prefix+table)
			}
			db := d.pool(t, "search_path="+first+","+second)
			for _, noMigrate := range []bool{true, false} {
				opts := d.options()
				opts.NoMigrate = noMigrate
				s, err := sqlstore.Open(t.Context(), db, d.dialect, opts)
				if !errors.Is(err, test.want) {
					t.Errorf("Open (NoMigrate %t) = %v, want %v", noMigrate, err, test.want)
				}
				if err != nil {
					continue
				}
				if test.want == nil {
					unchanged(t, s)
				}
				s.Close()
			}
		})
	}
}

// What Unprepared and the mode of pgx that its documentation names promise: no
// statement stays on the server, so that a pooler may give each call another
// connection.
func TestUnpreparedWithPgx(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		more       string
		unprepared bool
		stay       bool // which shows that statements that stay are seen
	}{
		{"unprepared", "default_query_exec_mode=exec", true, false},
		{"pgx prepares by itself", "", true, true},
		{"prepared", "default_query_exec_mode=exec", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := fresh(t, servers.Shared(t, servers.PostgreSQL))
			db := d.pool(t, test.more)
			db.SetMaxOpenConns(1)
			opts := d.options()
			opts.Unprepared = test.unprepared
			s := d.openOn(t, db, opts)
			for i, call := range calls(t, s) {
				call()
				if n := statements(t, db, d); (n > 0) != test.stay {
					t.Errorf("after call %d there are %d statements on the server, want some: %t", i, n, test.stay)
				}
				if !test.stay {
					mustExec(t, db, "DEALLOCATE ALL") // as another connection
				}
			}
		})
	}
}

// calls are calls of every kind, each twice, and each of which succeeds.
func calls(t *testing.T, s *sqlstore.Store) (calls []func()) {
	for i := range 2 {
		user := fmt.Sprint("u", i)
		apply := func(c store.Change) func() {
			c.UserID = user
			return func() {
				if err := s.Apply(t.Context(), c); err != nil {
					t.Errorf("Apply = %v", err)
				}
			}
		}
		calls = append(calls,
			apply(store.Change{New: 1, Data: []byte("x"), Claim: []string{key(i)}}),
			apply(store.Change{Old: 1, New: 2, Data: []byte("y")}),
			func() {
				if r, err := s.Load(t.Context(), user); err != nil || r.Version != 2 {
					t.Errorf("Load = %d, %v", r.Version, err)
				}
			},
			func() {
				if owner, err := s.Owner(t.Context(), key(i)); owner != user {
					t.Errorf("Owner = %q, %v", owner, err)
				}
			},
			func() {
				if ids, _, err := s.UserIDs(t.Context(), "", 10); err != nil || len(ids) != 1 {
					t.Errorf("UserIDs = %q, %v", ids, err)
				}
			},
			apply(store.Change{Old: 2, Release: []string{key(i)}}),
		)
	}
	return calls
}

// statements counts those on the server's side of the only connection that name a
// table of the store.
func statements(t *testing.T, db *sql.DB, d database) (n int) {
	t.Helper()
	const count = "SELECT count(*) FROM pg_prepared_statements WHERE position($1 IN statement) > 0 AND position('pg_prepared' IN statement) = 0"
	if err := db.QueryRowContext(t.Context(), count, d.prefix).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
