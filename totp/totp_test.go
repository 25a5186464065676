package totp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An office is a vault over memory with a clock that stands still.
type office struct {
	t     testing.TB
	m     *Method
	vault *vault.Vault
	store store.Store
	keys  vault.Keys
	now   atomic.Int64 // Unix seconds
}

func newOffice(t testing.TB, opts *Options) *office {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, m: New(opts), store: memstore.New(), keys: keys}
	o.now.Store(1_800_000_000)
	o.vault = o.another()
	return o
}

// another opens a second vault over the same store.
func (o *office) another() *vault.Vault {
	o.t.Helper()
	v, err := vault.Open(o.store, o.keys, &vault.Options{Now: o.time})
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

func (o *office) time() time.Time      { return time.Unix(o.now.Load(), 0) }
func (o *office) wait(d time.Duration) { o.now.Add(int64(d / time.Second)) }
func (o *office) steps(k *Key, n int)  { o.wait(time.Duration(n) * k.Period()) }

const who = "ada"

func (o *office) enroll(flow string) (*mfa.Enrollment, error) {
	return vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (*mfa.Enrollment, error) {
		return o.m.Enroll(context.Background(), a.Scope(Kind, vault.PurposeConfirm, flow), mfa.EnrollRequest{
			Request: mfa.Request{User: mfa.User{ID: who, Name: "ada@example.com", Service: "Acme"}},
			Name:    "telephone",
		})
	})
}

func (o *office) confirm(flow, id, code string) (*vault.Factor, error) {
	return vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (f *vault.Factor, err error) {
		err = a.Guess(Kind, vault.PurposeConfirm, flow, func(s *vault.Scope) error {
			f, err = o.m.Confirm(context.Background(), s, mfa.ConfirmRequest{EnrollmentID: id, Answer: mfa.Answer{Kind: Kind, Code: code}})
			return err
		})
		return f, err
	})
}

func (o *office) verify(code string) (string, error) { return o.verifyIn(o.vault, code) }

func (o *office) verifyIn(v *vault.Vault, code string) (string, error) {
	return vault.Update(context.Background(), v, who, func(a *vault.Account) (id string, err error) {
		err = a.Guess(Kind, string(mfa.PurposeSignIn), "flow", func(s *vault.Scope) error {
			got, err := o.m.Verify(context.Background(), s, mfa.VerifyRequest{Answer: mfa.Answer{Kind: Kind, Code: code}})
			if err == nil {
				id = got.FactorID
				a.Finished(Kind)
			} else if got != nil {
				o.t.Error("an error with a result")
			}
			return err
		})
		return id, err
	})
}

func (o *office) imports(k *Key, name string) (*vault.Factor, error) {
	return vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (*vault.Factor, error) {
		return o.m.Import(a.Scope(Kind, "", ""), k, name)
	})
}

// enrolled sets up one app and waits until its confirming code is past.
func (o *office) enrolled() *Key {
	o.t.Helper()
	e, err := o.enroll("session")
	if err != nil {
		o.t.Fatal(err)
	}
	k, err := KeyOf(e)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.confirm("session", e.ID, k.Code(o.time())); err != nil {
		o.t.Fatal(err)
	}
	o.steps(k, 3)
	return k
}

func (o *office) tries() vault.Tries {
	o.t.Helper()
	s, err := o.vault.View(context.Background(), who)
	if err != nil {
		o.t.Fatal(err)
	}
	return s.Tries
}

// states returns what is stored of each app.
func (o *office) states() []state {
	o.t.Helper()
	s, err := o.vault.View(context.Background(), who)
	if err != nil {
		o.t.Fatal(err)
	}
	var all []state
	for _, f := range s.Factors {
		st, err := decode(f.Data)
		if err != nil {
			o.t.Fatal(err)
		}
		all = append(all, st)
	}
	return all
}

