package mfa

import (
	"bytes"
	"context"
	"encoding/hex"
	"reflect"
	"slices"
	"testing"

	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// plain is a Method that is never asked.
type plain struct{ Method }

func (plain) Kind() Kind     { return "plain" }
func (plain) Check() error   { return nil }
func (plain) Traits() Traits { return Traits{} }

// what a pending token holds, opened. There is no place in it for a
// password or another secret of the first factor, and the binding is hashed.
func TestPendingHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(v, Config{Service: "Acme", Methods: []Method{plain{}}})
	if err != nil {
		t.Fatal(err)
	}
	const binding, carry = "the cookie's value", "the application's own"
	p, err := vault.Read(context.Background(), v, "alice", func(a *vault.Account) (*Login, error) {
		return g.pend(a, FirstFactor{UserID: "alice", By: ByPassword, Binding: binding, Carry: carry}, false)
	})
	if err != nil {
		t.Fatal(err)
	}
	token := p.Pending.Token()
	if bytes.Contains([]byte(token), []byte("alice")) {
		t.Error("the token can be read")
	}
	opened, err := v.Unseal(sealPending, "", token)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(opened, []byte(binding)) {
		t.Error("the binding is in the token as it is")
	}
	for _, want := range []string{"alice", string(ByPassword), carry} {
		if !bytes.Contains(opened, []byte(want)) {
			t.Errorf("%q is not in the token: the search finds nothing", want)
		}
	}
	if _, err := v.Unseal(sealSession, "alice", token); err == nil {
		t.Error("it opens as a session")
	}

	var first, holds []string
	for f := range reflect.TypeFor[FirstFactor]().Fields() {
		first = append(first, f.Name)
	}
	for f := range reflect.TypeFor[pendingToken]().Fields() {
		holds = append(holds, f.Name)
	}
	if want := []string{"UserID", "By", "Carry", "Binding", "Resume", "Expect"}; !slices.Equal(first, want) {
		t.Errorf("FirstFactor has %v; may %v be sealed into what the browser gets?", first, want)
	}
	want := []string{"User", "ID", "Purpose", "By", "Issued", "Epoch", "Binding", "Carry", "Enroll", "Session", "Rule", "State"}
	if !slices.Equal(holds, want) {
		t.Errorf("a pending token holds %v, want %v", holds, want)
	}
}

// what bears a ceremony has 128 bits, and no two are alike.
func TestTokenIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := newTokenID()
		if len(id) != 16 {
			t.Fatalf("an ID of %d bytes", len(id))
		}
		seen[hex.EncodeToString(id)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different IDs of 1000", len(seen))
	}
}
