// Package sqlstore keeps sealed accounts in an SQL database, through the
// application's own [database/sql] pool: SQLite, PostgreSQL, MySQL or MariaDB. It
// imports no driver.
//
//	db, err := sql.Open("pgx", "postgres://mfa@db.internal/acme")
//	...
//	db.SetMaxOpenConns(16)
//	st, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL, nil)
//
// Open creates the tables or upgrades them, also when several processes start at
// once. In earnest run [Migrate] or the text of [Schema] when you deploy, and set
// Options.NoMigrate: a program that is led to another database or schema, or has
// lost its grant on it (PostgreSQL then passes over the schema), fails with
// [store.ErrSchema] instead of making empty tables, in which nobody has set up
// anything.
//
// # The pool
//
// Give the store a pool of its own, also on the application's own database. A call
// that waits for a connection which waits for the call is a standstill, and the
// store never joins a transaction of the caller: one that is rolled back must
// not take back the failure that it counted.
//
// A sign-in holds a connection for two short statements, so a small pool carries
// much. Keep its connections open (SetMaxIdleConns as large), since a new one
// prepares its statements again, and let them end some time (SetConnMaxLifetime,
// minutes), so that they follow a database that moved.
//
// # SQLite
//
//	db, err := sql.Open("sqlite", "file:mfa.db"+
//		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
//	...
//	db.SetMaxOpenConns(1)
//	st, err := sqlstore.Open(ctx, db, sqlstore.SQLite, nil)
//
// The lines above are for modernc.org/sqlite (pure Go, import it for its side
// effect). Other drivers spell the same settings differently. Version 3.37
// or later is needed. The settings matter:
//
//   - journal_mode(WAL): readers and the writer do not block one another, and a
//     commit is one flush instead of two.
//   - synchronous(FULL): a commit has reached the disk when Apply returns. With
//     NORMAL or OFF it may be lost when the machine stops, see below. On macOS
//     add fullfsync(1).
//   - busy_timeout, in milliseconds: how long a writer waits for that of another
//     process. The default is not at all, and then Apply fails with
//     [store.ErrUnavailable] whenever two processes meet. It does not end with
//     the context. Put it first.
//   - SetMaxOpenConns(1): SQLite has one writer at a time. On one connection the
//     writers of a process wait for each other in the pool, in turn; on several
//     they poll the lock of the file, which is several times slower. Reads queue
//     as well, and take microseconds.
//   - Foreign keys and _txlock make no difference: there are no foreign keys, and
//     every transaction begins with a write.
//
// On a pool of one connection that is shared with the application a call waits,
// until its context ends, while the application holds a transaction or reads
// rows. And do not call the store while you hold a write transaction on the same
// file: it waits for yours to end, up to the busy timeout, and then fails. A WAL
// database cannot lie on a network file system. A ":memory:" database is one per
// connection and ends with it: take package memstore.
//
// # PostgreSQL
//
// Version 12 or later, with any driver; github.com/jackc/pgx/v5/stdlib is what we
// test with. The tables are those that the search path finds, and are made in
// its first schema.
//
//   - synchronous_commit is on, or higher, for the store's user: with off, a crash
//     forgets what was acknowledged. A standby that may take over is a synchronous
//     one, for the same reason.
//   - Statements run at READ COMMITTED, the default; a change with keys asks for it.
//     Leave default_transaction_isolation there for the store's pool: above it, a save
//     that came second fails instead of conflicting. Nothing passes twice then,
//     but under contention the vault cannot always tell what became of it.
//   - Behind a pooler that hands out a connection for each transaction and keeps no
//     prepared statements, set Options.Unprepared, and with pgx also
//     default_query_exec_mode=exec in the URL: by itself it prepares what it is
//     given.
//
// # MySQL and MariaDB
//
// MySQL 8.0 or later or MariaDB 10.6 or later, with github.com/go-sql-driver/mysql.
// We test with MariaDB. The tables are InnoDB.
//
//	db, err := sql.Open("mysql", "mfa@tcp(db.internal:3306)/acme?timeout=5s&readTimeout=5s&writeTimeout=5s")
//
// The server's settings matter, the driver's make no difference to the answers,
// clientFoundRows included:
//
//   - innodb_flush_log_at_trx_commit=1, the default, and with a binary log
//     sync_binlog=1, which is the default of MySQL and not of MariaDB: with less, a
//     crash forgets what was acknowledged.
//   - autocommit is on, the default, and the isolation READ COMMITTED or above.
//   - readTimeout and writeTimeout, as in the line above: the driver ends a
//     transaction without regard to a context, so a change with keys can take that
//     long behind its own.
//   - max_prepared_stmt_count stays above eight statements for each connection of
//     all processes together; or set Options.Unprepared.
//   - In a cluster where every node takes writes (Galera, Group Replication), reads
//     must see what another node acknowledged: wsrep_sync_wait=1, or
//     group_replication_consistency=BEFORE; or one node for the store.
//
// # What is stored
//
// Three tables, named by Options.Prefix: records (user ID, version, data), keys
// (unique key, user ID) and one row that holds the schema's version. User IDs
// and keys are binary columns and are compared as bytes. The version changes
// with every save and is in no index.
//
// A change that claims and releases no key is one conditional statement, prepared,
// in one round trip, and the number of rows it affected is the answer. Others are
// one short transaction.
//
// # Security
//
// Data is sealed by the vault before it arrives. Who can write to the database
// cannot forge a record, nor move one to another user, but can delete it or put
// an older one back, with its spent codes unspent and its removed factors
// present; who restores a backup does the same to everybody. Give the tables to
// the application's own database user alone.
//
// Single use rests on durability: when the database forgets a save that it
// acknowledged (synchronous=OFF, a failed-over replica, a restored backup), what
// that save spent can be used again. Never point the store at a read replica.
//
// Errors carry the driver's text, but no user ID, key or data of ours; no error
// of a driver is recognised by its text.
//
// # Concurrency
//
// A [Store] may be used from many goroutines, and many processes may use the
// same tables.
//
// # Compatibility
//
// The schema has a version. A program that finds a newer one than it knows
// stops with [store.ErrSchema]; an older one is upgraded by Open and Migrate.
package sqlstore
