package storetest

// Checks of one record at a time: create, swap, delete, and what is compared
// and kept byte for byte.

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/seed-f4994bf1/mfa/store"
)

func create(k *kit) {
	user := k.user()
	k.none(user, "a user who was never stored is not found")
	v := k.put(user, []byte("one"))
	k.has(user, v, []byte("one"), "Load returns what was created")
	k.apply(store.Change{UserID: user, New: k.version(), Data: []byte("two")}, store.ErrConflict,
		"Old 0 creates, and only where there is no record")
	k.has(user, v, []byte("one"), "a create that conflicts changes nothing")
}

func swap(k *kit) {
	user := k.user()
	v := k.put(user, []byte("data 0"))
	for i := 1; i <= 10; i++ {
		next, data := k.version(), fmt.Appendf(nil, "data %d", i)
		k.apply(store.Change{UserID: user, Old: v, New: next, Data: data}, nil,
			"a change whose Old is the record's version is applied")
		k.has(user, next, data, "Load returns what the last change wrote")
		v = next
	}
	same := k.version()
	k.apply(store.Change{UserID: user, Old: v, New: same, Data: []byte("data 10")}, nil,
		"a change to the same data is a change: the version moves")
	k.has(user, same, []byte("data 10"), "a change to the same data is a change: the version moves")
}

func conflict(k *kit) {
	user, absent := k.user(), k.user()
	v := k.version()
	k.apply(store.Change{UserID: user, New: v, Data: []byte("kept")}, nil, "a change that fits is applied")
	next := k.version()
	for _, old := range []int64{v - 1, v + 1, 1, math.MaxInt64, next} {
		if old == v {
			continue
		}
		for _, c := range []store.Change{
			{UserID: user, Old: old, New: next ^ 1, Data: []byte("lost")},
			{UserID: user, Old: old, New: v, Data: []byte("lost")}, // to the version that is there
			{UserID: user, Old: old},
		} {
			if c.Old == c.New {
				continue
			}
			k.apply(c, store.ErrConflict, "only a change whose Old is the record's version is applied")
			k.has(user, v, []byte("kept"), "a change that conflicts changes nothing")
		}
	}
	k.apply(store.Change{UserID: absent, Old: v, New: next, Data: []byte("lost")}, store.ErrConflict,
		"a swap where there is no record conflicts")
	k.none(absent, "a swap never creates")
	k.apply(store.Change{UserID: absent, Old: v}, store.ErrConflict, "a delete where there is no record conflicts")
}

func remove(k *kit) {
	user := k.user()
	v := k.put(user, []byte("one"))
	k.apply(store.Change{UserID: user, Old: v}, nil, "New 0 deletes")
	k.none(user, "a deleted record is not found")
	k.apply(store.Change{UserID: user, Old: v}, store.ErrConflict, "a second delete conflicts")
	v = k.put(user, []byte("two"))
	k.has(user, v, []byte("two"), "a user who was deleted can be created again")
	k.apply(store.Change{UserID: user, Old: v}, nil, "New 0 deletes")
	k.none(user, "a deleted record is not found")
}

func stale(k *kit) {
	user := k.user()
	const rule = "a version never returns, also after a delete: a writer that slept through it conflicts"
	first := k.put(user, []byte("one"))
	second := k.version()
	k.apply(store.Change{UserID: user, Old: first, New: second, Data: []byte("two")}, nil, "a change that fits is applied")
	k.apply(store.Change{UserID: user, Old: first, New: k.version(), Data: []byte("lost")}, store.ErrConflict, rule)
	k.apply(store.Change{UserID: user, Old: second}, nil, "New 0 deletes")
	for _, old := range []int64{first, second} {
		k.apply(store.Change{UserID: user, Old: old, New: k.version(), Data: []byte("lost")}, store.ErrConflict, rule)
		k.none(user, rule)
	}
	third := k.put(user, []byte("three"))
	for _, old := range []int64{first, second} {
		k.apply(store.Change{UserID: user, Old: old, New: k.version(), Data: []byte("lost")}, store.ErrConflict, rule)
		k.apply(store.Change{UserID: user, Old: old}, store.ErrConflict, rule)
	}
	k.has(user, third, []byte("three"), rule)
}

func versions(k *kit) {
	const rule = "a version is a 63-bit number, kept and compared exactly (not as a float)"
	for _, v := range []int64{1, 2, 1 << 31, 1 << 32, 1<<53 + 1, 1<<62 + 1, math.MaxInt64 - 1, math.MaxInt64} {
		user := k.user()
		k.apply(store.Change{UserID: user, New: v, Data: []byte("one")}, nil, rule)
		k.has(user, v, []byte("one"), rule)
		for _, old := range []int64{v - 1, v ^ 1, v ^ 2, v ^ 1<<32, v ^ 1<<62} {
			if old <= 0 || old == v {
				continue
			}
			k.apply(store.Change{UserID: user, Old: old, New: 77, Data: []byte("lost")}, store.ErrConflict, rule)
		}
		k.apply(store.Change{UserID: user, Old: v, New: 77, Data: []byte("two")}, nil, rule)
		k.apply(store.Change{UserID: user, Old: 77, New: v, Data: []byte("three")}, nil, rule)
		k.has(user, v, []byte("three"), rule)
	}
}

