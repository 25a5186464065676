//go:build ignore

// Protections: every patch in .ci/protections.d takes one protection out of a
// copy of the tree, and the test that it names must then fail. See the README
// there for what a patch looks like.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A test is one "# test:" line.
type test struct {
	module string // folder, from the root of the tree
	pkg    string // as the go command wants it, from the module's folder
	name   string
	flags  []string
}

func (t test) String() string { return t.pkg + " " + t.name }

// A patch is one file of protections.d.
type patch struct {
	file  string
	ids   []string
	words string // what is taken out
	tests []test
}

// A row is one row of docs/security.md: what claims to show a requirement.
type row struct {
	priority string
	tests    []string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protections:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	dry := slices.Contains(args, "-n")
	wanted := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-n" })
	rows, err := readRows("docs/security.md")
	if err != nil {
		return err
	}
	patches, err := readPatches(".ci/protections.d", rows)
	if err != nil {
		return err
	}
	if err := covered(rows, patches); len(wanted) == 0 && err != nil {
		return err
	}
	patches = slices.DeleteFunc(patches, func(p patch) bool {
		return len(wanted) > 0 && !slices.ContainsFunc(p.ids, func(id string) bool { return slices.Contains(wanted, id) })
	})
	for _, id := range wanted {
		if !slices.ContainsFunc(patches, func(p patch) bool { return slices.Contains(p.ids, id) }) {
			return fmt.Errorf("no patch for %s", id)
		}
	}
	for _, p := range patches {
		if err := git(".", "apply", "--check", p.file); err != nil {
			return fmt.Errorf("%s does not apply: %w", p.file, err)
		}
	}
	if dry {
		fmt.Printf("%d patches apply\n", len(patches))
		return nil
	}

	scratch, err := os.MkdirTemp("", "protections-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := copyTree(scratch); err != nil {
		return err
	}
	bad := 0
	green := map[string]error{} // by test: what is wrong with it as it is
	for _, p := range patches {
		start := time.Now()
		err := show(scratch, p, green)
		if err != nil {
			bad++
			fmt.Printf("NOT SHOWN: %s: %v\n", p.file, err)
			continue
		}
		fmt.Printf("red as it should be: %s: %s (%s, %.1f s)\n",
			strings.Join(p.ids, ", "), p.words, p.tests[0], time.Since(start).Seconds())
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d patches show nothing", bad, len(patches))
	}
	fmt.Printf("%d protections shown\n", len(patches))
	return nil
}

// show runs a patch's tests without it and with it.
func show(scratch string, p patch, green map[string]error) (err error) {
	for _, t := range p.tests {
		key := fmt.Sprint(t)
		if _, ok := green[key]; !ok {
			green[key] = outcome(scratch, t, "pass")
		}
		if green[key] != nil {
			return fmt.Errorf("without the patch: %w", green[key])
		}
	}
	file, err := filepath.Abs(p.file)
	if err != nil {
		return err
	}
	if err := git(scratch, "apply", file); err != nil {
		return fmt.Errorf("does not apply: %w", err)
	}
	defer func() {
		if back := git(scratch, "apply", "-R", file); back != nil {
			fmt.Fprintln(os.Stderr, "protections: cannot take the patch back:", back)
			os.Exit(1)
		}
	}()
	for _, t := range p.tests {
		if err := outcome(scratch, t, "fail"); err != nil {
			return fmt.Errorf("with the patch: %w", err)
		}
	}
	return nil
}

// outcome runs one test alone and demands that it ends as wanted: "pass" or
// "fail", by its own doing.
func outcome(scratch string, t test, want string) error {
	var pattern []string
	for element := range strings.SplitSeq(t.name, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(element)+"$")
	}
	args := []string{"test", "-json", "-vet=off", "-count=1", "-timeout=5m", "-run", strings.Join(pattern, "/")}
	args = append(append(args, t.flags...), t.pkg)
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join(scratch, t.module)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	var got, said string
	for line := range bytes.Lines(out) {
		var e struct{ Action, Test, Output, FailedBuild string }
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		said += e.Output
		if e.FailedBuild != "" {
			return fmt.Errorf("%s does not build\n%s", t.pkg, said)
		}
		if e.Test == t.name && slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			got = e.Action
		}
	}
	switch {
	case strings.Contains(said, "panic: test timed out"):
		return fmt.Errorf("%s hangs", t)
	case got == "":
		if exit != nil {
			said += string(exit.Stderr)
		}
		return fmt.Errorf("%s did not run\n%s", t, said)
	case got != want:
		return fmt.Errorf("%s: %s, want %s\n%s", t, got, want, said)
	}
	return nil
}

