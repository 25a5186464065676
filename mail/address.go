package mail

import (
	"fmt"
	"strings"
)

const (
	maxAddress = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
	maxLocal   = 64
	maxLabel   = 63
)

// Address returns the one form in which an address is kept and compared: what a
// person typed without the spaces around it, the domain in lower case. It takes a
// dot-atom at a host name and nothing else (RFC 5321 section 4.1.2): an error
// that wraps ErrMessage for a list, a display name, a comment, a quoted local
// part, an IP address, control characters, and more than 254 bytes. Domains
// of other scripts are given in their ASCII form (xn--).
func Address(s string) (string, error) {
	if len(s) > maxAddress+16 { // before anything else looks at it
		return "", errAddress
	}
	s = strings.Trim(s, " \t")
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxAddress || len(local) > maxLocal || !dotted(local, atext) ||
		strings.Contains(local, "=?") && strings.Contains(local, "?=") { // an encoded word (RFC 2047), which some decode even here
		return "", errAddress
	}
	if !dotted(domain, hostname) {
		return "", errAddress
	}
	domain = strings.ToLower(domain) // ASCII by now: it would make a k of a Kelvin sign
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return "", errAddress
		}
	}
	// No name ends in a number (RFC 3696 section 2): that is an IP address.
	if last := domain[strings.LastIndexByte(domain, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return "", errAddress
	}
	return local + "@" + domain, nil
}

var errAddress = fmt.Errorf("%w: recipient", ErrMessage)

// dotted reports whether s is one or more runs of allowed bytes with single dots
// between them.
func dotted(s string, allowed func(byte) bool) bool {
	last := byte('.')
	for i := range len(s) {
		if s[i] == '.' && last == '.' || s[i] != '.' && !allowed(s[i]) {
			return false
		}
		last = s[i]
	}
	return last != '.'
}

func hostname(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

func atext(c byte) bool {
	return hostname(c) || strings.IndexByte("!#$%&'*+/=?^_`{|}~", c) >= 0
}

// Mask returns an address in which its owner recognises it and nobody else
// learns it: the first letter and the domain. "" if it is none.
func Mask(address string) string {
	address, err := Address(address)
	if err != nil {
		return ""
	}
	return address[:1] + "…" + address[strings.LastIndexByte(address, '@'):]
}
