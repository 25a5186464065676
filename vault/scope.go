package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// A Scope is what one factor may see and change of one account in one
// ceremony: the factors, drafts and challenges of its own kind. Nothing of it
// is saved before the change that it belongs to is. It belongs to one
// goroutine, and using it after the change returned panics.
type Scope struct {
	a             *Account
	kind          Kind
	purpose, flow string
	secrets       bool // inside Guess
	closed        bool
}

func (s *Scope) open() *Account {
	if s.closed {
		panic("vault: a Scope was used after its change returned")
	}
	return s.a
}

// Now is the time of this try by the vault's clock.
func (s *Scope) Now() time.Time { return s.open().now }

// Factors returns the active factors of this kind, oldest first, the disabled
// ones left out. Writing to one changes the account.
func (s *Scope) Factors() []*Factor {
	var fs []*Factor
	for _, f := range s.open().factors {
		if f.Kind == s.kind && !f.Disabled {
			fs = append(fs, f)
		}
	}
	return fs
}

// Factor returns the active factor of this kind with that ID, nil if this user
// has none.
func (s *Scope) Factor(id string) *Factor {
	for _, f := range s.Factors() {
		if f.ID == id {
			return f
		}
	}
	return nil
}

// Add makes f an active factor at once. It draws the ID; Kind and Added are the
// Scope's. ErrFull if the user has too much already.
func (s *Scope) Add(f Factor) (*Factor, error) {
	a := s.open()
	p, err := s.prepare(f)
	if err != nil {
		return nil, err
	}
	return a.activate(p)
}

// Draft keeps f for at most ttl (MaxDraft) until Activate. A draft satisfies
// nothing and triggers nothing. It belongs to the flow of this Scope. At most
// three drafts are kept for a user; the oldest gives way to a fourth.
func (s *Scope) Draft(f Factor, ttl time.Duration) (*Factor, error) {
	a := s.open()
	p, err := s.prepare(f)
	if err != nil {
		return nil, err
	}
	a.create()
	a.drafts = slices.DeleteFunc(a.drafts, func(d *draft) bool { return !a.live(d.expires) })
	if len(a.drafts) >= maxDrafts {
		a.drafts = slices.Delete(a.drafts, 0, len(a.drafts)-maxDrafts+1)
	}
	a.drafts = append(a.drafts, &draft{Factor: p, flow: s.flow, expires: a.now.Add(min(ttl, MaxDraft))})
	if s.secrets {
		p.show()
	}
	return p, nil
}

func (s *Scope) prepare(f Factor) (*Factor, error) {
	a := s.open()
	if len(f.Name) > MaxName {
		return nil, fmt.Errorf("%w: a name of %d bytes", ErrFull, len(f.Name))
	}
	if len(a.factors) >= maxFactors || a.size >= enrolBelow {
		return nil, ErrFull
	}
	a.grows = true
	f.ID, f.Kind, f.Added, f.LastUsed, f.Disabled = newID(), s.kind, a.now, time.Time{}, false
	f.hide()
	return &f, nil
}

// Drafted returns the draft with that ID if it is of this kind, was begun in
// this flow and has not expired; else nil.
func (s *Scope) Drafted(id string) *Factor {
	if d := s.drafted(id); d != nil {
		return d.Factor
	}
	return nil
}

// Drafts returns the live drafts of this kind that were begun in this flow, oldest
// first.
func (s *Scope) Drafts() []*Factor {
	a := s.open()
	var fs []*Factor
	for _, d := range a.drafts {
		if s.mine(d) {
			fs = append(fs, d.Factor)
		}
	}
	return fs
}

func (s *Scope) mine(d *draft) bool {
	return d.Kind == s.kind && d.flow == s.flow && s.a.live(d.expires)
}

func (s *Scope) drafted(id string) *draft {
	a := s.open()
	for _, d := range a.drafts {
		if d.ID == id && s.mine(d) {
			return d
		}
	}
	return nil
}

// Extend lets the draft with that ID live for ttl (MaxDraft) from now, if Drafted
// would return it.
func (s *Scope) Extend(id string, ttl time.Duration) {
	if d := s.drafted(id); d != nil {
		d.expires = s.a.now.Add(min(ttl, MaxDraft))
	}
}

// Activate makes a draft an active factor, under the same ID. ErrExpired if
// Drafted would not return it.
func (s *Scope) Activate(id string) (*Factor, error) {
	a := s.open()
	d := s.drafted(id)
	if d == nil {
		return nil, ErrExpired
	}
	a.drafts = slices.DeleteFunc(a.drafts, func(o *draft) bool { return o == d })
	d.Added = a.now
	d.hide()
	f, err := a.activate(d.Factor)
	if err == nil && s.secrets {
		f.show()
	}
	return f, err
}

