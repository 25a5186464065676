package outage

// Requests that carry a save, and how to find out whether it happened.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A lane is where one request is made after the other: by an instance that
// something happens to, over a store that nothing happens to but what happens to
// the server.
type lane struct {
	testing.TB
	kit    *mfatest.Kit
	hit    *instance // over the store that is hit
	direct *instance // the auditor's
	name   string    // of its people
	people int
}

// newLane returns one with a clock of its own. straight leads to the same records
// as hit.
func newLane(t testing.TB, name string, keys vault.Keys, straight, hit store.Store) *lane {
	t.Helper()
	l := &lane{TB: t, kit: mfatest.New(t), name: name}
	l.hit = mustInstance(t, hit, keys, l.kit.Clock.Now)
	l.direct = mustInstance(t, patient{straight}, keys, l.kit.Clock.Now)
	l.kit.Vault = l.direct.vault
	return l
}

// A prepared deed waits for its moment, in a lane of its own.
type prepared struct {
	deed
	lane     *lane
	warm     bool
	request  func(context.Context) error
	happened func() (bool, error)
	result
}

// prepareAll prepares each of the deeds for both: an instance that has seen the
// record, and one that has not.
func prepareAll(t testing.TB, name string, straight, hit store.Store, deeds []deed) []*prepared {
	t.Helper()
	keys := newKeys(t)
	var all []*prepared
	for n, d := range append(deeds[:len(deeds):len(deeds)], deeds...) {
		p := &prepared{deed: d, warm: n < len(deeds)}
		p.lane = newLane(t, fmt.Sprintf("%s/%d", name, n), keys, straight, hit)
		p.request, p.happened = p.lane.prepare(d, p.warm)
		all = append(all, p)
	}
	return all
}

// A patient store reads again what it could not read: a pool may hold connections
// to a server that has ended since.
type patient struct{ store.Store }

