package emailotp_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// a code is good for its own user and ceremony: at each other one it
// is refused, is no try, is not written, and still works at its own.
func TestBoundToItsCeremony(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session, bobs := w.person(who), w.person("bob")
	// five ceremonies of one user, one of another; each takes a code
	type ceremony struct {
		name string
		user string
		code string
		give func(code string) error
	}
	verify := func(p *mfa.Pending) func(string) error {
		return func(code string) error { _, err := p.Verify(t.Context(), answer(code)); return err }
	}
	stepUp := w.stepUp(session) // waits for an hour
	second, err := w.guard.StepUp(t.Context(), session, mfa.Rule{})
	if err != nil {
		t.Fatal(err)
	}
	one, two, his := w.pending(who), w.pending(who), w.pending("bob")
	all := []ceremony{
		{"sign-in", who, w.sent(one), verify(one)}, {"another sign-in", who, w.sent(two), verify(two)},
		{"step-up", who, w.sent(stepUp), verify(stepUp)}, {"another step-up", who, w.sent(second.Pending), verify(second.Pending)},
		{"another user", "bob", w.sent(his), verify(his)},
	}
	_ = bobs
	for _, from := range all {
		for _, to := range all {
			switch {
			case from.name == to.name || from.code == to.code:
			case from.user == to.user:
				w.unwritten(from.name+"'s at "+to.name, to.user, func() {
					for range 10 {
						wantUncounted(t, from.name+"'s at "+to.name, to.give(from.code), mfa.ErrInvalid)
					}
				})
			default:
				want(t, from.name+"'s at "+to.name, to.give(from.code), mfa.ErrInvalid)
			}
		}
	}
	w.unlock(who)
	w.unlock("bob")
	for _, c := range all {
		if err := c.give(c.code); err != nil {
			t.Errorf("%s: its own code after all that: %v", c.name, err)
		}
	}
}

// where no code is out, guesses are no tries, are not written, and do
// not tell the code that is out elsewhere.
func TestNothingOutNothingLearned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.person(who)
	stepUp := w.stepUp(session)
	victim := w.pending(who)
	code := w.sent(victim)
	for name, p := range map[string]*mfa.Pending{"sign-in": w.pending(who), "step-up": stepUp} {
		w.unwritten(name, who, func() {
			for range 50 {
				_, right := p.Verify(t.Context(), answer(code))
				_, wrong := p.Verify(t.Context(), answer(wrongFor(code)))
				wantUncounted(t, name, right, mfa.ErrExpired)
				wantUncounted(t, name, wrong, mfa.ErrExpired)
				if fmt.Sprintf("%#v", right) != fmt.Sprintf("%#v", wrong) {
					t.Fatalf("%s: %#v for the code of another ceremony, %#v for another", name, right, wrong)
				}
			}
		})
	}
	if _, err := victim.Verify(t.Context(), answer(code)); err != nil {
		t.Error(err)
	}
}

// an enrolment's code confirms its own enrolment in its own session.
func TestEnrolmentsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	session := w.signIn(who)
	e, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: work})
	if err != nil {
		t.Fatal(err)
	}
	enrols := w.last()
	w.wait(time.Minute)
	p := w.pending(who)
	in := w.sent(p)
	other := w.signIn(who)
	if in == enrols {
		t.Skip("one in a million")
	}
	w.unwritten("across", who, func() {
		_, err := p.Verify(t.Context(), answer(enrols))
		wantUncounted(t, "an enrolment's code at a sign-in", err, mfa.ErrInvalid)
		_, err = w.guard.Settings(session).Confirm(t.Context(), e.ID, answer(in))
		wantUncounted(t, "a sign-in's code at an enrolment", err, mfa.ErrInvalid)
		_, err = w.guard.Settings(other).Confirm(t.Context(), e.ID, answer(enrols))
		wantUncounted(t, "the code in another session", err, mfa.ErrExpired)
	})
	if _, err := p.Verify(t.Context(), answer(in)); err != nil {
		t.Error(err)
	}
	if _, err := w.guard.Settings(session).Confirm(t.Context(), e.ID, answer(enrols)); err != nil {
		t.Error(err)
	}
}

// of 32 submissions of one right code at once one is accepted: at a
// sign-in, a step-up and an enrolment, also over two Guards on one store.
func TestOneOfMany(t *testing.T) {
	t.Parallel()
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	w := newWorld(t)
	session := w.person(who)
	_, second := w.another()
	guards := []*mfa.Guard{w.guard, second}
	count := func(what string, f func(i int) error) {
		t.Helper()
		errs := make([]error, 32)
		race(len(errs), func(i int) { errs[i] = f(i) })
		right := 0
		for _, err := range errs {
			switch {
			case err == nil:
				right++
			case !errors.Is(err, mfa.ErrExpired) && !errors.Is(err, mfa.ErrStepUpRequired) && !errors.Is(err, mfa.ErrBusy):
				t.Errorf("%s: %v", what, err)
			}
		}
		if right != 1 {
			t.Errorf("%s: %d of %d accepted", what, right, len(errs))
		}
	}
	for round := range rounds {
		p := w.pending(who)
		code := w.sent(p)
		count(fmt.Sprint("sign-in ", round), func(i int) error {
			own, err := guards[i%2].Resume(p.Token())
			if err != nil {
				return err
			}
			_, err = own.Verify(context.Background(), answer(code))
			return err
		})
		p = w.stepUp(session)
		code = w.sent(p)
		var renewed atomic.Pointer[mfa.Session]
		count(fmt.Sprint("step-up ", round), func(i int) error {
			g := guards[i%2]
			own, err := g.ResumeStepUp(g.Session(who, session.Token()), p.Token())
			if err != nil {
				return err
			}
			login, err := own.Verify(context.Background(), answer(code))
			if err == nil {
				renewed.Store(login.Session)
			}
			return err
		})
		session = renewed.Load()
		e, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: fmt.Sprintf("a%d@mail.example", round)})
		if err != nil {
			t.Fatal(err)
		}
		code = w.last()
		w.wait(time.Minute)
		count(fmt.Sprint("confirm ", round), func(i int) error {
			g := guards[i%2]
			c, err := g.Settings(g.Session(who, session.Token())).Confirm(context.Background(), e.ID, answer(code))
			if err == nil {
				renewed.Store(c.Session)
			}
			return err
		})
		session = renewed.Load()
		if s := w.summary(who); len(s.Factors) != 1 || s.Factors[0].ID != e.ID {
			t.Errorf("round %d: %+v", round, s.Factors)
		}
	}
}

