// The examples of the package documentation.
package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

func ExampleOpen() {
	// With import _ "modernc.org/sqlite" in the program.
	db, err := sql.Open("sqlite", "file:mfa.db"+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	st, err := sqlstore.Open(context.Background(), db, sqlstore.SQLite, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
}

func ExampleSchema() {
	script, err := sqlstore.Schema(sqlstore.SQLite, &sqlstore.Options{Prefix: "auth_"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(script)
	// Output:
	// CREATE TABLE IF NOT EXISTS auth_schema (
	// 	id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	// 	version INTEGER NOT NULL
	// ) STRICT;
	// INSERT INTO auth_schema (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;
	// CREATE TABLE auth_record (
	// 	user_id BLOB NOT NULL PRIMARY KEY,
	// 	version INTEGER NOT NULL CHECK (version > 0),
	// 	data BLOB NOT NULL
	// ) STRICT;
	// CREATE TABLE auth_claim (
	// 	claim_key BLOB NOT NULL PRIMARY KEY,
	// 	user_id BLOB NOT NULL
	// ) STRICT, WITHOUT ROWID;
	// UPDATE auth_schema SET version = 1 WHERE id = 1;
}
