package main

// Where the factors lie: for each kind of database the driver, a pool of the
// store's own and the dialect. An application that outgrows one machine changes
// which of these it calls, and nothing else.

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// A keeper is the store of the factors, open.
type keeper struct {
	store    store.Store
	closers  []io.Closer // in this order
	warnings []string
}

func (k *keeper) Close() error {
	var errs []error
	for _, c := range k.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// open opens the store. A server that does not answer is told within seconds.
func (p *place) open(ctx context.Context) (*keeper, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	switch p.scheme {
	case "sqlite":
		db, err := openSQLite(p.file)
		if err != nil {
			return nil, err
		}
		return p.overSQL(ctx, db, sqlstore.SQLite)
	case "postgres":
		return p.postgreSQL(ctx)
	case "mysql":
		return p.mySQL(ctx)
	default:
		return p.redis(ctx)
	}
}

// openSQLite opens a file, or makes it for nobody else's eyes. The pool has one
// connection: SQLite has one writer at a time.
func openSQLite(file string) (*sql.DB, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(file)+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// postgreSQL reaches the server that is written to, never a replica that is only
// read. Without sslmode the driver takes TLS if the server offers it, and checks no
// certificate; beyond this machine that is sslmode=verify-full. A password that is
// not in the URL is taken from PGPASSWORD or ~/.pgpass.
func (p *place) postgreSQL(ctx context.Context) (*keeper, error) {
	u := url.URL{Scheme: "postgres", Host: p.hosts[0], Path: "/" + p.database}
	if p.user != "" {
		u.User = url.User(p.user)
	}
	if p.password != "" {
		u.User = url.UserPassword(p.user, p.password.Reveal())
	}
	settings := url.Values{"target_session_attrs": {"read-write"}, "connect_timeout": {"5"}}
	for name, values := range p.settings {
		if name != "prefix" {
			settings[name] = values
		}
	}
	u.RawQuery = settings.Encode()
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, err
	}
	return p.overSQL(ctx, serverPool(stdlib.OpenDB(*cfg)), sqlstore.PostgreSQL)
}

// mySQL speaks to MySQL and MariaDB, without TLS unless tls=true.
func (p *place) mySQL(ctx context.Context) (*keeper, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", p.hosts[0], p.user, p.password.Reveal(), p.database
	cfg.TLSConfig, cfg.Timeout = p.settings.Get("tls"), 5*time.Second
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return p.overSQL(ctx, serverPool(sql.OpenDB(connector)), sqlstore.MySQL)
}

// serverPool bounds a pool: what all processes of the application open together has
// to stay below what the server allows. Idle connections are kept, for opening one
// costs more than a request, and none gets old, so that a changed server is found.
func serverPool(db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	db.SetConnMaxLifetime(3 * time.Minute)
	return db
}

// overSQL makes the tables, or upgrades them, and closes the pool if it cannot.
func (p *place) overSQL(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect) (*keeper, error) {
	st, err := sqlstore.Open(ctx, db, dialect, &sqlstore.Options{Prefix: p.settings.Get("prefix")})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &keeper{store: st, closers: []io.Closer{st, db}}, nil
}

// redis speaks to one server or to a cluster. As they are shipped, they forget what
// they acknowledged: settings by which they can are told at the start.
func (p *place) redis(ctx context.Context) (*keeper, error) {
	scheme, _, cluster := strings.Cut(p.scheme, "+")
	var encrypted *tls.Config
	if scheme == "rediss" {
		encrypted = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	var client redis.UniversalClient
	if cluster {
		client = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: p.hosts, Username: p.user, Password: p.password.Reveal(), TLSConfig: encrypted, ContextTimeoutEnabled: true,
		})
	} else {
		number, _ := strconv.Atoi(p.database) // checked; "" is 0
		client = redis.NewClient(&redis.Options{
			Addr: p.hosts[0], Username: p.user, Password: p.password.Reveal(), DB: number, TLSConfig: encrypted, ContextTimeoutEnabled: true,
		})
	}
	st, err := redisstore.Open(ctx, client, &redisstore.Options{Prefix: p.settings.Get("prefix")})
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	k := &keeper{store: st, closers: []io.Closer{client}}
	risks, err := st.Risks(ctx)
	if err != nil { // some providers let nobody ask
		k.warnings = append(k.warnings, fmt.Sprintf("whether Redis could lose factors is not known: %v", err))
	}
	for _, r := range risks {
		k.warnings = append(k.warnings, r.String())
	}
	return k, nil
}