// no new code, new sign-in or password takes a failure back: not of the
// pause, and not of the hundred in a row that end the factor.
func TestFailuresStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	p := w.pending(who)
	code := w.sent(p)
	for range 3 {
		_, err := p.Verify(t.Context(), answer(wrongFor(code)))
		want(t, "a wrong code", err, mfa.ErrInvalid)
	}
	for what, step := range map[string]func(){
		"a refused resend": func() { w.send(p); _, _ = p.Challenge(t.Context(), offer); w.wait(time.Minute) },
		"a new code":       func() { code = w.sent(p) },
		"a new sign-in":    func() { p = w.pending(who); code = w.sent(p) },
		"back and again":   func() { p = w.begin(w.guard, who, p.Token()).Pending; code = w.sent(p) },
	} {
		if step(); w.summary(who).Tries.Run != 3 || w.summary(who).Tries.Day != 3 {
			t.Errorf("%s after 3 failures: %+v", what, w.summary(who).Tries)
		}
	}
	w.wait(time.Hour)
	// 97 more, each after a new sign-in and a new code, with everything else out of
	// the way, end the factor
	for n := 3; n < vault.Consecutive; {
		if w.summary(who).Factors[0].Disabled {
			t.Fatalf("disabled after %d", n)
		}
		w.unlock(who)
		w.wait(6 * time.Hour)
		p := w.pending(who)
		code := w.sent(p)
		for range 4 {
			if n >= vault.Consecutive {
				break
			}
			_, err := p.Verify(t.Context(), answer(wrongFor(code)))
			want(t, "a wrong code", err, mfa.ErrInvalid)
			n++
		}
	}
	if !w.summary(who).Factors[0].Disabled {
		t.Error("a hundred failures in a row end nothing")
	}
	if _, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: who, By: mfa.ByPassword}); !errors.Is(err, mfa.ErrNoMethod) {
		t.Errorf("signing in with a factor that ended: %v", err)
	}
}

// the fifth wrong try ends the code also where the account's own limit would
// go on, and its count is in the save of the verdict.
func TestFifthTryEndsTheCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	p := w.pending(who)
	code := w.sent(p)
	other, _ := w.another()
	for i := range 5 {
		saves := w.store.saves.Load()
		_, err := p.Verify(t.Context(), answer(wrongFor(code)))
		want(t, "a wrong code", err, mfa.ErrInvalid)
		s, err := other.View(t.Context(), who)
		if err != nil || s.Tries.Run != i%4+1 || w.store.saves.Load() != saves+1 {
			t.Errorf("try %d: %d saves, %+v, %v", i+1, w.store.saves.Load()-saves, s, err)
		}
		if i == 3 {
			w.unlock(who) // the burst of the account begins anew: five more tries
		}
	}
	w.unwritten("the right code", who, func() {
		_, err := p.Verify(t.Context(), answer(code))
		wantUncounted(t, "the right code after five wrong ones", err, mfa.ErrExpired)
	})
	if _, err := p.Verify(t.Context(), answer(w.sent(p))); err != nil {
		t.Errorf("a new code: %v", err)
	}
}

// a new code ends the one before, of the same sign-in alone.
func TestResendEndsTheCodeBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	p, other := w.pending(who), w.pending(who)
	old, elsewhere, code := w.sent(p), w.sent(other), w.sent(p)
	if old != code {
		_, err := p.Verify(t.Context(), answer(old))
		want(t, "the code before", err, mfa.ErrInvalid)
	}
	if _, err := other.Verify(t.Context(), answer(elsewhere)); err != nil {
		t.Errorf("another sign-in's: %v", err)
	}
	if _, err := p.Verify(t.Context(), answer(code)); err != nil {
		t.Error(err)
	}
	_, err := p.Verify(t.Context(), answer(code))
	want(t, "the same again", err, mfa.ErrExpired)
}

// options that the standards do not allow are errors of mfa.New.
func TestOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := mail.Letter{Subject: "{{.Code}} for {{.Service}}", Text: "{{.Code}}", HTML: "<p>{{.Code}}"}
	for name, c := range map[string]struct {
		m  mfa.Method
		ok bool
	}{
		"none":         {emailotp.New(&w.out, nil), true},
		"all":          {emailotp.New(&w.out, &emailotp.Options{Digits: 10, TTL: time.Minute, Letters: map[string]mail.Letter{"fr": good}}), true},
		"own English":  {emailotp.New(&w.out, &emailotp.Options{Letters: map[string]mail.Letter{"en": good}}), true},
		"5 digits":     {emailotp.New(&w.out, &emailotp.Options{Digits: 5}), false},
		"11 digits":    {emailotp.New(&w.out, &emailotp.Options{Digits: 11}), false},
		"TTL too long": {emailotp.New(&w.out, &emailotp.Options{TTL: 10*time.Minute + 1}), false},
		"a short one":  {emailotp.New(&w.out, &emailotp.Options{TTL: 59 * time.Second}), false},
		"no sender":    {emailotp.New(nil, nil), false},
		"nil":          {(*emailotp.Method)(nil), false},
		"zero":         {&emailotp.Method{}, false},
		"no template":  {emailotp.New(&w.out, &emailotp.Options{Letters: map[string]mail.Letter{"fr": {Subject: "{{", Text: "x"}}}), false},
		"no field":     {emailotp.New(&w.out, &emailotp.Options{Letters: map[string]mail.Letter{"fr": {Subject: "x", Text: "{{.Password}}"}}}), false},
		"no text":      {emailotp.New(&w.out, &emailotp.Options{Letters: map[string]mail.Letter{"fr": {Subject: "x"}}}), false},
		"no tag":       {emailotp.New(&w.out, &emailotp.Options{Letters: map[string]mail.Letter{"": good}}), false},
		"English gone": {emailotp.New(&w.out, &emailotp.Options{Letters: map[string]mail.Letter{"en": {}}}), false},
	} {
		_, err := mfa.New(w.vault, mfa.Config{Service: "Acme", Methods: []mfa.Method{c.m}})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
		if c.m.Kind() != emailotp.Kind {
			t.Errorf("%s: kind %q", name, c.m.Kind())
		}
	}
}

// a code ends when it says, to the millisecond, and with the sign-in that it
// is for; the challenge and the mail tell the truth.
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		after   time.Duration // of the sign-in
		ttl     time.Duration // 0: ten minutes
		want    time.Duration
		minutes string
	}{
		{0, 0, 10 * time.Minute, "10 minutes"}, {4 * time.Minute, 0, 6 * time.Minute, "6 minutes"},
		{4*time.Minute + 30*time.Second, 0, 5*time.Minute + 30*time.Second, "6 minutes"},
		{10*time.Minute - time.Millisecond, 0, time.Millisecond, "1 minute"},
		{4 * time.Minute, 2 * time.Minute, 2 * time.Minute, "2 minutes"}, {9 * time.Minute, 2 * time.Minute, time.Minute, "1 minute"},
	} {
		for _, late := range []bool{false, true} {
			w := newWorld(t, func(w *world) {
				w.email = emailotp.New(&w.out, &emailotp.Options{TTL: c.ttl})
				w.cfg.Methods = []mfa.Method{w.email}
			})
			w.person(who)
			p := w.pending(who)
			w.wait(c.after)
			ch, err := p.Challenge(t.Context(), offer)
			if err != nil {
				t.Fatal(err)
			}
			mails := w.out.To(home)
			if !ch.Expires.Equal(w.time().Add(c.want)) || !strings.Contains(mails[len(mails)-1].Text, " "+c.minutes+",") {
				t.Errorf("%v, TTL %v: expires in %v, the mail says %q", c.after, c.ttl, ch.Expires.Sub(w.time()), mails[len(mails)-1].Text)
			}
			if !late {
				w.wait(c.want - time.Millisecond)
				if _, err := p.Verify(t.Context(), answer(w.last())); err != nil {
					t.Errorf("%v, TTL %v: at its last millisecond: %v", c.after, c.ttl, err)
				}
				continue
			}
			w.wait(c.want)
			_, err = p.Verify(t.Context(), answer(w.last()))
			wantUncounted(t, "at its end", err, mfa.ErrExpired)
		}
	}
}

