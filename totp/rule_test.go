package totp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// lines returns the fields of each line of a file in testdata.
func lines(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			all = append(all, strings.Fields(line))
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return all
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func asciiSecret(size int) []byte {
	return []byte(strings.Repeat("1234567890", 7)[:size])
}

// the values of RFC 4226 Appendix D.
func TestRFC4226(t *testing.T) {
	t.Parallel()
	p := spec{SHA1, 6, 30}
	for _, l := range lines(t, "rfc4226.txt") {
		code, err := p.at(encodeSecret(asciiSecret(20)), number(t, l[0]))
		if err != nil || code != l[1] {
			t.Errorf("counter %s: %q, %v, want %s", l[0], code, err, l[1])
		}
	}
}

// the values of RFC 6238 Appendix B, made and judged.
func TestRFC6238(t *testing.T) {
	t.Parallel()
	for _, l := range lines(t, "rfc6238.txt") {
		algorithm, err := parseAlgorithm(l[3])
		if err != nil {
			t.Fatal(err)
		}
		secret := asciiSecret(map[Algorithm]int{SHA1: 20, SHA256: 32, SHA512: 64}[algorithm])
		k := &Key{spec: spec{algorithm, 8, 30}, account: "rfc", secret: secret}
		now := time.Unix(number(t, l[0]), 0)
		if got := k.Code(now); got != l[2] {
			t.Errorf("%v: code %s, want %s", l, got, l[2])
		}
		step, err := k.verify(l[2], 0, now)
		if err != nil || step != number(t, l[1]) {
			t.Errorf("%v: step %d, %v", l, step, err)
		}
	}
}

// 36 combinations against an independent implementation.
func TestOathtool(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("oathtool")
	if err != nil {
		if os.Getenv("MFA_CI") != "" {
			t.Fatal("oathtool is missing")
		}
		t.Skip("oathtool is missing: nothing to compare with (package oathtool)")
	}
	n := 0
	for _, algorithm := range []Algorithm{SHA1, SHA256, SHA512} {
		for digits := minDigits; digits <= maxDigits; digits++ {
			for _, period := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute} {
				k, err := GenerateKey("Acme", "ada", &Options{Algorithm: algorithm, Digits: digits, Period: period})
				if err != nil {
					t.Fatal(err)
				}
				now := time.Unix(1_790_000_000+int64(n)*86_413, 0).UTC()
				cmd := exec.Command(program, "--totp="+strings.ToLower(algorithm.String()), "-b",
					"-d", strconv.Itoa(digits), "-s", fmt.Sprintf("%ds", int(period.Seconds())),
					"-N", now.Format("2006-01-02 15:04:05 UTC"), "-")
				cmd.Stdin = strings.NewReader(k.Secret().Reveal() + "\n")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("oathtool: %v: %s", err, out)
				}
				want := string(bytes.TrimSpace(out))
				if got := k.Code(now); got != want {
					t.Errorf("%v, %d digits, %v: %s, oathtool says %s", algorithm, digits, period, got, want)
				}
				if _, err := k.verify(want, 0, now); err != nil {
					t.Errorf("%v, %d digits, %v: oathtool's code: %v", algorithm, digits, period, err)
				}
				n++
			}
		}
	}
	if n != 36 {
		t.Errorf("%d combinations, not 36", n)
	}
}

// the window reaches so far and no further.
func TestWindow(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for w, reach := range map[Window]int{StrictWindow: 0, NormalWindow: 1, WideWindow: 2} {
		for _, period := range []time.Duration{15 * time.Second, 30 * time.Second, 2 * time.Minute} {
			k, err := GenerateKey("Acme", "ada", &Options{Window: w, Period: period})
			if err != nil {
				t.Fatal(err)
			}
			for off := -5; off <= 5; off++ {
				code := k.Code(now.Add(time.Duration(off) * period))
				step, err := k.verify(code, 0, now)
				inside := -reach <= off && off <= reach
				if inside && (err != nil || step != k.spec.step(now)+int64(off)) || !inside && !errors.Is(err, mfa.ErrInvalid) {
					t.Errorf("window %d, period %v, %+d steps: step %d, %v", w, period, off, step, err)
				}
			}
		}
	}
}

