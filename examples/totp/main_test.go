package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/totp"
)

// start runs the program and returns what a person has before them: its input,
// the secret that it showed, and all that it says after that.
func start(t *testing.T) (in io.Writer, key *totp.Key, rest func() (string, error)) {
	t.Helper()
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(stdin, stdout)
		stdin.Close()
		stdout.Close()
		done <- err
	}()
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		secret, ok := strings.CutPrefix(line, "Or type the secret: ")
		if !ok {
			continue
		}
		secret = strings.ReplaceAll(strings.TrimSpace(secret), " ", "")
		key, err = totp.ParseKey("otpauth://totp/ada?secret=" + secret)
		if err != nil {
			t.Fatal(err)
		}
		said := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(lines)
			said <- string(b)
		}()
		return in, key, func() (string, error) { return <-said, <-done }
	}
}

func TestRightCode(t *testing.T) {
	t.Parallel()
	in, key, rest := start(t)
	code := key.Code(time.Now())
	fmt.Fprintf(in, "nonsense\n%s %s\n", code[:3], code[3:])
	said, err := rest()
	if err != nil || !strings.Contains(said, "Not right. 4 more tries.") || !strings.Contains(said, "Right.\nThe same code once more: refused") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestWrongCodes(t *testing.T) {
	t.Parallel()
	in, _, rest := start(t)
	fmt.Fprint(in, strings.Repeat("nonsense\n", tries))
	if said, err := rest(); err == nil || strings.Contains(said, "Right.") {
		t.Errorf("%v: %s", err, said)
	}
}
