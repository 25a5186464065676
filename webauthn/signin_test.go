package webauthn_test

// What a sign-in alone has to be refused for (WebAuthn section 7.2), and what it
// leaves behind.

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// every algorithm that is offered signs in, in both ways, under the key and
// algorithm that were registered.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, alg := range []int{mfatest.ES256, mfatest.EdDSA, mfatest.RS256} {
		a := mfatest.NewAuthenticator(origin)
		a.Algorithms, a.SelfAttested = []int{alg}, true
		userID, _ := w.holder(t, a)
		for _, user := range []string{userID, ""} {
			p, c := w.begin(t, user)
			_, err := p.Verify(t.Context(), answer(change{forge: func(f *mfatest.Forgery) { f.Sign = anotherKey(t) }}.by(t, a, a.Get, c.Options)))
			refused(t, "by another key", err, webauthn.ErrSignature)
			signsIn(t, p, get(t, a, c))
		}
	}
	a := mfatest.NewAuthenticator(origin)
	a.Algorithms = []int{-35, -65535}
	if _, err := a.Create(w.enrol(t, w.user()).Challenge.Options); !errors.Is(err, mfatest.ErrNotSupported) {
		t.Errorf("ES384 and RS1: %v", err)
	}
}

// a sign-in's challenge is good for that user, that sign-in and that
// purpose, and once.
func TestSignInChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	otherID, b := w.holder(t, nil)

	// with is what a signs for c with the challenge of another.
	with := func(t *testing.T, c, other *mfa.Challenge) mfa.Answer {
		forged := change{forge: func(f *mfatest.Forgery) { f.Challenge = challengeOf(t, other.Options) }}
		return answer(forged.by(t, a, a.Get, c.Options))
	}
	t.Run("of another user", func(t *testing.T) {
		p, c := w.second(t, userID)
		_, theirs := w.second(t, otherID)
		_, err := p.Verify(t.Context(), with(t, c, theirs))
		refused(t, "theirs", err, webauthn.ErrChallenge)
	})
	t.Run("of another sign-in", func(t *testing.T) {
		p, c := w.second(t, userID)
		_, earlier := w.second(t, userID)
		_, err := p.Verify(t.Context(), with(t, c, earlier))
		refused(t, "an earlier one's", err, webauthn.ErrChallenge)
	})
	t.Run("of another purpose", func(t *testing.T) {
		second, c := w.second(t, userID)
		s := signsIn(t, second, get(t, a, c))
		w.kit.Clock.Advance(6 * time.Minute)
		login, err := w.guard.StepUp(t.Context(), s, mfa.Rule{})
		if err != nil || login.Pending == nil {
			t.Fatalf("StepUp: %v", err)
		}
		up := challenge(t, login.Pending)
		signIn, of := w.second(t, userID)
		alone, anybody := w.alone(t)
		for name, try := range map[string]struct {
			p       *mfa.Pending
			c, with *mfa.Challenge
		}{
			"step-up by a sign-in's": {login.Pending, up, of},
			"step-up by an alone's":  {login.Pending, up, anybody},
			"sign-in by a step-up's": {signIn, of, up},
			"sign-in by an alone's":  {signIn, of, anybody},
			"alone by a sign-in's":   {alone, anybody, of},
			"alone by a step-up's":   {alone, anybody, up},
		} {
			_, err := try.p.Verify(t.Context(), with(t, try.c, try.with))
			refused(t, name, err, webauthn.ErrChallenge)
		}
		signsIn(t, login.Pending, get(t, a, up))
	})
	t.Run("of another's alone", func(t *testing.T) {
		p, c := w.alone(t)
		_, other := w.alone(t)
		_, err := p.Verify(t.Context(), with(t, c, other))
		refused(t, "another's", err, webauthn.ErrChallenge)
	})
	t.Run("once", func(t *testing.T) {
		for _, user := range []string{userID, ""} {
			p, c := w.begin(t, user)
			credential := get(t, a, c)
			signsIn(t, p, credential)
			_, err := p.Verify(t.Context(), answer(credential))
			refused(t, "twice", err, mfa.ErrExpired)
			_, err = p.Verify(t.Context(), answer(get(t, a, c)))
			refused(t, "signed anew", err, mfa.ErrExpired)
		}
		p, c := w.second(t, otherID)
		signsIn(t, p, get(t, b, c))
	})
	t.Run("expired", func(t *testing.T) { // by the vault's clock
		for user, late := range map[string]error{userID: webauthn.ErrChallenge, "": mfa.ErrExpired} {
			p, c := w.begin(t, user)
			life := c.Expires.Sub(w.kit.Clock.Now())
			if life <= 4*time.Minute || life > 5*time.Minute {
				t.Errorf("it is said to live for %v", life)
			}
			credential := get(t, a, c)
			w.kit.Clock.Advance(life)
			_, err := p.Verify(t.Context(), answer(credential))
			refused(t, "too late", err, late)

			p, c = w.begin(t, user)
			w.kit.Clock.Advance(c.Expires.Sub(w.kit.Clock.Now()) - time.Millisecond)
			signsIn(t, p, get(t, a, c))
		}
	})
	t.Run("of another machine", func(t *testing.T) { // whose clock is ahead
		p, c := w.begin(t, userID)
		w.kit.Clock.Advance(-2 * time.Minute)
		signsIn(t, p, get(t, a, c))
		p, c = w.begin(t, userID)
		w.kit.Clock.Advance(-4 * time.Minute)
		_, err := p.Verify(t.Context(), answer(get(t, a, c)))
		if !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("of a clock that is far ahead: %v", err)
		}
		w.kit.Clock.Advance(10 * time.Minute)
	})
	t.Run("asked for again", func(t *testing.T) { // the sign-in goes on, with a challenge of now
		p, _ := w.begin(t, userID)
		w.kit.Clock.Advance(9 * time.Minute)
		c, err := p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind})
		if err != nil {
			t.Fatal(err)
		}
		signsIn(t, p, get(t, a, c))
	})
}

