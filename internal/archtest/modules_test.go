package archtest

// This file holds the modules to their promises: what a user of the root gets,
// what a program compiles that imports one package, and how the modules join.

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestModules(t *testing.T) {
	t.Parallel()
	mods := modules(t)
	var used []string // by the code of the root module
	for _, r := range rooms(t) {
		if moduleOf(r.name, mods).dir == "." {
			r.eachImport(func(_ *ast.ImportSpec, p string) { used = append(used, p) })
		}
	}
	complaints := slices.Concat(checkRootModule(mods[0], used), checkNested(mods), checkWorkspace(readWorkspace(t), mods))
	for _, complaint := range complaints {
		t.Error(complaint)
	}
}

// moduleOf returns the module whose folder a room is in.
func moduleOf(name string, mods []module) module {
	found := mods[0]
	for _, m := range mods[1:] {
		if below(name, m.dir) && len(m.dir) > len(found.dir) {
			found = m
		}
	}
	return found
}

// checkRootModule: the root requires what its code uses of the permitted
// modules, nothing else directly, and no driver in any way.
func checkRootModule(m module, used []string) (bad []string) {
	if m.dir != "." || m.Module.Path != modulePath {
		return []string{fmt.Sprintf("the root module is %s in %q", m.Module.Path, m.dir)}
	}
	if len(m.Replace) > 0 {
		bad = append(bad, "the root's go.mod replaces a module: users would not see it")
	}
	for _, r := range m.Require {
		for _, d := range drivers {
			if below(r.Path, d) {
				bad = append(bad, fmt.Sprintf("the root's go.mod names the driver %s", r.Path))
			}
		}
		inUse := slices.ContainsFunc(used, func(p string) bool { return below(p, r.Path) })
		switch {
		case r.Indirect && inUse:
			bad = append(bad, fmt.Sprintf("%s is used and marked as indirect: run go mod tidy", r.Path))
		case r.Indirect:
		case !slices.Contains(rootModules, r.Path):
			bad = append(bad, fmt.Sprintf("the root requires %s, which is not in rootModules (a test that needs it belongs to integration)", r.Path))
		case !inUse:
			bad = append(bad, fmt.Sprintf("the root requires %s and its code does not use it", r.Path))
		}
	}
	for _, p := range used {
		if isStd(p) || roomName(p) != "" {
			continue
		}
		if !slices.ContainsFunc(rootModules, func(r string) bool { return below(p, r) }) {
			bad = append(bad, fmt.Sprintf("the root's code uses %s, of no module in rootModules", p))
		}
	}
	return bad
}

// checkNested: every other module stands on the root beside it.
func checkNested(mods []module) (bad []string) {
	for _, m := range mods[1:] {
		if m.Go != mods[0].Go {
			bad = append(bad, fmt.Sprintf("%s/go.mod says go %s, the root go %s", m.dir, m.Go, mods[0].Go))
		}
		if want := modulePath + "/" + m.dir; m.Module.Path != want {
			bad = append(bad, fmt.Sprintf("%s/go.mod is module %s, not %s", m.dir, m.Module.Path, want))
		}
		up := strings.Repeat("../", strings.Count(m.dir, "/")+1)
		replaced := false
		for _, r := range m.Replace {
			if r.Old.Path == modulePath {
				replaced = strings.TrimSuffix(r.New.Path, "/") == strings.TrimSuffix(up, "/")
			}
		}
		if !replaced {
			bad = append(bad, fmt.Sprintf("%s/go.mod does not replace %s by %s", m.dir, modulePath, up))
		}
	}
	return bad
}

// workspace is what go.work says.
type workspace struct {
	Go  string
	Use []struct{ DiskPath string }
}

func readWorkspace(t *testing.T) (work workspace) {
	t.Helper()
	name := filepath.Join(root, "go.work")
	if _, err := os.Stat(name); err == nil { // without one no module is joined
		goJSON(t, &work, "work", "edit", "-json", name)
	}
	return work
}

// checkWorkspace: go.work joins every module.
func checkWorkspace(work workspace, mods []module) (bad []string) {
	if work.Go != mods[0].Go {
		bad = append(bad, fmt.Sprintf("go.work says go %q, the root go %q", work.Go, mods[0].Go))
	}
	var dirs []string
	for _, use := range work.Use {
		dirs = append(dirs, filepath.ToSlash(filepath.Clean(use.DiskPath)))
	}
	for _, m := range mods {
		if !slices.Contains(dirs, m.dir) {
			bad = append(bad, fmt.Sprintf("go.work does not use %s", m.dir))
		}
	}
	return bad
}