func (p patient) Load(ctx context.Context, userID string) (rec store.Record, err error) {
	for range 50 {
		if rec, err = p.Store.Load(ctx, userID); !errors.Is(err, store.ErrUnavailable) {
			return rec, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return rec, err
}

func (p patient) Owner(ctx context.Context, key string) (owner string, err error) {
	for range 50 {
		if owner, err = p.Store.Owner(ctx, key); !errors.Is(err, store.ErrUnavailable) {
			return owner, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return owner, err
}

// A deed is a request, told want if all is well.
type deed struct {
	name string
	want verdict

	// prepare returns the request, and what finds out whether it happened: an
	// error says that it happened by halves, or twice.
	prepare func(l *lane, p *mfatest.Person) (request func(context.Context) error, happened func() (bool, error))
}

// A result is what became of a deed.
type result struct {
	told     verdict
	err      error
	happened bool
	broken   error
}

// do does a deed for a new person. arm is called before the request, and over
// before anybody asks what happened.
func (l *lane) do(d deed, arm, over func()) result {
	l.Helper()
	request, happened := l.prepare(d, true)
	ctx, cancel := context.WithTimeout(l.Context(), amply)
	defer cancel()
	arm()
	r := result{}
	r.err = request(ctx)
	r.told = verdictOf(r.err)
	over()
	r.happened, r.broken = happened()
	return r
}

const amply = 20 * time.Second // a context that the outages end before

// prepare enrols a new person. warm: the instance that is hit has seen the record,
// so that the request begins with its save.
func (l *lane) prepare(d deed, warm bool) (func(context.Context) error, func() (bool, error)) {
	l.Helper()
	l.people++
	l.kit.Clock.Advance(time.Hour)
	p := l.kit.Enroll(l.direct.guard, fmt.Sprintf("%s/%d", l.name, l.people), totp.Kind)
	request, happened := d.prepare(l, p)
	if warm {
		l.must(l.see(p.UserID))
	}
	return request, happened
}

// see lets the instance that is hit load the record.
func (l *lane) see(userID string) error {
	var err error
	for range 50 { // its pool may hold connections that were cut
		if _, err = l.hit.vault.View(l.Context(), userID); !errors.Is(err, mfa.ErrUnavailable) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func (l *lane) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// wrong says what is wrong with what was told, "" for nothing.
func (r result) wrong(want verdict) string {
	switch {
	case r.broken != nil:
		return fmt.Sprintf("told %q: %v", r.told, r.broken)
	case r.told == want && r.happened, r.told == unknown, r.told == undone && !r.happened:
		return ""
	}
	return fmt.Sprintf("told %q (%v), and it happened: %v", r.told, r.err, r.happened)
}

func (l *lane) overview(userID string) *mfa.Overview {
	l.Helper()
	o, err := l.direct.guard.Admin("test").Overview(context.Background(), userID)
	l.must(err)
	return o
}

// started returns a sign-in that began at one instance and goes on at the one that
// is hit, which has not seen anything.
func (l *lane) started(p *mfatest.Person) *mfa.Pending {
	l.Helper()
	began, err := l.direct.begin(l.Context(), p.UserID)
	l.must(err)
	pending, err := l.hit.guard.Resume(began.Token())
	l.must(err)
	return pending
}

// once tries a code that was sent. It passes if it did not before, and never
// again.
func (l *lane) once(p *mfatest.Person, a mfa.Answer) (happened bool, err error) {
	first := l.direct.try(context.Background(), p.UserID, a.Kind, a.Code)
	second := l.direct.try(context.Background(), p.UserID, a.Kind, a.Code)
	if first != accepted && first != invalid || second != invalid {
		return false, fmt.Errorf("the same code again and again: %q, %q", first, second)
	}
	return first == invalid, nil
}

var signInByCode = deed{"sign in by a backup code", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	a := p.Answer(backupcodes.Kind)
	pending := l.started(p)
	request := func(ctx context.Context) error {
		_, err := pending.Verify(ctx, a)
		return err
	}
	return request, func() (bool, error) {
		left := l.overview(p.UserID).BackupLeft
		happened, err := l.once(p, a)
		if want := 10; err == nil && (happened && left != want-1 || !happened && left != want) {
			err = fmt.Errorf("%d codes are left, of %d", left, want)
		}
		return happened, err
	}
}}

var signInByApp = deed{"sign in by an app", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	a := p.Answer(totp.Kind)
	pending := l.started(p)
	request := func(ctx context.Context) error {
		_, err := pending.Verify(ctx, a)
		return err
	}
	return request, func() (bool, error) { return l.once(p, a) }
}}

var guessWrong = deed{"a wrong guess", invalid, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	pending := l.started(p)
	request := func(ctx context.Context) error {
		_, err := pending.Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: wrongCode(p.App(), l.kit.Clock.Now())})
		return err
	}
	return request, func() (bool, error) {
		s, err := l.direct.vault.View(context.Background(), p.UserID)
		l.must(err)
		if s.Tries.Day > 1 {
			return true, fmt.Errorf("counted %d times", s.Tries.Day)
		}
		return s.Tries.Day == 1, nil
	}
}}

var regenerate = deed{"make new codes", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	old := p.Codes()
	session := p.SignIn(l.direct.guard, totp.Kind)
	var shown []mfa.Secret
	request := func(ctx context.Context) error {
		e, err := l.hit.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
		if err == nil {
			shown = e.Codes
		}
		return err
	}
	return request, func() (bool, error) {
		if left := l.overview(p.UserID).BackupLeft; left != 10 {
			return false, fmt.Errorf("%d codes are left", left)
		}
		v := l.direct.try(context.Background(), p.UserID, backupcodes.Kind, old[0])
		if v != accepted && v != invalid {
			return false, fmt.Errorf("a code of the old set: %q", v)
		}
		if shown != nil {
			if v := l.direct.try(context.Background(), p.UserID, backupcodes.Kind, shown[0].Reveal()); v != accepted {
				return false, fmt.Errorf("a code that was shown: %q", v)
			}
		}
		return v == invalid, nil
	}
}}

var addApp = deed{"confirm an app", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	e, answer := l.draft(p)
	session := p.Session()
	request := func(ctx context.Context) error {
		_, err := l.hit.guard.Settings(session).Confirm(ctx, e.ID, answer)
		return err
	}
	return request, func() (bool, error) { return l.has(p.UserID, e.ID) }
}}

var removeApp = deed{"remove an app", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	e, answer := l.draft(p)
	c, err := l.direct.guard.Settings(p.Session()).Confirm(l.Context(), e.ID, answer)
	l.must(err)
	session := c.Session
	request := func(ctx context.Context) error {
		_, err := l.hit.guard.Settings(session).Remove(ctx, e.ID)
		return err
	}
	return request, func() (bool, error) {
		has, err := l.has(p.UserID, e.ID)
		return !has, err
	}
}}

