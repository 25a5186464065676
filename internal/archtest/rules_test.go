package archtest

// This file has the rules for packages. A rule looks at one room and returns
// its complaints; rules_red_test.go shows each of them complaining.

import (
	"fmt"
	"go/ast"
	"go/token"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"
)

type rule struct {
	name  string
	what  string // what it keeps, for who breaks it
	check func(r *room) []string
}

var rules = []rule{
	{"room", "every package has a row in the table", checkRoom},
	{"imports", "a package imports only what its row allows", checkImports},
	{"layers", "imports go one way, whatever the table says", checkLayers},
	{"kits", "kits are imported by tests and kits only", checkKits},
	{"fences", "some packages of the standard library are for some rooms only", checkFences},
	{"random", "randomness comes from crypto/rand's Read and Text and cannot be replaced", checkRandom},
	{"clock", "one clock decides: the vault's", checkClock},
	{"init", "importing a package does nothing", checkInit},
	{"go", "no goroutine, unless the function is called Run", checkGo},
	{"vars", "no package-level state", checkVars},
	{"log", "the library writes to no log and no terminal", checkLog},
}

// walk visits every node of the room.
func (r *room) walk(visit func(f *ast.File, n ast.Node)) {
	for _, f := range r.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if n != nil {
				visit(f, n)
			}
			return true
		})
	}
}

// eachImport visits every import of the room.
func (r *room) eachImport(visit func(spec *ast.ImportSpec, importPath string)) {
	for _, f := range r.files {
		for _, spec := range f.Imports {
			visit(spec, importedPath(spec))
		}
	}
}

