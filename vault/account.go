package vault

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Account is everything that one user has, open inside one change. Guard
// decides with it; a factor gets a Scope instead. It belongs to one goroutine
// and must not be used after the change returned.
type Account struct {
	userID string
	now    time.Time
	exists bool
	made   bool   // may be created by this save
	size   int    // of the sealed record, as loaded
	keyID  string // that it was sealed under
	grows  bool   // by an enrolment

	macKey     []byte
	epoch      []byte
	factors    []*Factor // oldest first
	drafts     []*draft
	challenges []*challenge
	tries      [2]tries // typed answers; confirming ones apart
	fails      []fails
	buckets    []bucket
	spent      []spent
	notBefore  int64 // Unix milliseconds; tokens issued up to then are dead
	epochAt    int64 // Unix milliseconds: when the epoch was drawn

	// of this try alone
	claim, release []string
	taken          []string
	memo           map[string][]byte
	effects        []func(context.Context) error
	scopes         []*Scope
}

type draft struct {
	*Factor
	flow    string
	expires time.Time
}

type challenge struct {
	Challenge
	kind Kind
}

func (c *challenge) is(k Kind, factorID, flow, purpose string) bool {
	return c.kind == k && c.FactorID == factorID && c.Flow == flow && c.Purpose == purpose
}

type bucket struct {
	name string
	used []int64 // Unix milliseconds, oldest first
}

type spent struct {
	id             string
	until, expires int64 // no token of this ID was issued later; Unix milliseconds
}

// UserID is the ID that the account was loaded for.
func (a *Account) UserID() string { return a.userID }

// Now is the time of this try by the vault's clock, read anew for each.
func (a *Account) Now() time.Time { return a.now }

// Exists reports whether there is a record.
func (a *Account) Exists() bool { return a.exists }

// Epoch names the present set of credentials. It is drawn anew when a factor
// is added, replaced or removed, and by Renew; "" before the first time. What
// was handed out under another one is void.
func (a *Account) Epoch() string { return string(a.epoch) }

// Renew voids everything that was handed out: a new epoch, no drafts, no
// challenges. It creates the record if there is none.
func (a *Account) Renew() {
	a.create()
	a.drafts, a.challenges = nil, nil
	a.newEpoch()
}

func (a *Account) newEpoch() {
	a.epoch = make([]byte, 8)
	_, _ = rand.Read(a.epoch)
	a.epochAt = a.now.UnixMilli()
}

// create lets this save make the record.
func (a *Account) create() { a.made = true }

// Any reports whether any factor is active, of whatever kind, or disabled.
func (a *Account) Any() bool { return len(a.factors) > 0 }

// Has reports whether a factor of that kind is active and not disabled, the one
// with that ID if it is not "".
func (a *Account) Has(k Kind, id string) bool {
	return slices.ContainsFunc(a.factors, func(f *Factor) bool {
		return f.Kind == k && !f.Disabled && (id == "" || f.ID == id)
	})
}

// Factors returns copies of all active factors, oldest first, of every kind
// and the disabled ones too, without their secrets. Data is shared: it must not
// be written to.
func (a *Account) Factors() []Factor {
	fs := make([]Factor, len(a.factors))
	for i, f := range a.factors {
		fs[i] = *f
		fs[i].Secret, fs[i].hidden = nil, nil
	}
	return fs
}

func (a *Account) factor(id string) *Factor {
	for _, f := range a.factors {
		if f.ID == id {
			return f
		}
	}
	return nil
}

// Used notes that the factor with that ID was used now.
func (a *Account) Used(id string) {
	if f := a.factor(id); f != nil {
		f.LastUsed = a.now
	}
}

// Rename gives the factor with that ID another name. It reports whether there
// is one. ErrFull if the name is over MaxName bytes.
func (a *Account) Rename(id, name string) (bool, error) {
	if len(name) > MaxName {
		return false, fmt.Errorf("%w: a name of %d bytes", ErrFull, len(name))
	}
	f := a.factor(id)
	if f != nil {
		f.Name = name
	}
	return f != nil, nil
}

