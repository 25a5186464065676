package storetest

// Checks of many writers and readers at once, in one process and as two.

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-f4994bf1/mfa/store"
)

// race calls run n times at once, half of them on the other store, and returns
// what they answered.
func (k *kit) race(n int, run func(s store.Store, i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		s := k.s
		if i%2 == 1 {
			s = k.other
		}
		wg.Go(func() {
			<-start
			errs[i] = run(s, i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// winner returns the one whose error is nil and stops unless it is one and all
// others were answered want.
func (k *kit) winner(errs []error, want error, rule string) int {
	k.Helper()
	winner, winners := -1, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			winners++
		case !is(err, want):
			k.broken(rule, "a loser of the race was answered %v, want %v", err, want)
		}
	}
	if winners != 1 {
		k.broken(rule, "%d of %d racing changes were applied, want 1", winners, len(errs))
	}
	return winner
}

func processes(k *kit) {
	const rule = "nothing is kept in a process: a store sees at once what another one on the same data did"
	user, key := k.user(), k.key()
	k.noneOn(k.other, user, rule)
	k.ownedOn(k.other, key, "", rule)
	v := k.put(user, []byte("one"), key)
	k.hasOn(k.other, user, v, []byte("one"), rule)
	k.ownedOn(k.other, key, user, rule)
	k.has(user, v, []byte("one"), rule) // what a cache would keep

	next, second := k.version(), k.key()
	c := store.Change{UserID: user, Old: v, New: next, Data: []byte("two"), Claim: []string{second}, Release: []string{key}}
	if err := k.other.Apply(k.Context(), c); err != nil {
		k.broken(rule, "Apply(%s) on the other store = %v", describe(c), err)
	}
	k.has(user, next, []byte("two"), rule)
	k.owned(key, "", rule)
	k.owned(second, user, rule)
	k.apply(store.Change{UserID: user, Old: v, New: k.version(), Data: []byte("lost")}, store.ErrConflict, rule)
	k.apply(store.Change{UserID: k.user(), New: k.version(), Claim: []string{second}}, store.ErrKeyTaken, rule)

	c = store.Change{UserID: user, Old: next, Release: []string{second}}
	if err := k.other.Apply(k.Context(), c); err != nil {
		k.broken(rule, "Apply(%s) on the other store = %v", describe(c), err)
	}
	k.none(user, rule)
	k.owned(second, "", rule)
}

func visible(k *kit) {
	const rule = "a Load sees every Apply that returned before it began: no replica, no cache"
	const writes, readers = 200, 4
	user := k.user()
	at := make([]int64, writes)
	index := make(map[int64]int, writes)
	for i := range at {
		at[i] = k.version()
		index[at[i]] = i
	}
	k.apply(store.Change{UserID: user, New: at[0], Data: []byte("0")}, nil, "a change that fits is applied")

	var applied atomic.Int64 // the index of the last write that returned
	var done atomic.Bool
	var wg sync.WaitGroup
	problems := make(chan string, readers)
	see := func(s store.Store) string {
		floor := int(applied.Load())
		r, err := s.Load(k.Context(), user)
		if err != nil {
			return fmt.Sprintf("Load = %v", err)
		}
		i, known := index[r.Version]
		switch {
		case !known || string(r.Data) != fmt.Sprint(i):
			return fmt.Sprintf("Load: version %d with %q is no record that was written", r.Version, r.Data)
		case i < floor:
			return fmt.Sprintf("Load saw write %d after write %d had returned", i, floor)
		}
		return ""
	}
	for i := range readers {
		s := k.s
		if i%2 == 1 {
			s = k.other
		}
		wg.Go(func() {
			for !done.Load() {
				if problem := see(s); problem != "" {
					problems <- problem
					return
				}
			}
		})
	}
	problem := ""
	for i := 1; i < writes && problem == ""; i++ {
		c := store.Change{UserID: user, Old: at[i-1], New: at[i], Data: fmt.Append(nil, i)}
		if err := k.s.Apply(k.Context(), c); err != nil {
			problem = fmt.Sprintf("Apply(%s) = %v", describe(c), err)
			break
		}
		applied.Store(int64(i))
		problem = see(k.other)
	}
	done.Store(true)
	wg.Wait()
	close(problems)
	for p := range problems {
		problem = p
	}
	if problem != "" {
		k.broken(rule, "%s", problem)
	}
}

func raceSwap(k *kit) {
	const rule = "of the changes that race for one version exactly one is applied, and the others conflict"
	user := k.user()
	v := k.put(user, []byte("start"))
	for _, n := range []int{16, 16, 32, 32, 64, 64, 16, 16} {
		next := make([]int64, n)
		for i := range next {
			next[i] = k.version()
		}
		errs := k.race(n, func(s store.Store, i int) error {
			return s.Apply(k.Context(), store.Change{UserID: user, Old: v, New: next[i], Data: fmt.Append(nil, next[i])})
		})
		won := k.winner(errs, store.ErrConflict, rule)
		k.has(user, next[won], fmt.Append(nil, next[won]), "the record is what the winner of the race wrote")
		v = next[won]
	}
}

func raceCreate(k *kit) {
	const rule = "of the creates that race for one user exactly one is applied, and the others conflict"
	for _, n := range []int{16, 32, 64, 16} {
		user := k.user()
		next := make([]int64, n)
		for i := range next {
			next[i] = k.version()
		}
		errs := k.race(n, func(s store.Store, i int) error {
			return s.Apply(k.Context(), store.Change{UserID: user, New: next[i], Data: fmt.Append(nil, next[i])})
		})
		won := k.winner(errs, store.ErrConflict, rule)
		k.has(user, next[won], fmt.Append(nil, next[won]), "the record is what the winner of the race wrote")
	}
}

func raceClaim(k *kit) {
	const rule = "of the users who race for one key exactly one gets it, and the others are told that it is taken"
	const whole = "a change that is not applied changes nothing: neither the record nor any key"
	for _, n := range []int{16, 32, 64, 16} {
		key := k.key()
		changes := make([]store.Change, n)
		for i := range changes {
			c := store.Change{UserID: k.user(), New: k.version(), Data: []byte("after")}
			if i%4 > 1 { // half of them have a record already
				c.Old = k.put(c.UserID, []byte("before"))
			}
			c.Claim = []string{key, k.key()}
			if i%3 == 0 {
				c.Claim[0], c.Claim[1] = c.Claim[1], c.Claim[0]
			}
			changes[i] = c
		}
		errs := k.race(n, func(s store.Store, i int) error { return s.Apply(k.Context(), changes[i]) })
		won := k.winner(errs, store.ErrKeyTaken, rule)
		k.owned(key, changes[won].UserID, "the key's owner is the winner of the race")
		for i, c := range changes {
			for _, claimed := range c.Claim {
				switch {
				case i == won:
					k.owned(claimed, c.UserID, "the winner's change is applied")
				case claimed != key:
					k.owned(claimed, "", whole)
				}
			}
			switch {
			case i == won:
				k.has(c.UserID, c.New, c.Data, "the winner's change is applied")
			case c.Old == 0:
				k.none(c.UserID, whole)
			default:
				k.has(c.UserID, c.Old, []byte("before"), whole)
			}
		}
	}
}
