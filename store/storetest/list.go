package storetest

// Checks of listing, for stores that can.

import (
	"fmt"
	"maps"
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
	const (
		everyone = "every user is listed, and nobody who was deleted"
		once     = "no user is listed twice"
		steady   = "users come in an order that never changes"
		behind   = "a listing may begin behind any user ID, also of a user who is gone or never was there"
		stays    = "a user who is there during the whole listing is listed, whatever else is written"
	)
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

	// walk lists everybody behind cursor and returns ours; between is called
	// after each page that holds one of ours, with the last of them.
	walk := func(cursor string, limit int, between func(last string)) (ours []string) {
		seen := map[string]bool{cursor: true}
		for empty := 0; ; {
			ids, next, err := l.UserIDs(k.Context(), cursor, limit)
			if err != nil {
				k.broken("UserIDs returns pages", "UserIDs = %v", err)
			}
			if len(ids) > limit {
				k.broken("a page holds at most limit users", "UserIDs with limit %d: %d users", limit, len(ids))
			}
			found := false
			for _, id := range ids {
				if seen[id] {
					k.broken(once, "UserIDs with limit %d: %q again", limit, id)
				}
				seen[id] = true
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
			if found && between != nil {
				between(ours[len(ours)-1])
			}
			cursor = next
		}
	}
	// same stops unless got is want: by the rule if others are in it, else by steady.
	same := func(got, want []string, rule, format string, args ...any) {
		k.Helper()
		if slices.Equal(got, want) {
			return
		}
		if slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			rule = steady
		}
		k.broken(rule, "UserIDs %s: %q, want %q", fmt.Sprintf(format, args...), got, want)
	}
	suffixes := []string{"", "\x00", "\x00\x00", " ", "A", "Aa", "B", "_", "a", "aA", "b", "\x7f", "\x80", "\u00e9", "e\u0301", "z", "\xff", "\xff\xff"}
	passing := []string{"!1", "!2", "!3", "!4"}
	for _, suffix := range append(passing, "gone") {
		add(suffix)
	}
	for i := range suffixes {
		add(suffixes[(i*7)%len(suffixes)]) // 7 and 18 have no common divisor: each once, out of order
	}
	drop("gone")

	// The first listing is what all others are measured by.
	const page = 1000
	order := walk("", page, nil)
	all := slices.Collect(maps.Keys(at))
	if !slices.Equal(slices.Sorted(slices.Values(order)), slices.Sorted(slices.Values(all))) {
		k.broken(everyone, "UserIDs with limit %d: %q, want %q in any order", page, order, all)
	}
	place := make(map[string]int)
	for i, id := range order {
		place[id] = i
	}
	for _, limit := range []int{1, 2, 7, len(all), len(all) + 1, math.MaxInt} {
		same(walk("", limit, nil), order, everyone, "with limit %d", limit)
	}

	// Any user ID is a place to begin behind, whether the user is there or not.
	for i, id := range order {
		same(walk(id, page, nil), order[i+1:], behind, "behind %q", id)
	}
	for _, suffix := range passing {
		id := base + suffix
		drop(suffix)
		same(walk(id, page, nil), order[place[id]+1:], behind, "behind %q, who was deleted", id)
		same(walk("", page, nil), slices.Concat(order[:place[id]], order[place[id]+1:]), everyone, "after %q was deleted", id)
		add(suffix)
		same(walk("", page, nil), order, everyone, "after %q was created anew", id)
	}
	newcomer := base + "m"
	rest := walk(newcomer, page, nil)
	add("m")
	same(walk(newcomer, page, nil), rest, behind, "behind %q, a newcomer,", newcomer)
	i := max(0, len(order)-len(rest))
	same(rest, order[i:], behind, "behind %q, who was not there before,", newcomer)
	same(walk("", page, nil), slices.Insert(slices.Clone(order), i, newcomer), everyone, "after %q was created", newcomer)
	drop("m")

	// Users go before the cursor, and come.
	n := 0
	for _, limit := range []int{1, 3} {
		most := n + 40 // so that the listing ends also where newcomers are last
		for _, other := range []struct {
			what  string
			write func(last string)
		}{
			{"deletes", func(last string) {
				for _, suffix := range passing {
					if id := base + suffix; at[id] != 0 && place[id] <= place[last] {
						drop(suffix)
					}
				}
			}},
			{"creates", func(string) {
				if n < most {
					n++
					add(fmt.Sprintf("\x01%d", n))
				}
			}},
		} {
			comesOrGoes := func(id string) bool {
				_, there := place[id]
				return !there || slices.Contains(passing, id[len(base):])
			}
			got := slices.DeleteFunc(walk("", limit, other.write), comesOrGoes)
			want := slices.DeleteFunc(slices.Clone(order), comesOrGoes)
			same(got, want, stays, "with limit %d and %s between pages", limit, other.what)
			for _, suffix := range passing {
				if at[base+suffix] == 0 {
					add(suffix)
				}
			}
		}
	}

	for _, limit := range []int{0, -1} {
		if _, _, err := l.UserIDs(k.Context(), "", limit); !is(err, store.ErrArgument) {
			k.broken("a page of no users is ErrArgument", "UserIDs with limit %d = %v", limit, err)
		}
	}
	if ids, _, err := l.UserIDs(k.ended(), "", 10); err == nil {
		k.broken("a call whose context has ended fails", "UserIDs = %d users, nil", len(ids))
	} else if isAnswer(err) {
		k.broken(noAnswer, "UserIDs with an ended context = %v", err)
	}
}
