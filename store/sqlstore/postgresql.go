package sqlstore

// What PostgreSQL is asked.

import "database/sql"

// postgreSQL returns the statements of PostgreSQL.
//
// No index holds what a save changes, and pages keep room for a second version
// of a row, so that a save stays on its page. Sealed data cannot be compressed,
// so nobody tries. INSERT ... ON CONFLICT waits for another transaction that
// has inserted the same row, and then affects none.
func postgreSQL(record, claim, schema string) *texts {
	return &texts{
		load:    `SELECT version, data FROM ` + record + ` WHERE user_id = $1`,
		create:  `INSERT INTO ` + record + ` (user_id, version, data) VALUES ($1, $2, $3) ON CONFLICT (user_id) DO NOTHING`,
		update:  `UPDATE ` + record + ` SET version = $1, data = $2 WHERE user_id = $3 AND version = $4`,
		remove:  `DELETE FROM ` + record + ` WHERE user_id = $1 AND version = $2`,
		owner:   `SELECT user_id FROM ` + claim + ` WHERE claim_key = $1`,
		claim:   `INSERT INTO ` + claim + ` (claim_key, user_id) VALUES ($1, $2) ON CONFLICT (claim_key) DO NOTHING`,
		release: `DELETE FROM ` + claim + ` WHERE claim_key = $1 AND user_id = $2`,
		list:    `SELECT user_id FROM ` + record + ` WHERE user_id > $1 ORDER BY user_id LIMIT $2`,

		// Above it, who waited for another transaction fails instead of seeing
		// what that one did.
		isolation: sql.LevelReadCommitted,

		// What the search path finds in two schemas is no set of tables.
		tables: `SELECT count(*) FILTER (WHERE relname = '` + schema + `'), CASE WHEN count(DISTINCT relnamespace) > 1 THEN -1 ELSE count(*) END` +
			` FROM pg_class WHERE oid IN (to_regclass('` + schema + `'), to_regclass('` + record + `'), to_regclass('` + claim + `'))`,
		version: `SELECT version FROM ` + schema + ` WHERE id = 1`,
		// Two processes that create one table at once fail, even with IF NOT
		// EXISTS: so the lock is none of a table.
		lock: `SELECT pg_advisory_xact_lock(hashtext('` + schema + `'))`,
		steps: [][]string{
			{
				`CREATE TABLE IF NOT EXISTS ` + schema + ` (
	id integer NOT NULL PRIMARY KEY CHECK (id = 1),
	version bigint NOT NULL
)`,
				`CREATE TABLE ` + record + ` (
	user_id bytea NOT NULL PRIMARY KEY,
	version bigint NOT NULL CHECK (version > 0),
	data bytea NOT NULL
) WITH (fillfactor = 70)`,
				`ALTER TABLE ` + record + ` ALTER COLUMN data SET STORAGE EXTERNAL`,
				`CREATE TABLE ` + claim + ` (
	claim_key bytea NOT NULL PRIMARY KEY,
	user_id bytea NOT NULL
)`,
			},
		},
		mark: `INSERT INTO ` + schema + ` (id, version) VALUES (1, %d) ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version`,
	}
}