// the challenge of a sign-in is of its minute, and is good for
// five of them: never longer, and never shorter than four. A clock that is up to two
// minutes behind the one that gave it does not matter.
func TestSignInMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	clock := w.kit.Clock
	minute := mfatest.Start().Add(time.Hour)
	for _, into := range []time.Duration{0, time.Millisecond, 30 * time.Second, time.Minute - time.Millisecond} {
		for name, row := range map[string]struct {
			at   time.Duration // from the minute in which it was given
			want error
		}{
			"at once":            {into, nil},
			"at the last moment": {5*time.Minute - time.Millisecond, nil},
			"a moment later":     {5 * time.Minute, webauthn.ErrChallenge},
			"much later":         {9 * time.Minute, webauthn.ErrChallenge},
			"by a clock behind":  {into - 2*time.Minute, nil},
			"by one far behind":  {into - 2*time.Minute - time.Millisecond, mfa.ErrExpired}, // of the whole sign-in
		} {
			clock.Set(minute.Add(into))
			p, c := w.second(t, userID)
			if want := minute.Add(5 * time.Minute); !c.Expires.Equal(want) {
				t.Errorf("given %v into the minute it ends at %v, want %v", into, c.Expires, want)
			}
			credential := get(t, a, c)
			clock.Set(minute.Add(row.at))
			_, err := p.Verify(t.Context(), answer(credential))
			if row.want == nil && err != nil {
				t.Errorf("given %v into the minute, answered %s: %v", into, name, err)
			} else if row.want != nil {
				refused(t, name, err, row.want)
			}
			minute = minute.Add(time.Hour)
		}
	}

	// Also one that a machine gave whose clock is further ahead, in a sign-in that is
	// not of the future itself.
	for ahead, want := range map[time.Duration]error{2 * time.Minute: nil, 3 * time.Minute: webauthn.ErrChallenge} {
		clock.Set(minute)
		p := w.pending(t, userID)
		clock.Set(minute.Add(ahead))
		credential := get(t, a, challenge(t, p))
		clock.Set(minute)
		_, err := p.Verify(t.Context(), answer(credential))
		if want == nil && err != nil {
			t.Errorf("given by a clock %v ahead: %v", ahead, err)
		} else if want != nil {
			refused(t, "given by a clock that is far ahead", err, want)
		}
		minute = minute.Add(time.Hour)
	}

	// Within a minute it is the same, so that going back to the page harms nothing;
	// in the next one it is another, and both are good.
	clock.Set(minute)
	p, first := w.second(t, userID)
	clock.Set(minute.Add(time.Minute - time.Millisecond))
	if again := challenge(t, p); challengeOf(t, again.Options) != challengeOf(t, first.Options) {
		t.Error("it changes within the minute")
	}
	clock.Set(minute.Add(time.Minute))
	if next := challenge(t, p); challengeOf(t, next.Options) == challengeOf(t, first.Options) {
		t.Error("it does not change with the minute")
	}
	signsIn(t, p, get(t, a, first))

	// A passkey's is as old as its token, by whatever clock.
	for name, row := range map[string]struct {
		at   time.Duration
		want error
	}{
		"a clock behind": {-2 * time.Minute, nil},
		"in time":        {5*time.Minute - time.Millisecond, nil},
		"late":           {5 * time.Minute, mfa.ErrExpired},
	} {
		minute = minute.Add(time.Hour)
		clock.Set(minute)
		p, c := w.alone(t)
		credential := get(t, a, c)
		clock.Set(minute.Add(row.at))
		_, err := p.Verify(t.Context(), answer(credential))
		if row.want == nil && err != nil {
			t.Errorf("alone, %s: %v", name, err)
		} else if row.want != nil {
			refused(t, "alone, "+name, err, row.want)
		}
	}
}

