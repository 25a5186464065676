package mfa

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/seed-f4994bf1/mfa/vault"
)

// An EventType says what happened.
type EventType string

const (
	EventSignedIn  EventType = "signed-in" // a sign-in completed; Skipped says if nothing was asked
	EventSteppedUp EventType = "stepped-up"
	EventFailed    EventType = "failed"          // a wrong answer, after a right first factor or to a passkey sign-in
	EventPaused    EventType = "paused"          // the first pause: somebody knows the first factor and guesses
	EventDisabled  EventType = "factor-disabled" // 100 failures in a row ended the factors of the kind

	// EventCloned: the counter of an authenticator went back.
	EventCloned EventType = "possible-clone"

	EventFactorAdded   EventType = "factor-added"
	EventFactorRemoved EventType = "factor-removed"
	EventFactorRenamed EventType = "factor-renamed"
	EventAllRemoved    EventType = "all-removed"
	EventCodesMade     EventType = "codes-made" // a new set; an old one is dead
	EventCodeUsed      EventType = "code-used"
	EventCodesLow      EventType = "codes-low" // three or fewer left
	EventCodesUsedUp   EventType = "codes-used-up"

	// EventRecoveryChange: the change before it was allowed by a recovery code.
	EventRecoveryChange EventType = "change-by-recovery-code"

	EventPasswordChanged EventType = "password-changed"

	// EventAddressChanged: the user's address in the application or, with a
	// Kind, the one that codes are sent to. Old is the one before.
	EventAddressChanged EventType = "address-changed"

	EventRevoked      EventType = "signed-out-everywhere"
	EventUserDisabled EventType = "user-disabled"
	EventReset        EventType = "reset" // by an administrator: everything is gone
	EventUnlocked     EventType = "unlocked"
	EventDeleted      EventType = "deleted"

	// EventDeliveryFailed: a notice, a code or EndSessions failed; Err says
	// why, Of which event it was for, or for a code Kind whose.
	EventDeliveryFailed EventType = "delivery-failed"
)

// notices are the events that the user is told of.
func (t EventType) notice() bool {
	switch t {
	case EventSignedIn, EventSteppedUp, EventFailed, EventUnlocked, EventDeleted, EventDeliveryFailed:
		return false
	}
	return true
}

// An Event is something that happened to an account and was saved. It holds no
// secret, code or token.
type Event struct {
	Type     EventType
	Time     time.Time
	UserID   string
	Actor    string // the administrator, if one did it
	Reason   string // the administrator's
	Kind     Kind
	FactorID string
	Name     string // the factor's
	Purpose  Purpose
	By       By // the first factor
	Skipped  Skip
	Address  string    // of what was added, changed or removed, or of an enrolment that could not be reached; never logged
	Old      string    // that it took the place of; never logged
	Left     int       // recovery codes
	Of       EventType // what a failed delivery was for
	Client   Client
	Err      error
}

// LogValue makes an Event a group of what is set.
func (e Event) LogValue() slog.Value {
	as := []slog.Attr{slog.String("type", string(e.Type)), slog.Time("time", e.Time), slog.String("user", e.UserID)}
	add := func(key, v string) {
		if v != "" {
			as = append(as, slog.String(key, v))
		}
	}
	add("actor", e.Actor)
	add("reason", e.Reason)
	add("kind", string(e.Kind))
	add("factor", e.FactorID)
	add("purpose", string(e.Purpose))
	add("by", string(e.By))
	add("skipped", string(e.Skipped))
	add("of", string(e.Of))
	add("ip", e.Client.IP)
	if e.Err != nil {
		add("error", e.Err.Error())
	}
	return slog.GroupValue(as...)
}

// A Notifier tells a user what happened. Notify is called once the change is
// saved, under a context that the caller's hanging up does not end; its error is
// an event.
type Notifier interface {
	Notify(ctx context.Context, u User, e Event) error
}

// emit passes an event that needs no save on.
func (g *Guard) emit(ctx context.Context, e Event) {
	e.Client = clientOf(ctx)
	if g.cfg.OnEvent != nil {
		g.cfg.OnEvent(ctx, e)
	}
}

// tell raises e once a's change is saved: as an event and, if the user should
// know, as a notice.
func (g *Guard) tell(a *vault.Account, u User, e Event) {
	e.Time, e.UserID = a.Now(), a.UserID()
	if g.cfg.OnEvent != nil {
		a.AfterSave(func(ctx context.Context) error {
			g.emit(ctx, e)
			return nil
		})
	}
	if g.cfg.Notify == nil || !e.Type.notice() {
		return
	}
	a.AfterSave(func(ctx context.Context) error {
		e := e
		e.Client = clientOf(ctx)
		if err := called(func() error { return g.cfg.Notify.Notify(ctx, u, e) }); err != nil {
			g.emit(ctx, Event{Type: EventDeliveryFailed, Of: e.Type, Time: e.Time, UserID: e.UserID, Err: err})
		}
		return nil
	})
}

// called returns the error of one of the application's callbacks; a panic is one
// too. What it panicked with is not told: it may be anything.
func called(callback func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("mfa: a callback panicked")
		}
	}()
	return callback()
}

// endSessions ends the application's sessions once a's change is saved.
func (g *Guard) endSessions(a *vault.Account, of EventType) {
	if g.cfg.EndSessions == nil {
		return
	}
	userID, now := a.UserID(), a.Now()
	a.AfterSave(func(ctx context.Context) error {
		err := called(func() error { return g.cfg.EndSessions(ctx, userID) })
		if err != nil {
			g.emit(ctx, Event{Type: EventDeliveryFailed, Of: of, Time: now, UserID: userID, Err: err})
		}
		return err
	})
}
