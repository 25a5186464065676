package webauthn_test

// What a registration alone has to be refused for (WebAuthn section 7.1).

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

type m = map[any]any

// encode is v as CBOR.
func encode(t *testing.T, v any) []byte {
	t.Helper()
	mode, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// point is the two coordinates of a point on P-256.
func point(t *testing.T) (x, y []byte) {
	t.Helper()
	a := mfatest.NewAuthenticator(origin)
	a.Algorithms = []int{mfatest.ES256}
	a.Forge = func(f *mfatest.Forgery) { x, y = slices.Clone(f.Key[10:42]), slices.Clone(f.Key[45:77]) }
	if _, err := a.Create([]byte(`{"rp":{"id":"acme.example"},"user":{"id":"AA"},"challenge":"AA","pubKeyCredParams":[{"alg":-7}]}`)); err != nil {
		t.Fatal(err)
	}
	return x, y
}

// modulus is odd and of so many bits; nobody knows its factors.
func modulus(bits int) []byte {
	b := make([]byte, bits/8)
	_, _ = rand.Read(b)
	b[0] |= 0x80
	b[len(b)-1] |= 1
	return b
}

// smallOrder are all the ways to write the points of Ed25519 whose order divides
// eight: of each y, and of y + p where that fits, both signs of x.
func smallOrder(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(y)
		if err != nil {
			t.Fatal(err)
		}
		signed := bytes.Clone(b)
		signed[31] |= 0x80
		all = append(all, b, signed)
	}
	return all
}

