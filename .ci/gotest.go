//go:build ignore

// Gotest reads the output of go test -json and prints what go test prints by
// itself, and at the end the tests that were skipped, of which there may be
// none: it then exits with 1.
//
//	go test -json work | go run ./.ci/gotest.go
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
}

func main() {
	skipped, err := show(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	if len(skipped) > 0 {
		fmt.Fprintf(os.Stderr, "%d tests were skipped, and none may be:\n%s", len(skipped), strings.Join(skipped, ""))
		os.Exit(1)
	}
}

func show(in io.Reader, out io.Writer) (skipped []string, err error) {
	said := map[string]*strings.Builder{} // what a test that has not ended has said so far
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 && err == io.EOF {
			return skipped, nil
		}
		if err != nil && err != io.EOF {
			return skipped, err
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			if _, err := out.Write(line); err != nil { // not of go test's
				return skipped, err
			}
			continue
		}
		key := e.Package + " " + e.Test
		switch {
		case e.Action == "build-output", e.Action == "output" && e.Test == "" && e.Output != "PASS\n":
			fmt.Fprint(out, e.Output)
		case e.Action == "output" && e.Test != "":
			if strings.HasPrefix(e.Output, "=== ") {
				break // RUN, PAUSE, CONT, NAME
			}
			if said[key] == nil {
				said[key] = new(strings.Builder)
			}
			said[key].WriteString(e.Output)
		case e.Action == "pass" && e.Test != "":
			delete(said, key)
		case e.Action == "skip" && e.Test != "":
			if said[key] != nil {
				skipped = append(skipped, e.Package+": "+strings.TrimLeft(said[key].String(), " "))
			}
			delete(said, key)
		case e.Action == "fail" && e.Test != "":
			if said[key] != nil {
				fmt.Fprint(out, said[key])
			}
			delete(said, key)
		case e.Action == "fail":
			for key, text := range said { // tests that the end of the program cut off
				if strings.HasPrefix(key, e.Package+" ") {
					fmt.Fprint(out, text)
					delete(said, key)
				}
			}
		}
	}
}
