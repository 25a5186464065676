package sentcode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// each digit of a code is as likely as the others at each place, zeros in
// front are kept, and codes repeat no more often than chance has it.
func TestCodesAreUniform(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for digits := minDigits; digits <= maxDigits; digits++ {
		var at [maxDigits][10]int
		seen := map[string]int{}
		for range n {
			code := draw(digits)
			if len(code) != digits || strings.Trim(code, "0123456789") != "" {
				t.Fatalf("%d digits: %q", digits, code)
			}
			seen[code]++
			for i := range digits {
				at[i][code[i]-'0']++
			}
		}
		var all [10]int
		for i := range digits {
			if at[i][0] == 0 {
				t.Errorf("%d digits: no zero at place %d in %d codes", digits, i+1, n)
			}
			for d := range 10 {
				all[d] += at[i][d]
			}
			// nine degrees of freedom: above 36.0 in one of 25,000 runs; there are 40 of these
			if x := chiSquared(at[i][:]); x > 44 {
				t.Errorf("%d digits: place %d: %v, chi-squared %.1f", digits, i+1, at[i], x)
			}
		}
		if x := chiSquared(all[:]); x > 36 {
			t.Errorf("%d digits: %v, chi-squared %.1f", digits, all, x)
		}
		// so many pairs are equal by chance, with a standard deviation of its root
		expected := n * (n - 1) / 2 / math.Pow10(digits)
		if pairs := float64(n - len(seen)); pairs > expected+8*math.Sqrt(expected)+2 {
			t.Errorf("%d digits: %.0f repetitions in %d, want about %.1f", digits, pairs, n, expected)
		}
	}
	// what modulo would do to bytes: 0 to 5 in 26 of 256, 6 to 9 in 25. 100,000 codes show it.
	var all [10]int
	for range 100_000 {
		for _, c := range draw(maxDigits) {
			all[c-'0']++
		}
	}
	if x := chiSquared(all[:]); x > 45 {
		t.Errorf("a million digits: %v, chi-squared %.1f", all, x)
	}
}

func chiSquared(counts []int) (x float64) {
	n := 0
	for _, c := range counts {
		n += c
	}
	expected := float64(n) / float64(len(counts))
	for _, c := range counts {
		x += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	return x
}

var spellings = []struct {
	typed, code string // code "": refused
}{
	{"123456", "123456"}, {"123 456", "123456"}, {"123-456", "123456"}, {" 1 2 3 4 5 6 ", "123456"}, {"12-34-56", "123456"},
	{"--123456--", "123456"}, {"000000", "000000"}, {"012345", "012345"}, {"1234567", "1234567"}, {"12345 67890", "1234567890"},
	{"", ""}, {"      ", ""}, {"------", ""}, {"12345", ""}, {"12345678901", ""}, {"+123456", ""}, {"+12345", ""}, {"123456\x00", ""},
	{"\x00123456", ""}, {"123456\n", ""}, {"123\n456", ""}, {"123\r456", ""}, {"123\t456", ""}, {"１２３４５６", ""}, {"12345６", ""},
	{"١٢٣٤٥٦", ""}, {"123\u00a0456", ""}, {"123\u2009456", ""}, {"123\u2010456", ""}, {"123\u2212456", ""}, {"123456.", ""}, {"123,456", ""},
	{"0x1234", ""}, {"1e5000", ""}, {"12345a", ""}, {"123_456", ""}, {"\xff123456", ""}, {"123456\u200b", ""}, {"\u202e123456", ""},
	{strings.Repeat(" ", 58) + "123456", "123456"}, {strings.Repeat(" ", 59) + "123456", ""}, {strings.Repeat("1", 10<<20), ""},
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, s := range spellings {
		code, ok := canonical(s.typed)
		if ok != (s.code != "") || ok && code != s.code {
			t.Errorf("%.80q is %.80q, %t, want %q", s.typed, code, ok, s.code)
		}
	}
}

// a code is taken in the spellings of mails and people, once in all of
// them together; what is no code is refused and is no try.
func TestSpellings(t *testing.T) {
	t.Parallel()
	spell := []func(code string) string{
		func(c string) string { return c },
		func(c string) string { return c[:3] + " " + c[3:] },
		func(c string) string { return c[:3] + "-" + c[3:] },
		func(c string) string { return " " + strings.Join(strings.Split(c, ""), " ") + " " },
		func(c string) string { return "--" + c },
	}
	none := []func(code string) string{
		func(c string) string { return "+" + c },
		func(c string) string { return c + "\x00" },
		func(c string) string { return c + "\n" },
		func(c string) string { return c[:3] + "\n" + c[3:] },
		func(c string) string { return c[:3] + "\u00a0" + c[3:] },
		func(c string) string {
			return strings.Map(func(r rune) rune { return r - '0' + '０' }, c)
		},
		func(c string) string { return c + "0" },
		func(c string) string { return "0" + c },
		func(c string) string { return c[1:] },
		func(c string) string { return c + c },
		func(string) string { return "" },
		func(c string) string { return c + strings.Repeat(" ", 10<<20) },
	}
	for i, right := range spell {
		o := newOffice(t, nil)
		o.enrolled(who, home)
		code := o.sent(signIn)
		saves := o.store.saves.Load()
		for j, f := range none {
			wantUncounted(t, fmt.Sprintf("no code %d", j), o.verify(signIn, f(code)), mfa.ErrInvalid)
		}
		if got := o.store.saves.Load(); got != saves || o.tries(who) != (vault.Tries{}) {
			t.Errorf("what is no code is written: %d saves, %+v", got-saves, o.tries(who))
		}
		if err := o.verify(signIn, right(code)); err != nil {
			t.Errorf("spelling %d: %v", i, err)
		}
		for j, f := range spell {
			if err := o.verify(signIn, f(code)); !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("used in spelling %d, then in %d: %v", i, j, err)
			}
		}
	}
}

