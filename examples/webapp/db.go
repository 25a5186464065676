package main

// What the application keeps: users with hashed passwords, sessions and keys by
// their hashes, orders. The factors are the library's, see store.go.

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/seed-f4994bf1/mfa/vault"
)

const schema = `
CREATE TABLE IF NOT EXISTS users (
	id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password BLOB, admin INTEGER NOT NULL, service INTEGER NOT NULL,
	orders INTEGER NOT NULL DEFAULT 0, tenant TEXT NOT NULL DEFAULT 'acme');
CREATE TABLE IF NOT EXISTS sessions (
	hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, proof TEXT NOT NULL, until INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user_id);
CREATE TABLE IF NOT EXISTS api_keys (hash BLOB PRIMARY KEY, user_id TEXT NOT NULL);
`

type database struct {
	*sql.DB
	hashing chan struct{} // Argon2 takes memory: so many at once
}

type user struct {
	ID, Email      string
	Admin, Service bool
	Orders         int
	Tenant         string
}

// Shop is the tenant's name.
func (u user) Shop() string { return tenantOf(u.Tenant).Name }

type session struct {
	UserID string
	Proof  string // mfa.Session.Token: what was proven, sealed
}

// A bearer is what a session's text was given to. One never passes for the
// other: a program has not proven what the pages ask for.
type bearer string

const (
	byBrowser bearer = "browser" // in a cookie
	byProgram bearer = "program" // in an Authorization header
)

func (b bearer) hash(text string) []byte { return hashToken(string(b) + " " + text) }

var (
	errTaken  = errors.New("this address has an account already")
	errNoUser = errors.New("no such user")
)