// codes go to the confirmed address alone. A new one counts when it is
// confirmed; then the old one's codes die, and it is told.
func TestChangeOfAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	session := w.signIn(who)
	w.user(who, func(u *mfa.User) { u.Email = "mallory@evil.example" })
	e, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: work})
	if err != nil {
		t.Fatal(err)
	}
	confirms := w.last()
	if got := w.out.To(work); len(got) != 1 || codeIn(got[0].Message) != confirms {
		t.Fatalf("%d mails to the new address", len(got))
	}
	w.wait(time.Minute)
	p := w.pending(who)
	offers, err := p.Offers(t.Context())
	if err != nil || len(offers) != 1 || offers[0].Hint != "a…@mail.example" {
		t.Fatalf("%+v, %v", offers, err)
	}
	w.out.Clear()
	for _, o := range []mfa.Offer{offers[0], {Kind: emailotp.Kind, Hint: work, Name: work}, {Kind: emailotp.Kind}} {
		ch, err := p.Challenge(t.Context(), o)
		if err != nil || ch.Hint != "a…@mail.example" {
			t.Fatalf("%+v, %v", ch, err)
		}
		w.wait(time.Minute)
	}
	_, err = p.Challenge(t.Context(), mfa.Offer{Kind: emailotp.Kind, FactorID: e.ID})
	want(t, "a code to the address that is not confirmed", err, mfa.ErrNotEnrolled)
	if all := w.out.All(); len(all) != 3 || len(w.out.To(home)) != 3 {
		t.Fatalf("%d of %d mails to the confirmed address", len(w.out.To(home)), len(all))
	}
	code, epoch := w.last(), w.epoch(who)
	if login, err := w.pending(who).Verify(t.Context(), answer(code)); err == nil {
		t.Fatalf("%v", login)
	}
	w.happened("")
	change, err := w.guard.Settings(session).Confirm(t.Context(), e.ID, answer(confirms))
	if err != nil || change.Factor.Hint != "a…@work.example" {
		t.Fatalf("%+v, %v", change, err)
	}
	if es := w.happened(mfa.EventAddressChanged); len(es) != 1 || es[0].Old != home || es[0].Address != work || es[0].Kind != emailotp.Kind {
		t.Errorf("events %+v", es)
	}
	_, err = p.Verify(t.Context(), answer(code))
	wantUncounted(t, "the old address's code", err, mfa.ErrExpired)
	if s := w.summary(who); len(s.Factors) != 1 || s.Factors[0].ID != e.ID || s.Drafts != 0 {
		t.Errorf("%+v", s)
	}
	if w.epoch(who) == epoch {
		t.Error("the epoch stays")
	}
	wantStepUpFirst(t, w.guard.Require(t.Context(), session, mfa.Rule{}))
	w.wait(time.Minute)
	w.out.Clear()
	if w.signIn(who); len(w.out.To(work)) != 1 || len(w.out.All()) != 1 {
		t.Error("the next code went elsewhere")
	}
}

func (w *world) epoch(id string) string {
	w.Helper()
	e, err := vault.Read(context.Background(), w.vault, id, func(a *vault.Account) (string, error) { return a.Epoch(), nil })
	if err != nil {
		w.Fatal(err)
	}
	return e
}

func wantStepUpFirst(t *testing.T, err error) {
	t.Helper()
	var missing *mfa.StepUpError
	if !errors.As(err, &missing) || !missing.First {
		t.Errorf("a session of before the change: %v", err)
	}
}

// when the profile's address changes, what is out dies, and an advice asks
// for the new one until it is confirmed. An address that never was the profile's
// is none of its business.
func TestAddressChanged(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		w := newWorld(t)
		w.person(who)
		if !own { // a private address beside the profile's
			w.enroll(w.signIn(who), "private@mail.example")
		}
		p := w.pending(who)
		code := w.sent(p)
		w.user(who, func(u *mfa.User) { u.Email = work })
		w.happened("")
		if err := w.guard.AddressChanged(t.Context(), who, home); err != nil {
			t.Fatal(err)
		}
		if es := w.happened(mfa.EventAddressChanged); len(es) != 1 || es[0].Old != home || es[0].Address != work || es[0].Kind != "" {
			t.Errorf("events %+v", es)
		}
		_, err := p.Verify(t.Context(), answer(code))
		wantUncounted(t, "a code that was out", err, mfa.ErrExpired)
		stale := func() (advised bool) {
			o, err := w.guard.Admin("root").Overview(t.Context(), who)
			if err != nil || len(o.Factors) != 1 {
				t.Fatalf("%+v, %v", o, err)
			}
			advised = slices.Contains(o.Advice, mfa.AdviceStale)
			if advised != o.Factors[0].Stale {
				t.Errorf("stale %t, advice %v", o.Factors[0].Stale, o.Advice)
			}
			return advised
		}
		if stale() != own {
			t.Errorf("the profile's own address %t: stale %t", own, !own)
		}
		w.out.Clear()
		session := w.signIn(who)
		if len(w.out.To(work)) != 0 {
			t.Error("a code went to an address that nobody confirmed")
		}
		if stale() != own {
			t.Error("signing in changes it")
		}
		w.enroll(session, "")
		if len(w.out.To(work)) != 1 || stale() {
			t.Errorf("the new address is confirmed, and stale %t", stale())
		}
	}
}

// a counting sender looks at nothing.
type blind struct {
	calls atomic.Int64
	last  mail.Message
}

func (b *blind) Send(_ context.Context, m mail.Message) error {
	b.calls.Add(1)
	b.last = m
	return nil
}

// what is not one bare address is refused before anything is written or
// sent, in no time.
func TestNastyAddresses(t *testing.T) {
	t.Parallel()
	s := &blind{}
	w := newWorld(t, func(w *world) {
		w.email = emailotp.New(s, nil)
		w.cfg.Methods = []mfa.Method{w.email}
	})
	session := w.begin(w.guard, who, "").Session
	began := time.Now()
	for _, address := range []string{
		"a@b.example\r\nBcc: x@evil.example", "a@b.example\n", "a\r@b.example", "a@b.example\x00", "\x00@b.example", "a@b.example,c@d.example",
		"a@b.example; c@d.example", "a@b.example c@d.example", "Anna <a@b.example>", "<a@b.example>", `"a b"@b.example`, `"a\"@evil.example"@b.example`,
		"a@[127.0.0.1]", "a@127.0.0.1", "a(comment)@b.example", "a@b@c.example", "@b.example", "a@", "a", "mailto:a@b.example?cc=x@y.example",
		".a@b.example", "a..b@c.example", "a.@b.example", "a@-b.example", "a@b..example", "a@b.example.", "a@bücher.example", "ä@b.example",
		"a@b.example\u202e", "ａ@b.example", "a\u200b@b.example", strings.Repeat("a", 65) + "@b.example", strings.Repeat("a", 10<<20) + "@b.example",
		"a@" + strings.Repeat("b.", 5<<20) + "example", strings.Repeat("@", 10<<20), strings.Repeat(" ", 10<<20), strings.Repeat("\r\n", 5<<20),
		"a@" + strings.Repeat("b.", 130) + "example", "\u00a0a@b.example", "a\t@b.example",
	} {
		_, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: address})
		if !errors.Is(err, mfa.ErrArgument) || len(err.Error()) > 200 || len(address) > 1 && strings.Contains(err.Error(), address) {
			t.Errorf("%.60q: %.200v", address, err)
		}
		w.user("odd", func(u *mfa.User) { u.Email = address })
		odd := w.begin(w.guard, "odd", "").Session
		if _, err := w.guard.Settings(odd).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind}); !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%.60q in a profile: %.200v", address, err)
		}
	}
	if s.calls.Load() != 0 || w.store.saves.Load() != 0 {
		t.Errorf("%d sent, %d saved", s.calls.Load(), w.store.saves.Load())
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: "  Anna.M+x@B.Example\t"}); err != nil || s.last.To != "Anna.M+x@b.example" {
		t.Errorf("sent to %q, %v", s.last.To, err)
	}
}

