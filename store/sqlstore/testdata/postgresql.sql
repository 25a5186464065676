CREATE TABLE IF NOT EXISTS mfa_schema (
	id integer NOT NULL PRIMARY KEY CHECK (id = 1),
	version bigint NOT NULL
);
CREATE TABLE mfa_record (
	user_id bytea NOT NULL PRIMARY KEY,
	version bigint NOT NULL CHECK (version > 0),
	data bytea NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE mfa_record ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE mfa_claim (
	claim_key bytea NOT NULL PRIMARY KEY,
	user_id bytea NOT NULL
);
INSERT INTO mfa_schema (id, version) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version;