func users(k *kit) {
	const rule = "user IDs are compared as bytes: no case, no trimming, no collation, no character set"
	base := k.user()
	ids := []string{
		base, strings.ToUpper(base),
		base + " ", base + "  ", " " + base, base + "\t", base + "\n", base + "\r\n",
		base + "\x00", base + "\x00a", base + "\x00b", "\x00" + base,
		base + "\xff", base + "\xfe", base + "\ufffd", base + "\xed\xa0\x80", base + "\ufeff",
		base + "\u00e9", base + "e\u0301", base + "e", base + "\u00c9", // é in two normal forms, e, É
		base + "ß", base + "ss", base + "\u0131", base + "i", base + "I", base + "\uff49",
		base + ":", base + ":a", base + "::a", base + "/a", base + "%3Aa", base + "a",
		base + "*", base + "?", base + "%", base + "_", base + "[a]", base + "{a}",
		base + "'", base + `"`, base + "`", base + `\`, base + `\\`, base + "'; --", base + "$1",
		base + "0", base + "00", base + ".0", base + "e0",
	}
	long := base + strings.Repeat("x", store.MaxUserID-1-len(base))
	ids = append(ids, long, long+"y", long+"z")
	for i := 1; i < len(long)-len(base); i *= 2 { // cut anywhere, some would be the same
		ids = append(ids, long[:len(base)+i])
	}
	at, keys := make([]int64, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		if _, err := k.s.Load(k.Context(), id); !is(err, store.ErrNotFound) {
			k.broken(rule, "Load of %q, which is not stored yet, = %v, want ErrNotFound", id, err)
		}
		at[i], keys[i] = k.version(), k.key()
		err := k.s.Apply(k.Context(), store.Change{UserID: id, New: at[i], Data: fmt.Append(nil, i), Claim: keys[i : i+1]})
		if err != nil {
			k.broken(rule, "Apply(create) of %q = %v", id, err)
		}
	}
	for i, id := range ids {
		k.has(id, at[i], fmt.Append(nil, i), rule)
		k.owned(keys[i], id, "Owner returns the user ID byte for byte")
	}
	for i, id := range ids {
		if i%2 == 0 {
			k.apply(store.Change{UserID: id, Old: at[i]}, nil, rule)
			continue
		}
		next := k.version()
		k.apply(store.Change{UserID: id, Old: at[i], New: next, Data: []byte("next")}, nil, rule)
		at[i] = next
	}
	for i, id := range ids {
		if i%2 == 0 {
			k.none(id, rule)
		} else {
			k.has(id, at[i], []byte("next"), rule)
		}
	}

	// The shortest IDs. Somebody else may have them in a store that is shared.
	for _, id := range []string{"0", " ", "\x00", "\xff"} {
		if _, err := k.s.Load(k.Context(), id); err == nil {
			continue
		}
		v := k.put(id, []byte("short"))
		k.has(id, v, []byte("short"), "a user ID has 1 to 255 bytes of any kind")
		k.apply(store.Change{UserID: id, Old: v}, nil, "a user ID has 1 to 255 bytes of any kind")
	}
}

func isolation(k *kit) {
	const rule = "a change touches the record of its own user only"
	a, b, v := k.user(), k.user(), k.version()
	for _, user := range []string{a, b} { // at the same version
		k.apply(store.Change{UserID: user, New: v, Data: []byte("data")}, nil, rule)
	}
	next := k.version()
	k.apply(store.Change{UserID: a, Old: v, New: next, Data: []byte("next")}, nil, rule)
	k.has(b, v, []byte("data"), rule)
	k.apply(store.Change{UserID: a, Old: next, New: v, Data: []byte("data")}, nil, rule)
	k.apply(store.Change{UserID: a, Old: v}, nil, rule)
	k.has(b, v, []byte("data"), rule)
}

func data(k *kit) {
	const rule = "data is 0 to 64 KiB of any bytes, kept as they are"
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	values := [][]byte{
		{}, nil, {0}, {0xff}, {' '}, []byte("a "), []byte("a\x00"), []byte("\x00a"), []byte("\xef\xbb\xbf"), []byte("'\"\\"), all,
	}
	for _, n := range []int{1, 255, 256, 1200, 4095, 4096, 8001, 16 << 10, store.MaxData - 1, store.MaxData} {
		values = append(values, random(n), bytes.Repeat([]byte{0}, n))
	}
	values = append(values, bytes.Repeat(all, store.MaxData/len(all)), []byte("short again"))
	user := k.user()
	v := k.put(user, []byte("first"))
	for _, value := range values {
		next, fresh := k.version(), k.user()
		k.apply(store.Change{UserID: user, Old: v, New: next, Data: value}, nil, rule)
		k.has(user, next, value, rule)
		v = next
		created := k.put(fresh, value)
		k.has(fresh, created, value, rule)
	}
}

func bounds(k *kit) {
	const rule = "a call that breaks a bound is ErrArgument, and nothing is stored"
	user, key := k.user(), k.key()
	long := user + strings.Repeat("x", store.MaxUserID-len(user))
	v := k.put(user, []byte("kept"), key)
	k.put(long, nil)
	next := k.version()
	big := make([]byte, store.MaxData+1)
	twice, other := k.key(), k.key()
	for name, c := range map[string]store.Change{
		"empty user ID":        {New: next},
		"long user ID":         {UserID: long + "x", New: next},
		"longer user ID":       {UserID: strings.Repeat(long, 3), New: next},
		"no versions":          {UserID: user},
		"same versions":        {UserID: user, Old: v, New: v, Data: []byte("lost")},
		"negative Old":         {UserID: user, Old: -v, New: next},
		"negative New":         {UserID: user, Old: v, New: -next},
		"big data":             {UserID: user, Old: v, New: next, Data: big},
		"delete with data":     {UserID: user, Old: v, Data: []byte("x")},
		"empty key claimed":    {UserID: user, Old: v, New: next, Claim: []string{""}},
		"short key claimed":    {UserID: user, Old: v, New: next, Claim: []string{other, other[1:]}},
		"long key claimed":     {UserID: user, Old: v, New: next, Claim: []string{other + "x"}},
		"short key released":   {UserID: user, Old: v, New: next, Release: []string{key[1:]}},
		"long key released":    {UserID: user, Old: v, New: next, Release: []string{key + "x"}},
		"claimed twice":        {UserID: user, Old: v, New: next, Claim: []string{twice, twice}},
		"claimed and released": {UserID: user, Old: v, New: next, Claim: []string{key}, Release: []string{key}},
	} {
		if err := k.s.Apply(k.Context(), c); !is(err, store.ErrArgument) {
			k.broken(rule, "Apply with %s = %v, want ErrArgument", name, err)
		}
		k.has(user, v, []byte("kept"), rule)
		k.owned(key, user, rule)
	}
	for _, free := range []string{twice, other} {
		k.owned(free, "", rule)
	}
	for _, id := range []string{"", long + "x"} {
		if _, err := k.s.Load(k.Context(), id); !is(err, store.ErrArgument) {
			k.broken(rule, "Load of a user ID of %d bytes = %v, want ErrArgument", len(id), err)
		}
	}
	for _, bad := range []string{"", key[1:], key + "x"} {
		if _, err := k.s.Owner(k.Context(), bad); !is(err, store.ErrArgument) {
			k.broken(rule, "Owner of a key of %d bytes = %v, want ErrArgument", len(bad), err)
		}
	}
}

func aliasing(k *kit) {
	const rule = "no slice is shared with the caller after the call, and the caller's are not written to"
	user := k.user()
	v := int64(0)
	for _, size := range []int{16, 4096} {
		in := append(make([]byte, 0, 2*size), bytes.Repeat([]byte("a"), size)...)
		want := bytes.Clone(in)
		spare := in[size : 2*size]
		claimed := []string{k.key(), k.key(), k.key(), k.key()}
		released := []string{k.key(), k.key(), k.key(), k.key()}
		claims, releases := strings.Join(claimed, ""), strings.Join(released, "")
		next := k.version()
		k.apply(store.Change{UserID: user, Old: v, New: next, Data: in, Claim: claimed, Release: released}, nil,
			"a change that fits is applied")
		v = next
		if !bytes.Equal(in, want) || !bytes.Equal(spare, make([]byte, size)) ||
			claims != strings.Join(claimed, "") || releases != strings.Join(released, "") {
			k.broken(rule, "Apply wrote to the slices of the change")
		}
		for i := range in {
			in[i] = 'b'
		}
		clear(claimed)
		k.has(user, v, want, rule+": written to after Apply")

		out, err := k.s.Load(k.Context(), user)
		if err != nil {
			k.broken(rule, "Load = %v", err)
		}
		for i := range out.Data[:cap(out.Data)] {
			out.Data[:cap(out.Data)][i] = 'c'
		}
		k.has(user, v, want, rule+": written to after Load")
	}
}
