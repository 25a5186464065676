package archtest

// This file holds the tree to the rules, and shows each rule complaining about
// a package that breaks it.

import (
	"strings"
	"testing"
)

func TestTree(t *testing.T) {
	t.Parallel()
	all := rooms(t)
	if len(all) < 2 {
		t.Fatalf("read %d packages: the tree is not where it is looked for", len(all))
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range all {
				for _, complaint := range rule.check(r) {
					t.Errorf("%s\n\trule: %s", complaint, rule.what)
				}
			}
		})
	}
}

// TestExceptions: an exception that nothing needs any more goes away.
func TestExceptions(t *testing.T) {
	t.Parallel()
	byName := map[string]*room{}
	for _, r := range rooms(t) {
		byName[r.name] = r
	}
	// Of a room that is not there nothing is said: it may come.
	for what, reason := range allowedVars {
		name, variable, _ := strings.Cut(what, ".")
		if r := byName[name]; r != nil && !declares(r, variable) {
			t.Errorf("allowedVars: %s is not there", what)
		}
		if len(reason) < 10 {
			t.Errorf("allowedVars: %s has no reason", what)
		}
	}
	for what, reason := range allowedReaders {
		name, _, _ := strings.Cut(what, ".")
		if _, ok := table[name]; !ok || len(reason) < 10 {
			t.Errorf("allowedReaders: %s: no such room, or no reason", what)
		}
	}
	for name, reason := range allowedClocks {
		if _, ok := table[name]; !ok || len(reason) < 10 {
			t.Errorf("allowedClocks: %s: no such room, or no reason", name)
		}
	}
	for name := range table {
		if byName[name] == nil {
			t.Logf("the table has a row for %s, which is not there (yet)", name)
		}
	}
}

func declares(r *room, variable string) bool {
	for _, f := range r.files {
		for v := range packageVars(f) {
			if v.name.Name == variable {
				return true
			}
		}
	}
	return false
}

