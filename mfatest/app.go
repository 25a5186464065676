package mfatest

// An authenticator app: RFC 4226 and RFC 6238 written anew, on the standard
// library alone, so that package totp is compared with something else than
// itself.

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An App is an authenticator app with one key. Its exported fields are what it
// read; they do not change.
type App struct {
	Issuer, Account string
	Algorithm       string // SHA1, SHA256 or SHA512
	Digits          int    // 6 to 8
	Period          time.Duration

	secret []byte
	hash   func() hash.Hash

	mu   sync.Mutex
	last int64 // the step of the code that Next returned last
}

// NewApp returns the app that scanned uri (otpauth://totp/...). It is as strict
// as an app may be: what it takes, every app should.
func NewApp(uri string) (*App, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("mfatest: not a URI") // without its text, which quotes the secret
	}
	if u.Scheme != "otpauth" || u.Host != "totp" {
		return nil, errors.New("mfatest: not an otpauth URI for time-based codes")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("mfatest: a query that does not parse")
	}
	for name, values := range q {
		if len(values) != 1 {
			return nil, fmt.Errorf("mfatest: %s %d times", name, len(values))
		}
	}
	a := &App{Algorithm: "SHA1", Digits: 6, Period: 30 * time.Second, Issuer: q.Get("issuer")}
	label := strings.TrimPrefix(u.Path, "/")
	a.Account = label
	if issuer, account, ok := strings.Cut(label, ":"); ok {
		a.Account = strings.TrimSpace(account)
		if a.Issuer != issuer {
			return nil, errors.New("mfatest: the label and the parameter name two issuers")
		}
	}
	if a.secret, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(q.Get("secret")); err != nil || len(a.secret) < 16 {
		return nil, errors.New("mfatest: no secret in base32 of 128 bits or more")
	}
	if q.Has("algorithm") {
		a.Algorithm = q.Get("algorithm")
	}
	switch a.Algorithm {
	case "SHA1":
		a.hash = sha1.New
	case "SHA256":
		a.hash = sha256.New
	case "SHA512":
		a.hash = sha512.New
	default:
		return nil, errors.New("mfatest: an unknown algorithm")
	}
	if q.Has("digits") {
		if a.Digits, err = strconv.Atoi(q.Get("digits")); err != nil || a.Digits < 6 || a.Digits > 8 {
			return nil, errors.New("mfatest: digits that are not 6 to 8")
		}
	}
	if q.Has("period") {
		s, err := strconv.Atoi(q.Get("period"))
		if err != nil || s < 1 || s > 3600 {
			return nil, errors.New("mfatest: a period that is no number of seconds")
		}
		a.Period = time.Duration(s) * time.Second
	}
	return a, nil
}

// Secret returns the key's raw bytes, for a test that searches for them.
func (a *App) Secret() []byte { return append([]byte(nil), a.secret...) }

// Step returns the number of the step at that time.
func (a *App) Step(at time.Time) int64 { return at.Unix() / int64(a.Period/time.Second) }

// Code returns the code that the app shows at that time.
func (a *App) Code(at time.Time) string { return a.code(a.Step(at)) }

func (a *App) code(step int64) string {
	mac := hmac.New(a.hash, a.secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	for m, i := uint32(1), 0; ; i++ {
		if m *= 10; i == a.Digits-1 {
			return fmt.Sprintf("%0*d", a.Digits, n%m)
		}
	}
}

// Next returns a code that was not returned before: the one that the app shows
// by c or, if that was returned, the one of the next step, to which c is moved
// forward, as somebody waits for the display to change.
func (a *App) Next(c *Clock) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	step := a.Step(c.Now())
	if step <= a.last {
		step = a.last + 1
		c.wait(time.Unix(step*int64(a.Period/time.Second), 0))
	}
	a.last = step
	return a.code(step)
}
