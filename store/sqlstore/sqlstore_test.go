// Tests that need no driver. Those on a real database are in the module
// integration, so that this module names no driver.
package sqlstore_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// The schema is data at rest: changing a version that has been released breaks
// the databases that have it.
func TestSchemaGolden(t *testing.T) {
	t.Parallel()
	for file, dialect := range map[string]sqlstore.Dialect{
		"sqlite.sql": sqlstore.SQLite, "postgresql.sql": sqlstore.PostgreSQL, "mysql.sql": sqlstore.MySQL,
	} {
		want, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sqlstore.Schema(dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("the schema is not that of testdata/%s:\n%s", file, got)
		}
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	dialects := []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL}
	for _, prefix := range []string{"", "mfa_", "m", "_", "a1_", "select", strings.Repeat("a", 40)} {
		for _, dialect := range dialects {
			got, err := sqlstore.Schema(dialect, &sqlstore.Options{Prefix: prefix})
			if err != nil {
				t.Errorf("prefix %q: %v", prefix, err)
			}
			if want := prefix + "record "; !strings.Contains(got, want) {
				t.Errorf("prefix %q: no table %q in the schema", prefix, want)
			}
		}
	}
	for _, prefix := range []string{
		"1a", "A", "mfA_", "a b", "a-b", "a.b", "a;", "a'", `a"`, "a`", "a]", "a\x00", "a\n", "ä", "a\xff", " ", "x--", "a/*",
		"sqlite_", "sqlite_mfa_", "a'); DROP TABLE users; --", strings.Repeat("a", 41),
	} {
		for _, dialect := range dialects {
			if got, err := sqlstore.Schema(dialect, &sqlstore.Options{Prefix: prefix}); !errors.Is(err, store.ErrArgument) || got != "" {
				t.Errorf("prefix %q: %q, %v; want ErrArgument", prefix, got, err)
			}
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, dialect := range []sqlstore.Dialect{0, sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL, 200} {
		if _, err := sqlstore.Open(t.Context(), nil, dialect, nil); !errors.Is(err, store.ErrArgument) {
			t.Errorf("Open without a database, dialect %d: %v, want ErrArgument", dialect, err)
		}
		if err := sqlstore.Migrate(t.Context(), nil, dialect, nil); !errors.Is(err, store.ErrArgument) {
			t.Errorf("Migrate without a database, dialect %d: %v, want ErrArgument", dialect, err)
		}
		if _, err := sqlstore.Schema(dialect, nil); (dialect == 0 || dialect == 200) != errors.Is(err, store.ErrArgument) {
			t.Errorf("Schema of dialect %d: %v", dialect, err)
		}
	}
}
