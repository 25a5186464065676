package archtest

// This file reads the tree: every package, every module.

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/seed-f4994bf1/mfa"
	root       = "../.." // from this folder
)

// A room is one package as its files say that are not tests.
type room struct {
	name  string // the folder; "mfa" for the root
	fset  *token.FileSet
	files []*ast.File
}

// at says where something is, for a complaint.
func (r *room) at(pos token.Pos) string {
	p := r.fset.Position(pos)
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(filepath.ToSlash(p.Filename), root+"/"), p.Line)
}

// library: the room is part of what users import (examples and the integration
// tests are programs of their own).
func (r *room) shipped() bool {
	top, _, _ := strings.Cut(r.name, "/")
	return top != "examples" && top != "integration"
}

func (r *room) kit() bool { return table[r.name].kit }

// roomName returns the room of an import path, or "" for somebody else's.
func roomName(importPath string) string {
	if importPath == modulePath {
		return "mfa"
	}
	if name, ok := strings.CutPrefix(importPath, modulePath+"/"); ok {
		return name
	}
	return ""
}

func importedPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return p
}

// below reports whether an import path is the module or package, or below it.
func below(importPath, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return importPath == prefix || strings.HasPrefix(importPath, prefix+"/")
}

// goFiles calls visit for every Go file of the tree, with its path from the
// root of the tree.
func goFiles(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			hidden := name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
			if hidden || base == "testdata" || base == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(base, ".go") && !strings.HasPrefix(base, ".") && !strings.HasPrefix(base, "_") {
			visit(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// roomOfFile returns the room that a file of the tree belongs to.
func roomOfFile(name string) string {
	dir := path.Dir(strings.TrimPrefix(name, root+"/"))
	if dir == "." {
		return "mfa"
	}
	return dir
}

// rooms reads every package of the tree, whatever module it belongs to.
func rooms(t *testing.T) []*room {
	t.Helper()
	byName := map[string]*room{}
	goFiles(t, func(name string) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		r := byName[roomOfFile(name)]
		if r == nil {
			r = &room{name: roomOfFile(name), fset: token.NewFileSet()}
			byName[r.name] = r
		}
		f, err := parser.ParseFile(r.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if !ignored(f) {
			r.files = append(r.files, f)
		}
	})
	var all []*room
	for _, r := range byName {
		if len(r.files) > 0 {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *room) int { return strings.Compare(a.name, b.name) })
	return all
}

// ignored: the file belongs to no package ("go run" takes it by name).
func ignored(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() < f.Package && c.Text == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

// parseRoom makes a room of one file of source.
func parseRoom(t *testing.T, name, src string) *room {
	t.Helper()
	r := &room{name: name, fset: token.NewFileSet()}
	f, err := parser.ParseFile(r.fset, "fixture.go", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	r.files = []*ast.File{f}
	return r
}

// A module is one go.mod.
type module struct {
	dir     string // from the root of the tree, "." for the root
	Module  struct{ Path string }
	Go      string
	Require []struct {
		Path     string
		Version  string
		Indirect bool
	}
	Replace []struct {
		Old, New struct{ Path string }
	}
}

// modules reads every go.mod of the tree, the root's first.
func modules(t *testing.T) []module {
	t.Helper()
	var all []module
	seen := map[string]bool{}
	goFiles(t, func(name string) {
		for dir := path.Dir(name); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				var m module
				goJSON(t, &m, "mod", "edit", "-json", filepath.Join(dir, "go.mod"))
				m.dir = "."
				if dir != root {
					m.dir = strings.TrimPrefix(dir, root+"/")
				}
				all = append(all, m)
			}
			if dir == root {
				break
			}
		}
	})
	slices.SortFunc(all, func(a, b module) int { return strings.Compare(a.dir, b.dir) })
	return all
}

// goJSON runs the go command and reads what it prints.
func goJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(goOutput(t, ".", args...)), into); err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
}

func goOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
