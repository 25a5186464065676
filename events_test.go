package mfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// What each call raises: events for the application, notices for the user, and
// the end of the application's sessions.
func TestEventsOfEachCall(t *testing.T) {
	t.Parallel()
	type want struct {
		events, notices []mfa.EventType
		ended           int
	}
	types := func(ts ...mfa.EventType) []mfa.EventType { return ts }
	for name, c := range map[string]struct {
		do func(context.Context, *person) error
		want
	}{
		"a sign-in": {func(_ context.Context, p *person) error { p.signIn(kindApp); return nil }, want{types(mfa.EventSignedIn), nil, 0}},
		"a sign-in with nothing asked": {
			func(_ context.Context, p *person) error { p.begin("bob"); return nil },
			want{types(mfa.EventSignedIn), nil, 0},
		},
		"a step-up": {
			func(_ context.Context, p *person) error {
				p.world.verify(p.stepUp(mfa.Rule{Not: []mfa.Kind{kindApp}}), p.answer(kindKey))
				return nil
			},
			want{types(mfa.EventSteppedUp), nil, 0},
		},
		"a wrong answer": {
			func(_ context.Context, p *person) error { p.guesses("alice", kindApp, 1); return nil },
			want{types(mfa.EventFailed), nil, 0},
		},
		"five wrong answers": {
			func(_ context.Context, p *person) error { p.guesses("alice", kindApp, 5); return nil },
			want{slices.Concat(slices.Repeat(types(mfa.EventFailed), 5), types(mfa.EventPaused)), types(mfa.EventPaused), 0},
		},
		"a recovery code": {
			func(_ context.Context, p *person) error { p.signIn(kindCodes); return nil },
			want{types(mfa.EventSignedIn, mfa.EventCodeUsed), types(mfa.EventCodeUsed), 0},
		},
		"all recovery codes": {
			func(_ context.Context, p *person) error {
				for range codesInSet {
					p.signIn(kindCodes)
				}
				return nil
			},
			want{
				types(
					mfa.EventSignedIn, mfa.EventCodeUsed, mfa.EventSignedIn, mfa.EventCodeUsed, mfa.EventCodesLow,
					mfa.EventSignedIn, mfa.EventCodeUsed, mfa.EventCodesLow, mfa.EventSignedIn, mfa.EventCodeUsed, mfa.EventCodesLow,
					mfa.EventSignedIn, mfa.EventCodeUsed, mfa.EventCodesUsedUp,
				),
				types(
					mfa.EventCodeUsed, mfa.EventCodeUsed, mfa.EventCodesLow, mfa.EventCodeUsed, mfa.EventCodesLow,
					mfa.EventCodeUsed, mfa.EventCodesLow, mfa.EventCodeUsed, mfa.EventCodesUsedUp,
				), 0,
			},
		},
		"a first factor added": {
			func(_ context.Context, p *person) error { p.person("bob", kindApp); return nil },
			want{types(mfa.EventSignedIn, mfa.EventFactorAdded, mfa.EventCodesMade), types(mfa.EventFactorAdded, mfa.EventCodesMade), 1},
		},
		"another factor added": {
			func(_ context.Context, p *person) error { p.add(kindMail); return nil },
			want{types(mfa.EventSignedIn, mfa.EventFactorAdded), types(mfa.EventFactorAdded), 1},
		},
		"new codes": {
			func(ctx context.Context, p *person) error { return p.newCodes(ctx) },
			want{types(mfa.EventCodesMade), types(mfa.EventCodesMade), 1},
		},
		"a name": {
			func(ctx context.Context, p *person) error { return p.settings().Rename(ctx, p.hands[kindApp].id, "x") },
			want{types(mfa.EventFactorRenamed), types(mfa.EventFactorRenamed), 0},
		},
		"a factor removed": {
			func(ctx context.Context, p *person) error { return p.remove(ctx, kindKey) },
			want{types(mfa.EventFactorRemoved), types(mfa.EventFactorRemoved), 1},
		},
		"all removed": {
			func(ctx context.Context, p *person) error { return p.removeAll(ctx) },
			want{types(mfa.EventAllRemoved), types(mfa.EventAllRemoved), 1},
		},
		"a password changed": {
			func(ctx context.Context, p *person) error { return p.guard.PasswordChanged(ctx, "alice") },
			want{types(mfa.EventPasswordChanged), types(mfa.EventPasswordChanged), 1},
		},
		"an address changed": {
			func(ctx context.Context, p *person) error { return p.guard.AddressChanged(ctx, "alice", "") },
			want{types(mfa.EventAddressChanged), types(mfa.EventAddressChanged), 1},
		},
		"signed out everywhere": {
			func(ctx context.Context, p *person) error { return p.guard.SignOutEverywhere(ctx, "alice") },
			want{types(mfa.EventRevoked), types(mfa.EventRevoked), 1},
		},
		"disabled": {
			func(ctx context.Context, p *person) error { return p.guard.Disabled(ctx, "alice") },
			want{types(mfa.EventUserDisabled), types(mfa.EventUserDisabled), 1},
		},
		"reset": {
			func(ctx context.Context, p *person) error { return p.guard.Admin("ops").Reset(ctx, "alice", "why") },
			want{types(mfa.EventReset), types(mfa.EventReset), 1},
		},
		"unlocked": {
			func(ctx context.Context, p *person) error { return p.guard.Admin("ops").Unlock(ctx, "alice") },
			want{types(mfa.EventUnlocked), nil, 0},
		},
		"deleted": {
			func(ctx context.Context, p *person) error { return p.guard.Admin("ops").Delete(ctx, "alice") },
			want{types(mfa.EventDeleted), nil, 1},
		},
		"an expired sign-in": {
			func(ctx context.Context, p *person) error {
				q := p.pending("alice")
				_ = q.Cancel(ctx)
				_, _ = q.Verify(ctx, p.answer(kindApp))
				return nil
			},
			want{nil, nil, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.person("alice", kindApp, kindKey)
			p.signIn(kindApp)
			w.forget()
			if err := c.do(mfa.WithClient(t.Context(), mfa.Client{IP: "192.0.2.1"}), p); err != nil {
				t.Fatal(err)
			}
			if got := w.seen(); !slices.Equal(got, c.events) {
				t.Errorf("events %v, want %v", got, c.events)
			}
			if got := w.told(); !slices.Equal(got, c.notices) {
				t.Errorf("notices %v, want %v", got, c.notices)
			}
			if len(w.ended) != c.ended {
				t.Errorf("sessions ended %d times, want %d", len(w.ended), c.ended)
			}
			for _, e := range w.events {
				if e.UserID == "" || !e.Time.Equal(w.clock.Now()) {
					t.Errorf("event %s of %q at %v", e.Type, e.UserID, e.Time)
				}
			}
		})
	}
}

