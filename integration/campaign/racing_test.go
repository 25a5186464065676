package campaign

// Racing: every request is held
// inside the Guard's call until all are there.

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
)

const (
	racers   = 32
	inFlight = 30 // at least so many of them inside before any is answered
)

// A tally is what became of the requests of some rounds.
type tally struct {
	count  map[verdict]int
	inside int // the fewest of any round
}

func (a *tally) add(b tally) {
	if a.count == nil {
		*a = tally{map[verdict]int{}, b.inside}
	}
	a.inside = min(a.inside, b.inside)
	for v, n := range b.count {
		a.count[v] += n
	}
}

// refusals counts those that wrap ErrRejected; strange are all other answers.
func (a tally) refusals() (n int, strange []verdict) {
	for v, m := range a.count {
		switch {
		case v.refused():
			n += m
		case v != accepted:
			strange = append(strange, v)
		}
	}
	return n, strange
}

func (a tally) String() string {
	return fmt.Sprintf("%v, at least %d in flight", a.count, a.inside)
}

// race makes all attempts at once, from the posts in turn. The late ones are
// let go when so many were answered as invalid, or all others at all.
func race(t testing.TB, posts []post, attempts []attempt, invalids int) tally {
	t.Helper()
	sum, _ := raceFor(t, posts, attempts, invalids)
	return sum
}

// raceFor is race, and returns the answer to each attempt.
func raceFor(t testing.TB, posts []post, attempts []attempt, invalids int) (tally, []answer) {
	t.Helper()
	shares := make([][]attempt, len(posts))
	late := make([]bool, len(posts))
	for i, a := range attempts {
		k := i % len(posts)
		a.N = i
		shares[k] = append(shares[k], a)
		late[k] = late[k] || a.Late
	}
	sum := tally{count: map[verdict]int{}}
	gathered := make(chan int)
	for i, p := range posts {
		go func() { gathered <- p.gather(shares[i]) }()
	}
	for range posts {
		sum.inside += <-gathered
	}
	all := make(chan answer, len(attempts))
	for i, p := range posts {
		from := p.answers()
		go func() {
			for range shares[i] {
				all <- <-from
			}
		}()
	}
	for _, p := range posts {
		p.release()
	}
	answers := make([]answer, len(attempts))
	deadline := time.After(60 * time.Second)
	waiting := 0
	for _, a := range attempts {
		if a.Late {
			waiting++
		}
	}
	for n := range attempts {
		if waiting > 0 && (sum.count[invalid] == invalids || n == len(attempts)-waiting) {
			waiting = 0
			for i, p := range posts {
				if late[i] {
					p.releaseLate()
				}
			}
		}
		select {
		case a := <-all:
			sum.count[a.Verdict]++
			answers[a.N] = a
		case <-deadline:
			t.Fatalf("not all requests were answered: %v", sum)
		}
	}
	return sum, answers
}

// A crowd is where a race takes place: a house and its posts.
type crowd struct {
	name  string
	kind  servers.Kind
	posts func(t testing.TB, h *house) []post
}

func instances(n int) func(testing.TB, *house) []post {
	return func(t testing.TB, h *house) []post { return h.locals(t, n) }
}

func processes(n int) func(testing.TB, *house) []post {
	return func(t testing.TB, h *house) []post { return h.remotes(t, n, false) }
}

// crowds are everywhere; on servers other processes alone, which is the most
// that can be.
func crowds() (cs []crowd) {
	for _, p := range places {
		if p.kind == "" || p.kind == servers.SQLite {
			cs = append(cs, crowd{p.name + ", one instance", p.kind, instances(1)}, crowd{p.name + ", two instances", p.kind, instances(2)})
		}
		if p.kind != "" {
			cs = append(cs, crowd{p.name + ", three processes", p.kind, processes(3)})
		}
	}
	return cs
}

// wrongCrowds race over a store that loads, compares and saves: the checkers
// must see it.
func wrongCrowds() []crowd {
	cs := []crowd{{"memory, four instances, load-compare-save", "", func(t testing.TB, h *house) []post {
		h.wrap = carelessly
		defer func() { h.wrap = nil }()
		return h.locals(t, 4)
	}}}
	for _, p := range places[1:] {
		cs = append(cs, crowd{p.name + ", three processes, load-compare-save", p.kind, func(t testing.TB, h *house) []post {
			return h.remotes(t, 3, true)
		}})
	}
	return cs
}

func (c crowd) run(t *testing.T, slow bool, test func(t *testing.T, h *house, person *mfatest.Person, i *instance, posts []post)) {
	t.Run(c.name, func(t *testing.T) {
		h := houseOn(t, c.kind)
		h.slow = slow
		i := h.instance(t)
		test(t, h, h.Enroll(i.guard, "ada"), i, c.posts(t, h))
	})
}

// tokens returns n pending sign-ins, or n times the same one.
func (i *instance) tokens(t testing.TB, userID string, n int, shared bool) []string {
	t.Helper()
	var tokens []string
	for range n {
		if !shared || len(tokens) == 0 {
			tokens = append(tokens, i.begin(t, userID).Token())
		} else {
			tokens = append(tokens, tokens[0])
		}
	}
	return tokens
}

// raceOneAnswer lets the same right answer race in so many rounds.
func raceOneAnswer(t testing.TB, h *house, i *instance, p *mfatest.Person, posts []post, kind mfa.Kind, rounds int, shared bool) (sum tally) {
	t.Helper()
	for range rounds {
		h.Clock.Advance(aDay)
		if kind == backupcodes.Kind && len(p.Codes()) == 0 {
			regenerate(t, i, p)
		}
		a := p.Answer(kind)
		var attempts []attempt
		for _, token := range i.tokens(t, p.UserID, racers, shared) {
			attempts = append(attempts, attempt{Token: token, Kind: kind, Code: a.Code})
		}
		sum.add(race(t, posts, attempts, 0))
	}
	return sum
}

