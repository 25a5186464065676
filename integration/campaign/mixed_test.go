package campaign

// Everything that changes an account, at once, from three processes: signing in,
// enrolling, removing, making new codes, and a reset.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A resident is a user who lives through the rounds, with one app to sign in by
// and some that come and go.
type resident struct {
	*mfatest.Person
	spares []string // IDs of the apps that nobody uses
}

// A scramble is what one user's requests of one round were, and what may come
// of them.
type scramble struct {
	*resident
	first, end int // of its attempts
	draft      string
	factors    []string
	left       int // backup codes
	reset      bool
}

// prepare returns a user's requests of one round.
func (r *resident) prepare(t testing.TB, h *house, i *instance, reset bool) (s scramble, attempts []attempt) {
	t.Helper()
	ctx := t.Context()
	s = scramble{resident: r, reset: reset}
	session := r.SignIn(i.guard, totp.Kind)
	enrol := func() (*mfa.Enrollment, *mfatest.App) {
		e, err := i.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: totp.Kind})
		if err != nil {
			t.Fatal(err)
		}
		app, err := mfatest.NewApp(e.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return e, app
	}
	if len(r.spares) == 0 {
		e, app := enrol()
		c, err := i.guard.Settings(session).Confirm(ctx, e.ID, mfa.Answer{Kind: totp.Kind, Code: app.Next(h.Clock)})
		if err != nil {
			t.Fatal(err)
		}
		session = c.Session
		r.spares = append(r.spares, e.ID)
	}
	if len(r.Codes()) < 3 {
		e, err := i.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
		if err != nil {
			t.Fatal(err)
		}
		session = e.Session
		r.Keep(session, e.Codes...)
	}
	add := func(n int, a func() attempt) {
		for range n {
			attempts = append(attempts, a())
		}
	}
	own := func(a attempt) func() attempt {
		a.User, a.Session = r.UserID, session.Token()
		return func() attempt { return a }
	}
	if len(r.spares) < 4 {
		e, app := enrol()
		s.draft = e.ID
		add(2, own(attempt{Enrollment: e.ID, Kind: totp.Kind, Code: app.Next(h.Clock)}))
	}
	add(2, own(attempt{Do: removing, Factor: r.spares[0]}))
	add(2, own(attempt{Do: regenerating}))
	if reset {
		add(1, own(attempt{Do: resetting}))
	}
	signIn := func(kind mfa.Kind) func() attempt {
		answer := r.Answer(kind)
		return func() attempt { return attempt{Token: i.begin(t, r.UserID).Token(), Kind: kind, Code: answer.Code} }
	}
	add(2, signIn(backupcodes.Kind))
	add(2, signIn(backupcodes.Kind))
	add(3, signIn(totp.Kind))
	s.factors, s.left = i.factors(t, r.UserID)
	return s, attempts
}

