package totp

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// a secret has 160 bits, and no two are the same.
func TestGeneratedSecrets(t *testing.T) {
	t.Parallel()
	const n = 10_000
	seen := make(map[string]bool, n)
	var ones int
	for range n {
		k, err := GenerateKey("Acme", "ada", nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(k.secret) != 20 {
			t.Fatalf("a secret of %d bytes", len(k.secret))
		}
		seen[string(k.secret)] = true
		for _, b := range k.secret {
			for ; b != 0; b &= b - 1 {
				ones++
			}
		}
	}
	if len(seen) != n {
		t.Errorf("%d different secrets of %d", len(seen), n)
	}
	// 1.6 million fair bits: five standard deviations are 3,162.
	if off := ones - n*80; off < -3200 || off > 3200 {
		t.Errorf("%d ones in %d bits", ones, n*160)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts *Options
		bad  bool
	}{
		"nil":               {nil, false},
		"zero":              {&Options{}, false},
		"all":               {&Options{SHA512, 8, 2 * time.Minute, WideWindow, true}, false},
		"algorithm":         {&Options{Algorithm: 3}, true},
		"algorithm below":   {&Options{Algorithm: -1}, true},
		"5 digits":          {&Options{Digits: 5}, true},
		"9 digits":          {&Options{Digits: 9}, true},
		"-6 digits":         {&Options{Digits: -6}, true},
		"14 s":              {&Options{Period: 14 * time.Second}, true},
		"121 s":             {&Options{Period: 121 * time.Second}, true},
		"30.5 s":            {&Options{Period: 30500 * time.Millisecond}, true},
		"a nanosecond":      {&Options{Period: 1}, true},
		"a negative period": {&Options{Period: -30 * time.Second}, true},
		"a wider window":    {&Options{Window: WideWindow + 1}, true},
		"a negative window": {&Options{Window: -1}, true},
	} {
		err := New(c.opts).Check()
		if (err != nil) != c.bad || c.bad && !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s: Check: %v", name, err)
		}
		if _, err := GenerateKey("Acme", "ada", c.opts); (err != nil) != c.bad {
			t.Errorf("%s: GenerateKey: %v", name, err)
		}
	}
	if (&Method{}).Check() == nil {
		t.Error("a Method that New did not make is fine")
	}
}

// a URI is percent-encoded, reads back with net/url and with ParseKey,
// has one secret, and says the issuer twice.
func TestURI(t *testing.T) {
	t.Parallel()
	names := []string{
		"Acme", "ACME Co", "a/b", "a?b", "a&b", "a#b", "100%", "%41", "a+b", `a"b`, "a=b", "a;b", "a@b", "ada@example.com",
		"<script>", "it's", "Grüße", "日本", "😀", "a\\b", "[x]", "a|b", "~._-", "a b  c",
		strings.Repeat("x", 255), strings.Repeat("é", 127),
	}
	for _, issuer := range names {
		for _, account := range names {
			for _, opts := range []*Options{nil, {SHA512, 8, time.Minute, WideWindow, false}} {
				k, err := GenerateKey(issuer, account, opts)
				if err != nil {
					t.Fatalf("%q, %q: %v", issuer, account, err)
				}
				uri := k.URI().Reveal()
				checkURI(t, k, uri)
			}
		}
	}
}