// edit changes what is stored of the only app.
func (o *office) edit(change func(f *vault.Factor, st *state)) {
	o.t.Helper()
	if _, err := vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (int, error) {
		f := a.Scope(Kind, "", "").Factors()[0]
		st, err := decode(f.Data)
		if err != nil {
			return 0, err
		}
		f.Data = nil
		change(f, &st)
		if f.Data == nil {
			f.Data = st.encode()
		}
		return 0, nil
	}); err != nil {
		o.t.Fatal(err)
	}
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// wrongFor returns a code that is right for none of the keys for an hour.
func wrongFor(now time.Time, keys ...*Key) string {
	digits := keys[0].Digits()
next:
	for i := 0; ; i++ {
		code := fmt.Sprintf("%0*d", digits, i)
		for _, k := range keys {
			for s := -120; s <= 120; s++ {
				if k.Code(now.Add(time.Duration(s)*k.Period())) == code {
					continue next
				}
			}
		}
		return code
	}
}

// what is not confirmed neither satisfies nor triggers anything, and the
// code that confirms cannot sign in.
func TestConfirm(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	e, err := o.enroll("session")
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != Kind || e.ID == "" || e.Active || !strings.HasPrefix(e.URI.Reveal(), "otpauth://totp/Acme:ada@example.com?secret=") {
		t.Fatalf("%+v", e)
	}
	k, err := KeyOf(e)
	if err != nil || k.Secret() != e.Secret || len(k.secret) != 20 {
		t.Fatalf("%v, %v", k, err)
	}
	if svg, err := k.SVG(); err != nil || e.QR.Reveal() != string(svg) {
		t.Errorf("the QR code is of something else: %v", err)
	}
	code := k.Code(o.time())
	_, err = o.verify(code)
	want(t, "signing in with an enrolment that is not confirmed", err, mfa.ErrNotEnrolled)
	if s, err := o.vault.View(context.Background(), who); err != nil || len(s.Factors) != 0 || s.Drafts != 1 {
		t.Errorf("before it is confirmed: %+v, %v", s, err)
	}

	_, err = o.confirm("session", e.ID, wrongFor(o.time(), k))
	want(t, "a wrong code", err, mfa.ErrInvalid)
	_, err = o.confirm("session", e.ID, "12345")
	want(t, "no code", err, mfa.ErrInvalid)
	_, err = o.confirm("session", "another", code)
	want(t, "another enrolment", err, mfa.ErrExpired)
	_, err = o.confirm("elsewhere", e.ID, code)
	want(t, "another session", err, mfa.ErrExpired)

	f, err := o.confirm("session", e.ID, code)
	if err != nil || f.ID != e.ID || f.Name != "telephone" || f.Kind != Kind {
		t.Fatalf("%v, %v", f, err)
	}
	if f.Secret != nil {
		t.Error("the confirmed factor shows its secret")
	}
	_, err = o.verify(code)
	want(t, "signing in with the confirming code", err, mfa.ErrReplayed)
	_, err = o.verify(k.Code(o.time().Add(-k.Period())))
	want(t, "signing in with the one before", err, mfa.ErrReplayed)
	_, err = o.confirm("session", e.ID, k.Code(o.time().Add(k.Period())))
	want(t, "confirming twice", err, mfa.ErrExpired)

	o.steps(k, 1)
	if id, err := o.verify(k.Code(o.time())); err != nil || id != e.ID {
		t.Errorf("the next code: %q, %v", id, err)
	}
}