// Remove ends the active factor with that ID, of whatever kind, with its
// challenges and its unique key. It reports whether there was one.
func (a *Account) Remove(id string) bool {
	f := a.factor(id)
	if f == nil {
		return false
	}
	a.factors = slices.DeleteFunc(a.factors, func(o *Factor) bool { return o == f })
	a.challenges = slices.DeleteFunc(a.challenges, func(c *challenge) bool { return c.kind == f.Kind && c.FactorID == id })
	if f.Key != "" {
		a.disown(storeKey(f.Kind, f.Key))
	}
	a.newEpoch()
	return true
}

// RemoveAll ends every factor, draft and challenge, and what was handed out.
func (a *Account) RemoveAll() {
	for _, f := range a.Factors() {
		a.Remove(f.ID)
	}
	a.fails = nil
	a.Renew()
}

func (a *Account) activate(f *Factor) (*Factor, error) {
	for _, o := range a.factors {
		if f.Key != "" && o.Kind == f.Kind && o.Key == f.Key && !o.Disabled {
			return nil, fmt.Errorf("%w: enrolled already", ErrRejected)
		}
	}
	a.create()
	for _, o := range slices.Clone(a.factors) {
		if o.Kind == f.Kind && o.Disabled {
			a.Remove(o.ID)
		}
	}
	if f.Key != "" {
		a.own(storeKey(f.Kind, f.Key))
	}
	a.factors = append(a.factors, f)
	a.clearFails(f.Kind)
	a.newEpoch()
	return f, nil
}

func (a *Account) own(key string) {
	a.release = slices.DeleteFunc(a.release, func(k string) bool { return k == key })
	a.claim = append(a.claim, key)
}

func (a *Account) disown(key string) {
	a.claim = slices.DeleteFunc(a.claim, func(k string) bool { return k == key })
	a.release = append(a.release, key)
}

// storeKey is the fixed-length name of a unique key in the store. It does not
// depend on the ring, so that it stays when keys are rotated.
func storeKey(k Kind, key string) string {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(k)))
	h.Write(n[:])
	h.Write([]byte(k))
	h.Write([]byte(key))
	return string(h.Sum(nil))
}

// Spend marks the token with that ID as used, for as long as ttl from now. At
// most sixteen are remembered one by one. In place of one that is forgotten, for
// its age or because there are more, every token that was issued until it was
// spent is dead: nothing is ever un-spent.
func (a *Account) Spend(id string, issued time.Time, ttl time.Duration) {
	now, horizon := a.now.UnixMilli(), a.horizon()
	if a.notBefore > horizon {
		a.notBefore = 0 // of a clock that ran ahead
	}
	forget := func(s spent) { a.notBefore = max(a.notBefore, s.until) }
	a.spent = slices.DeleteFunc(a.spent, func(s spent) bool {
		earliest := s.until - (s.expires - s.until) // that any of its tokens can have been issued
		switch {
		case earliest > horizon: // by a clock that ran ahead: none of them is live
			return true
		case s.expires <= now:
			forget(s)
			return true
		}
		return false
	})
	a.spent = append(a.spent, spent{id, max(issued.UnixMilli(), now), a.now.Add(ttl).UnixMilli()})
	for len(a.spent) > maxSpent {
		oldest := slices.MinFunc(a.spent, func(x, y spent) int { return cmp.Compare(x.until, y.until) })
		forget(oldest)
		a.spent = slices.DeleteFunc(a.spent, func(s spent) bool { return s.until <= oldest.until })
	}
}

// horizon is the latest time, in Unix milliseconds, that another machine's clock
// could show now.
func (a *Account) horizon() int64 { return a.now.Add(tolerance).UnixMilli() }

// Live reports whether a token with that ID, issued then, is neither spent nor
// void nor of the future.
func (a *Account) Live(id string, issued time.Time) bool {
	at, horizon := issued.UnixMilli(), a.horizon()
	if at > horizon || at <= a.notBefore && a.notBefore <= horizon {
		return false
	}
	return !slices.ContainsFunc(a.spent, func(s spent) bool { return s.id == id })
}

// LiveWithoutEpoch is Live for a token that bears no epoch, because nobody knew
// whose it would be: what was issued before the present one is dead too. (In the
// same millisecond, it may have come after.)
func (a *Account) LiveWithoutEpoch(id string, issued time.Time) bool {
	return a.Live(id, issued) && (issued.UnixMilli() >= a.epochAt || a.epochAt > a.horizon())
}