// what a recovery code's use brings: who is told, how many are left, and
// that new ones are due.
func TestRecoveryCodeTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp)
	for left := codesInSet - 1; left >= 0; left-- {
		w.forget()
		login := w.verify(w.pending("alice"), p.answer(kindCodes))
		if login.BackupLeft != left {
			t.Errorf("the login says %d left, want %d", login.BackupLeft, left)
		}
		for _, n := range w.notices {
			if n.Left != left || n.Kind != kindCodes {
				t.Errorf("notice %s: %d left of %s, want %d", n.Type, n.Left, n.Kind, left)
			}
		}
		told := w.told()
		if w.count(told, mfa.EventCodeUsed) != 1 || (w.count(told, mfa.EventCodesLow) == 1) != (left > 0 && left <= 3) ||
			(w.count(told, mfa.EventCodesUsedUp) == 1) != (left == 0) {
			t.Errorf("%d left: told %v", left, told)
		}
	}
}

// a recovery code does nothing without the first factor, and no more than
// any second factor with it.
func TestRecoveryCodeAloneIsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindKey)
	code := p.answer(kindCodes)
	for _, token := range []string{"", code.Code, p.session.Token()} {
		if q, err := w.guard.Resume(token); q != nil || err == nil {
			t.Errorf("%v, %v", q, err)
		}
	}
	_, err := w.guard.StepUp(t.Context(), w.guard.Session("alice", ""), mfa.Rule{})
	wantStepUp(t, "without a session", err)
	login := w.verify(w.pending("alice"), code)
	wantStepUp(t, "a phishing-resistant rule", w.guard.Require(t.Context(), login.Session, mfa.Rule{PhishingResistant: true}))
	for _, q := range []*mfa.Pending{w.pending("alice"), p.stepUp(mfa.Rule{PhishingResistant: true})} {
		if again, err := q.Verify(t.Context(), code); again != nil || !errors.Is(err, mfa.ErrInvalid) {
			t.Errorf("once more: %v, %v; want ErrInvalid", again, err)
		}
	}
}

