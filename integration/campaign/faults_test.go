package campaign

// Stores that lie, clients that send twice, contexts that end in the middle,
// others who keep saving first: the right answer stands,
// or nobody knows; it is never "rejected", and nothing passes twice.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A fault is armed before one request and ends with it.
type fault struct {
	name string
	arm  func(s *scene) (ctx context.Context)
	must bool // the request must succeed all the same
}

// A scene is one person, and an instance over an unlucky store.
type scene struct {
	*testing.T
	*house
	*instance
	store  *unlucky
	other  *instance // over the same store, with better luck
	person *mfatest.Person
}

var errLie = fmt.Errorf("%w: a lie", store.ErrUnavailable)

// applies arms Apply for as long as the request takes.
func applies(f func(ctx context.Context, n int, c store.Change, apply func(context.Context) error) error) func(*scene) context.Context {
	return func(s *scene) context.Context {
		s.store.onApply = f
		return s.Context()
	}
}

// cut arms Apply with a way to end the request's context.
func cut(f func(ctx context.Context, n int, end func(), apply func(context.Context) error) error) func(*scene) context.Context {
	return func(s *scene) context.Context {
		ctx, end := context.WithCancel(s.Context())
		s.store.onApply = func(ctx context.Context, n int, _ store.Change, apply func(context.Context) error) error {
			return f(ctx, n, end, apply)
		}
		return ctx
	}
}

// noise is a save of somebody else to the same record.
func (s *scene) noise() {
	s.Helper()
	_, err := vault.Update(context.Background(), s.other.vault, s.person.UserID, func(a *vault.Account) (struct{}, error) {
		a.Allow("noise", vault.Limit{N: 32, Per: time.Nanosecond})
		return struct{}{}, nil
	})
	if err != nil {
		s.Errorf("somebody else's save: %v", err)
	}
	s.Clock.Advance(time.Millisecond) // so that the next one changes something
}

// storm lets others save first, so many times.
func storm(times int) func(*scene) context.Context {
	return func(s *scene) context.Context {
		s.store.onApply = func(ctx context.Context, n int, _ store.Change, apply func(context.Context) error) error {
			if n <= times {
				s.noise()
			}
			return apply(ctx)
		}
		return s.Context()
	}
}

// twice lets the client send twice, with so many saves of others between.
func twice(others int) func(*scene) context.Context {
	return func(s *scene) context.Context {
		s.store.onApply = func(ctx context.Context, _ int, _ store.Change, apply func(context.Context) error) error {
			if err := apply(ctx); err != nil {
				return err
			}
			for range others {
				s.noise()
			}
			return apply(ctx)
		}
		return s.Context()
	}
}

// failing lets Apply fail so many times without landing.
func failing(times int) func(*scene) context.Context {
	return applies(func(ctx context.Context, n int, _ store.Change, apply func(context.Context) error) error {
		if n <= times {
			return errLie
		}
		return apply(ctx)
	})
}