// with VerifyAlways the user is verified whenever a key is used, and
// what was enrolled under it keeps its demand. The client has no say.
func TestVerifyAlways(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &webauthn.Options{VerifyAlways: true})
	lax := w.another(t, w.kit.Store, webauthn.New(origin, nil), totp.New(nil))
	const required = `"userVerification":"required"`
	lower := func(t *testing.T, options []byte) []byte {
		t.Helper()
		if !bytes.Contains(options, []byte(required)) {
			t.Fatalf("%s lacks %s", options, required)
		}
		return bytes.ReplaceAll(options, []byte(required), []byte(`"userVerification":"discouraged"`))
	}
	unverified := func() *mfatest.Authenticator {
		a := mfatest.NewAuthenticator(origin)
		a.Unverified = true
		return a
	}

	t.Run("enrolment", func(t *testing.T) {
		e := w.enrol(t, w.user())
		if _, err := unverified().Create(e.Challenge.Options); !errors.Is(err, mfatest.ErrNotAllowed) {
			t.Errorf("a browser would make one without verification: %v", err)
		}
		body, err := unverified().Create(lower(t, e.Challenge.Options))
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.confirm(t, body)
		refused(t, "enrolled without verification", err, webauthn.ErrUserVerification)
		_, err = e.confirm(t, create(t, mfatest.NewAuthenticator(origin), e))
		refused(t, "the same challenge once more", err, mfa.ErrExpired)
	})
	t.Run("conditional enrolment", func(t *testing.T) {
		userID, key := w.holder(t, nil)
		p, of := w.second(t, userID)
		settings := w.guard.Settings(signsIn(t, p, get(t, key, of)))
		c, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind, Conditional: true})
		if err != nil {
			t.Fatal(err)
		}
		a := mfatest.NewAuthenticator(origin)
		a.Unattended = true
		body, err := a.Create(lower(t, c.Challenge.Options))
		if err != nil {
			t.Fatal(err)
		}
		_, err = settings.Confirm(t.Context(), c.ID, answer(body))
		refused(t, "made without asking", err, webauthn.ErrUserVerification)
	})
	t.Run("what is stored decides", func(t *testing.T) {
		for _, strict := range []bool{true, false} {
			begun, confirms := w.guard, lax
			if !strict {
				begun, confirms = lax, w.guard
			}
			login, err := begun.Begin(t.Context(), mfa.FirstFactor{UserID: w.user(), By: mfa.ByPassword})
			if err != nil {
				t.Fatal(err)
			}
			e, err := begun.Settings(login.Session).Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
			if err != nil {
				t.Fatal(err)
			}
			options := e.Challenge.Options
			if strict {
				options = lower(t, options)
			}
			body, err := unverified().Create(options)
			if err != nil {
				t.Fatal(err)
			}
			there := confirms.Session(login.Session.UserID(), login.Session.Token())
			_, err = confirms.Settings(there).Confirm(t.Context(), e.ID, answer(body))
			if strict {
				refused(t, "confirmed where it is not demanded", err, webauthn.ErrUserVerification)
			} else if err != nil {
				t.Errorf("begun where it was not demanded: %v", err)
			}
		}
	})
	t.Run("sign-in", func(t *testing.T) {
		userID, a := w.holder(t, nil)
		s := func() *mfa.Session {
			p, c := w.second(t, userID)
			return signsIn(t, p, get(t, a, c))
		}()
		w.kit.Clock.Advance(6 * time.Minute)
		up, err := w.guard.StepUp(t.Context(), s, mfa.Rule{})
		if err != nil || up.Pending == nil {
			t.Fatalf("StepUp: %v", err)
		}
		second, c := w.second(t, userID)
		alone, of := w.alone(t)
		for name, row := range map[string]struct {
			p *mfa.Pending
			c *mfa.Challenge
		}{"after a password": {second, c}, "step-up": {up.Pending, challenge(t, up.Pending)}, "alone": {alone, of}} {
			a.Unverified = true
			if _, err := a.Get(row.c.Options); !errors.Is(err, mfatest.ErrNotAllowed) {
				t.Errorf("%s: a browser would go on without verification: %v", name, err)
			}
			body, err := a.Get(lower(t, row.c.Options))
			if err != nil {
				t.Fatal(err)
			}
			before := w.writes.Load()
			_, err = row.p.Verify(t.Context(), answer(body))
			refused(t, name, err, webauthn.ErrUserVerification)
			if n := w.writes.Load() - before; n != 0 {
				t.Errorf("%s: %d writes", name, n)
			}
			a.Unverified = false
			if s := signsIn(t, row.p, get(t, a, row.c)); !s.Proofs()[len(s.Proofs())-1].UserVerified {
				t.Errorf("%s: the proof does not say so", name)
			}
		}
	})
}