// no name reaches a header or becomes HTML, and none keeps the code from
// being sent.
func TestOddNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10<<20)
	for _, name := range []string{
		"Anna\r\nBcc: x@evil.example\r\n\r\nbody", "\x00\x01\x1b[31m", "\u202eanna\u202c", "<script>alert(1)</script>", `"><img src=x onerror=1>`, "{{.Code}}",
		long, strings.Repeat("\r\n", 1<<20), strings.Repeat("\u202e", 1<<20), "\xff\xfe", strings.Repeat("字", 5000), "'; --", "", strings.Repeat("𠮷", 64), strings.Repeat("𠮷", 5000),
	} {
		s := &blind{}
		w := newWorld(t, func(w *world) {
			w.email = emailotp.New(s, nil)
			w.cfg.Methods = []mfa.Method{w.email}
		})
		w.user(who, func(u *mfa.User) { u.DisplayName, u.Service, u.Locale, u.Name = name, name, name, name })
		began := time.Now()
		if _, err := w.guard.Settings(w.begin(w.guard, who, "").Session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind}); err != nil {
			t.Errorf("%.40q: %.200v", name, err)
			continue
		}
		m := s.last
		if err := m.Check(); err != nil || m.To != home || codeIn(m) == "" || s.calls.Load() != 1 {
			t.Errorf("%.40q: %d sent, %v", name, s.calls.Load(), err)
		}
		if strings.ContainsAny(m.Subject, "\r\n\x00\u202e") || len(m.Subject) > 512 || strings.ContainsAny(m.Text, "\x00\x1b\u202e") || len(m.Text) > 2000 {
			t.Errorf("%.40q: subject %.300q", name, m.Subject)
		}
		for _, bad := range []string{"<script", "<img", "\u202e", "\x00"} {
			if strings.Contains(m.HTML, bad) {
				t.Errorf("%.40q: the HTML has %q", name, bad)
			}
		}
		if strings.Contains(m.Text, "\nBcc:") || strings.Count(m.Text, codeIn(m)) != 1 {
			t.Errorf("%.40q: the text is %q", name, m.Text)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%.40q: took %v", name, took)
		}
	}
	for _, tenant := range []string{"acme\r\nBcc: x@evil.example", long, "\x00"} { // of which a sender could make a header
		s := &blind{}
		w := newWorld(t, func(w *world) {
			w.email = emailotp.New(s, nil)
			w.cfg.Methods = []mfa.Method{w.email}
		})
		w.user(who, func(u *mfa.User) { u.Tenant = tenant })
		_, err := w.guard.Settings(w.begin(w.guard, who, "").Session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
		if !errors.Is(err, mail.ErrMessage) || s.calls.Load() != 0 {
			t.Errorf("tenant %.40q: %.200v, sent %d", tenant, err, s.calls.Load())
		}
	}
}

// A service may have a name of 64 letters, whatever their bytes: it stands in every
// subject whole, and stops no code.
func TestLongServiceName(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("𠮷", 64)
	for _, locale := range []string{"en", "de"} {
		for what, set := range map[string]func(*world){
			"of the configuration": func(w *world) { w.cfg.Service = name },
			"of the user":          func(w *world) { w.users[who] = mfa.User{Email: home, Service: name} },
		} {
			w := newWorld(t, set)
			w.user(who, func(u *mfa.User) { u.Locale = locale })
			session := w.person(who)
			w.signIn(who)
			w.sent(w.stepUp(session))
			mails := w.out.To(home)
			if len(mails) != 3 {
				t.Errorf("%s %s: %d mails of 3", locale, what, len(mails))
			}
			for _, m := range mails {
				if !strings.Contains(m.Subject, name) || !strings.Contains(m.Text, name) {
					t.Errorf("%s %s: subject %q", locale, what, m.Subject)
				}
			}
		}
	}
}

