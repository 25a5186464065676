// The model: how often each call is made, where, and what it costs.
package scale

import (
	"cmp"
	"container/list"
	"runtime"
	"slices"
	"sync"
	"time"
)

const minutesOfDay = 24 * 60

// A tally is what a day asks of the store.
type tally struct {
	people   [sorts]int64
	signIns  [ways]int64
	begun    [minutesOfDay + 60]int64 // sign-ins by minute; the last ones end after midnight
	reads    int64
	updates  int64
	owners   int64
	claims   int64
	hammered [sorts]int64

	// By place. Users, and updates by minute.
	bucketUsers             [buckets]int64
	citusUsers, vitessUsers [shards]int64
	bucketSaves             [minutesOfDay + 60][buckets]uint32
	citusSaves, vitessSaves [minutesOfDay + 60][shards]uint32
	claimSlots              [slots]uint32 // of all keys that there are
	readsBy                 [minutesOfDay + 60]int64

	window []event // of the caches' hour
}

// An event is a call that reads or updates, in one of the processes.
type event struct {
	at      int32 // ms of the day
	process [2]uint16
	user    uint32
	n       uint8 // of the user's sign-ins
	way     uint8
	call    uint8
	order   uint8
}

// simulate counts the day of n users. Of the calls that are made within the
// window, events are kept for that many processes.
func simulate(n int, p *prices, every int, processes int, from, to time.Duration) *tally {
	workers := runtime.NumCPU()
	tallies := make([]*tally, workers)
	var all sync.WaitGroup
	for w := range tallies {
		all.Go(func() {
			t := &tally{}
			tallies[w] = t
			var id []byte
			var drawn []signIn
			for i := w; i < n; i += workers {
				id = appendUserID(id[:0], i)
				drawn = t.live(drawn[:0], i, id, p, every, processes, from, to)
			}
		})
	}
	all.Wait()
	total := tallies[0]
	for _, t := range tallies[1:] {
		total.add(t)
	}
	slices.SortFunc(total.window, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.user, b.user), cmp.Compare(a.order, b.order))
	})
	return total
}

func (t *tally) live(buf []signIn, i int, id []byte, p *prices, every, processes int, from, to time.Duration) []signIn {
	s, at := sortOf(i), placeOf(id)
	t.people[s]++
	t.bucketUsers[at.bucket]++
	t.citusUsers[at.citus]++
	t.vitessUsers[at.vitess]++
	if keysOf[s] > 0 {
		d := draw(i, 5)
		for range keysOf[s] {
			t.claimSlots[claimSlot(d.bytes(32))]++
		}
	}
	if isAttacked(i, every) {
		t.hammered[s]++
		return buf
	}
	buf = day(buf, i, s)
	var d *dice
	for k, e := range buf {
		t.signIns[e.way]++
		t.begun[e.at/time.Minute]++
		for order, c := range e.calls() {
			st := &p.of[e.way][c]
			when := e.time(c)
			m := when / time.Minute
			t.reads += st.reads
			t.readsBy[m] += st.reads
			t.updates += st.updates
			t.owners += st.owners
			t.claims += st.claims
			t.bucketSaves[m][at.bucket] += uint32(st.updates)
			t.citusSaves[m][at.citus] += uint32(st.updates)
			t.vitessSaves[m][at.vitess] += uint32(st.updates)
			if processes > 0 && when >= from && when < to {
				if d == nil {
					d = draw(i, 4)
				}
				t.window = append(t.window, event{
					at: int32(when / time.Millisecond), process: [2]uint16{uint16(i % processes), uint16(d.below(processes))},
					user: uint32(i), n: uint8(k), way: uint8(e.way), call: uint8(c), order: uint8(k*8 + order),
				})
			}
		}
	}
	return buf
}

