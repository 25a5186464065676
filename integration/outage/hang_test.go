package outage

// Servers that hang: connections stay, and nothing answers. A request ends with
// its context, says that it does not know, and what became of it is one of two.

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/integration/servers"
)

const late = 2 * time.Second // behind its context, on a slow machine too, 9 of 10 requests have ended

func TestHang(t *testing.T) {
	on(t, single, func(t *testing.T, k servers.Kind) {
		server := servers.New(t, k)
		url := server.URL(t)
		direct, hit := openAt(t, url), openAt(t, url)
		all := append([]deed{claimKey}, deeds...)
		var ones []*prepared
		for n := range number(1, 10) {
			ones = append(ones, prepareAll(t, fmt.Sprintf("hung/%d", n), direct, hit, all)...)
		}
		const within = 700 * time.Millisecond
		server.Pause(t)
		began := time.Now()
		var wg sync.WaitGroup
		took := make([]time.Duration, len(ones))
		for n, o := range ones {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), within)
				defer cancel()
				o.err = o.request(ctx)
				took[n], o.told = time.Since(began), verdictOf(o.err)
			})
		}
		wg.Wait()
		server.Resume(t)
		// What hung is done now, or its connection found to be closed: the server
		// does not say when.
		time.Sleep(500 * time.Millisecond)

		inTime, latest, landed := map[bool]int{}, map[bool]time.Duration{}, 0
		for n, o := range ones {
			if over := took[n] - within; over <= late {
				inTime[o.warm]++
			} else {
				latest[o.warm] = max(latest[o.warm], over)
			}
			if !o.told.failed() {
				t.Errorf("%s while the server hangs: %q (%v)", o.name, o.told, o.err)
			}
			o.result.happened, o.broken = o.happened()
			if w := o.wrong(o.want); w != "" {
				t.Errorf("%s: %s", o.name, w)
			}
			if o.result.happened {
				landed++
			}
		}
		t.Logf("%d requests, %d of them happened when the server went on", len(ones), landed)
		for warm, what := range map[bool]string{true: "that begin with their save", false: "that begin with a read"} {
			if n := len(ones) / 2; inTime[warm]*10 < n*9 {
				t.Errorf("requests %s: %d of %d ended within %v of their context, the last %v behind it", what, inTime[warm], n, late, latest[warm])
			}
		}
		for _, p := range prepareAll(t, "after", direct, hit, all) {
			v := again(p.request)
			if ok, err := p.happened(); v != p.want || !ok || err != nil {
				t.Errorf("%s when all is well again: %q, and it happened: %v (%v)", p.name, v, ok, err)
			}
		}
	})
}