// Config.Limit is asked about each answer and each message, where it
// goes included. It can only refuse, and so does its failure.
func TestLimitHook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, asked)
	client := mfa.Client{IP: "192.0.2.7", Agent: "test"}
	ctx := mfa.WithClient(t.Context(), client)
	session := w.begin(w.guard, who, "").Session
	steps := []struct {
		name string
		want mfa.Use
		run  func(ctx context.Context) error
	}{}
	var e *mfa.Enrollment
	var p *mfa.Pending
	var code string
	add := func(name string, u mfa.Use, run func(context.Context) error) {
		u.UserID, u.Kind, u.Client = who, emailotp.Kind, client
		steps = append(steps, struct {
			name string
			want mfa.Use
			run  func(ctx context.Context) error
		}{name, u, run})
	}
	add("enroll", mfa.Use{Purpose: mfa.PurposeConfirm, Address: home}, func(ctx context.Context) (err error) {
		got, err := w.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: " anna@MAIL.example"})
		if err == nil {
			e, code = got, w.last()
		}
		return err
	})
	add("confirm", mfa.Use{Purpose: mfa.PurposeConfirm}, func(ctx context.Context) error {
		c, err := w.guard.Settings(session).Confirm(ctx, e.ID, answer(code))
		if err == nil {
			session = c.Session
			w.wait(time.Minute)
			p = w.pending(who)
		}
		return err
	})
	add("challenge", mfa.Use{Purpose: mfa.PurposeSignIn, Address: home}, func(ctx context.Context) error {
		_, err := p.Challenge(ctx, offer)
		if err == nil {
			code = w.last()
		}
		return err
	})
	add("verify", mfa.Use{Purpose: mfa.PurposeSignIn}, func(ctx context.Context) error {
		_, err := p.Verify(ctx, answer(code))
		if err == nil {
			p = w.stepUp(session)
		}
		return err
	})
	add("challenge to step up", mfa.Use{Purpose: mfa.PurposeStepUp, Address: home}, func(ctx context.Context) error {
		_, err := p.Challenge(ctx, offer)
		if err == nil {
			code = w.last()
		}
		return err
	})
	add("step up", mfa.Use{Purpose: mfa.PurposeStepUp}, func(ctx context.Context) error {
		_, err := p.Verify(ctx, answer(code))
		return err
	})
	down := errors.New("the limiter is down")
	refusals := map[string]func(mfa.Use) error{
		"limit":   func(mfa.Use) error { return &mfa.LimitError{RetryAfter: 17 * time.Second} },
		"failure": func(mfa.Use) error { return down },
		"panic":   func(mfa.Use) error { panic("secret") },
	}
	for _, s := range steps {
		for name, refuse := range refusals {
			mails, saves := len(w.out.All()), w.store.saves.Load()
			w.limit = refuse
			err := s.run(ctx)
			var limit *mfa.LimitError
			switch {
			case name == "limit" && (!errors.As(err, &limit) || limit.RetryAfter != 17*time.Second):
				t.Errorf("%s, %s: %v", s.name, name, err)
			case name != "limit" && (err == nil || errors.Is(err, mfa.ErrRejected) || strings.Contains(err.Error(), "secret")):
				t.Errorf("%s, %s: %v", s.name, name, err)
			case name == "failure" && !errors.Is(err, down):
				t.Errorf("%s, %s: %v", s.name, name, err)
			}
			if len(w.out.All()) != mails || w.store.saves.Load() != saves {
				t.Errorf("%s, %s: refused, and %d mails, %d saves", s.name, name, len(w.out.All())-mails, w.store.saves.Load()-saves)
			}
		}
		w.limit, w.uses = nil, nil
		if err := s.run(ctx); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if len(w.uses) != 1 || w.uses[0] != s.want {
			t.Errorf("%s: asked about %+v, want %+v", s.name, slices.Concat(w.uses), s.want)
		}
	}
	// it cannot allow what is not: the library's own limits hold
	w.limit = func(mfa.Use) error { return nil }
	w.wait(time.Hour)
	p = w.pending(who)
	w.send(p)
	_, err := p.Challenge(ctx, offer)
	want(t, "at once", err, mfa.ErrTooMany)
	for range 6 {
		_, err = p.Verify(ctx, answer(wrongFor(w.last())))
	}
	want(t, "guesses without end", err, mfa.ErrTooMany)
	// without the first factor it is not asked
	w.uses = nil
	for _, token := range []string{"", "x", p.Token() + "A", p.Token()[1:], session.Token()} {
		if p, err := w.guard.Resume(token); err == nil {
			t.Errorf("%v is a sign-in", p)
		}
	}
	_, _ = (&mfa.Pending{}).Challenge(ctx, offer)
	_, _ = (&mfa.Pending{}).Verify(ctx, answer("000000"))
	if len(w.uses) != 0 {
		t.Errorf("asked about %+v", w.uses)
	}
	// nor without what it takes to enrol: no address is looked up or counted
	w.wait(time.Hour)
	for range 20 {
		_, err := w.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: "victim@mail.example"})
		want(t, "enrolling in a session that is not fresh", err, mfa.ErrStepUpRequired)
	}
	if len(w.uses) != 0 {
		t.Errorf("asked about %+v", w.uses)
	}
}

// what is refused anyway, or sends nothing, is not counted by Config.Limit:
// nobody uses up what is meant for somebody else's address or tries.
func TestLimitIsNotAskedInVain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, asked)
	w.person(who)
	none := func(what string) {
		t.Helper()
		if len(w.uses) != 0 {
			t.Errorf("%s: asked about %+v", what, w.uses)
		}
		w.uses = nil
	}
	once := func(what string, want mfa.Use) {
		t.Helper()
		want.Kind = emailotp.Kind
		if len(w.uses) != 1 || w.uses[0] != want {
			t.Errorf("%s: asked about %+v, want %+v", what, w.uses, want)
		}
		w.uses = nil
	}
	w.uses = nil

	// a sign-in that is over, for three reasons
	for what, end := range map[string]func(p *mfa.Pending) error{
		"the password was changed": func(*mfa.Pending) error { return w.guard.PasswordChanged(t.Context(), who) },
		"it took too long":         func(*mfa.Pending) error { w.wait(time.Hour); return nil },
		"it was cancelled":         func(p *mfa.Pending) error { return p.Cancel(t.Context()) },
	} {
		p := w.pending(who)
		if err := end(p); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			_, err := p.Challenge(t.Context(), offer)
			want(t, what+": Challenge", err, mfa.ErrExpired)
			_, err = p.Verify(t.Context(), answer("123456"))
			want(t, what+": Verify", err, mfa.ErrExpired)
		}
		none(what)
	}

	// one under way: when something is sent and when something is judged
	w.wait(time.Hour)
	p := w.pending(who)
	w.send(p)
	once("sent", mfa.Use{UserID: who, Purpose: mfa.PurposeSignIn, Address: home})
	_, err := p.Challenge(t.Context(), offer)
	want(t, "at once", err, mfa.ErrTooMany)
	none("in the pause")
	if _, err := p.Verify(t.Context(), answer(wrongFor(w.last()))); !errors.Is(err, mfa.ErrInvalid) {
		t.Error(err)
	}
	once("judged", mfa.Use{UserID: who, Purpose: mfa.PurposeSignIn})

	// a stranger enrols the address: past his own limits it costs the owner nothing
	w.user("mallory", func(u *mfa.User) { u.Email = "mallory@evil.example" })
	s := w.begin(w.guard, "mallory", "").Session
	enroll := func(address string) (*mfa.Enrollment, error) {
		return w.guard.Settings(s).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: address})
	}
	mails := len(w.out.All())
	if _, err := enroll(home); err != nil {
		t.Fatal(err)
	}
	once("enrolled", mfa.Use{UserID: "mallory", Purpose: mfa.PurposeConfirm, Address: home})
	for range 10 {
		e, err := enroll(home)
		if err != nil || !e.Challenge.Earlier {
			t.Fatalf("the same address again: %v, %v", e, err)
		}
		_, err = enroll(work)
		want(t, "another address in the pause", err, mfa.ErrTooMany)
	}
	none("an enrolment that is refused or has its code")
	if n := len(w.out.All()) - mails; n != 1 {
		t.Errorf("%d mails, want 1", n)
	}

	// also where one must enrol to sign in
	w.user("new", func(u *mfa.User) { u.Email, u.Policy.Demand = "new@mail.example", mfa.Required })
	p = w.pending("new")
	begin := mfa.NewFactor{Kind: emailotp.Kind}
	if _, err := p.Enroll(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	once("forced", mfa.Use{UserID: "new", Purpose: mfa.PurposeConfirm, Address: "new@mail.example"})
	if e, err := p.Enroll(t.Context(), begin); err != nil || !e.Challenge.Earlier {
		t.Errorf("forced, again: %v, %v", e, err)
	}
	if err := p.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = p.Enroll(t.Context(), begin)
	want(t, "forced, over", err, mfa.ErrExpired)
	none("a forced enrolment that is over or has its code")
}