// the algorithm was offered, and the key is a sound one of it.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	x, y := point(t)
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[31] ^= 1; return b }
	ed, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	long := modulus(2048)
	even := append(bytes.Clone(long[:255]), 2)
	array := make([]int, 32)
	e := []byte{1, 0, 1}

	sound := map[string]any{
		"ES256":            m{1: 2, 3: -7, -1: 1, -2: x, -3: y},
		"EdDSA":            m{1: 1, 3: -8, -1: 6, -2: []byte(ed)},
		"RS256, 2048 bits": m{1: 3, 3: -257, -1: long, -2: e},
		"RS256, 2050 bits": m{1: 3, 3: -257, -1: append([]byte{3}, long...), -2: e}, // as in the published vectors, of no round size
		"RS256, 4096 bits": m{1: 3, 3: -257, -1: modulus(4096), -2: e},
	}
	odd := map[string]any{
		"ES256 off the curve":            m{1: 2, 3: -7, -1: 1, -2: x, -3: flip(y)},
		"ES256 at nought":                m{1: 2, 3: -7, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)},
		"ES256 past the field":           m{1: 2, 3: -7, -1: 1, -2: bytes.Repeat([]byte{0xff}, 32), -3: y},
		"ES256 compressed":               m{1: 2, 3: -7, -1: 1, -2: x, -3: true},
		"ES256 without y":                m{1: 2, 3: -7, -1: 1, -2: x},
		"ES256, 33 bytes of x":           m{1: 2, 3: -7, -1: 1, -2: append([]byte{0}, x...), -3: y},
		"ES256, 31 bytes of x":           m{1: 2, 3: -7, -1: 1, -2: x[1:], -3: y},
		"ES256, 64 bytes of x, no y":     m{1: 2, 3: -7, -1: 1, -2: append(bytes.Clone(x), y...), -3: []byte{}},
		"ES256, x is text":               m{1: 2, 3: -7, -1: 1, -2: string(bytes.Repeat([]byte{'x'}, 32)), -3: y},
		"ES256 of type OKP":              m{1: 1, 3: -7, -1: 1, -2: x, -3: y},
		"ES256 of type RSA":              m{1: 3, 3: -7, -1: 1, -2: x, -3: y},
		"ES256 on P-384":                 m{1: 2, 3: -7, -1: 2, -2: x, -3: y},
		"ES256 on Ed25519":               m{1: 1, 3: -7, -1: 6, -2: []byte(ed)},
		"ES256 without a curve":          m{1: 2, 3: -7, -2: x, -3: y},
		"ES256 with a private key":       m{1: 2, 3: -7, -1: 1, -2: x, -3: y, -4: x},
		"ES256K":                         m{1: 2, 3: -47, -1: 8, -2: x, -3: y},
		"ES384":                          m{1: 2, 3: -35, -1: 2, -2: x, -3: y},
		"ES512":                          m{1: 2, 3: -36, -1: 3, -2: x, -3: y},
		"the algorithm of RSA":           m{1: 2, 3: -257, -1: 1, -2: x, -3: y},
		"no algorithm":                   m{1: 2, -1: 1, -2: x, -3: y},
		"algorithm 0":                    m{1: 2, 3: 0, -1: 1, -2: x, -3: y},
		"algorithm by name":              m{1: 2, 3: "ES256", -1: 1, -2: x, -3: y},
		"algorithm of 2^64-8":            m{1: 2, 3: uint64(1<<64 - 7), -1: 1, -2: x, -3: y},
		"EdDSA on P-256":                 m{1: 2, 3: -8, -1: 1, -2: x, -3: y},
		"EdDSA on Ed448":                 m{1: 1, 3: -8, -1: 7, -2: make([]byte, 57)},
		"EdDSA on X25519":                m{1: 1, 3: -8, -1: 4, -2: []byte(ed)},
		"EdDSA, 31 bytes":                m{1: 1, 3: -8, -1: 6, -2: []byte(ed)[:31]},
		"EdDSA, 33 bytes":                m{1: 1, 3: -8, -1: 6, -2: append(bytes.Clone(ed), 0)},
		"EdDSA, a list of numbers":       m{1: 1, 3: -8, -1: 6, -2: array},
		"EdDSA, not on the curve":        m{1: 1, 3: -8, -1: 6, -2: append([]byte{2}, make([]byte, 31)...)},
		"EdDSA, not reduced":             m{1: 1, 3: -8, -1: 6, -2: append(append([]byte{0xf0}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f)},
		"RS256, 1024 bits":               m{1: 3, 3: -257, -1: modulus(1024), -2: e},
		"RS256, 2040 bits":               m{1: 3, 3: -257, -1: modulus(2040), -2: e},
		"RS256, 2047 bits":               m{1: 3, 3: -257, -1: append([]byte{0x7f}, long[1:]...), -2: e},
		"RS256, leading zero":            m{1: 3, 3: -257, -1: append([]byte{0}, long...), -2: e},
		"RS256, 4097 bits":               m{1: 3, 3: -257, -1: append([]byte{1}, modulus(4096)...), -2: e},
		"RS256, 4104 bits":               m{1: 3, 3: -257, -1: modulus(4104), -2: e},
		"RS256, 8192 bits":               m{1: 3, 3: -257, -1: modulus(8192), -2: e},
		"RS256, even":                    m{1: 3, 3: -257, -1: even, -2: e},
		"RS256, exponent 0":              m{1: 3, 3: -257, -1: long, -2: []byte{0}},
		"RS256, exponent 1":              m{1: 3, 3: -257, -1: long, -2: []byte{1}},
		"RS256, exponent 3":              m{1: 3, 3: -257, -1: long, -2: []byte{3}},
		"RS256, exponent 65536":          m{1: 3, 3: -257, -1: long, -2: []byte{1, 0, 0}},
		"RS256, exponent 2^32-1":         m{1: 3, 3: -257, -1: long, -2: []byte{255, 255, 255, 255}},
		"RS256, exponent 2^32+65537":     m{1: 3, 3: -257, -1: long, -2: []byte{1, 0, 1, 0, 1}},
		"RS256, no exponent":             m{1: 3, 3: -257, -1: long, -2: []byte{}},
		"RS256 of type EC2":              m{1: 2, 3: -257, -1: long, -2: e},
		"RS512":                          m{1: 3, 3: -259, -1: long, -2: e},
		"PS256":                          m{1: 3, 3: -37, -1: long, -2: e},
		"RS1":                            m{1: 3, 3: -65535, -1: long, -2: e},
		"an empty map":                   m{},
		"a list":                         []int{1, 2},
		"a label that is text":           m{"1": 2, 3: -7, -1: 1, -2: x, -3: y},
		"a label of another kind beside": m{1: 2, 3: -7, -1: 1, -2: x, -3: y, "x": 1},
	}
	key := func(v any) func(*mfatest.Forgery) {
		b := encode(t, v)
		return func(f *mfatest.Forgery) { f.Key = b }
	}
	var changes []change
	for name, k := range sound {
		changes = append(changes, change{name: name, forge: key(k)})
	}
	for name, k := range odd {
		changes = append(changes, change{name: name, want: webauthn.ErrKey, forge: key(k)})
	}
	for _, b := range smallOrder(t) {
		changes = append(changes, change{name: "EdDSA of small order " + hex.EncodeToString(b), want: webauthn.ErrKey, forge: key(m{1: 1, 3: -8, -1: 6, -2: b})})
	}
	for _, c := range bombs(func(b []byte) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) { f.Key = b }
	}) {
		c.want = mfa.ErrInvalid // malformed, or else no key
		changes = append(changes, c)
	}
	registers(t, w, changes)
}

