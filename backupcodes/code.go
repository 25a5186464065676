package backupcodes

// How a code looks: Crockford's base32, which has no I, L, O and U.

import (
	"crypto/rand"
	"strings"

	"github.com/seed-f4994bf1/mfa"
)

const (
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	maxTyped = 64 // bytes of an answer
)

// draw returns n random characters. 256 is a multiple of 32: each is as likely
// as the others.
func draw(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // ends the process when it fails
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))]
	}
	return b
}

// grouped is a code as it is shown, in fours.
func grouped(code []byte) mfa.Secret {
	b := make([]byte, 0, len(code)+len(code)/groupChars)
	for i, c := range code {
		if i > 0 && i%groupChars == 0 {
			b = append(b, '-')
		}
		b = append(b, c)
	}
	return mfa.Secret(b)
}

// canonical returns the characters that were typed: letters of any case, O for
// 0 and I or L for 1, without ASCII spaces and hyphens. Everything else is
// refused. Its length says nothing yet.
func canonical(typed string) (code []byte, ok bool) {
	if len(typed) > maxTyped {
		return nil, false
	}
	for i := range len(typed) {
		c := typed[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case ' ', '-':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if strings.IndexByte(alphabet, c) < 0 {
			return nil, false
		}
		code = append(code, c)
	}
	return code, code != nil
}