// open opens the shop's file and the key beside it, making them if there is
// neither, and the factors. at is where the pages can be reached.
func open(ctx context.Context, file string, factors *place, m *mailer, at string) (_ *app, err error) {
	keys, err := readKeys(file)
	if err != nil {
		return nil, err
	}
	a := &app{db: &database{hashing: make(chan struct{}, 2)}, mailer: m, at: at}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.db.DB, err = openSQLite(file); err != nil {
		return nil, err
	}
	if err := a.db.migrate(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if a.factors, err = factors.open(ctx); err != nil {
		return nil, fmt.Errorf("the factors, %s: %w", factors, err)
	}
	if err := a.protect(ctx, a.factors.store, keys); err != nil {
		return nil, fmt.Errorf("the factors, %s, with the key %s: %w", factors, keyFile(file), err)
	}
	return a, a.parse()
}

// migrate makes the tables, or adds what a file of an older version lacks.
func (db *database) migrate(ctx context.Context) error {
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	var has bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_table_info('users') WHERE name = 'tenant')`).Scan(&has)
	if err == nil && !has {
		_, err = db.ExecContext(ctx, `ALTER TABLE users ADD COLUMN tenant TEXT NOT NULL DEFAULT 'acme'`)
	}
	return err
}

func keyFile(file string) string { return file + ".key" }

// readPrivate reads a file with secrets, which nobody else may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: chmod 600 it", path)
	}
	return io.ReadAll(f)
}

// readKeys reads the sealing key. It is made once, together with the shop's file:
// without it the factors are lost, wherever they lie, so a new one is not the
// answer. In earnest it comes from where secrets are kept.
func readKeys(file string) (vault.Keys, error) {
	path := keyFile(file)
	b, err := readPrivate(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return vault.Keys(strings.TrimSpace(string(b))), err
	}
	switch info, err := os.Stat(file); {
	case file == "", err == nil && info.IsDir():
		return "", fmt.Errorf("%q: not a file", file)
	case err == nil:
		return "", fmt.Errorf("%s is there, and its key %s is not: bring it back, or remove the database", file, path)
	}
	return newKeys(path)
}

func newKeys(path string) (vault.Keys, error) {
	keys, err := vault.NewKey()
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(string(keys) + "\n")
	return keys, errors.Join(err, f.Sync(), f.Close())
}

func hashToken(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// argon hashes a password with Argon2id (RFC 9106), as OWASP advises.
func (db *database) argon(password string, salt []byte) []byte {
	db.hashing <- struct{}{}
	defer func() { <-db.hashing }()
	return argon2.IDKey([]byte(password), salt, 2, 19*1024, 1, 32)
}

func (db *database) hashPassword(password string) []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	return append(salt, db.argon(password, salt)...)
}

const columns = `SELECT id, email, admin, service, orders, tenant FROM users `

func scanUser(row interface{ Scan(...any) error }) (u user, err error) {
	err = row.Scan(&u.ID, &u.Email, &u.Admin, &u.Service, &u.Orders, &u.Tenant)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoUser
	}
	return u, err
}

func (db *database) user(ctx context.Context, id string) (user, error) {
	return scanUser(db.QueryRowContext(ctx, columns+`WHERE id = ?`, id))
}

func (db *database) users(ctx context.Context) (us []user, err error) {
	rows, err := db.QueryContext(ctx, columns+`ORDER BY service, email`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, err
		}
		us = append(us, u)
	}
	return us, rows.Err()
}

// addUser makes an account. The first one is the administrator's; one without a
// password is a service.
func (db *database) addUser(ctx context.Context, tenant, email, password string) (string, error) {
	id := rand.Text()
	var hash []byte
	if password != "" {
		hash = db.hashPassword(password)
	}
	return id, taken(db.ExecContext(ctx, `INSERT INTO users (id, tenant, email, password, admin, service)
		SELECT ?, ?, ?, ?, NOT EXISTS (SELECT 1 FROM users), ? WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = ?)`,
		id, tenant, email, hash, password == "", email))
}

// setEmail changes a user's address, if it is still the old one.
func (db *database) setEmail(ctx context.Context, id, old, email string) error {
	return taken(db.ExecContext(ctx, `UPDATE users SET email = ? WHERE id = ? AND email = ?
		AND NOT EXISTS (SELECT 1 FROM users WHERE email = ?)`, email, id, old, email))
}

// taken is errTaken where a statement did nothing.
func taken(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errTaken)
	}
	return nil
}

// byPassword returns the user whom address and password are of. It takes as
// long for somebody unknown.
func (db *database) byPassword(ctx context.Context, email, password string) (id string, err error) {
	var hash []byte
	err = db.QueryRowContext(ctx, `SELECT id, password FROM users WHERE email = ?`, email).Scan(&id, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	known := len(hash) == 48
	if !known {
		hash = make([]byte, 48)
	}
	right := subtle.ConstantTimeCompare(db.argon(password, hash[:16]), hash[16:]) == 1
	if !known || !right {
		return "", errNoUser
	}
	return id, nil
}

func (db *database) setPassword(ctx context.Context, id, password string) error {
	_, err := db.ExecContext(ctx, `UPDATE users SET password = ? WHERE id = ?`, db.hashPassword(password), id)
	return err
}

// dropKeys ends the user's API keys.
func (db *database) dropKeys(ctx context.Context, id string) error {
	_, err := db.ExecContext(ctx, `DELETE FROM api_keys WHERE user_id = ?`, id)
	return err
}

func (db *database) order(ctx context.Context, id string) error {
	_, err := db.ExecContext(ctx, `UPDATE users SET orders = orders + 1 WHERE id = ?`, id)
	return err
}

// addKey gives a user a new API key, in place of an older one.
func (db *database) addKey(ctx context.Context, id string) (key string, err error) {
	key = "acme_" + rand.Text()
	if err := db.dropKeys(ctx, id); err != nil {
		return "", err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO api_keys (hash, user_id) VALUES (?, ?)`, hashToken(key), id)
	return key, err
}

func (db *database) byKey(ctx context.Context, key string) (id string, err error) {
	err = db.QueryRowContext(ctx, `SELECT user_id FROM api_keys WHERE hash = ?`, hashToken(key)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoUser
	}
	return id, err
}

// addSession keeps a session for as long, and returns the text that stands for
// it, of which only the hash is kept.
func (db *database) addSession(ctx context.Context, of bearer, s session, ttl time.Duration) (text string, err error) {
	text = rand.Text()
	now := time.Now()
	if _, err := db.ExecContext(ctx, `DELETE FROM sessions WHERE until < ?`, now.Unix()); err != nil {
		return "", err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO sessions (hash, user_id, proof, until) VALUES (?, ?, ?, ?)`,
		of.hash(text), s.UserID, s.Proof, now.Add(ttl).Unix())
	return text, err
}

// session finds it. The zero session: there is none.
func (db *database) session(ctx context.Context, of bearer, text string) (s session, err error) {
	err = db.QueryRowContext(ctx, `SELECT user_id, proof FROM sessions WHERE hash = ? AND until >= ?`,
		of.hash(text), time.Now().Unix()).Scan(&s.UserID, &s.Proof)
	if errors.Is(err, sql.ErrNoRows) {
		return session{}, nil
	}
	return s, err
}

func (db *database) endSession(ctx context.Context, of bearer, text string) error {
	_, err := db.ExecContext(ctx, `DELETE FROM sessions WHERE hash = ?`, of.hash(text))
	return err
}

func (db *database) endSessions(ctx context.Context, userID string) error {
	_, err := db.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = ?`, userID)
	return err
}
