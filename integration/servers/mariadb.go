package servers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// mariadb is MariaDB: one process.
type mariadb struct{}

// firstWords are said to a new server. The stores' user may do anything in their
// database, and write nothing while the server is read-only.
const firstWords = `CREATE DATABASE ` + database + `;
CREATE USER '` + user + `'@'127.0.0.1';
GRANT ALL ON ` + database + `.* TO '` + user + `'@'127.0.0.1';
CREATE USER 'admin'@'127.0.0.1';
GRANT ALL ON *.* TO 'admin'@'127.0.0.1';
`

func (mariadb) prepare(s *Server) error {
	install, err := find("mariadb-server", "mariadb-install-db", "mysql_install_db")
	if err != nil {
		return err
	}
	server, err := find("mariadb-server", "mariadbd")
	if err != nil {
		return err
	}
	as, err := accountFor("mysql")
	if err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	if err := s.disk(data, as, "96m"); err != nil {
		return err
	}
	// A MariaDB that starts removes what it takes for its own temporary tables.
	temporary := filepath.Join(s.folder, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return err
	}
	if err := as.own(temporary); err != nil {
		return err
	}
	n, err := s.newNode(data)
	if err != nil {
		return err
	}
	setup := process{
		path: install, as: as, dir: s.folder, log: filepath.Join(s.folder, "log-install"),
		args: []string{
			"--no-defaults", "--datadir=" + data, "--tmpdir=" + temporary, "--auth-root-authentication-method=normal", "--skip-test-db",
			"--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
		},
	}
	if err := setup.run(); err != nil {
		return err
	}
	words := filepath.Join(s.folder, "words.sql")
	if err := os.WriteFile(words, []byte(firstWords), 0o644); err != nil {
		return err
	}
	n.path, n.as = server, as
	n.args = []string{
		"--no-defaults", "--datadir=" + data, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(n.port),
		"--socket=" + filepath.Join(data, "socket"), "--pid-file=" + filepath.Join(data, "pid"), "--tmpdir=" + temporary,
		"--skip-name-resolve", "--max-connections=200", "--innodb-log-file-size=8M", "--init-file=" + words,
	}
	return nil
}

// mariadbAdmin returns a connection for one piece of work.
func mariadbAdmin(n *node) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.Logger = "admin", "tcp", n.addr, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (mariadb) ready(ctx context.Context, n *node) error {
	db, err := mariadbAdmin(n)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

// furnish: the server has read its first words before it answered.
func (mariadb) furnish(_ context.Context, s *Server) error {
	n := s.nodes[0]
	n.args = n.args[:len(n.args)-1]
	return nil
}

func (mariadb) settled(context.Context, *Server) error { return nil }

func (mariadb) forbid(ctx context.Context, s *Server, on bool) error {
	db, err := mariadbAdmin(s.nodes[0])
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, fmt.Sprintf("SET GLOBAL read_only = %t", on))
	return err
}

func (mariadb) signals() (orderly, quick os.Signal) { return syscall.SIGTERM, os.Kill }