var heading = regexp.MustCompile(`^# (R-\d{3}(?:, R-\d{3})*): (.+)$`)

// readPatches reads the headers and compares them with the rows.
func readPatches(dir string, rows map[string]row) ([]patch, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var patches []patch
	for _, file := range files {
		p, err := readPatch(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, id := range p.ids {
			r, ok := rows[id]
			if !ok {
				return nil, fmt.Errorf("%s: docs/security.md has no row %s", file, id)
			}
			if !slices.ContainsFunc(p.tests, func(t test) bool { return named(t, r.tests) }) {
				return nil, fmt.Errorf("%s: the row of %s in docs/security.md names none of %v", file, id, p.tests)
			}
		}
		patches = append(patches, p)
	}
	return patches, nil
}

func readPatch(file string) (patch, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return patch{}, err
	}
	p := patch{file: file}
	module := "."
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if !strings.HasPrefix(line, "#") {
			break
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			p.ids = append(p.ids, strings.Split(m[1], ", ")...)
			p.words = m[2]
		} else if rest, ok := strings.CutPrefix(line, "# module:"); ok {
			module = strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(line, "# test:"); ok {
			words := strings.Fields(rest)
			if len(words) < 2 {
				return p, fmt.Errorf("%q names no package and test", line)
			}
			p.tests = append(p.tests, test{pkg: words[0], name: words[1], flags: words[2:]})
		} else {
			return p, fmt.Errorf("unknown line %q", line)
		}
	}
	if len(p.ids) == 0 || len(p.tests) == 0 {
		return p, errors.New(`its first lines lack "# R-000: words" or "# test: package TestName"`)
	}
	for i := range p.tests {
		p.tests[i].module = filepath.Clean(module)
	}
	return p, nil
}

// named reports whether the test's function is among those that a row names.
func named(t test, claims []string) bool {
	room := filepath.ToSlash(filepath.Join(t.module, t.pkg))
	if room == "." {
		room = "mfa"
	}
	function, _, _ := strings.Cut(t.name, "/")
	return slices.ContainsFunc(claims, func(claim string) bool {
		folder, name, _ := strings.Cut(claim, ".")
		name, _, _ = strings.Cut(name, "/")
		return name == function && (folder == room || strings.HasSuffix(room, "/"+folder))
	})
}

var quoted = regexp.MustCompile("`([^`]+)`")

func readRows(file string) (map[string]row, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	rows := map[string]row{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| R-") {
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			return nil, fmt.Errorf("%s: a row of %d cells: %s", file, len(cells)-2, line)
		}
		r := row{priority: strings.TrimSpace(cells[2])}
		shownBy, _, _ := strings.Cut(cells[4], "waits for:")
		for _, m := range quoted.FindAllStringSubmatch(shownBy, -1) {
			r.tests = append(r.tests, m[1])
		}
		rows[strings.TrimSpace(cells[1])] = r
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s has no rows", file)
	}
	return rows, nil
}

// covered: every P0 row that names a test has a patch.
func covered(rows map[string]row, patches []patch) error {
	var missing []string
	for id, r := range rows {
		if r.priority == "P0" && len(r.tests) > 0 &&
			!slices.ContainsFunc(patches, func(p patch) bool { return slices.Contains(p.ids, id) }) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("docs/security.md names tests for P0 requirements without a patch: %s", strings.Join(missing, ", "))
}

// git runs git apply and the like, in a folder that need not be a repository.
func git(dir string, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// copyTree copies what git would: the tracked files and the new ones that are
// not ignored, as they are now.
func copyTree(to string) error {
	out, err := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and git does not know yet
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
