package sentcode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// what NIST and ASVS do not allow is an error of the configuration, and
// refuses everything besides.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts *Options
		ok   bool
	}{
		{nil, true}, {&Options{}, true}, {&Options{Digits: 6}, true}, {&Options{Digits: 10}, true}, {&Options{TTL: time.Minute}, true},
		{&Options{TTL: 10 * time.Minute}, true},
		{&Options{Digits: 5}, false}, {&Options{Digits: 11}, false}, {&Options{Digits: -6}, false}, {&Options{Digits: 1 << 62}, false},
		{&Options{TTL: time.Minute - 1}, false}, {&Options{TTL: 10*time.Minute + 1}, false}, {&Options{TTL: -time.Minute}, false},
		{&Options{TTL: 1<<63 - 1}, false},
	} {
		o := newOffice(t, nil)
		m := New(o.post, c.opts)
		if err := m.Check(); (err == nil) != c.ok || err != nil && !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%+v: %v", c.opts, err)
		}
		if c.opts == nil || c.opts.Digits == 0 {
			continue
		}
		o.m = m
		if e, err := o.enroll(session(who), home); (err == nil) != c.ok {
			t.Errorf("%+v enrols: %v", c.opts, err)
		} else if err == nil && (len(o.last().Code.Reveal()) != c.opts.Digits || e.Challenge == nil) {
			t.Errorf("%+v: a code of %d digits", c.opts, len(o.last().Code.Reveal()))
		}
	}
}

// A Method that New did not make, or made of nothing, refuses everything.
func TestInvalidMethodRefuses(t *testing.T) {
	t.Parallel()
	good := newOffice(t, nil)
	good.enrolled(who, home)
	code := good.sent(signIn)
	for name, m := range map[string]*Method{
		"nil": nil, "zero": {}, "no channel": New(nil, nil), "digits": New(good.post, &Options{Digits: 3}),
	} {
		if err := m.Check(); !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
		good.m = m
		mails := good.post.count()
		_, enroll := good.enroll(session(who), home)
		_, confirm := good.confirm(session(who), "x", code)
		_, challenge := good.challenge(signIn)
		for what, err := range map[string]error{
			"Enroll": enroll, "Confirm": confirm, "Challenge": challenge, "Verify": good.verify(signIn, code),
			"Available": m.Available(t.Context(), mfa.User{}),
		} {
			if !errors.Is(err, mfa.ErrArgument) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		f := vault.Factor{Data: card{true, home}.encode()}
		if a, err := m.Resolve(mfa.User{Email: home}, home); err == nil || a != "" || m.Address(f) != "" || m.Hint(f) != "" || m.Stale(mfa.User{Email: other}, f) {
			t.Errorf("%s: says something of an address", name)
		}
		_ = fmt.Sprint(m, m.Kind(), m.Traits())
		if good.post.count() != mails {
			t.Errorf("%s: sent something", name)
		}
	}
}

// a code goes to the address that was confirmed, whatever the profile and
// the request say; a new one counts once it is confirmed, and then alone.
func TestConfirmedAddressAlone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	old := o.enrolled(who, home)
	e, err := o.enroll(session(who), other) // pending
	if err != nil {
		t.Fatal(err)
	}
	confirming := o.last()
	if confirming.To != other || confirming.Purpose != mfa.PurposeConfirm {
		t.Fatalf("the code went to %q for %q", confirming.To, confirming.Purpose)
	}
	o.wait(pause)
	ch, err := do(o, signIn, func(s *vault.Scope) (*mfa.Challenge, error) {
		r := signIn.request()
		r.User.Email = "pigeon 666"
		return o.m.Challenge(t.Context(), s, mfa.ChallengeRequest{Request: r})
	})
	if err != nil || o.last().To != home || ch.Hint != "pigeon …" || ch.FactorID != old.ID {
		t.Fatalf("the code went to %q: %+v, %v", o.last().To, ch, err)
	}
	code := o.last().Code.Reveal()
	for _, id := range []string{e.ID, "another"} {
		if _, err := do(o, signIn, func(s *vault.Scope) (*mfa.Challenge, error) {
			return o.m.Challenge(t.Context(), s, mfa.ChallengeRequest{Request: signIn.request(), FactorID: id})
		}); !errors.Is(err, mfa.ErrNotEnrolled) {
			t.Errorf("a challenge for an address that is not confirmed: %v", err)
		}
	}
	f, err := o.confirm(session(who), e.ID, confirming.Code.Reveal())
	if err != nil || f.ID != e.ID || o.m.Address(*f) != other {
		t.Fatalf("%v, %v", f, err)
	}
	wantUncounted(t, "a code to the old address", o.verify(signIn, code), mfa.ErrExpired)
	s, err := o.vault.View(t.Context(), who)
	if err != nil || len(s.Factors) != 1 || s.Factors[0].ID != e.ID || s.Drafts != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	o.wait(pause)
	code = o.sent(signIn)
	if o.last().To != other {
		t.Errorf("the next code went to %q", o.last().To)
	}
	if err := o.verify(signIn, code); err != nil {
		t.Error(err)
	}
}

