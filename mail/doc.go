// Package mail is what the other packages send mail with: a [Message], a
// [Sender] that an application may write in five lines, a [Router] for tenants
// with servers of their own, and an [Outbox] that keeps messages in development
// and tests. Package mail/smtp sends for real.
//
//	acme, err := smtp.New("mail.acme.example:587", "no-reply@acme.example", &smtp.Options{Username: user, Password: password})
//	mailer := mail.Route(func(ctx context.Context, tenant string) (mail.Sender, error) {
//		if tenant == "acme" {
//			return acme, nil
//		}
//		return nil, nil // no server: what needs mail is not offered there
//	})
//
// # Security considerations
//
// [Message.Check] lets one bare address and a subject of one line through, and
// every Sender here asks it first: nothing that a user typed becomes a header or
// a second recipient. [Letters] escape what they fill into HTML. A Message prints
// as [redacted]: it may hold a code.
//
// # Concurrency
//
// All types may be used by many goroutines. Only [Queue.Run] takes one of its
// own, the caller's.
//
// # Compatibility
//
// Standard library alone, and none of its network packages that speak TLS.
package mail