// factors returns the IDs of a user's factors without the set of backup codes,
// and how many of those are left.
func (i *instance) factors(t testing.TB, userID string) (ids []string, left int) {
	t.Helper()
	o, err := i.guard.Admin("test").Overview(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.Factors {
		if f.Kind != backupcodes.Kind {
			ids = append(ids, f.ID)
		}
	}
	return ids, o.BackupLeft
}

// check returns what of the answers contradicts what became of the user, and
// notes what the user has now.
func (s *scramble) check(t testing.TB, i *instance, attempts []attempt, answers []answer, seen map[string]int) (wrong []string) {
	t.Helper()
	complain := func(format string, args ...any) {
		wrong = append(wrong, s.UserID+": "+fmt.Sprintf(format, args...))
	}
	passes := func(token string) bool {
		return i.guard.Require(t.Context(), i.guard.Session(s.UserID, token), mfa.Rule{}) == nil
	}
	changes, made, used := 0, 0, map[string]bool{}
	var renewed answer
	for n, a := range attempts {
		b := answers[n]
		what := string(a.Do)
		switch {
		case a.Enrollment != "":
			what = "confirm"
		case a.Do == "":
			what = "sign-in by " + string(a.Kind)
		}
		switch {
		case b.Verdict != accepted:
			if !b.Verdict.refused() && (b.Verdict != outdated || a.Session == "") {
				complain("%s: %s", what, b.Verdict)
			}
			continue
		case a.Do == resetting:
		case a.Session == "":
			if used[a.Code] {
				complain("a code was accepted twice")
			}
			if used[a.Code] = true; a.Kind == backupcodes.Kind {
				s.left--
			}
			defer func() { // every change ends the sessions of before
				if passes(b.Session) {
					complain("a session goes on after a change")
				}
			}()
		default:
			changes++
			renewed = b
			switch {
			case a.Enrollment != "":
				s.factors = append(s.factors, s.draft)
				s.spares = append(s.spares, s.draft)
			case a.Do == removing:
				is := func(id string) bool { return id == a.Factor }
				s.factors, s.spares = slices.DeleteFunc(s.factors, is), slices.DeleteFunc(s.spares, is)
			default:
				made = len(b.Codes)
			}
		}
		seen[what]++
	}
	if changes > 1 || changes == 0 && !s.reset {
		complain("%d changes by one session's proof", changes)
	}
	switch {
	case s.reset:
		s.factors, s.left = nil, 0
	case made > 0: // whatever was used before is of the old set
		s.left = made
	}
	factors, left := i.factors(t, s.UserID)
	if slices.Sort(factors); !slices.Equal(factors, slices.Sorted(slices.Values(s.factors))) {
		complain("%d factors are there, want %d", len(factors), len(s.factors))
	}
	if left != s.left {
		complain("%d backup codes are left, want %d", left, s.left)
	}
	if renewed.Session != "" && passes(renewed.Session) == s.reset {
		complain("the session of the change passes: %v", !s.reset)
	}
	if len(wrong) > 0 {
		return wrong
	}
	if !s.reset {
		s.keep(i, renewed)
		if err := i.guard.Admin("test").Unlock(t.Context(), s.UserID); err != nil {
			t.Fatal(err)
		}
		s.SignIn(i.guard, backupcodes.Kind) // the set that was shown last
	}
	return wrong
}

// keep notes the session and the codes that a change gave.
func (s *scramble) keep(i *instance, a answer) {
	var codes []mfa.Secret
	for _, c := range a.Codes {
		codes = append(codes, mfa.Secret(c))
	}
	s.Keep(i.guard.Session(s.UserID, a.Session), codes...)
}

// scrambles lets so many rounds pass over some users and returns what was wrong.
func scrambles(t testing.TB, h *house, posts []post, rounds int) (wrong []string) {
	t.Helper()
	const users = 3
	i := h.instance(t)
	rs := make([]*resident, users)
	seen := map[string]int{}
	for n := range rounds {
		h.Clock.Advance(aDay)
		var all []attempt
		var ss []scramble
		for k := range rs {
			if rs[k] == nil {
				rs[k] = &resident{Person: h.Enroll(i.guard, fmt.Sprintf("user-%d", k))}
			}
			s, attempts := rs[k].prepare(t, h, i, (n+k)%3 == 2)
			rand.Shuffle(len(attempts), func(a, b int) { attempts[a], attempts[b] = attempts[b], attempts[a] })
			s.first, s.end = len(all), len(all)+len(attempts)
			all, ss = append(all, attempts...), append(ss, s)
		}
		sum, answers := raceFor(t, posts, all, 0)
		if sum.inside < len(all)-2 {
			wrong = append(wrong, fmt.Sprintf("only %d of %d in flight: this was no race", sum.inside, len(all)))
		}
		for k, s := range ss {
			wrong = append(wrong, s.check(t, i, all[s.first:s.end], answers[s.first:s.end], seen)...)
			if s.reset {
				rs[k] = nil
			}
		}
		if len(wrong) > 0 {
			return wrong
		}
	}
	t.Log(seen)
	if seen["sign-in by totp"]+seen["sign-in by backup"] == 0 || seen["reset"] == 0 {
		wrong = append(wrong, fmt.Sprintf("%v: this was no test", seen))
	}
	return wrong
}

func TestMixedChanges(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		for _, w := range scrambles(t, h, h.three(t), h.number(20, 10, 200)) {
			t.Error(w)
		}
	})
}

// The same on a store that loads, compares and saves: what was told is not what
// is there, and that is seen.
func TestMixedChangesSeeACarelessStore(t *testing.T) {
	h := newHouse(t, "")
	h.wrap = carelessly
	posts := h.locals(t, 3)
	h.wrap = nil
	wrong := scrambles(t, h, posts, 20)
	if len(wrong) == 0 {
		t.Error("nothing was seen")
	}
	t.Log(wrong)
}
