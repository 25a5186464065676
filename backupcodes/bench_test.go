package backupcodes

import (
	"fmt"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// BenchmarkAttempt: a wrong code against a set of ten, through the vault over
// memory, side by side with one raw Argon2id and with what a loop over ten
// bcrypt hashes costs.
func BenchmarkAttempt(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		o := newOffice(b, nil, true)
		o.enroll("ada")
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			i++
			o.now.Add(2 * 3600) // past every pause
			if err := o.verify("ada", fmt.Sprintf("%016d", i)); err == nil {
				b.Fatal("a wrong code passed")
			}
			if i%90 == 0 { // before there are a hundred failures
				b.StopTimer()
				o.enroll("ada")
				b.StartTimer()
			}
		}
	})
	b.Run("argon2id", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			argon2.IDKey([]byte("0123456789ABCDEF"), []byte("0123456789abcdef"), passes, memory, lanes, tagSize)
		}
	})
	b.Run("bcrypt10", func(b *testing.B) {
		var hashes [10][]byte
		for i := range hashes {
			h, err := bcrypt.GenerateFromPassword(fmt.Appendf(nil, "code %d", i), bcrypt.DefaultCost)
			if err != nil {
				b.Fatal(err)
			}
			hashes[i] = h
		}
		for b.Loop() {
			for _, h := range hashes {
				if bcrypt.CompareHashAndPassword(h, []byte("0123456789ABCDEF")) == nil {
					b.Fatal("a wrong code passed")
				}
			}
		}
	})
}

// BenchmarkAttemptMAC: the same with codes of 115 bits, which need no slow hash.
func BenchmarkAttemptMAC(b *testing.B) {
	o := newOffice(b, &Options{Chars: macChars}, true)
	o.enroll("ada")
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		o.now.Add(2 * 3600)
		if err := o.verify("ada", fmt.Sprintf("%023d", i)); err == nil {
			b.Fatal("a wrong code passed")
		}
		if i%90 == 0 {
			b.StopTimer()
			o.enroll("ada")
			b.StartTimer()
		}
	}
}