// Why keys of small order are refused: crypto/ed25519 finds one signature right
// for every message.
func TestSmallOrderKeysSignEverything(t *testing.T) {
	t.Parallel()
	identity := smallOrder(t)[2]
	signature := append(bytes.Clone(identity), make([]byte, 32)...)
	for _, message := range []string{"", "sign me in", "as anybody"} {
		if !ed25519.Verify(identity, []byte(message), signature) {
			t.Errorf("not for %q: then the check is not needed any more", message)
		}
	}
}

// the attested data are of the credential that the reply
// names, and of nothing else.
func TestAttestedData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := func(n int) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) {
			f.CredentialID = make([]byte, n)
			_, _ = rand.Read(f.CredentialID)
		}
	}
	named := func(r map[string]any) { r["id"], r["rawId"] = b64(make([]byte, 32)), b64(make([]byte, 32)) }
	registers(t, w, []change{
		{name: "the reply names another", want: webauthn.ErrMalformed, alter: named},
		{name: "an empty ID", want: webauthn.ErrMalformed, forge: id(0)},
		{name: "an empty ID, but not in the reply", want: webauthn.ErrMalformed, forge: id(0), alter: named},
		{name: "an ID of 1024 bytes", want: webauthn.ErrMalformed, forge: id(1024)},
		{name: "an ID of a byte", forge: id(1)},
		{name: "an ID of 1023 bytes", forge: id(1023)},
		{name: "an ID longer than the data", want: webauthn.ErrMalformed, forge: func(f *mfatest.Forgery) {
			f.AuthData = slices.Concat(f.RPIDHash, []byte{f.Flags, 0, 0, 0, 0}, f.AAGUID[:], []byte{3, 0xff}, f.CredentialID, f.Key)
		}},
		{name: "cut off before the ID", want: webauthn.ErrMalformed, forge: func(f *mfatest.Forgery) {
			f.AuthData = slices.Concat(f.RPIDHash, []byte{f.Flags, 0, 0, 0, 0}, f.AAGUID[:], []byte{0})
		}},
		{name: "no key", want: webauthn.ErrMalformed, forge: func(f *mfatest.Forgery) { f.Key = nil }},
		{name: "none at all", want: webauthn.ErrMalformed, forge: func(f *mfatest.Forgery) {
			f.AuthData = slices.Concat(f.RPIDHash, []byte{f.Flags &^ mfatest.FlagAT, 0, 0, 0, 0})
		}},
		{name: "not verified", forge: func(f *mfatest.Forgery) { f.Flags &^= mfatest.FlagUV }},
		{name: "backed up", forge: func(f *mfatest.Forgery) { f.Flags |= mfatest.FlagBE | mfatest.FlagBS }},
	})
}