// twice returns a secret for which two steps of the window around centre have
// the same code, and that code.
func twice(t *testing.T, centre int64, gap int64) (secret []byte, code string) {
	t.Helper()
	p := spec{SHA1, 6, 30}
	for i := range uint64(1 << 24) {
		secret = fmt.Appendf(nil, "%020d", i)
		text := encodeSecret(secret)
		low, err := p.at(text, centre-1)
		if err != nil {
			t.Fatal(err)
		}
		if high, err := p.at(text, centre-1+gap); err == nil && low == high {
			return secret, low
		}
	}
	t.Fatal("no such secret")
	return nil, ""
}

// all steps of the window are looked at, and when the same digits
// are right twice, the later step is burned, so that they do not pass again.
func TestHighestMatchIsBurned(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	// Found once by the function above, so that the test need not search.
	secret := []byte(collidingSecret)
	k := &Key{spec: spec{SHA1, 6, 30}, account: "ada", secret: secret}
	centre := k.spec.step(now)
	code := k.Code(now.Add(-30 * time.Second))
	if k.Code(now.Add(30*time.Second)) != code {
		secret, _ = twice(t, centre, 2)
		t.Fatalf("use the secret %q", secret)
	}
	m, err := k.spec.match(secret, code, centre, 1)
	if err != nil || m != (matches{centre + 1, centre - 1}) {
		t.Fatalf("matches %+v, %v", m, err)
	}
	step, err := k.verify(code, 0, now)
	if err != nil || step != centre+1 {
		t.Fatalf("step %d, %v, want %d", step, err, centre+1)
	}
	for at := -2; at <= 3; at++ {
		if _, err := k.verify(code, step, now.Add(time.Duration(at)*30*time.Second)); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%+d steps later: %v", at, err)
		}
	}
	// Used as the earlier step, it is used, whatever else it is.
	if _, err := k.verify(code, centre-1, now); !errors.Is(err, mfa.ErrReplayed) {
		t.Errorf("used as the step before: %v", err)
	}
}

const collidingSecret = "00000000000000305147"

// a code passes once, and so does what is older; last never
// decreases, and an error returns it as it was.
func TestKeyReplay(t *testing.T) {
	t.Parallel()
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_010, 0)
	before, present, after := k.Code(now.Add(-30*time.Second)), k.Code(now), k.Code(now.Add(30*time.Second))
	last, err := k.verify(present, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{present, before, " " + present[:3] + "-" + present[3:]} {
		if step, err := k.verify(code, last, now); !errors.Is(err, mfa.ErrReplayed) || step != last {
			t.Errorf("a used code: step %d, %v", step, err)
		}
	}
	if step, err := k.verify("000000", last, now); err == nil || step != last {
		t.Errorf("a wrong code: step %d, %v", step, err)
	}
	next, err := k.verify(after, last, now)
	if err != nil || next != last+1 {
		t.Errorf("the next code: step %d, %v", next, err)
	}
}

// a last step that no clock can have given is a failure and no verdict.
func TestKeyClock(t *testing.T) {
	t.Parallel()
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	step := k.spec.step(now)
	// The window ends one step ahead, another clock may run two minutes ahead.
	for ahead, want := range map[int64]error{1: mfa.ErrReplayed, 5: mfa.ErrReplayed, 6: mfa.ErrClock, 1 << 40: mfa.ErrClock} {
		if _, err := k.verify(k.Code(now), step+ahead, now); !errors.Is(err, want) {
			t.Errorf("last %d steps ahead: %v, want %v", ahead, err, want)
		}
	}
	if errors.Is(mfa.ErrClock, mfa.ErrRejected) {
		t.Error("ErrClock is a verdict")
	}
	for _, now := range []time.Time{time.Unix(-1, 0), time.Unix(29, 0), {}} {
		if _, err := k.verify("123456", 0, now); !errors.Is(err, mfa.ErrClock) {
			t.Errorf("at %v: %v", now, err)
		}
	}
}