func FuzzTyped(f *testing.F) {
	for _, s := range spellings {
		f.Add(s.typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := canonical(typed)
		bare := strings.NewReplacer(" ", "", "-", "").Replace(typed)
		switch {
		case ok && (code != bare || len(code) < minDigits || len(code) > maxDigits || strings.Trim(code, "0123456789") != ""):
			t.Fatalf("%q is taken as %q", typed, code)
		case !ok && len(typed) <= maxTyped && len(bare) >= minDigits && len(bare) <= maxDigits && strings.Trim(bare, "0123456789") == "":
			t.Fatalf("%q is refused", typed)
		}
	})
}

// what is stored of a code is worth nothing under another user,
// purpose, factor, address or ceremony, also to somebody who can write it there.
func TestBoundToItsCeremony(t *testing.T) {
	t.Parallel()
	type stored struct {
		vault.Challenge
		ticket
	}
	here := signIn
	for name, move := range map[string]func(*stored, *ceremony){
		"as it is": func(*stored, *ceremony) {},
		"flow":     func(s *stored, c *ceremony) { s.Flow, c.flow = "another", "another" },
		"purpose": func(s *stored, c *ceremony) {
			s.Purpose, c.purpose = string(mfa.PurposeStepUp), mfa.PurposeStepUp
		},
		"address": func(s *stored, _ *ceremony) { s.address = other },
		"factor":  func(s *stored, _ *ceremony) { s.FactorID = "another" },
		"user":    func(s *stored, c *ceremony) { c.user = "bob" },
	} {
		o := newOffice(t, nil)
		mine, his := o.enrolled(who, home), o.enrolled("bob", home)
		code := o.sent(here)
		c, err := guess(o, o.vault, here, func(s *vault.Scope) (vault.Challenge, error) { return s.Challenges()[0], nil })
		if err != nil {
			t.Fatal(err)
		}
		k, err := decodeTicket(c.Data)
		if err != nil || len(c.Secret) != 32 || c.FactorID != mine.ID {
			t.Fatalf("stored: %+v, %v", k, err)
		}
		moved, there := stored{c, k}, here
		move(&moved, &there)
		if there.user != who {
			moved.FactorID = his.ID
		}
		moved.Data = moved.encode()
		if _, err := do(o, there, func(s *vault.Scope) (int, error) {
			for _, f := range s.Factors() { // the factor goes with what was moved
				f.ID, f.Data = moved.FactorID, card{address: moved.address}.encode()
			}
			s.Take(c.FactorID, c.Flow, c.Purpose)
			return 0, s.Issue(moved.Challenge)
		}); err != nil {
			t.Fatal(err)
		}
		switch err := o.verify(there, code); {
		case name == "as it is" && err != nil:
			t.Errorf("the right code: %v", err)
		case name != "as it is" && (!errors.Is(err, mfa.ErrInvalid) || !vault.Counts(err)):
			t.Errorf("%s: a code that was moved there: %v", name, err)
		}
	}
}

