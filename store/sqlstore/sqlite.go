package sqlstore

// What SQLite is asked.

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
			`INSERT INTO ` + schema + ` (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING`,
		},
		// A write, also where it changes nothing: a transaction that read first
		// could not become a writer while another process is one.
		lock: `UPDATE ` + schema + ` SET version = version WHERE id = 1`,
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