// the window moves by the learned drift, is never wider, and the drift
// is at most two steps.
func TestDrift(t *testing.T) {
	t.Parallel()
	p := spec{SHA1, 6, 30}
	secret := asciiSecret(20)
	now := time.Unix(1_800_000_000, 0)
	t0 := p.step(now)
	for drift := -maxDrift; drift <= maxDrift; drift++ {
		for w, reach := range map[Window]int{StrictWindow: 0, NormalWindow: 1, WideWindow: 2} {
			st := state{spec: p, drift: drift}
			accepted := 0
			for off := -8; off <= 8; off++ {
				code, err := p.at(encodeSecret(secret), t0+int64(off))
				if err != nil {
					t.Fatal(err)
				}
				v, step, err := st.judge(secret, code, now, w)
				if err != nil {
					t.Fatal(err)
				}
				if v != right {
					continue
				}
				accepted++
				learned := st
				learned.burn(step, now, true)
				if want := max(-maxDrift, min(off, maxDrift)); learned.drift != want {
					t.Errorf("a code %+d steps off taught a drift of %d", off, learned.drift)
				}
				if learned.ahead(now, w) {
					t.Errorf("drift %d, window %d: an accepted step counts as impossible", drift, w)
				}
				ignored := st
				ignored.burn(step, now, false)
				if ignored.drift != 0 {
					t.Error("drift was learned though it was not asked for")
				}
			}
			if accepted != 2*reach+1 {
				t.Errorf("drift %d, window %d: %d codes are right at once, want %d", drift, w, accepted, 2*reach+1)
			}
		}
	}
}

// what is a code, in which spelling.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"123456":                           "123456",
		"123 456":                          "123456",
		" 12-34 56 ":                       "123456",
		"1234567":                          "1234567",
		"12345678":                         "12345678",
		"1234 5678":                        "12345678",
		"012345":                           "012345",
		"- - 000000":                       "000000",
		"":                                 "",
		"12345":                            "",
		"123456789":                        "",
		"+12345":                           "",
		"+123456":                          "",
		"12345\x00":                        "",
		"123456\x00":                       "",
		"123456\n":                         "",
		"\n123456":                         "",
		"123\r\n456":                       "",
		"123\t456":                         "",
		"12345a":                           "",
		"0x1234":                           "",
		"1e5000":                           "",
		"123.456":                          "",
		"123_456":                          "",
		"１２３４５６":                           "", // full-width
		"١٢٣٤٥٦":                           "", // Arabic-Indic
		"123\u00a0456":                     "", // no-break space
		"123\u2011456":                     "", // no-break hyphen
		"123\u200b456":                     "",
		"²²²²²²":                           "",
		"\xff123456":                       "",
		"123456 " + "      ":               "123456",
		"123456" + strings.Repeat(" ", 58): "123456",
		"123456" + strings.Repeat(" ", 59): "",
		strings.Repeat("1", 1<<20):         "",
	} {
		got, ok := canonical(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%.80q: %q, %v, want %q", typed, got, ok, want)
		}
	}
}

// FuzzVerify: whatever is typed, it passes only if its digits are right; in a
// second spelling it does not pass again.
func FuzzVerify(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	k := &Key{spec: spec{SHA1, 6, 30}, account: "ada", secret: asciiSecret(20)}
	good := k.Code(now)
	for _, seed := range []string{good, " " + good, good[:3] + " " + good[3:], "+" + good, good + "\n", "１２３４５６", "000000", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := canonical(typed)
		if ok {
			if len(code) < minDigits || len(code) > maxDigits || strings.Trim(code, "0123456789") != "" {
				t.Fatalf("%q became %q", typed, code)
			}
			if again, ok := canonical(code); !ok || again != code {
				t.Fatalf("%q is not canonical", code)
			}
			if strings.Map(func(r rune) rune {
				if r == ' ' || r == '-' {
					return -1
				}
				return r
			}, typed) != code {
				t.Fatalf("%q lost more than spaces and hyphens: %q", typed, code)
			}
		}
		step, err := k.verify(typed, 0, now)
		if (err == nil) != (ok && (code == good || code == k.Code(now.Add(-30*time.Second)) || code == k.Code(now.Add(30*time.Second)))) {
			t.Fatalf("%q: %v", typed, err)
		}
		if err == nil {
			if _, err := k.verify(typed, step, now); !errors.Is(err, mfa.ErrReplayed) {
				t.Fatalf("%q again: %v", typed, err)
			}
		}
	})
}