// Remove ends the active factor of this kind with that ID, and its challenges.
// It reports whether there was one.
func (s *Scope) Remove(id string) bool {
	a := s.open()
	for _, f := range a.factors {
		if f.ID == id && f.Kind == s.kind {
			return a.Remove(id)
		}
	}
	return false
}

// Issue keeps c in place of the one of the same factor, flow and purpose.
// ErrFull if there are too many others that have not expired.
func (s *Scope) Issue(c Challenge) error {
	a := s.open()
	c.Flow, c.Purpose = s.in(c.Flow, c.Purpose)
	c.Expires = earlier(c.Expires, a.now.Add(MaxDraft))
	c.hide()
	a.challenges = slices.DeleteFunc(a.challenges, func(o *challenge) bool {
		return o.is(s.kind, c.FactorID, c.Flow, c.Purpose) || !a.live(o.Expires)
	})
	if len(a.challenges) >= maxChallenges {
		return ErrFull
	}
	a.challenges = append(a.challenges, &challenge{Challenge: c, kind: s.kind})
	return nil
}

// Take returns the challenge of that factor, flow and purpose and removes it.
// An expired one is removed too, but not returned.
func (s *Scope) Take(factorID, flow, purpose string) (Challenge, bool) {
	a := s.open()
	flow, purpose = s.in(flow, purpose)
	for i, c := range a.challenges {
		if c.is(s.kind, factorID, flow, purpose) {
			a.challenges = slices.Delete(a.challenges, i, i+1)
			if !a.live(c.Expires) {
				return Challenge{}, false
			}
			if s.secrets {
				c.show()
			}
			return c.Challenge, true
		}
	}
	return Challenge{}, false
}

// Challenges returns copies of the live challenges of this kind, oldest first.
func (s *Scope) Challenges() []Challenge {
	a := s.open()
	var cs []Challenge
	for _, c := range a.challenges {
		if c.kind == s.kind && a.live(c.Expires) {
			d := c.Challenge
			if s.secrets {
				d.show()
			}
			cs = append(cs, d)
		}
	}
	return cs
}

func (s *Scope) in(flow, purpose string) (string, string) {
	if flow == "" {
		flow = s.flow
	}
	if purpose == "" {
		purpose = s.purpose
	}
	return flow, purpose
}

// MAC returns 32 bytes that only this account can make: HMAC-SHA-256 under a
// random key of the account over the kind, the user, the label and the parts,
// each behind its length.
func (s *Scope) MAC(label string, parts ...string) []byte {
	a := s.open()
	h := hmac.New(sha256.New, a.macKey)
	var n [4]byte
	write := func(p string) {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	write(string(s.kind))
	write(a.userID)
	write(label)
	for _, p := range parts {
		write(p)
	}
	return h.Sum(nil)
}

// Taken reports whether another user turned out to own the Key of a factor
// that this change wanted to add. The change runs again when that happens, so
// that it can answer.
func (s *Scope) Taken(key string) bool {
	a := s.open()
	return slices.Contains(a.taken, storeKey(s.kind, key))
}

// Allow counts one use of the bucket, or refuses when a limit is reached and
// says how long to wait. A refusal counts nothing.
func (s *Scope) Allow(bucket string, limits ...Limit) (retryAfter time.Duration, ok bool) {
	return s.open().allow(string(s.kind)+"/"+bucket, limits)
}

// Refund gives the use of the bucket at that time back, if it is still counted:
// for what turned out not to have happened, or to have been the user's own.
func (s *Scope) Refund(bucket string, at time.Time) {
	s.open().Refund(string(s.kind)+"/"+bucket, at)
}

// AfterSave runs effect once the change is saved, outside every lock, with a
// context that the caller's end does not end. An effect of a try that was lost
// never runs.
func (s *Scope) AfterSave(effect func(context.Context) error) {
	s.open().AfterSave(effect)
}

// Once runs compute at most once while one change is tried, however often, and
// returns the same value to each try with the same key: for what is slow and
// depends on nothing that another writer changes. An error is not remembered.
// MAC is not for it: the account's key is drawn anew for each try while there is
// no record yet.
func (s *Scope) Once(key string, compute func() ([]byte, error)) ([]byte, error) {
	a := s.open()
	key = string(s.kind) + "/" + key
	if b, ok := a.memo[key]; ok {
		return bytes.Clone(b), nil
	}
	b, err := compute()
	if err == nil && a.memo != nil {
		a.memo[key] = bytes.Clone(b) // a try may write to what it got
	}
	return b, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
