package totp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/seed-f4994bf1/mfa"
)

// What is stored is what every version has to read.
func TestStateGolden(t *testing.T) {
	t.Parallel()
	for _, l := range lines(t, "state.txt") {
		algorithm, err := parseAlgorithm(l[1])
		if err != nil {
			t.Fatal(err)
		}
		want := state{
			spec:  spec{algorithm: algorithm, digits: int(number(t, l[2])), period: number(t, l[3])},
			last:  number(t, l[4]),
			drift: int(number(t, l[5])),
		}
		b, err := hex.DecodeString(l[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(b); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", l[0], got, err, want)
		}
		if got := want.encode(); !bytes.Equal(got, b) {
			t.Errorf("%+v is written as %x, want %s", want, got, l[0])
		}
		if len(b) > 10 && want.last < 1<<28 {
			t.Errorf("%s is longer than ten bytes", l[0])
		}
	}
}

// What is not of this format is a failure, not a rejection.
func TestStateRefuses(t *testing.T) {
	t.Parallel()
	good := state{spec: spec{SHA1, 6, 30}, last: 60_000_000, drift: -1}.encode()
	edit := func(i int, b byte) []byte {
		c := bytes.Clone(good)
		c[i] = b
		return c
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"format 0":           edit(0, 0),
		"a newer format":     edit(0, 2),
		"no algorithm":       edit(1, 0),
		"unknown algorithm":  edit(1, 4),
		"five digits":        edit(2, 5),
		"nine digits":        edit(2, 9),
		"period 0":           edit(3, 0),
		"period 14":          edit(3, 14),
		"period 121":         edit(3, 121),
		"cut":                good[:len(good)-1],
		"longer":             append(bytes.Clone(good), 0),
		"drift 3":            edit(len(good)-1, 6),
		"a number that runs": append(bytes.Clone(good[:4]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0),
		"a longer number":    append(bytes.Clone(good[:4]), 0x80, 0, 0),
	} {
		if st, err := decode(b); !errors.Is(err, errState) || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add(state{spec: spec{SHA1, 6, 30}}.encode())
	f.Add(state{spec: spec{SHA512, 8, 120}, last: 1 << 40, drift: 2}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(st.encode(), b) {
			t.Fatalf("%x reads as %+v, which is written as %x", b, st, st.encode())
		}
		if st.check() != nil || st.last < 0 {
			t.Fatalf("%x reads as %+v", b, st)
		}
	})
}