// the MAC depends on each part, and on where one ends.
func TestMACParts(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	if _, err := do(o, signIn, func(s *vault.Scope) (int, error) {
		seen := map[string][]string{}
		for _, p := range [][]string{
			{"p", "f", "a", "w", "123456"}, {"q", "f", "a", "w", "123456"}, {"p", "g", "a", "w", "123456"}, {"p", "f", "b", "w", "123456"},
			{"p", "f", "a", "x", "123456"}, {"p", "f", "a", "w", "123457"}, {"p", "f", "aw", "", "123456"}, {"p", "f", "", "aw", "123456"},
			{"pf", "", "a", "w", "123456"}, {"", "pf", "a", "w", "123456"}, {"p", "fa", "", "w", "123456"}, {"p", "f", "a", "w1", "23456"},
		} {
			m := string(mac(s, vault.Challenge{Purpose: p[0], FactorID: p[1], Flow: p[3]}, p[2], p[4]))
			if seen[m] != nil || len(m) != 32 {
				t.Errorf("%q and %q give one MAC", p, seen[m])
			}
			seen[m] = p
		}
		return 0, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// a code of another ceremony of the user is refused, is no try and
// is not written down; with none out here, nothing tells it from a wrong one.
func TestAnotherCeremonysCode(t *testing.T) {
	t.Parallel()
	at := func(o *office) map[string]ceremony {
		return map[string]ceremony{
			"sign-in":         {who, "mine", mfa.PurposeSignIn, time.Time{}},
			"other sign-in":   {who, "yours", mfa.PurposeSignIn, time.Time{}},
			"step-up":         {who, "mine", mfa.PurposeStepUp, time.Time{}},
			"other user":      {"bob", "mine", mfa.PurposeSignIn, time.Time{}},
			"other step-up":   {who, "yours", mfa.PurposeStepUp, time.Time{}},
			"by another user": {"bob", "yours", mfa.PurposeStepUp, time.Time{}},
		}
	}
	for from := range at(nil) {
		for to := range at(nil) {
			if from == to {
				continue
			}
			o := newOffice(t, nil)
			o.enrolled(who, home)
			o.enrolled("bob", other)
			first, second := at(o)[from], at(o)[to]
			code := o.sent(first)
			saves := o.store.saves.Load()
			for range 20 {
				for _, guess := range []string{code, wrongFor(code)} {
					err := o.verify(second, guess)
					wantUncounted(t, from+" at "+to+", where none is out", err, mfa.ErrExpired)
					if err == nil || err.Error() != mfa.ErrExpired.Error() {
						t.Fatalf("the words tell the code of another ceremony: %v", err)
					}
				}
			}
			if n := o.store.saves.Load() - saves; n != 0 {
				t.Errorf("%s at %s: %d saves", from, to, n)
			}
			own := o.sent(second)
			if own == code {
				continue // one in a million
			}
			saves = o.store.saves.Load()
			for range 20 {
				err := o.verify(second, code)
				if first.user == second.user {
					wantUncounted(t, from+" at "+to, err, mfa.ErrInvalid)
				} else if !errors.Is(err, mfa.ErrRejected) {
					t.Fatalf("%s at %s: %v", from, to, err)
				} else {
					break // that is a wrong guess like any other
				}
			}
			if n := o.store.saves.Load() - saves; first.user == second.user && (n != 0 || o.tries(who) != (vault.Tries{})) {
				t.Errorf("%s at %s: %d saves, %+v", from, to, n, o.tries(who))
			}
			if err := o.verify(first, code); err != nil {
				t.Errorf("%s after it was tried at %s: %v", from, to, err)
			}
			if err := o.verify(second, own); err != nil {
				t.Errorf("%s's own after %s's: %v", to, from, err)
			}
		}
	}
}

// a code that enrols an address signs nobody in, and the reverse.
func TestEnrolmentsCodeIsItsOwn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	in := o.sent(signIn)
	e, err := o.enroll(session(who), other)
	if err != nil {
		t.Fatal(err)
	}
	enrols := o.last().Code.Reveal()
	if in == enrols {
		t.Skip("one in a million")
	}
	saves := o.store.saves.Load()
	wantUncounted(t, "an enrolment's code at a sign-in", o.verify(signIn, enrols), mfa.ErrInvalid)
	wantUncounted(t, "the same in the enrolment's own flow", o.verify(ceremony{who, session(who).flow, mfa.PurposeSignIn, time.Time{}}, enrols), mfa.ErrExpired)
	_, err = o.confirm(session(who), e.ID, in)
	wantUncounted(t, "a sign-in's code to confirm", err, mfa.ErrInvalid)
	_, err = o.confirm(ceremony{who, "another session", mfa.PurposeConfirm, time.Time{}}, e.ID, enrols)
	wantUncounted(t, "another session confirms", err, mfa.ErrExpired)
	_, err = o.confirm(session("bob"), e.ID, enrols)
	want(t, "another user confirms", err, mfa.ErrRejected)
	if n := o.store.saves.Load() - saves; n != 0 {
		t.Errorf("%d saves", n)
	}
	o.wait(pause)
	second, err := o.enroll(session(who), "pigeon 3")
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.confirm(session(who), second.ID, enrols)
	wantUncounted(t, "the code of another address", err, mfa.ErrInvalid)
	if err := o.verify(signIn, in); err != nil {
		t.Error(err)
	}
	if f, err := o.confirm(session(who), e.ID, enrols); err != nil || o.m.Address(*f) != other {
		t.Errorf("%v, %v", f, err)
	}
}

// the fifth wrong try ends a code, whatever the account's limit says; the
// count is in the save of the verdict.
func TestFifthTryEndsTheCode(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 5} {
		o := newOffice(t, nil)
		o.enrolled(who, home)
		code := o.sent(signIn)
		for i := range n {
			saves := o.store.saves.Load()
			if err := o.verify(signIn, wrongFor(code)); !errors.Is(err, mfa.ErrInvalid) || !vault.Counts(err) {
				t.Fatalf("try %d: %v", i+1, err)
			}
			if got := o.store.saves.Load() - saves; got != 1 {
				t.Errorf("try %d: %d saves", i+1, got)
			}
			// somebody who comes by another way to the same store sees both counts
			left, err := vault.Read(context.Background(), o.another(), who, func(a *vault.Account) (int, error) {
				if a.Tries().Run != i+1 {
					t.Errorf("after %d tries: %+v", i+1, a.Tries())
				}
				return len(a.Scope(kind, "", "").Challenges()), nil
			})
			if err != nil || (left == 0) != (i+1 == maxTries) {
				t.Errorf("after %d tries %d codes are out, %v", i+1, left, err)
			}
		}
		o.unlock(who)
		err := o.verify(signIn, code)
		if n < maxTries && err != nil {
			t.Errorf("the right code after %d wrong ones: %v", n, err)
		}
		if n >= maxTries {
			wantUncounted(t, "the right code after the fifth wrong one", err, mfa.ErrExpired)
		}
	}
	// an enrolment's code ends in the same way
	o := newOffice(t, nil)
	e, err := o.enroll(session(who), home)
	if err != nil {
		t.Fatal(err)
	}
	code := o.last().Code.Reveal()
	for range maxTries {
		_, err := o.confirm(session(who), e.ID, wrongFor(code))
		want(t, "a wrong code", err, mfa.ErrInvalid)
	}
	o.unlock(who)
	_, err = o.confirm(session(who), e.ID, code)
	wantUncounted(t, "the right code after the fifth wrong one", err, mfa.ErrExpired)
	if _, err := o.enroll(session(who), home); !errors.Is(err, mfa.ErrTooMany) {
		t.Errorf("a new code within the minute: %v", err)
	}
	o.wait(pause)
	again, err := o.enroll(session(who), home)
	if err != nil || again.ID != e.ID {
		t.Fatalf("the same address again: %v, %v", again, err)
	}
	if _, err := o.confirm(session(who), e.ID, o.last().Code.Reveal()); err != nil {
		t.Error(err)
	}
}

// sending again ends the code before; there is one for each ceremony.
func TestResendEndsTheCodeBefore(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	var codes []string
	for range 3 {
		codes = append(codes, o.sent(signIn))
	}
	in, err := do(o, signIn, func(s *vault.Scope) (int, error) { return len(s.Challenges()), nil })
	if err != nil || in != 1 {
		t.Errorf("%d codes are out for one sign-in, %v", in, err)
	}
	if codes[0] != codes[2] && codes[1] != codes[2] {
		for i, code := range codes[:2] {
			want(t, fmt.Sprintf("code %d of 3", i+1), o.verify(signIn, code), mfa.ErrInvalid)
		}
	}
	if err := o.verify(signIn, codes[2]); err != nil {
		t.Error(err)
	}
	wantUncounted(t, "the same again", o.verify(signIn, codes[2]), mfa.ErrExpired)

	e, err := o.enroll(session("bob"), home)
	if err != nil {
		t.Fatal(err)
	}
	first := o.last().Code.Reveal()
	o.wait(pause)
	again, err := o.enroll(session("bob"), strings.ToUpper(home[:1])+home[1:])
	want(t, "what is no address", err, mfa.ErrArgument)
	if again != nil {
		t.Error("an error with a result")
	}
	again, err = o.enroll(session("bob"), "pigeon 7, The Attic") // of the same form
	if err != nil || again.ID != e.ID {
		t.Fatalf("the same address again is enrolment %v, not %v: %v", again, e, err)
	}
	if second := o.last().Code.Reveal(); second != first {
		_, err = o.confirm(session("bob"), e.ID, first)
		want(t, "the enrolment's code before", err, mfa.ErrInvalid)
		if _, err = o.confirm(session("bob"), e.ID, second); err != nil {
			t.Error(err)
		}
	}
}

// a code is good until its time is up, to the millisecond, and never longer
// than the sign-in that it is for; what is said of it is true.
func TestTTL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts  *Options
		until time.Duration // 0: not known
		want  time.Duration
	}{
		{nil, 0, 10 * time.Minute},
		{nil, time.Hour, 10 * time.Minute},
		{nil, 10 * time.Minute, 10 * time.Minute},
		{nil, 4 * time.Minute, 4 * time.Minute},
		{nil, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{&Options{TTL: time.Minute}, 0, time.Minute},
		{&Options{TTL: 2 * time.Minute}, 3 * time.Minute, 2 * time.Minute},
		{&Options{TTL: 3 * time.Minute}, 2 * time.Minute, 2 * time.Minute},
	} {
		for _, late := range []bool{false, true} {
			o := newOffice(t, c.opts)
			o.enrolled(who, home)
			in := signIn
			if c.until > 0 {
				in.until = o.time().Add(c.until)
			}
			ch, err := o.challenge(in)
			if err != nil {
				t.Fatal(err)
			}
			m := o.last()
			if m.TTL != c.want || !ch.Expires.Equal(o.time().Add(c.want)) || !ch.Resend.Equal(o.time().Add(time.Minute)) {
				t.Errorf("%+v until %v: TTL %v, expires in %v, again in %v", c.opts, c.until, m.TTL, ch.Expires.Sub(o.time()), ch.Resend.Sub(o.time()))
			}
			o.wait(c.want)
			if late {
				wantUncounted(t, fmt.Sprintf("%v: at its end", c.want), o.verify(in, m.Code.Reveal()), mfa.ErrExpired)
				continue
			}
			o.wait(-time.Millisecond)
			if err := o.verify(in, m.Code.Reveal()); err != nil {
				t.Errorf("%v: a millisecond before its end: %v", c.want, err)
			}
		}
	}
	for _, d := range []time.Duration{10*time.Minute - time.Millisecond, 10 * time.Minute} {
		o := newOffice(t, nil)
		e, err := o.enroll(session(who), home)
		if err != nil {
			t.Fatal(err)
		}
		o.wait(d)
		if _, err := o.confirm(session(who), e.ID, o.last().Code.Reveal()); (err == nil) != (d < 10*time.Minute) {
			t.Errorf("an enrolment after %v: %v", d, err)
		}
	}
}