// thirty mails a day are the most, whoever types all their codes in.
func TestThirtyADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.time()
	session := w.person(who) // one
	for range 28 {
		w.signIn(who)
	}
	e, err := w.guard.Settings(w.signIn(who)).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: work})
	var limit *mfa.LimitError
	if !errors.As(err, &limit) || e != nil {
		t.Fatalf("an enrolment, the thirty-first: %v, %v", e, err)
	}
	step := w.stepUp(session) // waits
	for what, p := range map[string]*mfa.Pending{"sign-in": w.pending(who), "step-up": step} {
		w.unwritten(what, who, func() {
			if _, err := p.Challenge(t.Context(), offer); !errors.As(err, &limit) || limit.RetryAfter != first.Add(24*time.Hour).Sub(w.time()) {
				t.Errorf("%s, the thirty-first: %v", what, err)
			}
		})
	}
	if n := len(w.out.All()); n != 30 {
		t.Errorf("%d mails", n)
	}
	w.person("bob")
	w.wait(24*time.Hour - w.time().Sub(first))
	w.signIn(who)
}

// who goes back and enrols the same address again gets the enrolment that
// the code in hand confirms, also where nothing is set up and something must be.
func TestEnrolledAgain(t *testing.T) {
	t.Parallel()
	for name, forced := range map[string]bool{"settings": false, "forced": true} {
		w := newWorld(t)
		var p *mfa.Pending
		var session *mfa.Session
		if forced {
			w.user(who, func(u *mfa.User) { u.Policy.Demand = mfa.Required })
			p = w.pending(who)
		} else {
			session = w.begin(w.guard, who, "").Session
		}
		enroll := func(address string) (*mfa.Enrollment, error) {
			n := mfa.NewFactor{Kind: emailotp.Kind, Address: address}
			if forced {
				return p.Enroll(t.Context(), n)
			}
			return w.guard.Settings(session).Enroll(t.Context(), n)
		}
		first, err := enroll("")
		if err != nil {
			t.Fatal(err)
		}
		code, mails := w.last(), len(w.out.All())
		w.wait(30 * time.Second)
		for range 3 {
			e, err := enroll(" anna@MAIL.example")
			if err != nil || e.ID != first.ID || e.Challenge == nil || !e.Challenge.Expires.Equal(first.Challenge.Expires) ||
				!e.Challenge.Resend.Equal(first.Challenge.Resend) || e.Challenge.Hint != "a…@mail.example" {
				t.Fatalf("%s: again: %v, %v", name, e, err)
			}
			if forced { // back to the password, and on again
				p = w.begin(w.guard, who, p.Token()).Pending
			}
		}
		_, err = enroll(work)
		want(t, name+": another address", err, mfa.ErrTooMany)
		other := w.begin(w.guard, who, "")
		if forced {
			_, err = other.Pending.Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
		} else {
			_, err = w.guard.Settings(other.Session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
		}
		want(t, name+": another session", err, mfa.ErrTooMany)
		if n := len(w.out.All()) - mails; n != 0 {
			t.Errorf("%s: %d more mails", name, n)
		}
		if forced {
			_, err = p.Confirm(t.Context(), first.ID, answer(code))
		} else {
			_, err = w.guard.Settings(session).Confirm(t.Context(), first.ID, answer(code))
		}
		if err != nil {
			t.Errorf("%s: the code in hand: %v", name, err)
		}
	}
}

// the same address enrolled again is no change of address, and no mail says
// that it is.
func TestSameAddressAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	session := w.signIn(who)
	w.happened("")
	before := w.summary(who).Factors[0].ID
	w.enroll(session, " anna@MAIL.example")
	added := w.eventsOf(mfa.EventFactorAdded)
	if es := w.happened(mfa.EventAddressChanged); len(es) != 0 {
		t.Errorf("told as %+v", es)
	}
	if len(added) != 1 || added[0].Address != home || added[0].Old != "" {
		t.Errorf("events %+v", added)
	}
	if s := w.summary(who); len(s.Factors) != 1 || s.Factors[0].ID == before {
		t.Errorf("%+v", s.Factors)
	}
	w.enroll(w.signIn(who), work)
	if es := w.happened(mfa.EventAddressChanged); len(es) != 1 || es[0].Address != work || es[0].Old != home {
		t.Errorf("another address: %+v", es)
	}
}

// of what could not be sent the caller is told, the user may ask again at
// once, the hour is not given back, and no verdict has the mail server's words.
func TestFailedSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, asked)
	w.person(who)
	p := w.pending(who)
	down := errors.New("smtp.internal said 451 no")
	w.out.Fail(down)
	w.happened("")
	for i := range 5 {
		ch, err := p.Challenge(t.Context(), offer)
		var failed *mfa.EffectError
		if !errors.As(err, &failed) || !errors.Is(err, down) || errors.Is(err, mfa.ErrRejected) || ch == nil || ch.Kind != emailotp.Kind || !ch.Resend.IsZero() {
			t.Fatalf("try %d: %v, %v", i+1, ch, err)
		}
		if es := w.happened(mfa.EventDeliveryFailed); len(es) != 1 || es[0].Kind != emailotp.Kind || !errors.Is(es[0].Err, down) ||
			es[0].Address != home || es[0].UserID != who || es[0].Purpose != mfa.PurposeSignIn || es[0].Of != "" {
			t.Errorf("try %d: events %+v", i+1, es)
		}
	}
	var limit *mfa.LimitError
	if _, err := p.Challenge(t.Context(), offer); !errors.As(err, &limit) || limit.RetryAfter != time.Hour || strings.Contains(err.Error(), "smtp") {
		t.Errorf("after five: %v", err)
	}
	w.wait(time.Hour)
	p = w.pending(who)
	// it failed after the server had taken it: the code that came is good
	taken := &late{to: &w.out, err: down}
	w.email = emailotp.New(taken, nil)
	w.cfg.Methods = []mfa.Method{w.email}
	_, g := w.another()
	w.out.Fail(nil)
	p, err := g.Resume(p.Token())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Challenge(t.Context(), offer); !errors.Is(err, down) {
		t.Fatal(err)
	}
	code := w.last()
	_, err = p.Verify(t.Context(), answer(wrongFor(code)))
	if !errors.Is(err, mfa.ErrInvalid) || strings.Contains(err.Error(), "smtp") {
		t.Errorf("a verdict says %v", err)
	}
	w.wait(10*time.Minute - time.Millisecond)
	if _, err := p.Verify(t.Context(), answer(code)); err != nil {
		t.Errorf("the code that came after all: %v", err)
	}
}

// late is a Sender that sends and says that it did not.
type late struct {
	to  mail.Sender
	err error
}

func (l *late) Send(ctx context.Context, m mail.Message) error {
	return errors.Join(l.to.Send(ctx, m), l.err)
}

// an enrolment whose code could not be sent stands, and its code can
// be sent again at once.
func TestFailedEnrolment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.begin(w.guard, who, "").Session
	w.out.Fail(errors.New("down"))
	e, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
	var failed *mfa.EffectError
	if !errors.As(err, &failed) || e == nil || e.Challenge == nil || !e.Challenge.Resend.IsZero() {
		t.Fatalf("%v, %v", e, err)
	}
	if es := w.happened(mfa.EventDeliveryFailed); len(es) != 1 || es[0].Purpose != mfa.PurposeConfirm || es[0].Address != home {
		t.Errorf("%+v", es)
	}
	w.out.Fail(nil)
	again, err := w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
	if err != nil || again.ID != e.ID {
		t.Fatalf("%v, %v", again, err)
	}
	if _, err := w.guard.Settings(session).Confirm(t.Context(), e.ID, answer(w.last())); err != nil {
		t.Error(err)
	}
}

