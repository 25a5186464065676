package webauthn_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// abroad returns a device that was enrolled with another system of the same site,
// and what that system kept of it.
func abroad(t *testing.T) (*mfatest.Authenticator, webauthn.Credential) {
	t.Helper()
	w, a := newWorld(t, nil), mfatest.NewAuthenticator(origin)
	var c webauthn.Credential
	a.BackupEligible, a.BackedUp = true, true
	a.Forge = func(f *mfatest.Forgery) { c.PublicKey = bytes.Clone(f.Key) }
	userID, _ := w.holder(t, a)
	a.Forge = nil
	c.ID = a.IDs()[0]
	w.kit.Clock.Advance(time.Second)
	p, ch := w.second(t, userID)
	c.UserHandle = handleOf(t, w, signsIn(t, p, get(t, a, ch)))
	return a, c
}

func (w *world) imports(t *testing.T, userID string, c webauthn.Credential) error {
	t.Helper()
	_, err := vault.Update(t.Context(), w.kit.Vault, userID, func(a *vault.Account) (*vault.Factor, error) {
		return w.method.Import(a.Scope(webauthn.Kind, "", ""), c, "from before")
	})
	return err
}

// A key that comes from another system signs in as it did there, alone too if it
// was a passkey, with the user handle that it came with; what it said of backups
// may be unknown until it signs in.
func TestImport(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*webauthn.Credential){
		"backup unknown": func(c *webauthn.Credential) {},
		"backup known":   func(c *webauthn.Credential) { c.Backup = &webauthn.Backup{Eligible: true, BackedUp: true} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			a, c := abroad(t)
			set(&c)
			c.Passkey = true
			userID := w.user()
			if err := w.imports(t, userID, c); err != nil {
				t.Fatal(err)
			}
			if err := w.imports(t, w.user(), c); !errors.Is(err, webauthn.ErrRegistered) {
				t.Errorf("by another user too: %v", err)
			}
			if err := w.imports(t, userID, c); !errors.Is(err, webauthn.ErrRegistered) {
				t.Errorf("twice: %v", err)
			}
			p, ch := w.second(t, userID)
			s := signsIn(t, p, get(t, a, ch))
			w.kit.Clock.Advance(time.Second)
			p, ch = w.alone(t)
			signsIn(t, p, get(t, a, ch))

			// What it said by then, it has to go on saying.
			w.kit.Clock.Advance(time.Second)
			a.BackupEligible, a.BackedUp = false, false
			p, ch = w.second(t, userID)
			_, err := p.Verify(t.Context(), answer(get(t, a, ch)))
			refused(t, "other flags", err, webauthn.ErrBackup)

			// A key that is enrolled here is the same user's to every authenticator.
			if got := handleOf(t, w, s); !bytes.Equal(got, c.UserHandle) {
				t.Error("another user handle for new keys")
			}
			b := mfatest.NewAuthenticator(origin)
			e := w.enrolIn(t, s)
			if _, err := e.confirm(t, create(t, b, e)); err != nil {
				t.Fatal(err)
			}
			w.kit.Clock.Advance(time.Second)
			p, ch = w.alone(t)
			signsIn(t, p, get(t, b, ch))
		})
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	_, good := abroad(t)
	for name, try := range map[string]struct {
		change func(*webauthn.Credential)
		opts   *webauthn.Options
		want   error
	}{
		"no ID":                {func(c *webauthn.Credential) { c.ID = nil }, nil, mfa.ErrArgument},
		"a long ID":            {func(c *webauthn.Credential) { c.ID = make([]byte, 1024) }, nil, mfa.ErrArgument},
		"an empty handle":      {func(c *webauthn.Credential) { c.UserHandle = []byte{} }, nil, mfa.ErrArgument},
		"a long handle":        {func(c *webauthn.Credential) { c.UserHandle = make([]byte, 65) }, nil, mfa.ErrArgument},
		"a nameless passkey":   {func(c *webauthn.Credential) { c.UserHandle, c.Passkey = nil, true }, nil, mfa.ErrArgument},
		"no key":               {func(c *webauthn.Credential) { c.PublicKey = nil }, nil, webauthn.ErrKey},
		"half a key":           {func(c *webauthn.Credential) { c.PublicKey = c.PublicKey[:20] }, nil, webauthn.ErrKey},
		"flags that cannot be": {func(c *webauthn.Credential) { c.Backup = &webauthn.Backup{BackedUp: true} }, nil, webauthn.ErrBackup},
		"a copied key, where none is wanted": {
			func(c *webauthn.Credential) { c.Backup = &webauthn.Backup{Eligible: true} }, &webauthn.Options{DeviceBound: true}, webauthn.ErrBackup,
		},
	} {
		c := good
		try.change(&c)
		w := newWorld(t, try.opts)
		if err := w.imports(t, w.user(), c); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", name, err, try.want)
		}
	}
	if _, err := new(webauthn.Method).Import(nil, good, ""); !errors.Is(err, mfa.ErrArgument) {
		t.Errorf("a zero Method: %v", err)
	}
}

// A second factor that is imported stays one, and one without a handle gives none.
func TestImportedSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a, c := abroad(t)
	userID := w.user()
	if err := w.imports(t, userID, c); err != nil {
		t.Fatal(err)
	}
	p, ch := w.alone(t)
	_, err := p.Verify(t.Context(), answer(get(t, a, ch)))
	refused(t, "alone", err, webauthn.ErrRole)
}

// what may be copied from its device is not enrolled where that is not
// wanted.
func TestDeviceBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &webauthn.Options{DeviceBound: true})
	a := mfatest.NewAuthenticator(origin)
	a.BackupEligible = true
	e := w.enrol(t, w.user())
	_, err := e.confirm(t, create(t, a, e))
	refused(t, "synced", err, webauthn.ErrBackup)
	w.holder(t, mfatest.NewAuthenticator(origin))
}