// whatever the pattern, over however many sign-ins, a user is sent
// at most one code in any minute, five in any hour and ten in any day; a refusal
// says exactly how long, and is not written; nothing forgives a failure.
func TestSendingLimits(t *testing.T) {
	t.Parallel()
	resends := 1000
	if testing.Short() {
		resends = 200
	}
	for name, step := range map[string]func(i int, refused time.Duration) time.Duration{
		"at once":      func(i int, _ time.Duration) time.Duration { return 0 },
		"seconds":      func(i int, _ time.Duration) time.Duration { return 7 * time.Second },
		"a minute":     func(i int, _ time.Duration) time.Duration { return time.Minute },
		"almost":       func(i int, _ time.Duration) time.Duration { return time.Minute - time.Millisecond },
		"ten minutes":  func(i int, _ time.Duration) time.Duration { return 11 * time.Minute },
		"hours":        func(i int, _ time.Duration) time.Duration { return 2*time.Hour + time.Second },
		"as told":      func(_ int, refused time.Duration) time.Duration { return refused },
		"a bit before": func(_ int, refused time.Duration) time.Duration { return max(0, refused-time.Millisecond) },
		"bursts":       func(i int, _ time.Duration) time.Duration { return time.Duration(i%9/8) * 37 * time.Minute },
		"late in the hour": func(i int, _ time.Duration) time.Duration {
			return []time.Duration{61 * time.Second, 61 * time.Second, 61 * time.Second, 56*time.Minute + 30*time.Second, 20 * time.Second, 5 * time.Second}[i%6]
		},
		"late in the day": func(i int, _ time.Duration) time.Duration {
			return []time.Duration{3 * time.Hour, time.Minute, 30 * time.Second, 0, 2 * time.Hour, 15 * time.Second}[i%6]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, nil)
			o.enrolled(who, home)
			const failures = 3
			code := o.sent(ceremony{who, "flow 0", mfa.PurposeSignIn, time.Time{}})
			sent := []time.Time{o.time().Add(-pause)}
			for range failures {
				want(t, "a wrong code", o.verify(ceremony{who, "flow 0", mfa.PurposeSignIn, time.Time{}}, wrongFor(code)), mfa.ErrInvalid)
			}
			kept, refused := 1, time.Duration(0)
			for i := range resends {
				o.wait(step(i, refused))
				refused = 0
				now := o.time()
				wait := time.Duration(0)
				for _, l := range []vault.Limit{{N: 1, Per: time.Minute}, {N: 5, Per: time.Hour}, {N: 10, Per: 24 * time.Hour}} {
					if len(sent) >= l.N {
						wait = max(wait, sent[len(sent)-l.N].Add(l.Per).Sub(now))
					}
				}
				if !sent[0].Add(24*time.Hour - pause).After(now) { // when the address was enrolled
					kept = 0 // what is a day old may be dropped by whatever comes next
				}
				saves, mails := o.store.saves.Load(), o.post.count()
				_, err := o.challenge(ceremony{who, fmt.Sprint("flow ", i%100), mfa.PurposeSignIn, time.Time{}})
				var limit *mfa.LimitError
				switch {
				case wait <= 0 && err != nil:
					t.Fatalf("message %d at %v: %v", len(sent), now, err)
				case wait <= 0:
					sent = append(sent, now)
					if o.post.count() != mails+1 {
						t.Fatal("not one message")
					}
				case !errors.As(err, &limit) || !errors.Is(err, mfa.ErrTooMany) || vault.Counts(err):
					t.Fatalf("resend %d, %v after the last: %v", i, now.Sub(sent[len(sent)-1]), err)
				case limit.RetryAfter != wait:
					t.Fatalf("resend %d: told to wait %v, want %v", i, limit.RetryAfter, wait)
				case o.store.saves.Load() != saves && kept == 1 || o.post.count() != mails:
					t.Fatalf("a refusal is written or sent: %d saves, %d messages", o.store.saves.Load()-saves, o.post.count()-mails)
				default:
					refused = limit.RetryAfter
				}
			}
			for i, at := range sent { // once more, from what went out
				for _, l := range []vault.Limit{{N: 1, Per: time.Minute}, {N: 5, Per: time.Hour}, {N: 10, Per: 24 * time.Hour}} {
					if i+l.N < len(sent) && sent[i+l.N].Sub(at) < l.Per {
						t.Errorf("%d messages within %v", l.N+1, sent[i+l.N].Sub(at))
					}
				}
			}
			if len(sent) != o.post.count()-1 { // one went out to enrol
				t.Errorf("%d messages, counted %d", o.post.count()-1, len(sent))
			}
			if got := o.tries(who).Run; got != failures {
				t.Errorf("%d failures are left of %d", got, failures)
			}
		})
	}
}