// TestConsumer builds a module of a user's who imports one package and looks at
// all that is compiled for it.
func TestConsumer(t *testing.T) {
	t.Parallel()
	for _, slim := range slims {
		t.Run(slim.room, func(t *testing.T) {
			t.Parallel()
			deps := consumerDeps(t, slim.room)
			if !slices.Contains(deps, modulePath+"/"+slim.room) {
				t.Fatalf("the package itself is not among %d packages", len(deps))
			}
			for _, complaint := range checkSlim(deps, slim.never) {
				t.Error(complaint)
			}
		})
	}
}

// consumerDeps lists what a program compiles that imports the room.
func consumerDeps(t *testing.T, name string) []string {
	t.Helper()
	home, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	write("go.sum", string(sums))
	write("go.mod", fmt.Sprintf("module consumer.example\n\ngo %s\n\nrequire %s v0.0.0\n\nreplace %[2]s => %s\n",
		modules(t)[0].Go, modulePath, home))
	write("main.go", fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", modulePath+"/"+name))
	return strings.Fields(goOutput(t, dir, "list", "-deps", "-f", "{{.ImportPath}}", "."))
}

func checkSlim(deps, never []string) (bad []string) {
	for _, dep := range deps {
		for _, n := range never {
			if below(dep, n) {
				bad = append(bad, fmt.Sprintf("it compiles %s", dep))
			}
		}
	}
	return bad
}

func TestModuleRules(t *testing.T) {
	t.Parallel()
	type require = struct {
		Path, Version string
		Indirect      bool
	}
	otp := "github.com/pquerna/otp"
	newRoot := func(requires ...require) module {
		m := module{dir: ".", Go: "1.26.0"}
		m.Module.Path = modulePath
		m.Require = append(m.Require, requires...)
		return m
	}
	nested := func(dir, path, goVersion, replace string) module {
		m := module{dir: dir, Go: goVersion}
		m.Module.Path = path
		m.Replace = append(m.Replace, struct{ Old, New struct{ Path string } }{
			Old: struct{ Path string }{modulePath}, New: struct{ Path string }{replace},
		})
		return m
	}
	good := newRoot(require{Path: otp})
	replacing := newRoot(require{Path: otp})
	replacing.Replace = nested("", "", "", "../x").Replace
	joined := workspace{Go: "1.26.0", Use: []struct{ DiskPath string }{{"."}}}
	tests := map[string]struct {
		complaints []string
		want       int
	}{
		"as it should be":   {checkRootModule(good, []string{otp + "/hotp", "fmt", modulePath + "/vault"}), 0},
		"another module":    {checkRootModule(nested("x", modulePath+"/x", "1.26.0", "../"), nil), 1},
		"a driver":          {checkRootModule(newRoot(require{"modernc.org/sqlite", "v1.60.1", true}), nil), 1},
		"a driver, direct":  {checkRootModule(newRoot(require{Path: "github.com/jackc/pgx/v5"}), nil), 2},
		"not permitted":     {checkRootModule(newRoot(require{Path: "example.com/x"}), []string{"fmt"}), 1},
		"not used":          {checkRootModule(good, []string{"fmt"}), 1},
		"used, not named":   {checkRootModule(newRoot(), []string{"example.com/x/y"}), 1},
		"used and indirect": {checkRootModule(newRoot(require{otp, "v1.5.0", true}), []string{otp}), 1},
		"a replacement":     {checkRootModule(replacing, []string{otp}), 1},

		"nested":                {checkNested([]module{good, nested("a/b", modulePath+"/a/b", "1.26.0", "../..")}), 0},
		"nested, other go":      {checkNested([]module{good, nested("a", modulePath+"/a", "1.27", "../")}), 1},
		"nested, other path":    {checkNested([]module{good, nested("a", "example.com/a", "1.26.0", "../")}), 1},
		"nested, other replace": {checkNested([]module{good, nested("a", modulePath+"/a", "1.26.0", "../../mfa")}), 1},
		"in the workspace":      {checkWorkspace(joined, []module{good}), 0},
		"not in the workspace":  {checkWorkspace(joined, []module{good, {dir: "elsewhere"}}), 1},
		"workspace of other go": {checkWorkspace(workspace{Use: joined.Use}, []module{good}), 1},

		"slim":     {checkSlim([]string{"fmt", modulePath + "/totp", "net/url"}, slimNever), 0},
		"not slim": {checkSlim([]string{"fmt", "net/http/internal", "github.com/redis/go-redis/v9"}, slimNever), 2},
	}
	for name, tt := range tests {
		if len(tt.complaints) != tt.want {
			t.Errorf("%s: %d complaints, want %d: %q", name, len(tt.complaints), tt.want, tt.complaints)
		}
	}
}