// the attestation object has three members, and nothing follows it.
func TestAttestationObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	object := func(f func([]byte) []byte) func(map[string]any) { return edit("attestationObject", f) }
	inside := func(f func(parts map[string]any)) func(map[string]any) {
		return object(func(b []byte) []byte {
			parts := map[string]any{}
			if err := cbor.Unmarshal(b, &parts); err != nil {
				t.Error(err)
			}
			f(parts)
			return encode(t, parts)
		})
	}
	bad := func(name string, alter func(map[string]any)) change {
		return change{name: name, want: webauthn.ErrMalformed, alter: alter}
	}
	changes := []change{
		bad("an assertion", func(r map[string]any) {
			response := r["response"].(map[string]any)
			delete(response, "attestationObject")
			response["signature"] = "AAAA"
		}),
		bad("empty", object(func([]byte) []byte { return nil })),
		bad("a byte behind", object(func(b []byte) []byte { return append(b, 0) })),
		bad("cut off", object(func(b []byte) []byte { return b[:len(b)-1] })),
		bad("a member more", inside(func(p map[string]any) { p["more"] = 1 })),
		bad("a member less", inside(func(p map[string]any) { delete(p, "attStmt") })),
		bad("a member by another name", inside(func(p map[string]any) { p["authdata"] = p["authData"]; delete(p, "authData") })),
		bad("authData is text", inside(func(p map[string]any) { p["authData"] = "x" })),
		bad("fmt is a number", inside(func(p map[string]any) { p["fmt"] = 1 })),
		bad("authData twice", object(func(b []byte) []byte {
			return slices.Concat([]byte{b[0] + 1}, b[1:], encode(t, "authData"), encode(t, []byte{}))
		})),
		bad("an empty object and more", object(func([]byte) []byte { return []byte{0xa0} })),
		bad("transports are a number", set("transports", 1)),
		{name: "unknown transports", alter: set("transports", []string{"pigeon", "usb"})},
		{name: "no transports", alter: set("transports", nil)},
		{name: "no word of residence", alter: set("clientExtensionResults", nil)},
		{name: "odd results", alter: set("clientExtensionResults", []int{1})},
	}
	registers(t, w, append(changes, bombs(func(b []byte) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) { f.Statement = func([]byte) []byte { return b } }
	})...))
}

// what wants much memory gets little. Not in parallel: it measures.
func TestBombsAreSmall(t *testing.T) {
	w := newWorld(t, nil)
	_, a := w.holder(t, nil)
	p, ch := w.alone(t)
	for _, c := range bombs(func(b []byte) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) { f.Flags, f.Extensions = f.Flags|mfatest.FlagED, b }
	}) {
		body := c.by(t, a, a.Get, ch.Options)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := p.Verify(t.Context(), answer(body))
		runtime.ReadMemStats(&after)
		refused(t, c.name, err, c.want)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes", c.name, n)
		}
	}
}

// the challenge of an enrolment is its session's, lives for five minutes by
// the vault's clock, and is used up by the first answer.
func TestEnrolmentChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := mfatest.NewAuthenticator(origin)

	t.Run("of another user", func(t *testing.T) {
		mine, theirs := w.enrol(t, "mallory"), w.enrol(t, "victim")
		_, err := theirs.confirm(t, create(t, a, mine))
		refused(t, "mallory's answer", err, webauthn.ErrChallenge)
		_, err = mine.settings.Confirm(t.Context(), theirs.ID, answer(create(t, a, theirs)))
		refused(t, "the victim's enrolment", err, mfa.ErrExpired)
	})
	t.Run("of another session", func(t *testing.T) {
		one, two := w.enrol(t, "ada"), w.enrol(t, "ada")
		credential := create(t, a, one)
		_, err := two.settings.Confirm(t.Context(), one.ID, answer(credential))
		refused(t, "confirmed in another session", err, mfa.ErrExpired)
		if _, err := one.confirm(t, credential); err != nil {
			t.Errorf("in its own: %v", err)
		}
	})
	t.Run("of another enrolment", func(t *testing.T) {
		one := w.enrol(t, "bob")
		two, err := one.settings.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
		if err != nil {
			t.Fatal(err)
		}
		_, err = one.settings.Confirm(t.Context(), two.ID, answer(create(t, a, one)))
		refused(t, "with the first one's challenge", err, webauthn.ErrChallenge)
	})
	t.Run("of a sign-in", func(t *testing.T) {
		userID, key := w.holder(t, nil)
		p, c := w.second(t, userID)
		e := w.enrolIn(t, signsIn(t, p, get(t, key, c)))
		forged := change{forge: func(f *mfatest.Forgery) { f.Challenge = challengeOf(t, c.Options) }}
		_, err := e.confirm(t, forged.by(t, a, a.Create, e.Challenge.Options))
		refused(t, "with a sign-in's", err, webauthn.ErrChallenge)
	})
	t.Run("twice", func(t *testing.T) {
		e := w.enrol(t, "cyd")
		credential := create(t, mfatest.NewAuthenticator(origin), e)
		if _, err := e.confirm(t, credential); err != nil {
			t.Fatal(err)
		}
		if _, err := e.confirm(t, credential); err == nil {
			t.Error("confirmed twice")
		}
	})
	t.Run("expired", func(t *testing.T) {
		late, intime := w.enrol(t, "dan"), w.enrol(t, "eve")
		if got := intime.Challenge.Expires.Sub(w.kit.Clock.Now()); got != 5*time.Minute {
			t.Errorf("it is said to live for %v", got)
		}
		w.kit.Clock.Advance(5*time.Minute - time.Millisecond)
		if _, err := intime.confirm(t, create(t, mfatest.NewAuthenticator(origin), intime)); err != nil {
			t.Errorf("just in time: %v", err)
		}
		w.kit.Clock.Advance(time.Millisecond)
		_, err := late.confirm(t, create(t, mfatest.NewAuthenticator(origin), late))
		refused(t, "after five minutes", err, mfa.ErrExpired)
	})
	t.Run("fresh", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			c := challengeOf(t, w.enrol(t, w.user()).Challenge.Options)
			if seen[c] || len(c) != 43 {
				t.Fatalf("%q: seen before, or not 32 bytes", c)
			}
			seen[c] = true
		}
	})
}