// a credential that was not allowed does not do, even if it is good
// elsewhere. R-229: what nobody has looks the same.
func TestUnknownCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	_, b := w.holder(t, nil)
	stranger := mfatest.NewAuthenticator(origin)
	create(t, stranger, w.enrol(t, w.user()))

	p, c := w.second(t, userID)
	if _, err := b.Get(c.Options); !errors.Is(err, mfatest.ErrNotAllowed) {
		t.Errorf("a browser would use another's credential: %v", err)
	}
	unlisted := func(t *testing.T, a *mfatest.Authenticator, c *mfa.Challenge) []byte {
		options := bytes.Replace(c.Options, []byte(`"allowCredentials":[`), []byte(`"allowCredentials":[],"was":[`), 1)
		return get(t, a, &mfa.Challenge{Options: options})
	}
	for name, other := range map[string]*mfatest.Authenticator{"another user's": b, "nobody's": stranger} {
		_, err := p.Verify(t.Context(), answer(unlisted(t, other, c)))
		refused(t, name, err, webauthn.ErrUnknown)
	}
	signsIn(t, p, get(t, a, c))

	// Alone: what a client can tell is that it wraps ErrInvalid, and no more.
	p, c = w.alone(t)
	_, unknown := p.Verify(t.Context(), answer(get(t, stranger, c)))
	_, wrong := p.Verify(t.Context(), answer(change{alter: edit("signature", func(b []byte) []byte { b[9] ^= 1; return b })}.by(t, a, a.Get, c.Options)))
	for name, err := range map[string]error{"unknown": unknown, "wrong": wrong} {
		refused(t, name, err, mfa.ErrInvalid)
		for _, other := range []error{mfa.ErrExpired, mfa.ErrNotEnrolled, mfa.ErrReplayed, mfa.ErrTooMany, mfa.ErrNoMethod} {
			if errors.Is(err, other) {
				t.Errorf("%s: it is %v too", name, other)
			}
		}
	}
}