var faults = []fault{
	{"lands and lies once", applies(func(ctx context.Context, n int, _ store.Change, apply func(context.Context) error) error {
		err := apply(ctx)
		if n == 1 {
			err = errLie
		}
		return err
	}), true},
	{"lands and always lies", applies(func(ctx context.Context, _ int, _ store.Change, apply func(context.Context) error) error {
		apply(ctx)
		return errLie
	}), true},
	{"lands, lies, and others save", func(s *scene) context.Context {
		s.store.onApply = func(ctx context.Context, n int, _ store.Change, apply func(context.Context) error) error {
			err := apply(ctx)
			if n == 1 {
				s.noise()
				s.noise()
				err = errLie
			}
			return err
		}
		return s.Context()
	}, true},
	{"lands, lies, and is gone", func(s *scene) context.Context {
		s.store.onApply = func(ctx context.Context, _ int, _ store.Change, apply func(context.Context) error) error {
			apply(ctx)
			s.store.onLoad = func(context.Context, func(context.Context) (store.Record, error)) (store.Record, error) {
				return store.Record{}, errLie
			}
			return errLie
		}
		return s.Context()
	}, false},
	{"sends twice", twice(0), true},
	{"sends twice, one save of others between", twice(1), true},
	{"sends twice, three saves of others between", twice(3), true},
	{"fails once", failing(1), true},
	{"fails three times", failing(3), true},
	{"fails always", failing(1 << 30), false},
	{"cannot be read", func(s *scene) context.Context {
		s.store.onLoad = func(context.Context, func(context.Context) (store.Record, error)) (store.Record, error) {
			return store.Record{}, errLie
		}
		return s.Context()
	}, false},
	{"one other save first", storm(1), true},
	{"twenty other saves first", storm(20), true},
	{"others always save first", storm(1 << 30), false},
	{"context ended before", func(s *scene) context.Context {
		ctx, end := context.WithCancel(s.Context())
		end()
		return ctx
	}, false},
	{"context ends at the save, which does not land", cut(func(ctx context.Context, n int, end func(), apply func(context.Context) error) error {
		if n == 1 {
			end()
			return fmt.Errorf("%w: %w", store.ErrUnavailable, context.Canceled)
		}
		return apply(ctx)
	}), true},
	{"context ends at the save, which lands", cut(func(ctx context.Context, n int, end func(), apply func(context.Context) error) error {
		err := apply(ctx)
		if n == 1 {
			end()
			return fmt.Errorf("%w: %w", store.ErrUnavailable, context.Canceled)
		}
		return err
	}), true},
	{"context ends after the save", cut(func(ctx context.Context, _ int, end func(), apply func(context.Context) error) error {
		defer end()
		return apply(ctx)
	}), true},
	{"context ends after a conflict", func(s *scene) context.Context {
		ctx, end := context.WithCancel(s.Context())
		s.store.onApply = func(ctx context.Context, n int, _ store.Change, apply func(context.Context) error) error {
			if n == 1 {
				s.noise()
				defer end()
			}
			return apply(ctx)
		}
		return ctx
	}, false},
}

