package webauthn

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

const origin = "https://acme.example"

// A device is an authenticator with one credential, and the browser around it.
type device struct {
	site virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	cred virtualwebauthn.Credential
}

func newDevice(kind virtualwebauthn.KeyType, o virtualwebauthn.AuthenticatorOptions) *device {
	return &device{
		site: virtualwebauthn.RelyingParty{ID: "acme.example", Name: mfatest.Service, Origin: origin},
		auth: virtualwebauthn.NewAuthenticatorWithOptions(o),
		cred: virtualwebauthn.NewCredential(kind),
	}
}

// create is navigator.credentials.create.
func (d *device) create(t testing.TB, c *mfa.Challenge) mfa.Answer {
	t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	if o.RelyingPartyID != d.site.ID || d.cred.IsExcludedForAttestation(*o) {
		t.Fatalf("no credential is made for %+v", o)
	}
	var whole struct{ User struct{ ID string } }
	if err := json.Unmarshal(c.Options, &whole); err != nil {
		t.Fatal(err)
	}
	handle, err := base64.RawURLEncoding.DecodeString(whole.User.ID)
	if err != nil || len(handle) != 64 {
		t.Fatalf("a user handle of %d bytes, %v", len(handle), err)
	}
	d.auth.Options.UserHandle = handle
	d.auth.AddCredential(d.cred)
	return answer(virtualwebauthn.CreateAttestationResponse(d.site, d.auth, d.cred, *o))
}

// get is navigator.credentials.get. Without allowed credentials it is the one
// that the person picks.
func (d *device) get(t testing.TB, c *mfa.Challenge) mfa.Answer {
	t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	if len(o.AllowCredentials) > 0 && d.auth.FindAllowedCredential(*o) == nil {
		t.Fatal("the device is not among those allowed")
	}
	d.cred.Counter++
	return answer(virtualwebauthn.CreateAssertionResponse(d.site, d.auth, d.cred, *o))
}

func answer(credential string) mfa.Answer {
	return mfa.Answer{Kind: webauthn.Kind, Credential: []byte(credential)}
}

// A house is a Guard over a store in memory, with users who must have a second
// factor.
type house struct {
	*mfatest.Kit
	guard *mfa.Guard
	alone bool // a passkey stands for both
}

