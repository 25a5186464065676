package vault

// The format at rest, from inside: golden files, what an older program does
// with a newer record, and bytes that are no record at all.

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

var rewrite = flag.Bool("golden", false, "write the golden files anew")

var epochStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// encode returns the account alone.
func encode(c codec, a *Account) ([]byte, error) {
	b, err := c.encode(a)
	if err != nil {
		return nil, err
	}
	return b[versionsSize:], nil
}

// full has every field set.
func full() *Account {
	ms := epochStart.UnixMilli()
	return &Account{
		userID: "user", now: epochStart, exists: true, made: true,
		macKey: bytes.Repeat([]byte{1}, 32), epoch: []byte("epochxyz"),
		factors: []*Factor{
			{ID: "f1", Kind: "totp", Name: "phone", Added: epochStart, LastUsed: epochStart.Add(time.Hour), Data: []byte{1, 2}, hidden: []byte("key")},
			{ID: "f2", Kind: "unknown", Added: epochStart, Key: "credential", Data: []byte{0xff}, Disabled: true},
		},
		drafts: []*draft{{&Factor{ID: "d1", Kind: "totp", Added: epochStart, hidden: []byte("new")}, "flow", epochStart.Add(time.Minute)}},
		challenges: []*challenge{{Challenge{
			FactorID: "f1", Flow: "flow", Purpose: "sign-in", Expires: epochStart.Add(time.Minute), Data: []byte("d"), hidden: []byte("s"),
		}, "email"}},
		tries:     [2]tries{{3, ms, []int64{ms - 5, ms}}, {1, ms, []int64{ms}}},
		fails:     []fails{{"totp", 7}},
		buckets:   []bucket{{"enrol", []int64{ms}}},
		spent:     []spent{{"\x00\xffid", ms, ms + 600000}},
		notBefore: ms - 1000,
	}
}

func testCodec(t testing.TB) codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGolden(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	for name, a := range map[string]*Account{"full": full(), "new": {macKey: make([]byte, 32), made: true, exists: true}} {
		got, err := encode(c, a)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "account-v1-"+name+".hex")
		if *rewrite {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the format at rest changed:\n%x\n%x", name, got, want)
		}
		// and what an earlier release wrote reads and writes back the same
		var back Account
		if err := c.decode(want, &back); err != nil {
			t.Fatal(err)
		}
		again, err := encode(c, &back)
		if err != nil || !bytes.Equal(again, want) {
			t.Errorf("%s: reads and writes as %x, %v", name, again, err)
		}
	}
}

// A sealed record of the first release opens.
func TestGoldenSealed(t *testing.T) {
	t.Parallel()
	r := testRing(t, "k1", 7)
	file := filepath.Join("testdata", "sealed-v1.hex")
	if *rewrite {
		b, err := r.seal(purposeRecord, "user", []byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.open(purposeRecord, "user", b); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
	for what, got := range map[string]error{
		"another user":    second(r.open(purposeRecord, "resu", b)),
		"another purpose": second(r.open("recor", "duser", b)),
		"another key":     second(testRing(t, "k1", 8).open(purposeRecord, "user", b)),
	} {
		if !errors.Is(got, ErrCorrupt) {
			t.Errorf("%s: %v", what, got)
		}
	}
	if _, err := testRing(t, "k2", 0).open(purposeRecord, "user", b); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key that is gone: %v", err)
	}
	b[0]++
	if _, err := r.open(purposeRecord, "user", b); !errors.Is(err, ErrTooNew) {
		t.Errorf("a newer format: %v", err)
	}
}

func testRing(t testing.TB, id string, fill byte) ring {
	t.Helper()
	r, err := newRing([]namedKey{{id, bytes.Repeat([]byte{fill}, keySize)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func second(_ []byte, err error) error { return err }

// An older program refuses what it does not know; it never drops it.
func TestUnknownFieldIsRefused(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	for name, v := range map[string]any{
		"account": map[int]any{1: make([]byte, 32), 99: 1},
		"factor":  map[int]any{1: make([]byte, 32), 3: []any{map[int]any{1: "f", 2: "k", 4: 1, 77: true}}},
		"tries":   map[int]any{1: make([]byte, 32), 6: map[int]any{1: 2, 9: 2}},
	} {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.decode(b, &Account{}); !errors.Is(err, ErrTooNew) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesOfAnyBytesSurvive(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	a := full()
	a.factors[0].Name, a.userID = "\xff\xfe\x00", "\xff"
	b, err := encode(c, a)
	if err != nil {
		t.Fatal(err)
	}
	var back Account
	if err := c.decode(b, &back); err != nil || back.factors[0].Name != "\xff\xfe\x00" {
		t.Errorf("%q, %v", back.factors[0].Name, err)
	}
}

// Whatever is decoded, it does not panic, and what is accepted is kept as it
// is.
func FuzzDecode(f *testing.F) {
	c := testCodec(f)
	b, err := encode(c, full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a, again Account
		if err := c.decode(b, &a); err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooNew) {
				t.Fatal(err)
			}
			return
		}
		a.now = epochStart
		a.heal()
		_ = a.Tries()
		a.close()
		e, err := encode(c, &a)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.decode(e, &again); err != nil {
			t.Fatalf("its own encoding does not decode: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	r := testRing(f, "k1", 7)
	text, err := os.ReadFile(filepath.Join("testdata", "sealed-v1.hex"))
	if err != nil {
		f.Fatal(err)
	}
	right, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(right)
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := r.open(purposeRecord, "user", b); (err == nil) != bytes.Equal(b, right) {
			t.Fatalf("%x opens as %q, %v", b, plain, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,k.2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
	f.Fuzz(func(t *testing.T, text string) {
		ks, err := parseKeys(text, keySize)
		if err != nil {
			if !errors.Is(err, ErrKeys) {
				t.Fatal(err)
			}
			return
		}
		for _, k := range ks {
			if len(k.key) != keySize || k.id == "" {
				t.Fatalf("%q gave %d bytes under %q", text, len(k.key), k.id)
			}
		}
	})
}
