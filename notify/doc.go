// Package notify tells users by mail what happened to their accounts: a
// [Notifier] is a mfa.Notifier. An account cannot be taken over unnoticed while its
// owner reads mail.
//
//	notices, err := notify.New(mailer, &notify.Options{Settings: "https://acme.example/security"})
//	guard, err := mfa.New(v, mfa.Config{Service: "Acme", Users: users, Notify: notices, Methods: methods})
//
// Users is needed, because it is what knows the users' addresses. A mail says
// what happened, to which method, when, from where if the application says so
// with mfa.WithClient, and what to do if it was somebody else. It goes to
// User.Email; where an address was added or changed, to that one and the one
// before, too; and to whom Options.To names, in other words and in a mail of
// their own.
//
// Guard waits for a Notifier, after the change is saved, for ten seconds at most.
// A mail.Queue between keeps users from waiting for a mail server:
//
//	queue := mail.NewQueue(mailer, 1000, func(_ mail.Message, err error) { slog.Error("notice", "error", err) })
//	go queue.Run(ctx)
//	notices, err := notify.New(queue, nil)
//
// What the mails say is in [Texts], how they look in [Options].Letter. A product
// of many brands has a Notifier for each, behind one of its own that picks by
// User.Tenant.
//
// # Security considerations
//
// The only link is Options.Settings: it comes from the configuration, never from a
// request. Names that somebody chose (a factor's, an account's) are cut, put on
// one line, freed of control and direction characters, written so that a mail
// program makes no link of them, and escaped: they can neither add to a notice nor
// keep it from being sent. Of a program that calls only names known here are
// shown, because a thief who has the password chooses what is in User-Agent.
//
// An address is shown in full to itself and masked to everybody else. Further
// recipients learn the account's name. Nobody learns of another recipient.
//
// An error of Notify, which Guard raises as mfa.EventDeliveryFailed, says what
// failed without an address. It undoes nothing and keeps no other recipient from
// being told. ErrNoRecipient says that nobody could be.
//
// Where a mailbox is all that is left to a user, whoever reads it reads the
// notices, too: they are no second factor.
//
// # Concurrency and compatibility
//
// A Notifier never changes and may be used by many goroutines; Options.To and
// Options.Location have to bear that. An event of a type that is not known here, of
// a newer version or the application's own, gets general words.
package notify
