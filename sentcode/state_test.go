package sentcode

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// lines returns the fields of a file's lines that are no comments.
func lines(t *testing.T, name string) (all [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if l := strings.TrimSpace(s.Text()); l != "" && l[0] != '#' {
			all = append(all, strings.Fields(l))
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return all
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is stored is what every version has to read.
func TestCardGolden(t *testing.T) {
	t.Parallel()
	for _, l := range lines(t, "card.txt") {
		b, want := unhex(t, l[0]), card{profile: l[1] == "profile", address: l[2]}
		if got, err := decodeCard(b); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", l[0], got, err, want)
		}
		if got := want.encode(); !bytes.Equal(got, b) {
			t.Errorf("%+v is written as %x, want %s", want, got, l[0])
		}
	}
}

func TestTicketGolden(t *testing.T) {
	t.Parallel()
	for _, l := range lines(t, "ticket.txt") {
		tries, err := strconv.Atoi(l[1])
		if err != nil {
			t.Fatal(err)
		}
		digits, err := strconv.Atoi(l[2])
		if err != nil {
			t.Fatal(err)
		}
		sent, err := time.Parse(time.RFC3339Nano, l[3])
		if err != nil {
			t.Fatal(err)
		}
		b, want := unhex(t, l[0]), ticket{sent: sent.Local(), tries: tries, digits: digits, address: l[4]}
		if got, err := decodeTicket(b); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", l[0], got, err, want)
		}
		if got := want.encode(); !bytes.Equal(got, b) {
			t.Errorf("%+v is written as %x, want %s", want, got, l[0])
		}
	}
}

// What is not of the format is a failure, not a rejection; of what has one, no
// altered byte reads as the same.
func TestStateRefuses(t *testing.T) {
	t.Parallel()
	address := strings.Repeat("a", maxAddress)
	at := time.UnixMilli(1_800_000_000_000)
	short := ticket{at, 4, 6, "a"}
	shortCard, shortTicket := card{true, "a"}.encode(), short.encode()
	with := func(i int, c byte) []byte {
		b := bytes.Clone(shortTicket)
		b[i] = c
		return b
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "format 0": {0, 0, 'a'}, "a newer format": {2, 0, 'a'}, "profile 2": {1, 2, 'a'},
		"no address": {1, 0}, "format alone": {1}, "address too long": card{false, address + "a"}.encode(),
	} {
		if got, err := decodeCard(b); !errors.Is(err, errState) || errors.Is(err, mfa.ErrRejected) || got != (card{}) {
			t.Errorf("card, %s: %+v, %v", name, got, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "format 0": with(0, 0), "a newer format": with(0, 2), "five tries": with(1, 5), "255 tries": with(1, 255),
		"five digits": with(2, 5), "eleven digits": with(2, 11), "no address": shortTicket[:ticketHead], "two bytes": {1, 0},
		"no time": append([]byte{1, 0, 6}, "a"...), "address too long": ticket{at, 0, 6, address + "a"}.encode(),
	} {
		if got, err := decodeTicket(b); !errors.Is(err, errState) || errors.Is(err, mfa.ErrRejected) || got != (ticket{}) {
			t.Errorf("ticket, %s: %+v, %v", name, got, err)
		}
	}
	if _, err := decodeCard(card{true, address}.encode()); err != nil {
		t.Errorf("the longest address: %v", err)
	}
	if got, err := decodeTicket(ticket{at, 0, 6, address}.encode()); err != nil || got.address != address {
		t.Errorf("the longest address: %v", err)
	}
	for i := range shortCard {
		if _, err := decodeCard(shortCard[:i]); !errors.Is(err, errState) {
			t.Errorf("a card of %d bytes: %v", i, err)
		}
		edited(shortCard, i, func(b []byte) {
			if got, err := decodeCard(b); err == nil && (got == card{true, "a"} || !bytes.Equal(got.encode(), b)) {
				t.Errorf("%x reads as %+v", b, got)
			}
		})
	}
	for i := range shortTicket {
		if _, err := decodeTicket(shortTicket[:i]); !errors.Is(err, errState) {
			t.Errorf("a ticket of %d bytes: %v", i, err)
		}
		edited(shortTicket, i, func(b []byte) {
			if got, err := decodeTicket(b); err == nil && (got == short || !bytes.Equal(got.encode(), b)) {
				t.Errorf("%x reads as %+v", b, got)
			}
		})
	}
}

// edited calls f with each other value of one byte.
func edited(b []byte, i int, f func([]byte)) {
	for d := byte(1); d != 0; d++ {
		c := bytes.Clone(b)
		c[i] += d
		f(c)
	}
}

func FuzzCard(f *testing.F) {
	f.Add(card{true, home}.encode())
	f.Add(card{false, "a@b.example"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCard(b)
		if err == nil && (!bytes.Equal(c.encode(), b) || c.address == "") {
			t.Fatalf("%x reads as %+v, which is written as %x", b, c, c.encode())
		}
	})
}

func FuzzTicket(f *testing.F) {
	f.Add(ticket{time.UnixMilli(0), 0, 6, home}.encode())
	f.Add(ticket{time.UnixMilli(1_800_000_000_123), 4, 10, "a"}.encode())
	f.Add(ticket{time.UnixMilli(math.MinInt64), 1, 8, "a"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeTicket(b)
		if err == nil && (!bytes.Equal(k.encode(), b) || k.tries >= maxTries || k.digits < minDigits || k.digits > maxDigits) {
			t.Fatalf("%x reads as %+v, which is written as %x", b, k, k.encode())
		}
	})
}
