package perf

// How many round trips each call costs, counted before the server.

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A distant user has an app and emailed codes, and is kept behind a proxy.
type distant struct {
	*mfatest.Kit
	prefix string
	proxy  *servers.Proxy
	relay  *relay // before the proxy
	direct string // the server's own URL
	store  *servers.Store
	guard  *mfa.Guard
	person *mfatest.Person

	pending *mfa.Pending
	typed   mfa.Answer
}

// newDistant returns one whose vault has a cache of so many bytes, as
// vault.Options say.
func newDistant(t testing.TB, k servers.Kind, cache int) *distant {
	t.Helper()
	server := servers.Shared(t, k)
	address := server.URL(t)
	d := &distant{Kit: mfatest.New(t), prefix: prefixOf(t, address), direct: address, proxy: servers.NewProxy(t, server.Addrs()[0])}
	d.relay = newRelay(t, d.proxy.Addr())
	d.store = openAt(t, servers.Through(address, d.relay.listener.Addr().String()))
	if d.store.DB != nil {
		d.store.DB.SetMaxOpenConns(1) // so every statement is prepared where it runs
	}
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if d.Vault, err = vault.Open(d.store, keys, &vault.Options{Now: d.Clock.Now, Cache: cache}); err != nil {
		t.Fatal(err)
	}
	d.guard = d.Kit.Guard(totp.New(nil), emailotp.New(d.Mail, nil), backupcodes.New(&backupcodes.Options{Chars: 24}))
	d.person = d.Enroll(d.guard, userID, totp.Kind, emailotp.Kind)
	for range 2 { // so everything was prepared
		d.app(func(_ string, do func() error) { must(t, do()) })
		d.mail(func(_ string, do func() error) { must(t, do()) })
	}
	return d
}

func (d *distant) begin() (err error) {
	login, err := d.guard.Begin(context.Background(), mfa.FirstFactor{UserID: d.person.UserID, By: mfa.ByPassword})
	if err == nil {
		d.pending = login.Pending
	}
	return err
}

func (d *distant) challenge() error {
	_, err := d.pending.Challenge(context.Background(), mfa.Offer{Kind: emailotp.Kind})
	return err
}

func (d *distant) verify() error {
	_, err := d.pending.Verify(context.Background(), d.typed)
	return err
}

// aDay is longer than any limit looks back.
const aDay = 25 * time.Hour

// app signs in by the app. Each call of the library is run by call.
func (d *distant) app(call func(name string, do func() error)) {
	d.Clock.Advance(aDay)
	call("Begin", d.begin)
	d.typed = mfa.Answer{Kind: totp.Kind, Code: d.person.App().Code(d.Clock.Now())}
	call("Verify", d.verify)
}

// mail signs in by an emailed code.
func (d *distant) mail(call func(name string, do func() error)) {
	d.Clock.Advance(aDay)
	call("Begin", d.begin)
	call("Challenge", d.challenge)
	d.typed = d.person.Answer(emailotp.Kind)
	call("Verify", d.verify)
}

// trips runs do and returns its round trips. The question before it is there so
// that no connection is asked whether it still lives.
func (d *distant) trips(t testing.TB, do func() error) int64 {
	t.Helper()
	if _, err := d.store.Load(context.Background(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	d.proxy.Reset()
	must(t, do())
	return d.proxy.RoundTrips()
}

// Begin is a read, Verify a write, and so is a code that is sent: each is one
// round trip, and without the cached record a save is a read besides. Calls that
// cost the store nothing cost none. (Of SQLite, which has no network, and of every
// other store campaign.TestStoreCalls counts the calls.)
func TestRoundTrips(t *testing.T) {
	for _, k := range []servers.Kind{servers.PostgreSQL, servers.MariaDB, servers.Redis} {
		t.Run(string(k), func(t *testing.T) {
			for _, tt := range []struct {
				name  string
				cache int
				save  int64
			}{
				{"with the cache", 0, 1},
				{"without the cache", -1, 2},
			} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					d := newDistant(t, k, tt.cache)
					want := map[string]int64{"Begin": 1, "Challenge": tt.save, "Verify": tt.save}
					count := func(by string) func(string, func() error) {
						return func(name string, do func() error) {
							if n := d.trips(t, do); n != want[name] {
								t.Errorf("%s, %s: %d round trips, want %d", by, name, n, want[name])
							}
						}
					}
					for range 3 {
						d.app(count("app"))
						d.mail(count("emailed code"))
					}
					if n := d.trips(t, func() error { _, err := d.guard.Resume(d.pending.Token()); return err }); n != 0 {
						t.Errorf("Resume: %d round trips, want none", n)
					}
				})
			}
		})
	}
}