// an enrolment survives the store and the change of process.
func TestEnrolmentInAnotherProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	if err != nil {
		t.Fatal(err)
	}
	e := w.enrolIn(t, login.Session)
	other := w.another(t, w.kit.Store, webauthn.New(origin, nil))
	a := mfatest.NewAuthenticator(origin)
	settings := other.Settings(other.Session("ada", login.Session.Token()))
	if _, err := settings.Confirm(t.Context(), e.ID, answer(create(t, a, e))); err != nil {
		t.Fatalf("Confirm in another process: %v", err)
	}
	p, c := w.second(t, "ada")
	there, err := other.Resume(p.Token())
	if err != nil {
		t.Fatal(err)
	}
	signsIn(t, there, get(t, a, c))
	alone, c := w.alone(t)
	there, err = other.ResumePasskey(alone.Token(), "")
	if err != nil {
		t.Fatal(err)
	}
	signsIn(t, there, get(t, a, c))
}

// no credential belongs to two users, nor twice to one.
func TestRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	same := change{forge: func(f *mfatest.Forgery) { f.CredentialID = a.IDs()[0] }}
	stolen := func(e enrolment) []byte {
		b := mfatest.NewAuthenticator(origin)
		return same.by(t, b, b.Create, e.Challenge.Options)
	}

	e := w.enrol(t, "mallory")
	_, err := e.confirm(t, stolen(e))
	refused(t, "another's", err, webauthn.ErrRegistered)
	_, err = e.confirm(t, create(t, mfatest.NewAuthenticator(origin), e))
	refused(t, "the same challenge once more", err, mfa.ErrExpired)

	p, c := w.second(t, userID)
	e = w.enrolIn(t, signsIn(t, p, get(t, a, c)))
	if _, err := a.Create(e.Challenge.Options); !errors.Is(err, mfatest.ErrInvalidState) {
		t.Errorf("a browser would make a second one on the same device: %v", err)
	}
	_, err = e.confirm(t, stolen(e))
	refused(t, "the user's own", err, webauthn.ErrRegistered)
	p, c = w.second(t, userID)
	signsIn(t, p, get(t, a, c))
}

