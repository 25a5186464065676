package webapp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

const (
	email    = "ann@example.com"
	password = "correct horse"
	mistaken = "qx7x7q" // a password that no server here takes

	patience = time.Minute // for a program that should end, or serve
)

// Wherever the factors lie, signing in is the same: through a restart, and with
// two processes that share shop and factors.
func TestEveryServer(t *testing.T) {
	t.Parallel()
	exe := build(t)
	for _, kind := range servers.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			db := servers.Shared(t, kind).URL(t)
			goThrough(t, exe, kind, db)
			if kind != servers.SQLite {
				refused(t, exe, db)
			}
		})
	}
}

func goThrough(t *testing.T, exe string, kind servers.Kind, db string) {
	shop := filepath.Join(t.TempDir(), "shop.db")
	one := start(t, exe, "localhost:0", shop, db)
	two := start(t, exe, "localhost:0", shop, db)
	told(t, one, kind, shop)
	ann := newBrowser(t, one)
	ann.post("/signup", "email", email, "password", password).want(200, "Good tea")
	app, codes := ann.turnOn()
	ann.logOut()

	// An app's code, at the process that did not ask for it. It is used up at both.
	step := ann.post("/login", "email", email, "password", password).want(200, "One more step")
	code := app.Code(time.Now().Add(30 * time.Second)) // that of now was used to turn it on
	ann.site = two
	ann.verify(step, "totp", code).want(200, "Good tea")
	ann.get("/mfa/").want(200, "10 left")
	ann.logOut()
	step = ann.post("/login", "email", email, "password", password).want(200, "One more step")
	ann.site = one
	ann.verify(step, "totp", code).want(422, "not accepted")
	one.end()
	two.end()

	// A backup code, at a process that remembers nothing.
	one = start(t, exe, strings.TrimPrefix(one.url, "http://"), shop, db)
	ann.site = one
	step = ann.post("/login", "email", email, "password", password).want(200, "One more step")
	ann.verify(step, "backup", codes[0]).want(200, "Good tea")
	ann.get("/mfa/").want(200, "9 left")
	ann.logOut()
	step = ann.post("/login", "email", email, "password", password).want(200, "One more step")
	ann.verify(step, "backup", codes[0]).want(422, "not accepted")
	one.end()

	// The factors are where they should be.
	st, err := servers.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if ids, _, err := st.UserIDs(t.Context(), "", 10); err != nil || len(ids) != 1 {
		t.Errorf("the server has the factors of %q, %v; want one user", ids, err)
	}
}

// told checks what the program says: where the factors are, and how they could
// be lost.
func told(t *testing.T, s *site, kind servers.Kind, shop string) {
	t.Helper()
	want := map[servers.Kind]string{
		servers.PostgreSQL: "PostgreSQL at 127.0.0.1:", servers.MariaDB: "MySQL at 127.0.0.1:", servers.RedisCluster: "Redis Cluster at 127.0.0.1:",
		servers.Redis: "Redis at 127.0.0.1:", servers.Miniredis: "Redis at 127.0.0.1:",
	}[kind]
	for _, text := range []string{"Data: " + shop + " ", "Factors: " + want, "Sealing key: " + shop + ".key"} {
		if !strings.Contains(s.said, text) {
			t.Errorf("it does not say %q:\n%s", text, s.said)
		}
	}
	warned := strings.Contains(s.said, "Warning: whether Redis could lose factors is not known")
	if warned != (kind == servers.Miniredis) || strings.Count(s.said, "Warning:") > 1 {
		t.Errorf("warnings on %s:\n%s", kind, s.said)
	}
}

// turnOn goes through the wizard.
func (b *browser) turnOn() (app *mfatest.App, codes []string) {
	b.t.Helper()
	scan := b.post("/mfa/enroll", "kind", "totp", "name", "my phone").want(200, "Scan this code")
	app, err := mfatest.NewApp(scan.fields("uri")[0])
	if err != nil {
		b.t.Fatal(err)
	}
	done := b.post("/mfa/confirm", "kind", "totp", "enrollment_id", scan.fields("enrollment_id")[0], "code", app.Code(time.Now())).
		want(200, "Save your backup codes")
	return app, done.fields("codes")
}

func (b *browser) logOut() { b.t.Helper(); b.post("/logout").want(200, "You are signed out") }

func (b *browser) verify(step *page, kind, code string) *page {
	b.t.Helper()
	return b.post("/mfa/sign-in/verify", "token", step.fields("token")[0], "kind", kind, "code", code)
}

// refused: a server that does not let the program in is told at the start, and not
// the password. (PostgreSQL here lets in whoever comes, so there it is a database
// that is missing.)
func refused(t *testing.T, exe, db string) {
	t.Helper()
	scheme, rest, _ := strings.Cut(db, "://")
	if _, after, ok := strings.Cut(rest, "@"); ok {
		rest = after
	}
	db = fmt.Sprintf("%s://mfa:%s@%s", scheme, mistaken, rest)
	if scheme == "postgres" {
		db = strings.Replace(db, "/mfa?", "/missing?", 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-addr", "localhost:0", "-shop", filepath.Join(t.TempDir(), "shop.db"), "-db", db)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := launch(cmd); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if err == nil || !strings.Contains(out.String(), "127.0.0.1:") || strings.Contains(out.String(), "Stop:") {
		t.Errorf("it started, or did not say where it could not: %v\n%s", err, out.String())
	}
	if strings.Contains(out.String(), mistaken) {
		t.Errorf("it shows the password:\n%s", out.String())
	}
}

// A Redis that may lose factors is told at the start.
func TestWarning(t *testing.T) {
	t.Parallel()
	exe := build(t)
	server := servers.New(t, servers.Redis)
	db := server.URL(t)
	st, err := servers.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Client.ConfigSet(t.Context(), "appendfsync", "everysec").Err(); err != nil {
		t.Fatal(err)
	}
	s := start(t, exe, "localhost:0", filepath.Join(t.TempDir(), "shop.db"), db)
	if want := "Warning: redis " + server.Addrs()[0] + ": appendfsync is everysec"; !strings.Contains(s.said, want) {
		t.Errorf("it does not say %q:\n%s", want, s.said)
	}
	s.end()
}