// a message whose code was typed in does not count; one that was not sent
// counts for the hour and the day, but not for the minute.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	for i := range perDayAll - 1 - 5 { // one enrolled, and five are to come
		code := o.sent(signIn)
		o.wait(-pause)
		if _, err := o.challenge(signIn); !errors.Is(err, mfa.ErrTooMany) {
			t.Fatalf("a second message in the minute of sign-in %d: %v", i, err)
		}
		if err := o.verify(signIn, code); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
	}
	// what is typed in gives back its own message, not the attacker's as well
	for i := range 5 {
		o.sent(ceremony{who, fmt.Sprint("attack", i), mfa.PurposeSignIn, time.Time{}})
	}
	_, err := o.challenge(signIn)
	want(t, "a sixth in the hour", err, mfa.ErrTooMany)
	o.wait(24 * time.Hour)

	o.post.fail = errNoPigeon
	for i := range 5 {
		_, err := o.challenge(signIn)
		var failed *mfa.EffectError
		if !errors.As(err, &failed) {
			t.Fatalf("failed send %d: %v", i, err)
		}
		if _, err := o.challenge(signIn); !errors.Is(err, mfa.ErrTooMany) {
			t.Fatalf("before Undelivered: %v", err)
		}
		o.undelivered(signIn)
	}
	var limit *mfa.LimitError
	if _, err := o.challenge(signIn); !errors.As(err, &limit) || limit.RetryAfter <= pause {
		t.Errorf("after five that failed: %v", err)
	}
}