func TestRules(t *testing.T) {
	t.Parallel()
	imp := func(path string) string { return "package p\nimport _ \"" + path + "\"\n" }
	own := func(name string) string { return imp(modulePath + "/" + name) }
	tests := map[string]struct{ rule, room, red, green string }{
		"unknown room": {"room", "util", "package util", ""},
		"program":      {"room", "examples/webapp", "", "package main"},

		"third party":         {"imports", "vault", imp("github.com/pquerna/otp"), imp("github.com/fxamacker/cbor/v2")},
		"third party, like":   {"imports", "totp", imp("github.com/pquerna/otpx"), imp("github.com/pquerna/otp/hotp")},
		"not in the row":      {"imports", "store/memstore", own("vault"), own("store")},
		"not in the row, up":  {"imports", "vault", imp(modulePath), own("store")},
		"dot import":          {"imports", "mfa", "package p\nimport . \"strings\"", "package p\nimport \"strings\""},
		"root imports factor": {"imports", "mfa", own("totp"), own("vault")},
		"pages import factor": {"imports", "mfahttp", own("backupcodes"), imp(modulePath)},

		"factor to factor":      {"layers", "totp", own("backupcodes"), imp(modulePath)},
		"store to factor":       {"layers", "store/memstore", own("totp"), own("store")},
		"store to vault":        {"layers", "store", own("vault"), ""},
		"vault up":              {"layers", "vault", imp(modulePath), own("store")},
		"vault to one store":    {"layers", "vault", own("store/memstore"), own("store")},
		"core to factor":        {"layers", "mfa", own("totp"), own("vault")},
		"core to pages":         {"layers", "mfa", own("mfahttp"), own("vault")},
		"pages to factor":       {"layers", "mfahttp", own("totp"), imp(modulePath)},
		"pages to store":        {"layers", "mfahttp", own("store"), imp(modulePath)},
		"application to factor": {"layers", "examples/webapp", "", own("totp")},

		"kit":                {"kits", "mfa", own("mfatest"), own("vault")},
		"kit in an example":  {"kits", "examples/webapp", own("store/storetest"), own("totp")},
		"kit in a kit":       {"kits", "mfatest", "", own("store/storetest")},
		"sql":                {"fences", "vault", imp("database/sql"), ""},
		"sql in sqlstore":    {"fences", "store/sqlstore", imp("net/http"), imp("database/sql")},
		"http":               {"fences", "mfa", imp("net/http"), imp("net/url")},
		"http in the pages":  {"fences", "mfahttp", imp("net/smtp"), imp("net/http")},
		"testing":            {"fences", "mfa", imp("testing"), ""},
		"testing in a kit":   {"fences", "mfatest", imp("os/exec"), imp("testing")},
		"log":                {"fences", "mfa", imp("log"), imp("log/slog")},
		"program and fences": {"fences", "examples/webapp", "", imp("net/http")},

		"math/rand":             {"random", "vault", imp("math/rand"), imp("crypto/rand")},
		"math/rand/v2":          {"random", "mfatest", imp("math/rand/v2"), imp("crypto/rand")},
		"math/rand, example":    {"random", "examples/webapp", imp("math/rand/v2"), imp("crypto/rand")},
		"rand.Reader":           {"random", "vault", "package p\nimport \"crypto/rand\"\nvar r = rand.Reader", "package p\nimport \"crypto/rand\"\nfunc f() string { return rand.Text() }"},
		"rand.Int, renamed":     {"random", "totp", "package p\nimport r \"crypto/rand\"\nfunc f() { r.Int(nil, nil) }", "package p\nimport r \"crypto/rand\"\nfunc f() { r.Read(nil) }"},
		"reader as an option":   {"random", "totp", "package p\nimport \"io\"\ntype Options struct { Source io.Reader }", "package p\ntype Options struct { Source string }"},
		"reader as an argument": {"random", "totp", "package p\nimport \"io\"\nfunc New(rand io.Reader) {}", "package p\nimport \"io\"\nfunc Read(r io.Reader) {}"},

		"time.Now":          {"clock", "mfa", "package p\nimport \"time\"\nvar t = time.Now()", "package p\nimport \"time\"\nvar t = time.Unix(0, 0)"},
		"time.Now as value": {"clock", "backupcodes", "package p\nimport \"time\"\nfunc f() { g(time.Now) }", ""},
		"time.Since":        {"clock", "mfahttp", "package p\nimport \"time\"\nfunc f(t time.Time) { time.Since(t) }", ""},
		"the vault's clock": {"clock", "vault", "", "package p\nimport \"time\"\nvar t = time.Now()"},

		"init": {"init", "mfa", "package p\nfunc init() {}", "package p\ntype t int\nfunc (t) init() {}"},

		"go":             {"go", "vault", "package p\nfunc f() { go f() }", "package p\nfunc Run() { go f() }\nfunc f()"},
		"go in a var":    {"go", "vault", "package p\nvar f = func() { go g() }\nfunc g()", ""},
		"WaitGroup.Go":   {"go", "mfa", "package p\nimport \"sync\"\nfunc f() { var w sync.WaitGroup; w.Go(f) }", "package p\nimport \"sync\"\nfunc f() { var w sync.WaitGroup; w.Wait() }"},
		"time.AfterFunc": {"go", "mfa", "package p\nimport \"time\"\nfunc f() { time.AfterFunc(0, f) }", "package p\nimport \"time\"\nfunc f() { time.NewTimer(0) }"},
		"go in a kit":    {"go", "store/storetest", "", "package p\nfunc f() { go f() }"},

		"var":          {"vars", "mfa", "package p\nvar cache = map[string]int{}", "package p\nconst size = 3"},
		"var in group": {"vars", "mfa", "package p\nimport \"errors\"\nvar (\n ErrA = errors.New(\"a\")\n Default *int\n)", "package p\nimport \"errors\"\nvar (\n ErrA = errors.New(\"a\")\n)"},
		"wrapped error": {"vars", "mfa", "package p\nvar errs = []error{}",
			"package p\nimport (\"fmt\"; \"io\")\nvar ErrB = fmt.Errorf(\"%w: b\", io.EOF)"},
		"error of another": {"vars", "mfa", "package p\nimport \"m/vault\"\nvar ErrA = vault.Default",
			"package p\nimport \"m/vault\"\nvar ErrA = vault.ErrA"},
		"assertion": {"vars", "totp", "package p\nvar _ = f()\nfunc f() int", "package p\nvar _ error = (*T)(nil)\ntype T struct{ error }"},
		"embedded":  {"vars", "mfahttp", "package p\nimport \"embed\"\nvar files *embed.FS", "package p\nimport \"embed\"\n//go:embed a\nvar files embed.FS"},
		"regexp":    {"vars", "mfahttp", "package p\nimport \"regexp\"\nvar re *regexp.Regexp", "package p\nimport \"regexp\"\nvar re = regexp.MustCompile(`a`)"},

		"slog":       {"log", "mfa", "package p\nimport \"log/slog\"\nfunc f() { slog.Info(\"x\") }", "package p\nimport \"log/slog\"\nfunc f() slog.Value { return slog.StringValue(\"x\") }"},
		"slog.With":  {"log", "mfa", "package p\nimport \"log/slog\"\nvar l = slog.With(\"a\", 1)", "package p\nimport \"log/slog\"\nvar _ slog.LogValuer = nil"},
		"Logger":     {"log", "mfa", "package p\nimport \"log/slog\"\ntype Options struct { Log *slog.Logger }", ""},
		"fmt.Printf": {"log", "totp", "package p\nimport \"fmt\"\nfunc f() { fmt.Printf(\"x\") }", "package p\nimport \"fmt\"\nfunc f() { _ = fmt.Sprint(1) }"},
		"os.Stderr":  {"log", "vault", "package p\nimport \"os\"\nvar w = os.Stderr", "package p\nimport \"os\"\nvar e = os.ErrNotExist"},
		"println":    {"log", "vault", "package p\nfunc f() { println(1) }", "package p\nfunc f() { panic(1) }"},
	}
	shown := map[string]bool{}
	for name, tt := range tests {
		if tt.red != "" {
			shown[tt.rule] = true
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := ruleNamed(t, tt.rule)
			if tt.red != "" && len(check(parseRoom(t, tt.room, tt.red))) == 0 {
				t.Errorf("rule %s says nothing about\n%s", tt.rule, tt.red)
			}
			if tt.green != "" {
				for _, complaint := range check(parseRoom(t, tt.room, tt.green)) {
					t.Errorf("rule %s complains without cause: %s", tt.rule, complaint)
				}
			}
		})
	}
	for _, rule := range rules {
		if !shown[rule.name] {
			t.Errorf("rule %s is shown red by nothing", rule.name)
		}
	}
}

func ruleNamed(t *testing.T, name string) func(*room) []string {
	t.Helper()
	for _, rule := range rules {
		if rule.name == name {
			return rule.check
		}
	}
	t.Fatalf("no rule %s", name)
	return nil
}
