package perf

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An entry is a factor of a given size, in the place of those whose records are
// of that size: it counts at once and verifies nothing.
type entry struct {
	kind mfa.Kind
	data int  // bytes that it keeps
	key  bool // claims a unique key, as a passkey does its credential ID
}

func (e entry) Kind() mfa.Kind     { return e.kind }
func (e entry) Check() error       { return nil }
func (e entry) Traits() mfa.Traits { return mfa.Traits{PhishingResistant: e.key} }

func (e entry) Enroll(_ context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	f := vault.Factor{Name: "Security key 5C", Data: random(e.data)}
	if e.key {
		f.Key = string(random(32))
	}
	added, err := s.Add(f)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: added.ID, Kind: e.kind, Active: true}, nil
}

func (e entry) Verify(context.Context, *vault.Scope, mfa.VerifyRequest) (*mfa.Verification, error) {
	return nil, mfa.ErrInvalid
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// A typical is the user whom the design has in mind: one app, ten backup codes,
// two passkeys and two trusted devices.
type typical struct {
	*mfatest.Kit
	guard  *mfa.Guard
	person *mfatest.Person
}

var (
	passkeyEntry = entry{"passkey", 120, true} // with its key about 150 bytes
	deviceEntry  = entry{"device", 48, false}  // a hash and three times
)

func newTypical(t testing.TB) *typical {
	t.Helper()
	k := mfatest.New(t)
	g := k.Guard(totp.New(nil), backupcodes.New(nil), passkeyEntry, deviceEntry)
	p := k.Enroll(g, "5f0c2a51-9f4c-4a7e-b0d8-6a2b4f1c9e77", totp.Kind, "passkey", "passkey", "device", "device")
	k.Clock.Advance(time.Hour)
	p.SignIn(g, totp.Kind)
	return &typical{k, g, p}
}

func (u *typical) begin(t testing.TB) *mfa.Pending {
	t.Helper()
	login, err := u.guard.Begin(context.Background(), mfa.FirstFactor{UserID: u.person.UserID, By: mfa.ByPassword})
	if err != nil {
		t.Fatal(err)
	}
	return login.Pending
}

// The fixture is the typical record, sealed in 1.0 to 1.2 kB.
func TestTypicalRecord(t *testing.T) {
	u := newTypical(t)
	for range 3 {
		s, err := u.Vault.View(t.Context(), u.person.UserID)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes, %d factors", s.Size, len(s.Factors))
		if s.Size < 1000 || s.Size > 1200 || len(s.Factors) != 6 || len(u.person.Codes()) != 10 {
			t.Errorf("the typical record has %d bytes and %d factors", s.Size, len(s.Factors))
		}
		u.Clock.Advance(11 * time.Minute)
		u.person.SignIn(u.guard, totp.Kind)
	}
}

// What codes by email add to the record of an app and ten codes: it stays below
// 1.6 kB, also with as many codes out as can be sent in an hour.
func TestRecordWithEmail(t *testing.T) {
	k := mfatest.New(t)
	g := k.Guard(totp.New(nil), emailotp.New(k.Mail, nil), backupcodes.New(nil))
	p := k.Enroll(g, "5f0c2a51-9f4c-4a7e-b0d8-6a2b4f1c9e77", totp.Kind)
	before := 0
	size := func(what string) {
		t.Helper()
		s, err := k.Vault.View(t.Context(), p.UserID)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-45s %4d bytes (%+d)", what, s.Size, s.Size-before)
		if before = s.Size; s.Size > 1600 {
			t.Errorf("%s: %d bytes", what, s.Size)
		}
	}
	sendTo := func(what string) *mfa.Pending {
		t.Helper()
		login, err := g.Begin(t.Context(), mfa.FirstFactor{UserID: p.UserID, By: mfa.ByPassword})
		if err == nil {
			_, err = login.Pending.Challenge(t.Context(), mfa.Offer{Kind: emailotp.Kind})
		}
		if err != nil {
			t.Fatal(err)
		}
		size(what)
		return login.Pending
	}
	k.Clock.Advance(time.Hour)
	settings := g.Settings(p.SignIn(g, totp.Kind))
	k.Clock.Advance(time.Minute)
	size("an app and ten codes")
	e, err := settings.Enroll(t.Context(), mfa.NewFactor{Kind: emailotp.Kind, Address: "ada.lovelace@analytical-engines.example"})
	if err != nil {
		t.Fatal(err)
	}
	size("an enrolment of an address, with its code")
	code := func() mfa.Answer {
		mails := k.Mail.All()
		return mfa.Answer{Kind: emailotp.Kind, Code: mfatest.Code(mails[len(mails)-1].Message)}
	}
	if _, err := settings.Confirm(t.Context(), e.ID, code()); err != nil {
		t.Fatal(err)
	}
	size("the address confirmed")
	k.Clock.Advance(25 * time.Hour)
	pending := sendTo("one code out")
	if _, err := pending.Verify(t.Context(), code()); err != nil {
		t.Fatal(err)
	}
	size("the code accepted")
	for n := range 5 {
		k.Clock.Advance(time.Minute)
		sendTo(fmt.Sprintf("codes out that nobody has typed: %d", n+1))
	}
}

// signIns are sign-ins that wait for their answer. Nothing is left to do but
// Verify.
type signIns struct {
	u       *typical
	at      []time.Time
	pending []*mfa.Pending
	answers []mfa.Answer
}

// prepare makes n of them, eleven minutes apart: so the record stays as it is.
func (u *typical) prepare(t testing.TB, n int) *signIns {
	t.Helper()
	s := &signIns{u: u}
	for range n {
		u.Clock.Advance(11 * time.Minute)
		s.at = append(s.at, u.Clock.Now())
		s.pending = append(s.pending, u.begin(t))
		s.answers = append(s.answers, mfa.Answer{Kind: totp.Kind, Code: u.person.App().Code(u.Clock.Now())})
	}
	return s
}

func (s *signIns) verify(t testing.TB) {
	ctx := context.Background()
	for i, p := range s.pending {
		s.u.Clock.Set(s.at[i])
		if _, err := p.Verify(ctx, s.answers[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAcceptedVerify(b *testing.B) {
	u := newTypical(b)
	s := u.prepare(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	s.verify(b)
}

func BenchmarkBegin(b *testing.B) {
	u := newTypical(b)
	b.ReportAllocs()
	for b.Loop() {
		u.begin(b)
	}
}
