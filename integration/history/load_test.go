package history

// The load: what the workers of one process do, through the Guard alone.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A round is a load on users who are new, so that no history grows long and no
// hourly limit is reached.
type round struct {
	N       int
	Started int64 // by the clock of the machine
	Ops     int   // of each worker, about
}

const (
	usersPerRound = 5
	window        = 2 // steps to either side whose codes are good
)

func (r round) user(n int) string { return fmt.Sprintf("round-%d/user-%d", r.N, n) }

// now is the time of the round by the vaults' clock. Rounds are an hour apart, and
// begin one second into a step.
func (r round) now() time.Time {
	return codeTime(r.N, 0).Add(time.Duration(monotonic() - r.Started))
}

// over reports whether the step is about to end. The model knows no time: all of
// a round happens within one step.
func (r round) over() bool { return monotonic()-r.Started > int64(20*time.Second) }

const period = 30 * time.Second

// codeTime is when the code of a step is shown, counted from the one in which the
// round happens.
func codeTime(n, step int) time.Time {
	return mfatest.Start().Truncate(period).Add(time.Duration(n)*time.Hour + time.Second + time.Duration(step)*period)
}

// A station is the workers of one process.
type station struct {
	guard *mfa.Guard
	board board
	round atomic.Pointer[round]
}

func newStation(st store.Store, keys vault.Keys) (*station, error) {
	s := &station{}
	s.round.Store(&round{Started: monotonic()})
	v, err := vault.Open(st, keys, &vault.Options{Now: func() time.Time { return s.round.Load().now() }})
	if err != nil {
		return nil, err
	}
	s.guard, err = mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{
		totp.New(&totp.Options{Digits: 8, Window: totp.WideWindow}), // so that one app has five codes, and two never the same one
		backupcodes.New(&backupcodes.Options{Chars: 24}),            // long enough to need no slow hash
	}})
	return s, err
}

// run lets those workers do their part of a round. They say what they did.
func (s *station) run(r round, workers []int, say func(record)) {
	s.round.Store(&r)
	s.board.clear()
	var all sync.WaitGroup
	for _, n := range workers {
		w := &worker{station: s, round: r, number: n, say: say}
		all.Go(func() {
			for w.made < r.Ops && !r.over() {
				w.something(r.user(rand.IntN(usersPerRound)))
			}
		})
	}
	all.Wait()
}

// A board shows what the workers of all processes were told, of one round.
type board struct {
	mu    sync.Mutex
	users map[string]*shown
}

type shown struct {
	pendings, sessions, enrolled, confirmed, sets []record // in the order in which they came
	last                                          map[string]int
	used                                          map[string]int // codes, by set: the first so many
}

func (b *board) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users = nil
}

// of returns what is shown of the user; b.mu is held.
func (b *board) of(user string) *shown {
	if b.users == nil {
		b.users = map[string]*shown{}
	}
	if b.users[user] == nil {
		b.users[user] = &shown{last: map[string]int{}, used: map[string]int{}}
	}
	return b.users[user]
}

// show adds a record.
func (b *board) show(r record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of(r.User)
	switch {
	case r.Verdict == pending:
		s.pendings = append(s.pendings, r)
	case r.Token != "":
		s.sessions = append(s.sessions, r)
	}
	if r.URI != "" {
		s.enrolled = append(s.enrolled, r)
	}
	if len(r.Codes) > 0 {
		s.sets = append(s.sets, r)
	}
	took := r.Verdict == done || r.Verdict == replayed
	switch {
	case r.Op == confirm && r.Verdict == done:
		for _, e := range s.enrolled {
			if e.ID == r.App {
				s.confirmed = append(s.confirmed, e)
			}
		}
		s.last[r.App] = r.Step
	case r.Op == verify && took && r.Set != "":
		s.used[r.Set] = max(s.used[r.Set], r.Code+1)
	case r.Op == verify && took:
		s.last[r.App] = max(s.last[r.App], r.Step)
	}
}

// pick returns one of the latest n, mostly the last; ok is false if there is none.
func pick(rs []record, n int) (r record, ok bool) {
	if len(rs) == 0 {
		return r, false
	}
	i := len(rs) - 1
	if rand.IntN(10) >= 6 {
		i -= rand.IntN(min(n, len(rs)))
	}
	return rs[i], true
}

func (b *board) pending(user string) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pick(b.of(user).pendings, 4)
}

func (b *board) session(user string) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pick(b.of(user).sessions, 4)
}

func (b *board) enrolled(user string) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pick(b.of(user).enrolled, 3)
}

func (b *board) confirmed(user string) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pick(b.of(user).confirmed, 5)
}

