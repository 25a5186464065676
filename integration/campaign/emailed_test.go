package campaign

// Emailed codes: racing, asking for more of them than may be sent
// and their end to the second.

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
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

var byMail = mfa.Offer{Kind: emailotp.Kind}

// challenged returns a new sign-in for which a code was sent, and the code.
func challenged(t testing.TB, i *instance, p *mfatest.Person) (*mfa.Pending, mfa.Answer) {
	t.Helper()
	pending := i.begin(t, p.UserID)
	if _, err := pending.Challenge(context.Background(), byMail); err != nil {
		t.Fatal(err)
	}
	return pending, p.Answer(emailotp.Kind)
}

// An occasion is where one emailed code may be typed: it returns so many
// requests that all type it.
type occasion struct {
	name    string
	passes  int     // how many of them
	others  verdict // of the rest
	prepare func(t testing.TB, i *instance, p *mfatest.Person) []attempt
}

// typed returns a request of each racer with the code, of which the first has
// this token and the others what token returns.
func typed(code, first string, token func() string) []attempt {
	attempts := []attempt{{Token: first, Kind: emailotp.Kind, Code: code}}
	for len(attempts) < racers {
		attempts = append(attempts, attempt{Token: token(), Kind: emailotp.Kind, Code: code})
	}
	return attempts
}

var occasions = []occasion{
	{"one pending sign-in", 1, expired, func(t testing.TB, i *instance, p *mfatest.Person) []attempt {
		pending, a := challenged(t, i, p)
		return typed(a.Code, pending.Token(), pending.Token)
	}},
	{"one pending sign-in, resumed by each", 1, expired, func(t testing.TB, i *instance, p *mfatest.Person) []attempt {
		pending, a := challenged(t, i, p)
		return typed(a.Code, pending.Token(), func() string {
			login, err := i.guard.Begin(context.Background(), mfa.FirstFactor{UserID: p.UserID, By: mfa.ByPassword, Resume: pending.Token()})
			if err != nil {
				t.Fatal(err)
			}
			return login.Pending.Token()
		})
	}},
	{"a pending sign-in each", 1, expired, func(t testing.TB, i *instance, p *mfatest.Person) []attempt {
		pending, a := challenged(t, i, p)
		return typed(a.Code, pending.Token(), func() string { return i.begin(t, p.UserID).Token() })
	}},
	{"a pending sign-in each, but the right one", 0, expired, func(t testing.TB, i *instance, p *mfatest.Person) []attempt {
		_, a := challenged(t, i, p)
		return typed(a.Code, i.begin(t, p.UserID).Token(), func() string { return i.begin(t, p.UserID).Token() })
	}},
	{"step-up", 1, expired, func(t testing.TB, i *instance, p *mfatest.Person) []attempt {
		login, err := i.guard.StepUp(context.Background(), p.Session(), mfa.Rule{})
		if err == nil {
			_, err = login.Pending.Challenge(context.Background(), byMail)
		}
		if err != nil {
			t.Fatal(err)
		}
		attempts := typed(p.Answer(emailotp.Kind).Code, login.Pending.Token(), login.Pending.Token)
		for n := range attempts {
			attempts[n].User, attempts[n].Session = p.UserID, p.Session().Token()
		}
		return attempts
	}},
	{"confirming an address", 1, outdated, func(t testing.TB, i *instance, p *mfatest.Person) []attempt {
		session := p.SignIn(i.guard, totp.Kind)
		e, err := i.guard.Settings(session).Enroll(context.Background(), mfa.NewFactor{Kind: emailotp.Kind, Address: p.Address})
		if err != nil {
			t.Fatal(err)
		}
		attempts := typed(p.Answer(emailotp.Kind).Code, "", func() string { return "" })
		for n := range attempts {
			attempts[n].User, attempts[n].Session, attempts[n].Enrollment = p.UserID, session.Token(), e.ID
		}
		return attempts
	}},
}

