package mfatest_test

import (
	"encoding/base32"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

// The vectors of RFC 6238 appendix B.
func TestAppVectors(t *testing.T) {
	t.Parallel()
	const digits = "1234567890"
	secrets := map[string]string{
		"SHA1":   strings.Repeat(digits, 2),
		"SHA256": strings.Repeat(digits, 3) + "12",
		"SHA512": strings.Repeat(digits, 6) + "1234",
	}
	for _, v := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for algorithm, want := range map[string]string{"SHA1": v.sha1, "SHA256": v.sha256, "SHA512": v.sha512} {
			a := scan(t, secrets[algorithm], algorithm, 8)
			if got := a.Code(time.Unix(v.at, 0)); got != want {
				t.Errorf("%s at %d: %s, want %s", algorithm, v.at, got, want)
			}
		}
	}
}

func scan(t *testing.T, secret, algorithm string, digits int) *mfatest.App {
	t.Helper()
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(secret))
	a, err := mfatest.NewApp(fmt.Sprintf("otpauth://totp/Acme:ada?secret=%s&issuer=Acme&algorithm=%s&digits=%d", text, algorithm, digits))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The app and package totp, which share no code, agree.
func TestAppAgreesWithTOTP(t *testing.T) {
	t.Parallel()
	at := mfatest.Start()
	for _, algorithm := range []totp.Algorithm{totp.SHA1, totp.SHA256, totp.SHA512} {
		for digits := 6; digits <= 8; digits++ {
			for _, period := range []time.Duration{15 * time.Second, 30 * time.Second, 2 * time.Minute} {
				k, err := totp.GenerateKey("Acme & Söhne", "ada@example.com", &totp.Options{Algorithm: algorithm, Digits: digits, Period: period})
				if err != nil {
					t.Fatal(err)
				}
				a, err := mfatest.NewApp(k.URI().Reveal())
				if err != nil {
					t.Fatal(err)
				}
				if a.Issuer != k.Issuer() || a.Account != k.Account() {
					t.Errorf("read %q, %q", a.Issuer, a.Account)
				}
				for range 50 {
					at = at.Add(17 * time.Minute)
					if got, want := a.Code(at), k.Code(at); got != want {
						t.Fatalf("%v, %d digits, %v: the app shows %s, totp %s", algorithm, digits, period, got, want)
					}
				}
			}
		}
	}
}

// The app and oathtool, which is somebody else's, agree.
func TestAppAgreesWithOathtool(t *testing.T) {
	t.Parallel()
	oathtool, err := exec.LookPath("oathtool")
	if err != nil {
		if os.Getenv("MFA_CI") != "" {
			t.Fatal("oathtool is missing")
		}
		t.Skip("oathtool is missing: the app is compared with totp and the vectors of the RFC only")
	}
	secret := "a secret of 20 bytes"
	at := mfatest.Start().Add(12345 * time.Second)
	for _, algorithm := range []string{"SHA1", "SHA256", "SHA512"} {
		for digits := 6; digits <= 8; digits++ {
			cmd := exec.Command(oathtool, "--totp="+algorithm, fmt.Sprintf("--digits=%d", digits), "-N", at.UTC().Format("2006-01-02 15:04:05 UTC"), "-b", "-")
			cmd.Stdin = strings.NewReader(base32.StdEncoding.EncodeToString([]byte(secret)) + "\n")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := scan(t, secret, algorithm, digits).Code(at), strings.TrimSpace(string(out)); got != want {
				t.Errorf("%s, %d digits: the app shows %s, oathtool %s", algorithm, digits, got, want)
			}
		}
	}
}

func TestNewAppRefuses(t *testing.T) {
	t.Parallel()
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	if _, err := mfatest.NewApp("otpauth://totp/A:b?secret=" + secret + "&issuer=A"); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{
		"", "https://example.com", "otpauth://hotp/A:b?secret=" + secret, "otpauth://totp/A:b", "otpauth://totp/A:b?secret=JBSW",
		"otpauth://totp/A:b?secret=" + secret + "&secret=" + secret, "otpauth://totp/A:b?issuer=B&secret=" + secret,
		"otpauth://totp/b?algorithm=MD5&secret=" + secret, "otpauth://totp/b?digits=9&secret=" + secret,
		"otpauth://totp/b?period=0&secret=" + secret, "otpauth://totp/b?secret=%zz", "otpauth://totp/b%zz?secret=" + secret,
	} {
		if _, err := mfatest.NewApp(uri); err == nil {
			t.Errorf("took %q", uri)
		} else if strings.Contains(err.Error(), "JBSW") {
			t.Errorf("%q: the error quotes the secret: %v", uri, err)
		}
	}
}

func TestNextNeverRepeats(t *testing.T) {
	t.Parallel()
	c := mfatest.NewClock(mfatest.Start())
	a := scan(t, "a secret of 20 bytes", "SHA1", 6)
	if got, want := a.Next(c), a.Code(mfatest.Start()); got != want || !c.Now().Equal(mfatest.Start()) {
		t.Errorf("first: %s at %v, want %s and an unmoved clock", got, c.Now(), want)
	}
	for i := 1; i < 10; i++ {
		want := mfatest.Start().Add(time.Duration(i) * 30 * time.Second)
		if got := a.Next(c); got != a.Code(want) || !c.Now().Equal(want) {
			t.Errorf("code %d: %s at %v, want that of %v", i, got, c.Now(), want)
		}
	}
	c.Advance(time.Hour)
	want := c.Now()
	if got := a.Next(c); got != a.Code(want) || !c.Now().Equal(want) {
		t.Errorf("an hour later the clock moved to %v", c.Now())
	}
}
