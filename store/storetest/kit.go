package storetest

// What the checks are written with.

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/store"
)

// A kit is one subtest: its store, the same store as another process sees it
// (s itself where there is no other), and helpers that stop the subtest at
// the first broken rule. Their last argument is that rule.
type kit struct {
	*testing.T
	s, other store.Store
}

// user returns a user ID that nobody has, in lower case.
func (k *kit) user() string { return "st" + hex.EncodeToString(random(12)) }

// key returns a key that nobody has.
func (k *kit) key() string { return string(random(store.KeySize)) }

// version draws a version as a caller does, though never a small one.
func (k *kit) version() int64 {
	return int64(binary.BigEndian.Uint64(random(8))>>1 | 1<<62)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// answers are the errors that say something about the store's content or the
// call. No failure is one of them.
func answers() []error {
	return []error{store.ErrNotFound, store.ErrConflict, store.ErrKeyTaken, store.ErrArgument}
}

// isAnswer tells whether err is one of the answers.
func isAnswer(err error) bool {
	for _, a := range answers() {
		if errors.Is(err, a) {
			return true
		}
	}
	return false
}

// is tells whether err is what is wanted and no other answer besides.
func is(err, want error) bool {
	if want == nil || err == nil {
		return err == want
	}
	for _, a := range answers() {
		if errors.Is(err, a) != (a == want) {
			return false
		}
	}
	return true
}

// broken stops the subtest.
func (k *kit) broken(rule, format string, args ...any) {
	k.Helper()
	k.Fatalf("%s\n\trule: %s", fmt.Sprintf(format, args...), rule)
}

// apply applies c and stops unless the answer is want.
func (k *kit) apply(c store.Change, want error, rule string) {
	k.Helper()
	if err := k.s.Apply(k.Context(), c); !is(err, want) {
		k.broken(rule, "Apply(%s) = %v, want %v", describe(c), err, want)
	}
}

// put creates a record that a check needs and returns its version.
func (k *kit) put(user string, data []byte, claim ...string) int64 {
	k.Helper()
	v := k.version()
	k.apply(store.Change{UserID: user, New: v, Data: data, Claim: claim}, nil, "a change that fits is applied")
	return v
}

// has stops unless the user's record is this one.
func (k *kit) has(user string, version int64, data []byte, rule string) {
	k.Helper()
	k.hasOn(k.s, user, version, data, rule)
}

func (k *kit) hasOn(s store.Store, user string, version int64, data []byte, rule string) {
	k.Helper()
	switch r, err := s.Load(k.Context(), user); {
	case err != nil:
		k.broken(rule, "Load = %v, want version %d with %d bytes", err, version, len(data))
	case r.Version != version:
		k.broken(rule, "Load: version %d, want %d", r.Version, version)
	case !bytes.Equal(r.Data, data):
		k.broken(rule, "Load: %d bytes %s, want %d bytes %s", len(r.Data), clip(r.Data), len(data), clip(data))
	}
}

// none stops if the user has a record.
func (k *kit) none(user, rule string) {
	k.Helper()
	k.noneOn(k.s, user, rule)
}

func (k *kit) noneOn(s store.Store, user, rule string) {
	k.Helper()
	if r, err := s.Load(k.Context(), user); !is(err, store.ErrNotFound) {
		k.broken(rule, "Load = version %d, %v; want ErrNotFound", r.Version, err)
	}
}

// owned stops unless user owns the key, "" for nobody.
func (k *kit) owned(key, user, rule string) {
	k.Helper()
	k.ownedOn(k.s, key, user, rule)
}

func (k *kit) ownedOn(s store.Store, key, user, rule string) {
	k.Helper()
	got, err := s.Owner(k.Context(), key)
	switch {
	case user == "" && !is(err, store.ErrNotFound):
		k.broken(rule, "Owner = %q, %v; want ErrNotFound", got, err)
	case user != "" && err != nil:
		k.broken(rule, "Owner = %v, want %q", err, user)
	case user != "" && got != user:
		k.broken(rule, "Owner = %q, want %q", got, user)
	}
}

// describe names what a change does.
func describe(c store.Change) string {
	var b strings.Builder
	switch {
	case c.Old == 0:
		b.WriteString("create")
	case c.New == 0:
		b.WriteString("delete")
	default:
		b.WriteString("swap")
	}
	if n := len(c.Claim); n != 0 {
		fmt.Fprintf(&b, ", claim %d", n)
	}
	if n := len(c.Release); n != 0 {
		fmt.Fprintf(&b, ", release %d", n)
	}
	return b.String()
}

// clip shows the beginning of data.
func clip(data []byte) string {
	if len(data) > 16 {
		return fmt.Sprintf("%x...", data[:16])
	}
	return fmt.Sprintf("%x", data)
}

// ended returns a context that has ended.
func (k *kit) ended() context.Context {
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	return ctx
}