// every change of credentials ends the application's sessions, after it
// was saved, and a failure of that is told and undoes nothing.
func TestEndSessionsFails(t *testing.T) {
	t.Parallel()
	odd := errors.New("session store gone")
	for name, end := range map[string]func() error{
		"failing":   func() error { return odd },
		"panicking": func() error { panic("secret in a panic") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.cfg.EndSessions = func(context.Context, string) error { return end() }
			})
			p := w.person("alice", kindApp, kindKey) // no error, though it failed
			p.signIn(kindApp)
			if err := p.remove(t.Context(), kindKey); err != nil {
				t.Errorf("Remove: %v", err)
			}
			if w.count(w.seen(), mfa.EventDeliveryFailed) == 0 {
				t.Error("no event says that it failed")
			}
			for call, err := range map[string]error{
				"PasswordChanged": w.guard.PasswordChanged(t.Context(), "alice"),
				"Reset":           w.guard.Admin("ops").Reset(t.Context(), "alice", "why"),
				"Delete":          w.guard.Admin("ops").Delete(t.Context(), "alice"),
			} {
				var effect *mfa.EffectError
				if !errors.As(err, &effect) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v, want an *EffectError", call, err)
				}
			}
			for _, e := range w.events {
				if e.Type == mfa.EventDeliveryFailed && (e.Of == "" || e.Err == nil || strings.Contains(e.Err.Error(), "secret")) {
					t.Errorf("event %+v", e)
				}
			}
			if login := w.begin("alice"); login.Session == nil {
				t.Error("the changes were not saved")
			}
		})
	}
}

// the sessions end before anybody is told, which may take seconds: a thief's
// must not outlive the change for as long as a mail server hangs.
func TestSessionsEndFirst(t *testing.T) {
	t.Parallel()
	active := func(_ context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
		f, err := s.Add(vault.Factor{Name: r.Name, Data: make([]byte, 8)})
		if err != nil {
			return nil, err
		}
		return &mfa.Enrollment{ID: f.ID, Kind: kindApp, Active: true}, nil
	}
	for name, change := range map[string]func(context.Context, *person) error{
		"PasswordChanged": func(ctx context.Context, p *person) error { return p.guard.PasswordChanged(ctx, "alice") },
		"AddressChanged": func(ctx context.Context, p *person) error {
			return p.guard.AddressChanged(ctx, "alice", "a@example.com")
		},
		"SignOutEverywhere": func(ctx context.Context, p *person) error { return p.guard.SignOutEverywhere(ctx, "alice") },
		"Disabled":          func(ctx context.Context, p *person) error { return p.guard.Disabled(ctx, "alice") },
		"Reset":             func(ctx context.Context, p *person) error { return p.guard.Admin("ops").Reset(ctx, "alice", "why") },
		"Confirm": func(ctx context.Context, p *person) error {
			e, err := p.settings().Enroll(ctx, mfa.NewFactor{Kind: kindMail})
			if err == nil {
				_, err = p.settings().Confirm(ctx, e.ID, (&hand{secret: e.Secret.Reveal(), typed: true}).next(kindMail))
			}
			return err
		},
		"Confirm of the first": func(_ context.Context, p *person) error { p.person("bob", kindApp); return nil },
		"Remove":               func(ctx context.Context, p *person) error { return p.remove(ctx, kindKey) },
		"RemoveAll":            func(ctx context.Context, p *person) error { return p.removeAll(ctx) },
		"new codes":            func(ctx context.Context, p *person) error { return p.newCodes(ctx) },
		"Enroll, active": func(ctx context.Context, p *person) error {
			p.app.enroll = active
			_, err := p.settings().Enroll(ctx, mfa.NewFactor{Kind: kindApp})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var order []string
			w := newWorld(t, func(w *world) {
				w.cfg.Notify = notifier(func(_ context.Context, _ mfa.User, e mfa.Event) error {
					order = append(order, string(e.Type))
					return nil
				})
				w.cfg.EndSessions = func(context.Context, string) error { order = append(order, "end"); return nil }
			})
			p := w.person("alice", kindApp, kindKey)
			p.signIn(kindApp)
			order = nil
			if err := change(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if len(order) < 2 || order[0] != "end" || slices.Contains(order[1:], "end") {
				t.Errorf("in this order: %v", order)
			}
		})
	}
}

