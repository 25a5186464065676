package servers

// Opening stores by URL, as a program would that has nothing but the URL.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
	"github.com/seed-f4994bf1/mfa/store/sqlstore"
)

// A Store is one that Open has opened, with what lies below it.
type Store struct {
	store.Store
	store.Lister

	DB     *sql.DB               // nil for Redis
	Client redis.UniversalClient // nil for SQL

	close func() error
}

// Close closes the store and what lies below it.
func (s *Store) Close() error { return s.close() }

// settings are those that the documentation of sqlstore gives for SQLite.
const settings = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

// Open opens the store behind a URL of one of these forms, in which prefix may be
// absent and other parameters are the driver's:
//
//	sqlite:/folder/file.db?prefix=ab12_
//	postgres://user@127.0.0.1:5432/database?prefix=ab12_
//	mysql://user@127.0.0.1:3306/database?prefix=ab12_
//	redis://127.0.0.1:6379/0?prefix=ab12_
//	redis+cluster://127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003?prefix=ab12_
func Open(ctx context.Context, address string) (*Store, error) {
	base, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	prefix := values.Get("prefix")
	values.Del("prefix")
	scheme, rest, _ := strings.Cut(base, ":")
	switch scheme {
	case "sqlite":
		more := settings
		if len(values) > 0 {
			more += "&" + values.Encode()
		}
		db, err := sql.Open("sqlite", "file:"+rest+"?"+more)
		return onSQL(ctx, db, err, sqlstore.SQLite, prefix, 1)
	case "postgres":
		db, err := sql.Open("pgx", join(base, values))
		return onSQL(ctx, db, err, sqlstore.PostgreSQL, prefix, 16)
	case "mysql":
		db, err := openMySQL(base, values)
		return onSQL(ctx, db, err, sqlstore.MySQL, prefix, 16)
	case "redis":
		o, err := redis.ParseURL(join(base, values))
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		o.ContextTimeoutEnabled = true
		return onRedis(ctx, redis.NewClient(o), prefix)
	case "redis+cluster":
		// net/url takes no host with more than one colon.
		o := &redis.ClusterOptions{Addrs: strings.Split(strings.TrimPrefix(rest, "//"), ","), ContextTimeoutEnabled: true}
		return onRedis(ctx, redis.NewClusterClient(o), prefix)
	default:
		return nil, fmt.Errorf("open: no such scheme: %q", scheme)
	}
}

func join(base string, values url.Values) string {
	if len(values) == 0 {
		return base
	}
	return base + "?" + values.Encode()
}

// openMySQL returns a pool that keeps quiet when a connection breaks.
func openMySQL(base string, values url.Values) (*sql.DB, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	c, err := mysql.ParseDSN(join(u.User.Username()+"@tcp("+u.Host+")"+u.Path, values))
	if err != nil {
		return nil, err
	}
	c.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func onSQL(ctx context.Context, db *sql.DB, err error, d sqlstore.Dialect, prefix string, conns int) (*Store, error) {
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	s, err := sqlstore.Open(ctx, db, d, &sqlstore.Options{Prefix: prefix})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{Store: s, Lister: s, DB: db, close: func() error { return errors.Join(s.Close(), db.Close()) }}, nil
}

func onRedis(ctx context.Context, client redis.UniversalClient, prefix string) (*Store, error) {
	s, err := redisstore.Open(ctx, client, &redisstore.Options{Prefix: prefix})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &Store{Store: s, Lister: s, Client: client, close: client.Close}, nil
}