// addMail gives a person who has just enrolled an app codes by email, too.
func addMail(t testing.TB, i *instance, p *mfatest.Person) {
	t.Helper()
	ctx := context.Background()
	settings := i.guard.Settings(p.SignIn(i.guard, totp.Kind))
	e, err := settings.Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: p.Address})
	if err != nil {
		t.Fatal(err)
	}
	c, err := settings.Confirm(ctx, e.ID, p.Scan(e))
	if err != nil {
		t.Fatal(err)
	}
	p.Keep(c.Session)
}

func raceOneMail(t testing.TB, h *house, i *instance, p *mfatest.Person, posts []post, o occasion, rounds int) (sum tally) {
	t.Helper()
	addMail(t, i, p)
	for n := range rounds {
		h.Clock.Advance(aDay)
		if n%2 == 0 { // of a session a day old, too
			p.SignIn(i.guard, totp.Kind)
			h.Clock.Advance(time.Hour)
		}
		sum.add(race(t, posts, o.prepare(t, i, p), 0))
	}
	return sum
}

// One emailed code, 32 requests at once: one is accepted, where it may be, and
// no other is a failed try.
func TestOneMailedCodePassesOnce(t *testing.T) {
	for _, o := range occasions {
		t.Run(o.name, func(t *testing.T) {
			for _, c := range crowds() {
				c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
					rounds := h.number(20, 3, 50)
					sum := raceOneMail(t, h, i, p, posts, o, rounds)
					t.Log(sum)
					if sum.count[accepted] != rounds*o.passes || sum.count[o.others] != rounds*(racers-o.passes) {
						t.Errorf("%d rounds of %d: %v", rounds, racers, sum)
					}
					if sum.inside < inFlight {
						t.Errorf("only %d of %d in flight: this was no race", sum.inside, racers)
					}
					if tries := standing(t, i, p.UserID); tries.Run != 0 || tries.Day != 0 {
						t.Errorf("the same right code counts as %d failures", tries.Day)
					}
				})
			}
		})
	}
}

func standing(t testing.TB, i *instance, userID string) vault.Tries {
	t.Helper()
	s, err := i.vault.View(context.Background(), userID)
	if err != nil {
		t.Fatal(err)
	}
	return s.Tries
}

// The same on a store that loads, compares and saves: more are accepted.
func TestMailRaceSeesACarelessStore(t *testing.T) {
	for _, c := range wrongCrowds() {
		c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
			rounds := h.number(30, 10, 30)
			sum := raceOneMail(t, h, i, p, posts, occasions[0], rounds)
			t.Log(sum)
			if sum.count[accepted] <= rounds {
				t.Errorf("%d accepted in %d rounds: the harness does not race", sum.count[accepted], rounds)
			}
		})
	}
}

// 200 guesses at one emailed code, the right one among them: 5 are answered, and
// then the code is over, also for whom an administrator unlocks.
func TestMailGuessesAreLimited(t *testing.T) {
	for _, c := range crowds() {
		c.run(t, false, func(t *testing.T, h *house, p *mfatest.Person, i *instance, posts []post) {
			addMail(t, i, p)
			for range number(1, 5) {
				h.Clock.Advance(aDay)
				p.SignIn(i.guard, totp.Kind) // ends the run of failures
				pending, right := challenged(t, i, p)
				wrong := 0
				var attempts []attempt
				for n := range guesses {
					if wrong++; fmt.Sprintf("%06d", wrong) == right.Code {
						wrong++
					}
					a := attempt{Token: pending.Token(), Kind: emailotp.Kind, Code: fmt.Sprintf("%06d", wrong)}
					if n == guesses/2 {
						a.Code, a.Late = right.Code, true
					}
					attempts = append(attempts, a)
				}
				sum := race(t, posts, attempts, 5)
				t.Log(sum)
				if sum.count[invalid] != 5 || sum.count[tooMany] != guesses-5 || sum.inside < guesses-2 {
					t.Errorf("200 guesses: %v", sum)
				}
				if err := i.guard.Admin("test").Unlock(t.Context(), p.UserID); err != nil {
					t.Fatal(err)
				}
				if v := verdictOf(pending.Verify(t.Context(), right)); v != expired {
					t.Errorf("the right code after five wrong ones and an unlock: %s", v)
				}
			}
		})
	}
}