// code completes r with a code to present: mostly one that seems to be good, and
// that all who look at the board at the same time take.
func (b *board) code(r *record) (mfa.Answer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.of(r.User)
	if set, ok := pick(s.sets, 2); ok && rand.IntN(10) < 5 {
		r.Set, r.Code = set.ID, s.used[set.ID]
		if r.Code >= setSize || rand.IntN(10) == 0 {
			r.Code = rand.IntN(setSize)
		}
		return mfa.Answer{Kind: backupcodes.Kind, Code: set.Codes[r.Code]}, true
	}
	of := s.confirmed
	if len(of) == 0 || rand.IntN(20) == 0 { // or of one that nobody confirmed
		of = s.enrolled
	}
	e, ok := pick(of, 4)
	if !ok {
		return mfa.Answer{}, false
	}
	last, seen := s.last[e.ID]
	r.App, r.Step = e.ID, last+1
	if !seen {
		r.Step = -window
	}
	if r.Step > window || rand.IntN(10) == 0 {
		r.Step = rand.IntN(2*window+1) - window
	}
	code, err := codeOf(e, r.Step)
	return mfa.Answer{Kind: totp.Kind, Code: code}, err == nil
}

// codeOf is what the app of an enrolment shows.
func codeOf(e record, step int) (string, error) {
	a, err := mfatest.NewApp(e.URI)
	if err != nil {
		return "", err
	}
	return a.Code(codeTime(e.Round, step)), nil
}

// A worker does one thing after the other.
type worker struct {
	*station
	round  round
	number int
	made   int
	mine   *record // the session to use; nil: one of those on the board
	say    func(record)
}

// do makes a call and says what came of it.
func (w *worker) do(r record, f func(r *record) error) record {
	w.made++
	r.ID, r.Worker, r.Round = fmt.Sprintf("%d.%d", w.number, w.made), w.number, w.round.N
	r.Call = monotonic()
	err := f(&r)
	r.Return = monotonic()
	if r.Verdict == "" {
		r.Verdict = verdictOf(err)
	}
	w.board.show(r)
	w.say(r)
	return r
}

func verdictOf(err error) verdict {
	for _, v := range []struct {
		err  error
		made verdict
	}{
		{nil, done},
		{mfa.ErrOutcomeUnknown, unknown}, // wraps what it is unknown for
		{mfa.ErrBusy, busy},
		{mfa.ErrUnavailable, unknown},
		{mfa.ErrTooMany, tooMany},
		{mfa.ErrReplayed, replayed},
		{mfa.ErrExpired, expired},
		{mfa.ErrNotEnrolled, notEnrolled},
		{mfa.ErrInvalid, invalid},
		{mfa.ErrStepUpRequired, stepUp},
		{mfa.ErrNotFound, notFound},
		{mfa.ErrLastFactor, lastFactor},
		{mfa.ErrLimit, full},
	} {
		if errors.Is(err, v.err) {
			return v.made
		}
	}
	return failure + verdict(err.Error())
}

// failure begins the verdict on what should not have happened at all.
const failure verdict = "failed: "

// something does one of the things that can be done, at random.
func (w *worker) something(user string) {
	switch n := rand.IntN(100); {
	case n < 56:
		w.signIn(user)
	case n < 84:
		w.change(user)
	case n < 89:
		w.inSession(record{User: user, Op: require}, func(_ *record, s *mfa.Session) error {
			return w.guard.Require(context.Background(), s, mfa.Fresh(5*time.Minute))
		})
	case n < 93:
		w.do(record{User: user, Op: look}, func(r *record) error {
			o, err := w.guard.Admin("test").Overview(context.Background(), user)
			if err == nil {
				for _, f := range o.Factors {
					if f.Kind == totp.Kind {
						r.Factors = append(r.Factors, f.ID)
					}
				}
				r.Left = o.BackupLeft
			}
			return err
		})
	case n < 95:
		w.do(record{User: user, Op: reset}, func(*record) error {
			return w.guard.Admin("test").Reset(context.Background(), user, "lost everything")
		})
	case n < 97:
		w.do(record{User: user, Op: signOut}, func(*record) error {
			return w.guard.SignOutEverywhere(context.Background(), user)
		})
	default:
		w.begin(user)
	}
}

// change changes what the user has set up, in a session.
func (w *worker) change(user string) {
	switch n := rand.IntN(10); {
	case n < 5:
		w.enrol(user)
	case n < 8:
		w.remove(user)
	default:
		w.inSession(record{User: user, Op: regenerate}, func(r *record, s *mfa.Session) error {
			e, err := w.guard.Settings(s).Enroll(context.Background(), mfa.NewFactor{Kind: backupcodes.Kind})
			if err == nil {
				r.Token = e.Session.Token()
				r.Codes = reveal(e.Codes)
			}
			return err
		})
	}
}

