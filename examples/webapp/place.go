package main

// What -db may say. Most of this is for not repeating a password when it says
// something else; an application with one kind of database needs none of it.

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-f4994bf1/mfa"
)

// The forms of -db.
const forms = `FILE or sqlite:FILE,
postgres://user:password@host:port/database?sslmode=verify-full,
mysql://user:password@host:port/database?tls=true,
redis://user:password@host:port/0 or, with TLS, rediss://,
redis+cluster://user:password@host:port,host:port,host:port or rediss+cluster://;
prefix=shop_ among a server's settings begins the names of the tables or keys`

// A place is where the factors lie. However it is printed, user and password are
// not.
type place struct {
	scheme   string
	file     string   // of SQLite
	hosts    []string // host:port of the servers, several for a cluster
	user     string
	password mfa.Secret
	database string
	settings url.Values
}

func (p place) GoString() string { return p.String() }

func (p place) String() string {
	if p.scheme == "sqlite" {
		return p.file
	}
	s := kinds()[p.scheme].name + " at " + strings.Join(p.hosts, ",")
	if p.database != "" {
		s += ", database " + p.database
	}
	return s
}

// A kind is that of a server.
type kind struct {
	name, port string
	settings   []string
}

// kinds are those of servers, by the scheme of their URLs.
func kinds() map[string]kind {
	prefix := []string{"prefix"}
	return map[string]kind{
		"postgres":       {"PostgreSQL", "5432", []string{"prefix", "sslmode", "sslrootcert"}},
		"mysql":          {"MySQL", "3306", []string{"prefix", "tls"}},
		"redis":          {"Redis", "6379", prefix},
		"rediss":         {"Redis", "6379", prefix},
		"redis+cluster":  {"Redis Cluster", "6379", prefix},
		"rediss+cluster": {"Redis Cluster", "6379", prefix},
	}
}

// parsePlace reads -db. What it refuses it does not repeat: there is a password in
// it, and a mistake can make any part of the text one.
func parsePlace(text string) (*place, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch {
	case text == "": // an unset variable, perhaps: other factors than meant would be none at all
		return nil, errors.New("is empty")
	case !looksLikeURL(text):
		return &place{scheme: "sqlite", file: text}, nil
	case scheme == "sqlite":
		if rest == "" || strings.HasPrefix(rest, "//") {
			return nil, errors.New("behind sqlite: comes the name of a file, without // before it")
		}
		return &place{scheme: "sqlite", file: rest}, nil
	case scheme == "postgresql":
		scheme = "postgres"
	}
	if kinds()[scheme].name == "" {
		return nil, fmt.Errorf("is no URL that is known here. It is\n%s", forms)
	}
	return parseServer(scheme, rest)
}

// looksLikeURL says whether a text is no plain file name. One letter before a
// colon is a drive.
func looksLikeURL(text string) bool {
	before, _, found := strings.Cut(text, ":")
	return found && len(before) > 1 && !strings.ContainsAny(before, `/\`) || strings.Contains(text, "://")
}

// parseServer reads what stands behind the scheme and its colon. A package for URLs
// knows one host at a time.
func parseServer(scheme, rest string) (*place, error) {
	malformed := fmt.Errorf("%s: is malformed. In user and password write %%40 for @, %%2F for /, %%3F for ?, %%23 for # and %%25 for %%", scheme)
	rest, found := strings.CutPrefix(rest, "//")
	if !found {
		return nil, malformed
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndex(rest[:end], "@") + 1
	p := &place{scheme: scheme}
	for host := range strings.SplitSeq(rest[at:end], ",") {
		u, err := url.Parse(scheme + "://" + rest[:at] + host + rest[end:])
		if err != nil || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && u.Host[0] != '[' || u.Fragment != "" {
			return nil, malformed
		}
		p.hosts = append(p.hosts, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), kinds()[scheme].port)))
		p.user, p.database = u.User.Username(), strings.TrimPrefix(u.Path, "/")
		password, _ := u.User.Password()
		p.password = mfa.Secret(password)
		if p.settings, err = url.ParseQuery(u.RawQuery); err != nil || strings.ContainsAny(p.database, "/@:?#") {
			return nil, malformed
		}
	}
	return p, p.check()
}

// check finds what a driver would not, or would tell with the whole URL.
func (p *place) check() error {
	cluster := strings.HasSuffix(p.scheme, "+cluster")
	known := kinds()[p.scheme].settings
	for name, values := range p.settings {
		if !slices.Contains(known, name) || len(values) != 1 {
			return fmt.Errorf("%s: takes these settings, each once: %s", p.scheme, strings.Join(known, ", "))
		}
	}
	switch {
	case len(p.hosts) > 1 && !cluster:
		return fmt.Errorf("%s: takes one host", p.scheme)
	case cluster && p.database != "":
		return fmt.Errorf("%s: a cluster has no database to name", p.scheme)
	case strings.HasPrefix(p.scheme, "redis"):
		if n, err := strconv.Atoi(cmp.Or(p.database, "0")); err != nil || n < 0 {
			return fmt.Errorf("%s: a database of Redis is a number", p.scheme)
		}
	case p.database == "":
		return fmt.Errorf("%s: names no database", p.scheme)
	}
	return nil
}
