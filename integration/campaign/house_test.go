package campaign

// What the campaigns run on: a store, and instances of the library over it.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// long reports whether the large numbers are wanted.
func long() bool { return os.Getenv("MFA_LONG") != "" }

// number returns n, or large if the large numbers are wanted.
func number(n, large int) int {
	if long() {
		return large
	}
	return n
}

// A house is one store, and the keys and the clock of all instances over it.
type house struct {
	*mfatest.Kit
	keys vault.Keys
	slow bool                             // backup codes under a slow hash, as by default
	url  string                           // of the store; "" in memory
	open func(t testing.TB) store.Store   // the store as one more instance sees it
	wrap func(s store.Store) store.Store  // what stands between an instance and the store; nil: nothing
	with func(userID string, u *mfa.User) // what the directory says of a user; nil: nothing
	post mail.Sender                      // what codes are mailed by; Mail, unless it is changed
}

// newHouse returns one over the store at url, in memory if it is "".
func newHouse(t testing.TB, url string) *house {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{Kit: mfatest.New(t), keys: keys, url: url}
	h.post = h.Mail
	h.open = func(testing.TB) store.Store { return h.Store }
	if url != "" {
		h.open = func(t testing.TB) store.Store { return openAt(t, url) }
	}
	return h
}

// number returns n, served where the store is a server, or large if the large
// numbers are wanted.
func (h *house) number(n, served, large int) int {
	if h.served() {
		n = served
	}
	return number(n, large)
}

// served reports whether the store is a server.
func (h *house) served() bool { return h.url != "" && !strings.HasPrefix(h.url, "sqlite:") }

// A place is where a store can be.
type place struct {
	name string
	kind servers.Kind // "" in memory
}

var places = []place{
	{"memory", ""},
	{"sqlite", servers.SQLite},
	{"postgresql", servers.PostgreSQL},
	{"mariadb", servers.MariaDB},
	{"redis", servers.Redis},
	{"redis-cluster", servers.RedisCluster},
}

// at returns the places of these kinds.
func at(kinds ...servers.Kind) (ps []place) {
	for _, p := range places {
		if slices.Contains(kinds, p.kind) {
			ps = append(ps, p)
		}
	}
	return ps
}

// houseOn returns a house over an empty store of that kind, "" in memory.
func houseOn(t testing.TB, k servers.Kind) *house {
	t.Helper()
	if k == "" {
		return newHouse(t, "")
	}
	return newHouse(t, servers.Shared(t, k).URL(t))
}

// onEachStore runs test on a house at each place.
func onEachStore(t *testing.T, test func(t *testing.T, h *house)) {
	onStores(t, places, test)
}

// onSharedStores runs test where several processes can have the same store.
func onSharedStores(t *testing.T, test func(t *testing.T, h *house)) {
	onStores(t, places[1:], test)
}

func onStores(t *testing.T, places []place, test func(t *testing.T, h *house)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) { test(t, houseOn(t, p.kind)) })
	}
}