// what was typed in gives back its own message, not one that somebody else
// caused meanwhile: those count until their own time is over.
func TestGivesBackItsOwn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	attack := func(i int) ceremony { return ceremony{who, fmt.Sprint("attack", i), mfa.PurposeSignIn, time.Time{}} }
	start := o.time()
	code := o.sent(signIn)
	for i := range 3 { // a minute later, two, three
		o.sent(attack(i))
	}
	if _, err := o.challenge(attack(3)); err != nil { // four
		t.Fatal(err)
	}
	if err := o.verify(signIn, code); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, until time.Time) {
		t.Helper()
		_, err := o.challenge(attack(4))
		var limit *mfa.LimitError
		if !errors.As(err, &limit) || limit.RetryAfter != until.Sub(o.time()) {
			t.Errorf("%s: %v, want a wait of %v", what, err, until.Sub(o.time()))
		}
	}
	refused("the pause after another's message", start.Add(5*time.Minute))
	o.wait(pause)
	o.sent(attack(4)) // five: that one was given back
	refused("the hour", start.Add(time.Minute+time.Hour))
	// a code's second use gives nothing back, nor does a wrong one
	wantUncounted(t, "the same again", o.verify(signIn, code), mfa.ErrExpired)
	_ = o.verify(attack(4), wrongFor(o.last().Code.Reveal()))
	refused("after that", start.Add(time.Minute+time.Hour))
}

// thirty messages a day are the most, accepted or not, enrolments included:
// whoever types every code in does not make the owner pay for any number of them.
func TestThirtyADay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step  time.Duration
		typed func(i int) bool
	}{
		"all typed":  {time.Minute, func(int) bool { return true }},
		"most typed": {40 * time.Minute, func(i int) bool { return i%4 != 0 }},
		"slowly":     {49 * time.Minute, func(int) bool { return true }}, // the last one half a minute before the first is a day old
	} {
		o := newOffice(t, nil)
		sent := []time.Time{o.time()}
		o.enrolled(who, home)
		o.wait(c.step - pause)
		for len(sent) < perDayAll {
			if name == "slowly" && len(sent) == perDayAll-1 {
				o.now.Store(sent[0].Add(24*time.Hour - pause/2).UnixMilli())
			}
			sent = append(sent, o.time())
			if code := o.sent(signIn); c.typed(len(sent)) {
				if err := o.verify(signIn, code); err != nil {
					t.Fatalf("%s: message %d: %v", name, len(sent), err)
				}
			}
			o.wait(c.step - pause)
		}
		if name == "slowly" {
			o.now.Store(sent[perDayAll-1].UnixMilli()) // its pause was given back
		}
		freed := sent[0].Add(24 * time.Hour)
		refused := func(what string, err error) {
			t.Helper()
			var limit *mfa.LimitError
			if !errors.As(err, &limit) || limit.RetryAfter != freed.Sub(o.time()) || vault.Counts(err) {
				t.Errorf("%s: %s: %v, want a wait of %v", name, what, err, freed.Sub(o.time()))
			}
		}
		saves, mails := o.store.saves.Load(), o.post.count()
		for range 3 {
			_, err := o.challenge(signIn)
			refused("a sign-in", err)
			_, err = o.challenge(ceremony{who, "another", mfa.PurposeStepUp, time.Time{}})
			refused("a step-up", err)
			_, err = o.enroll(session(who), other)
			refused("an enrolment", err)
		}
		o.now.Store(freed.Add(-time.Millisecond).UnixMilli())
		_, err := o.challenge(signIn)
		refused("a millisecond early", err)
		if o.post.count() != mails || o.store.saves.Load() != saves {
			t.Errorf("%s: refused, and %d messages, %d saves", name, o.post.count()-mails, o.store.saves.Load()-saves)
		}
		o.enrolled("bob", other) // has a day of his own
		o.now.Store(freed.UnixMilli())
		if _, err := o.challenge(signIn); err != nil {
			t.Errorf("%s: when the first is a day old: %v", name, err)
		}
		if err := o.verify(signIn, o.last().Code.Reveal()); err != nil {
			t.Error(err)
		}
		freed = sent[1].Add(24 * time.Hour)
		if freed.After(o.time()) {
			_, err = o.challenge(signIn)
			refused("another", err)
		}
	}
}

