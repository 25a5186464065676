// Command backupcodes makes a set of backup codes for a user, uses one and
// tries it once more, with the factor over an account in memory.
//
//	go run ./examples/backupcodes
//
// An application lets mfa.Guard do what is done by hand here; see
// examples/webapp.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const user = "ada"

// A demo is one factor over one vault.
type demo struct {
	vault  *vault.Vault
	method *backupcodes.Method
}

func run(ctx context.Context, out io.Writer) error {
	keys, err := vault.NewKey() // in earnest: once, and kept like a password
	if err != nil {
		return err
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		return err
	}
	d := demo{v, backupcodes.New(nil)}

	codes, err := d.make(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "These codes are shown once. Print them:")
	for _, c := range codes {
		fmt.Fprintln(out, "   ", c.Reveal())
	}

	first := codes[0].Reveal()
	if err := d.use(ctx, first); err != nil {
		return err
	}
	left, err := d.left(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s: accepted, %d are left.\n", first, left)

	if err := d.use(ctx, first); !errors.Is(err, mfa.ErrReplayed) {
		return fmt.Errorf("the same code once more: %v", err)
	}
	fmt.Fprintf(out, "%s: refused, it was used before.\n", first)

	if err := d.use(ctx, "0000-0000-0000-0000"); !errors.Is(err, mfa.ErrInvalid) {
		return fmt.Errorf("a guess: %v", err)
	}
	fmt.Fprintln(out, "0000-0000-0000-0000: refused, it is not one of them.")
	return nil
}

// make makes a set. All of it is saved before the codes are shown, or none.
func (d demo) make(ctx context.Context) ([]mfa.Secret, error) {
	e, err := vault.Update(ctx, d.vault, user, func(a *vault.Account) (*mfa.Enrollment, error) {
		return d.method.Enroll(ctx, a.Scope(backupcodes.Kind, string(mfa.PurposeConfirm), "demo"), mfa.EnrollRequest{})
	})
	if err != nil {
		return nil, err
	}
	return e.Codes, nil
}

// use tries a code. Guess counts the failures and refuses after too many.
func (d demo) use(ctx context.Context, code string) error {
	_, err := vault.Update(ctx, d.vault, user, func(a *vault.Account) (struct{}, error) {
		return struct{}{}, a.Guess(backupcodes.Kind, string(mfa.PurposeSignIn), "demo", func(s *vault.Scope) error {
			_, err := d.method.Verify(ctx, s, mfa.VerifyRequest{Answer: mfa.Answer{Kind: backupcodes.Kind, Code: code}})
			return err
		})
	})
	return err
}

func (d demo) left(ctx context.Context) (int, error) {
	s, err := d.vault.View(ctx, user)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range s.Factors {
		n += d.method.Left(f)
	}
	return n, nil
}