func checkURI(t *testing.T, k *Key, uri string) {
	t.Helper()
	if strings.ContainsAny(uri, "+ \"<>\\^`{|}") {
		t.Errorf("%q has a character that is not for URIs, or a +", uri)
	}
	u, err := url.Parse(uri)
	if err != nil || u.String() != uri {
		t.Fatalf("net/url does not give %q back: %v", uri, err)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("%q: %v", uri, err)
	}
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/"+k.issuer+":"+k.account {
		t.Errorf("%q: scheme %q, type %q, label %q", uri, u.Scheme, u.Host, u.Path)
	}
	if len(q["secret"]) != 1 || strings.Count(uri, "secret=") != 1 {
		t.Errorf("%q: not exactly one secret", uri)
	}
	if secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(q.Get("secret")); err != nil || !bytes.Equal(secret, k.secret) {
		t.Errorf("%q: the secret is another", uri)
	}
	if len(q["issuer"]) != 1 || q.Get("issuer") != k.issuer {
		t.Errorf("%q: issuer %q", uri, q["issuer"])
	}
	back, err := ParseKey(uri)
	if err != nil {
		t.Fatalf("%q: %v", uri, err)
	}
	if back.URI() != k.URI() || back.issuer != k.issuer || back.account != k.account || back.spec != k.spec || !bytes.Equal(back.secret, k.secret) {
		t.Errorf("%q comes back as %q", uri, back.URI().Reveal())
	}
}

// what no app could list is refused.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", " ", "a:b", ":", "a\r\nb", "a\nb", "a\x00b", "a\tb", "a\x7fb", "a\u0085b",
		"a\u202eb", "a\u2066b", "a\u200fb", "a\u061cb", "a\u2028b", "a\ufeffb", "\xff", "a\xc3",
		strings.Repeat("x", 256), strings.Repeat("é", 128),
	} {
		if _, err := GenerateKey(bad, "ada", nil); !errors.Is(err, ErrKey) {
			t.Errorf("issuer %.20q: %v", bad, err)
		}
		if _, err := GenerateKey("Acme", bad, nil); !errors.Is(err, ErrKey) {
			t.Errorf("account %.20q: %v", bad, err)
		}
	}
	k, err := GenerateKey(" Acme ", " ada ", nil)
	if err != nil || k.Issuer() != "Acme" || k.Account() != "ada" {
		t.Errorf("spaces around names: %v", err)
	}
}

const b32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // 20 bytes

// URIs as others export them.
func TestParseKey(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]Key{
		"otpauth://totp/Acme:ada?secret=" + b32 + "&issuer=Acme":                                        {issuer: "Acme", account: "ada"},
		"otpauth://totp/Acme%3Aada%40example.com?secret=" + b32 + "&issuer=Acme":                        {issuer: "Acme", account: "ada@example.com"},
		"otpauth://totp/ACME%20Co:john@example.com?secret=" + b32 + "&issuer=ACME%20Co":                 {issuer: "ACME Co", account: "john@example.com"},
		"otpauth://totp/ACME%20Co:%20john?issuer=ACME+Co&secret=" + b32:                                 {issuer: "ACME Co", account: "john"},
		"otpauth://totp/A+B:john?issuer=A+B&secret=" + b32:                                              {issuer: "A+B", account: "john"},
		"otpauth://totp/ada?secret=" + b32 + "&issuer=Acme":                                             {issuer: "Acme", account: "ada"},
		"otpauth://totp/Acme:ada?secret=" + b32:                                                         {issuer: "Acme", account: "ada"},
		"otpauth://totp/ada?secret=" + b32:                                                              {account: "ada"},
		"otpauth://totp/a/b?secret=" + b32:                                                              {account: "a/b"},
		"otpauth://totp/ada?secret=" + strings.ToLower(b32):                                             {account: "ada"},
		"otpauth://totp/ada?secret=" + b32 + "&algorithm=SHA1&digits=6&period=30":                       {account: "ada"},
		"otpauth://totp/ada?period=60&digits=8&algorithm=SHA256&secret=" + b32:                          {account: "ada", spec: spec{SHA256, 8, 60}},
		"otpauth://totp/ada?period=15&digits=7&algorithm=sha512&secret=" + b32:                          {account: "ada", spec: spec{SHA512, 7, 15}},
		"otpauth://totp/ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY======":                                    {account: "ada", secret: []byte("1234567890123456")},
		"otpauth://totp/ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY%3D%3D%3D%3D%3D%3D":                        {account: "ada", secret: []byte("1234567890123456")},
		"otpauth://totp/ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY":                                          {account: "ada", secret: []byte("1234567890123456")},
		"otpauth://totp/%E6%97%A5%E6%9C%AC:ada?secret=" + b32 + "&issuer=%e6%97%a5%e6%9c%ac&period=120": {issuer: "日本", account: "ada", spec: spec{SHA1, 6, 120}},
	} {
		if want.spec == (spec{}) {
			want.spec = spec{SHA1, 6, 30}
		}
		if want.secret == nil {
			want.secret = []byte("12345678901234567890")
		}
		k, err := ParseKey(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if k.issuer != want.issuer || k.account != want.account || k.spec != want.spec || !bytes.Equal(k.secret, want.secret) {
			t.Errorf("%s: issuer %q, account %q, %+v", uri, k.issuer, k.account, k.spec)
		}
		if again, err := ParseKey(k.URI().Reveal()); err != nil || again.URI() != k.URI() {
			t.Errorf("%s: written as %s: %v", uri, k.URI().Reveal(), err)
		}
	}
}

