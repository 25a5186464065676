package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

// PasswordChanged is to be called when the user's password was changed or
// reset: sign-ins under way, step-ups and proofs end everywhere. No factor
// does. Like the rest of its family it always writes, also for a user who has
// nothing set up, and returns an *EffectError if EndSessions failed.
func (g *Guard) PasswordChanged(ctx context.Context, userID string) error {
	return g.revoke(ctx, userID, Event{Type: EventPasswordChanged})
}

// AddressChanged is to be called when the user's address was changed, with the
// one before. It is told to both. A factor at the old address goes on being one,
// because it was verified and the new one was not: an advice asks the user to
// enrol the new one, which replaces it.
func (g *Guard) AddressChanged(ctx context.Context, userID, old string) error {
	return g.revoke(ctx, userID, Event{Type: EventAddressChanged, Old: old})
}

// SignOutEverywhere ends every sign-in under way, step-up and proof.
func (g *Guard) SignOutEverywhere(ctx context.Context, userID string) error {
	return g.revoke(ctx, userID, Event{Type: EventRevoked})
}

// Disabled is to be called when the user's account was disabled.
func (g *Guard) Disabled(ctx context.Context, userID string) error {
	return g.revoke(ctx, userID, Event{Type: EventUserDisabled})
}

func (g *Guard) revoke(ctx context.Context, userID string, e Event) error {
	u := g.anyUser(ctx, userID)
	if e.Type == EventAddressChanged {
		e.Address = u.Email
	}
	_, err := vault.Update(ctx, g.vault, userID, func(a *vault.Account) (struct{}, error) {
		a.Renew()
		g.endSessions(a, e.Type)
		g.tell(a, u, e)
		return struct{}{}, nil
	})
	return err
}

// anyUser is user for calls that must not fail because the directory does.
func (g *Guard) anyUser(ctx context.Context, id string) User {
	u, err := g.user(ctx, id)
	if err != nil {
		return User{ID: id, Service: g.cfg.Service}
	}
	return u
}

// Admin is what somebody may do to other users' accounts. The application
// decides who gets one. Every change is an event with the actor's name.
type Admin struct {
	g     *Guard
	actor string
}

// Admin returns it for an actor, who is named in events and notices. Without a
// name nothing is changed: ErrArgument.
func (g *Guard) Admin(actor string) *Admin { return &Admin{g, actor} }

func (a *Admin) named() error {
	if a.actor == "" {
		return fmt.Errorf("%w: an administrator without a name", ErrArgument)
	}
	return nil
}

// Overview returns what a user has.
func (a *Admin) Overview(ctx context.Context, userID string) (*Overview, error) {
	return a.g.overview(ctx, userID)
}

// Overviews yields what each of the users has, in their order. One that cannot
// be read has Err and the user's ID; the listing goes on. The error is the
// context's alone.
func (a *Admin) Overviews(ctx context.Context, userIDs ...string) iter.Seq2[*Overview, error] {
	return func(yield func(*Overview, error) bool) {
		for _, id := range userIDs {
			o, err := a.g.overview(ctx, id)
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if err != nil {
				o = &Overview{User: User{ID: id}, Err: err}
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Reset ends everything that a user has set up, for somebody who lost it all,
// and every sign-in and proof. reason is required: it is told to the user.
func (a *Admin) Reset(ctx context.Context, userID, reason string) error {
	if err := a.named(); err != nil {
		return err
	}
	if reason == "" || len(reason) > 1024 {
		return fmt.Errorf("%w: reason", ErrArgument)
	}
	u := a.g.anyUser(ctx, userID)
	_, err := vault.Update(ctx, a.g.vault, userID, func(acc *vault.Account) (struct{}, error) {
		acc.RemoveAll()
		acc.Unlock()
		a.g.endSessions(acc, EventReset)
		a.g.tell(acc, u, Event{Type: EventReset, Actor: a.actor, Reason: reason})
		return struct{}{}, nil
	})
	return err
}

// Unlock ends every pause, the failures of the day, and what a clock that ran
// ahead left behind. What was disabled stays so.
func (a *Admin) Unlock(ctx context.Context, userID string) error {
	if err := a.named(); err != nil {
		return err
	}
	u := a.g.anyUser(ctx, userID)
	_, err := vault.Update(ctx, a.g.vault, userID, func(acc *vault.Account) (struct{}, error) {
		if !acc.Exists() {
			return struct{}{}, nil
		}
		acc.Unlock()
		for _, m := range a.g.order {
			if r, ok := m.(Repairer); ok {
				r.Repair(acc.Scope(m.Kind(), "", ""))
			}
		}
		a.g.tell(acc, u, Event{Type: EventUnlocked, Actor: a.actor})
		return struct{}{}, nil
	})
	return delivered(err)
}

// Delete removes all that is kept of a user, when the application deletes the
// user. Deleting nobody is no error.
func (a *Admin) Delete(ctx context.Context, userID string) error {
	if err := a.named(); err != nil {
		return err
	}
	if err := a.g.vault.Delete(ctx, userID); err != nil {
		return err
	}
	now, err := a.g.vault.Now()
	if err != nil {
		return err
	}
	a.g.emit(ctx, Event{Type: EventDeleted, Time: now, UserID: userID, Actor: a.actor})
	if a.g.cfg.EndSessions == nil {
		return nil
	}
	if err := called(func() error { return a.g.cfg.EndSessions(context.WithoutCancel(ctx), userID) }); err != nil {
		return &EffectError{Err: err}
	}
	return nil
}

// Export returns what is kept of a user as JSON, without secrets, for the
// user's own copy.
func (a *Admin) Export(ctx context.Context, userID string) ([]byte, error) {
	if err := store.CheckUserID(userID); err != nil {
		return nil, err
	}
	type factor struct {
		ID       string     `json:"id"`
		Kind     Kind       `json:"kind"`
		Name     string     `json:"name,omitempty"`
		Hint     string     `json:"hint,omitempty"`
		Added    time.Time  `json:"added"`
		LastUsed *time.Time `json:"last_used,omitempty"`
		Disabled bool       `json:"disabled,omitempty"`
		Left     int        `json:"left,omitempty"`
	}
	type export struct {
		UserID      string    `json:"user_id"`
		At          time.Time `json:"at"`
		Factors     []factor  `json:"factors"`
		FailuresDay int       `json:"failures_in_24_hours"`
	}
	return vault.Read(ctx, a.g.vault, userID, func(acc *vault.Account) ([]byte, error) {
		e := export{UserID: userID, At: acc.Now().UTC(), Factors: []factor{}, FailuresDay: acc.Tries().Day}
		for _, f := range acc.Factors() {
			i := a.g.info(f)
			out := factor{
				ID: i.ID, Kind: i.Kind, Name: i.Name, Hint: i.Hint, Added: i.Added.UTC(), Disabled: i.Disabled, Left: i.Left,
			}
			if !i.LastUsed.IsZero() {
				t := i.LastUsed.UTC()
				out.LastUsed = &t
			}
			e.Factors = append(e.Factors, out)
		}
		b, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			return nil, errors.New("mfa: export failed")
		}
		return append(b, '\n'), nil
	})
}
