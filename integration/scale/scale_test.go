package scale

// The day of a million users, or of a hundred million, as docs/scale.md has it.

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A split is a number of partitions, and what lies in each.
type split struct {
	name  string
	n     int
	even  float64 // what the largest would have over the mean if every bucket had as many users
	users []int64
	saves []int64
	peak  []int64 // saves in the busiest minute
	busy  int64   // saves of the busiest partition in any minute
}

func (t *tally) splits() []split {
	busiest := 0
	for m, n := range t.minutes() {
		if n > t.minutes()[busiest] {
			busiest = m
		}
	}
	saves := t.places()
	var out []split
	for _, n := range []int{16, 64} {
		of := func(bucket int) int { return nodeOf(bucketSlot(bucket), n) }
		s := split{name: "Redis Cluster, nodes", n: n, users: fold(t.bucketUsers[:], n, of), saves: fold(saves.bucket[:], n, of), peak: fold(t.bucketSaves[busiest][:], n, of)}
		one := [buckets]int64{}
		for i := range one {
			one[i] = 1
		}
		s.even = skew(fold(one[:], n, of))
		for m := range t.bucketSaves {
			s.busy = max(s.busy, slices.Max(fold(t.bucketSaves[m][:], n, of)))
		}
		out = append(out, s)
	}
	hashed := func(name string, n int, users, saves []int64, byMinute *[minutesOfDay + 60][shards]uint32) {
		of := func(i int) int { return i * n / shards }
		s := split{name: name, n: n, even: 1, users: fold(users, n, of), saves: fold(saves, n, of), peak: fold(byMinute[busiest][:], n, of)}
		for m := range byMinute {
			s.busy = max(s.busy, slices.Max(fold(byMinute[m][:], n, of)))
		}
		out = append(out, s)
	}
	hashed("Citus, shards", 32, t.citusUsers[:], saves.citus[:], &t.citusSaves)
	hashed("Citus, shards", 128, t.citusUsers[:], saves.citus[:], &t.citusSaves)
	hashed("Vitess, shards", 16, t.vitessUsers[:], saves.vitess[:], &t.vitessSaves)
	hashed("Vitess, shards", 64, t.vitessUsers[:], saves.vitess[:], &t.vitessSaves)
	return out
}

// minutes are the updates in each.
func (t *tally) minutes() []int64 {
	out := make([]int64, len(t.vitessSaves))
	for m := range t.vitessSaves {
		for _, n := range t.vitessSaves[m] {
			out[m] += int64(n)
		}
	}
	return out
}

// uneven says what is wrong with counts that should be even, but for chance and
// for what the layout itself adds. "" if nothing is. one is how many saves come
// at once, at the most on average.
func uneven(counts []int64, even, one float64) string {
	sum := int64(0)
	for _, c := range counts {
		sum += c
	}
	mean := float64(sum) / float64(len(counts))
	bound := even * (1 + 6*math.Sqrt(one/max(mean, 1)))
	if got := skew(counts); got > bound {
		return fmt.Sprintf("the largest of %d is %.4f of the mean, at most %.4f", len(counts), got, bound)
	}
	return ""
}

// documented is what docs/scale.md says of a sign-in.
var documented = [ways]cost{
	byApp: {loads: 1, saves: 1}, byMail: {loads: 1, saves: 2}, byKey: {loads: 2, saves: 1},
	alone: {saves: 1, owners: 1}, byCode: {loads: 1, saves: 1}, adding: {loads: 1, saves: 3, claims: 1},
}

