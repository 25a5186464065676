package backupcodes

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

// What is stored is what every version has to read.
func TestStateGolden(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/state.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		l := strings.Fields(s.Text())
		if len(l) == 0 || l[0] == "#" {
			continue
		}
		n++
		b, err := hex.DecodeString(l[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := decodeCard(b)
		if err != nil {
			t.Errorf("%s: %v", l[0], err)
			continue
		}
		used := ""
		for _, u := range c.used {
			used += map[bool]string{true: "x", false: "."}[u]
		}
		if strconv.Itoa(int(c.scheme)) != l[1] || strconv.Itoa(c.chars) != l[2] || used != l[3] || strconv.Itoa(c.left()) != l[4] {
			t.Errorf("%s: %+v, %d left", l[0], c, c.left())
		}
		if !bytes.Equal(c.encode(), b) {
			t.Errorf("%s is written as %x", l[0], c.encode())
		}
	}
	if n == 0 {
		t.Error("no golden line")
	}
}

// The hash of a code never changes, and neither does what is kept of a set.
func TestHashGolden(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	tag := argon([]byte("0123456789ABCDEF"), salt)
	if got, want := hex.EncodeToString(tag), goldenTag; got != want {
		t.Errorf("Argon2id gives %s, want %s", got, want)
	}
	x := set{salt, tag}
	if got, want := hex.EncodeToString(x.encode()), "01"+hex.EncodeToString(salt)+goldenTag; got != want {
		t.Errorf("a set is written as %s, want %s", got, want)
	}
	back, err := decodeSet(x.encode(), 1)
	if err != nil || !bytes.Equal(back.salt, salt) || !bytes.Equal(back.tags, tag) {
		t.Errorf("%+v, %v", back, err)
	}
}

// goldenTag is Argon2id, version 19, of "0123456789ABCDEF" under the salt
// "0123456789abcdef": 19,456 KiB, two passes, one lane, 16 bytes.
const goldenTag = "25cf9debcc1618db195efb6ed7b5e632"

func TestStateRefuses(t *testing.T) {
	t.Parallel()
	good := card{scheme: schemeArgon, chars: 16, used: make([]bool, 10)}.encode()
	edit := func(i int, b byte) []byte {
		c := bytes.Clone(good)
		c[i] = b
		return c
	}
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"format 0":        edit(0, 0),
		"a newer format":  edit(0, 2),
		"scheme 0":        edit(1, 0),
		"unknown scheme":  edit(1, 3),
		"12 characters":   edit(2, 12),
		"33 characters":   edit(2, 33),
		"no code":         edit(3, 0),
		"25 codes":        edit(3, 25),
		"fewer codes":     edit(3, 8),
		"more codes":      edit(3, 17),
		"a stray bit":     edit(5, 4),
		"cut":             good[:5],
		"longer":          append(bytes.Clone(good), 0),
		"only the header": good[:4],
	} {
		if c, err := decodeCard(b); !errors.Is(err, errState) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing":        nil,
		"cut":            make([]byte, 1+saltSize+10*tagSize-1),
		"longer":         make([]byte, 1+saltSize+10*tagSize+1),
		"a newer format": append([]byte{2}, make([]byte, saltSize+10*tagSize)...),
	} {
		if _, err := decodeSet(b, 10); !errors.Is(err, errState) {
			t.Errorf("a set, %s: %v", name, err)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add(card{scheme: schemeArgon, chars: 16, used: make([]bool, 10)}.encode())
	f.Add(card{scheme: schemeMAC, chars: 32, used: []bool{true, false, true}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCard(b)
		if err == nil && !bytes.Equal(c.encode(), b) {
			t.Fatalf("%x reads as %+v, which is written as %x", b, c, c.encode())
		}
	})
}
