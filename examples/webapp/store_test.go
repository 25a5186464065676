package main

// Where the factors lie: which URLs are taken, that none is repeated, and which
// files there are in the end. Real servers are in the module integration.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/vault"
)

func TestPlaceForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, scheme, shown, user, password, database, settings string }{
		{"webapp.db", "sqlite", "webapp.db", "", "", "", ""},
		{"a b?c#d%41@.db", "sqlite", "a b?c#d%41@.db", "", "", "", ""},
		{"./odd:name.db", "sqlite", "./odd:name.db", "", "", "", ""},
		{"/var/lib/odd:name.db", "sqlite", "/var/lib/odd:name.db", "", "", "", ""},
		{`C:\shop\webapp.db`, "sqlite", `C:\shop\webapp.db`, "", "", "", ""},
		{"sqlite:webapp.db", "sqlite", "webapp.db", "", "", "", ""},
		{"sqlite:/var/lib/shop?.db", "sqlite", "/var/lib/shop?.db", "", "", "", ""},
		{"sqlite:odd:name.db", "sqlite", "odd:name.db", "", "", "", ""},
		{"postgres://shop:secret@db.example:5433/tea", "postgres", "PostgreSQL at db.example:5433, database tea", "shop", "secret", "tea", ""},
		{
			"postgresql://shop@db.example/tea?sslmode=verify-full&prefix=shop_", "postgres", "PostgreSQL at db.example:5432, database tea",
			"shop", "", "tea", "prefix=shop_&sslmode=verify-full",
		},
		{"postgres://[::1]:5433/tea", "postgres", "PostgreSQL at [::1]:5433, database tea", "", "", "tea", ""},
		{"mysql://shop:p%40s%2Fs%3Aw%23%3F%25@127.0.0.1/tea?tls=true", "mysql", "MySQL at 127.0.0.1:3306, database tea", "shop", "p@s/s:w#?%", "tea", "tls=true"},
		{"mysql://shop:p@ss:word@127.0.0.1:3307/tea", "mysql", "MySQL at 127.0.0.1:3307, database tea", "shop", "p@ss:word", "tea", ""},
		{"redis://127.0.0.1:6380/3", "redis", "Redis at 127.0.0.1:6380, database 3", "", "", "3", ""},
		{"rediss://:secret@cache.example", "rediss", "Redis at cache.example:6379", "", "secret", "", ""},
		{
			"redis+cluster://shop:se,cret@a:7000,b,[::1]:7002?prefix=shop:", "redis+cluster", "Redis Cluster at a:7000,b:6379,[::1]:7002",
			"shop", "se,cret", "", "prefix=shop%3A",
		},
		{"rediss+cluster://a:7000", "rediss+cluster", "Redis Cluster at a:7000", "", "", "", ""},
	} {
		p, err := parsePlace(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := [...]string{p.scheme, p.String(), p.user, p.password.Reveal(), p.database, p.settings.Encode()}
		if want := [...]string{c.scheme, c.shown, c.user, c.password, c.database, c.settings}; got != want {
			t.Errorf("%s:\n%q, want\n%q", c.text, got, want)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if s := fmt.Sprintf(verb, p) + fmt.Sprintf(verb, *p); c.password != "" && strings.Contains(s, c.password) {
				t.Errorf("%s shows the password: %s", verb, s)
			}
		}
	}
}

