package campaign

// What goes out: after the save, once, and whoever hangs up.

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
)

// A postman counts the mails that come before the change that they tell of is
// saved, and its save is over.
type postman struct {
	*mail.Outbox
	store *unlucky
	early atomic.Int64
}

func (p *postman) Send(ctx context.Context, m mail.Message) error {
	if p.store.landed.Load() == 0 || p.store.inside.Load() != 0 {
		p.early.Add(1)
	}
	return p.Outbox.Send(ctx, m)
}

// forced is a user who has to set something up.
const forced = "forced"

// A letter is a request that has a code sent, and what the code is good for.
type letter struct {
	name   string
	enrols bool // so that asking again within the pause is the same enrolment, without a mail

	// prepare returns the request, and what types its code on an instance.
	prepare func(s *scene) (request func(ctx context.Context, i *instance) error, typed func(i *instance) verdict)
}

// latest is the code of the latest mail to the scene's person.
func (s *scene) latest() mfa.Answer {
	mails := s.Mail.To(s.person.Address)
	return mfa.Answer{Kind: emailotp.Kind, Code: mfatest.Code(mails[len(mails)-1].Message)}
}

var letters = []letter{
	{"a code for a sign-in", false, func(s *scene) (func(context.Context, *instance) error, func(*instance) verdict) {
		token := s.begin(s.T, "ada").Token()
		on := func(i *instance) *mfa.Pending {
			p, err := i.guard.Resume(token)
			s.must(err)
			return p
		}
		return func(ctx context.Context, i *instance) error {
				_, err := on(i).Challenge(ctx, byMail)
				return err
			}, func(i *instance) verdict {
				return verdictOf(on(i).Verify(s.Context(), s.latest()))
			}
	}},
	{"a code for a step-up", false, func(s *scene) (func(context.Context, *instance) error, func(*instance) verdict) {
		session := s.person.SignIn(s.guard, totp.Kind)
		s.Clock.Advance(time.Hour)
		login, err := s.guard.StepUp(s.Context(), session, mfa.Rule{})
		s.must(err)
		on := func(i *instance) *mfa.Pending {
			p, err := i.guard.ResumeStepUp(i.guard.Session("ada", session.Token()), login.Pending.Token())
			s.must(err)
			return p
		}
		return func(ctx context.Context, i *instance) error {
				_, err := on(i).Challenge(ctx, byMail)
				return err
			}, func(i *instance) verdict {
				return verdictOf(on(i).Verify(s.Context(), s.latest()))
			}
	}},
	{"a code for a new address", true, func(s *scene) (func(context.Context, *instance) error, func(*instance) verdict) {
		session := s.person.SignIn(s.guard, totp.Kind)
		settings := func(i *instance) *mfa.Settings { return i.guard.Settings(i.guard.Session("ada", session.Token())) }
		s.person.Address = "new@example.com"
		var id string
		return func(ctx context.Context, i *instance) error {
				e, err := settings(i).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: s.person.Address})
				if err == nil {
					id = e.ID
				}
				return err
			}, func(i *instance) verdict {
				c, err := settings(i).Confirm(s.Context(), id, s.latest())
				if err != nil {
					return verdictOf(nil, err)
				}
				return verdictOf(&mfa.Login{Session: c.Session}, nil)
			}
	}},
	{"a code for who must enrol", true, func(s *scene) (func(context.Context, *instance) error, func(*instance) verdict) {
		s.person = &mfatest.Person{UserID: forced, Address: "forced@example.com"}
		p := s.begin(s.T, forced)
		_, err := p.Enroll(s.Context(), mfa.NewFactor{Kind: totp.Kind}) // so that there is a record to make noise in
		s.must(err)
		on := func(i *instance) *mfa.Pending {
			p, err := i.guard.Resume(p.Token())
			s.must(err)
			return p
		}
		var id string
		return func(ctx context.Context, i *instance) error {
				e, err := on(i).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: s.person.Address})
				if err == nil {
					id = e.ID
				}
				return err
			}, func(i *instance) verdict {
				return verdictOf(on(i).Confirm(s.Context(), id, s.latest()))
			}
	}},
}

