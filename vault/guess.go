package vault

// The limit on guessing: who is let through, what a failure costs, what clears
// it. Only Guess runs a check that sees secrets.

import (
	"errors"
	"slices"
	"time"
)

// PurposeConfirm is the purpose under which an enrolment is confirmed. Its
// guesses are limited in the same way as all others, but counted apart.
const PurposeConfirm = "confirm"

// The limits on typed answers, per account, over all kinds, sessions and
// processes (RFC 4226 section 7.3, NIST SP 800-63B-4 section 3.2.2).
const (
	Burst        = 5                // failures without a pause
	PerDay       = 20               // failures in any 24 hours
	Consecutive  = 100              // failures with one kind, after which it is disabled
	FirstPause   = 30 * time.Second // doubles with each failure
	LongestPause = time.Hour
	day          = 24 * time.Hour
)

type tries struct {
	run  int     // failures since the last finished sign-in
	last int64   // when the latest was, Unix milliseconds
	day  []int64 // those of the last 24 hours, oldest first
}

type fails struct {
	kind Kind
	n    int // consecutive
}

// Tries says where an account stands.
type Tries struct {
	Run  int           // failed guesses since the last finished sign-in
	Day  int           // failed guesses in the last 24 hours
	Wait time.Duration // until the next guess is looked at; 0: now
}

// Guess is the only way to check an answer that somebody could guess. It
// refuses with a *LimitError while the account is paused, without running
// verify and without writing; else it charges an attempt, runs verify with a
// Scope that shows the kind's secrets, and gives the attempt back if verify
// returns nil or a verdict marked Uncounted. ErrNotEnrolled if there is no
// record.
func (a *Account) Guess(k Kind, purpose, flow string, verify func(*Scope) error) error {
	if !a.exists {
		return ErrNotEnrolled
	}
	t := &a.tries[0]
	if purpose == PurposeConfirm {
		t = &a.tries[1]
	}
	if wait := t.wait(a.now); wait > 0 {
		return &LimitError{RetryAfter: wait}
	}
	s := a.Scope(k, purpose, flow)
	s.secrets = true
	err := a.shown(s, verify)
	var no *uncounted
	if err == nil || !errors.Is(err, ErrRejected) || errors.As(err, &no) {
		return err
	}
	t.charge(a.now)
	if purpose != PurposeConfirm {
		a.failed(k)
	}
	return err
}

// shown runs verify while the secrets of the Scope's kind show. However it ends,
// they are hidden and the Scope is over.
func (a *Account) shown(s *Scope, verify func(*Scope) error) error {
	a.show(s.kind)
	defer func() {
		s.closed = true
		a.hide(s.kind)
	}()
	return verify(s)
}

func (a *Account) show(k Kind) { a.each(k, (*Factor).show, (*Challenge).show) }
func (a *Account) hide(k Kind) { a.each(k, (*Factor).hide, (*Challenge).hide) }

func (a *Account) each(k Kind, onFactor func(*Factor), onChallenge func(*Challenge)) {
	for _, f := range a.factors {
		if f.Kind == k {
			onFactor(f)
		}
	}
	for _, d := range a.drafts {
		if d.Kind == k {
			onFactor(d.Factor)
		}
	}
	for _, c := range a.challenges {
		if c.kind == k {
			onChallenge(&c.Challenge)
		}
	}
}

// failed counts a consecutive failure of the kind and disables its factors
// when there were too many.
func (a *Account) failed(k Kind) {
	i := slices.IndexFunc(a.fails, func(f fails) bool { return f.kind == k })
	if i < 0 {
		if !slices.ContainsFunc(a.factors, func(f *Factor) bool { return f.Kind == k }) {
			return // nothing to disable: kinds that are not enrolled leave no trace
		}
		a.fails = append(a.fails, fails{kind: k})
		i = len(a.fails) - 1
	}
	a.fails[i].n++
	if a.fails[i].n < Consecutive {
		return
	}
	for _, f := range a.factors {
		if f.Kind == k {
			f.Disabled = true
		}
	}
	a.clearFails(k)
}

func (a *Account) clearFails(k Kind) {
	a.fails = slices.DeleteFunc(a.fails, func(f fails) bool { return f.kind == k })
}

// Finished clears the pause, and the consecutive failures of the kind that was
// used, after a finished sign-in or step-up. The failures of the day stay.
func (a *Account) Finished(k Kind) {
	a.tries[0].run = 0
	a.clearFails(k)
}

// Confirmed clears the pause of enrolment.
func (a *Account) Confirmed() { a.tries[1].run = 0 }

// Unlock clears every pause and the failures of the day, for an administrator.
// What was disabled stays so.
func (a *Account) Unlock() { a.tries = [2]tries{} }

// Tries says where the account stands with typed answers.
func (a *Account) Tries() Tries { return a.tries[0].standing(a.now) }

func (t *tries) standing(now time.Time) Tries {
	return Tries{Run: t.run, Day: len(t.recent(now)), Wait: t.wait(now)}
}

// recent returns the failures of the last 24 hours.
func (t *tries) recent(now time.Time) []int64 {
	from := now.Add(-day).UnixMilli()
	i := slices.IndexFunc(t.day, func(at int64) bool { return at > from })
	if i < 0 {
		return nil
	}
	return t.day[i:]
}

// wait returns how long the next guess has to wait, 0 if it need not.
func (t *tries) wait(now time.Time) time.Duration {
	var until int64
	if t.run >= Burst {
		until = t.last + pause(t.run).Milliseconds()
	}
	if recent := t.recent(now); len(recent) >= PerDay {
		until = max(until, recent[len(recent)-PerDay]+day.Milliseconds())
	}
	return max(0, time.Duration(until-now.UnixMilli())*time.Millisecond)
}

// pause is the pause after so many failures in a run.
func pause(run int) time.Duration {
	p := FirstPause
	for range run - Burst {
		if p *= 2; p >= LongestPause {
			return LongestPause
		}
	}
	return p
}

func (t *tries) charge(now time.Time) {
	t.day = append(slices.Clone(t.recent(now)), now.UnixMilli())
	t.last = now.UnixMilli()
	t.run++
}

func (t *tries) heal(now, horizon int64) {
	if t.last > horizon {
		t.last = now
	}
	pull(t.day, now, horizon)
}