// draft begins to enrol a second app.
func (l *lane) draft(p *mfatest.Person) (*mfa.Enrollment, mfa.Answer) {
	l.Helper()
	p.SignIn(l.direct.guard, totp.Kind)
	e, err := l.direct.guard.Settings(p.Session()).Enroll(l.Context(), mfa.NewFactor{Kind: totp.Kind})
	l.must(err)
	return e, p.Scan(e)
}

func (l *lane) has(userID, id string) (bool, error) {
	o := l.overview(userID)
	has := slices.ContainsFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.ID == id })
	if n := len(o.Factors); n > 3 { // the codes count
		return has, fmt.Errorf("%d factors", n)
	}
	return has, nil
}

var enrolFirst = deed{"enrol for the first time", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	userID := p.UserID + "/new"
	login, err := l.direct.guard.Begin(l.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
	l.must(err)
	request := func(ctx context.Context) error {
		_, err := l.hit.guard.Settings(login.Session).Enroll(ctx, mfa.NewFactor{Kind: totp.Kind})
		return err
	}
	return request, func() (bool, error) {
		s, err := l.direct.vault.View(context.Background(), userID)
		l.must(err)
		if s.Drafts > 1 {
			return true, fmt.Errorf("%d drafts", s.Drafts)
		}
		return s.Exists, nil
	}
}}

var deeds = []deed{signInByCode, signInByApp, guessWrong, regenerate, addApp, removeApp, enrolFirst}

// keyKind is that of factors with a unique key.
const keyKind mfa.Kind = "key"

// addKey adds a factor with a unique key, as a registration of WebAuthn does.
func addKey(ctx context.Context, v *vault.Vault, userID, key string) (id string, err error) {
	return vault.Update(ctx, v, userID, func(a *vault.Account) (string, error) {
		f, err := a.Scope(keyKind, vault.PurposeConfirm, "").Add(vault.Factor{Key: key})
		if err != nil {
			return "", err
		}
		return f.ID, nil
	})
}

// keyOf reports whether the user has the key, which the store has to agree with.
func (l *lane) keyOf(userID, key string) (bool, error) {
	s, err := l.direct.vault.View(context.Background(), userID)
	l.must(err)
	n := 0
	for _, f := range s.Factors {
		if f.Key == key {
			n++
		}
	}
	owner, err := l.direct.vault.Owner(context.Background(), keyKind, key)
	switch {
	case n > 1:
		return true, fmt.Errorf("the key is there %d times", n)
	case n == 1 && (err != nil || owner != userID):
		return true, fmt.Errorf("the key is the user's, and the store says %q (%v)", owner, err)
	case n == 0 && !errors.Is(err, store.ErrNotFound):
		return false, fmt.Errorf("the key is nobody's, and the store says %q (%v)", owner, err)
	}
	return n == 1, nil
}

var claimKey = deed{"claim a key", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	key := "key of " + p.UserID
	request := func(ctx context.Context) error {
		_, err := addKey(ctx, l.hit.vault, p.UserID, key)
		return err
	}
	return request, func() (bool, error) { return l.keyOf(p.UserID, key) }
}}

var releaseKey = deed{"release a key", accepted, func(l *lane, p *mfatest.Person) (func(context.Context) error, func() (bool, error)) {
	key := "key of " + p.UserID
	id, err := addKey(l.Context(), l.direct.vault, p.UserID, key)
	l.must(err)
	request := func(ctx context.Context) error {
		_, err := vault.Update(ctx, l.hit.vault, p.UserID, func(a *vault.Account) (bool, error) { return a.Remove(id), nil })
		return err
	}
	return request, func() (bool, error) {
		has, err := l.keyOf(p.UserID, key)
		if !has && err == nil { // somebody else may have it
			other := p.UserID + "/other"
			if _, err = addKey(context.Background(), l.direct.vault, other, key); err == nil {
				_, err = l.keyOf(other, key)
			}
		}
		return !has, err
	}
}}

// wrongCode returns a code that the app does not show for minutes.
func wrongCode(app *mfatest.App, at time.Time) string {
	near := map[string]bool{}
	for d := -5; d <= 5; d++ {
		near[app.Code(at.Add(time.Duration(d)*app.Period))] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%0*d", app.Digits, n); !near[code] {
			return code
		}
	}
}