// A challenge may be for one of the keys, and is for a browser what it lists. An
// answer by another key of the same user does as well: it proves no less.
func TestNamedKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	p, c := w.second(t, userID)
	e := w.enrolIn(t, signsIn(t, p, get(t, a, c)))
	b := mfatest.NewAuthenticator(origin)
	if _, err := e.confirm(t, create(t, b, e)); err != nil {
		t.Fatal(err)
	}
	p, all := w.second(t, userID)
	named, err := p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind, FactorID: e.ID})
	if err != nil {
		t.Fatal(err)
	}
	lists := func(c *mfa.Challenge, a *mfatest.Authenticator) bool {
		return bytes.Contains(c.Options, []byte(`"id":"`+b64(a.IDs()[0])+`"`))
	}
	if !lists(all, a) || !lists(all, b) || lists(named, a) || !lists(named, b) {
		t.Errorf("all of them: %s\none: %s", all.Options, named.Options)
	}
	if _, err := a.Get(named.Options); !errors.Is(err, mfatest.ErrNotAllowed) {
		t.Errorf("a browser would use one that is not listed: %v", err)
	}
	if s := signsIn(t, p, get(t, b, named)); s.Proofs()[0].FactorID != e.ID {
		t.Errorf("proven by %+v, want %s", s.Proofs(), e.ID)
	}
	p = w.pending(t, userID)
	if named, err = p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind, FactorID: e.ID}); err != nil {
		t.Fatal(err)
	}
	any := challenge(t, p)
	if s := signsIn(t, p, get(t, a, any)); s.Proofs()[0].FactorID == e.ID || challengeOf(t, any.Options) != challengeOf(t, named.Options) {
		t.Errorf("proven by %+v, which is not what signed", s.Proofs())
	}
	_, err = w.pending(t, userID).Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind, FactorID: "nothing"})
	if err == nil {
		t.Error("a challenge for a factor that the user does not have")
	}
}

// whoever is named has to be the one whose credential it is; alone somebody
// has to be named.
func TestUserHandle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, b := w.holder(t, nil)
	var theirs []byte
	_, c := w.alone(t)
	change{forge: func(f *mfatest.Forgery) { theirs = f.UserHandle }}.by(t, b, b.Get, c.Options)

	wrong := []change{
		{name: "another user's", want: webauthn.ErrUserHandle, forge: func(f *mfatest.Forgery) { f.UserHandle = theirs }},
		{name: "cut", want: webauthn.ErrUserHandle, forge: func(f *mfatest.Forgery) { f.UserHandle = f.UserHandle[:63] }},
		{name: "one bit", want: webauthn.ErrUserHandle, forge: func(f *mfatest.Forgery) { f.UserHandle = bytes.Clone(f.UserHandle); f.UserHandle[0] ^= 1 }},
		{name: "the user's ID", want: webauthn.ErrUserHandle, forge: func(f *mfatest.Forgery) { f.UserHandle = []byte("user1") }},
		{name: "65 bytes", want: webauthn.ErrMalformed, forge: func(f *mfatest.Forgery) { f.UserHandle = append(bytes.Clone(f.UserHandle), 0) }},
		{name: "a number", want: webauthn.ErrMalformed, alter: func(r map[string]any) { r["response"].(map[string]any)["userHandle"] = 1 }},
		{name: "in standard base64", want: webauthn.ErrMalformed, alter: func(r map[string]any) {
			m := r["response"].(map[string]any)
			b, _ := base64.RawURLEncoding.DecodeString(m["userHandle"].(string))
			m["userHandle"] = base64.StdEncoding.EncodeToString(b)
		}},
	}
	signIns(t, w, wrong)
	for name, c := range map[string]change{
		"missing": {forge: func(f *mfatest.Forgery) { f.UserHandle = nil }},
		"null":    {alter: func(r map[string]any) { r["response"].(map[string]any)["userHandle"] = nil }},
		"empty":   {alter: func(r map[string]any) { r["response"].(map[string]any)["userHandle"] = "" }}, // as some browsers have it
	} {
		userID, a := w.holder(t, nil)
		p, ch := w.alone(t)
		_, err := p.Verify(t.Context(), answer(c.by(t, a, a.Get, ch.Options)))
		refused(t, "alone, "+name, err, webauthn.ErrUserHandle)
		p, ch = w.second(t, userID)
		signsIn(t, p, c.by(t, a, a.Get, ch.Options))
	}
}