// A stamping sender notes when each mail went out.
type stamping struct {
	mail.Sender
	clock *mfatest.Clock
	mu    sync.Mutex
	at    []time.Time
}

func (s *stamping) Send(ctx context.Context, m mail.Message) error {
	s.mu.Lock()
	s.at = append(s.at, s.clock.Now())
	s.mu.Unlock()
	return s.Sender.Send(ctx, m)
}

// mailLimits are so many mails in any such time.
var mailLimits = []vault.Limit{{N: 1, Per: time.Minute}, {N: 5, Per: time.Hour}, {N: 10, Per: 24 * time.Hour}}

// flooded returns the limits that were broken by mails at these times.
func flooded(at []time.Time) (broken []vault.Limit) {
	for _, l := range mailLimits {
		for n := l.N; n < len(at); n++ {
			if at[n].Sub(at[n-l.N]) < l.Per {
				broken = append(broken, l)
				break
			}
		}
	}
	return broken
}

func TestFloodsAreSeen(t *testing.T) {
	at := func(every time.Duration, n int) (times []time.Time) {
		for i := range n {
			times = append(times, mfatest.Start().Add(time.Duration(i)*every))
		}
		return times
	}
	for _, tt := range []struct {
		at    []time.Time
		wrong int
	}{
		{at(3*time.Hour, 20), 0}, {at(time.Minute, 5), 0}, {at(12*time.Minute, 10), 0}, {at(0, 2), 1},
		{at(12*time.Minute-time.Second, 6), 1}, {at(2*time.Hour, 11), 1}, {at(59*time.Second, 20), 3},
	} {
		if got := flooded(tt.at); len(got) != tt.wrong {
			t.Errorf("%d mails, the second after %v: %v", len(tt.at), tt.at[1].Sub(tt.at[0]), got)
		}
	}
}

// A saving store counts the changes that landed, together with others.
type saving struct {
	store.Store
	landed *atomic.Int64
}

func (s saving) Apply(ctx context.Context, c store.Change) error {
	err := s.Store.Apply(ctx, c)
	if err == nil {
		s.landed.Add(1)
	}
	return err
}

// 1,000 codes asked for over 100 sign-ins, 16 at a time, by a clock that moves
// between: as many go out as the limits allow, and no more; no failure is
// forgiven; and nothing but what goes out is written.
func TestResends(t *testing.T) {
	const (
		atOnce  = 16
		signIns = 100
	)
	steps := []time.Duration{ // a day, of which each limit ends something
		0, time.Minute - time.Millisecond, time.Millisecond, 0, time.Minute, 20 * time.Second, 39 * time.Second, time.Second,
		5 * time.Minute, 5 * time.Minute, 5 * time.Minute, 30 * time.Minute, 13 * time.Minute,
		time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, 15 * time.Hour,
	}
	onEachStore(t, func(t *testing.T, h *house) {
		stamps := &stamping{Sender: h.Mail, clock: h.Clock}
		h.post = stamps
		var landed atomic.Int64
		h.wrap = func(s store.Store) store.Store { return saving{s, &landed} }
		is := []*instance{h.instance(t), h.instance(t)}
		i := is[0]
		p := h.Enroll(i.guard, "ada")
		addMail(t, i, p)
		h.Clock.Advance(aDay)
		for range 2 {
			wrong := mfa.Answer{Kind: totp.Kind, Code: wrongCode(p.App(), h.Clock.Now())}
			if v := verdictOf(i.begin(t, "ada").Verify(t.Context(), wrong)); v != invalid {
				t.Fatal(v)
			}
		}
		failed := h.Clock.Now()
		h.Mail.Clear()
		stamps.at = nil
		landed.Store(0)

		pendings := make([]*mfa.Pending, signIns)
		calls, allowed, alone := 0, 0, map[int]int{}
		for calls < number(1000, 10_000) {
			h.Clock.Advance(steps[calls/atOnce%len(steps)])
			now := h.Clock.Now()
			if broken := flooded(append(stamps.at, now)); len(broken) == 0 { // it may go out
				allowed++
			} else if len(broken) == 1 {
				alone[broken[0].N]++
			}
			hold, answers := newHold(atOnce), make(chan error, atOnce)
			for range atOnce {
				n := calls % signIns
				if pendings[n] == nil || !now.Before(pendings[n].Expires()) {
					pendings[n] = i.begin(t, "ada")
				}
				onOne, err := is[calls%2].guard.Resume(pendings[n].Token())
				if err != nil {
					t.Fatal(err)
				}
				calls++
				go func() {
					_, err := onOne.Challenge(hold.in(context.Background()), byMail)
					answers <- err
				}()
			}
			for range atOnce {
				<-hold.inside
			}
			close(hold.let)
			for range atOnce {
				if err := <-answers; err != nil && !errors.Is(err, mfa.ErrTooMany) {
					t.Fatal(err)
				}
			}
			sent := len(h.Mail.To(p.Address))
			if sent != allowed || len(stamps.at) != sent {
				t.Fatalf("%d mails were sent, %d may have been", sent, allowed)
			}
			if n := landed.Load(); n != int64(sent) {
				t.Fatalf("%d mails, and %d changes were saved", sent, n)
			}
			tries, day := standing(t, i, "ada"), 2
			if now.Sub(failed) >= 24*time.Hour {
				day = 0
			}
			if tries.Run != 2 || tries.Day != day {
				t.Fatalf("%d failures in a row and %d of the day, want 2 and %d", tries.Run, tries.Day, day)
			}
		}
		t.Logf("%d calls in %v, %d mails, times that one limit alone forbade one: %v", calls, h.Clock.Now().Sub(failed), allowed, alone)
		for _, l := range flooded(stamps.at) {
			t.Errorf("more than %d mails in %v", l.N, l.Per)
		}
		for _, l := range mailLimits {
			if alone[l.N] == 0 {
				t.Errorf("%d in %v was never reached: this was no test", l.N, l.Per)
			}
		}
	})
}

