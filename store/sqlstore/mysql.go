package sqlstore

// What MySQL and MariaDB are asked.

// mySQL returns the statements of MySQL and MariaDB.
//
// INSERT IGNORE affects no row where there is one, whatever the driver's options
// (clientFoundRows counts rows that an ON DUPLICATE KEY UPDATE left alone). It
// would also cut what is too long for a column: the bounds of package store,
// which every call checks first, fit the columns. An UPDATE counts the rows that it
// changed, and a version always changes.
//
// Each change of a table commits by itself, so there is no transaction to lock:
// every text does nothing where it was run before.
func mySQL(record, claim, schema string) *texts {
	return &texts{
		load:    `SELECT version, data FROM ` + record + ` WHERE user_id = ?`,
		create:  `INSERT IGNORE INTO ` + record + ` (user_id, version, data) VALUES (?, ?, ?)`,
		update:  `UPDATE ` + record + ` SET version = ?, data = ? WHERE user_id = ? AND version = ?`,
		remove:  `DELETE FROM ` + record + ` WHERE user_id = ? AND version = ?`,
		owner:   `SELECT user_id FROM ` + claim + ` WHERE claim_key = ?`,
		claim:   `INSERT IGNORE INTO ` + claim + ` (claim_key, user_id) VALUES (?, ?)`,
		release: `DELETE FROM ` + claim + ` WHERE claim_key = ? AND user_id = ?`,
		list:    `SELECT user_id FROM ` + record + ` WHERE user_id > ? ORDER BY user_id LIMIT ?`,

		tables: `SELECT COUNT(CASE TABLE_NAME WHEN '` + schema + `' THEN 1 END), COUNT(*) FROM information_schema.TABLES` +
			` WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('` + schema + `', '` + record + `', '` + claim + `')`,
		version: `SELECT version FROM ` + schema + ` WHERE id = 1`,
		setup: []string{
			`CREATE TABLE IF NOT EXISTS ` + schema + ` (
	id TINYINT NOT NULL PRIMARY KEY,
	version BIGINT NOT NULL
) ENGINE = InnoDB`,
		},
		steps: [][]string{
			{
				`CREATE TABLE IF NOT EXISTS ` + record + ` (
	user_id VARBINARY(255) NOT NULL PRIMARY KEY,
	version BIGINT NOT NULL,
	data MEDIUMBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
				`CREATE TABLE IF NOT EXISTS ` + claim + ` (
	claim_key BINARY(32) NOT NULL PRIMARY KEY,
	user_id VARBINARY(255) NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
			},
		},
		mark: `INSERT INTO ` + schema + ` (id, version) VALUES (1, %[1]d) ON DUPLICATE KEY UPDATE version = GREATEST(version, %[1]d)`,
	}
}