// A notice that cannot be given undoes nothing, holds nothing up, and is told;
// neither does a listener that panics keep the user from being told.
func TestNotifyFails(t *testing.T) {
	t.Parallel()
	odd := errors.New("no mail server")
	for name, c := range map[string]struct{ notify, listen func() error }{
		"failing":                {func() error { return odd }, nil},
		"panicking":              {func() error { panic("secret in a panic") }, nil},
		"a listener that panics": {func() error { return nil }, func() error { panic("secret in a panic") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notified := 0
			armed := false
			w := newWorld(t, func(w *world) {
				listen := w.cfg.OnEvent
				w.cfg.Notify = notifier(func(context.Context, mfa.User, mfa.Event) error { notified++; return c.notify() })
				w.cfg.OnEvent = func(ctx context.Context, e mfa.Event) {
					listen(ctx, e)
					if armed && c.listen != nil {
						_ = c.listen()
					}
				}
			})
			p := w.person("alice", kindApp, kindKey)
			p.signIn(kindApp)
			w.forget()
			notified, armed = 0, true
			if err := p.remove(t.Context(), kindKey); err != nil {
				t.Errorf("Remove: %v", err)
			}
			armed = false
			if notified != 1 {
				t.Errorf("notified %d times, want once", notified)
			}
			if failed := w.count(w.seen(), mfa.EventDeliveryFailed); (failed == 1) != (c.listen == nil) {
				t.Errorf("%d events of a failed delivery", failed)
			}
			if len(w.ended) != 1 {
				t.Error("the sessions were not ended")
			}
			_, err := w.pending("alice").Verify(t.Context(), p.answer(kindKey))
			wantErr(t, "the removed factor", err, mfa.ErrNotEnrolled)
		})
	}
}

// Only the first pause is told, once; signed answers, which anybody with the
// password can send without end, tell nothing.
func TestPauseIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("alice", kindApp, kindKey)
	w.guesses("alice", kindApp, 5)
	for range 20 {
		_, err := w.pending("alice").Verify(t.Context(), wrong(kindKey))
		wantErr(t, "a wrong signature", err, mfa.ErrInvalid)
		_, err = w.pending("alice").Verify(t.Context(), wrong(kindApp))
		wantErr(t, "in the pause", err, mfa.ErrTooMany)
	}
	w.guesses("alice", kindApp, 3)
	if n := w.count(w.told(), mfa.EventPaused); n != 1 {
		t.Errorf("told %d times of a pause, want once", n)
	}
}

// Who hangs up keeps nobody from being told.
func TestCancelledCallerSuppressesNothing(t *testing.T) {
	t.Parallel()
	var ctxErr error
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cfg := w.cfg
	cfg.Notify = notifier(func(ctx context.Context, _ mfa.User, _ mfa.Event) error { ctxErr = ctx.Err(); return nil })
	cfg.OnEvent = func(context.Context, mfa.Event) { cancel() } // after the save, before the notice
	_, g := w.another(cfg)
	if err := g.SignOutEverywhere(ctx, "alice"); err != nil {
		t.Errorf("it was saved: %v", err)
	}
	if ctx.Err() == nil || ctxErr != nil || len(w.ended) != 1 {
		t.Errorf("the notice's context: %v; sessions ended %d times", ctxErr, len(w.ended))
	}
}