// A deed is a request, and what has to hold after it.
type deed struct {
	name string

	// prepare returns the request: it is made once under the fault, and check
	// is called after. worked says whether it succeeded.
	prepare func(s *scene) (request func(ctx context.Context) error, check func(worked bool))
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// signsIn makes a deed of answering with a kind: however it ends, the answer
// passes once.
func signsIn(kind mfa.Kind) deed {
	return deed{"sign in with " + string(kind), func(s *scene) (func(context.Context) error, func(bool)) {
		answer := s.person.Answer(kind)
		p := s.begin(s.T, s.person.UserID)
		try := func() verdict {
			return verdictOf(s.other.begin(s.T, s.person.UserID).Verify(s.Context(), answer))
		}
		return func(ctx context.Context) error {
				login, err := p.Verify(ctx, answer)
				if err == nil {
					s.must(s.other.guard.Require(s.Context(), login.Session, mfa.Rule{}))
				}
				return err
			}, func(worked bool) {
				first, second := try(), try()
				if worked && !first.refused() {
					s.Errorf("accepted, and again: %s", first)
				}
				if first != accepted && !first.refused() || !second.refused() {
					s.Errorf("the same answer again and again: %s, %s", first, second)
				}
			}
	}}
}

var deeds = []deed{
	signsIn(totp.Kind),
	signsIn(backupcodes.Kind),
	{"confirm the first app", func(s *scene) (func(context.Context) error, func(bool)) {
		const userID = "new"
		session, err := s.guard.Begin(s.Context(), mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
		s.must(err)
		e, err := s.guard.Settings(session.Session).Enroll(s.Context(), mfa.NewFactor{Kind: totp.Kind})
		s.must(err)
		app, err := mfatest.NewApp(e.URI.Reveal())
		s.must(err)
		answer := mfa.Answer{Kind: totp.Kind, Code: app.Next(s.Clock)}
		s.person.UserID = userID // whose record the noise is about
		var codes []mfa.Secret
		return func(ctx context.Context) error {
				c, err := s.guard.Settings(session.Session).Confirm(ctx, e.ID, answer)
				if err == nil {
					codes = c.BackupCodes
				}
				return err
			}, func(worked bool) {
				if worked && len(codes) != 10 {
					s.Errorf("%d codes shown", len(codes))
				}
				o, err := s.other.guard.Admin("test").Overview(s.Context(), userID)
				s.must(err)
				if worked != o.Enabled() && worked {
					s.Error("confirmed, and not there")
				}
				if !o.Enabled() {
					return
				}
				if v := verdictOf(s.other.begin(s.T, userID).Verify(s.Context(), answer)); v != replayed {
					s.Errorf("the confirming code signs in: %s", v)
				}
				if worked {
					v := verdictOf(s.other.begin(s.T, userID).Verify(s.Context(), mfa.Answer{Kind: backupcodes.Kind, Code: codes[9].Reveal()}))
					if v != accepted {
						s.Errorf("a code that was shown: %s", v)
					}
				}
			}
	}},
	{"make new codes", func(s *scene) (func(context.Context) error, func(bool)) {
		old := s.person.Codes()
		session := s.person.SignIn(s.guard, totp.Kind)
		var codes []mfa.Secret
		return func(ctx context.Context) error {
				e, err := s.guard.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
				if err == nil {
					codes = e.Codes
				}
				return err
			}, func(worked bool) {
				try := func(code string) verdict {
					return verdictOf(s.other.begin(s.T, s.person.UserID).Verify(s.Context(), mfa.Answer{Kind: backupcodes.Kind, Code: code}))
				}
				was := try(old[3])
				if worked && was != invalid || !worked && was != invalid && was != accepted {
					s.Errorf("a code of the old set: %s", was)
				}
				if worked {
					if v := try(codes[3].Reveal()); v != accepted {
						s.Errorf("a code that was shown: %s", v)
					}
				}
			}
	}},
	{"remove an app", func(s *scene) (func(context.Context) error, func(bool)) {
		k := *s.house.Kit
		k.Vault = s.other.vault
		two := k.Enroll(s.other.guard, "two-apps", totp.Kind, totp.Kind)
		s.person = two
		session := two.SignIn(s.guard, totp.Kind)
		o, err := s.guard.Settings(session).Overview(s.Context())
		s.must(err)
		id := o.Factors[0].ID
		return func(ctx context.Context) error {
				_, err := s.guard.Settings(session).Remove(ctx, id)
				return err
			}, func(worked bool) {
				o, err := s.other.guard.Admin("test").Overview(s.Context(), "two-apps")
				s.must(err)
				if there := o.Factors[0].ID == id; worked && there {
					s.Error("removed, and there")
				}
			}
	}},
	{"sign in with an emailed code", func(s *scene) (func(context.Context) error, func(bool)) {
		p, answer := challenged(s, s.instance, s.person)
		try := func() verdict {
			onOther, err := s.other.guard.Resume(p.Token())
			s.must(err)
			return verdictOf(onOther.Verify(s.Context(), answer))
		}
		return func(ctx context.Context) error {
				login, err := p.Verify(ctx, answer)
				if err == nil {
					s.must(s.other.guard.Require(s.Context(), login.Session, mfa.Rule{}))
				}
				return err
			}, func(worked bool) {
				first, second := try(), try()
				if worked && first != expired || first != accepted && first != expired || second != expired {
					s.Errorf("worked: %v; the same code again and again: %s, %s", worked, first, second)
				}
			}
	}},
	{"confirm an address", func(s *scene) (func(context.Context) error, func(bool)) {
		session := s.person.SignIn(s.guard, totp.Kind)
		e, err := s.guard.Settings(session).Enroll(s.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: s.person.Address})
		s.must(err)
		answer := s.person.Answer(emailotp.Kind)
		return func(ctx context.Context) error {
				_, err := s.guard.Settings(session).Confirm(ctx, e.ID, answer)
				return err
			}, func(worked bool) {
				o, err := s.other.guard.Admin("test").Overview(s.Context(), s.person.UserID)
				s.must(err)
				mails := 0
				there := slices.ContainsFunc(o.Factors, func(f mfa.FactorInfo) bool { return f.ID == e.ID })
				for _, f := range o.Factors {
					if f.Kind == emailotp.Kind {
						mails++
					}
				}
				if worked && !there || mails != 1 {
					s.Errorf("worked: %v; the new address is there: %v, of %d", worked, there, mails)
				}
				_, err = s.other.guard.Settings(session).Confirm(s.Context(), e.ID, answer)
				if there && !errors.Is(err, mfa.ErrStepUpRequired) || !there && err != nil {
					s.Errorf("the same code again, the address being there already: %v; %v", there, err)
				}
			}
	}},
	{"sign out everywhere", func(s *scene) (func(context.Context) error, func(bool)) {
		session := s.person.SignIn(s.guard, totp.Kind)
		return func(ctx context.Context) error { return s.guard.SignOutEverywhere(ctx, s.person.UserID) },
			func(worked bool) {
				if err := s.other.guard.Require(s.Context(), session, mfa.Rule{}); worked && !errors.Is(err, mfa.ErrStepUpRequired) {
					s.Errorf("a session that was ended: %v", err)
				}
			}
	}},
}

// failure reports whether err says that nothing was decided, or nobody knows.
func failure(err error) bool {
	return !errors.Is(err, mfa.ErrRejected) &&
		(errors.Is(err, mfa.ErrOutcomeUnknown) || errors.Is(err, mfa.ErrUnavailable) || errors.Is(err, mfa.ErrBusy) ||
			errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

func newScene(t *testing.T, cache int) *scene {
	h := newHouse(t, "")
	h.with = func(userID string, u *mfa.User) {
		if userID == forced {
			u.Policy.Demand = mfa.Required
		}
	}
	s := &scene{T: t, house: h, store: &unlucky{Store: h.Kit.Store}}
	h.post = &postman{Outbox: h.Mail, store: s.store}
	s.other = h.instance(t)
	s.instance = h.instanceOver(t, s.store, cache)
	s.person = h.Enroll(s.guard, "ada", totp.Kind, emailotp.Kind)
	return s
}

func TestFaults(t *testing.T) {
	for _, cache := range []int{0, -1} {
		for _, f := range faults {
			for _, d := range deeds {
				t.Run(fmt.Sprintf("cache %d/%s/%s", cache, f.name, d.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newScene(t, cache)
						request, check := d.prepare(s)
						began := time.Now()
						err := request(f.arm(s))
						if took := time.Since(began); took > 8*time.Second {
							t.Errorf("it took %v", took)
						}
						s.store.lucky()
						switch {
						case err == nil:
						case f.must:
							t.Errorf("failed: %v", err)
						case !failure(err):
							t.Errorf("neither done nor a failure: %v", err)
						}
						check(err == nil)
					})
				})
			}
		}
	}
}

// The faults are faults: to who takes the store's answer as it is, a change that
// landed looks as if it had not.
func TestFaultsBite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []fault{faults[0], {"sends twice", twice(0), true}} {
			s := newScene(t, -1)
			rec, err := s.store.Load(t.Context(), "ada")
			s.must(err)
			ctx := f.arm(s)
			err = s.store.Apply(ctx, store.Change{UserID: "ada", Old: rec.Version, New: 1 + rec.Version>>1, Data: rec.Data})
			now, _ := s.Kit.Store.Load(t.Context(), "ada")
			if err == nil || now.Version == rec.Version {
				t.Errorf("%s: %v, and the record is at %d: no fault", f.name, err, now.Version)
			}
		}
	})
}