// alone the user has to be verified, whatever the client makes
// of the options; as a second factor not, and then the proof says so.
func TestUserVerification(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := mfatest.NewAuthenticator(origin)
	userID, _ := w.holder(t, a)
	a.Unverified = true

	p, c := w.alone(t)
	if _, err := a.Get(c.Options); !errors.Is(err, mfatest.ErrNotAllowed) {
		t.Errorf("a browser would go on without verification: %v", err)
	}
	altered := &mfa.Challenge{Options: bytes.Replace(c.Options, []byte(`"required"`), []byte(`"discouraged"`), 1)}
	if bytes.Equal(altered.Options, c.Options) {
		t.Fatal("it was not required")
	}
	_, err := p.Verify(t.Context(), answer(get(t, a, altered)))
	refused(t, "alone", err, webauthn.ErrUserVerification)

	for _, unverified := range []bool{true, false} {
		a.Unverified = unverified
		p, c = w.second(t, userID)
		s := signsIn(t, p, get(t, a, c))
		amr := []string{"pwd", "pop", "user", "mfa"}
		if unverified {
			amr = []string{"pwd", "pop", "mfa"}
		}
		if proofs := s.Proofs(); len(proofs) != 1 || proofs[0].UserVerified == unverified || !slices.Equal(s.AMR(), amr) {
			t.Errorf("unverified %v: proofs %+v, %v", unverified, proofs, s.AMR())
		}
	}
	p, c = w.alone(t)
	if s := signsIn(t, p, get(t, a, c)); s.By() != mfa.ByPasskey || !s.Proofs()[0].UserVerified || !slices.Equal(s.AMR(), []string{"pop", "user", "mfa"}) {
		t.Errorf("alone: by %s, %+v, %v", s.By(), s.Proofs(), s.AMR())
	}
}

// what may be backed up cannot stop to, and the other way round; whether it
// is may change.
func TestBackupFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, eligible := range []bool{false, true} {
		a := mfatest.NewAuthenticator(origin)
		a.BackupEligible, a.BackedUp = eligible, eligible
		userID, _ := w.holder(t, a)
		for _, user := range []string{userID, ""} {
			p, c := w.begin(t, user)
			a.BackupEligible, a.BackedUp = !eligible, false
			_, err := p.Verify(t.Context(), answer(get(t, a, c)))
			refused(t, "it changed", err, webauthn.ErrBackup)
			a.BackupEligible = eligible
			signsIn(t, p, get(t, a, c))
		}
	}
}

// a counter that does not grow is refused with an event, or accepted with
// one; R-227: nothing is kept of what was refused.
func TestCounter(t *testing.T) {
	t.Parallel()
	for _, allow := range []bool{false, true} {
		w := newWorld(t, &webauthn.Options{AllowClones: allow})
		a := mfatest.NewAuthenticator(origin)
		a.Forge = func(f *mfatest.Forgery) { f.Counter = 10 }
		userID := w.user()
		e := w.enrol(t, userID)
		if _, err := e.confirm(t, create(t, a, e)); err != nil {
			t.Fatal(err)
		}
		at := func(n uint32) change { return change{forge: func(f *mfatest.Forgery) { f.Counter = n }} }
		for i, row := range []struct {
			counter uint32
			cloned  bool
		}{{11, false}, {11, true}, {10, true}, {0, true}, {12, false}, {1<<32 - 1, false}, {0, true}, {12, true}} {
			before, was := w.seen(mfa.EventCloned), w.writes.Load()
			p, c := w.begin(t, []string{userID, ""}[i%2])
			_, err := p.Verify(t.Context(), answer(at(row.counter).by(t, a, a.Get, c.Options)))
			if row.cloned && !allow {
				refused(t, "a counter that went back", err, mfa.ErrCloned)
				if !errors.Is(err, mfa.ErrInvalid) || w.writes.Load() != was {
					t.Errorf("%d: it is not invalid, or was written", row.counter)
				}
			} else if err != nil {
				t.Errorf("allow %v, %d: %v", allow, row.counter, err)
			}
			want := 0
			if row.cloned {
				want = 1
			}
			if n := w.seen(mfa.EventCloned) - before; n != want {
				t.Errorf("allow %v, %d: %d events, want %d", allow, row.counter, n, want)
			}
		}
	}
}

// of two devices with one key the one that lags behind is found out; without
// counters nobody can tell.
func TestClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, step := range []uint32{0, 1} {
		a := mfatest.NewAuthenticator(origin)
		a.Step = step
		w.holder(t, a)
		b := a.Clone()
		p, c := w.alone(t)
		signsIn(t, p, get(t, a, c))
		p, c = w.alone(t)
		_, err := p.Verify(t.Context(), answer(get(t, b, c)))
		if step == 0 && err != nil {
			t.Errorf("without counters: %v", err)
		}
		if step == 1 {
			refused(t, "the clone", err, mfa.ErrCloned)
		}
	}
}