func regenerate(t testing.TB, i *instance, p *mfatest.Person) {
	t.Helper()
	p.SignIn(i.guard, totp.Kind)
	e, err := i.guard.Settings(p.Session()).Enroll(t.Context(), mfa.NewFactor{Kind: backupcodes.Kind})
	if err != nil {
		t.Fatal(err)
	}
	p.Keep(e.Session, e.Codes...)
}

func pendings(shared bool) string {
	if shared {
		return "one pending sign-in"
	}
	return "a pending sign-in each"
}

// One code, 32 requests at once, 50 rounds: 50 are accepted.
func TestOneCodePassesOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   mfa.Kind
		slow   bool
		rounds int
		served [2]int // rounds on a server: a pending sign-in each, and one
	}{
		{"app", totp.Kind, false, 50, [...]int{50, 10}},
		{"backup code", backupcodes.Kind, false, 50, [...]int{5, 5}},
		{"backup code under a slow hash", backupcodes.Kind, true, 2, [...]int{1, 1}},
	} {
		for k, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, %s", tt.name, pendings(shared)), func(t *testing.T) {
				for _, c := range crowds() {
					c.run(t, tt.slow, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
						rounds := h.number(tt.rounds, tt.served[k], 50)
						sum := raceOneAnswer(t, h, i, p, posts, tt.kind, rounds, shared)
						t.Log(sum)
						refused, strange := sum.refusals()
						if tt.slow && len(strange) == 1 && strange[0] == busy { // on a slow machine it is one hash after the other
							refused, strange = refused+sum.count[busy], nil
						}
						if sum.count[accepted] != rounds || refused != rounds*(racers-1) || len(strange) > 0 {
							t.Errorf("%d rounds of %d: %v", rounds, racers, sum)
						}
						if sum.inside < inFlight {
							t.Errorf("only %d of %d in flight: this was no race", sum.inside, racers)
						}
					})
				}
			})
		}
	}
}

// The same on a store that loads, compares and saves: more are accepted.
func TestRaceSeesACarelessStore(t *testing.T) {
	for _, c := range wrongCrowds() {
		c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
			rounds := h.number(50, 10, 50)
			sum := raceOneAnswer(t, h, i, p, posts, totp.Kind, rounds, false)
			t.Log(sum)
			if sum.count[accepted] <= rounds {
				t.Errorf("%d accepted in %d rounds: the harness does not race", sum.count[accepted], rounds)
			}
		})
	}
}

const guesses = 200

// raceGuesses lets guesses race of which one is right, and comes when the
// limit was reached.
func raceGuesses(t testing.TB, h *house, i *instance, p *mfatest.Person, posts []post, shared bool) tally {
	t.Helper()
	h.Clock.Advance(aDay)
	p.SignIn(i.guard, totp.Kind) // ends the run of failures
	right := p.Answer(totp.Kind).Code
	wrong := wrongCode(p.App(), h.Clock.Now())
	var attempts []attempt
	for n, token := range i.tokens(t, p.UserID, guesses, shared) {
		a := attempt{Token: token, Kind: totp.Kind, Code: wrong}
		if n == guesses/2 {
			a.Code, a.Late = right, true
		}
		attempts = append(attempts, a)
	}
	return race(t, posts, attempts, 5)
}

// wrongCode returns a code that the app shows at no time near at.
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

// 200 guesses at once, a limit of 5, a clock that stands still, and the right
// code among the refused ones: 5 are answered, 195 are not looked at.
func TestGuessesAreLimited(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(pendings(shared), func(t *testing.T) {
			for _, c := range crowds() {
				c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
					sum := raceGuesses(t, h, i, p, posts, shared)
					t.Log(sum)
					if sum.count[invalid] != 5 || sum.count[tooMany] != guesses-5 || sum.inside < guesses-2 {
						t.Errorf("200 guesses: %v", sum)
					}
				})
			}
		})
	}
}

// The same on a store that loads, compares and saves: more are answered.
func TestGuessRaceSeesACarelessStore(t *testing.T) {
	for _, c := range wrongCrowds() {
		c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
			sum, rounds := tally{}, h.number(10, 3, 10)
			for range rounds {
				sum.add(raceGuesses(t, h, i, p, posts, false))
			}
			t.Log(sum)
			if sum.count[invalid] <= 5*rounds {
				t.Errorf("%d answered in %d rounds: the harness does not race", sum.count[invalid], rounds)
			}
		})
	}
}

// Ten different backup codes at once on one pending sign-in: one sign-in, and
// one code is used.
func TestOnePendingOneLogin(t *testing.T) {
	for _, c := range crowds() {
		c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
			for range h.number(2, 1, 20) {
				h.Clock.Advance(aDay)
				regenerate(t, i, p)
				codes := p.Codes()
				token := i.begin(t, p.UserID).Token()
				var attempts []attempt
				for _, code := range codes {
					attempts = append(attempts, attempt{Token: token, Kind: backupcodes.Kind, Code: code})
				}
				sum := race(t, posts, attempts, 0)
				if sum.count[accepted] != 1 || sum.count[expired] != len(codes)-1 || sum.inside != len(codes) {
					t.Errorf("%d codes on one sign-in: %v", len(codes), sum)
				}
				o, err := i.guard.Admin("test").Overview(t.Context(), p.UserID)
				if err != nil || o.BackupLeft != len(codes)-1 {
					t.Errorf("%d codes are left, want %d (%v)", o.BackupLeft, len(codes)-1, err)
				}
			}
		})
	}
}
