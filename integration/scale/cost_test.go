package scale

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// What each call computes, over memory, the record cached: medians, and what it
// allocates. Verify and Challenge resume the sign-in from its token first.
func BenchmarkCalls(b *testing.B) {
	for w := range adding {
		b.Run(strings.ReplaceAll(wayNames[w], " ", "-"), func(b *testing.B) {
			h := newHouse(b, true)
			who := h.settle(int(w), [ways]person{app, mail, keys, passkeys, app}[w])
			g := h.guard(h.vault(0))
			codes := len(who.Codes())
			var took [calls][]time.Duration
			var mallocs, bytes [calls]uint64
			n := 0
			for b.Loop() {
				if n++; w == byCode && n > codes {
					continue // they are used up, and what is measured is the median
				}
				h.Clock.Advance(25 * time.Hour)
				v := &visit{h: h, p: who, way: w}
				for _, c := range (signIn{way: w}).calls() {
					v.ready = nil
					if c == answer {
						a := v.answer()
						v.ready = &a
					}
					var before, after runtime.MemStats
					counts := n <= 50
					if counts {
						runtime.ReadMemStats(&before)
					}
					began := time.Now()
					must(b, v.do(b.Context(), g, c))
					took[c] = append(took[c], time.Since(began))
					if counts {
						runtime.ReadMemStats(&after)
						mallocs[c] += after.Mallocs - before.Mallocs
						bytes[c] += after.TotalAlloc - before.TotalAlloc
					}
				}
			}
			for c := range calls {
				if len(took[c]) == 0 {
					continue
				}
				slices.Sort(took[c])
				counted := uint64(min(len(took[c]), 50))
				b.ReportMetric(float64(took[c][len(took[c])/2].Nanoseconds())/1000, callNames[c]+"-µs")
				b.ReportMetric(float64(mallocs[c]/counted), callNames[c]+"-allocs")
				b.ReportMetric(float64(bytes[c]/counted), callNames[c]+"-bytes")
			}
		})
	}
}
