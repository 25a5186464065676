package archtest

// The README tells the truth: its Go code stands in a program that is built and
// tested, its commands are run by a test, its files exist.

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commands are those that the documents tell a reader to run, with what runs
// them.
var commands = map[string]string{
	"go run ./examples/webapp":            "browser.TestWebapp builds and drives it; examples/webapp has a smoke test",
	"go test work":                        ".ci/run, with the race detector",
	"go get github.com/seed-f4994bf1/mfa": "TestConsumer builds such a module",
}

func TestReadme(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text := read(t, filepath.Join(root, "README.md"))
	program := unindent(read(t, filepath.Join(root, "examples", "quickstart", "main.go")))
	fences := regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(text, -1)
	code, shell := 0, 0
	for _, f := range fences {
		switch f[1] {
		case "go":
			for _, part := range strings.Split(strings.TrimSpace(f[2]), "\n\n") {
				code++
				if !strings.Contains(program, unindent(part)+"\n") {
					t.Errorf("the README's code is not in examples/quickstart:\n%s", part)
				}
			}
		case "sh":
			for line := range strings.Lines(f[2]) {
				shell++
				if commands[strings.TrimSpace(line)] == "" {
					t.Errorf("no test runs %q", strings.TrimSpace(line))
				}
			}
		}
	}
	if code == 0 || shell == 0 {
		t.Errorf("%d pieces of code and %d commands", code, shell)
	}
	if n := strings.Count(text, "\n"); n >= 200 {
		t.Errorf("the README has %d lines", n)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	n := 0
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			n++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", filepath.Base(file), m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no links found")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unindent removes each line's leading tabs.
func unindent(s string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(s, "") }