// What is refused says why, and shows nothing that may be a part of a password.
func TestPlaceRefused(t *testing.T) {
	t.Parallel()
	const form, malformed = "It is", "is malformed. In user and password"
	for text, want := range map[string]string{
		"":                                     "is empty",
		"sqlite:":                              "name of a file",
		"sqlite://shop.db":                     "name of a file",
		"postgers://shop:qx7@h:1/tea":          form,
		"shop:qx7@h:1/tea":                     form,
		"my_shop:qx7@h/tea":                    form,
		"://shop:qx7@h:1/tea":                  form,
		"/a/://shop:qx7@h":                     form,
		"file:shop.db":                         form,
		"POSTGRES://shop:qx7@h/tea":            form,
		"rediss+sentinel://:qx7@h:1":           form,
		"postgres:shop:qx7@h:1/tea":            malformed,
		"postgres:/shop:qx7@h:1/tea":           malformed,
		"postgres://shop:qx7/x7q@h:1/tea":      malformed,
		"postgres://shop:qx7#x7q@h:1/tea":      malformed,
		"postgres://shop:qx7?x7q@h:1/tea":      malformed,
		"postgres://shop:7/x7q@h":              malformed,
		"postgres://shop:7/x7q":                "", // a port and a database; where that is, it says when it does not answer
		"postgres://shop:7?x7q@h/tea":          "takes these settings",
		"postgres://shop:qx7%zz@h:1/tea":       malformed,
		"postgres://shop:qx7%2@h:1/tea":        malformed,
		"postgres://shop:qx7@h:port/tea":       malformed,
		"postgres://shop:qx7@/tea":             malformed,
		"postgres://shop:qx7@:1/tea":           malformed,
		"postgres://shop:qx7@h x/tea":          malformed,
		"postgres://shop:qx7@a:1:2/tea":        malformed,
		"postgres://shop:qx7@h:1/tea#qx7":      malformed,
		"postgres://shop:qx7@h:1/tea/qx7":      malformed,
		"postgres://shop:qx7@h:1/tea?a=%zz":    malformed,
		"postgres://shop:qx7@h:1":              "names no database",
		"postgres://shop:qx7@a:1,b:2/tea":      "takes one host",
		"postgres://shop@h:1/tea?password=qx7": "takes these settings",
		"postgres://shop:qx7@h:1/tea?host=qx7": "takes these settings",
		"postgres://shop:qx7@h:1/tea?sslmode=require&sslmode=disable": "takes these settings",
		"mysql://shop:qx7@h:1/":                              "names no database",
		"mysql://shop:qx7@h:1/tea?sslmode=require":           "takes these settings",
		"mysql://shop:qx7@h:1/tea?allowCleartextPasswords=1": "takes these settings",
		"redis://:qx7@h:1/tea":                               "is a number",
		"redis://:qx7@h:1/-1":                                "is a number",
		"redis://:qx7@a:1,b:2/0":                             "takes one host",
		"redis+cluster://:qx7@a:1,b:2/0":                     "no database",
		"redis+cluster://:qx7@a:1,,b:2":                      malformed,
		"redis+cluster://:qx7@a:1,b:2,":                      malformed,
		"redis+cluster://:qx7@a:1,x7q@b:2":                   "", // what stands before the last @ is a password
		"postgres://shop:qx7@h:1/tea?sslmode=qx7":            "", // the driver's to refuse
	} {
		p, err := parsePlace(text)
		if want == "" {
			if err != nil || strings.Contains(p.String(), "qx7@") {
				t.Errorf("%s: %v, %v", text, p, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		// As a person sees it.
		err = run(t.Context(), []string{"-addr", "localhost:0", "-shop", t.TempDir() + "/shop.db", "-db", text}, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "-db ") {
			t.Errorf("%s: %v", text, err)
		}
		for _, part := range []string{"qx7", "x7q"} {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), part) {
				t.Errorf("%s: the error shows %s: %v", text, part, err)
			}
		}
	}
	err := run(t.Context(), []string{"-shop", "postgres://shop:qx7@h:1/tea"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-db a URL") || strings.Contains(err.Error(), "qx7") {
		t.Errorf("-shop with a URL: %v", err)
	}
}

// A server that is not there, or a setting that the driver refuses, is told at the
// start, and not the password.
func TestServerAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"postgres://shop:qx7@" + free + "/tea", "postgres://shop:qx7@" + free + "/tea?sslmode=sure",
		"mysql://shop:qx7@" + free + "/tea", "mysql://shop:qx7@" + free + "/tea?tls=sure",
		"redis://shop:qx7@" + free + "/0", "rediss://:qx7@" + free, "redis+cluster://:qx7@" + free + "," + free,
		"postgres://shop:qx7@" + free + "/tea?prefix=no-", "redis://:qx7@" + free + "?prefix={no}",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), []string{"-addr", "localhost:0", "-shop", t.TempDir() + "/shop.db", "-db", url}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), free) {
				t.Errorf("%v, want one that names %s", err, free)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), "qx7") {
				t.Errorf("it shows the password: %v", err)
			}
		})
	}
}

