package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// Port 587 begins without TLS and turns to it before anything is said; a server
// that does not is refused.
func ExampleNew() {
	sender, err := smtp.New("mail.acme.example:587", "no-reply@acme.example", &smtp.Options{
		Name:     "Acme",
		Username: "no-reply",
		Password: "from the configuration",
	})
	fmt.Println(sender, err)

	// No password goes over the network in plaintext.
	_, err = smtp.New("mail.acme.example:25", "no-reply@acme.example", &smtp.Options{
		TLS: smtp.Plaintext, Username: "no-reply", Password: "from the configuration",
	})
	fmt.Println(err)
	// Output:
	// smtp [redacted] <nil>
	// smtp: no password goes over the network in plaintext
}

// What went wrong can be told apart, and says nothing of the message.
func ExampleSender_Send() {
	sender, err := smtp.New("127.0.0.1:1", "no-reply@acme.example", nil) // nobody listens there
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = sender.Send(ctx, mail.Message{To: "anna@example.org", Subject: "Your code", Text: "012345"})
	switch {
	case errors.Is(err, smtp.ErrTemporary), errors.Is(err, smtp.ErrConnect), errors.Is(err, context.DeadlineExceeded):
		fmt.Println("try again later")
	case errors.Is(err, smtp.ErrTLS), errors.Is(err, smtp.ErrAuth):
		fmt.Println("ask the operator")
	case errors.Is(err, smtp.ErrPermanent), errors.Is(err, mail.ErrMessage):
		fmt.Println("not with this recipient")
	}
	// Output: try again later
}
