package perf

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	pquerna "github.com/pquerna/otp/totp"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A work is something whose time is taken, n times in each round.
type work struct {
	name  string
	n     int
	every int // runs in every so-manieth round
	do    func(t testing.TB, n int) time.Duration

	times []time.Duration // of one, by round
}

func (w *work) median() time.Duration {
	slices.Sort(w.times)
	return w.times[len(w.times)/2]
}

// timed takes the time of n calls.
func timed(f func()) func(testing.TB, int) time.Duration {
	return func(_ testing.TB, n int) time.Duration {
		began := time.Now()
		for range n {
			f()
		}
		return time.Since(began)
	}
}

// wrongCode returns a code that key shows at no time near now.
func wrongCode(key *totp.Key) string {
	for n := 0; ; n++ {
		code := fmt.Sprintf("%06d", n)
		ok := true
		for d := -5; d <= 60; d++ { // half an hour to come
			ok = ok && key.Code(time.Now().Add(time.Duration(d)*30*time.Second)) != code
		}
		if ok {
			return code
		}
	}
}

func TestPerformance(t *testing.T) {
	if os.Getenv("MFA_PERF") == "" {
		if os.Getenv("MFA_CI") == "" {
			t.Skip("measures only with MFA_PERF=1, on a machine with nothing else to do")
		}
		t.Log("one round, to see that it works; figures only with MFA_PERF=1")
	}
	rounds := 1
	if os.Getenv("MFA_PERF") != "" {
		rounds = 21
	}

	key, err := totp.GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	wrong := wrongCode(key)
	secret := strings.ReplaceAll(key.Secret().Reveal(), " ", "")
	opts := pquerna.ValidateOpts{Period: 30, Skew: 1, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	peerKey, err := otp.NewKeyFromURL(key.URI().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	u := newTypical(t)
	code, salt := []byte(u.person.Codes()[0]), random(16)
	hash, err := bcrypt.GenerateFromPassword(code, bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	var ours, theirs int // bytes of the images

	peer := &work{name: "pquerna/otp ValidateCustom, a wrong code", n: 8000, do: timed(func() {
		if ok, err := pquerna.ValidateCustom(wrong, secret, time.Now(), opts); ok || err != nil {
			t.Fatal(ok, err)
		}
	})}
	rule := &work{name: "totp Key.Verify, a wrong code", n: 8000, do: timed(func() {
		if _, err := key.Verify(wrong, 0); err == nil {
			t.Fatal("accepted")
		}
	})}
	accepted := &work{name: "accepted Pending.Verify over memstore, the typical record", n: 1000, do: func(t testing.TB, n int) time.Duration {
		s := u.prepare(t, n)
		runtime.GC()
		began := time.Now()
		s.verify(t)
		return time.Since(began)
	}}
	argon := &work{name: "Argon2id, 19 MiB, t=2, p=1", n: 4, do: timed(func() {
		argon2.IDKey(code, salt, 2, 19*1024, 1, 32)
	})}
	attempt := &work{name: "Pending.Verify of a backup code", n: 4, do: func(t testing.TB, n int) (sum time.Duration) {
		for range n {
			u.Clock.Advance(11 * time.Minute)
			p := u.begin(t)
			a := mfa.Answer{Kind: backupcodes.Kind, Code: "0000-0000-0000-0000"}
			began := time.Now()
			_, err := p.Verify(t.Context(), a)
			sum += time.Since(began)
			if err == nil {
				t.Fatal("accepted")
			}
			if err := u.guard.Admin("test").Unlock(t.Context(), u.person.UserID); err != nil {
				t.Fatal(err)
			}
		}
		return sum
	}}
	ten := &work{name: "ten bcrypt compares", n: 1, every: 5, do: timed(func() {
		for range 10 {
			if bcrypt.CompareHashAndPassword(hash, salt) == nil {
				t.Fatal("accepted")
			}
		}
	})}
	draw := &work{name: "QR PNG, totp Key.PNG(250)", n: 20, do: timed(func() {
		b, err := key.PNG(250)
		if err != nil {
			t.Fatal(err)
		}
		ours = len(b)
	})}
	peerDraw := &work{name: "QR PNG, pquerna/otp Key.Image(250, 250) and png.Encode", n: 20, do: timed(func() {
		img, err := peerKey.Image(250, 250)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		theirs = b.Len()
	})}

	works := []*work{peer, rule, accepted, argon, attempt, ten, draw, peerDraw}
	for round := range rounds {
		order := slices.Clone(works)
		if round%2 == 1 {
			slices.Reverse(order) // nobody always comes after the same one
		}
		for _, w := range order {
			if w.every == 0 || round%w.every == 0 {
				runtime.GC() // nobody pays for another's garbage
				w.times = append(w.times, w.do(t, w.n)/time.Duration(w.n))
			}
		}
	}
	for _, w := range works {
		m := w.median()
		t.Logf("%-60s %12v   (%v to %v in %d rounds)", w.name, m, w.times[0], w.times[len(w.times)-1], len(w.times))
	}
	for _, r := range []struct {
		name     string
		of, over *work
		most     float64
	}{
		{"TOTP rule / pquerna", rule, peer, 1.1},
		{"accepted Verify / TOTP rule", accepted, rule, 8},
		{"backup code / Argon2id", attempt, argon, 1.1},
		{"backup code / ten bcrypt compares", attempt, ten, 1. / 20},
		{"QR PNG / pquerna", draw, peerDraw, 1},
	} {
		ratio := float64(r.of.median()) / float64(r.over.median())
		t.Logf("%-60s %12.3f   (at most %.2f)", r.name, ratio, r.most)
		if ratio > r.most && rounds > 1 {
			t.Errorf("%s: %.3f, want at most %.2f", r.name, ratio, r.most)
		}
	}
	t.Logf("%-60s %12d   (pquerna %d)", "bytes of the QR PNG", ours, theirs)
	if ours > 1200 {
		t.Errorf("the QR PNG has %d bytes", ours)
	}
}