// Allow counts one use of the bucket, or refuses when a limit is reached and
// says how long to wait. A refusal counts nothing. Whatever the first factor
// alone can make an account write goes through it.
func (a *Account) Allow(name string, limits ...Limit) (retryAfter time.Duration, ok bool) {
	return a.allow(name, limits)
}

func (a *Account) allow(name string, limits []Limit) (time.Duration, bool) {
	now := a.now.UnixMilli()
	i := slices.IndexFunc(a.buckets, func(b bucket) bool { return b.name == name })
	var used []int64
	if i >= 0 {
		used = a.buckets[i].used
	}
	var wait int64
	var longest time.Duration
	for _, l := range limits {
		longest = max(longest, l.Per)
		n := min(l.N, maxPerBucket)
		if n <= 0 {
			wait = max(wait, l.Per.Milliseconds(), 1)
		} else if len(used) >= n {
			wait = max(wait, used[len(used)-n]+l.Per.Milliseconds()-now)
		}
	}
	if wait > 0 {
		return time.Duration(wait) * time.Millisecond, false
	}
	used = slices.DeleteFunc(slices.Clone(used), func(t int64) bool { return t+longest.Milliseconds() <= now })
	used = append(used, now)
	if i >= 0 {
		a.buckets[i].used = used
		return 0, true
	}
	day := (24 * time.Hour).Milliseconds()
	a.buckets = slices.DeleteFunc(a.buckets, func(b bucket) bool { return b.used[len(b.used)-1]+day <= now })
	if len(a.buckets) >= maxBuckets {
		return 24 * time.Hour, false
	}
	a.buckets = append(a.buckets, bucket{name, used})
	return 0, true
}

// Refund gives the use of the bucket at that time back, if it is still counted.
func (a *Account) Refund(name string, at time.Time) {
	i := slices.IndexFunc(a.buckets, func(b bucket) bool { return b.name == name })
	if i < 0 {
		return
	}
	n := slices.Index(a.buckets[i].used, at.UnixMilli())
	switch {
	case n < 0:
	case len(a.buckets[i].used) == 1:
		a.buckets = slices.Delete(a.buckets, i, i+1)
	default:
		a.buckets[i].used = slices.Delete(slices.Clone(a.buckets[i].used), n, n+1)
	}
}

// AfterSave runs effect once the change is saved. See Scope.AfterSave.
func (a *Account) AfterSave(effect func(context.Context) error) {
	a.effects = append(a.effects, effect)
}

// Scope returns what the factors of one kind may see in one ceremony: to
// enrol, to challenge, to judge a signed answer. flow is the ceremony's or the
// session's ID. A Scope from here shows no Secret; Guess gives one that does.
func (a *Account) Scope(k Kind, purpose, flow string) *Scope {
	s := &Scope{a: a, kind: k, purpose: purpose, flow: flow}
	a.scopes = append(a.scopes, s)
	return s
}

// close ends every Scope and hides what Guess showed.
func (a *Account) close() {
	for _, s := range a.scopes {
		s.closed = true
	}
	a.scopes = nil
	for _, f := range a.factors {
		f.hide()
	}
	for _, d := range a.drafts {
		d.hide()
	}
	for _, c := range a.challenges {
		c.hide()
	}
}

// live reports whether something that ends then is still good. What ends later
// than it could was made under a clock that ran ahead, and grants nothing.
func (a *Account) live(expires time.Time) bool {
	return a.now.Before(expires) && !expires.After(a.now.Add(MaxDraft+tolerance))
}

// heal pulls every restriction that reaches further than it ever could, after
// a clock ran ahead and was set back, to what it may be seen from now.
func (a *Account) heal() {
	now, horizon := a.now.UnixMilli(), a.horizon()
	for i := range a.tries {
		a.tries[i].heal(now, horizon)
	}
	for _, b := range a.buckets {
		pull(b.used, now, horizon)
	}
}

func pull(times []int64, now, horizon int64) {
	for i, t := range times {
		if t > horizon {
			times[i] = now
		}
	}
}

// newID returns 16 letters and digits drawn from 80 random bits.
func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}
