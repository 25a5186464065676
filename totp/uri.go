package totp

// otpauth URIs, as authenticator apps scan and export them:
//
//	otpauth://totp/Issuer:account?secret=BASE32&issuer=Issuer&algorithm=SHA1&digits=6&period=30

import (
	"cmp"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa"
)

const (
	uriPrefix = "otpauth://totp/"
	maxLabel  = 255      // bytes of an issuer or account
	maxURI    = 4 * 1024 // bytes
)

// URI returns the key as an otpauth URI. What an app takes for granted (SHA-1,
// 6 digits, 30 s) is left out, so that the QR code stays small. "" if k is not
// a key.
func (k *Key) URI() mfa.Secret {
	if k.check() != nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(uriPrefix)
	if k.issuer != "" {
		escape(&b, k.issuer, "@")
		b.WriteByte(':')
	}
	escape(&b, k.account, "@")
	b.WriteString("?secret=")
	b.WriteString(encodeSecret(k.secret))
	if k.issuer != "" {
		b.WriteString("&issuer=")
		escape(&b, k.issuer, "")
	}
	if k.spec.algorithm != SHA1 {
		b.WriteString("&algorithm=")
		b.WriteString(k.spec.algorithm.String())
	}
	if k.spec.digits != 6 {
		b.WriteString("&digits=")
		b.WriteString(strconv.Itoa(k.spec.digits))
	}
	if k.spec.period != 30 {
		b.WriteString("&period=")
		b.WriteString(strconv.FormatInt(k.spec.period, 10))
	}
	return mfa.Secret(b.String())
}

// escape percent-encodes every byte that is not unreserved (RFC 3986 section
// 2.3) and not in also. A space becomes %20: apps show a + as it is.
func escape(b *strings.Builder, s, also string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', strings.IndexByte(also, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}

// unescape reads %XX and leaves all else, + too, as it is (RFC 3986).
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := unhex(s[i+1]), unhex(s[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// label returns an issuer or account as it may stand in a URI.
func label(what, s string) (string, error) {
	s = strings.TrimFunc(s, func(r rune) bool { return r == ' ' })
	switch {
	case len(s) > maxLabel:
		return "", fmt.Errorf("%w: the %s has more than %d bytes", ErrKey, what, maxLabel)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%w: the %s is not UTF-8", ErrKey, what)
	case strings.ContainsRune(s, ':'):
		return "", fmt.Errorf("%w: the %s has a colon", ErrKey, what)
	case strings.ContainsFunc(s, unshowable):
		return "", fmt.Errorf("%w: the %s has a control character", ErrKey, what)
	}
	return s, nil
}

// legible returns s with a hyphen for all that label would refuse, cut to what
// fits. What is nothing then is "account".
func legible(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == utf8.RuneError || unshowable(r) {
			return '-'
		}
		return r
	}, s)
	for len(s) > maxLabel {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return cmp.Or(strings.TrimSpace(s), "account")
}

// unshowable: controls, line separators, and what turns the direction of text.
func unshowable(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' || unicode.Is(unicode.Bidi_Control, r)
}

// ParseKey reads an otpauth URI. It is strict, because what it takes an app may
// take for something else:
//
//   - it is ASCII without spaces, percent-encoded (RFC 3986);
//   - the type is totp; the parameters are secret, issuer, algorithm (SHA1,
//     SHA256, SHA512), digits (6 to 8) and period (15 to 120 seconds), each at
//     most once, and no others;
//   - the secret has 16 to 128 bytes (RFC 4226 section 4 R6 demands 128 bits)
//     in base32 of any case, with all or none of its padding, and without
//     stray bits;
//   - the issuer is the same before the account and as parameter, where both
//     are given; names are as GenerateKey takes them.
//
// The window is NormalWindow. ErrKey if anything is not so; the error quotes
// nothing of the URI.
func ParseKey(uri string) (*Key, error) {
	if len(uri) > maxURI {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrKey, maxURI)
	}
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] > '~' {
			return nil, fmt.Errorf("%w: has a character that is not percent-encoded", ErrKey)
		}
	}
	rest, ok := strings.CutPrefix(uri, uriPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: does not begin with %s", ErrKey, uriPrefix)
	}
	path, query, ok := strings.Cut(rest, "?")
	if !ok || strings.Contains(rest, "#") || strings.Contains(query, "?") {
		return nil, fmt.Errorf("%w: not of the form label?parameters", ErrKey)
	}
	k := &Key{spec: spec{algorithm: SHA1, digits: 6, period: 30}}
	prefixed, err := k.parseLabel(path)
	if err != nil {
		return nil, err
	}
	if err := k.parseQuery(query, prefixed); err != nil {
		return nil, err
	}
	if k.secret == nil {
		return nil, fmt.Errorf("%w: no secret", ErrKey)
	}
	if err := k.spec.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return k, nil
}