func TestDay(t *testing.T) {
	n := 1_000_000
	if long() {
		n = 100_000_000
	}
	p := priced(t)
	records := kept(t)
	processes := max(2, n/2_500_000)
	from, warm, to := 20*time.Hour+20*time.Minute, 20*time.Hour+22*time.Minute, 20*time.Hour+25*time.Minute
	began := time.Now()
	m := simulate(n, p, attacked, processes, from, to)
	took := time.Since(began)

	var out strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }

	say("%d users, drawn in %s on %d processors", n, took.Round(time.Second), runtime.NumCPU())
	say("\nWhat a sign-in asks of the store (real calls, the record cached where the password was answered)")
	for w := range ways {
		var c cost
		for _, call := range (signIn{way: w}).calls() {
			s := p.of[w][call]
			c = c.plus(cost{s.reads, s.updates, s.owners, s.claims})
		}
		say("  %-22s reads %d, saves %d, look-ups %d, claims %d", wayNames[w], c.loads, c.saves, c.owners, c.claims)
		if c != documented[w] {
			t.Errorf("%s: %+v, documented %+v", wayNames[w], c, documented[w])
		}
	}
	say("  an update elsewhere %+v; overtaken %+v; before its challenge %+v; resealed %+v", p.miss, p.stale, p.blind, p.reseal)

	signIns, bytes, claims := int64(0), int64(0), int64(0)
	for w, c := range m.signIns {
		signIns += c
		say("  %-22s %d sign-ins", wayNames[w], c)
	}
	say("\nUsers")
	for s, c := range m.people {
		bytes += c * p.sizes[s]
		claims += c * int64(keysOf[s])
		say("  %-14s %d users, %d bytes sealed; attacked %d: %+v each", sortNames[s], c, p.sizes[s], m.hammered[s], p.hammer[s])
		if p.sizes[s] > 1200 {
			t.Errorf("%s: %d bytes sealed", sortNames[s], p.sizes[s])
		}
	}
	mean := int(bytes / int64(n))
	keys := float64(claims) / float64(n)
	say("  mean %d bytes, %.2f keys", mean, keys)

	byMinute := m.minutes()
	peak := slices.Max(byMinute)
	attack := m.attackers(p)
	say("\nA day: %d sign-ins, %d saves of theirs, %d reads that are always made, %d look-ups, %d claims; attackers %+v", signIns, m.updates, m.reads, m.owners, m.claims, attack)
	say("The busiest minute: %.0f sign-ins begin, %.0f saves, %.0f reads a second; the mean: %.0f sign-ins",
		float64(slices.Max(m.begun[:]))/60, float64(peak)/60, float64(slices.Max(m.readsBy[:]))/60, float64(signIns)/86400)
	if m.updates < signIns || m.updates > 2*signIns {
		t.Errorf("%d saves of %d sign-ins", m.updates, signIns)
	}

	say("\n| partitions | n | users, largest / mean | saves of the day | busiest minute | at most, saves/s |")
	var at []split
	for _, s := range m.splits() {
		at = append(at, s)
		say("| %s | %d | %.4f | %.4f | %.3f | %.1f |", s.name, s.n, skew(s.users), skew(s.saves), skew(s.peak), float64(s.busy)/60)
		for _, e := range []string{uneven(s.users, s.even, 1), uneven(s.saves, s.even, 3), uneven(s.peak, s.even, 3)} {
			if e != "" {
				t.Errorf("%s %d: %s", s.name, s.n, e)
			}
		}
	}
	for _, nodes := range []int{16, 64} {
		c := fold(m.claimSlots[:], nodes, func(slot int) int { return nodeOf(slot, nodes) })
		say("| claims, Redis nodes | %d | %.4f |", nodes, skew(c))
		if e := uneven(c, 1, 1); e != "" {
			t.Errorf("claims on %d nodes: %s", nodes, e)
		}
	}
	say("Largest bucket: %d users of %d on average; its busiest minute: %d saves", slices.Max(m.bucketUsers[:]), n/buckets, func() (most uint32) {
		for i := range m.bucketSaves {
			most = max(most, slices.Max(m.bucketSaves[i][:]))
		}
		return most
	}())
	// What looks for skew sees some.
	users := slices.Clone(at[3].users)
	for i := range users[1:] {
		users[0] += users[i+1] / 20
		users[i+1] -= users[i+1] / 20
	}
	if uneven(users, 1, 1) == "" {
		t.Error("a shard that took a twentieth of all others is not seen")
	}

	say("\nCaches: %d typical records in 16 MiB; %d processes, each with %.1f sign-ins a second", records, processes, float64(slices.Max(m.begun[:]))/60/float64(processes))
	var shares [2]float64
	for which, name := range []string{"each user in one process", "each call in any"} {
		h := remember(m.window, p, processes, records, which, warm)
		shares[which] = h.share()
		c := h.cost(p)
		say("  %-25s %.1f %% of updates find the record, %.3f %% an old one; %.3f reads and %.3f saves for each update",
			name, 100*h.share(), 100*float64(h.stale+h.blind)/float64(h.updates()), float64(c.loads)/float64(h.updates()), float64(c.saves)/float64(h.updates()))
	}
	for _, more := range []int{2, 4} {
		h := remember(m.window, p, processes, more*records, 0, warm)
		say("  with %d MiB, each user in one: %.1f %%", 16*more, 100*h.share())
	}
	if shares[0] < 0.5 || shares[1] > shares[0]/2 && processes > 4 {
		t.Errorf("found in the cache: %.3f with and %.3f without affinity", shares[0], shares[1])
	}

	say("\nBytes for each user, computed (mean of %d sealed, %.2f keys)", mean, keys)
	total := float64(n) / 1e9
	for _, l := range layouts {
		row, claim := l.record(mean), l.claim()
		say("  %-22s record %.0f, claim %.0f: %.0f a user, %.1f GB; log of a save %.0f to %.0f", l.name, row, claim, row+keys*claim, (row+keys*claim)*total, l.save(mean), l.first(mean))
		if over := row - float64(mean); over > 1200 {
			t.Errorf("%s: %.0f bytes besides the record", l.name, over)
		}
	}
	saves := float64(m.updates + attack.saves)
	pages := float64(n) / pgRows(mean)
	for _, between := range []float64{5, 15, 60} {
		w := saves * between / minutesOfDay
		first := pages * (1 - math.Exp(-w/pages))
		say("  PostgreSQL, a checkpoint each %.0f min: %.0f %% of saves are the first of their page; log %.2f kB a save, %.1f GB a day",
			between, 100*first/w, (layouts[0].save(mean)+first/w*pgImage(mean))/1000, (layouts[0].save(mean)+first/w*pgImage(mean))*saves/1e9)
	}
	const aCall = 0.002 // seconds, assumed
	say("  Connections busy at the peak, if a call takes 2 ms: %.0f", (float64(peak)+float64(slices.Max(m.readsBy[:])))/60*aCall)
	say("  Redis, append-only file: %.1f GB a day before it is rewritten", layouts[2].save(mean)*saves/1e9)

	say("\nReseal, %d reads and %d saves each, a page of 256 IDs for each 256:", p.reseal.loads, p.reseal.saves)
	for _, rate := range []int{500, 2000, 10000} {
		say("  %d a second: %s", rate, (time.Duration(float64(n)/float64(rate)) * time.Second).Round(time.Minute))
	}
	t.Log("\n" + out.String())
	if p.reseal != (cost{loads: 1, saves: 1}) {
		t.Errorf("resealing a record costs %+v", p.reseal)
	}
}
