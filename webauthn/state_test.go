package webauthn_test

// What an account keeps of a credential, and of an enrolment under way.

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// The flags of a stored credential and of a stored enrolment.
const (
	backupEligible, backedUp, backupUnknown = 1, 2, 4
	verifiedOnce, mayBeAlone, unattested    = 8, 16, 32

	verifyNot = 1
)

// stored is what the account keeps of the only key.
func stored(t *testing.T, w *world, userID string) vault.Factor {
	t.Helper()
	s, err := w.kit.Vault.View(t.Context(), userID)
	if err != nil || len(s.Factors) != 1 {
		t.Fatalf("View: %v, or not one factor", err)
	}
	return s.Factors[0]
}

// rewrite changes what is stored, as an importer or a newer version might.
func rewrite(t *testing.T, w *world, userID string, f func(*vault.Scope)) {
	t.Helper()
	_, err := vault.Update(t.Context(), w.kit.Vault, userID, func(a *vault.Account) (struct{}, error) {
		f(a.Scope(webauthn.Kind, vault.PurposeConfirm, ""))
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// the record says what the authenticator said, in little space, and what is
// written today can be read for ever.
func TestRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, row := range []struct {
		name  string
		tool  func(*mfatest.Authenticator)
		flags byte
		bits  byte // of the transports
	}{
		{"a platform's", func(*mfatest.Authenticator) {}, verifiedOnce | mayBeAlone | unattested, 16 | 32},
		{"a synced one", func(a *mfatest.Authenticator) { a.BackupEligible, a.BackedUp = true, true },
			backupEligible | backedUp | verifiedOnce | mayBeAlone | unattested, 16 | 32},
		{"a key without a PIN", func(a *mfatest.Authenticator) {
			a.Unverified, a.NotDiscoverable, a.Transports = true, true, []string{"nfc", "usb", "pigeon"}
		}, unattested, 1 | 2},
	} {
		a := mfatest.NewAuthenticator(origin)
		a.Algorithms, a.AAGUID, a.Step = []int{mfatest.ES256}, [16]byte{7, 8, 9}, 1
		row.tool(a)
		var x, y []byte
		a.Forge = func(f *mfatest.Forgery) {
			if f.Key != nil {
				x, y = f.Key[10:42], f.Key[45:77]
			}
		}
		userID, _ := w.holder(t, a)
		f := stored(t, w, userID)
		want := slices.Concat([]byte{1, row.flags, 1, row.bits}, a.AAGUID[:], []byte{1}, x, y)
		if !bytes.Equal(f.Data, want) || f.Key != string(a.IDs()[0]) {
			t.Errorf("%s: kept\n%x, want\n%x", row.name, f.Data, want)
		}
		if n := len(f.Key) + len(f.Data); n > 118 {
			t.Errorf("%s: %d bytes", row.name, n)
		}

		// a sign-in changes the counter, and does not upgrade the rest.
		a.Unverified = false
		p, c := w.second(t, userID)
		signsIn(t, p, get(t, a, c))
		want[2] = 2
		if got := stored(t, w, userID).Data; !bytes.Equal(got, want) {
			t.Errorf("%s: after a sign-in\n%x, want\n%x", row.name, got, want)
		}
	}
}

// what was imported without its backup flags gets them at the first sign-in,
// and keeps them.
func TestBackupUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, eligible := range []bool{false, true} {
		userID, a := w.holder(t, nil)
		rewrite(t, w, userID, func(s *vault.Scope) { s.Factors()[0].Data[1] |= backupUnknown })
		a.BackupEligible, a.BackedUp = eligible, eligible
		p, c := w.second(t, userID)
		signsIn(t, p, get(t, a, c))
		var want byte
		if eligible {
			want = backupEligible | backedUp
		}
		if flags := stored(t, w, userID).Data[1]; flags&(backupEligible|backedUp|backupUnknown) != want {
			t.Errorf("eligible %v: flags %06b", eligible, flags)
		}
		a.BackupEligible, a.BackedUp = !eligible, false
		p, c = w.second(t, userID)
		_, err := p.Verify(t.Context(), answer(get(t, a, c)))
		refused(t, "it changed after that", err, webauthn.ErrBackup)
	}
}

// where the stored enrolment demands verification it is demanded, and
// so it is where nothing is said of it. The client has no say.
func TestStoredCeremony(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, row := range map[string]struct {
		data       func([]byte) []byte
		unverified error
		honest     bool // that an honest answer passes
	}{
		"as it was":          {func(b []byte) []byte { return b }, nil, true},
		"without its flags":  {func(b []byte) []byte { b[1] = 0; return b }, webauthn.ErrUserVerification, true},
		"demanding":          {func(b []byte) []byte { b[1] &^= verifyNot; return b }, webauthn.ErrUserVerification, true},
		"of a newer format":  {func(b []byte) []byte { b[0]++; return b }, nil, false},
		"with unknown flags": {func(b []byte) []byte { b[1] |= 8; return b }, nil, false},
		"a byte shorter":     {func(b []byte) []byte { return b[:len(b)-1] }, nil, false},
		"empty":              {func([]byte) []byte { return nil }, nil, false},
	} {
		for _, unverified := range []bool{true, false} {
			e := w.enrol(t, w.user())
			rewrite(t, w, e.user, func(s *vault.Scope) {
				c := s.Challenges()[0]
				c.Data = row.data(c.Data)
				if err := s.Issue(c); err != nil {
					t.Error(err)
				}
			})
			a := mfatest.NewAuthenticator(origin)
			a.Unverified = unverified
			_, err := e.confirm(t, create(t, a, e))
			switch {
			case !row.honest && (err == nil || errors.Is(err, mfa.ErrRejected)):
				t.Errorf("%s: %v, want a failure", name, err)
			case row.honest && unverified && row.unverified != nil:
				refused(t, name+", not verified", err, row.unverified)
			case row.honest && err != nil:
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What is damaged or newer is a failure: nothing is concluded from it.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, damage := range map[string]func([]byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"a newer format":   func(b []byte) []byte { b[0]++; return b },
		"an unknown flag":  func(b []byte) []byte { b[1] |= 64; return b },
		"a byte shorter":   func(b []byte) []byte { return b[:len(b)-1] },
		"a byte longer":    func(b []byte) []byte { return append(b, 0) },
		"a long counter":   func(b []byte) []byte { return slices.Concat(b[:2], []byte{0x80, 0}, b[3:]) },
		"algorithm 0":      func(b []byte) []byte { b[20] = 0; return b },
		"another's":        func(b []byte) []byte { b[20] = 1; return b },
		"not even a start": func(b []byte) []byte { return b[:3] },
	} {
		userID, a := w.holder(t, nil)
		p, c := w.second(t, userID)
		body := get(t, a, c)
		rewrite(t, w, userID, func(s *vault.Scope) { f := s.Factors()[0]; f.Data = damage(f.Data) })
		if _, err := p.Verify(t.Context(), answer(body)); err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: Verify: %v, want a failure", name, err)
		}
		if _, err := p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind}); err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: Challenge: %v, want a failure", name, err)
		}
	}
}