func (t *tally) add(o *tally) {
	sum(t.people[:], o.people[:])
	sum(t.signIns[:], o.signIns[:])
	sum(t.begun[:], o.begun[:])
	sum(t.readsBy[:], o.readsBy[:])
	sum(t.hammered[:], o.hammered[:])
	sum(t.bucketUsers[:], o.bucketUsers[:])
	sum(t.citusUsers[:], o.citusUsers[:])
	sum(t.vitessUsers[:], o.vitessUsers[:])
	sum(t.claimSlots[:], o.claimSlots[:])
	for m := range t.bucketSaves {
		sum(t.bucketSaves[m][:], o.bucketSaves[m][:])
		sum(t.citusSaves[m][:], o.citusSaves[m][:])
		sum(t.vitessSaves[m][:], o.vitessSaves[m][:])
	}
	t.reads += o.reads
	t.updates += o.updates
	t.owners += o.owners
	t.claims += o.claims
	t.window = append(t.window, o.window...)
}

func sum[T int64 | uint32](to, from []T) {
	for i, n := range from {
		to[i] += n
	}
}

// attackers is what they cost in a day.
func (t *tally) attackers(p *prices) (c cost) {
	for s, n := range t.hammered {
		c = c.plus(p.hammer[s].times(n))
	}
	return c
}

// A memory is the cache of one process: so many records, by user, with the
// version that was seen.
type memory struct {
	max  int
	list list.List // of remembered; the last used one in front
	at   map[uint32]*list.Element
}

type remembered struct {
	user    uint32
	version uint32
}

func (m *memory) get(user uint32) (version uint32, ok bool) {
	e, ok := m.at[user]
	if !ok {
		return 0, false
	}
	m.list.MoveToFront(e)
	return e.Value.(*remembered).version, true
}

func (m *memory) put(user, version uint32) {
	if e, ok := m.at[user]; ok {
		m.list.MoveToFront(e)
		e.Value.(*remembered).version = version
		return
	}
	if m.list.Len() >= m.max {
		last := m.list.Back()
		delete(m.at, m.list.Remove(last).(*remembered).user)
	}
	m.at[user] = m.list.PushFront(&remembered{user, version})
}

// hits are updates by what the cache had.
type hits struct{ hit, miss, stale, blind, reads int64 }

func (h hits) updates() int64 { return h.hit + h.miss + h.stale + h.blind }

func (h hits) share() float64 { return float64(h.hit) / float64(max(1, h.updates())) }

// rests are the calls that rest on what an earlier one of the same sign-in saved: a
// code that is out, an enrolment. A record from before it says that there is none,
// which is not saved, and so another one is read first.
var rests = [ways][calls]bool{byMail: {wrong: true, answer: true}, adding: {confirm: true}}

// remember lets processes with caches of so many records go through the events.
// which says by what processes were chosen: 0 by user, 1 for each call anew. Only what is
// after warm counts.
func remember(events []event, p *prices, processes, records, which int, warm time.Duration) (h hits) {
	caches := make([]memory, processes)
	for i := range caches {
		caches[i] = memory{max: records, at: map[uint32]*list.Element{}}
	}
	versions, bases := map[uint32]uint32{}, map[uint32]uint32{}
	for _, e := range events {
		c, st := &caches[e.process[which]], &p.of[e.way][e.call]
		counts := time.Duration(e.at)*time.Millisecond >= warm
		for range st.reads {
			c.put(e.user, versions[e.user])
			if counts {
				h.reads++
			}
		}
		for range st.updates {
			version, ok := c.get(e.user)
			if counts {
				switch {
				case !ok:
					h.miss++
				case rests[way(e.way)][call(e.call)] && version < bases[e.user]:
					h.blind++
				case version != versions[e.user]:
					h.stale++
				default:
					h.hit++
				}
			}
			versions[e.user]++
			if call(e.call) == challenge || call(e.call) == enroll {
				bases[e.user] = versions[e.user]
			}
			c.put(e.user, versions[e.user])
		}
	}
	return h
}

// cost is what the events asked of the store, but for owners and claims.
func (h hits) cost(p *prices) cost {
	return cost{loads: h.reads, saves: h.hit}.
		plus(cost{loads: p.miss.loads, saves: p.miss.saves}.times(h.miss)).
		plus(cost{loads: p.stale.loads, saves: p.stale.saves}.times(h.stale)).
		plus(cost{loads: p.blind.loads, saves: p.blind.saves}.times(h.blind))
}
