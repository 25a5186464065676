package history

// The model: what a user has, and what each operation does to that if there is
// no other at the same time.

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/anishathalye/porcupine"
)

// An op is what a worker can do.
type op string

const (
	begin      op = "begin"      // a sign-in, by password
	verify     op = "verify"     // a code, for a sign-in under way
	enrol      op = "enrol"      // an app, in a session
	confirm    op = "confirm"    // it
	remove     op = "remove"     // an app, in a session
	regenerate op = "regenerate" // the backup codes, in a session
	require    op = "require"    // a second factor of a session
	look       op = "look"       // at what the user has, as an administrator
	reset      op = "reset"      // everything, as an administrator
	signOut    op = "sign out"   // everywhere
	unlock     op = "unlock"     // as an administrator; the model has no limit
)

// A verdict is what an operation answered.
type verdict string

const (
	done        verdict = "done"
	pending     verdict = "pending" // of begin: a second factor is asked for
	session     verdict = "session" // of begin: none is set up
	invalid     verdict = "invalid"
	replayed    verdict = "replayed"
	expired     verdict = "expired"
	notEnrolled verdict = "not enrolled"
	stepUp      verdict = "step-up"
	notFound    verdict = "not found"
	lastFactor  verdict = "last factor"
	full        verdict = "full"

	tooMany verdict = "too many" // refused by a limit: nothing was done
	busy    verdict = "busy"     // nothing was done
	unknown verdict = "unknown"  // perhaps it was done, perhaps it still will be
)

// A number is that of a record among those of its user, from 1. It names what
// the record handed out: a sign-in under way, a session, an enrolment, a set of
// codes. 0 is none of them.
type number int16

// nobodys stands in place of a number that nobody cares for, so that fewer states
// differ.
const nobodys number = -1

const (
	maxRecords = 512 // of one user
	maxApps    = 5
	maxDrafts  = 3
	setSize    = 10
)

// A call is an operation with what it was given.
type call struct {
	op                 op
	self               number // what it hands out
	on                 number // the sign-in or session that it belongs to
	app                number // that is confirmed or removed, or whose code it is
	step               int8   // of that code
	set                number // or the set that the code is of
	code               uint8  // and which of it
	provenApp, provenS number // what the session has proven: by an app, or by a code of a set

	wanted bool    // somebody tried to confirm the enrolment
	uses   records // of the sign-in or session that it hands out
	rivals records // of the sign-in or session that it belongs to: its own and the others'
	due    records // of all that have to find theirs alive: they were answered so
}

// records are a set of records of one user.
type records [maxRecords / 64]uint64

func (rs records) has(n number) bool { return rs[n/64]&(1<<(n%64)) != 0 }

func (rs *records) add(n number) { rs[n/64] |= 1 << (n % 64) }

func (rs records) with(more records) records {
	for i := range rs {
		rs[i] |= more[i]
	}
	return rs
}

func (rs records) without(some records) records {
	for i := range rs {
		rs[i] &^= some[i]
	}
	return rs
}

func (rs records) and(some records) records {
	for i := range rs {
		rs[i] &= some[i]
	}
	return rs
}

// only is the set of one.
func only(n number) (rs records) {
	rs.add(n)
	return rs
}

// An answer is what came back.
type answer struct {
	verdict verdict
	apps    [maxApps]number // that look saw, in order of their numbers
	left    int             // backup codes that look saw
}

// A state is what a user has. It can be compared, and is copied with all that is
// in it.
type state struct {
	apps   [maxApps]app      // confirmed ones, in order of their numbers; the empty ones last
	drafts [maxDrafts]number // enrolments that may be confirmed, oldest first
	set    number            // of backup codes
	used   uint16            // of its codes, a bit each
	live   records           // that will find their sign-in or session alive, if nothing happens before
}

type app struct {
	number number // 0: none
	last   int8   // step that was accepted
}

func (s *state) any() bool { return s.apps[0].number != 0 }

func (s *state) app(n number) *app {
	for i := range s.apps {
		if n != 0 && s.apps[i].number == n {
			return &s.apps[i]
		}
	}
	return nil
}

// sort restores the order after an app came or went.
func (s *state) sort() {
	slices.SortFunc(s.apps[:], func(a, b app) int { return cmp.Compare(uint16(a.number-1), uint16(b.number-1)) })
}

// issue makes what c hands out good.
func (s *state) issue(c call) { s.live = s.live.with(c.uses) }

// renew begins an epoch: what was handed out before is dead.
func (s *state) renew() { s.live = records{} }

// authorized reports whether c's session may change something.
func (s *state) authorized(c call) bool {
	return s.live.has(c.self) && (!s.any() || s.proven(c))
}

// proven reports whether what c's session has proven is still there.
func (s *state) proven(c call) bool {
	return s.app(c.provenApp) != nil || c.provenS != 0 && c.provenS == s.set
}