// Under every fault: one mail if the change was saved, none if it was not, and
// none before. Where a store that is gone leaves open whether it was, nothing
// is sent, and the user can ask again after the pause.
func TestFaultsAndMail(t *testing.T) {
	for _, cache := range []int{0, -1} {
		for _, f := range faults {
			for _, l := range letters {
				t.Run(fmt.Sprintf("cache %d/%s/%s", cache, f.name, l.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newScene(t, cache)
						request, typed := l.prepare(s)
						post := s.post.(*postman)
						s.Mail.Clear()
						post.early.Store(0)
						s.store.lucky()
						s.store.landed.Store(0)
						err := request(f.arm(s), s.instance)
						s.store.lucky()
						landed, mails := s.store.landed.Load(), len(s.Mail.To(s.person.Address))
						if all := len(s.Mail.All()); all != mails {
							t.Errorf("%d mails, %d of them to %s", all, mails, s.person.UserID)
						}
						if early := post.early.Load(); early != 0 {
							t.Errorf("%d mails before the save was over", early)
						}
						switch {
						case err == nil && (landed != 1 || mails != 1):
							t.Errorf("done: saved %d times, %d mails", landed, mails)
						case err != nil && f.must:
							t.Errorf("failed: %v", err)
						case err != nil && !failure(err):
							t.Errorf("neither done nor a failure: %v", err)
						case err != nil && (landed > 1 || mails != 0 || landed == 1 && !errors.Is(err, mfa.ErrOutcomeUnknown)):
							t.Errorf("saved %d times, %d mails: %v", landed, mails, err)
						}
						again := request(t.Context(), s.other)
						if refused := landed == 1 && !l.enrols; refused && !errors.Is(again, mfa.ErrTooMany) || !refused && again != nil {
							t.Errorf("saved %d times, and again at once: %v", landed, again)
						}
						if err != nil && landed == 1 {
							s.Clock.Advance(time.Minute)
							if err := request(t.Context(), s.other); err != nil {
								t.Errorf("a minute later: %v", err)
							}
						}
						if n := len(s.Mail.To(s.person.Address)); n != 1 {
							t.Fatalf("%d mails in the end", n)
						}
						if v := typed(s.other); v != accepted {
							t.Errorf("the code that was sent: %s", v)
						}
					})
				})
			}
		}
	}
}

// A herald tells notices by mail.
type herald struct{ by mail.Sender }

func (h herald) Notify(ctx context.Context, u mfa.User, e mfa.Event) error {
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("no deadline")
	}
	return h.by.Send(ctx, mail.Message{To: "notices@example.com", Subject: string(e.Type), Text: "Something happened."})
}

// Whoever hangs up right after the save gets what was to go out, and so does
// everybody else.
func TestHangingUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		unlucky := &unlucky{Store: h.open(t)}
		i := h.instanceOver(t, unlucky, 0)
		failed := 0
		g, err := mfa.New(i.vault, mfa.Config{
			Service: "Acme", Methods: quickMethods(h.post), Notify: herald{h.Mail},
			OnEvent: func(_ context.Context, e mfa.Event) {
				if e.Type == mfa.EventDeliveryFailed {
					failed++
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		i.guard = g
		p := h.Enroll(g, "ada", totp.Kind, emailotp.Kind)
		h.Clock.Advance(aDay)

		// does returns what was mailed by a call whose context ends as soon as
		// it is saved.
		does := func(what string, call func(ctx context.Context) error) (to, subjects []string) {
			t.Helper()
			h.Mail.Clear()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			unlucky.onApply = func(ctx context.Context, _ int, _ store.Change, apply func(context.Context) error) error {
				defer end()
				return apply(ctx)
			}
			err := call(ctx)
			unlucky.lucky()
			if err != nil || ctx.Err() == nil {
				t.Errorf("%s: %v; the context: %v", what, err, ctx.Err())
			}
			for _, m := range h.Mail.All() {
				to, subjects = append(to, m.To), append(subjects, m.Subject)
			}
			return to, subjects
		}
		mailed := func(what string, call func(ctx context.Context) error) {
			t.Helper()
			if to, _ := does(what, call); len(to) != 1 || to[0] != p.Address {
				t.Errorf("%s: mailed to %q", what, to)
			}
		}
		told := func(of mfa.EventType, call func(ctx context.Context) error) {
			t.Helper()
			if _, subjects := does(string(of), call); len(subjects) != 1 || subjects[0] != string(of) {
				t.Errorf("%s: told of %q", of, subjects)
			}
		}

		pending := i.begin(t, "ada")
		mailed("a code for a sign-in", func(ctx context.Context) error {
			_, err := pending.Challenge(ctx, byMail)
			return err
		})
		if v := verdictOf(pending.Verify(t.Context(), mfa.Answer{Kind: emailotp.Kind, Code: mfatest.Code(h.Mail.All()[0].Message)})); v != accepted {
			t.Errorf("the code that was sent: %s", v)
		}
		session := p.SignIn(g, totp.Kind)
		p.Address = "new@example.com"
		var e *mfa.Enrollment
		mailed("a code for an address", func(ctx context.Context) (err error) {
			e, err = g.Settings(session).Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Address: p.Address})
			return err
		})
		answer := mfa.Answer{Kind: emailotp.Kind, Code: mfatest.Code(h.Mail.All()[0].Message)}
		told(mfa.EventAddressChanged, func(ctx context.Context) error {
			c, err := g.Settings(session).Confirm(ctx, e.ID, answer)
			if err == nil {
				session = c.Session
			}
			return err
		})
		told(mfa.EventFactorRemoved, func(ctx context.Context) error {
			_, err := g.Settings(session).Remove(ctx, e.ID)
			return err
		})
		told(mfa.EventAddressChanged, func(ctx context.Context) error { return g.AddressChanged(ctx, "ada", "old@example.com") })
		told(mfa.EventPasswordChanged, func(ctx context.Context) error { return g.PasswordChanged(ctx, "ada") })
		told(mfa.EventReset, func(ctx context.Context) error { return g.Admin("test").Reset(ctx, "ada", "lost everything") })
		if failed != 0 {
			t.Errorf("%d deliveries failed", failed)
		}
	})
}