// of thirty-two who post one assertion at once, one signs in.
func TestSignInRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	others := []*mfa.Guard{w.guard, w.another(t, w.kit.Store, w.method), w.another(t, w.kit.Store, w.method)}
	userID, a := w.holder(t, nil)
	for round := range 6 {
		p, c := w.begin(t, []string{userID, ""}[round%2])
		body := get(t, a, c)
		var won atomic.Int64
		race(32, func(i int) {
			resume := others[i%3].Resume
			if round%2 == 1 {
				resume = func(token string) (*mfa.Pending, error) { return others[i%3].ResumePasskey(token, "") }
			}
			there, err := resume(p.Token())
			if err != nil {
				t.Error(err)
				return
			}
			_, err = there.Verify(t.Context(), answer(body))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, mfa.ErrExpired) {
				t.Errorf("a loser: %v", err)
			}
		})
		if won.Load() != 1 {
			t.Errorf("round %d: %d signed in, want 1", round, won.Load())
		}
	}
}

// who has only a name or a password makes the account write nothing, however
// often, and wrong signatures are no tries that could pause the user's codes.
func TestNoWritesBeforeTheSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	userID, a := w.holder(t, nil)
	before := w.writes.Load()
	for range 50 {
		p, c := w.second(t, userID)
		for _, user := range []string{userID, ""} {
			p, c := w.begin(t, user)
			broken := change{alter: edit("signature", func(b []byte) []byte { b[9] ^= 1; return b })}
			_, err := p.Verify(t.Context(), answer(broken.by(t, a, a.Get, c.Options)))
			refused(t, "a wrong signature", err, webauthn.ErrSignature)
		}
		if again := challenge(t, p); challengeOf(t, again.Options) != challengeOf(t, c.Options) {
			t.Fatal("asked for once more, the challenge is another")
		}
	}
	if n := w.writes.Load() - before; n != 0 {
		t.Errorf("%d writes", n)
	}
	if s, err := w.kit.Vault.View(t.Context(), userID); err != nil || s.Tries.Run != 0 || s.Tries.Day != 0 {
		t.Errorf("%+v, %v: counted", s.Tries, err)
	}
	p, c := w.second(t, userID)
	signsIn(t, p, get(t, a, c))
	if n := w.writes.Load() - before; n != 1 {
		t.Errorf("a sign-in takes %d writes, want 1", n)
	}
}

// only what was enrolled as a passkey, and is discoverable, signs in alone.
func TestRoles(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		enrol   bool // PasskeyAlone, at the enrolment
		tool    func(*mfatest.Authenticator)
		alter   func(map[string]any)
		refused error
	}{
		{name: "a passkey", enrol: true},
		{name: "a second factor", refused: webauthn.ErrRole},
		{name: "not discoverable", enrol: true, tool: func(a *mfatest.Authenticator) { a.NotDiscoverable = true }, refused: webauthn.ErrRole},
		{name: "a browser that does not say", enrol: true, alter: set("clientExtensionResults", map[string]any{})},
	} {
		w := newWorld(t, nil)
		w.setPolicy(mfa.Policy{PasskeyAlone: row.enrol})
		a := mfatest.NewAuthenticator(origin)
		if row.tool != nil {
			row.tool(a)
		}
		a.Alter = row.alter
		userID, _ := w.holder(t, a)
		a.Alter = nil
		w.setPolicy(mfa.Policy{PasskeyAlone: true})

		// One that is not discoverable can still be made to answer: its ID and the
		// user's handle are no secrets.
		p, listed := w.second(t, userID)
		handle := handleOf(t, w, signsIn(t, p, get(t, a, listed)))
		p, c := w.alone(t)
		options := bytes.Replace(listed.Options, []byte(challengeOf(t, listed.Options)), []byte(challengeOf(t, c.Options)), 1)
		named := change{forge: func(f *mfatest.Forgery) { f.UserHandle = handle }}
		_, err := p.Verify(t.Context(), answer(named.by(t, a, a.Get, options)))
		if row.refused != nil {
			refused(t, row.name, err, row.refused)
		} else if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		p, c = w.second(t, userID)
		signsIn(t, p, get(t, a, c))
	}
}