// no form in which Go prints, encodes or logs a value shows what is
// secret.
func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("alice", kindApp, kindMail)
	p.signIn(kindApp)
	first := mfa.FirstFactor{UserID: "alice", By: mfa.ByPassword, Binding: "cookie-value", Resume: w.pending("alice").Token()}
	login, err := w.guard.Begin(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.settings().Enroll(t.Context(), mfa.NewFactor{Kind: kindApp})
	if err != nil {
		t.Fatal(err)
	}
	e.QR, e.Challenge = "<svg>qr-secret", &mfa.Challenge{Kind: kindKey, Options: []byte(`{"challenge":"challenge-bytes"}`)}
	q := w.pending("alice")
	ch, err := q.Challenge(t.Context(), mfa.Offer{Kind: kindMail, FactorID: p.hands[kindMail].id})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{secret: e.Secret.Reveal(), typed: true}
	change, err := p.settings().Confirm(t.Context(), e.ID, h.next(kindApp))
	if err != nil {
		t.Fatal(err)
	}
	change.BackupCodes = []mfa.Secret{mfa.Secret(p.codes[0])}
	done := w.verify(w.pending("alice"), p.answer(kindApp))
	done.BackupCodes = change.BackupCodes
	_, wrongErr := w.pending("alice").Verify(t.Context(), mfa.Answer{Kind: kindApp, Code: "typed-wrong-1"})
	_, tokenErr := w.guard.Resume(login.Pending.Token() + "x")
	answer := mfa.Answer{Kind: kindApp, Code: "answer-code", Credential: []byte(`"answer-credential"`)}
	request := mfa.Request{User: mfa.User{ID: "alice"}, Purpose: mfa.PurposeSignIn}

	secrets := append([]string{
		first.Binding, first.Resume, login.Pending.Token(), p.session.Token(), change.Session.Token(), done.Session.Token(),
		"qr-secret", "challenge-bytes", "typed-wrong", "answer-code", "answer-credential", w.mail.last().code,
		e.Secret.Reveal(), e.URI.Reveal(), p.hands[kindApp].secret, string(w.keys),
	}, p.codes...)
	values := map[string]any{
		"FirstFactor": first, "*FirstFactor": &first, "Login": *login, "*Login": login, "a complete Login": *done, "*complete": done,
		"Pending": *login.Pending, "*Pending": login.Pending, "Session": *p.session, "*Session": p.session,
		"Enrollment": *e, "*Enrollment": e, "Challenge": *ch, "*Challenge": ch, "its own Challenge": *e.Challenge,
		"Change": *change, "*Change": change, "Answer": answer, "*Answer": &answer,
		"VerifyRequest":  mfa.VerifyRequest{Request: request, Answer: answer},
		"ConfirmRequest": &mfa.ConfirmRequest{Request: request, EnrollmentID: e.ID, Answer: answer},
		"Guard":          w.guard, "Settings": p.settings(), "Vault": w.vault, "Admin": w.guard.Admin("ops"),
		"a slice": []any{login, p.session, answer, e}, "a map": map[string]any{"pending": login.Pending, "session": *p.session},
		"an error": wrongErr, "an error of a token": tokenErr, "events": w.events, "notices": w.notices,
		"a failed delivery": mfa.Event{Type: mfa.EventDeliveryFailed, Err: wrongErr},
		"Proofs":            done.Session.Proofs(), "Factor": vault.Factor{ID: "x", Secret: []byte("answer-code"), Data: []byte("qr-secret")},
	}
	check := func(name, how, text string) {
		t.Helper()
		for _, s := range secrets {
			if s != "" && strings.Contains(text, s) {
				t.Errorf("%s printed by %s shows a secret: %.60q", name, how, text)
			}
		}
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			check(name, verb, fmt.Sprintf(verb, v))
		}
		if b, err := json.Marshal(v); err == nil {
			check(name, "JSON", string(b))
		}
		var text, structured bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&structured, nil)).Info("m", "v", v)
		check(name, "slog text", text.String())
		check(name, "slog JSON", structured.String())
	}
	for _, ev := range w.events {
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "event", ev)
		check("Event "+string(ev.Type), "slog", b.String())
		if !strings.Contains(b.String(), string(ev.Type)) {
			t.Errorf("an event in a log lacks its type: %s", b.String())
		}
	}
	t.Run("the search finds what is there", func(t *testing.T) {
		text := fmt.Sprintf("%v", struct{ Code, Token string }{p.codes[0], p.session.Token()})
		if !slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) }) {
			t.Error("a planted secret was not found")
		}
	})
}

// verdicts are typed, and tell a client one thing.
func TestVerdictsAreTyped(t *testing.T) {
	t.Parallel()
	verdicts := []error{mfa.ErrInvalid, mfa.ErrExpired, mfa.ErrReplayed, mfa.ErrNotEnrolled, mfa.ErrTooMany, &mfa.LimitError{RetryAfter: 1}}
	for i, v := range verdicts {
		wantErr(t, v.Error(), v, mfa.ErrRejected)
		wantErr(t, v.Error()+", uncounted", vault.Uncounted(v), v)
		for j, other := range verdicts[:5] {
			if errors.Is(v, other) != (i == j || i == 5 && j == 4) {
				t.Errorf("%v is %v: %t", v, other, i != j)
			}
		}
	}
	for _, failure := range []error{
		mfa.ErrNoMethod, mfa.ErrStepUpRequired, mfa.ErrUnavailable, mfa.ErrBusy, mfa.ErrClock, mfa.ErrOutcomeUnknown, mfa.ErrLimit,
		mfa.ErrLastFactor, mfa.ErrRequired, mfa.ErrNotFound, mfa.ErrLostRecord, mfa.ErrArgument, &mfa.StepUpError{}, &mfa.EffectError{Err: errors.New("x")},
	} {
		if errors.Is(failure, mfa.ErrRejected) {
			t.Errorf("%v is a verdict", failure)
		}
	}
}