// localName returns the name by which a file calls an import, or "".
func localName(f *ast.File, importPath string) string {
	for _, spec := range f.Imports {
		if importedPath(spec) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// uses visits every pkg.Name of an imported package.
func (r *room) uses(importPath string, visit func(sel *ast.SelectorExpr)) {
	r.walk(func(f *ast.File, n ast.Node) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == localName(f, importPath) {
			visit(sel)
		}
	})
}

// isSel reports whether e is pkg.name of an import of the file.
func isSel(f *ast.File, e ast.Expr, importPath string, names ...string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == localName(f, importPath) && slices.Contains(names, sel.Sel.Name)
}

func isStd(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func checkRoom(r *room) []string {
	if _, ok := table[r.name]; ok || !r.shipped() {
		return nil
	}
	return []string{fmt.Sprintf("%s: an unknown room: give it a row in internal/archtest/table_test.go", r.name)}
}

func checkImports(r *room) (bad []string) {
	here, ok := table[r.name]
	if !ok {
		return nil // the rule before has said so, or it is a program
	}
	r.eachImport(func(spec *ast.ImportSpec, p string) {
		if spec.Name != nil && spec.Name.Name == "." {
			bad = append(bad, fmt.Sprintf("%s: a dot import", r.at(spec.Pos())))
		}
		if isStd(p) || slices.ContainsFunc(here.modules, func(m string) bool { return below(p, m) }) {
			return
		}
		if slices.Contains(here.rooms, roomName(p)) {
			return
		}
		bad = append(bad, fmt.Sprintf("%s: %s may not import %s", r.at(spec.Pos()), r.name, p))
	})
	return bad
}

// checkLayers says the drawing of docs/design.md again, so that a careless row
// in the table does not widen it.
func checkLayers(r *room) (bad []string) {
	if !r.shipped() || r.kit() {
		return nil
	}
	isStore := func(name string) bool { return below(name, "store") }
	r.eachImport(func(spec *ast.ImportSpec, p string) {
		to := roomName(p)
		if to == "" {
			return
		}
		complain := func(why string) {
			bad = append(bad, fmt.Sprintf("%s: %s imports %s, but %s", r.at(spec.Pos()), r.name, to, why))
		}
		switch {
		case table[to].factor && table[r.name].factor:
			complain("no factor imports another")
		case table[to].factor && isStore(r.name):
			complain("no store knows a factor")
		case table[to].factor:
			complain("only the application imports factors")
		case isStore(r.name) && !isStore(to):
			complain("a store knows nothing of what it keeps")
		case isStore(to) && to != "store" && !isStore(r.name):
			complain("the application chooses the store")
		case r.name == "vault" && !isStore(to) && !below(to, "internal"):
			complain("the vault knows only the store")
		case to == "mfahttp":
			complain("nothing stands on the pages")
		case r.name == "mfahttp" && isStore(to):
			complain("the pages see no store")
		}
	})
	return bad
}

func checkKits(r *room) (bad []string) {
	if r.kit() || strings.HasPrefix(r.name, "integration") {
		return nil
	}
	r.eachImport(func(spec *ast.ImportSpec, p string) {
		if table[roomName(p)].kit {
			bad = append(bad, fmt.Sprintf("%s: %s is for tests", r.at(spec.Pos()), p))
		}
	})
	return bad
}

func checkFences(r *room) (bad []string) {
	if !r.shipped() {
		return nil
	}
	r.eachImport(func(spec *ast.ImportSpec, p string) {
		may, ok := fenced[p]
		if !ok || slices.Contains(may, r.name) || r.kit() && slices.Contains(may, "kits") {
			return
		}
		bad = append(bad, fmt.Sprintf("%s: %s may not import %s", r.at(spec.Pos()), r.name, p))
	})
	return bad
}

var sounds = regexp.MustCompile(`(?i)rand|entropy|seed`)

func checkRandom(r *room) (bad []string) {
	if strings.HasPrefix(r.name, "integration") {
		return nil
	}
	r.eachImport(func(spec *ast.ImportSpec, p string) {
		if p == "math/rand" || p == "math/rand/v2" {
			bad = append(bad, fmt.Sprintf("%s: %s is not for secrets; use crypto/rand", r.at(spec.Pos()), p))
		}
	})
	if !r.shipped() || r.kit() {
		return bad
	}
	r.uses("crypto/rand", func(sel *ast.SelectorExpr) {
		if name := sel.Sel.Name; name != "Read" && name != "Text" {
			bad = append(bad, fmt.Sprintf("%s: rand.%s: only rand.Read and rand.Text are used", r.at(sel.Pos()), name))
		}
	})
	reader := func(f *ast.File, field *ast.Field) bool { return isSel(f, field.Type, "io", "Reader") }
	r.walk(func(f *ast.File, n ast.Node) {
		switch n := n.(type) {
		case *ast.TypeSpec:
			s, ok := n.Type.(*ast.StructType)
			if !ok {
				return
			}
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					if _, ok := allowedReaders[r.name+"."+n.Name.Name+"."+name.Name]; reader(f, field) && !ok {
						bad = append(bad, fmt.Sprintf("%s: %s.%s is an io.Reader: say in allowedReaders why it is no randomness",
							r.at(field.Pos()), n.Name, name))
					}
				}
			}
		case *ast.FuncType:
			for _, field := range n.Params.List {
				for _, name := range field.Names {
					if reader(f, field) && sounds.MatchString(name.Name) {
						bad = append(bad, fmt.Sprintf("%s: %s: randomness is not handed in", r.at(field.Pos()), name))
					}
				}
			}
		}
	})
	return bad
}

func checkClock(r *room) (bad []string) {
	if _, ok := allowedClocks[r.name]; ok || r.kit() || !r.shipped() {
		return nil
	}
	r.uses("time", func(sel *ast.SelectorExpr) {
		switch sel.Sel.Name {
		case "Now", "Since", "Until":
			bad = append(bad, fmt.Sprintf("%s: time.%s: ask the vault's clock, or say in allowedClocks why not",
				r.at(sel.Pos()), sel.Sel.Name))
		}
	})
	return bad
}

func checkInit(r *room) (bad []string) {
	if !r.shipped() {
		return nil
	}
	for _, f := range r.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, fmt.Sprintf("%s: func init", r.at(fn.Pos())))
			}
		}
	}
	return bad
}