// everything else is refused, without a word of the secret.
func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	const ok = "otpauth://totp/Acme:ada?secret=" + b32 + "&issuer=Acme"
	for name, uri := range map[string]string{
		"nothing":                  "",
		"another scheme":           "https://totp/Acme:ada?secret=" + b32,
		"no scheme":                "//totp/Acme:ada?secret=" + b32,
		"hotp":                     "otpauth://hotp/Acme:ada?secret=" + b32 + "&counter=0",
		"no type":                  "otpauth:///Acme:ada?secret=" + b32,
		"user info":                "otpauth://u@totp/Acme:ada?secret=" + b32,
		"a port":                   "otpauth://totp:1/Acme:ada?secret=" + b32,
		"a fragment":               ok + "#x",
		"two questions":            ok + "?x",
		"no parameters":            "otpauth://totp/Acme:ada",
		"empty parameters":         "otpauth://totp/Acme:ada?",
		"no secret":                "otpauth://totp/Acme:ada?issuer=Acme",
		"empty secret":             "otpauth://totp/Acme:ada?secret=&issuer=Acme",
		"80 bits":                  "otpauth://totp/Acme:ada?secret=GEZDGNBVGY3TQOJQ",
		"120 bits":                 "otpauth://totp/Acme:ada?secret=" + encodeSecret(asciiSecret(15)),
		"a huge secret":            "otpauth://totp/Acme:ada?secret=" + strings.Repeat(b32, 7),
		"not base32":               "otpauth://totp/Acme:ada?secret=01890189018901890189018901890189",
		"a line feed":              "otpauth://totp/Acme:ada?secret=" + b32[:8] + "%0A" + b32[8:],
		"a space":                  "otpauth://totp/Acme:ada?secret=" + b32[:8] + "%20" + b32[8:],
		"stray bits":               "otpauth://totp/Acme:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGZ",
		"an impossible length":     "otpauth://totp/Acme:ada?secret=" + b32 + "A",
		"padding in the middle":    "otpauth://totp/Acme:ada?secret=" + b32[:8] + "======" + b32[8:],
		"too little padding":       "otpauth://totp/Acme:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY=",
		"too much padding":         "otpauth://totp/Acme:ada?secret=" + b32 + "========",
		"two secrets":              ok + "&secret=" + b32,
		"two issuers":              ok + "&issuer=Acme",
		"two digits":               ok + "&digits=6&digits=6",
		"another issuer":           "otpauth://totp/Evil:ada?secret=" + b32 + "&issuer=Acme",
		"an issuer in other case":  "otpauth://totp/acme:ada?secret=" + b32 + "&issuer=Acme",
		"an empty issuer":          "otpauth://totp/Acme:ada?secret=" + b32 + "&issuer=",
		"an empty prefix":          "otpauth://totp/:ada?secret=" + b32,
		"an empty account":         "otpauth://totp/Acme:?secret=" + b32,
		"an empty label":           "otpauth://totp/?secret=" + b32,
		"two colons":               "otpauth://totp/Acme:ada:x?secret=" + b32,
		"an encoded colon":         "otpauth://totp/Acme:a%3Ax?secret=" + b32,
		"a control character":      "otpauth://totp/Acme:a%0Ax?secret=" + b32,
		"a turned direction":       "otpauth://totp/Acme:a%E2%80%AEx?secret=" + b32,
		"bytes that are no UTF-8":  "otpauth://totp/Acme:a%FF?secret=" + b32,
		"a cut escape":             "otpauth://totp/Acme:a%4?secret=" + b32,
		"a wrong escape":           "otpauth://totp/Acme:a%zz?secret=" + b32,
		"an escape cut at the end": "otpauth://totp/Acme:ada?secret=" + b32 + "&issuer=Acme%",
		"an unknown parameter":     ok + "&image=https%3A%2F%2Fexample.com",
		"a counter":                ok + "&counter=1",
		"a parameter in capitals":  ok + "&Digits=6",
		"an escaped name":          ok + "&%64igits=6",
		"a parameter of no value":  ok + "&digits",
		"an empty parameter":       ok + "&",
		"semicolons":               ok + ";digits=6",
		"MD5":                      ok + "&algorithm=MD5",
		"no algorithm":             ok + "&algorithm=",
		"a long s":                 ok + "&algorithm=%C5%BFHA1",
		"0 digits":                 ok + "&digits=0",
		"5 digits":                 ok + "&digits=5",
		"9 digits":                 ok + "&digits=9",
		"99 digits":                ok + "&digits=99",
		"signed digits":            ok + "&digits=%2B6",
		"digits with a zero":       ok + "&digits=06",
		"full-width digits":        ok + "&digits=%EF%BC%96",
		"no digits":                ok + "&digits=",
		"period 0":                 ok + "&period=0",
		"period -30":               ok + "&period=-30",
		"period 14":                ok + "&period=14",
		"period 121":               ok + "&period=121",
		"period 30.0":              ok + "&period=30.0",
		"period 1e2":               ok + "&period=1e2",
		"a huge period":            ok + "&period=99999999999999999999999999",
		"a huge account":           "otpauth://totp/" + strings.Repeat("a", 256) + "?secret=" + b32,
		"a huge URI":               ok + "&x=" + strings.Repeat("a", 1<<20),
		"a space in the label":     "otpauth://totp/Acme Co:ada?secret=" + b32,
		"a raw letter":             "otpauth://totp/Acmé:ada?secret=" + b32,
		"space before":             " " + ok,
		"space after":              ok + " ",
	} {
		k, err := ParseKey(uri)
		if !errors.Is(err, ErrKey) || k != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), b32[:8]) || len(err.Error()) > 120) {
			t.Errorf("%s: the error says too much: %v", name, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("otpauth://totp/Acme:ada?secret=" + b32 + "&issuer=Acme&algorithm=SHA256&digits=8&period=60")
	f.Add("otpauth://totp/ACME%20Co:%20john?issuer=ACME+Co&secret=" + b32)
	f.Add("otpauth://totp/ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY%3D%3D%3D%3D%3D%3D")
	f.Add("otpauth://totp/%")
	f.Add("otpauth://hotp/a?secret=a&counter=1")
	f.Fuzz(func(t *testing.T, uri string) {
		k, err := ParseKey(uri)
		if err != nil {
			if !errors.Is(err, ErrKey) || k != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := k.check(); err != nil {
			t.Fatal(err)
		}
		if len(k.secret) < 16 {
			t.Fatalf("a secret of %d bytes", len(k.secret))
		}
		written := k.URI().Reveal()
		again, err := ParseKey(written)
		if err != nil || again.URI() != k.URI() {
			t.Fatalf("%q, written as %q, does not come back: %v", uri, written, err)
		}
		u, err := url.Parse(written)
		if err != nil || u.String() != written {
			t.Fatalf("net/url does not give %q back: %v", written, err)
		}
		if k.Code(time.Unix(1_800_000_000, 0)) == "" {
			t.Fatal("it makes no code")
		}
	})
}

func TestSecretText(t *testing.T) {
	t.Parallel()
	k := &Key{spec: spec{SHA1, 6, 30}, account: "ada", secret: asciiSecret(20)}
	if got, want := k.Secret().Reveal(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	k.secret = asciiSecret(16)
	if got, want := k.Secret().Reveal(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// the time is the server's.
func TestServerClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, err := GenerateKey("Acme", "ada", nil)
		if err != nil {
			t.Fatal(err)
		}
		code := k.Code(time.Now())
		step, err := k.Verify(code, 0)
		if err != nil || step != time.Now().Unix()/30 {
			t.Errorf("step %d, %v", step, err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := k.Verify(code, 0); !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("two minutes later: %v", err)
		}
	})
}

// A Key that no constructor made does nothing.
func TestNoKey(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]*Key{
		"nil":       nil,
		"zero":      {},
		"no secret": {spec: spec{SHA1, 6, 30}, account: "ada"},
		"short":     {spec: spec{SHA1, 6, 30}, account: "ada", secret: make([]byte, 15)},
		"no period": {spec: spec{SHA1, 6, 0}, account: "ada", secret: make([]byte, 20)},
	} {
		if err := k.check(); !errors.Is(err, ErrKey) {
			t.Errorf("%s: check: %v", name, err)
		}
		if k == nil {
			continue
		}
		if k.URI() != "" {
			t.Errorf("%s: a URI", name)
		}
		if _, err := k.PNG(300); err == nil {
			t.Errorf("%s: a PNG", name)
		}
		if k.Code(time.Unix(1e9, 0)) != "" {
			t.Errorf("%s: a code", name)
		}
		if step, err := k.Verify("328482", 7); !errors.Is(err, ErrKey) || step != 7 {
			t.Errorf("%s: Verify: %d, %v", name, step, err)
		}
		if _, err := New(nil).Import(nil, k, "x"); !errors.Is(err, ErrKey) {
			t.Errorf("%s: Import: %v", name, err)
		}
	}
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := KeyOf(&mfa.Enrollment{Kind: Kind, URI: k.URI()})
	if err != nil || got.URI() != k.URI() {
		t.Errorf("%v, %v", got, err)
	}
	for _, e := range []*mfa.Enrollment{nil, {}, {Kind: Kind}, {Kind: "email", URI: k.URI()}} {
		if _, err := KeyOf(e); !errors.Is(err, ErrKey) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

// a key prints as nothing, in every way there is.
func TestKeyRedacted(t *testing.T) {
	t.Parallel()
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	text := slog.New(slog.NewTextHandler(&log, nil))
	secret := strings.ReplaceAll(k.Secret().Reveal(), " ", "")
	for _, v := range []any{k, *k, []*Key{k}, map[string]Key{"k": *k}, struct{ K *Key }{k}, struct{ K any }{*k}, &[]Key{*k}, k.URI(), k.Secret()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
		logger.Info("m", "k", v)
		text.Info("m", "k", v)
	}
	out := log.String()
	for _, leak := range []string{secret, strings.ToLower(secret), secret[:16], fmt.Sprintf("%x", k.secret), fmt.Sprint(k.secret),
		fmt.Sprintf("%#v", k.secret), "otpauth", k.Code(time.Now()), "ada", "Acme"} {
		if strings.Contains(out, leak) {
			t.Errorf("a print has %q", leak)
		}
	}
	if !strings.Contains(out, redacted) {
		t.Error("nothing was printed at all")
	}
}