// openAt opens the store at url, as one more process would.
func openAt(t testing.TB, url string) *servers.Store {
	t.Helper()
	s, err := servers.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// An instance is the library in one process: a vault with its own cache, and a
// Guard.
type instance struct {
	vault *vault.Vault
	guard *mfa.Guard
}

// slowMethods are security keys, apps, codes by that sender, and backup codes as
// by default: each attempt and each new one of those costs a slow hash.
func slowMethods(by mail.Sender) []mfa.Method {
	return []mfa.Method{webauthn.New(mfatest.Origin, nil), totp.New(nil), emailotp.New(by, nil), backupcodes.New(nil)}
}

// quickMethods are the same with backup codes that are long enough to need no
// slow hash: for where it is not the point.
func quickMethods(by mail.Sender) []mfa.Method {
	return []mfa.Method{
		webauthn.New(mfatest.Origin, nil), totp.New(nil), emailotp.New(by, nil), backupcodes.New(&backupcodes.Options{Chars: 24}),
	}
}

// instance returns one more, with these methods; none: slowMethods or
// quickMethods.
func (h *house) instance(t testing.TB, methods ...mfa.Method) *instance {
	t.Helper()
	return h.instanceOver(t, h.open(t), 0, methods...)
}

func (h *house) instanceOver(t testing.TB, s store.Store, cache int, methods ...mfa.Method) *instance {
	t.Helper()
	if h.wrap != nil {
		s = h.wrap(s)
	}
	switch {
	case len(methods) > 0:
	case h.slow:
		methods = slowMethods(h.post)
	default:
		methods = quickMethods(h.post)
	}
	i, err := newInstance(s, h.keys, h.Clock, cache, h.with, methods...)
	if err != nil {
		t.Fatal(err)
	}
	h.Kit.Vault = i.vault
	return i
}

func newInstance(s store.Store, keys vault.Keys, clock *mfatest.Clock, cache int, with func(string, *mfa.User), methods ...mfa.Method) (*instance, error) {
	v, err := vault.Open(s, keys, &vault.Options{Now: clock.Now, Cache: cache})
	if err != nil {
		return nil, err
	}
	g, err := mfa.New(v, mfa.Config{Service: "Acme", Methods: methods, Users: func(ctx context.Context, id string) (mfa.User, error) {
		wait(ctx)
		u := mfa.User{ID: id}
		if with != nil {
			with(id, &u)
		}
		return u, nil
	}})
	return &instance{v, g}, err
}

// begin starts a sign-in by password.
func (i *instance) begin(t testing.TB, userID string) *mfa.Pending {
	t.Helper()
	login, err := i.guard.Begin(context.Background(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	if err != nil {
		t.Fatal(err)
	}
	if login.Pending == nil {
		t.Fatalf("signed in without a second factor: %s", login.Skipped)
	}
	return login.Pending
}

// A verdict is what became of one request.
type verdict string

const (
	accepted verdict = "accepted"
	invalid  verdict = "invalid"
	replayed verdict = "replayed"
	expired  verdict = "expired"
	tooMany  verdict = "too many"
	rejected verdict = "rejected"
	busy     verdict = "busy"
	taken    verdict = "registered already"  // a key that is somebody's
	outdated verdict = "session out of date" // of who changes something
)

func verdictOf(login *mfa.Login, err error) verdict {
	switch {
	case err == nil && login != nil && login.Session != nil && login.Pending == nil:
		return accepted
	case err == nil:
		return "neither an error nor a session"
	case login != nil:
		return verdict(fmt.Sprintf("an error and a login: %v", err))
	case errors.Is(err, webauthn.ErrRegistered):
		return taken
	case errors.Is(err, mfa.ErrInvalid):
		return invalid
	case errors.Is(err, mfa.ErrReplayed):
		return replayed
	case errors.Is(err, mfa.ErrExpired):
		return expired
	case errors.Is(err, mfa.ErrTooMany):
		return tooMany
	case errors.Is(err, mfa.ErrRejected):
		return rejected
	case errors.Is(err, mfa.ErrStepUpRequired):
		return outdated
	case errors.Is(err, mfa.ErrBusy):
		return busy
	}
	return verdict("failed: " + err.Error())
}

// refused reports whether v is a verdict that wraps ErrRejected.
func (v verdict) refused() bool {
	switch v {
	case invalid, replayed, expired, tooMany, rejected, taken:
		return true
	}
	return false
}

// A hold keeps requests inside the Guard's call until it is let go.
type hold struct {
	inside chan struct{} // gets one for each request that is there
	let    chan struct{} // closed to let them go
}

func newHold(n int) *hold { return &hold{make(chan struct{}, n), make(chan struct{})} }

type holdKey struct{}

func (h *hold) in(ctx context.Context) context.Context { return context.WithValue(ctx, holdKey{}, h) }

// wait is called by the directory, so inside Begin, Verify and the others.
func wait(ctx context.Context) {
	h, ok := ctx.Value(holdKey{}).(*hold)
	if !ok {
		return
	}
	select {
	case <-h.let: // asked for once more
	default:
		h.inside <- struct{}{}
		<-h.let
	}
}

// aDay is longer than any limit looks back.
const aDay = 25 * time.Hour