// Contexts that end at a random moment of a sign-in, on real databases.
func TestCutContexts(t *testing.T) { onSharedStores(t, cutContexts) }

func cutContexts(t *testing.T, h *house) {
	i, other := h.instance(t, totp.New(nil)), h.instance(t, totp.New(nil))
	p := h.Enroll(i.guard, "ada")
	count := map[bool]int{}
	cut := 0
	var took time.Duration // the last sign-in that was not cut
	for n := range h.number(150, 50, 2000) {
		h.Clock.Advance(time.Hour)
		answer := p.Answer(totp.Kind)
		pending := i.begin(t, "ada")
		patience := time.Minute
		if n > 5 {
			patience = rand.N(took)
		}
		ctx, end := context.WithTimeout(t.Context(), patience)
		began := time.Now()
		_, err := pending.Verify(ctx, answer)
		switch {
		case ctx.Err() != nil:
			cut++
		case err == nil:
			took = time.Since(began)
		}
		end()
		if err != nil && !failure(err) {
			t.Fatalf("neither done nor a failure: %v", err)
		}
		count[err == nil]++
		first := verdictOf(other.begin(t, "ada").Verify(t.Context(), answer))
		if err == nil && first != replayed || err != nil && first != replayed && first != accepted {
			t.Fatalf("%v, and again: %s", err, first)
		}
		if second := verdictOf(other.begin(t, "ada").Verify(t.Context(), answer)); second != replayed {
			t.Fatalf("%v, %s, and again: %s", err, first, second)
		}
		if err := other.guard.Admin("test").Unlock(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d cut; %d done, %d not", cut, count[true], count[false])
	if cut == 0 {
		t.Error("no context ended in time: this was no test")
	}
}
