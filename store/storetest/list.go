// Checks of listing, for stores that can.
package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-f4994bf1/mfa/store"
)

func list(k *kit) {
	l, ok := k.s.(store.Lister)
	if !ok {
		k.Log("the store is no Lister: there is nothing to test")
		return
	}
	base := k.user()
	at := make(map[string]int64)
	add := func(suffix string) {
		id := base + suffix
		at[id] = k.put(id, []byte("x"))
	}
	drop := func(suffix string) {
		id := base + suffix
		k.apply(store.Change{UserID: id, Old: at[id]}, nil, "New 0 deletes")
		delete(at, id)
	}
	stay := []string{"", "\x00", "\x00\x00", " ", "A", "Aa", "B", "_", "a", "aA", "b", "\x7f", "\x80", "\u00e9", "e\u0301", "z", "\xff", "\xff\xff"}
	for _, i := range []string{"!1", "!2", "!3", "!4", "gone"} {
		add(i)
	}
	var want []string
	for i := range stay {
		suffix := stay[(i*7)%len(stay)] // 7 and 18 have no common divisor: each once, out of order
		add(suffix)
		want = append(want, base+suffix)
	}
	drop("gone")
	slices.Sort(want)

	// walk lists everybody and returns ours; between is called after each page
	// that holds one of ours, with the last user so far.
	walk := func(limit int, between func(last string)) (ours []string) {
		last, cursor, empty := "", "", 0
		for {
			ids, next, err := l.UserIDs(k.Context(), cursor, limit)
			if err != nil {
				k.broken("UserIDs returns pages", "UserIDs = %v", err)
			}
			if len(ids) > limit {
				k.broken("a page holds at most limit users", "UserIDs with limit %d: %d users", limit, len(ids))
			}
			found := false
			for _, id := range ids {
				if id <= last {
					k.broken("users come in the order of their bytes, each once", "UserIDs: %q after %q", id, last)
				}
				last = id
				if strings.HasPrefix(id, base) {
					ours = append(ours, id)
					found = true
				}
			}
			if next == "" {
				return ours
			}
			if empty++; len(ids) != 0 {
				empty = 0
			}
			if empty > 1000 {
				k.broken("a listing ends", "UserIDs: 1000 pages without a user")
			}
			if found {
				between(last)
			}
			cursor = next
		}
	}

	early := []string{"!1", "!2", "!3", "!4"}
	all := slices.Clone(want)
	for _, suffix := range early {
		all = append(all, base+suffix)
	}
	slices.Sort(all)
	for _, limit := range []int{1, 2, 7, len(all), len(all) + 1, 1000, math.MaxInt} {
		if got := walk(limit, func(string) {}); !slices.Equal(got, all) {
			k.broken("every user is listed, and nobody who was deleted", "UserIDs with limit %d: %q, want %q", limit, got, all)
		}
	}

	// Users go, and come, before the cursor.
	const stays = "a user who is there during the whole listing is listed, whatever else is written"
	n := 0
	for _, limit := range []int{1, 3} {
		for _, other := range []struct {
			what  string
			write func(last string)
		}{
			{"deletes", func(last string) {
				for _, suffix := range early {
					if _, there := at[base+suffix]; there && base+suffix <= last {
						drop(suffix)
					}
				}
			}},
			{"creates", func(string) {
				n++
				add(fmt.Sprintf("\x01%d", n))
			}},
		} {
			got := walk(limit, other.write)
			got = slices.DeleteFunc(got, func(id string) bool { return !slices.Contains(want, id) })
			if !slices.Equal(got, want) {
				k.broken(stays, "UserIDs with limit %d and %s between pages: %q, want %q", limit, other.what, got, want)
			}
			for _, suffix := range early {
				if _, there := at[base+suffix]; !there {
					add(suffix)
				}
			}
		}
	}

	if ids, _, err := l.UserIDs(k.ended(), "", 10); err == nil {
		k.broken("a call whose context has ended fails", "UserIDs = %d users, nil", len(ids))
	} else if isAnswer(err) {
		k.broken(noAnswer, "UserIDs with an ended context = %v", err)
	}
}
