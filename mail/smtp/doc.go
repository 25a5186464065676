// Package smtp sends mail through an SMTP server, over TLS or not at all.
//
//	sender, err := smtp.New("mail.acme.example:587", "no-reply@acme.example", &smtp.Options{
//		Name:     "Acme",
//		Username: "no-reply",
//		Password: password,
//	})
//	if err != nil {
//		return err
//	}
//	err = sender.Send(ctx, mail.Message{To: "anna@example.org", Subject: "Your code", Text: "012345"})
//
// If you are not sure: port 587 with the zero [Options.TLS], port 465 with
// [Implicit].
//
// Each message takes a connection of its own: connect, TLS, sign in, send, quit.
// For what this library sends that is fast enough, and there is no state that
// could go stale.
//
// # Security considerations
//
// A server that offers no TLS, or a certificate that is not trusted for its name,
// gets neither the password nor the message: there is no fallback. [Plaintext] has
// to be asked for, is meant for a relay on the same machine, and signs in nowhere
// else.
//
// What [mail.Message.Check] refuses is refused before anything connects, so that
// nothing of a message becomes a command, a header or a second recipient. Errors
// hold what failed and the server's three digits, not its words, which may repeat
// the recipient or the user name. A [Sender] and its [Options] print as
// [redacted].
//
// Passwords go by PLAIN or LOGIN (RFC 4954), which is what servers offer inside
// TLS. SCRAM is left out: the server would say how many rounds of hashing the
// client does, and no context ends those.
//
// Headers name neither this library nor the machine: the Message-ID and the name
// that is given to the server (EHLO) are of the sender's domain.
//
// # Concurrency
//
// A Sender never changes and may be used by many goroutines. Send takes as many
// connections as there are calls under way.
//
// # Compatibility
//
// Stands on github.com/wneessen/go-mail, none of whose types appear here. TLS 1.2
// is the oldest that is spoken. Addresses are ASCII (no SMTPUTF8), domains of
// other scripts in their xn-- form.
package smtp
