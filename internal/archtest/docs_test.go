package archtest

// This file holds docs/security.md to the tree: every requirement of
// docs/requirements.md has a row there, and every test a row names exists.

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A requirement is one line of docs/requirements.md.
type requirement struct{ id, priority, clauses string }

// A claim is one row of docs/security.md.
type claim struct {
	requirement
	tests []string // as written: package.TestName/subtest
	waits string   // what the rest waits for, "" for nothing
}

func TestSecurityTable(t *testing.T) {
	t.Parallel()
	requirements, bad := parseRequirements(readDoc(t, "requirements.md"))
	claims, more := parseClaims(readDoc(t, "security.md"))
	bad = slices.Concat(bad, more, checkClaims(requirements, claims, testsOf(t)))
	for _, complaint := range bad {
		t.Error(complaint)
	}
	shown := 0
	for _, c := range claims {
		if len(c.tests) > 0 {
			shown++
		}
	}
	t.Logf("%d of %d requirements name a test", shown, len(requirements))
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var requirementLine = regexp.MustCompile(`^- \*\*(R-\d{3})\*\* · (P[012]) · ([^·]*) · \S`)

func parseRequirements(text string) (all []requirement, bad []string) {
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "- **R-") {
			continue
		}
		m := requirementLine.FindStringSubmatch(line)
		if m == nil {
			bad = append(bad, fmt.Sprintf("requirements.md:%d: not of the form - **R-000** · P0 · clauses · text", i+1))
			continue
		}
		all = append(all, requirement{m[1], m[2], m[3]})
	}
	return all, bad
}

var (
	quoted   = regexp.MustCompile("`([^`]*)`")
	testName = regexp.MustCompile(`^([a-z0-9_/]+)\.((?:Test|Fuzz|Example)[A-Za-z0-9_]*)((?:/[^/]+)*)$`)
)

func parseClaims(text string) (all []claim, bad []string) {
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "| R-") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 4 {
			bad = append(bad, fmt.Sprintf("security.md:%d: %d cells, not 4", i+1, len(cells)))
			continue
		}
		c := claim{requirement: requirement{cells[0], cells[1], cells[2]}}
		shownBy, waits, _ := strings.Cut(cells[3], "waits for:")
		c.waits = strings.TrimSpace(waits)
		for _, q := range quoted.FindAllStringSubmatch(shownBy, -1) {
			c.tests = append(c.tests, q[1])
		}
		all = append(all, c)
	}
	return all, bad
}

// checkClaims compares the requirements, the rows and the tests that there are:
// per package and function, the string literals of its file.
func checkClaims(requirements []requirement, claims []claim, tests map[string]map[string][]string) (bad []string) {
	complain := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	wanted := map[string]requirement{}
	for _, r := range requirements {
		if _, twice := wanted[r.id]; twice {
			complain("requirements.md: %s stands there twice", r.id)
		}
		wanted[r.id] = r
	}
	if len(wanted) == 0 {
		complain("requirements.md: no requirement found")
	}
	for _, c := range claims {
		r, ok := wanted[c.id]
		switch {
		case !ok:
			complain("security.md: %s is no requirement, or has two rows", c.id)
		case r != c.requirement:
			complain("security.md: %s is %s (%s), in requirements.md %s (%s)", c.id, c.priority, c.clauses, r.priority, r.clauses)
		}
		delete(wanted, c.id)
		if len(c.tests) == 0 && c.waits == "" {
			complain("security.md: %s claims nothing: name a test, or say what it waits for", c.id)
		}
		for _, name := range c.tests {
			if why := missing(name, tests); why != "" {
				complain("security.md: %s: %s: %s", c.id, name, why)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		complain("security.md: %s has no row", id)
	}
	return bad
}

// missing says what of a named test is not there, or "".
func missing(name string, tests map[string]map[string][]string) string {
	m := testName.FindStringSubmatch(name)
	if m == nil {
		return "not of the form package.TestName/subtest"
	}
	functions, ok := tests[m[1]]
	if !ok {
		// The last element will do where only one package ends with it.
		var found []string
		for room := range tests {
			if strings.HasSuffix(room, "/"+m[1]) {
				found = append(found, room)
			}
		}
		if len(found) != 1 {
			return fmt.Sprintf("%d packages with tests go by that name", len(found))
		}
		functions = tests[found[0]]
	}
	literals, ok := functions[m[2]]
	if !ok {
		return "no such test"
	}
	for sub := range strings.SplitSeq(strings.TrimPrefix(m[3], "/"), "/") {
		if sub != "" && !slices.Contains(literals, sub) {
			return fmt.Sprintf("no subtest %q in its file", sub)
		}
	}
	return ""
}

// testsOf reads every test file: room -> function -> the string literals of the
// file, written as the testing package writes names of subtests.
func testsOf(t *testing.T) map[string]map[string][]string {
	t.Helper()
	all := map[string]map[string][]string{}
	goFiles(t, func(name string) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		functions, literals := testFunctions(f)
		for _, fn := range functions {
			if all[roomOfFile(name)] == nil {
				all[roomOfFile(name)] = map[string][]string{}
			}
			all[roomOfFile(name)][fn] = literals
		}
	})
	return all
}

func testFunctions(f *ast.File) (functions, literals []string) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
			for _, prefix := range []string{"Test", "Fuzz", "Example"} {
				if strings.HasPrefix(fn.Name.Name, prefix) && fn.Name.Name != "TestMain" {
					functions = append(functions, fn.Name.Name)
				}
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				literals = append(literals, strings.ReplaceAll(s, " ", "_"))
			}
		}
		return true
	})
	return functions, literals
}

