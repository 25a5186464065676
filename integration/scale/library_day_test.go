package scale

// The model against the library: some hundred people live through the day that is
// drawn for them, in one process and in several.

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/vault"
)

func long() bool { return os.Getenv("MFA_LONG") == "1" }

const aDay = 24 * time.Hour

// places are the saves by place.
type places struct {
	bucket        [buckets]int64
	citus, vitess [shards]int64
}

// swap returns what was counted by place since the last time.
func (s *counting) swap() (p places) {
	for i := range s.buckets {
		p.bucket[i] = s.buckets[i].Swap(0)
	}
	for i := range s.citus {
		p.citus[i], p.vitess[i] = s.citus[i].Swap(0), s.vitess[i].Swap(0)
	}
	return p
}

// places of the tally, of people who are not attacked. Saves that lost are not
// among them.
func (t *tally) places() (p places) {
	for m := range t.bucketSaves {
		for i, n := range t.bucketSaves[m] {
			p.bucket[i] += int64(n)
		}
		for i := range t.citusSaves[m] {
			p.citus[i] += int64(t.citusSaves[m][i])
			p.vitess[i] += int64(t.vitessSaves[m][i])
		}
	}
	return p
}

// differences of what was predicted and what was counted.
func differences(want, got cost, at, found *places) (out []string) {
	if want != got {
		out = append(out, fmt.Sprintf("the model says %+v, the library asked for %+v", want, got))
	}
	if at != nil && *at != *found {
		out = append(out, "saves lie elsewhere")
	}
	return out
}

// The model's arithmetic is that of the library: the same reads, saves, look-ups
// and claims, in the same places.
func TestModelIsTheLibrary(t *testing.T) {
	n, every := 300, 75
	if long() {
		n, every = 2000, 500
	}
	p := priced(t)
	h := newHouse(t, true)
	people := make([]*mfatest.Person, n)
	for i := range people {
		people[i] = h.settle(i, sortOf(i))
	}

	for _, tt := range []struct {
		name             string
		processes, which int
		cache, records   int
	}{
		{"one process", 1, 0, 64 << 20, n},
		{"three processes, each user in one", 3, 0, 64 << 20, n},
		{"three processes, each call in any", 3, 1, 64 << 20, n},
		{"no cache", 1, 0, -1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			model := simulate(n, p, every, tt.processes, 0, 2*aDay)
			midnight := h.Clock.Now().Truncate(aDay).Add(2 * aDay)
			guards := make([]*mfa.Guard, tt.processes)
			for i := range guards {
				guards[i] = h.guard(h.vault(tt.cache))
			}
			visits := map[[2]int]*visit{}
			h.count.cost()
			h.count.swap()
			for _, e := range model.window {
				key := [2]int{int(e.user), int(e.n)}
				v := visits[key]
				if v == nil {
					v = &visit{h: h, p: people[e.user], way: way(e.way)}
					visits[key] = v
				}
				h.Clock.Set(midnight.Add(time.Duration(e.at) * time.Millisecond))
				if err := v.do(t.Context(), guards[e.process[tt.which]], call(e.call)); err != nil {
					t.Fatalf("%s, %s: %v", wayNames[e.way], callNames[e.call], err)
				}
			}
			got, found, at := h.count.cost(), h.count.swap(), model.places()
			if model.updates < int64(n)/4 || model.signIns[byMail] == 0 || model.signIns[byKey] == 0 || model.signIns[alone] == 0 {
				t.Fatalf("too little happens: %+v", model.signIns)
			}

			var hit hits
			if tt.cache > 0 {
				hit = remember(model.window, p, tt.processes, tt.records, tt.which, 0)
			} else {
				hit = hits{reads: model.reads, miss: model.updates}
			}
			want := hit.cost(p)
			want.owners, want.claims = model.owners, model.claims
			where := &at
			if hit.stale > 0 {
				where = nil // a save that lost is counted where it was tried
			}
			t.Logf("%d users: %+v, %+v", n, got, hit)
			for _, d := range differences(want, got, where, &found) {
				t.Error(d)
			}
			if hit.reads != model.reads || hit.updates() != model.updates {
				t.Errorf("the caches saw %+v, the day has %d reads and %d updates", hit, model.reads, model.updates)
			}
			if tt.which == 1 && (hit.stale == 0 || hit.blind == 0) {
				t.Error("no record was overtaken in a cache")
			}

			// What compares sees a difference.
			if where != nil {
				wrongly := want
				wrongly.saves++
				moved := found
				i := slices.IndexFunc(moved.bucket[:], func(n int64) bool { return n > 0 })
				moved.bucket[i]--
				moved.bucket[(i+1)%buckets]++
				if len(differences(wrongly, got, where, &moved)) != 2 {
					t.Error("one save too many and one elsewhere are not seen")
				}
			}

			// Then the attackers come, here alone: elsewhere their calls cost more reads.
			h.Clock.Set(h.Clock.Now().Add(2 * aDay))
			if tt.name != "one process" {
				return
			}
			h.count.cost()
			for at := time.Duration(0); at < aDay; at += hammerPeriod {
				for i, who := range people {
					if isAttacked(i, every) {
						h.hammer(guards[0], who, sortOf(i))
					}
				}
				h.Clock.Advance(hammerPeriod)
			}
			for _, d := range differences(model.attackers(p), h.count.cost(), nil, nil) {
				t.Error("attackers:", d)
			}
		})
	}
}