// Two enrolments side by side: each has its own code, and what is confirmed last
// stays.
func TestTwoEnrolments(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	first, err := o.enroll(session(who), home)
	if err != nil {
		t.Fatal(err)
	}
	one := o.last().Code.Reveal()
	o.wait(pause)
	second, err := o.enroll(session(who), other)
	if err != nil || second.ID == first.ID {
		t.Fatalf("%v, %v", second, err)
	}
	two := o.last().Code.Reveal()
	if _, err := o.confirm(session(who), first.ID, one); err != nil {
		t.Error(err)
	}
	if _, err := o.confirm(session(who), second.ID, two); err != nil {
		t.Error(err)
	}
	s, err := o.vault.View(t.Context(), who)
	if err != nil || len(s.Factors) != 1 || s.Factors[0].ID != second.ID {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = o.confirm(session(who), first.ID, one)
	wantUncounted(t, "confirmed twice", err, mfa.ErrExpired)
}

// Stale says that the profile moved away from what was confirmed as its
// address, and nothing else.
func TestStale(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	profile := o.enrolled(who, "")  // the request's profile says home
	given := o.enrolled("b", other) // never was the profile's
	for _, c := range []struct {
		f     *vault.Factor
		email string
		want  bool
	}{
		{profile, home, false}, {profile, "Pigeon 7, THE attic", false}, {profile, other, true}, {profile, "", false}, {profile, "no pigeon", false},
		{given, home, false}, {given, other, false}, {given, "pigeon 1", false},
	} {
		email := c.email
		if strings.HasPrefix(email, "Pigeon") {
			email = "pigeon 7, THE attic"
		}
		if got := o.m.Stale(mfa.User{Email: email}, *c.f); got != c.want {
			t.Errorf("%q confirmed, the profile says %q: %t", o.m.Address(*c.f), email, got)
		}
	}
	if o.m.Stale(mfa.User{Email: other}, vault.Factor{Data: []byte{9, 9, 9}}) || o.m.Stale(mfa.User{Email: other}, vault.Factor{}) {
		t.Error("what cannot be read is stale")
	}
}

// mute is a Channel without a profile, whose Normalize says what it is told.
type mute struct {
	*post
	says string
	err  error
}

func (m *mute) Normalize(string) (string, error) { return m.says, m.err }
func (m *mute) Profile()                         {} // hides the post's

// what is no address reaches no channel, and no error quotes it.
func TestAddresses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxAddress+1)
	for name, c := range map[string]struct {
		ch      Channel
		address string
	}{
		"refused":              {&post{}, "crow 7"},
		"of a megabyte":        {&post{}, "pigeon " + strings.Repeat("x", 1<<20)},
		"over 1024 bytes":      {&post{}, "pigeon " + strings.Repeat(" ", maxInput)},
		"normalized to naught": {&mute{&post{}, "", nil}, home},
		"normalized too long":  {&mute{&post{}, long, nil}, home},
		"with an error":        {&mute{&post{}, home, errors.New("not " + home)}, home},
		"none, no profile":     {&mute{&post{}, home, nil}, ""},
	} {
		o := newOffice(t, nil)
		o.m = New(c.ch, nil)
		_, err := o.enroll(session(who), c.address)
		if !errors.Is(err, mfa.ErrArgument) || len(c.address) > 1 && strings.Contains(err.Error(), c.address) {
			t.Errorf("%s: %.200v", name, err)
		}
		if o.store.saves.Load() != 0 {
			t.Errorf("%s: written", name)
		}
	}
	o := newOffice(t, nil)
	if _, err := do(o, session(who), func(s *vault.Scope) (*mfa.Enrollment, error) {
		return o.m.Enroll(t.Context(), s, mfa.EnrollRequest{Request: mfa.Request{User: mfa.User{ID: who, Email: "crow"}}})
	}); !errors.Is(err, mfa.ErrArgument) {
		t.Errorf("a profile with something else: %v", err)
	}
	o.m = New(&mute{&post{}, strings.Repeat("x", maxAddress), nil}, nil)
	if _, err := o.enroll(session(who), home); err != nil {
		t.Errorf("the longest address: %v", err)
	}
}