func TestSecurityTableRules(t *testing.T) {
	t.Parallel()
	const requirements = "text\n- **R-001** · P0 · NIST 1 · One.\n- **R-002** · P1 · ASVS 2 · Two.\n"
	const second = "| R-002 | P1 | ASVS 2 | waits for: more stores |\n"
	f, err := parser.ParseFile(token.NewFileSet(), "x_test.go",
		"package x\nfunc TestA() { t.Run(\"same code\", nil) }\nfunc (s) TestB() {}\n", parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	functions, literals := testFunctions(f)
	if len(functions) != 1 {
		t.Fatalf("functions: %q", functions)
	}
	tests := map[string]map[string][]string{"mfa": {functions[0]: literals}, "a/x": {"TestA": nil}, "b/y": {}, "c/y": {}}
	cases := map[string]struct {
		rows string
		want int
	}{
		"as it should be":   {"| R-001 | P0 | NIST 1 | `mfa.TestA`, `mfa.TestA/same_code`, `x.TestA`, `a/x.TestA` |\n" + second, 0},
		"in part":           {"| R-001 | P0 | NIST 1 | `mfa.TestA`; waits for: WebAuthn |\n" + second, 0},
		"no row":            {second, 1},
		"claims nothing":    {"| R-001 | P0 | NIST 1 | |\n" + second, 1},
		"waits for nothing": {"| R-001 | P0 | NIST 1 | waits for: |\n" + second, 1},
		"no such test":      {"| R-001 | P0 | NIST 1 | `mfa.TestB` |\n" + second, 1},
		"no such subtest":   {"| R-001 | P0 | NIST 1 | `mfa.TestA/other_code` |\n" + second, 1},
		"no such package":   {"| R-001 | P0 | NIST 1 | `totp.TestA` |\n" + second, 1},
		"two such packages": {"| R-001 | P0 | NIST 1 | `y.TestA` |\n" + second, 1},
		"no test":           {"| R-001 | P0 | NIST 1 | `all of them` |\n" + second, 1},
		"other priority":    {"| R-001 | P1 | NIST 1 | `mfa.TestA` |\n" + second, 1},
		"other clauses":     {"| R-001 | P0 | NIST 2 | `mfa.TestA` |\n" + second, 1},
		"two rows":          {"| R-001 | P0 | NIST 1 | `mfa.TestA` |\n" + second + second, 1},
		"no requirement":    {"| R-001 | P0 | NIST 1 | `mfa.TestA` |\n| R-003 | P0 | NIST 1 | `mfa.TestA` |\n" + second, 1},
	}
	for name, tt := range cases {
		wanted, bad := parseRequirements(requirements)
		claims, more := parseClaims(tt.rows)
		bad = slices.Concat(bad, more, checkClaims(wanted, claims, tests))
		if len(bad) != tt.want {
			t.Errorf("%s: %d complaints, want %d: %q", name, len(bad), tt.want, bad)
		}
	}
	if _, bad := parseRequirements("- **R-001** P0 NIST"); len(bad) != 1 {
		t.Errorf("a malformed requirement: %q", bad)
	}
	if _, bad := parseClaims("| R-001 | P0 | `mfa.TestA` |"); len(bad) != 1 {
		t.Errorf("a malformed row: %q", bad)
	}
}
