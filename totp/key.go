package totp

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// ErrKey: a text or a name is no valid key, or of none. What it was is not
// quoted.
var ErrKey = errors.New("totp: not a valid key")

// A Key is what an authenticator app and a server share. It never changes, and
// prints as [redacted] in every format. Keys come from GenerateKey, ParseKey
// and KeyOf; another is refused by everything.
type Key struct {
	spec            spec
	window          Window
	issuer, account string
	secret          []byte
}

// GenerateKey draws a key with 160 random bits.
//
// issuer is who asks for the code, account whose it is, as an app lists them:
// each 1 to 255 bytes of UTF-8 without colons, control characters, line
// separators and characters that turn the direction of text; spaces around
// them are dropped. ErrKey if one is not so; an error that wraps
// mfa.ErrArgument if the options are not valid.
func GenerateKey(issuer, account string, opts *Options) (*Key, error) {
	p, w, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	k, err := newKey(issuer, account, drawSecret(), p)
	if err != nil {
		return nil, err
	}
	k.window = w
	return k, nil
}

func drawSecret() []byte {
	secret := make([]byte, newSecret)
	_, _ = rand.Read(secret) // ends the process when it fails
	return secret
}

// newKey makes a key for an app that is to list it.
func newKey(issuer, account string, secret []byte, p spec) (*Key, error) {
	issuer, err := label("issuer", issuer)
	if err != nil {
		return nil, err
	}
	if issuer == "" {
		return nil, fmt.Errorf("%w: no issuer", ErrKey)
	}
	if account, err = label("account", account); err != nil {
		return nil, err
	}
	if account == "" {
		return nil, fmt.Errorf("%w: no account", ErrKey)
	}
	return &Key{spec: p, issuer: issuer, account: account, secret: secret}, nil
}

// KeyOf returns the key of an enrolment that began, to draw it.
func KeyOf(e *mfa.Enrollment) (*Key, error) {
	if e == nil || e.Kind != Kind {
		return nil, fmt.Errorf("%w: not an enrolment of an authenticator app", ErrKey)
	}
	return ParseKey(e.URI.Reveal())
}

// check refuses a Key that none of the constructors made.
func (k *Key) check() error {
	if k == nil || len(k.secret) < minSecret || len(k.secret) > maxSecret || k.spec.check() != nil {
		return ErrKey
	}
	return nil
}

// Issuer returns who asks for the code; "" if an imported URI did not say.
func (k *Key) Issuer() string { return k.issuer }

// Account returns whose code it is.
func (k *Key) Account() string { return k.account }

// Algorithm returns the hash.
func (k *Key) Algorithm() Algorithm { return k.spec.algorithm }

// Digits returns how many digits a code has, 6 to 8.
func (k *Key) Digits() int { return k.spec.digits }

// Period returns how long a step lasts, 15 s to 120 s.
func (k *Key) Period() time.Duration { return time.Duration(k.spec.period) * time.Second }

// Secret returns the secret in base32, in groups of four characters with
// spaces between: for people who cannot scan. Apps ignore the spaces.
func (k *Key) Secret() mfa.Secret {
	text := encodeSecret(k.secret)
	grouped := make([]byte, 0, len(text)+len(text)/4)
	for i := range len(text) {
		if i > 0 && i%4 == 0 {
			grouped = append(grouped, ' ')
		}
		grouped = append(grouped, text[i])
	}
	return mfa.Secret(grouped)
}

func encodeSecret(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// Verify judges a code by the server's clock. last is the step that Verify
// returned for the code accepted last, 0 at first. Store the new step, in place
// of exactly this last, before the answer counts: a code passes once only if
// last survives and is swapped atomically. With an error, step is last.
//
// mfa.ErrInvalid if the code is wrong or cannot be one, mfa.ErrReplayed if it
// is of the last step or an earlier one, mfa.ErrClock if last lies further in
// the future than it could. It counts nothing: limit the tries (RFC 4226
// section 7.3).
func (k *Key) Verify(code string, last int64) (step int64, err error) {
	return k.verify(code, last, time.Now())
}

func (k *Key) verify(code string, last int64, now time.Time) (int64, error) {
	if err := k.check(); err != nil {
		return last, err
	}
	typed, ok := canonical(code)
	if !ok || len(typed) != k.spec.digits {
		return last, malformed()
	}
	st := state{spec: k.spec, last: last}
	if st.centre(now) < int64(k.window.skew()) || st.ahead(now, k.window) {
		return last, mfa.ErrClock
	}
	v, step, err := st.judge(k.secret, typed, now, k.window)
	switch {
	case err != nil:
		return last, err
	case v == used:
		return last, mfa.ErrReplayed
	case v != right:
		return last, mfa.ErrInvalid
	}
	return step, nil
}

// Code returns what an app shows at t: for tests, and for programs that are an
// app. A server has no use for it. "" before 1970.
func (k *Key) Code(t time.Time) string {
	if k.check() != nil || t.Unix() < 0 {
		return ""
	}
	code, err := k.spec.at(encodeSecret(k.secret), k.spec.step(t))
	if err != nil {
		return ""
	}
	return code
}

const redacted = "[redacted]"

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (k Key) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (k Key) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