// of sixteen who register one credential at once, one gets it, and
// the challenges of the others are used up.
func TestRegisterRace(t *testing.T) {
	t.Parallel()
	const n = 16
	for range 5 {
		w := newWorld(t, nil)
		id := make([]byte, 32)
		_, _ = rand.Read(id)
		var enrolments [n]enrolment
		var credentials [n][]byte
		for i := range n {
			a := mfatest.NewAuthenticator(origin)
			enrolments[i] = w.enrol(t, w.user())
			c := change{forge: func(f *mfatest.Forgery) { f.CredentialID = id }}
			credentials[i] = c.by(t, a, a.Create, enrolments[i].Challenge.Options)
		}
		var won atomic.Int64
		var errs [n]error
		race(n, func(i int) {
			if _, errs[i] = enrolments[i].confirm(t, credentials[i]); errs[i] == nil {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d of %d got it, want 1", won.Load(), n)
		}
		for i, err := range errs {
			if err == nil {
				continue
			}
			refused(t, "a loser", err, webauthn.ErrRegistered)
			_, err = enrolments[i].confirm(t, create(t, mfatest.NewAuthenticator(origin), enrolments[i]))
			refused(t, "a loser's challenge once more", err, mfa.ErrExpired)
		}
	}
}

// race runs f n times at once, all of them held until each is ready.
func race(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

// nobody need be there where the browser was to make it without asking, and
// only there.
func TestConditionalCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	e := w.enrol(t, w.user())
	_, err := e.settings.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind, Conditional: true})
	refused(t, "the first factor, unasked", err, mfa.ErrNotEnrolled)
	for _, conditional := range []bool{false, true} {
		userID, key := w.holder(t, nil)
		p, c := w.second(t, userID)
		s := w.guard.Settings(signsIn(t, p, get(t, key, c)))
		e, err := s.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind, Conditional: conditional})
		if err != nil {
			t.Fatal(err)
		}
		a := mfatest.NewAuthenticator(origin)
		a.Unattended = true
		_, err = s.Confirm(t.Context(), e.ID, answer(create(t, a, enrolment{Enrollment: e})))
		if conditional {
			if err != nil {
				t.Errorf("conditional: %v", err)
			}
			p, c := w.second(t, userID)
			_, err = p.Verify(t.Context(), answer(get(t, a, c)))
			refused(t, "signed in with nobody there", err, webauthn.ErrUserPresence)
			a.Unattended = false
			signsIn(t, p, get(t, a, c))
			continue
		}
		refused(t, "not asked for", err, webauthn.ErrUserPresence)
	}
}

// A passkey that nobody asked for is made only where it may then sign in, by the
// policy of the moment.
func TestConditionalNeedsPasskeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, key := w.holder(t, nil)
	p, c := w.second(t, userID)
	s := w.guard.Settings(signsIn(t, p, get(t, key, c)))
	for _, alone := range []bool{false, true} {
		w.setPolicy(mfa.Policy{PasskeyAlone: alone})
		before := w.writes.Load()
		e, err := s.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind, Conditional: true})
		if alone {
			if err != nil || e == nil {
				t.Errorf("with PasskeyAlone: %v, %v", e, err)
			}
			continue
		}
		if !errors.Is(err, mfa.ErrArgument) || errors.Is(err, mfa.ErrRejected) || e != nil || w.writes.Load() != before {
			t.Errorf("without PasskeyAlone: %v, %v, %d writes; want ErrArgument", e, err, w.writes.Load()-before)
		}
		if _, err := s.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind}); err != nil {
			t.Errorf("one that was asked for: %v", err)
		}
	}
}

// a user has at most twenty keys, and each is excluded from then on.
func TestTwentyKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	p, c := w.second(t, userID)
	s := signsIn(t, p, get(t, a, c))
	for n := 1; n < 20; n++ {
		if n == 10 { // 20 enrolments an hour
			w.kit.Clock.Advance(time.Hour)
			p, c = w.second(t, userID)
			s = signsIn(t, p, get(t, a, c))
		}
		e := w.enrolIn(t, s)
		if got := strings.Count(string(e.Challenge.Options), `"public-key","id"`); got != n {
			t.Fatalf("%d of %d keys are excluded", got, n)
		}
		var err error
		if s, err = e.confirm(t, create(t, mfatest.NewAuthenticator(origin), e)); err != nil {
			t.Fatalf("key %d: %v", n+1, err)
		}
	}
	_, err := w.guard.Settings(s).Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if !errors.Is(err, mfa.ErrLimit) {
		t.Errorf("key 21: %v, want ErrLimit", err)
	}
	p, c = w.second(t, userID)
	signsIn(t, p, get(t, a, c))
}