// A refusal says the longest of the waits: also the pause's, when the day is over
// sooner.
func TestLongestWait(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	first := o.time()
	o.enrolled(who, home)
	for range perDayAll - 2 {
		if err := o.verify(signIn, o.sent(signIn)); err != nil {
			t.Fatal(err)
		}
	}
	o.now.Store(first.Add(24*time.Hour - pause/2).UnixMilli())
	if _, err := o.challenge(signIn); err != nil { // the thirtieth
		t.Fatal(err)
	}
	var limit *mfa.LimitError
	if _, err := o.challenge(signIn); !errors.As(err, &limit) || limit.RetryAfter != pause {
		t.Errorf("the pause is longer: %v", err)
	}
	if err := o.verify(signIn, o.last().Code.Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.challenge(signIn); !errors.As(err, &limit) || limit.RetryAfter != pause/2 {
		t.Errorf("the pause was given back: %v", err)
	}
}

// what could not be sent ends the pause that it made itself, of whatever
// flow, and no other's.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	early, late := ceremony{who, "early", mfa.PurposeSignIn, time.Time{}}, ceremony{who, "late", mfa.PurposeStepUp, time.Time{}}
	o.sent(early)
	if _, err := o.challenge(late); err != nil {
		t.Fatal(err)
	}
	o.wait(time.Second)
	var limit *mfa.LimitError
	for what, c := range map[string]ceremony{
		"the message before": early, "another purpose": {who, "late", mfa.PurposeSignIn, time.Time{}}, "another flow": {who, "none", mfa.PurposeStepUp, time.Time{}},
		"another user": {"bob", "late", mfa.PurposeStepUp, time.Time{}}, "an enrolment": session(who),
	} {
		o.undelivered(c)
		if _, err := o.challenge(late); !errors.As(err, &limit) || limit.RetryAfter != pause-time.Second {
			t.Errorf("%s was not delivered: %v", what, err)
		}
	}
	o.undelivered(late)
	if _, err := o.challenge(early); err != nil {
		t.Errorf("what made the pause was not delivered: %v", err)
	}
	// nor does it end a code
	for c, code := range map[ceremony]string{early: o.post.sent[3].Code.Reveal(), late: o.post.sent[2].Code.Reveal()} {
		if err := o.verify(c, code); err != nil {
			t.Errorf("%s: %v", c.flow, err)
		}
	}
	// an enrolment's
	if _, err := o.enroll(session(who), other); err != nil {
		t.Fatal(err)
	}
	_, err := o.enroll(session(who), "pigeon 3")
	want(t, "at once", err, mfa.ErrTooMany)
	o.undelivered(session(who))
	if _, err := o.enroll(session(who), "pigeon 3"); err != nil {
		t.Errorf("after an enrolment's was not delivered: %v", err)
	}
}

// who gives the password again keeps the code in hand, also past the pause,
// and none is sent; unless there is none, or none that could still be typed.
func TestKeep(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	f := o.enrolled(who, home)
	keep := func(c ceremony) (*mfa.Challenge, error) {
		return do(o, c, func(s *vault.Scope) (*mfa.Challenge, error) {
			return o.m.Challenge(context.Background(), s, mfa.ChallengeRequest{Request: c.request(), Keep: true})
		})
	}
	sends := func(what string, c ceremony, want int) *mfa.Challenge {
		t.Helper()
		mails, saves := o.post.count(), o.store.saves.Load()
		ch, err := keep(c)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := o.post.count() - mails; n != want || ch.Earlier != (want == 0) || want == 0 && o.store.saves.Load() != saves {
			t.Errorf("%s: %d messages, earlier %t, %d saves", what, n, ch.Earlier, o.store.saves.Load()-saves)
		}
		return ch
	}
	at := o.time()
	first := sends("nothing is out", signIn, 1)
	code := o.last().Code.Reveal()
	strangers := map[time.Duration]ceremony{
		5 * time.Minute: {who, "another flow", signIn.purpose, time.Time{}}, 7 * time.Minute: {who, signIn.flow, mfa.PurposeStepUp, time.Time{}},
	}
	for _, after := range []time.Duration{0, time.Second, pause - time.Millisecond, pause, 5 * time.Minute, 7 * time.Minute, 9 * time.Minute} {
		o.now.Store(at.Add(after).UnixMilli())
		if c, ok := strangers[after]; ok {
			sends("another ceremony", c, 1)
		}
		ch := sends(after.String(), signIn, 0)
		if ch.Kind != kind || ch.FactorID != f.ID || ch.Hint != "pigeon …" || !ch.Expires.Equal(first.Expires) || !ch.Resend.Equal(at.Add(pause)) {
			t.Errorf("after %v: %+v", after, ch)
		}
	}
	if err := o.verify(signIn, code); err != nil {
		t.Errorf("the code in hand: %v", err)
	}
	o.wait(time.Hour)

	sends("after it was used", signIn, 1)
	o.wait(9*time.Minute + time.Millisecond)
	sends("less than a minute is left", signIn, 1)
	o.wait(pause)
	o.undelivered(signIn)
	sends("not delivered", signIn, 1)
	o.wait(pause)
	if ch, err := o.challenge(signIn); err != nil || ch.Earlier {
		t.Errorf("without Keep: %v, %v", ch, err)
	}
	o.undelivered(signIn)
	if _, err := do(o, signIn, func(s *vault.Scope) (int, error) { // nor does what is not out lift the limits
		for range perHour {
			_ = allow(s)
		}
		return 0, nil
	}); err != nil {
		t.Fatal(err)
	}
	ch, err := keep(signIn)
	if want(t, "past the limits", err, mfa.ErrTooMany); ch != nil {
		t.Errorf("%+v", ch)
	}
	o.wait(2 * time.Hour)

	// nor is another address's code kept
	sends("to the attic", signIn, 1)
	o.wait(pause)
	o.enrolled(who, other)
	sends("the address was changed", signIn, 1)
	if to := o.last().To; to != other {
		t.Errorf("to %s", to)
	}
}