// parseLabel reads [issuer:]account and reports whether an issuer stood there.
func (k *Key) parseLabel(path string) (prefixed bool, err error) {
	text, ok := unescape(path)
	if !ok {
		return false, fmt.Errorf("%w: the label is not percent-encoded", ErrKey)
	}
	issuer, account, prefixed := strings.Cut(text, ":")
	if !prefixed {
		issuer, account = "", text
	}
	if k.issuer, err = label("issuer", issuer); err != nil {
		return false, err
	}
	if k.account, err = label("account", account); err != nil {
		return false, err
	}
	if k.account == "" || prefixed && k.issuer == "" {
		return false, fmt.Errorf("%w: an empty name", ErrKey)
	}
	return prefixed, nil
}

func (k *Key) parseQuery(query string, prefixed bool) error {
	seen := make(map[string]bool, 5)
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, ok := strings.Cut(pair, "=")
		value, clean := unescape(raw)
		if !ok || !clean {
			return fmt.Errorf("%w: a parameter is not percent-encoded", ErrKey)
		}
		if seen[name] {
			return fmt.Errorf("%w: a parameter is given twice", ErrKey)
		}
		seen[name] = true
		var err error
		switch name {
		case "secret":
			k.secret, err = decodeSecret(value)
		case "issuer":
			err = k.parseIssuer(value, prefixed)
		case "algorithm":
			k.spec.algorithm, err = parseAlgorithm(value)
		case "digits":
			k.spec.digits, err = parseNumber(value)
		case "period":
			var n int
			n, err = parseNumber(value)
			k.spec.period = int64(n)
		default:
			return fmt.Errorf("%w: an unknown parameter", ErrKey)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *Key) parseIssuer(value string, prefixed bool) error {
	issuer, err := label("issuer", value)
	switch {
	case err != nil:
		return err
	case issuer == "":
		return fmt.Errorf("%w: an empty name", ErrKey)
	case !prefixed:
		k.issuer = issuer
	case issuer != k.issuer && strings.ReplaceAll(issuer, "+", " ") != k.issuer:
		// Some exporters write a space as +, but only in parameters.
		return fmt.Errorf("%w: two issuers", ErrKey)
	}
	return nil
}

// parseAlgorithm compares bytes: letters of other scripts fold to ASCII ones.
func parseAlgorithm(value string) (Algorithm, error) {
	switch value {
	case "SHA1", "sha1":
		return SHA1, nil
	case "SHA256", "sha256":
		return SHA256, nil
	case "SHA512", "sha512":
		return SHA512, nil
	}
	return 0, fmt.Errorf("%w: an unknown algorithm", ErrKey)
}

// parseNumber reads 1 to 999 in ASCII digits, without a sign or leading zeros.
// The ranges are checked by who asks.
func parseNumber(value string) (int, error) {
	if len(value) < 1 || len(value) > 3 || value[0] == '0' {
		return 0, fmt.Errorf("%w: a number out of range", ErrKey)
	}
	n := 0
	for i := range len(value) {
		c := value[i]
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: not a number", ErrKey)
		}
		n = 10*n + int(c-'0')
	}
	return n, nil
}

// decodeSecret reads base32 of any case with all or none of its padding. The
// standard decoder forgives line feeds and stray bits: so encode again and
// compare.
func decodeSecret(text string) ([]byte, error) {
	bad := fmt.Errorf("%w: the secret is not base32 of %d to %d bytes", ErrKey, minSecret, maxSecret)
	upper := []byte(text)
	for i, c := range upper {
		if 'a' <= c && c <= 'z' {
			upper[i] = c - 'a' + 'A'
		}
	}
	encoding := base32.StdEncoding
	if !strings.HasSuffix(text, "=") {
		encoding = encoding.WithPadding(base32.NoPadding)
	}
	secret, err := encoding.DecodeString(string(upper))
	if err != nil || len(secret) < minSecret || len(secret) > maxSecret || encoding.EncodeToString(secret) != string(upper) {
		return nil, bad
	}
	return secret, nil
}