const shortTTL = 2 * time.Minute

// A code ends to the second, with its own time or with the sign-in that it was
// sent for, and outlives a restart.
func TestMailedCodesEnd(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		method := emailotp.New(h.Mail, &emailotp.Options{TTL: shortTTL})
		i := h.instance(t, totp.New(nil), method)
		p := h.Enroll(i.guard, "ada")
		addMail(t, i, p)
		for _, tt := range []struct {
			name        string
			wait, after time.Duration // before the code is sent, and then
			want        verdict
		}{
			{"at once", 0, 0, accepted},
			{"the code's last second", 0, shortTTL - time.Second, accepted},
			{"the code's last millisecond", 0, shortTTL - time.Millisecond, accepted},
			{"the code's end", 0, shortTTL, expired},
			{"the second after it", 0, shortTTL + time.Second, expired},
			{"the code's last second, resent for", 7 * time.Minute, shortTTL - time.Second, accepted},
			{"the sign-in's last second", 9 * time.Minute, time.Minute - time.Second, accepted},
			{"the sign-in's last millisecond", 9 * time.Minute, time.Minute - time.Millisecond, accepted},
			{"the sign-in's end", 9 * time.Minute, time.Minute, expired},
			{"the second after the sign-in's end", 9 * time.Minute, time.Minute + time.Second, expired},
		} {
			for _, restart := range []bool{false, true} {
				h.Clock.Advance(aDay)
				pending := i.begin(t, "ada")
				h.Clock.Advance(tt.wait)
				c, err := pending.Challenge(ctx, byMail)
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				end := h.Clock.Now().Add(min(shortTTL, 10*time.Minute-tt.wait))
				if !c.Expires.Equal(end) {
					t.Errorf("%s: expires after %v, want %v", tt.name, c.Expires.Sub(h.Clock.Now()), end.Sub(h.Clock.Now()))
				}
				mails := h.Mail.To(p.Address)
				says := fmt.Sprintf("for %d minute", int(end.Sub(h.Clock.Now()).Minutes()))
				if !strings.Contains(mails[len(mails)-1].Text, says) {
					t.Errorf("%s: the mail does not say %q", tt.name, says)
				}
				answer, on := p.Answer(emailotp.Kind), i
				if restart {
					on = h.instance(t, totp.New(nil), method)
				}
				if pending, err = on.guard.Resume(pending.Token()); err != nil {
					t.Fatal(err)
				}
				h.Clock.Advance(tt.after)
				if v := verdictOf(pending.Verify(ctx, answer)); v != tt.want {
					t.Errorf("%s (restarted: %v): %s, want %s", tt.name, restart, v, tt.want)
				}
				if v := verdictOf(pending.Verify(ctx, answer)); v != expired {
					t.Errorf("%s, once more: %s", tt.name, v)
				}
			}
		}
		if tries := standing(t, i, "ada"); tries.Day != 0 {
			t.Errorf("%d codes that were too late are failures", tries.Day)
		}

		// A resend ends the one before, and no other.
		method = emailotp.New(h.Mail, nil)
		i = h.instance(t, totp.New(nil), method)
		for range number(3, 30) {
			h.Clock.Advance(aDay)
			pending, old := challenged(t, i, p)
			h.Clock.Advance(time.Minute)
			other, others := challenged(t, i, p)
			h.Clock.Advance(time.Minute - time.Second)
			if _, err := pending.Challenge(ctx, byMail); !errors.Is(err, mfa.ErrTooMany) {
				t.Errorf("a second early: %v", err)
			}
			h.Clock.Advance(time.Second)
			if _, err := pending.Challenge(ctx, byMail); err != nil {
				t.Fatal(err)
			}
			fresh := p.Answer(emailotp.Kind)
			if fresh.Code == old.Code || others.Code == old.Code || others.Code == fresh.Code {
				continue // one in 300,000
			}
			i = h.instance(t, totp.New(nil), method)
			for _, try := range []struct {
				name   string
				token  string
				answer mfa.Answer
				want   verdict
			}{
				{"the code before the resend", pending.Token(), old, invalid},
				{"the other sign-in's code", pending.Token(), others, invalid},
				{"the code that was resent", pending.Token(), fresh, accepted},
				{"the other sign-in's code, there, in its last second", other.Token(), others, accepted},
			} {
				if try.token == other.Token() {
					h.Clock.Set(other.Expires().Add(-time.Second))
				}
				resumed, err := i.guard.Resume(try.token)
				if err != nil {
					t.Fatal(err)
				}
				if v := verdictOf(resumed.Verify(ctx, try.answer)); v != try.want {
					t.Errorf("%s: %s, want %s", try.name, v, try.want)
				}
			}
			if tries := standing(t, i, "ada"); tries.Day != 1 {
				t.Errorf("%d failures, want that of the code before the resend alone", tries.Day)
			}
		}
	})
}

