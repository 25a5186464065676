// Command totp enrols an authenticator app and checks its code, in a terminal,
// with a key alone: no accounts, no database.
//
//	go run ./examples/totp
//
// Scan the QR code with any authenticator app and type the six digits that it
// shows. The same code does not pass a second time.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/totp"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const tries = 5 // a program that checks codes must limit the guesses itself

func run(in io.Reader, out io.Writer) error {
	key, err := totp.GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		return err
	}
	qr, err := key.Terminal()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Scan this with an authenticator app:\n\n%s\n", qr)
	fmt.Fprintf(out, "Or type the secret: %s\n\n", key.Secret().Reveal())

	// In earnest key.URI() and last are kept, sealed, between two codes.
	var last int64
	typed := bufio.NewScanner(in)
	for left := tries; left > 0; left-- {
		fmt.Fprint(out, "Code: ")
		if !typed.Scan() {
			return errors.Join(errors.New("no code was typed"), typed.Err())
		}
		step, err := key.Verify(typed.Text(), last)
		switch {
		case err == nil:
			last = step
			fmt.Fprintln(out, "Right.")
			return again(out, key, typed.Text(), last)
		case errors.Is(err, mfa.ErrRejected):
			fmt.Fprintf(out, "Not right. %d more tries.\n", left-1)
		default:
			return err
		}
	}
	return errors.New("too many wrong codes")
}

// again shows that a code is good for one use.
func again(out io.Writer, key *totp.Key, code string, last int64) error {
	_, err := key.Verify(code, last)
	if !errors.Is(err, mfa.ErrReplayed) {
		return fmt.Errorf("the same code once more: %v", err)
	}
	fmt.Fprintln(out, "The same code once more: refused, it was used before.")
	return nil
}