// a code goes out after the save, once, however often the change was tried;
// what was not saved is not sent.
func TestSentAfterTheSave(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	for _, conflicts := range []int64{0, 1, 3} {
		saves, mails := o.store.saves.Load(), o.post.count()
		var at int64
		o.post.hook = func(ctx context.Context) {
			at = o.store.saves.Load()
			if ctx.Err() != nil {
				t.Error("the caller's end ends the sending")
			}
		}
		o.store.lose.Store(conflicts)
		ctx, hangUp := context.WithCancel(t.Context())
		_, err := vault.Update(ctx, o.vault, who, func(a *vault.Account) (*mfa.Challenge, error) {
			a.AfterSave(func(context.Context) error { hangUp(); return nil })
			return o.m.Challenge(ctx, a.Scope(kind, string(mfa.PurposeSignIn), "flow"), mfa.ChallengeRequest{Request: signIn.request()})
		})
		if err != nil || at != saves+1 || o.post.count() != mails+1 {
			t.Errorf("%d conflicts: sent %d after save %d of %d, %v", conflicts, o.post.count()-mails, at, saves, err)
		}
		if err := o.verify(signIn, o.last().Code.Reveal()); err != nil {
			t.Errorf("%d conflicts: what was sent is not what was saved: %v", conflicts, err)
		}
		o.wait(pause)
	}
	mails := o.post.count()
	boom := errors.New("no decision")
	if _, err := do(o, signIn, func(s *vault.Scope) (int, error) {
		if _, err := o.m.Challenge(t.Context(), s, mfa.ChallengeRequest{Request: signIn.request()}); err != nil {
			t.Error(err)
		}
		return 0, boom
	}); !errors.Is(err, boom) {
		t.Error(err)
	}
	broken := &down{o.store}
	v, err := vault.Open(broken, o.keys, &vault.Options{Now: o.time})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Update(t.Context(), v, who, func(a *vault.Account) (*mfa.Challenge, error) {
		return o.m.Challenge(t.Context(), a.Scope(kind, "sign-in", "flow"), mfa.ChallengeRequest{Request: signIn.request()})
	}); err == nil {
		t.Error("a store that takes nothing took it")
	}
	if o.post.count() != mails {
		t.Error("what was not saved is sent")
	}
}

// down is a store that refuses every save as malformed.
type down struct{ store.Store }

func (d *down) Apply(context.Context, store.Change) error { return store.ErrArgument }

// what could not be sent leaves a code that is good until its time is up,
// and no word of the channel in a verdict.
func TestFailedSend(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	o.post.fail = errNoPigeon
	ch, err := o.challenge(signIn)
	var failed *mfa.EffectError
	if !errors.As(err, &failed) || !errors.Is(err, errNoPigeon) || errors.Is(err, mfa.ErrRejected) || ch == nil {
		t.Fatalf("%v, %v", ch, err)
	}
	err = o.verify(signIn, "000000")
	if err != nil && (!errors.Is(err, mfa.ErrInvalid) || strings.Contains(err.Error(), "pigeon")) {
		t.Errorf("%v", err)
	}
	o.wait(maxTTL)
	wantUncounted(t, "after its time", o.verify(signIn, "000001"), mfa.ErrExpired)
}

// what holds a code or an address does not print it.
func TestRedacted(t *testing.T) {
	t.Parallel()
	o := newOffice(t, &Options{Digits: 10}) // which no number is by chance
	o.enrolled(who, home)
	code := o.sent(signIn)
	m := o.last()
	verdicts := []any{o.verify(signIn, wrongFor(code)), o.verify(signIn, "x"), o.verify(ceremony{user: who, flow: "no"}, code)}
	_, err := o.enroll(session(who), "crow 666 with "+home)
	ch, limit := o.challenge(signIn)
	if limit != nil {
		t.Fatal(limit)
	}
	e, limited := o.enroll(session(who), other)
	want(t, "at once", limited, mfa.ErrTooMany)
	for _, x := range append(verdicts, m, &m, []Message{m}, map[string]Message{"m": m}, struct{ M Message }{m}, o.m, *o.m, err, limited, ch, *ch, e) {
		text := new(strings.Builder)
		slog.New(slog.NewTextHandler(text, nil)).Info("x", "x", x)
		slog.New(slog.NewJSONHandler(text, nil)).Info("x", "x", x)
		b, err := json.Marshal(x)
		if err != nil {
			t.Errorf("%T: %v", x, err)
		}
		all := text.String() + string(b)
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			all += fmt.Sprintf(format, x)
		}
		for _, secret := range []string{code, m.Code.Reveal(), home, other, "attic"} {
			if strings.Contains(all, secret) || strings.Contains(all, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T prints %q: %s", x, secret, all)
			}
		}
	}
	if s := fmt.Sprint(o.m, m); s != "post method sign-in code [redacted]" {
		t.Errorf("printed as %q", s)
	}
}

// The name that a user gives is kept, also when the address is enrolled again.
func TestName(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	var id string
	for _, name := range []string{"first", "second"} {
		e, err := do(o, session(who), func(s *vault.Scope) (*mfa.Enrollment, error) {
			return o.m.Enroll(t.Context(), s, mfa.EnrollRequest{Request: session(who).request(), Address: home, Name: name})
		})
		if err != nil || e.Active || e.Kind != kind || id != "" && e.ID != id {
			t.Fatalf("%v, %v", e, err)
		}
		id = e.ID
		o.wait(9 * time.Minute) // each prolongs the enrolment
	}
	f, err := o.confirm(session(who), id, o.last().Code.Reveal())
	if err != nil || f.Name != "second" {
		t.Errorf("%v, %v", f, err)
	}
}