func checkGo(r *room) (bad []string) {
	if !r.shipped() || r.kit() {
		return nil
	}
	for _, f := range r.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "Run" {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					bad = append(bad, fmt.Sprintf("%s: a go statement outside Run", r.at(n.Pos())))
				case *ast.CallExpr:
					sel, ok := n.Fun.(*ast.SelectorExpr)
					if ok && sel.Sel.Name == "Go" || isSel(f, n.Fun, "time", "AfterFunc") {
						bad = append(bad, fmt.Sprintf("%s: a call that starts a goroutine outside Run", r.at(n.Pos())))
					}
				}
				return true
			})
		}
	}
	return bad
}

func checkVars(r *room) (bad []string) {
	if !r.shipped() {
		return nil
	}
	for _, f := range r.files {
		for v := range packageVars(f) {
			if _, ok := allowedVars[r.name+"."+v.name.Name]; ok || harmless(f, v) {
				continue
			}
			bad = append(bad, fmt.Sprintf("%s: var %s: make it a constant or a function, or say in allowedVars why it is no state",
				r.at(v.name.Pos()), v.name))
		}
	}
	return bad
}

// A packageVar is one variable outside functions.
type packageVar struct {
	name  *ast.Ident
	typ   ast.Expr // or nil
	value ast.Expr // or nil
	docs  []*ast.CommentGroup
}

func packageVars(f *ast.File) iter.Seq[packageVar] {
	return func(yield func(packageVar) bool) {
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				spec := s.(*ast.ValueSpec)
				for i, name := range spec.Names {
					v := packageVar{name: name, typ: spec.Type, docs: []*ast.CommentGroup{gen.Doc, spec.Doc}}
					if len(spec.Values) == len(spec.Names) {
						v.value = spec.Values[i]
					}
					if !yield(v) {
						return
					}
				}
			}
		}
	}
}

// harmless: the variable is an error, an interface assertion, an embedded file
// or a compiled regular expression.
func harmless(f *ast.File, v packageVar) bool {
	if v.name.Name == "_" {
		return v.typ != nil
	}
	if isSel(f, v.typ, "embed", "FS") {
		return true
	}
	for _, doc := range v.docs {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	isErr := strings.HasPrefix(strings.ToLower(v.name.Name), "err")
	if sel, ok := v.value.(*ast.SelectorExpr); ok && isErr {
		return strings.HasPrefix(sel.Sel.Name, "Err") // another package's, under our name
	}
	call, ok := v.value.(*ast.CallExpr)
	if !ok {
		return false
	}
	if isErr {
		return isSel(f, call.Fun, "errors", "New") || isSel(f, call.Fun, "fmt", "Errorf")
	}
	return isSel(f, call.Fun, "regexp", "MustCompile")
}

// slogValues are the parts of log/slog that redact: everything else in it
// writes, or makes something that does.
var slogValues = regexp.MustCompile(`^(Value|LogValuer|Attr|Kind.*|.*Value|String|Int|Int64|Uint64|Bool|Time|Duration|Group|GroupAttrs|Any)$`)

func checkLog(r *room) (bad []string) {
	if !r.shipped() || r.kit() {
		return nil
	}
	r.uses("log/slog", func(sel *ast.SelectorExpr) {
		if !slogValues.MatchString(sel.Sel.Name) {
			bad = append(bad, fmt.Sprintf("%s: slog.%s", r.at(sel.Pos()), sel.Sel.Name))
		}
	})
	r.uses("fmt", func(sel *ast.SelectorExpr) {
		switch sel.Sel.Name {
		case "Print", "Printf", "Println":
			bad = append(bad, fmt.Sprintf("%s: fmt.%s", r.at(sel.Pos()), sel.Sel.Name))
		}
	})
	r.uses("os", func(sel *ast.SelectorExpr) {
		switch sel.Sel.Name {
		case "Stdout", "Stderr":
			bad = append(bad, fmt.Sprintf("%s: os.%s", r.at(sel.Pos()), sel.Sel.Name))
		}
	})
	r.walk(func(_ *ast.File, n ast.Node) {
		if call, ok := n.(*ast.CallExpr); ok {
			if fn, ok := call.Fun.(*ast.Ident); ok && (fn.Name == "print" || fn.Name == "println") {
				bad = append(bad, fmt.Sprintf("%s: %s", r.at(call.Pos()), fn.Name))
			}
		}
	})
	return bad
}
