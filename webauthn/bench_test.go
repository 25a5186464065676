package webauthn

// What one sign-in costs apart from the account. How that compares with the
// library alone is asserted in integration/perf.

import (
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
)

func benchVector(b *testing.B) (*vector, record) {
	all, _ := vectors(b)
	for _, v := range all {
		if v.name == "packed ES256" {
			rec, err := v.register(b, vectorSite(), demand{}, nil)
			if err != nil {
				b.Fatal(err)
			}
			return v, rec
		}
	}
	b.Fatal("no such vector")
	return nil, record{}
}

func BenchmarkParse(b *testing.B) {
	v, _ := benchVector(b)
	body := v.got(b)
	strict, err := newCBOR()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(strict, body, false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseByLibrary is the peer of BenchmarkParse.
func BenchmarkParseByLibrary(b *testing.B) {
	v, _ := benchVector(b)
	body := v.got(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.ParseCredentialRequestResponseBytes(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAssert(b *testing.B) {
	v, rec := benchVector(b)
	strict, err := newCBOR()
	if err != nil {
		b.Fatal(err)
	}
	r, err := parse(strict, v.got(b), false)
	if err != nil {
		b.Fatal(err)
	}
	s, d := vectorSite(), demand{challenge: v.values["get.challenge"]}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.assert(r, d, rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	_, rec := benchVector(b)
	stored := rec.encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord(stored); err != nil {
			b.Fatal(err)
		}
	}
}
