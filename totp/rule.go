package totp

// The rule: which codes are right now. It knows no account and no store.

import (
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An Algorithm is the hash under the HMAC (RFC 6238 section 1.2).
type Algorithm int

const (
	SHA1   Algorithm = iota // the default, and the only one that every app knows
	SHA256                  // HMAC-SHA-256
	SHA512                  // HMAC-SHA-512
)

// String returns the name that an otpauth URI uses.
func (a Algorithm) String() string {
	switch a {
	case SHA1:
		return "SHA1"
	case SHA256:
		return "SHA256"
	case SHA512:
		return "SHA512"
	}
	return fmt.Sprintf("Algorithm(%d)", int(a))
}

// A Window is how many steps are accepted besides the present one, for clocks
// that differ and people who type slowly (RFC 6238 section 5.2).
type Window int

const (
	NormalWindow Window = iota // one step before and one after
	StrictWindow               // the present step alone
	WideWindow                 // two steps before and two after
)

// skew is the window's reach to either side. What is no Window reaches nowhere:
// every caller has checked before.
func (w Window) skew() int {
	switch w {
	case NormalWindow:
		return 1
	case WideWindow:
		return 2
	}
	return 0
}

const (
	minDigits, maxDigits = 6, 8
	minPeriod, maxPeriod = 15, 120 // seconds
	minSecret, maxSecret = 16, 128 // bytes: RFC 4226 section 4 R6, NIST SP 800-63B-4 section 3.1.4.1
	newSecret            = 20      // bytes of a secret that is drawn here
	maxTyped             = 64      // bytes of an answer
	maxDrift             = 2       // steps
	tolerance            = 120     // seconds that another machine's clock may run ahead
)

// A spec is how an app computes its codes.
type spec struct {
	algorithm Algorithm
	digits    int
	period    int64 // seconds
}

// check says what is out of range.
func (p spec) check() error {
	switch {
	case p.algorithm < SHA1 || p.algorithm > SHA512:
		return fmt.Errorf("unknown algorithm %d", p.algorithm)
	case p.digits < minDigits || p.digits > maxDigits:
		return fmt.Errorf("%d digits, not 6 to 8", p.digits)
	case p.period < minPeriod || p.period > maxPeriod:
		return fmt.Errorf("a period of %d s, not 15 to 120", p.period)
	}
	return nil
}

// step is the number of the step at t, below 0 before 1970.
func (p spec) step(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		return -1
	}
	return s / p.period
}

// at returns the code of one step. text is the secret in base32.
func (p spec) at(text string, step int64) (string, error) {
	algorithm := otp.AlgorithmSHA1
	switch p.algorithm {
	case SHA256:
		algorithm = otp.AlgorithmSHA256
	case SHA512:
		algorithm = otp.AlgorithmSHA512
	}
	return hotp.GenerateCodeCustom(text, uint64(step), hotp.ValidateOpts{
		Digits:    otp.Digits(p.digits),
		Algorithm: algorithm,
	})
}

// matches are the highest and the lowest step of a window whose code is the
// one that was given; both are -1 if none is.
type matches struct {
	highest, lowest int64
}

// match compares code, which has p.digits digits, with the codes of all steps
// from centre-skew to centre+skew. It takes the same way whether and where one
// matches: the same digits can be right twice in a window.
func (p spec) match(secret []byte, code string, centre int64, skew int) (matches, error) {
	none := matches{-1, -1}
	if centre < int64(skew) || len(secret) < minSecret || len(code) != p.digits || p.check() != nil {
		return none, errSpec
	}
	text := base32.StdEncoding.EncodeToString(secret)
	first := centre - int64(skew)
	highest, lowest := -1, -1
	for i := range 2*skew + 1 {
		want, err := p.at(text, first+int64(i))
		if err != nil {
			return none, errSpec // never with the error's text: it may quote the secret
		}
		equal := subtle.ConstantTimeCompare([]byte(want), []byte(code))
		highest = subtle.ConstantTimeSelect(equal, i, highest)
		lowest = subtle.ConstantTimeSelect(equal&subtle.ConstantTimeEq(int32(lowest), -1), i, lowest)
	}
	if highest < 0 {
		return none, nil
	}
	return matches{first + int64(highest), first + int64(lowest)}, nil
}

// errSpec: a stored or handed-in key is not usable. It cannot come up unless a
// check before was left out.
var errSpec = errors.New("totp: a key that cannot make codes")

// A verdict is what a code is to one key.
type verdict int

const (
	wrong  verdict = iota
	right          // and not used before
	used           // it is of the last accepted step, or of an earlier one
	future         // it matches, but the last step lies impossibly far ahead
)

// judge tells what code is to a key with that state now, and the highest step
// that matched.
//
// A code that matches a used step and an unused one is used: nobody but chance
// can tell it from one that was looked at over a shoulder.
func (st state) judge(secret []byte, code string, now time.Time, w Window) (verdict, int64, error) {
	m, err := st.match(secret, code, st.centre(now), w.skew())
	switch {
	case err != nil:
		return wrong, 0, err
	case m.highest < 0:
		return wrong, 0, nil
	case st.ahead(now, w):
		return future, 0, nil
	case m.lowest <= st.last:
		return used, 0, nil
	}
	return right, m.highest, nil
}

// centre is the middle of the window.
func (st state) centre(now time.Time) int64 { return st.step(now) + int64(st.drift) }

// end is the last step of the window.
func (st state) end(now time.Time, w Window) int64 { return st.centre(now) + int64(w.skew()) }

// ahead reports whether the last accepted step lies further in the future than
// a window and another machine's clock could have put it.
func (st state) ahead(now time.Time, w Window) bool {
	return st.last > st.end(now, w)+(tolerance+st.period-1)/st.period
}

// burn notes that a code of that step was accepted. learn keeps how far the
// app's clock was off (RFC 6238 section 6): the window moves by so much, at
// most two steps, and never grows.
func (st *state) burn(step int64, now time.Time, learn bool) {
	st.last = max(st.last, step)
	st.drift = 0
	if learn {
		st.drift = int(min(max(step-st.step(now), -maxDrift), maxDrift))
	}
}

// malformed is the answer to what cannot be a code. It is no try.
func malformed() error { return vault.Uncounted(mfa.ErrInvalid) }

// canonical returns the digits that were typed, without the ASCII spaces and
// hyphens with which apps and people group them. Everything else is refused:
// nothing here ever parses a number.
func canonical(typed string) (code string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	var digits [maxDigits]byte
	n := 0
	for i := range len(typed) {
		switch c := typed[i]; {
		case c == ' ' || c == '-':
		case '0' <= c && c <= '9' && n < len(digits):
			digits[n] = c
			n++
		default:
			return "", false
		}
	}
	return string(digits[:n]), n >= minDigits
}
