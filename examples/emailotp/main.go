// Command emailotp enrols an address and signs in with a code that is mailed
// there, in a terminal: the mails are printed in the place of being sent.
//
//	go run ./examples/emailotp
//
// To send them for real, give emailotp.New a sender of package mail/smtp.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// printer is a mail.Sender: all that emailotp asks for.
type printer struct{ out io.Writer }

func (p printer) Send(_ context.Context, m mail.Message) error {
	_, err := fmt.Fprintf(p.out, "\n--- mail to %s\nSubject: %s\n\n%s\n---\n\n", m.To, m.Subject, m.Text)
	return err
}

var ada = mfa.User{ID: "ada", DisplayName: "Ada", Email: "ada@example.com"}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	keys, err := vault.NewKey() // in earnest: once, and kept like a password
	if err != nil {
		return err
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		return err
	}
	guard, err := mfa.New(v, mfa.Config{
		Service: "Acme",
		Methods: []mfa.Method{emailotp.New(printer{out}, nil), backupcodes.New(nil)},
		Users:   func(context.Context, string) (mfa.User, error) { return ada, nil },
	})
	if err != nil {
		return err
	}
	typed := bufio.NewScanner(in)

	// The password was right. Nothing is set up yet, so that is all.
	login, err := guard.Begin(ctx, mfa.FirstFactor{UserID: ada.ID, By: mfa.ByPassword})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Ada signs in with her password and turns codes by email on.")
	settings := guard.Settings(login.Session)
	enrollment, err := settings.Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind}) // to the address in her profile
	if err != nil {
		return err
	}
	err = ask(typed, out, func(a mfa.Answer) error {
		change, err := settings.Confirm(ctx, enrollment.ID, a)
		if err == nil {
			fmt.Fprintf(out, "It is on, with %d backup codes for the day without mail.\n", len(change.BackupCodes))
		}
		return err
	})
	if err != nil {
		return err
	}

	login, err = guard.Begin(ctx, mfa.FirstFactor{UserID: ada.ID, By: mfa.ByPassword})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nAda signs in again: now her password alone does not do.")
	if _, err := login.Pending.Challenge(ctx, mfa.Offer{Kind: emailotp.Kind}); err != nil {
		return err
	}
	return ask(typed, out, func(a mfa.Answer) error {
		login, err := login.Pending.Verify(ctx, a)
		if err == nil {
			fmt.Fprintln(out, "Signed in, proven by:", login.Session.Proofs()[0].Kind)
		}
		return err
	})
}

// ask reads codes until one is right, or no more is looked at.
func ask(typed *bufio.Scanner, out io.Writer, try func(mfa.Answer) error) error {
	for {
		fmt.Fprint(out, "Code: ")
		if !typed.Scan() {
			return errors.Join(errors.New("no code was typed"), typed.Err())
		}
		err := try(mfa.Answer{Kind: emailotp.Kind, Code: typed.Text()})
		if err == nil || !errors.Is(err, mfa.ErrRejected) || errors.Is(err, mfa.ErrTooMany) {
			return err
		}
		fmt.Fprintln(out, "Not right.")
	}
}
