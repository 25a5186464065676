package notify

// What others chose, as a mail may show it.

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
)

// name returns a name that somebody chose. Mail programs make links of whatever
// looks like one, IP addresses too: a space after a dot or before slashes keeps them
// from it. Nothing is changed in a mail address.
func name(s string) string {
	if to, err := mail.Address(s); err == nil {
		return to
	}
	s = mail.Legible(s)
	var b strings.Builder
	last := ' '
	for _, r := range s {
		if last == '.' && (unicode.IsLetter(r) || unicode.IsDigit(r)) || last == ':' && r == '/' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

// line returns s on one line, of at most so many bytes, without control and
// direction characters.
func line(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, s[:min(len(s), most)])
	return strings.Join(strings.Fields(s), " ")
}

// accountName is what a user's account is called; Guard puts the ID where there is no
// name.
func accountName(u mfa.User) string {
	for _, s := range []string{u.Name, u.Email} {
		if s != u.ID && name(s) != "" {
			return name(s)
		}
	}
	return name(u.ID)
}

// masked returns what the recipient may see of a mail address: all of it only if
// it is the recipient's own. "" if it is none.
func masked(address, to string) string {
	a, err := mail.Address(address)
	if err != nil || a == to {
		return a
	}
	return mail.Mask(a)
}

// address returns an IP address, "" for anything else: it may come from a header.
func address(s string) string {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	return ip.Unmap().WithZone("").String()
}

// program returns what a User-Agent says, in words from here alone.
func program(agent string) string {
	agent = agent[:min(len(agent), 1024)]
	first := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(agent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	// Each claims to be some of those below it, too.
	browser := first(
		"Edg", "Edge", "OPR/", "Opera", "SamsungBrowser/", "Samsung Internet", "Firefox/", "Firefox", "FxiOS/", "Firefox",
		"CriOS/", "Chrome", "Chrome/", "Chrome", "Safari/", "Safari",
	)
	system := first(
		"iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "CrOS", "ChromeOS",
		"Macintosh", "macOS", "Linux", "Linux",
	)
	if browser != "" && system != "" {
		return browser + ", " + system
	}
	return browser + system
}
