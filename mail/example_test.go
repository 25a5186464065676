package mail_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-f4994bf1/mfa/mail"
)

// One form of an address is kept and compared; what is more than an address is
// refused.
func ExampleAddress() {
	for _, typed := range []string{" Anna@Example.org", "Anna <anna@example.org>", "anna@example.org, eve@example.org"} {
		address, err := mail.Address(typed)
		fmt.Printf("%q %v\n", address, err)
	}
	// Output:
	// "Anna@example.org" <nil>
	// "" mail: invalid message: recipient
	// "" mail: invalid message: recipient
}

func ExampleMask() {
	fmt.Println(mail.Mask("anna.berg@example.org"))
	// Output: a…@example.org
}

// Each tenant's mail goes out by the tenant's own server. Here they are kept.
func ExampleRoute() {
	var box mail.Outbox
	senders := map[string]mail.Sender{"acme": box.As("no-reply@acme.example")}
	mailer := mail.Route(func(_ context.Context, tenant string) (mail.Sender, error) {
		return senders[tenant], nil
	})

	m := mail.Message{Tenant: "acme", To: "anna@example.org", Subject: "Your code", Text: "012345"}
	fmt.Println(mailer.Send(context.Background(), m))
	fmt.Println(box.All()[0].From)
	fmt.Println(m)

	m.Tenant = "zeta"
	err := mailer.Send(context.Background(), m)
	fmt.Println(errors.Is(err, mail.ErrNoSender), err)
	// Output:
	// <nil>
	// no-reply@acme.example
	// mail [redacted]
	// true mail: no sender is configured for tenant "zeta"
}

// A queue takes notices at once; Run sends them.
func ExampleQueue() {
	var box mail.Outbox
	notices := mail.NewQueue(&box, 100, func(_ mail.Message, err error) { fmt.Println(err) })
	err := notices.Send(context.Background(), mail.Message{To: "anna@example.org", Subject: "A passkey was added", Text: "Was it you?"})
	fmt.Println(err, len(box.All()))

	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what is in the queue by now is sent all the same
	notices.Run(ctx)
	fmt.Println(box.To("anna@example.org")[0].Subject)
	// Output:
	// <nil> 0
	// A passkey was added
}

func ExampleLetters() {
	type data struct{ Service, Code string }
	letters, err := mail.NewLetters(map[string]mail.Letter{
		"en": {Subject: "Your code for {{.Service}}", Text: "{{.Code}}"},
		"de": {Subject: "Ihr Code für {{.Service}}", Text: "{{.Code}}", HTML: "<p>{{.Service}}: {{.Code}}</p>"},
	}, data{"Acme", "000000"})
	if err != nil {
		panic(err)
	}
	m, err := letters.Render("de-AT", data{"Meyer & Co", "012345"})
	fmt.Println(m.Subject, err)
	fmt.Println(m.HTML)
	// Output:
	// Ihr Code für Meyer & Co <nil>
	// <p>Meyer &amp; Co: 012345</p>
}

// A name that somebody chose cannot keep the mail from being sent that warns of
// it.
func ExampleLegible() {
	fmt.Println(mail.Legible("my\r\nphone\x00"))
	// Output: my phone
}