// an enrolment ends after ten minutes, has its own limit, and the app
// that there is goes on working beside it.
func TestEnrollAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	old := o.enrolled()
	e, err := o.enroll("session")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := KeyOf(e)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Secret() == old.Secret() {
		t.Fatal("the same secret twice")
	}
	if _, err := o.verify(old.Code(o.time())); err != nil {
		t.Errorf("the old app: %v", err)
	}
	_, err = o.verify(fresh.Code(o.time()))
	want(t, "the new app", err, mfa.ErrInvalid)

	before := o.tries()
	for range vault.Burst {
		_, err = o.confirm("session", e.ID, wrongFor(o.time(), old, fresh))
		want(t, "a wrong code", err, mfa.ErrInvalid)
	}
	_, err = o.confirm("session", e.ID, fresh.Code(o.time()))
	want(t, "a right one after five wrong ones", err, mfa.ErrTooMany)
	if o.tries() != before {
		t.Errorf("wrong confirming codes count against signing in: %+v", o.tries())
	}

	o.wait(9*time.Minute + 59*time.Second)
	if _, err := o.confirm("session", e.ID, fresh.Code(o.time())); err != nil {
		t.Errorf("after 9:59: %v", err)
	}
	late, err := o.enroll("session")
	if err != nil {
		t.Fatal(err)
	}
	k, err := KeyOf(late)
	if err != nil {
		t.Fatal(err)
	}
	o.wait(10 * time.Minute)
	_, err = o.confirm("session", late.ID, k.Code(o.time()))
	want(t, "after 10:00", err, mfa.ErrExpired)
}

// a code passes once, in whatever spelling, and with it
// all that are older; what is stored never goes back.
func TestReplay(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k := o.enrolled()
	code := k.Code(o.time())
	if _, err := o.verify(code[:3] + " " + code[3:]); err != nil {
		t.Fatal(err)
	}
	last := o.states()[0].last
	if last != k.spec.step(o.time()) {
		t.Errorf("last step %d", last)
	}
	older := k.Code(o.time().Add(-k.Period()))
	for _, again := range []string{code, code[:3] + " " + code[3:], code[:3] + "-" + code[3:], " " + code + " ", older} {
		before := o.tries().Day
		_, err := o.verify(again)
		want(t, "a used code", err, mfa.ErrReplayed)
		if o.tries().Day != before+1 {
			t.Error("a replayed code is no try")
		}
		if got := o.states()[0].last; got != last {
			t.Errorf("the last step went from %d to %d", last, got)
		}
	}
	o.wait(vault.LongestPause)
	if _, err := o.verify(k.Code(o.time())); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	// A code of the step ahead burns the present one too.
	o.steps(k, 2)
	if _, err := o.verify(k.Code(o.time().Add(k.Period()))); err != nil {
		t.Fatal(err)
	}
	_, err := o.verify(k.Code(o.time()))
	want(t, "the present code after the next", err, mfa.ErrReplayed)
}