// A code that begins with zeros is compared as it was sent, after a restart,
// too.
func TestMailedCodesKeepLeadingZeros(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		i := h.instance(t)
		p := h.Enroll(i.guard, "ada")
		addMail(t, i, p)
		sent, with := 0, 0
		for with < number(3, 20) {
			if sent++; sent > 2000 {
				t.Fatalf("%d of %d codes begin with a zero", with, sent)
			}
			h.Clock.Advance(aDay)
			pending, answer := challenged(t, i, p)
			if len(answer.Code) != 6 {
				t.Fatalf("a code of %d digits", len(answer.Code))
			}
			if bare := strings.TrimLeft(answer.Code, "0"); bare != answer.Code {
				with++
				i = h.instance(t)
				if onNew, err := i.guard.Resume(pending.Token()); err != nil {
					t.Fatal(err)
				} else {
					pending = onNew
				}
				if v := verdictOf(pending.Verify(ctx, mfa.Answer{Kind: emailotp.Kind, Code: bare})); v != invalid {
					t.Errorf("without its zeros: %s", v)
				}
			}
			if v := verdictOf(pending.Verify(ctx, answer)); v != accepted {
				t.Errorf("a code of %d: %s", sent, v)
			}
		}
		t.Logf("%d of %d codes begin with a zero", with, sent)
		if tries := standing(t, i, "ada"); tries.Day != 0 {
			t.Errorf("%d failures by what cannot be the code", tries.Day)
		}
	})
}