func newHouse(t *testing.T, more ...mfa.Method) *house {
	t.Helper()
	h := &house{Kit: mfatest.New(t)}
	var err error
	h.guard, err = mfa.New(h.Vault, mfa.Config{
		Service: mfatest.Service, Methods: append(more, webauthn.New(origin, nil)),
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Name: id + "@acme.example", Policy: mfa.Policy{Demand: mfa.Required, PasskeyAlone: h.alone}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) begin(t testing.TB, user string) *mfa.Pending {
	t.Helper()
	login, err := h.guard.Begin(t.Context(), mfa.FirstFactor{UserID: user, By: mfa.ByPassword})
	if err != nil {
		t.Fatal(err)
	}
	if login.Pending == nil {
		t.Fatal("no second factor is asked for")
	}
	return login.Pending
}

// enroll makes d the user's first factor.
func (h *house) enroll(t testing.TB, user string, d *device) *mfa.Session {
	t.Helper()
	p := h.begin(t, user)
	e, err := p.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	login, err := p.Confirm(t.Context(), e.ID, d.create(t, e.Challenge))
	if err != nil {
		t.Fatal(err)
	}
	return login.Session
}

func (h *house) challenge(t testing.TB, p *mfa.Pending) *mfa.Challenge {
	t.Helper()
	c, err := p.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]virtualwebauthn.KeyType{"ES256": virtualwebauthn.KeyTypeEC2, "RS256": virtualwebauthn.KeyTypeRSA} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			for _, o := range []virtualwebauthn.AuthenticatorOptions{
				{},
				{UserNotVerified: true}, // a touch is enough after a password
				{BackupEligible: true, BackupState: true},
				{Transports: []virtualwebauthn.Transport{virtualwebauthn.TransportUSB, virtualwebauthn.TransportNFC}},
			} {
				d := newDevice(kind, o)
				user := base64.RawURLEncoding.EncodeToString(d.cred.ID)
				h.enroll(t, user, d)
				for range 3 {
					p := h.begin(t, user)
					a := d.get(t, h.challenge(t, p))
					login, err := p.Verify(t.Context(), a)
					if err != nil || login.Session == nil {
						t.Fatalf("%+v: %v", o, err)
					}
					if _, err := p.Verify(t.Context(), a); !errors.Is(err, mfa.ErrExpired) {
						t.Errorf("%+v: the same answer again: %v", o, err)
					}
					if _, err := h.begin(t, user).Verify(t.Context(), a); !errors.Is(err, webauthn.ErrChallenge) {
						t.Errorf("%+v: the same answer in another sign-in: %v", o, err)
					}
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(d *device)
		want error
	}{
		{"nobody touched it", func(d *device) { d.auth.Options.UserNotPresent = true }, webauthn.ErrUserPresence},
		{"another origin", func(d *device) { d.site.Origin = "https://acme.example.evil.example" }, webauthn.ErrOrigin},
		{"a subdomain", func(d *device) { d.site.Origin = "https://www.acme.example" }, webauthn.ErrOrigin},
		{"another site's", func(d *device) { d.site.ID = "evil.example" }, webauthn.ErrRPID},
		{"backed up, and before it could not be", func(d *device) { d.auth.Options.BackupEligible = true }, webauthn.ErrBackup},
		{"backed up, and cannot be", func(d *device) { d.auth.Options.BackupState = true }, webauthn.ErrBackup},
		{"another user's handle", func(d *device) { d.auth.Options.UserHandle = make([]byte, 64) }, webauthn.ErrUserHandle},
		{"another key", func(d *device) {
			d.cred.Key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2).Key
		}, webauthn.ErrSignature},
		{"another credential", func(d *device) {
			c := d.cred
			d.cred = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
			d.auth.Credentials = append(d.auth.Credentials, c)
		}, webauthn.ErrUnknown},
		{"the counter went back", func(d *device) { d.cred.Counter -= 2 }, mfa.ErrCloned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, d := newHouse(t), newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{})
			h.enroll(t, "ada", d)
			p := h.begin(t, "ada")
			if _, err := p.Verify(t.Context(), d.get(t, h.challenge(t, p))); err != nil {
				t.Fatal(err)
			}
			p = h.begin(t, "ada")
			c := h.challenge(t, p)
			tt.edit(d)
			login, err := p.Verify(t.Context(), d.get(t, c))
			if !errors.Is(err, tt.want) || !errors.Is(err, mfa.ErrRejected) || login != nil {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A device that has one user's key registers with nobody else, and not twice.
func TestRegisteredAlready(t *testing.T) {
	t.Parallel()
	h, d := newHouse(t), newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{})
	h.enroll(t, "ada", d)
	p := h.begin(t, "bob")
	e, err := p.Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	login, err := p.Confirm(t.Context(), e.ID, d.create(t, e.Challenge))
	if !errors.Is(err, webauthn.ErrRegistered) || login != nil {
		t.Errorf("bob has ada's key: %v", err)
	}
}

func TestPasskeyAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, backupcodes.New(nil)) // which are the second factor at the end
	h.alone = true
	d := newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{BackupEligible: true, BackupState: true})
	h.enroll(t, "ada", d)
	second := newDevice(virtualwebauthn.KeyTypeEC2, virtualwebauthn.AuthenticatorOptions{
		ClientExtensionResults: map[string]any{"credProps": map[string]any{"rk": false}}, // it did not become discoverable
	})
	h.enroll(t, "bob", second)

	signIn := func(d *device) (*mfa.Login, error) {
		begun, c, err := h.guard.BeginPasskey(t.Context(), mfa.PasskeySignIn{Binding: "browser"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(c.Options), `"userVerification":"required"`) || strings.Contains(string(c.Options), "acme.example@") {
			t.Errorf("options: %s", c.Options)
		}
		p, err := h.guard.ResumePasskey(begun.Token(), "browser")
		if err != nil {
			t.Fatal(err)
		}
		return p.Verify(t.Context(), d.get(t, c))
	}
	for range 3 {
		login, err := signIn(d)
		if err != nil || login.Session == nil || login.Session.UserID() != "ada" {
			t.Fatalf("%+v, %v", login, err)
		}
	}
	if login, err := signIn(second); !errors.Is(err, webauthn.ErrRole) || login != nil {
		t.Errorf("a second factor signs in alone: %v", err)
	}
	d.auth.Options.UserNotVerified = true
	if login, err := signIn(d); !errors.Is(err, webauthn.ErrUserVerification) || login != nil {
		t.Errorf("a passkey that has not verified its user: %v", err)
	}
	d.auth.Options.UserNotVerified = false
	handle := d.auth.Options.UserHandle
	d.auth.Options.UserHandle = second.auth.Options.UserHandle
	if login, err := signIn(d); !errors.Is(err, webauthn.ErrUserHandle) || login != nil {
		t.Errorf("ada's passkey in bob's name: %v", err)
	}
	d.auth.Options.UserHandle = nil
	if login, err := signIn(d); !errors.Is(err, webauthn.ErrUserHandle) || login != nil {
		t.Errorf("a passkey in nobody's name: %v", err)
	}
	d.auth.Options.UserHandle = handle

	// Where a passkey does not stand for both it is the first factor.
	h.alone = false
	login, err := signIn(d)
	if err != nil || login.Session != nil || login.Pending == nil {
		t.Fatalf("a session by a passkey that is one factor: %v", err)
	}
	if _, err := login.Pending.Challenge(t.Context(), mfa.Offer{Kind: webauthn.Kind}); err == nil {
		t.Error("it may be the second factor too")
	}
}
