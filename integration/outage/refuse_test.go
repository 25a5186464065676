package outage

// Servers that read and do not write: nobody gets in, nobody is rejected, nothing
// is counted or spent, and when it is over the same answers pass.

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A refusal is a way in which a store does not write.
type refusal struct {
	kind   servers.Kind
	opts   []servers.Option
	strict bool // no write passes; else small ones may, for a while
	set    func(t testing.TB, s *servers.Server, st *servers.Store, on bool)
}

func readOnly(t testing.TB, s *servers.Server, _ *servers.Store, on bool) { s.ReadOnly(t, on) }

func full(t testing.TB, s *servers.Server, _ *servers.Store, on bool) { s.Full(t, on) }

// pragma sets something on the one connection that a pool of SQLite has.
func pragma(t testing.TB, st *servers.Store, format string, args ...any) {
	t.Helper()
	if _, err := st.DB.ExecContext(t.Context(), "PRAGMA "+fmt.Sprintf(format, args...)); err != nil {
		t.Fatal(err)
	}
}

var refusals = map[string]refusal{
	"sqlite read-only": {servers.SQLite, nil, true, func(t testing.TB, _ *servers.Server, st *servers.Store, on bool) {
		pragma(t, st, "query_only = %t", on)
	}},
	"sqlite out of pages": {servers.SQLite, nil, false, func(t testing.TB, _ *servers.Server, st *servers.Store, on bool) {
		pages := 1 // it never goes below what there is
		if !on {
			pages = 1 << 30
		}
		pragma(t, st, "max_page_count = %d", pages)
	}},
	"sqlite full":          {servers.SQLite, []servers.Option{servers.Small}, false, full},
	"postgresql read-only": {servers.PostgreSQL, nil, true, readOnly},
	"postgresql full":      {servers.PostgreSQL, []servers.Option{servers.Small}, false, full},
	"mariadb read-only":    {servers.MariaDB, nil, true, readOnly},
	"mariadb full":         {servers.MariaDB, []servers.Option{servers.Small}, false, full},
	"redis read-only":      {servers.Redis, nil, true, readOnly},
	"redis full":           {servers.Redis, nil, true, full},
	"cluster read-only":    {servers.RedisCluster, nil, true, readOnly},
}

// stuff writes until the store has no room: for more, and then, if it comes to that,
// for changes either.
func stuff(t testing.TB, st store.Store) {
	t.Helper()
	const writers = 16
	data := []byte(strings.Repeat("0123456789abcdef", 64))
	var there []string
	for _, size := range []int{1024, 64} {
		for failures := 0; failures < 30; { // some pages have more room than others
			id := fmt.Sprintf("refused/%d/%s", rand.IntN(30), crand.Text()) // among those who are looked at
			err := st.Apply(t.Context(), store.Change{UserID: id, New: 1, Data: data[:size]})
			switch {
			case err == nil:
				there, failures = append(there, id), 0
			case errors.Is(err, store.ErrUnavailable):
				failures++
			default:
				t.Fatal(err)
			}
			if len(there) > 200000 {
				t.Fatal("it is never full")
			}
		}
	}
	enough := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	for _, id := range there[:min(len(there), writers)] {
		wg.Go(func() {
			for version := int64(1); time.Now().Before(enough); version++ {
				if st.Apply(t.Context(), store.Change{UserID: id, Old: version, New: version + 1, Data: data}) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// refusing lets a store refuse while all deeds are done, and returns what is
// wrong with what was told, and how many failed.
func refusing(t testing.TB, straight, hit store.Store, strict bool, set func(on bool)) (wrong []string, failures int) {
	t.Helper()
	var mu sync.Mutex
	complain := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	all := prepareAll(t, "refused", straight, hit, append([]deed{claimKey, releaseKey, enrolFirst, enrolFirst, enrolFirst}, deeds...))
	l := newLane(t, "refused", newKeys(t), straight, hit)
	person := l.kit.Enroll(l.direct.guard, "refused/somebody", totp.Kind)

	set(true)
	ctx, cancel := context.WithTimeout(context.Background(), amply)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(func() {
			p.err = p.request(ctx)
			p.told = verdictOf(p.err)
			switch {
			case !p.told.failed() && (strict || p.told != p.want):
				complain("%s while nothing can be saved: %q (%v)", p.name, p.told, p.err)
			case p.told.failed() && !errors.Is(p.err, mfa.ErrUnavailable):
				complain("%s while nothing can be saved: %v", p.name, p.err)
			}
		})
	}
	wg.Wait()
	// What saves nothing answers what is there, or fails.
	if _, err := l.hit.begin(ctx, person.UserID); err != nil && !verdictOf(err).failed() {
		complain("to begin while nothing can be saved: %v", err)
	}
	login, err := l.hit.guard.Begin(ctx, mfa.FirstFactor{UserID: "refused/nobody", By: mfa.ByPassword})
	if err == nil && login.Session == nil || err != nil && !verdictOf(err).failed() {
		complain("to begin with nothing set up: %v", err)
	}
	set(false)

	for _, p := range all {
		if p.told.failed() {
			failures++
			again := again(p.request)
			if again != p.want && (strict || p.told != unknown) {
				complain("%s, told %q, once more when all is well: %q", p.name, p.told, again)
			}
		}
		if happened, err := p.happened(); !happened || err != nil {
			complain("%s, told %q and then that it was done: it happened: %v (%v)", p.name, p.told, happened, err)
		}
	}
	return wrong, failures
}

// again makes a request once more, by the same instance over the same pool: until
// the store answers it.
func again(request func(context.Context) error) verdict {
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		v := verdictOf(request(ctx))
		cancel()
		if v != undone || time.Since(began) > resumed {
			return v
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// resumed is how long it may take until all is well again, on a slow machine.
const resumed = 20 * time.Second

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, f := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.New(t, f.kind, f.opts...)
			url := server.URL(t)
			st := openAt(t, url)
			wrong, failures := refusing(t, openAt(t, url), st, f.strict, func(on bool) {
				f.set(t, server, st, on)
				if on && !f.strict {
					stuff(t, st)
				}
			})
			for _, w := range wrong {
				t.Error(w)
			}
			t.Logf("%d requests failed", failures)
			if failures == 0 {
				t.Error("everything could be saved: this was no test")
			}
		})
	}
}

// A store that takes an error for a success: it is seen.
func TestRefusalsSeeATrustingStore(t *testing.T) {
	t.Parallel()
	f := refusals["sqlite read-only"]
	url := servers.New(t, servers.SQLite).URL(t)
	st := openAt(t, url)
	wrong, _ := refusing(t, openAt(t, url), trusting{st}, true, func(on bool) { f.set(t, nil, st, on) })
	t.Log(strings.Join(wrong, "\n"))
	if len(wrong) < len(deeds) {
		t.Errorf("%d complaints", len(wrong))
	}
}
