package storetest

// Checks of unique keys: who owns what, and that a change is one step with the
// record.

import (
	"strings"

	"github.com/seed-f4994bf1/mfa/store"
)

func claim(k *kit) {
	const fits = "a change that fits is applied"
	a, b := k.user(), k.user()
	first, second, third := k.key(), k.key(), k.key()
	k.owned(first, "", "a key that was never claimed has no owner")
	v := k.put(a, []byte("a1"), first)
	k.owned(first, a, "a create claims its keys")
	next := k.version()
	k.apply(store.Change{UserID: a, Old: v, New: next, Data: []byte("a2"), Claim: []string{second, third}}, nil, fits)
	for _, key := range []string{first, second, third} {
		k.owned(key, a, "a user owns every key that was claimed and not released")
	}

	w := k.put(b, []byte("b1"))
	k.apply(store.Change{UserID: b, Old: w, New: k.version(), Data: []byte("b2"), Claim: []string{first}}, store.ErrKeyTaken,
		"another user's key cannot be claimed")
	k.apply(store.Change{UserID: k.user(), New: k.version(), Data: []byte("c"), Claim: []string{second}}, store.ErrKeyTaken,
		"another user's key cannot be claimed, also not by a create")
	k.owned(first, a, "a claim never takes a key from its owner")
	k.owned(second, a, "a claim never takes a key from its owner")

	last, fresh := k.version(), k.key()
	k.apply(store.Change{UserID: a, Old: next, New: last, Data: []byte("a3"), Claim: []string{first, fresh, second}}, nil,
		"claiming a key that one owns already is no error")
	for _, key := range []string{first, second, third, fresh} {
		k.owned(key, a, "claiming a key that one owns already changes nothing")
	}
	k.has(a, last, []byte("a3"), "a change that claims also swaps the record")
}

func release(k *kit) {
	const fits = "a change that fits is applied"
	a, b := k.user(), k.user()
	kept, first, second := k.key(), k.key(), k.key()
	v := k.put(a, []byte("a1"), kept, first, second)
	next := k.version()
	k.apply(store.Change{UserID: a, Old: v, New: next, Data: []byte("a2"), Release: []string{first}}, nil, fits)
	k.owned(first, "", "a released key has no owner")
	k.owned(kept, a, "only the keys in Release are released")
	k.owned(second, a, "only the keys in Release are released")
	k.has(a, next, []byte("a2"), "a change that releases also swaps the record")

	w := k.put(b, []byte("b1"), first)
	k.owned(first, b, "a released key can be claimed by another user")
	after := k.version()
	k.apply(store.Change{UserID: b, Old: w, New: after, Data: []byte("b2"), Release: []string{kept, k.key()}}, nil,
		"releasing a key that one does not own is no error")
	k.owned(kept, a, "releasing a key that one does not own changes nothing")

	// A key that changes hands within one change, and away with the record.
	last, fresh := k.version(), k.key()
	k.apply(store.Change{UserID: a, Old: next, New: last, Data: []byte("a3"), Claim: []string{fresh}, Release: []string{second}},
		nil, fits)
	k.owned(fresh, a, "a change can claim and release")
	k.owned(second, "", "a change can claim and release")
	k.apply(store.Change{UserID: a, Old: last, Release: []string{kept, fresh}}, nil, fits)
	k.owned(kept, "", "a delete releases the keys that it names")
	k.owned(fresh, "", "a delete releases the keys that it names")
	k.owned(first, b, "a delete releases only keys of its own user")
	k.apply(store.Change{UserID: b, Old: after, New: k.version(), Claim: []string{kept, second}}, nil,
		"a released key can be claimed by another user")
	k.owned(kept, b, "a released key can be claimed by another user")
}

func keyBytes(k *kit) {
	const rule = "keys are 32 bytes of any kind, compared as bytes"
	base := k.key()[1:]
	var keys []string
	for _, b := range []string{"\x00", " ", "A", "a", "\n", ":", "\x7f", "\x80", "\xff"} {
		keys = append(keys, base+b, b+base, base[:15]+b+base[15:])
	}
	letters := strings.ToLower(k.user() + k.user())[:store.KeySize]
	keys = append(keys, letters, strings.ToUpper(letters))
	owners := make([]string, len(keys))
	for i, key := range keys {
		owners[i] = k.user()
		k.apply(store.Change{UserID: owners[i], New: k.version(), Claim: []string{key}}, nil, rule)
	}
	for i, key := range keys {
		k.owned(key, owners[i], rule)
	}
}

func allOrNothing(k *kit) {
	const rule = "a change that is not applied changes nothing: neither the record nor any key"
	a, b, taken := k.user(), k.user(), k.key()
	k.put(a, []byte("a"), taken)
	mine, before, after := k.key(), k.key(), k.key()
	v := k.put(b, []byte("b"), mine)
	absent := k.user()

	for _, c := range []store.Change{
		// The record is not at Old.
		{UserID: b, Old: v ^ 1, New: k.version(), Data: []byte("lost"), Claim: []string{before}},
		{UserID: b, Old: v ^ 1, New: k.version(), Data: []byte("lost"), Claim: []string{before}, Release: []string{mine}},
		{UserID: b, New: k.version(), Data: []byte("lost"), Claim: []string{before}, Release: []string{mine}},
		{UserID: b, Old: v ^ 1, Release: []string{mine}},
		{UserID: absent, Old: v, New: k.version(), Data: []byte("lost"), Claim: []string{before}},
		// One of the keys is taken, whichever comes first.
		{UserID: b, Old: v, New: k.version(), Data: []byte("lost"), Claim: []string{before, taken, after}},
		{UserID: b, Old: v, New: k.version(), Data: []byte("lost"), Claim: []string{taken}, Release: []string{mine}},
		{UserID: b, Old: v, New: k.version(), Data: []byte("lost"), Claim: []string{mine, taken}},
		{UserID: absent, New: k.version(), Data: []byte("lost"), Claim: []string{before, taken, after}},
	} {
		want := store.ErrConflict
		for _, key := range c.Claim {
			if key == taken {
				want = store.ErrKeyTaken
			}
		}
		k.apply(c, want, "a change that does not fit is not applied")
		k.has(b, v, []byte("b"), rule)
		k.none(absent, rule)
		k.owned(before, "", rule)
		k.owned(after, "", rule)
		k.owned(mine, b, rule)
		k.owned(taken, a, rule)
	}
}

func precedence(k *kit) {
	const rule = "where the record is not at Old and a key is taken, the answer is ErrConflict"
	a, b, taken := k.user(), k.user(), k.key()
	k.put(a, []byte("a"), taken)
	v := k.put(b, []byte("b"))
	k.apply(store.Change{UserID: b, Old: v ^ 1, New: k.version(), Claim: []string{taken}}, store.ErrConflict, rule)
	k.apply(store.Change{UserID: b, New: k.version(), Claim: []string{taken}}, store.ErrConflict, rule)
	k.apply(store.Change{UserID: k.user(), Old: v, New: k.version(), Claim: []string{taken}}, store.ErrConflict, rule)
	k.has(b, v, []byte("b"), rule)
}
