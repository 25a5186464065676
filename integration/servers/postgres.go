package servers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// postgres is PostgreSQL: a process with a child for each connection.
type postgres struct{}

// postgresFolder returns the folder of its programs. Debian keeps them out of
// PATH, by version. initdb wants the server of the same folder.
func postgresFolder() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("%w: initdb (Debian: postgresql)", errMissing)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func (postgres) prepare(s *Server) error {
	programs, err := postgresFolder()
	if err != nil {
		return err
	}
	as, err := accountFor("postgres")
	if err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	if err := s.disk(data, as, "96m"); err != nil {
		return err
	}
	n, err := s.newNode(data)
	if err != nil {
		return err
	}
	initdb := process{
		path: filepath.Join(programs, "initdb"), as: as, dir: s.folder, log: filepath.Join(s.folder, "log-initdb"),
		args: []string{"-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"},
	}
	if err := initdb.run(); err != nil {
		return err
	}
	n.path, n.as = filepath.Join(programs, "postgres"), as
	n.args = []string{
		"-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(n.port),
		"-c", "unix_socket_directories=", "-c", "max_connections=200",
	}
	return nil
}

// postgresAs returns a connection for one piece of work. An administrator is
// never forbidden to write.
func postgresAs(n *node, name, db, more string) (*sql.DB, error) {
	return sql.Open("pgx", "postgres://"+name+"@"+n.addr+"/"+db+"?sslmode=disable"+more)
}

const postgresAdmin = "&default_transaction_read_only=off"

func (postgres) ready(ctx context.Context, n *node) error {
	db, err := postgresAs(n, "postgres", "postgres", postgresAdmin)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

func (postgres) furnish(ctx context.Context, s *Server) error {
	return postgresDo(ctx, s.nodes[0], "CREATE ROLE "+user+" LOGIN", "CREATE DATABASE "+database+" OWNER "+user)
}

func postgresDo(ctx context.Context, n *node, texts ...string) error {
	db, err := postgresAs(n, "postgres", "postgres", postgresAdmin)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, text := range texts {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func (postgres) settled(context.Context, *Server) error { return nil }

// forbid is what a server looks like that has become a standby: sessions that
// exist stay, and their next write fails.
func (postgres) forbid(ctx context.Context, s *Server, on bool) error {
	n, want := s.nodes[0], "off"
	if on {
		want = "on"
	}
	err := postgresDo(ctx, n, "ALTER SYSTEM SET default_transaction_read_only = "+want, "SELECT pg_reload_conf()")
	if err != nil {
		return err
	}
	// Once a new session has it, all that exist have been told.
	return until(ctx, &n.process, func(ctx context.Context) error {
		db, err := postgresAs(n, user, database, "")
		if err != nil {
			return err
		}
		defer db.Close()
		var is string
		if err := db.QueryRowContext(ctx, "SHOW default_transaction_read_only").Scan(&is); err != nil {
			return err
		}
		if is != want {
			return fmt.Errorf("default_transaction_read_only is %s", is)
		}
		return nil
	})
}

// signals: "fast" does not wait for clients, "immediate" gives the shared memory
// back.
func (postgres) signals() (orderly, quick os.Signal) { return syscall.SIGINT, syscall.SIGQUIT }
