package outage

// What the outages happen to: the library over stores that are opened by URL, and
// the words for what it said.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// number returns n, or large if the large numbers are wanted.
func number(n, large int) int {
	if os.Getenv("MFA_LONG") != "" {
		return large
	}
	return n
}

// single are the kinds that are one server.
var single = []servers.Kind{servers.PostgreSQL, servers.MariaDB, servers.Redis}

// on runs test for each kind, all at once.
func on(t *testing.T, kinds []servers.Kind, test func(t *testing.T, k servers.Kind)) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

func newKeys(t testing.TB) vault.Keys {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// openAt opens the store at url, as one more process would.
func openAt(t testing.TB, url string) *servers.Store {
	t.Helper()
	s, err := servers.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // a server that was killed leaves nothing to close
	return s
}

// An instance is the library in one process.
type instance struct {
	vault *vault.Vault
	guard *mfa.Guard
}

// newInstance returns one over s. Its backup codes are long enough to need no slow
// hash, which is not the point here.
func newInstance(s store.Store, keys vault.Keys, now func() time.Time) (*instance, error) {
	v, err := vault.Open(s, keys, &vault.Options{Now: now})
	if err != nil {
		return nil, err
	}
	g, err := mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{
		totp.New(nil), backupcodes.New(&backupcodes.Options{Chars: 24}),
	}})
	return &instance{v, g}, err
}

func mustInstance(t testing.TB, s store.Store, keys vault.Keys, now func() time.Time) *instance {
	t.Helper()
	i, err := newInstance(s, keys, now)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var errNothingSetUp = errors.New("no second factor was asked for")

// begin starts the sign-in of somebody who has set up something.
func (i *instance) begin(ctx context.Context, userID string) (*mfa.Pending, error) {
	login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	switch {
	case err != nil:
		return nil, err
	case login.Pending == nil:
		return nil, errNothingSetUp
	}
	return login.Pending, nil
}

// signIn gives a password and an answer.
func (i *instance) signIn(ctx context.Context, userID string, a mfa.Answer) (*mfa.Session, error) {
	p, err := i.begin(ctx, userID)
	if err != nil {
		return nil, err
	}
	login, err := p.Verify(ctx, a)
	if err != nil {
		return nil, err
	}
	return login.Session, nil
}

// try is signIn by somebody who wants the verdict alone.
func (i *instance) try(ctx context.Context, userID string, kind mfa.Kind, code string) verdict {
	_, err := i.signIn(ctx, userID, mfa.Answer{Kind: kind, Code: code})
	return verdictOf(err)
}

// A verdict is what one request was told.
type verdict string

const (
	accepted verdict = "accepted"
	invalid  verdict = "invalid"
	refused  verdict = "refused" // in another way
	unknown  verdict = "outcome unknown"
	undone   verdict = "unavailable" // or busy, or out of time: nothing was decided
	wrongDay verdict = "impossible clock"
)

func verdictOf(err error) verdict {
	failure := errors.Is(err, mfa.ErrUnavailable) || errors.Is(err, mfa.ErrBusy) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, mfa.ErrRejected) && (failure || errors.Is(err, mfa.ErrOutcomeUnknown)):
		return verdict("a rejection and a failure: " + err.Error())
	case errors.Is(err, mfa.ErrOutcomeUnknown):
		return unknown
	case failure:
		return undone
	case errors.Is(err, mfa.ErrClock):
		return wrongDay
	case errors.Is(err, mfa.ErrTooMany), errors.Is(err, mfa.ErrStepUpRequired):
		return verdict(fmt.Sprintf("refused without a look: %v", err))
	case errors.Is(err, mfa.ErrInvalid), errors.Is(err, mfa.ErrReplayed):
		return invalid
	case errors.Is(err, mfa.ErrRejected):
		return refused
	}
	return verdict("something else: " + err.Error())
}

// failed reports whether v says that nothing was decided, or nobody knows.
func (v verdict) failed() bool { return v == unknown || v == undone }