// Attempts of an attacker who has the password cost writes within bounds that no
// number of attempts changes: 20 guesses a day, 10 codes by mail and 10 sign-ins
// given up in an hour.
func TestAttackersWriteLittle(t *testing.T) {
	p := priced(t)
	for s, c := range p.hammer {
		most := int64(20 + 24*10)
		if person(s) == mail {
			most += 10
		}
		attempts := int64(aDay / hammerPeriod)
		t.Logf("%-14s %d attempts: %d loads, %d saves of at most %d", sortNames[s], attempts, c.loads, c.saves, most)
		if c.saves > most {
			t.Errorf("%s: %d saves, at most %d", sortNames[s], c.saves, most)
		}
		if c.loads < attempts {
			t.Errorf("%s: %d loads for %d attempts: nobody tried", sortNames[s], c.loads, attempts)
		}
	}
}

// A record does not grow with use: after a year of sign-ins it is as large as
// after one.
func TestRecordsDoNotGrow(t *testing.T) {
	h := newHouse(t, true)
	for s := range sorts {
		who, w := h.settle(int(s), s), [sorts]way{byApp, byMail, byKey, alone}[s]
		g := h.guard(h.vault(0))
		var first int
		largest := 0
		for d := range 365 {
			h.Clock.Advance(25 * time.Hour)
			e := signIn{way: w}
			v := &visit{h: h, p: who, way: w}
			for _, c := range e.calls() {
				must(t, v.do(t.Context(), g, c))
			}
			size := h.size(who.UserID)
			if d == 0 {
				first = size
			}
			largest = max(largest, size)
		}
		t.Logf("%-14s %d bytes after a day, at most %d in a year", sortNames[s], first, largest)
		if largest > first+16 { // numbers may take more bytes
			t.Errorf("%s: %d bytes after a day, %d within a year", sortNames[s], first, largest)
		}
	}
}

// kept is how many typical users a process with the default cache remembers: of
// more who began, the first is read again.
func kept(t testing.TB) int {
	t.Helper()
	h := newHouse(t, true)
	who := h.settle(0, keys)
	h.Clock.Advance(25 * time.Hour)
	rec, err := h.Store.Load(t.Context(), who.UserID)
	must(t, err)
	// The others have records of the same size.
	over, err := vault.Open(others{h.count, who.UserID, rec.Data}, h.keys, &vault.Options{Now: h.Clock.Now})
	must(t, err)
	g := h.guard(over)
	holds := func(n int) bool {
		h.Clock.Advance(25 * time.Hour)
		v := &visit{h: h, p: who}
		must(t, v.do(t.Context(), g, begin))
		for i := range n {
			_, _ = over.View(t.Context(), userID(i+1))
		}
		h.count.cost()
		must(t, v.do(t.Context(), g, answer))
		return h.count.cost().loads == 0
	}
	low, high := 0, 1<<15
	for low+1 < high {
		if mid := (low + high) / 2; holds(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}
