// Tests of the schema: made once, checked always, never made anew.
package sqlstore

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// objects returns everything that the schema of db consists of, and its version.
func objects(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func mustExec(t testing.TB, db *sql.DB, script string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaIsWhatOpenMakes(t *testing.T) {
	t.Parallel()
	for _, opts := range []*sqlstore.Options{nil, {Prefix: "auth_"}} {
		opened := openDB(t, newFile(t), recommended)
		if err := sqlstore.Migrate(t.Context(), opened, sqlstore.SQLite, opts); err != nil {
			t.Fatal(err)
		}
		script, err := sqlstore.Schema(sqlstore.SQLite, opts)
		if err != nil {
			t.Fatal(err)
		}
		file := newFile(t)
		scripted := openDB(t, file, recommended)
		mustExec(t, scripted, script)
		want, got := objects(t, opened), objects(t, scripted)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("Schema makes %q, Migrate %q", got, want)
		}
		if opts == nil {
			opts = &sqlstore.Options{}
		}
		opts.NoMigrate = true
		s := openOn(t, scripted, file, opts)
		if err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1}); err != nil {
			t.Errorf("Apply on the tables of Schema = %v", err)
		}
	}
}

func TestNoMigrate(t *testing.T) {
	t.Parallel()
	db := openDB(t, newFile(t), recommended)
	open := func() error {
		_, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite, &sqlstore.Options{NoMigrate: true})
		return err
	}
	if err := open(); !errors.Is(err, store.ErrSchema) {
		t.Errorf("Open of an empty database = %v, want ErrSchema", err)
	}
	if got := objects(t, db); len(got) != 0 {
		t.Errorf("Open with NoMigrate made %q", got)
	}
	if err := sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, nil); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Errorf("Open after Migrate = %v", err)
	}
	mustExec(t, db, "UPDATE mfa_schema SET version = 0")
	if err := open(); !errors.Is(err, store.ErrSchema) {
		t.Errorf("Open of version 0 = %v, want ErrSchema", err)
	}
}

// Whatever is not exactly a known schema is an error, and is left alone: a table
// made anew would read as users who have set up nothing.
func TestForeignSchemas(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"newer":                "UPDATE mfa_schema SET version = 2",
		"much newer":           "UPDATE mfa_schema SET version = 9223372036854775807",
		"negative":             "UPDATE mfa_schema SET version = -1",
		"no records":           "DROP TABLE mfa_record",
		"no keys":              "DROP TABLE mfa_claim",
		"version lost":         "DELETE FROM mfa_schema",
		"version table lost":   "DROP TABLE mfa_schema",
		"nothing but versions": "DROP TABLE mfa_record; DROP TABLE mfa_claim",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openFile(t, newFile(t))
			if err := s.Apply(t.Context(), store.Change{UserID: "u", New: 1}); err != nil {
				t.Fatal(err)
			}
			mustExec(t, s.db, spoil)
			before := objects(t, s.db)
			for _, opts := range []*sqlstore.Options{nil, {NoMigrate: true}} {
				if _, err := sqlstore.Open(t.Context(), s.db, sqlstore.SQLite, opts); !errors.Is(err, store.ErrSchema) {
					t.Errorf("Open(%+v) = %v, want ErrSchema", opts, err)
				}
			}
			if err := sqlstore.Migrate(t.Context(), s.db, sqlstore.SQLite, nil); !errors.Is(err, store.ErrSchema) {
				t.Errorf("Migrate = %v, want ErrSchema", err)
			}
			if after := objects(t, s.db); !slices.Equal(before, after) {
				t.Errorf("the schema was changed from %q to %q", before, after)
			}
		})
	}
}

// A migration that was stopped half way goes on.
func TestMigrateGoesOn(t *testing.T) {
	t.Parallel()
	script, err := sqlstore.Schema(sqlstore.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(script, ";\n")
	db := openDB(t, newFile(t), recommended)
	mustExec(t, db, first)
	if _, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite, nil); err != nil {
		t.Errorf("Open after half a migration = %v", err)
	}
}

// Another process migrates at the worst moment: between our two looks at the
// schema, and before we get the lock.
func TestMigrateBeaten(t *testing.T) {
	t.Parallel()
	script, err := sqlstore.Schema(sqlstore.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(script, ";\n")
	for _, moment := range []string{"query SELECT version FROM mfa_schema", "exec INSERT INTO mfa_schema"} {
		file := newFile(t)
		other := openDB(t, file, recommended)
		mustExec(t, other, first)
		rec := &recorder{}
		db := rec.open(t, file)
		beaten := 0
		rec.set(func(op string, run func() error) error {
			if strings.HasPrefix(op, moment) && beaten == 0 {
				beaten++
				if err := sqlstore.Migrate(t.Context(), other, sqlstore.SQLite, nil); err != nil {
					t.Errorf("the other Migrate = %v", err)
				}
			}
			return run()
		})
		if err := sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, nil); err != nil || beaten != 1 {
			t.Errorf("Migrate, beaten %d times at %q = %v", beaten, moment, err)
		}
		for _, op := range rec.take() {
			if strings.HasPrefix(op, "refused") {
				t.Errorf("Migrate, beaten at %q: %s", moment, op)
			}
		}
	}
}

// Opening what is up to date only reads.
func TestMigrateOnlyReads(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	openFile(t, file)
	rec := &recorder{}
	db := rec.open(t, file)
	if err := sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, nil); err != nil {
		t.Fatal(err)
	}
	for _, op := range rec.take() {
		if !strings.HasPrefix(op, "query SELECT") {
			t.Errorf("Migrate of a database that is up to date: %s", op)
		}
	}
}

// Pools that open one empty database at once all succeed.
func TestMigrateRace(t *testing.T) {
	t.Parallel()
	for range 5 {
		file := newFile(t)
		dbs := make([]*sql.DB, 8)
		for i := range dbs {
			dbs[i] = openDB(t, file, recommended)
		}
		var wg sync.WaitGroup
		for _, db := range dbs {
			wg.Go(func() {
				s, err := sqlstore.Open(t.Context(), db, sqlstore.SQLite, nil)
				if err != nil {
					t.Errorf("Open, racing = %v", err)
					return
				}
				if _, err := s.Load(t.Context(), "u"); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Load after a racing Open = %v, want ErrNotFound", err)
				}
			})
		}
		wg.Wait()
	}
}
