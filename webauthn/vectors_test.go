package webauthn

// The published test vectors (WebAuthn Level 3, section 16): what our policy
// allows passes, and what it does not is refused for the right reason.

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A vector is one credential: its registration and a sign-in with it.
type vector struct {
	name   string
	values map[string][]byte
}

const (
	vectorRPID      = "example.org"
	vectorOrigin    = "https://example.org"
	vectorTopOrigin = "https://example.com"
)

// vectors reads testdata/vectors.txt, and the root of its attestations.
func vectors(t testing.TB) (all []*vector, root *x509.Certificate) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		if name == "vector" {
			_, value, _ = strings.Cut(value, " ") // without its section
			all = append(all, &vector{value, map[string][]byte{}})
			continue
		}
		b, err := hex.DecodeString(value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "root" {
			if root, err = x509.ParseCertificate(b); err != nil {
				t.Fatal(err)
			}
			continue
		}
		all[len(all)-1].values[name] = b
	}
	if len(all) != 15 || root == nil {
		t.Fatalf("%d vectors", len(all))
	}
	return all, root
}

// body is what toJSON gives of a credential.
func (v *vector) body(t testing.TB, response map[string]any) []byte {
	t.Helper()
	id := base64.RawURLEncoding.EncodeToString(v.values["id"])
	for name, value := range response {
		if b, ok := value.([]byte); ok {
			response[name] = base64.RawURLEncoding.EncodeToString(b)
		}
	}
	b, err := json.Marshal(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "response": response,
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v *vector) created(t testing.TB) []byte {
	t.Helper()
	return v.body(t, map[string]any{
		"clientDataJSON": v.values["create.client"], "attestationObject": v.values["create.object"], "transports": []string{"internal"},
	})
}

func (v *vector) got(t testing.TB) []byte {
	t.Helper()
	return v.body(t, map[string]any{
		"clientDataJSON": v.values["get.client"], "authenticatorData": v.values["get.auth"], "signature": v.values["get.signature"],
	})
}

func vectorSite() *site { return &site{rpID: vectorRPID, origins: []string{vectorOrigin}} }

func (v *vector) register(t testing.TB, s *site, d demand, trust *Attestation) (record, error) {
	t.Helper()
	strict, err := newCBOR()
	if err != nil {
		t.Fatal(err)
	}
	r, err := parse(strict, v.created(t), true)
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	d.challenge = v.values["create.challenge"]
	return s.register(func(b []byte) (publicKey, error) { return parseKey(strict, b) }, r, d, trust, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
}

func (v *vector) assert(t testing.TB, s *site, d demand, old record) (record, error) {
	t.Helper()
	strict, err := newCBOR()
	if err != nil {
		t.Fatal(err)
	}
	r, err := parse(strict, v.got(t), false)
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	d.challenge = v.values["get.challenge"]
	now, cloned, err := s.assert(r, d, old)
	if cloned {
		t.Errorf("%s: a counter that stays 0 counts as one that went back", v.name)
	}
	return now, err
}

func TestVectors(t *testing.T) {
	t.Parallel()
	type result struct {
		create, get error // nil: passes
		verified    [2]bool
		trusted     error // where a maker has to vouch for it
	}
	foreign := func(err error) result { return result{create: err, get: err} }
	want := map[string]result{
		"none ES256":              {verified: [2]bool{false, false}, trusted: ErrAttestation},
		"self ES256":              {verified: [2]bool{true, false}, trusted: ErrAttestation},
		"none ES256 cross-origin": foreign(ErrCrossOrigin),
		"none ES256 top-origin":   foreign(ErrCrossOrigin),
		"none ES256 long-id":      {verified: [2]bool{false, true}, trusted: ErrAttestation},
		"packed ES256":            {verified: [2]bool{true, true}},
		"packed ES384":            foreign(ErrKey),
		"packed ES512":            foreign(ErrKey),
		"packed RS256":            {verified: [2]bool{true, false}},
		"packed Ed25519":          {},
		"packed Ed448":            foreign(ErrKey),
		"tpm ES256":               {verified: [2]bool{true, true}, trusted: ErrAttestation},  // by a maker of TPMs that there is not
		"android-key ES256":       {verified: [2]bool{true, false}, trusted: ErrAttestation}, // both of its lists are empty
		"apple ES256":             {trusted: ErrAttestation},                                 // not by Apple's own root
		"fido-u2f ES256":          {},
	}
	all, root := vectors(t)
	trust := &Attestation{Roots: func([16]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		pool.AddCert(root)
		return pool, nil
	}}
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			want, ok := want[v.name]
			if !ok {
				t.Fatal("nothing is said of it here")
			}
			s := vectorSite()
			rec, err := v.register(t, s, demand{}, nil)
			if !errors.Is(err, want.create) || err != nil && !errors.Is(err, mfa.ErrInvalid) {
				t.Fatalf("registration: %v, want %v", err, want.create)
			}
			if want.create == nil {
				v.passes(t, s, rec, want.verified)
				if _, err := v.register(t, s, demand{}, trust); !errors.Is(err, want.trusted) {
					t.Errorf("with attestation: %v, want %v", err, want.trusted)
				}
				return
			}
			// It can have no record. One of another credential lets it in nowhere.
			other, err := all[0].register(t, s, demand{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			other.backupUnknown = true
			wantErr := want.get
			if wantErr == ErrKey {
				strict, _ := newCBOR()
				if k, err := parseKey(strict, v.values["key"]); !errors.Is(err, ErrKey) {
					t.Errorf("its key: %v, %v", k.alg, err)
				}
				wantErr = ErrSignature
			}
			if _, err := v.assert(t, s, demand{}, other); !errors.Is(err, wantErr) {
				t.Errorf("sign-in: %v, want %v", err, wantErr)
			}
		})
	}
}

// passes judges all that can be asked of a vector whose credential is accepted.
func (v *vector) passes(t *testing.T, s *site, rec record, verified [2]bool) {
	t.Helper()
	b := rec.encode()
	if back, err := decodeRecord(b); err != nil || !bytes.Equal(back.encode(), b) {
		t.Errorf("its record does not come back: %v", err)
	}
	strict, _ := newCBOR()
	if k, err := parseKey(strict, v.values["key"]); err != nil || k.alg != rec.key.alg || !bytes.Equal(k.raw, rec.key.raw) {
		t.Errorf("another key than in the attestation: %v", err)
	}
	if !bytes.Equal(rec.key.cose(), v.values["key"]) {
		t.Errorf("the key is written as %x", rec.key.cose())
	}
	now, err := v.assert(t, s, demand{}, rec)
	if err != nil || now.backupEligible != rec.backupEligible || now.counter != 0 {
		t.Fatalf("sign-in: %+v, %v", now, err)
	}

	// A demand of verification holds where there was none.
	wantErr := func(ok bool) error {
		if ok {
			return nil
		}
		return ErrUserVerification
	}
	if _, err := v.register(t, s, demand{verify: true}, nil); !errors.Is(err, wantErr(verified[0])) || rec.verifiedOnce != verified[0] {
		t.Errorf("registration with verification: %v", err)
	}
	if _, err := v.assert(t, s, demand{verify: true}, rec); !errors.Is(err, wantErr(verified[1])) {
		t.Errorf("sign-in with verification: %v", err)
	}

	// And nothing of it may be another's.
	for what, other := range map[string]struct {
		site *site
		edit func(*vector)
		want error
	}{
		"RP ID":     {site: &site{rpID: "example.net", origins: []string{vectorOrigin}}, want: ErrRPID},
		"origin":    {site: &site{rpID: vectorRPID, origins: []string{"https://www.example.org"}}, want: ErrOrigin},
		"challenge": {edit: func(v *vector) { v.values["get.challenge"] = v.values["create.challenge"] }, want: ErrChallenge},
		"signature": {edit: func(v *vector) { v.values["get.signature"][8] ^= 1 }, want: ErrSignature},
		"counter":   {edit: func(v *vector) { v.values["get.auth"][36] ^= 1 }, want: ErrSignature},
		"backup":    {edit: func(v *vector) { v.values["get.auth"][32] ^= flagBE; v.values["get.auth"][32] &^= flagBS }, want: ErrBackup},
		"presence":  {edit: func(v *vector) { v.values["get.auth"][32] &^= flagUP }, want: ErrUserPresence},
	} {
		forged := &vector{v.name, map[string][]byte{}}
		for name, b := range v.values {
			forged.values[name] = bytes.Clone(b)
		}
		if other.edit != nil {
			other.edit(forged)
		}
		at := s
		if other.site != nil {
			at = other.site
		}
		if _, err := forged.assert(t, at, demand{}, rec); !errors.Is(err, other.want) {
			t.Errorf("another %s: %v, want %v", what, err, other.want)
		}
	}
}

// A page in a frame passes where the frame's site is named, and nowhere else.
func TestVectorsInAFrame(t *testing.T) {
	t.Parallel()
	all, _ := vectors(t)
	for _, v := range all {
		passes := false
		switch v.name {
		case "none ES256 top-origin":
			passes = true
		case "none ES256 cross-origin": // which does not say whose frame it was
		default:
			continue
		}
		for _, tt := range []struct {
			tops []string
			want bool
		}{
			{nil, false},
			{[]string{vectorTopOrigin}, passes},
			{[]string{vectorTopOrigin + "/"}, false}, // not as browsers write it
			{[]string{"https://www.example.com"}, false},
		} {
			s := vectorSite()
			s.topOrigins = tt.tops
			rec, err := v.register(t, s, demand{}, nil)
			if tt.want != (err == nil) || err != nil && !errors.Is(err, ErrCrossOrigin) {
				t.Errorf("%s, %v: registration: %v", v.name, tt.tops, err)
			}
			if err != nil {
				rec.backupUnknown = true
			}
			if _, err := v.assert(t, s, demand{}, rec); tt.want != (err == nil) || err != nil && !errors.Is(err, ErrCrossOrigin) {
				t.Errorf("%s, %v: sign-in: %v", v.name, tt.tops, err)
			}
		}
	}
}

// The same registrations through the factor and a vault, so that also the
// longest ID that there may be ends up in an account.
func TestVectorsAreStored(t *testing.T) {
	t.Parallel()
	all, _ := vectors(t)
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := New(vectorOrigin, nil)
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	confirm := func(user string, vec *vector) error {
		_, err := vault.Update(t.Context(), v, user, func(a *vault.Account) (*vault.Factor, error) {
			const flow = "flow"
			s := a.Scope(Kind, string(mfa.PurposeConfirm), flow)
			f, err := s.Draft(vault.Factor{}, draftTTL)
			if err != nil {
				return nil, err
			}
			c := ceremony{challenge: vec.values["create.challenge"]}
			if err := s.Issue(vault.Challenge{FactorID: f.ID, Expires: s.Now().Add(draftTTL), Data: c.encode()}); err != nil {
				return nil, err
			}
			return m.Confirm(context.Background(), s, mfa.ConfirmRequest{
				Request: mfa.Request{Purpose: mfa.PurposeConfirm, Flow: flow}, EnrollmentID: f.ID,
				Answer: mfa.Answer{Kind: Kind, Credential: vec.created(t)},
			})
		})
		return err
	}
	for _, vec := range all {
		if len(vec.values["create.challenge"]) != challengeSize {
			continue // none of ours
		}
		_, err := vec.register(t, vectorSite(), demand{}, nil)
		if got := confirm("ada", vec); (got == nil) != (err == nil) || err != nil && !errors.Is(got, err) {
			t.Errorf("%s: %v, want %v", vec.name, got, err)
		}
		if err != nil {
			continue
		}
		for _, user := range []string{"ada", "bob"} { // not twice, and nobody else
			if got := confirm(user, vec); !errors.Is(got, ErrRegistered) {
				t.Errorf("%s, again by %s: %v", vec.name, user, got)
			}
		}
	}
	s, err := v.View(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	longest := 0
	for _, f := range s.Factors {
		longest = max(longest, len(f.Key))
	}
	if longest != maxID {
		t.Errorf("the longest ID has %d bytes", longest)
	}
}
