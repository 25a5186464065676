package vault_test

// What a stolen record tells of an emailed code. It is here because only this
// package sees into a record.

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/vault"
)

// prefixed is how the documentation of Scope.MAC says that parts are joined.
func prefixed(parts ...string) (b []byte) {
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

// who has a stored record, every sealing key and all that is known of a
// sign-in, but not the account's own key, cannot find the code among the million;
// with that key exactly one fits.
func TestMillionCandidates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	var out mail.Outbox
	const user, address = "anna", "anna@mail.example"
	guard, err := mfa.New(b.Vault, mfa.Config{
		Service: "Acme", Methods: []mfa.Method{emailotp.New(&out, nil)},
		Users: func(_ context.Context, id string) (mfa.User, error) { return mfa.User{ID: id, Email: address}, nil },
	})
	must(t, err)
	code := func() string {
		all := out.All()
		return regexp.MustCompile(`(?m)^ +(\d{6})$`).FindStringSubmatch(all[len(all)-1].Text)[1]
	}
	login, err := guard.Begin(ctx, mfa.FirstFactor{UserID: user, By: mfa.ByPassword})
	must(t, err)
	e, err := guard.Settings(login.Session).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind})
	must(t, err)
	_, err = guard.Settings(login.Session).Confirm(ctx, e.ID, mfa.Answer{Kind: emailotp.Kind, Code: code()})
	must(t, err)
	b.clock.Advance(vault.MaxDraft)
	login, err = guard.Begin(ctx, mfa.FirstFactor{UserID: user, By: mfa.ByPassword})
	must(t, err)
	_, err = login.Pending.Challenge(ctx, mfa.Offer{Kind: emailotp.Kind})
	must(t, err)
	right := code()

	rec, err := b.store.Load(ctx, user)
	must(t, err)
	bare, err := b.Strip(user, rec)
	must(t, err)
	if len(bare.MACKey) != 32 {
		t.Fatalf("a key of %d bytes", len(bare.MACKey))
	}
	var flow string
	for _, f := range bare.Fields {
		if len(f) == 32 && regexp.MustCompile(`^[0-9a-f]{32}$`).Match(f) {
			flow = string(f)
		}
	}
	if flow == "" || !slices.ContainsFunc(bare.Fields, func(f []byte) bool { return strings.HasSuffix(string(f), address) }) {
		t.Fatalf("the record lacks what it was taken to hold: %q", bare.Fields)
	}
	stored := map[string]bool{}
	for _, f := range bare.Fields {
		if len(f) >= 6 {
			stored[string(f)] = true
		}
	}
	stored[string(rec.Data)] = true

	// what an attacker may know, each as the key of a MAC over the code and over
	// what the code is bound to
	known := [][]byte{nil, []byte(user), []byte(address), []byte(flow), []byte("sign-in"), []byte("email"), []byte("code"), []byte(e.ID), []byte(b.keys), make([]byte, 32)}
	known = append(append(known, bare.Keys...), bare.Fields...)
	slices.SortFunc(known, slices.Compare)
	known = slices.CompactFunc(known, slices.Equal)
	bound := prefixed("email", user, "code", "sign-in", e.ID, address, flow)
	message := func(code string) []byte { return append(slices.Clone(bound), prefixed(code)...) }

	step := 1
	switch {
	case testing.Short():
		step = 100
	case os.Getenv("MFA_LONG") == "":
		step = 10
	}
	const million = 1_000_000
	var mu sync.Mutex
	var fits []string
	search := func(from, to int) {
		macs := make([]hash.Hash, len(known))
		for i, k := range known {
			macs[i] = hmac.New(sha256.New, k)
		}
		own := hmac.New(sha256.New, bare.MACKey)
		var sum [sha256.Size]byte
		found := func(h hash.Hash, message []byte) bool {
			h.Reset()
			h.Write(message)
			return stored[string(h.Sum(sum[:0]))]
		}
		for i := from; i < to; i++ {
			candidate := fmt.Sprintf("%06d", i)
			full := message(candidate)
			if found(own, full) {
				mu.Lock()
				fits = append(fits, candidate)
				mu.Unlock()
			}
			raw := []byte(candidate)
			plain := sha256.Sum256(raw)
			all := sha256.Sum256(full)
			if stored[candidate] || stored[string(plain[:])] || stored[string(all[:])] || found(own, raw) {
				t.Errorf("%s is stored, or its hash", candidate)
			}
			if i%step != 0 && candidate != right {
				continue
			}
			for j, h := range macs {
				if found(h, raw) || found(h, full) {
					t.Errorf("%s is stored with a MAC under %q", candidate, known[j])
				}
			}
		}
	}
	var done sync.WaitGroup
	const parts = 4
	for p := range parts {
		done.Go(func() { search(p*million/parts, (p+1)*million/parts) })
	}
	done.Wait()
	if len(fits) != 1 || fits[0] != right {
		t.Errorf("with the account's key %v fit, want %s alone", fits, right)
	}
}
