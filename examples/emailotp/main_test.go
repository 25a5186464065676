package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// start runs the program; next returns the code of the next mail, rest all that it
// says after the last one.
func start(t *testing.T) (in io.Writer, next func() string, rest func() (string, error)) {
	t.Helper()
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(t.Context(), stdin, stdout)
		stdin.Close()
		stdout.Close()
		done <- err
	}()
	lines := bufio.NewReader(out)
	code := regexp.MustCompile(`^ {4}([0-9]{6})\n$`)
	next = func() string {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if m := code.FindStringSubmatch(line); m != nil {
				return m[1]
			}
		}
	}
	return in, next, func() (string, error) {
		b, _ := io.ReadAll(lines)
		return string(b), <-done
	}
}

func TestRightCodes(t *testing.T) {
	t.Parallel()
	in, next, rest := start(t)
	go fmt.Fprintf(in, "nonsense\n%s\n", next())
	second := next()
	go fmt.Fprintf(in, "%s %s\n", second[:3], second[3:])
	said, err := rest()
	if err != nil || !strings.HasSuffix(said, "Signed in, proven by: email\n") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestWrongCodes(t *testing.T) {
	t.Parallel()
	in, next, rest := start(t)
	wrong := "000000"
	if next() == wrong {
		wrong = "000001"
	}
	go fmt.Fprint(in, strings.Repeat(wrong+"\n", 6))
	said, err := rest()
	if err == nil || strings.Contains(said, "It is on") {
		t.Errorf("%v: %s", err, said)
	}
}