// a sign-in by email says so, and a rule for more than that is not met by
// it: not offered, not enrolled, not satisfied.
func TestSaysWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.cfg.Methods = []mfa.Method{backupcodes.New(&backupcodes.Options{Chars: 24}), w.email, w.app}
	})
	w.person(who)
	w.withApp(w.signIn(who))
	offers, err := w.pending(who).Offers(t.Context())
	if err != nil || len(offers) != 3 || offers[0].Kind != totp.Kind || offers[1].Kind != emailotp.Kind || offers[2].Kind != backupcodes.Kind {
		t.Fatalf("%+v, %v", offers, err)
	}
	if o := offers[1]; !o.Challenge || !o.Traits.OutOfBand || o.Traits.PhishingResistant || o.Traits.Recovery {
		t.Errorf("%+v", o)
	}
	s := w.signIn(who)
	if ps := s.Proofs(); len(ps) != 1 || ps[0].Kind != emailotp.Kind || !ps[0].Traits.OutOfBand || ps[0].Traits.PhishingResistant {
		t.Errorf("proofs %+v", ps)
	}
	if err := w.guard.Require(t.Context(), s, mfa.Rule{}); err != nil {
		t.Errorf("the plain rule: %v", err)
	}
	for name, r := range map[string]mfa.Rule{"phishing-resistant": {PhishingResistant: true}, "not by email": {Not: []mfa.Kind{emailotp.Kind}}} {
		var missing *mfa.StepUpError
		if err := w.guard.Require(t.Context(), s, r); !errors.As(err, &missing) || slices.ContainsFunc(missing.Offers, func(o mfa.Offer) bool { return o.Kind == emailotp.Kind }) {
			t.Errorf("%s: %v", name, err)
		}
		login, err := w.guard.StepUp(t.Context(), s, r)
		if r.PhishingResistant {
			if !errors.As(err, &missing) || !missing.Enroll {
				t.Errorf("%s: %v, %v", name, login, err)
			}
		} else {
			if err != nil {
				t.Fatal(err)
			}
			mails := len(w.out.All())
			_, err := login.Pending.Challenge(t.Context(), offer)
			want(t, name, err, mfa.ErrArgument)
			_, err = login.Pending.Verify(t.Context(), answer("000000"))
			want(t, name, err, mfa.ErrInvalid)
			if len(w.out.All()) != mails {
				t.Errorf("%s: sent", name)
			}
		}
		// and as the policy of a user
		w.user(who, func(u *mfa.User) { u.Policy.Rule = r })
		if err := w.guard.Require(t.Context(), s, mfa.Rule{}); !errors.As(err, &missing) && !errors.Is(err, mfa.ErrNoMethod) {
			t.Errorf("%s as a policy: %v", name, err)
		}
		mails := len(w.out.All())
		if _, err := w.guard.Settings(s).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: work}); !errors.Is(err, mfa.ErrNoMethod) {
			t.Errorf("%s as a policy: enrols: %v", name, err)
		}
		login, err = w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: who, By: mfa.ByPassword})
		if r.PhishingResistant {
			want(t, name+" as a policy", err, mfa.ErrNoMethod)
		} else {
			offers, err := login.Pending.Offers(t.Context())
			if err != nil || slices.ContainsFunc(offers, func(o mfa.Offer) bool { return o.Kind == emailotp.Kind }) {
				t.Errorf("%s as a policy: %+v, %v", name, offers, err)
			}
			_, err = login.Pending.Challenge(t.Context(), offer)
			want(t, name+" as a policy", err, mfa.ErrArgument)
		}
		if len(w.out.All()) != mails {
			t.Errorf("%s as a policy: sent", name)
		}
		// who has nothing is not sent to enrol it
		w.user("new", func(u *mfa.User) { u.Email, u.Policy = home, mfa.Policy{Demand: mfa.Required, Rule: r} })
		login, err = w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: "new", By: mfa.ByPassword})
		if err == nil {
			_, err = login.Pending.Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
		}
		want(t, name+", nothing set up", err, mfa.ErrNoMethod)
		w.user(who, func(u *mfa.User) { u.Policy = mfa.Policy{} })
	}
}

// the spellings of people are one code, and one that was used is used in
// all of them; what is no code is no try.
func TestSpellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	good := []func(string) string{
		func(c string) string { return c }, func(c string) string { return c[:3] + " " + c[3:] }, func(c string) string { return c[:2] + "-" + c[2:4] + "-" + c[4:] },
		func(c string) string { return "  " + c + " " },
	}
	none := []func(string) string{
		func(c string) string { return "+" + c }, func(c string) string { return c + "\x00" }, func(c string) string { return c + "\n" },
		func(c string) string { return strings.Map(func(r rune) rune { return r - '0' + '０' }, c) }, func(c string) string { return c + "0" },
		func(c string) string { return c[:5] }, func(string) string { return "" },
	}
	for i, spell := range good {
		p := w.pending(who)
		code := w.sent(p)
		w.unwritten("no code", who, func() {
			for j, f := range none {
				_, err := p.Verify(t.Context(), answer(f(code)))
				wantUncounted(t, fmt.Sprint("no code ", j), err, mfa.ErrInvalid)
			}
		})
		if _, err := p.Verify(t.Context(), answer(spell(code))); err != nil {
			t.Errorf("spelling %d: %v", i, err)
		}
		for j, f := range good {
			for what, p := range map[string]*mfa.Pending{"the same sign-in": p, "another": w.pending(who)} {
				if _, err := p.Verify(t.Context(), answer(f(code))); !errors.Is(err, mfa.ErrRejected) {
					t.Errorf("used in spelling %d, then in %d at %s: %v", i, j, what, err)
				}
			}
		}
	}
}

// back, the password again, and the code in hand still works; in a sign-in
// that is another one it is no try.
func TestBackAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(who)
	p := w.pending(who)
	code := w.sent(p)
	w.wait(3 * time.Minute)
	fresh := w.pending(who)
	w.unwritten("another sign-in", who, func() {
		_, err := fresh.Verify(t.Context(), answer(code))
		wantUncounted(t, "a new sign-in, nothing sent", err, mfa.ErrExpired)
	})
	if own := w.sent(fresh); own != code {
		w.unwritten("another sign-in", who, func() {
			_, err := fresh.Verify(t.Context(), answer(code))
			wantUncounted(t, "a new sign-in, another code sent", err, mfa.ErrInvalid)
		})
	}
	again := w.begin(w.guard, who, p.Token()).Pending
	login, err := again.Verify(t.Context(), answer(code))
	if err != nil || login.Session == nil {
		t.Errorf("with Resume: %v", err)
	}
	// resuming prolongs the sign-in, not the code
	p = w.pending(who)
	code = w.sent(p)
	for range 3 {
		w.wait(3 * time.Minute)
		p = w.begin(w.guard, who, p.Token()).Pending
	}
	_, err = p.Verify(t.Context(), answer(code))
	wantUncounted(t, "a code that was carried past its time", err, mfa.ErrExpired)
	// somebody else's token resumes nothing
	w.person("bob")
	p = w.pending(who)
	code = w.sent(p)
	stranger := w.begin(w.guard, "bob", p.Token()).Pending
	_, err = stranger.Verify(t.Context(), answer(code))
	want(t, "another user resumes", err, mfa.ErrRejected)
}

