// Package emailotp is a factor for codes by email: six digits to an address that
// was confirmed before, good once, for ten minutes, for the sign-in that they
// were sent for.
//
//	mailer, err := smtp.New("mail.acme.example:587", "no-reply@acme.example", &smtp.Options{Username: user, Password: password})
//	guard, err := mfa.New(v, mfa.Config{Service: "Acme", Users: users, Methods: []mfa.Method{
//		totp.New(nil), emailotp.New(mailer, nil), backupcodes.New(nil),
//	}})
//
// Any mail.Sender will do; with a mail.Router each tenant's mail goes out by a
// server of its own, and the method is not offered where there is none.
//
// # What happens
//
// A user enrols an address, the profile's (User.Email) unless another is given,
// and types the code that was sent there. From then on codes go to that address,
// whatever the profile says. When the profile's address changes, the application
// calls Guard.AddressChanged: codes that are out die, the old address is told, and
// an advice asks the user to enrol the new one. It replaces the old one once it is
// confirmed. The rules of the codes are those of package sentcode.
//
// # Security considerations
//
// Email is the weakest factor here, and where better ones can be had it should
// not stand alone. NIST SP 800-63B-4 section 3.1.3.1 does not accept email for
// out-of-band authentication, and OWASP ASVS 5.0 requirement 6.3.6 forbids it at
// level 3. It is offered because many products need it, and it says what it is:
// Traits are OutOfBand and not PhishingResistant, offers list it after an app's
// codes, and a policy keeps it out:
//
//	mfa.Policy{Rule: mfa.Rule{Not: []mfa.Kind{emailotp.Kind}}}
//	mfa.Policy{Rule: mfa.Rule{PhishingResistant: true}}
//
// If the mailbox is also where a forgotten password is reset, an emailed code
// proves nothing that the reset has not proven already.
//
// A mail says nothing that a person chose but names, which are cleaned and escaped,
// and has no link. The code is in its text, not in its subject, which devices show
// while they are locked.
//
// # Concurrency and compatibility
//
// A [Method] never changes and may be used by many goroutines. With a Sender of
// one's own, no package that speaks TLS or SMTP is compiled.
package emailotp