// of 32 racing requests with one code, over two instances, one
// passes; with the codes of different steps the last step never goes back.
func TestReplayRace(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k := o.enrolled()
	vaults := []*vault.Vault{o.vault, o.another()}
	for round := range 20 {
		o.steps(k, 3)
		if o.tries().Wait > 0 || o.tries().Day > 0 {
			if _, err := vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (int, error) {
				a.Unlock()
				return 0, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		codes := []string{k.Code(o.time())}
		if round%2 == 1 {
			codes = append(codes, k.Code(o.time().Add(k.Period())), k.Code(o.time().Add(-k.Period())))
		}
		last := o.states()[0].last
		var passed atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 32 {
			wg.Go(func() {
				<-start
				_, err := o.verifyIn(vaults[i%2], codes[i%len(codes)])
				switch {
				case err == nil:
					passed.Add(1)
				case !errors.Is(err, mfa.ErrRejected):
					t.Errorf("neither right nor rejected: %v", err)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := passed.Load(); n < 1 || n > int64(len(codes)) {
			t.Errorf("round %d: %d of %d codes passed", round, n, len(codes))
		}
		if now := o.states()[0].last; now <= last {
			t.Errorf("round %d: the last step went from %d to %d", round, last, now)
		}
	}
}

// what cannot be a code is refused before anything is computed,
// and is no try.
func TestMalformedIsNoTry(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k := o.enrolled()
	code := k.Code(o.time())
	for _, typed := range []string{
		"", "12345", code + "0", code + code, "+" + code, code + "\n", "\x00" + code, code + "\x00", "１２３４５６", "abcdef",
		strings.Repeat("0", 1000), "0x" + code, code[:5] + "O",
	} {
		_, err := o.verify(typed)
		want(t, fmt.Sprintf("%.20q", typed), err, mfa.ErrInvalid)
	}
	if tries := o.tries(); tries.Day != 0 {
		t.Errorf("%d of them were tries", tries.Day)
	}
	_, err := o.verify(wrongFor(o.time(), k))
	want(t, "a wrong code", err, mfa.ErrInvalid)
	if tries := o.tries(); tries.Day != 1 {
		t.Errorf("a wrong code: %d tries", tries.Day)
	}
	if _, err := o.verify(code); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

// Several apps, of different digits, hashes and periods, side by side.
func TestSeveralApps(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	var keys []*Key
	var ids []string
	for i, opts := range []*Options{nil, {Digits: 8, Algorithm: SHA256}, {Digits: 7, Period: time.Minute}, {Algorithm: SHA512}, nil} {
		k, err := GenerateKey("Acme", "ada", opts)
		if err != nil {
			t.Fatal(err)
		}
		f, err := o.imports(k, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		keys, ids = append(keys, k), append(ids, f.ID)
	}
	for i, k := range keys {
		if id, err := o.verify(k.Code(o.time())); err != nil || id != ids[i] {
			t.Errorf("app %d: %q, %v, want %q", i, id, err, ids[i])
		}
		_, err := o.verify(k.Code(o.time()))
		want(t, "again", err, mfa.ErrReplayed)
		o.wait(vault.LongestPause)
	}
	_, err := o.verify("12345")
	want(t, "five digits", err, mfa.ErrInvalid)
	if n := o.tries().Day; n != len(keys) {
		t.Errorf("%d tries", n)
	}

	// a sixth one is refused, at each door.
	_, err = o.imports(keys[0], "sixth")
	want(t, "a sixth import", err, mfa.ErrLimit)
	_, err = o.enroll("session")
	want(t, "a sixth enrolment", err, mfa.ErrLimit)
}

// Two enrolments that began with four apps do not end with six.
func TestLimitAtConfirm(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range maxApps - 1 {
		if _, err := o.imports(k, ""); err != nil {
			t.Fatal(err)
		}
	}
	var es []*mfa.Enrollment
	for range 2 {
		e, err := o.enroll("session")
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	for i, e := range es {
		k, err := KeyOf(e)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.confirm("session", e.ID, k.Code(o.time()))
		if i == 0 && err != nil || i == 1 && !errors.Is(err, mfa.ErrLimit) {
			t.Errorf("enrolment %d: %v", i, err)
		}
	}
}

// A code of the same secret in two apps burns in both.
func TestSameSecretTwice(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := o.imports(k, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.verify(k.Code(o.time())); err != nil {
		t.Fatal(err)
	}
	_, err = o.verify(k.Code(o.time()))
	want(t, "again", err, mfa.ErrReplayed)
}

// a clock that ran a year ahead and came back leaves a failure, which is
// no free guess, and which Repair ends; nothing of now passes again.
func TestClockRanAhead(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k := o.enrolled()
	const year = 365 * 24 * time.Hour
	used := k.Code(o.time())
	if _, err := o.verify(used); err != nil {
		t.Fatal(err)
	}
	o.wait(year)
	if _, err := o.verify(k.Code(o.time())); err != nil {
		t.Fatal(err)
	}
	o.wait(-year)
	for _, code := range []string{used, k.Code(o.time().Add(k.Period())), wrongFor(o.time(), k)} {
		_, err := o.verify(code)
		want(t, "while the last use is a year ahead", err, mfa.ErrClock)
	}
	if n := o.tries().Day; n != 0 {
		t.Errorf("%d tries", n)
	}

	repair := func() {
		if _, err := vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (int, error) {
			o.m.Repair(a.Scope(Kind, "", ""))
			return 0, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	repair()
	for off := -1; off <= 1; off++ {
		_, err := o.verify(k.Code(o.time().Add(time.Duration(off) * k.Period())))
		want(t, fmt.Sprintf("step %+d after Repair", off), err, mfa.ErrReplayed)
	}
	o.steps(k, 2)
	if _, err := o.verify(k.Code(o.time())); err != nil {
		t.Errorf("two steps after Repair: %v", err)
	}
	// Repair leaves alone what is in order.
	last := o.states()[0].last
	repair()
	if got := o.states()[0].last; got != last {
		t.Errorf("Repair went from %d to %d", last, got)
	}
}

// With a sound app beside it, an app whose clock is off makes no guess free.
func TestClockRanAheadWithAnotherApp(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	off := o.enrolled()
	o.edit(func(_ *vault.Factor, st *state) { st.last += 1_000_000 })
	sound, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.imports(sound, ""); err != nil {
		t.Fatal(err)
	}
	_, err = o.verify(wrongFor(o.time(), off, sound))
	want(t, "a wrong code", err, mfa.ErrInvalid)
	if n := o.tries().Day; n != 1 {
		t.Errorf("%d tries", n)
	}
	_, err = o.verify(off.Code(o.time()))
	want(t, "a code of the app whose last use is ahead", err, mfa.ErrClock)
	if _, err := o.verify(sound.Code(o.time())); err != nil {
		t.Errorf("a code of the sound one: %v", err)
	}
}

// drift is learned with success alone, kept, and forgotten where it is
// not asked for.
func TestLearnDrift(t *testing.T) {
	t.Parallel()
	o := newOffice(t, &Options{LearnDrift: true})
	k := o.enrolled()
	app := func(ahead int) string { return k.Code(o.time().Add(time.Duration(ahead) * k.Period())) }

	_, err := o.verify(app(2))
	want(t, "two steps ahead, at once", err, mfa.ErrInvalid)
	for _, ahead := range []int{1, 2, 3} { // the window follows, and stops two steps off
		o.steps(k, 5)
		if _, err := o.verify(app(ahead)); err != nil {
			t.Errorf("%d steps ahead: %v", ahead, err)
		}
	}
	if got := o.states()[0].drift; got != maxDrift {
		t.Errorf("a drift of %d", got)
	}
	o.steps(k, 5)
	_, err = o.verify(app(4))
	want(t, "four steps ahead", err, mfa.ErrInvalid)
	_, err = o.verify(app(0))
	want(t, "no longer in the window", err, mfa.ErrInvalid)

	o.m = New(nil)
	o.steps(k, 5)
	_, err = o.verify(app(3))
	want(t, "three steps ahead, without learning", err, mfa.ErrInvalid)
	if _, err := o.verify(app(0)); err != nil {
		t.Errorf("the present step, without learning: %v", err)
	}
	if got := o.states()[0].drift; got != 0 {
		t.Errorf("a drift of %d", got)
	}
}

// A stored app that this version cannot read is a failure, and the code that
// was given is neither right nor wrong, not even for the app beside it.
func TestUnreadableAppIsAFailure(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled()
	o.edit(func(f *vault.Factor, st *state) {
		f.Data = st.encode()
		f.Data[0] = stateFormat + 1
	})
	k, err := GenerateKey("Acme", "ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.imports(k, ""); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{k.Code(o.time()), wrongFor(o.time(), k)} {
		if _, err := o.verify(code); !errors.Is(err, errState) || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%v", err)
		}
	}
	if n := o.tries().Day; n != 0 {
		t.Errorf("%d tries", n)
	}
}

// A Method with invalid options, or without New, refuses everything.
func TestInvalidMethodRefuses(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]*Method{"options": New(&Options{Digits: 3}), "zero": {}} {
		o := newOffice(t, nil)
		k := o.enrolled()
		e, err := o.enroll("session")
		if err != nil {
			t.Fatal(err)
		}
		draft, err := KeyOf(e)
		if err != nil {
			t.Fatal(err)
		}
		o.m = bad
		_, err = o.enroll("session")
		want(t, name+": Enroll", err, mfa.ErrArgument)
		_, err = o.confirm("session", e.ID, draft.Code(o.time()))
		want(t, name+": Confirm", err, mfa.ErrArgument)
		_, err = o.verify(k.Code(o.time()))
		want(t, name+": Verify", err, mfa.ErrArgument)
		_, err = o.imports(k, "")
		want(t, name+": Import", err, mfa.ErrArgument)
	}
}

// without Account.Guess there is nothing to compare with.
func TestOnlyInsideGuess(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	k := o.enrolled()
	_, err := vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (*mfa.Verification, error) {
		return o.m.Verify(context.Background(), a.Scope(Kind, "sign-in", "flow"), mfa.VerifyRequest{Answer: mfa.Answer{Kind: Kind, Code: k.Code(o.time())}})
	})
	if !errors.Is(err, errHidden) || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("Verify outside of Guess: %v", err)
	}
}

// what cannot stand in a URI is refused before anything is kept.
func TestEnrollNames(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	for name, u := range map[string]mfa.User{
		"no service":         {ID: who},
		"a colon in service": {ID: who, Service: "a:b"},
		"a line in service":  {ID: who, Service: "a\nb"},
	} {
		_, err := vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (*mfa.Enrollment, error) {
			return o.m.Enroll(context.Background(), a.Scope(Kind, "confirm", "s"), mfa.EnrollRequest{Request: mfa.Request{User: u}})
		})
		want(t, name, err, mfa.ErrArgument)
	}
	if s, err := o.vault.View(context.Background(), who); err != nil || s.Exists {
		t.Errorf("something was kept: %v", err)
	}
}

// a name or ID of any bytes enrols, and its URI is one that apps read.
func TestEnrollOddNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"tenant:1": "tenant-1", "a\nb\u202ec": "a-b-c", "\xff\x00": "--", " ": "account",
		strings.Repeat("é", 200): strings.Repeat("é", 127), "ada@example.com": "ada@example.com",
	} {
		o := newOffice(t, nil)
		e, err := vault.Update(context.Background(), o.vault, who, func(a *vault.Account) (*mfa.Enrollment, error) {
			return o.m.Enroll(context.Background(), a.Scope(Kind, "confirm", "s"),
				mfa.EnrollRequest{Request: mfa.Request{User: mfa.User{ID: who, Name: name, Service: "Acme"}}})
		})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if k, err := KeyOf(e); err != nil || k.Account() != want {
			t.Errorf("%q is shown as %q, %v; want %q", name, k.Account(), err, want)
		}
	}
}

// the window of the options holds for sign-in too.
func TestMethodWindow(t *testing.T) {
	t.Parallel()
	for w, reach := range map[Window]int{StrictWindow: 0, NormalWindow: 1, WideWindow: 2} {
		o := newOffice(t, &Options{Window: w})
		k := o.enrolled()
		for off := -3; off <= 3; off++ {
			o.steps(k, 10)
			_, err := o.verify(k.Code(o.time().Add(time.Duration(off) * k.Period())))
			if inside := -reach <= off && off <= reach; inside != (err == nil) || !inside && !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("window %d, %+d steps: %v", w, off, err)
			}
			if o.tries().Wait > 0 {
				o.wait(o.tries().Wait)
			}
		}
	}
}

func TestMethod(t *testing.T) {
	t.Parallel()
	m := New(nil)
	if m.Kind() != "totp" || m.Traits() != (mfa.Traits{Typed: true}) || m.Check() != nil {
		t.Errorf("%q, %+v, %v", m.Kind(), m.Traits(), m.Check())
	}
}
