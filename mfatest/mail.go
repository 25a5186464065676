package mfatest

import (
	"regexp"

	"github.com/seed-f4994bf1/mfa/mail"
)

// Code returns the code that a mail holds: the first line of its text that is
// nothing but six to ten digits. "" if there is none.
func Code(m mail.Message) string {
	line := regexp.MustCompile(`(?m)^[ \t]*([0-9]{6,10})[ \t\r]*$`).FindStringSubmatch(m.Text)
	if line == nil {
		return ""
	}
	return line[1]
}

// addressOf returns the address of a user's mailbox.
func addressOf(userID string) string {
	address, err := mail.Address(userID + "@example.com")
	if err != nil {
		return "somebody@example.com"
	}
	return address
}