// said starts the program, waits until it serves, ends it, and returns what it said.
func said(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr", "localhost:0"}, args...), w)
		_ = w.CloseWithError(err)
		done <- err
	}()
	var b strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fmt.Fprintln(&b, lines.Text())
		if strings.Contains(lines.Text(), "Stop:") {
			cancel()
		}
	}
	if err := <-done; err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return b.String()
}

// Without -db everything is in one file, and with a file in that one; -shop takes
// the two apart. What SQLite keeps beside a file while it is open shows what was
// not closed.
func TestFiles(t *testing.T) {
	const data, key = "Data: %s   Factors: %s   Sealing key: %s   Stop: Ctrl+C\n", "webapp.db.key"
	for _, c := range []struct {
		name, args, welcome string
		files               []string
		shop, factors       string
	}{
		{"none", "", fmt.Sprintf(data, "webapp.db", "webapp.db", key), []string{"webapp.db", key}, "webapp.db", "webapp.db"},
		{"file", "-db some.db", fmt.Sprintf(data, "some.db", "some.db", "some.db.key"), []string{"some.db", "some.db.key"}, "some.db", "some.db"},
		{"sqlite:", "-db sqlite:some.db", fmt.Sprintf(data, "some.db", "some.db", "some.db.key"), []string{"some.db", "some.db.key"}, "some.db", "some.db"},
		{"shop alone", "-shop own.db", fmt.Sprintf(data, "own.db", "own.db", "own.db.key"), []string{"own.db", "own.db.key"}, "own.db", "own.db"},
		{
			"both", "-shop own.db -db some.db", fmt.Sprintf(data, "own.db", "some.db", "own.db.key"),
			[]string{"own.db", "own.db.key", "some.db"}, "own.db", "some.db",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for range 2 { // the second time it finds what is there
				if out := said(t, strings.Fields(c.args)...); !strings.Contains(out, c.welcome) {
					t.Errorf("it says\n%swant\n%s", out, c.welcome)
				}
				entries, err := os.ReadDir(".")
				if err != nil {
					t.Fatal(err)
				}
				var files []string
				for _, e := range entries {
					files = append(files, e.Name())
				}
				if !slices.Equal(files, c.files) {
					t.Errorf("%q, want %q", files, c.files)
				}
			}
			for _, file := range c.files {
				if strings.HasSuffix(file, ".key") {
					continue
				}
				for table, of := range map[string]string{"users": c.shop, "mfa_record": c.factors} {
					if has(t, file, table) != (file == of) {
						t.Errorf("%s in %s: %t", table, file, file != of)
					}
				}
			}
		})
	}
}

func has(t *testing.T, file, table string) (found bool) {
	t.Helper()
	db, err := openSQLite(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?)`, table).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

// Factors under another shop's key are told at the start.
func TestOtherShop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	factors := &place{scheme: "sqlite", file: dir + "/factors.db"}
	m, err := newMailer("")
	if err != nil {
		t.Fatal(err)
	}
	a, err := open(t.Context(), dir+"/one.db", factors, m, "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	err = a.guard.SignOutEverywhere(t.Context(), "somebody") // makes a record
	a.close()
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t.Context(), dir+"/two.db", factors, m, "http://localhost")
	if !errors.Is(err, vault.ErrUnknownKey) || !strings.Contains(err.Error(), "factors.db, with the key") {
		t.Errorf("the factors of another shop: %v", err)
	}
}