// who goes back and enrols the same address again while no other code may
// be sent gets the same enrolment, and the code in hand confirms it.
func TestEnrolledAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	first, err := o.enroll(session(who), home)
	if err != nil {
		t.Fatal(err)
	}
	code := o.last().Code.Reveal()
	again := func(what string, resend time.Time) {
		t.Helper()
		saves, mails := o.store.saves.Load(), o.post.count()
		e, err := o.enroll(session(who), "pigeon 7, THE attic")
		if err != nil || e.ID != first.ID || e.Kind != kind || e.Active || e.Challenge == nil {
			t.Fatalf("%s: %v, %v", what, e, err)
		}
		c := *e.Challenge
		if c.Kind != kind || c.FactorID != first.ID || c.Hint != "pigeon …" || !c.Expires.Equal(first.Challenge.Expires) || !c.Resend.Equal(resend) {
			t.Errorf("%s: expires in %v, again in %v, hint %q", what, c.Expires.Sub(o.time()), c.Resend.Sub(o.time()), c.Hint)
		}
		if o.store.saves.Load() != saves || o.post.count() != mails {
			t.Errorf("%s: %d saves, %d messages", what, o.store.saves.Load()-saves, o.post.count()-mails)
		}
	}
	refused := func(what string, c ceremony, address string) {
		t.Helper()
		mails := o.post.count()
		e, err := o.enroll(c, address)
		if !errors.Is(err, mfa.ErrTooMany) || e != nil || o.post.count() != mails {
			t.Errorf("%s: %v, %v", what, e, err)
		}
	}
	resend := first.Challenge.Resend
	o.wait(20 * time.Second)
	again("twenty seconds later", resend)
	o.wait(pause - 20*time.Second - time.Millisecond)
	again("a millisecond before another may be sent", resend)
	refused("another address", session(who), other)
	refused("another session", ceremony{who, "another session", mfa.PurposeConfirm, time.Time{}}, home)
	f, err := o.confirm(session(who), first.ID, code)
	if err != nil || o.m.Address(*f) != home {
		t.Fatalf("the code in hand: %v, %v", f, err)
	}
	// of the hour
	o.wait(pause)
	hour := o.time()
	for range perHour {
		if first, err = o.enroll(session(who), home); err != nil {
			t.Fatal(err)
		}
		o.wait(pause)
	}
	again("the sixth in the hour", hour.Add(time.Hour))
	o.wait(first.Challenge.Expires.Sub(o.time()) - time.Millisecond)
	again("the code's last millisecond", hour.Add(time.Hour))
	o.wait(time.Millisecond)
	refused("when the code is over", session(who), home)
	o.wait(time.Hour)
	// where its code ended by five wrong tries there is nothing in hand
	if first, err = o.enroll(session(who), home); err != nil {
		t.Fatal(err)
	}
	code = o.last().Code.Reveal()
	again("before the tries", first.Challenge.Resend)
	for range maxTries {
		_, err := o.confirm(session(who), first.ID, wrongFor(code))
		want(t, "a wrong code", err, mfa.ErrInvalid)
	}
	refused("after five wrong tries", session(who), home)
	o.wait(pause)
	if _, err := o.enroll(session(who), other); err != nil {
		t.Fatal(err)
	}
	refused("after five wrong tries, another address's code out", session(who), home)
	if _, err := o.enroll(session(who), "crow"); !errors.Is(err, mfa.ErrArgument) {
		t.Errorf("no address: %v", err)
	}
}

// of many submissions of one right code one is accepted, also over two
// vaults on one store.
func TestOneOfMany(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	vaults := []*vault.Vault{o.vault, o.another()}
	for round := range 5 {
		in := ceremony{who, fmt.Sprint("flow", round), mfa.PurposeSignIn, time.Time{}}
		code := o.sent(in)
		errs := make([]error, 32)
		race(len(errs), func(i int) { errs[i] = o.verifyIn(vaults[i%2], in, code) })
		right := 0
		for _, err := range errs {
			switch {
			case err == nil:
				right++
			case !errors.Is(err, mfa.ErrExpired) && !errors.Is(err, mfa.ErrBusy):
				t.Errorf("round %d: %v", round, err)
			}
		}
		if right != 1 {
			t.Errorf("round %d: %d accepted", round, right)
		}
	}
}

// A code is not judged where its MAC does not show, and damage is a failure.
func TestJudgeFails(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.enrolled(who, home)
	code := o.sent(signIn)
	_, err := do(o, signIn, func(s *vault.Scope) (*mfa.Verification, error) {
		return o.m.Verify(context.Background(), s, mfa.VerifyRequest{Request: signIn.request(), Answer: mfa.Answer{Kind: kind, Code: code}})
	})
	if err == nil || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("outside of Guess: %v", err)
	}
	damage := func(c ceremony, data []byte) {
		t.Helper()
		if _, err := do(o, c, func(s *vault.Scope) (int, error) {
			return 0, s.Issue(vault.Challenge{FactorID: s.Factors()[0].ID, Expires: s.Now().Add(time.Minute), Data: data, Secret: make([]byte, 32)})
		}); err != nil {
			t.Fatal(err)
		}
	}
	damage(ceremony{who, "another", mfa.PurposeSignIn, time.Time{}}, []byte{9})
	if err := o.verify(signIn, wrongFor(code)); !errors.Is(err, errState) {
		t.Errorf("another code is damaged: %v", err)
	}
	damage(signIn, []byte{9})
	if err := o.verify(signIn, code); !errors.Is(err, errState) || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("the code is damaged: %v", err)
	}
	if o.tries(who) != (vault.Tries{}) {
		t.Errorf("a failure is a try: %+v", o.tries(who))
	}
	if _, err := do(o, signIn, func(s *vault.Scope) (int, error) { s.Factors()[0].Data = []byte{9, 9, 9}; return 0, nil }); err != nil {
		t.Fatal(err)
	}
	if err := o.verify(signIn, code); !errors.Is(err, errState) {
		t.Errorf("the factor is damaged: %v", err)
	}
	if _, err := o.challenge(signIn); !errors.Is(err, errState) {
		t.Errorf("the factor is damaged: %v", err)
	}
}
