package totp

import (
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// BenchmarkRule: a wrong code of the right form against three steps, from the
// decoded secret, side by side with what a peer offers.
func BenchmarkRule(b *testing.B) {
	now := time.Unix(1_800_000_000, 0)
	secret := asciiSecret(20)
	st := state{spec: spec{SHA1, 6, 30}, last: 59_000_000}
	text := encodeSecret(secret)
	code := wrongFor(now, &Key{spec: st.spec, account: "ada", secret: secret})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			typed, ok := canonical(code)
			v, _, err := st.judge(secret, typed, now, NormalWindow)
			if !ok || v != wrong || err != nil {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("pquerna", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ok, err := totp.ValidateCustom(code, text, now, totp.ValidateOpts{
				Period: 30, Skew: 1, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
			})
			if ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

// BenchmarkVerify: a right code through the vault over memory.
func BenchmarkVerify(b *testing.B) {
	o := newOffice(b, nil)
	k := o.enrolled()
	b.ReportAllocs()
	for b.Loop() {
		o.steps(k, 1)
		if _, err := o.verify(k.Code(o.time())); err != nil {
			b.Fatal(err)
		}
	}
}