// after does c and returns what is then, and the answer.
func (s state) after(c call) (state, answer) {
	before := s
	refused := func(v verdict) (state, answer) { return before, answer{verdict: v} }
	ok := answer{verdict: done}
	switch c.op {
	case begin:
		ok.verdict = session
		if s.any() {
			ok.verdict = pending
		}
		s.issue(c)
	case verify:
		a := s.app(c.app)
		switch {
		case !s.live.has(c.self):
			return refused(expired)
		case c.set != 0 && c.set == s.set:
			if s.used&(1<<c.code) != 0 {
				return refused(replayed)
			}
			s.used |= 1 << c.code
		case c.set == 0 && a != nil:
			if c.step <= a.last {
				return refused(replayed)
			}
			a.last = c.step
		default:
			return refused(invalid)
		}
		s.live = s.live.without(c.rivals)
		s.issue(c)
	case enrol:
		switch {
		case !s.authorized(c):
			return refused(stepUp)
		case s.apps[maxApps-1].number != 0:
			return refused(full)
		}
		i := slices.Index(s.drafts[:], 0)
		if i < 0 { // the oldest gives way
			i = copy(s.drafts[:], s.drafts[1:])
		}
		if s.drafts[i] = c.self; !c.wanted {
			s.drafts[i] = nobodys
		}
	case confirm:
		i := slices.Index(s.drafts[:], c.app)
		switch {
		case !s.live.has(c.self):
			return refused(stepUp)
		case i < 0:
			return refused(expired)
		case s.apps[maxApps-1].number != 0:
			return refused(full)
		}
		copy(s.drafts[i:], s.drafts[i+1:])
		s.drafts[maxDrafts-1] = 0
		if !s.any() { // with the first one come the codes
			s.set, s.used = c.self, 0
		}
		s.apps[maxApps-1] = app{c.app, c.step}
		s.sort()
		s.renew()
		s.issue(c)
	case remove:
		a := s.app(c.app)
		switch {
		case !s.authorized(c):
			return refused(stepUp)
		case a == nil:
			return refused(notFound)
		case s.apps[1].number == 0:
			return refused(lastFactor)
		}
		*a = app{}
		s.sort()
		s.renew()
		s.issue(c)
	case regenerate:
		switch {
		case !s.authorized(c):
			return refused(stepUp)
		case !s.any():
			return refused(notEnrolled)
		}
		s.set, s.used = c.self, 0
		s.renew()
		s.issue(c)
	case require:
		if !s.any() || !s.live.has(c.self) || !s.proven(c) {
			return refused(stepUp)
		}
	case look:
		for i, a := range s.apps {
			ok.apps[i] = a.number
		}
		if s.set != 0 {
			ok.left = setSize
			for i := range setSize {
				ok.left -= int(s.used >> i & 1)
			}
		}
	case reset:
		s = state{}
	case signOut:
		s.renew()
		s.drafts = [maxDrafts]number{}
	}
	return s, ok
}

// explain reports whether s can be where c was answered so, and what is then.
//
// What became of an operation of unknown outcome is not compared: it may take
// effect whenever its turn comes. Its return is put at the end of the history, so
// that its turn can come at any time after its call; and where it comes last,
// nobody sees any effect, which is as good as never.
func explain(s state, c call, told answer) (bool, state) {
	next, a := s.after(c)
	next.live = next.live.without(only(c.self))
	// Not after it killed what another one is still to find alive: the checker
	// would come to that by itself, after it has tried all that can be between.
	killed := s.live.without(next.live).without(only(c.self)).and(c.due)
	return (told.verdict == unknown || told == a) && killed == records{}, next
}

// model returns the model as the checker takes it.
func model() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Partition:         byUser,
		Init:              func() any { return state{} },
		Step:              func(s, in, out any) (bool, any) { return explain(s.(state), in.(entry).call, out.(answer)) },
		Hash:              func(s any) uint64 { return maphash.Comparable(seed, s.(state)) },
		DescribeOperation: func(in, out any) string { return in.(entry).call.String() + ": " + out.(answer).String() },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
}

func (c call) String() string {
	text := fmt.Sprintf("%d %s", c.self, c.op)
	if c.on != 0 {
		text += fmt.Sprintf(" in %d", c.on)
	}
	switch {
	case c.set != 0:
		text += fmt.Sprintf(" code %d of set %d", c.code, c.set)
	case c.op == remove:
		text += fmt.Sprintf(" app %d", c.app)
	case c.app != 0:
		text += fmt.Sprintf(" step %d of app %d", c.step, c.app)
	}
	return text
}

func (a answer) String() string {
	if a.apps != [maxApps]number{} || a.left != 0 {
		return fmt.Sprintf("%s, apps %v, %d codes left", a.verdict, a.apps, a.left)
	}
	return string(a.verdict)
}

func (s state) String() string {
	text := ""
	for _, a := range s.apps {
		if a.number != 0 {
			text += fmt.Sprintf("app %d at step %d, ", a.number, a.last)
		}
	}
	text += fmt.Sprintf("drafts %v, set %d (used %010b), live", s.drafts, s.set, s.used)
	for n := range number(maxRecords) {
		if s.live.has(n) {
			text += fmt.Sprintf(" %d", n)
		}
	}
	return text
}