// a mail goes out after the save, once, also when the save had to be tried
// again; none for what was not saved; the caller's end does not stop it.
func TestMailAfterTheSave(t *testing.T) {
	t.Parallel()
	var w *world
	var at atomic.Int64
	var hangUp context.CancelFunc = func() {}
	watch := sender(func(ctx context.Context, m mail.Message) error {
		at.Store(w.store.saves.Load())
		hangUp()
		if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
			t.Errorf("the context of a sender: %v, with an end: %t", ctx.Err(), ok)
		}
		return w.out.Send(ctx, m)
	})
	w = newWorld(t, func(w *world) {
		w.email = emailotp.New(watch, nil)
		w.cfg.Methods = []mfa.Method{w.email}
	})
	w.person(who)
	for _, lost := range []int64{0, 1, 4} {
		p := w.pending(who)
		saves, mails := w.store.saves.Load(), len(w.out.All())
		w.store.lose.Store(lost)
		ctx, cancel := context.WithCancel(t.Context())
		hangUp = cancel
		if _, err := p.Challenge(ctx, offer); err != nil {
			t.Errorf("%d conflicts: %v", lost, err)
		}
		hangUp = func() {}
		if n := len(w.out.All()) - mails; n != 1 || at.Load() != saves+1 {
			t.Errorf("%d conflicts: %d mails, the first after save %d of %d", lost, n, at.Load(), saves+1)
		}
		if _, err := p.Verify(t.Context(), answer(w.last())); err != nil {
			t.Errorf("%d conflicts: the mail has another code than was saved: %v", lost, err)
		}
		w.wait(time.Minute)
	}
	p, mails := w.pending(who), len(w.out.All())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Challenge(ctx, offer); err == nil || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a caller who hung up before: %v", err)
	}
	if len(w.out.All()) != mails {
		t.Error("what was not saved is sent")
	}
}

type sender func(context.Context, mail.Message) error

func (s sender) Send(ctx context.Context, m mail.Message) error { return s(ctx, m) }

// Where a tenant has no server, the method is withheld and the developer told why;
// whose only factor it is gets ErrNoMethod, and is not "without anything".
func TestWithheld(t *testing.T) {
	t.Parallel()
	var routed atomic.Bool
	routed.Store(true)
	w := newWorld(t, func(w *world) {
		w.email = emailotp.New(mail.Route(func(_ context.Context, tenant string) (mail.Sender, error) {
			if tenant == "acme" && routed.Load() {
				return &w.out, nil
			}
			return nil, nil
		}), nil)
		w.cfg.Methods = []mfa.Method{w.email, w.app}
		w.users[who] = mfa.User{Email: home, Tenant: "acme"}
	})
	session := w.person(who)
	p := w.pending(who)
	code := w.sent(p)
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, mfa.ErrNoMethod) || !errors.Is(err, mail.ErrNoSender) || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", what, err)
		}
	}
	routed.Store(false)
	login, err := w.guard.Begin(t.Context(), mfa.FirstFactor{UserID: who, By: mfa.ByPassword})
	if check("Begin", err); login != nil {
		t.Fatalf("%v", login)
	}
	_, err = p.Offers(t.Context())
	check("Offers", err)
	_, err = w.guard.Settings(session).Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: work})
	check("Enroll", err)
	w.wait(time.Hour)
	check("Require", w.guard.Require(t.Context(), session, mfa.Rule{}))
	_, err = w.guard.StepUp(t.Context(), session, mfa.Rule{})
	check("StepUp", err)
	w.wait(-time.Hour)
	o, err := w.guard.Settings(session).Overview(t.Context())
	if err != nil || len(o.Withheld) != 1 || !errors.Is(o.Withheld[emailotp.Kind], mail.ErrNoSender) || slices.Contains(o.Available, emailotp.Kind) || !o.Enabled() {
		t.Errorf("%+v, %v", o, err)
	}
	w.unwritten("a withheld method", who, func() {
		for range 10 {
			_, err = p.Verify(t.Context(), answer(code))
			check("Verify", err)
			_, err = p.Verify(t.Context(), answer(wrongFor(code)))
			check("Verify", err)
		}
		_, err = p.Challenge(t.Context(), offer)
		check("Challenge", err)
	})
	w.user("new", func(u *mfa.User) { u.Email, u.Tenant, u.Policy.Demand = home, "other", mfa.Required })
	offers, err := w.pending("new").Offers(t.Context())
	if err != nil || len(offers) != 1 || offers[0].Kind != totp.Kind {
		t.Errorf("%+v, %v", offers, err)
	}
	routed.Store(true)
	if _, err := p.Verify(t.Context(), answer(code)); err != nil {
		t.Errorf("when the server is back: %v", err)
	}
	if o, err = w.guard.Settings(session).Overview(t.Context()); err != nil || o.Withheld != nil {
		t.Errorf("%+v, %v", o, err)
	}
}

// A refused enrolment is a verdict, costs nothing of the budget of enrolments, and
// leaves nothing.
func TestRefusedEnrolmentIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.begin(w.guard, who, "").Session
	settings := w.guard.Settings(session)
	if _, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind}); err != nil {
		t.Fatal(err)
	}
	w.unwritten("refused enrolments", who, func() {
		for range 50 {
			_, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: work})
			var limit *mfa.LimitError
			if !errors.As(err, &limit) || limit.RetryAfter != time.Minute {
				t.Fatalf("at once: %v", err)
			}
		}
	})
	for i := range 19 {
		if _, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: totp.Kind}); err != nil {
			t.Fatalf("enrolment %d: %v", i, err)
		}
	}
	_, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: totp.Kind})
	want(t, "enrolment 21", err, mfa.ErrTooMany)
}

// A forced enrolment by email ends in a session, and its code ends with the sign-in
// that it is part of.
func TestForcedEnrolment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(who, func(u *mfa.User) { u.Policy.Demand = mfa.Required })
	p := w.pending(who)
	w.wait(4 * time.Minute)
	e, err := p.Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind})
	if err != nil || !e.Challenge.Expires.Equal(p.Expires()) {
		t.Fatalf("%v, %v", e, err)
	}
	code := w.last()
	other := w.pending(who)
	_, err = other.Confirm(t.Context(), e.ID, answer(code))
	wantUncounted(t, "another sign-in confirms", err, mfa.ErrExpired)
	_, err = p.Verify(t.Context(), answer(code))
	want(t, "an enrolment's code at Verify", err, mfa.ErrRejected)
	if _, err := p.Challenge(t.Context(), offer); !errors.Is(err, mfa.ErrNotEnrolled) {
		t.Errorf("a challenge of a forced enrolment: %v", err)
	}
	login, err := p.Confirm(t.Context(), e.ID, answer(code))
	if err != nil || login.Session == nil || len(login.Session.Proofs()) != 0 {
		t.Fatalf("%v, %v", login, err)
	}
}