func reveal(codes []mfa.Secret) []string {
	var texts []string
	for _, c := range codes {
		texts = append(texts, c.Reveal())
	}
	return texts
}

// inSession calls f with a session of the user, if there is one.
func (w *worker) inSession(r record, f func(*record, *mfa.Session) error) (record, bool) {
	s, ok := w.board.session(r.User)
	if w.mine != nil {
		s = *w.mine
	}
	if !ok {
		w.begin(r.User)
		return r, false
	}
	r.On = s.ID
	return w.do(r, func(r *record) error { return f(r, w.guard.Session(r.User, s.Token)) }), true
}

func (w *worker) begin(user string) record {
	return w.do(record{User: user, Op: begin}, func(r *record) error {
		login, err := w.guard.Begin(context.Background(), mfa.FirstFactor{UserID: user, By: mfa.ByPassword})
		switch {
		case err != nil:
		case login.Pending != nil:
			r.Verdict, r.Token = pending, login.Pending.Token()
		default:
			r.Verdict, r.Token = session, login.Session.Token()
		}
		return err
	})
}

// signIn presents a code, for a sign-in of its own or of another worker; or it
// leaves its own to the others.
func (w *worker) signIn(user string) {
	p, ok := w.board.pending(user)
	if !ok || rand.IntN(10) < 7 {
		if p = w.begin(user); p.Verdict == session && rand.IntN(2) == 0 {
			w.enrol(user)
		}
		if p.Verdict != pending || rand.IntN(10) < 2 {
			return
		}
	}
	r := record{User: user, Op: verify, On: p.ID}
	answer, ok := w.board.code(&r)
	if !ok {
		return
	}
	r = w.do(r, func(r *record) error {
		p, err := w.guard.Resume(p.Token)
		if err != nil {
			return fmt.Errorf("resume: %v", err) // no verdict on the answer
		}
		login, err := p.Verify(context.Background(), answer)
		if err == nil {
			r.Token = login.Session.Token()
		}
		return err
	})
	if r.Verdict == done && rand.IntN(10) < 5 { // what the sign-in was for
		w.mine = &r
		w.change(user)
		w.mine = nil
	}
	if r.Verdict == tooMany {
		w.do(record{User: user, Op: unlock}, func(*record) error {
			return w.guard.Admin("test").Unlock(context.Background(), user)
		})
	}
}

// enrol begins an enrolment and confirms it, or one that somebody else began.
func (w *worker) enrol(user string) {
	e, ok := w.board.enrolled(user)
	if !ok || rand.IntN(10) < 8 {
		e, ok = w.inSession(record{User: user, Op: enrol}, func(r *record, s *mfa.Session) error {
			e, err := w.guard.Settings(s).Enroll(context.Background(), mfa.NewFactor{Kind: totp.Kind})
			if err == nil {
				r.Factor, r.URI = e.ID, e.URI.Reveal()
			}
			return err
		})
		if !ok || e.Verdict != done {
			return
		}
	}
	token, ok := w.board.token(user, e.On)
	if !ok {
		return
	}
	r := record{User: user, Op: confirm, On: e.On, App: e.ID, Step: rand.IntN(2) - window}
	w.do(r, func(r *record) error {
		code, err := codeOf(e, r.Step)
		if err != nil {
			return err
		}
		answer := mfa.Answer{Kind: totp.Kind, Code: code}
		c, err := w.guard.Settings(w.guard.Session(user, token)).Confirm(context.Background(), e.Factor, answer)
		if err == nil {
			r.Token = c.Session.Token()
			r.Codes = reveal(c.BackupCodes)
		}
		return err
	})
}

// token returns that of the session which a record handed out. ok is false if that
// has not been shown yet: records of two processes may arrive in any order.
func (b *board) token(user, id string) (token string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.of(user).sessions {
		if s.ID == id {
			return s.Token, true
		}
	}
	return "", false
}

// remove ends an app that was confirmed, perhaps not any more.
func (w *worker) remove(user string) {
	e, ok := w.board.confirmed(user)
	if !ok {
		return
	}
	w.inSession(record{User: user, Op: remove, App: e.ID}, func(r *record, s *mfa.Session) error {
		c, err := w.guard.Settings(s).Remove(context.Background(), e.Factor)
		if err == nil {
			r.Token = c.Session.Token()
		}
		return err
	})
}

// failed returns what should not have happened.
func failed(rs []record) []string {
	var texts []string
	for _, r := range rs {
		if strings.HasPrefix(string(r.Verdict), string(failure)) {
			texts = append(texts, fmt.Sprintf("%s: %s", r.Op, r.Verdict))
		}
	}
	return texts
}
