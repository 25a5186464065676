package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

// A Vault keeps accounts, sealed, in a store. It is safe for use by many
// goroutines; any number of vaults, in any number of processes, may share a
// store.
type Vault struct {
	store store.Store
	ring  ring
	clock func() time.Time
	codec codec
	cache *cache[string, store.Record] // by user ID
	queue *queue
}

// Options may be nil.
type Options struct {
	// Now is the clock of everything that the library decides. nil: time.Now.
	Now func() time.Time

	// Cache is how many bytes of memory may be taken by what was seen last: half
	// by sealed records, which save the first try of an Update its read, half by
	// derived keys. 0: 16 MiB, good for some 3800 typical users at a time;
	// negative: none. A decision never rests on a cached record alone.
	Cache int
}

// Open returns a vault over st. It does no I/O. ErrKeys if keys are missing or
// malformed: nothing is ever stored unsealed.
func Open(st store.Store, keys Keys, opts *Options) (*Vault, error) {
	if st == nil {
		return nil, errors.New("vault: no store")
	}
	parsed, err := parseKeys(string(keys), keySize)
	if err != nil {
		return nil, err
	}
	ring, err := newRing(parsed)
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &Options{}
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	v := &Vault{store: st, ring: ring, clock: opts.Now, codec: c, queue: newQueue()}
	if v.clock == nil {
		v.clock = time.Now
	}
	if size := cmp.Or(opts.Cache, 16<<20); size > 0 {
		v.cache = newCache(size/2, recordCost, strings.Clone)
		v.ring.boxes = newCache(size/2, boxCost, boxName.clone)
	}
	return v, nil
}

// recordCost is what a record takes in a cache: its entry and place in the map,
// measured, and its bytes, which Go allocates up to an eighth too large.
func recordCost(userID string, rec store.Record) int {
	return 192 + len(userID) + cap(rec.Data)*9/8
}

// Now is the time by the vault's clock. ErrClock before 2020 or after 9999.
func (v *Vault) Now() (time.Time, error) {
	now := v.clock().Round(0)
	if y := now.UTC().Year(); y < 2020 || y > 9999 {
		return time.Time{}, ErrClock
	}
	return now, nil
}

// load reads the store. A missing record is the zero Record.
func (v *Vault) load(ctx context.Context, userID string) (store.Record, error) {
	rec, err := v.store.Load(ctx, userID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		v.cache.drop(userID)
		return store.Record{}, nil
	case err != nil:
		return store.Record{}, fmt.Errorf("vault: load: %w", err)
	case rec.Version <= 0:
		return store.Record{}, ErrCorrupt
	}
	v.cache.put(userID, rec)
	return rec, nil
}

const purposeRecord = "record"

// opened is a record that was opened for one try.
type opened struct {
	account  *Account
	plain    []byte // what was sealed
	versions versions
}

func (v *Vault) open(userID string, rec store.Record) (o opened, err error) {
	now, err := v.Now()
	if err != nil {
		return o, err
	}
	a := &Account{userID: userID, now: now, size: len(rec.Data)}
	o.account = a
	if rec.Version == 0 {
		a.macKey = make([]byte, 32)
		_, _ = rand.Read(a.macKey)
		o.plain, err = v.codec.encode(a)
		return o, err
	}
	if o.plain, err = v.ring.open(purposeRecord, userID, rec.Data); err != nil {
		return o, err
	}
	if o.versions, err = versionsOf(o.plain); err != nil {
		return o, err
	}
	if a.keyID, _, err = sealedUnder(rec.Data); err != nil {
		return o, err
	}
	if err := v.codec.decode(o.plain[versionsSize:], a); err != nil {
		return o, err
	}
	a.heal()
	return o, nil
}

// seal returns the change that saves o's account over rec, nil if there is
// nothing to save.
func (v *Vault) seal(o opened, rec store.Record) (*store.Change, error) {
	a := o.account
	plain, err := v.codec.encode(a)
	if err != nil {
		return nil, err
	}
	switch {
	case a.made && !a.exists:
	case bytes.Equal(plain[versionsSize:], o.plain[versionsSize:]) && len(a.claim)+len(a.release) == 0:
		return nil, nil
	case !a.made:
		return nil, ErrNoAccount
	}
	c := &store.Change{UserID: a.userID, Old: rec.Version, New: newVersion(rec.Version), Claim: a.claim, Release: a.release}
	o.versions.then(c.New).put(plain)
	if c.Data, err = v.ring.seal(purposeRecord, a.userID, plain); err != nil {
		return nil, err
	}
	if len(c.Data) > maxRecord || a.grows && len(c.Data) > enrolBelow { // an enrolment leaves room to sign in
		return nil, ErrFull
	}
	return c, nil
}

func newVersion(not int64) int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:])
		if n := int64(binary.BigEndian.Uint64(b[:]) >> 1); n != 0 && n != not {
			return n
		}
	}
}

// Read decides on a record that is loaded after the call began, and saves
// nothing: what decide does to the account is forgotten.
func Read[T any](ctx context.Context, v *Vault, userID string, decide func(*Account) (T, error)) (T, error) {
	var zero T
	if err := store.CheckUserID(userID); err != nil {
		return zero, err
	}
	rec, err := v.load(ctx, userID)
	if err != nil {
		return zero, err
	}
	o, err := v.open(userID, rec)
	if err != nil {
		return zero, err
	}
	defer o.account.close()
	return decide(o.account)
}

// A Summary is what a user has, without secrets.
type Summary struct {
	Exists  bool
	Factors []Factor // oldest first, of every kind, the disabled ones too
	Drafts  int      // enrolments that are not confirmed
	Tries   Tries
	KeyID   string // of the key that the record is sealed under
	Size    int    // of the sealed record, in bytes
}

// View returns what the user has now. No record is an empty Summary, not an
// error.
func (v *Vault) View(ctx context.Context, userID string) (*Summary, error) {
	return Read(ctx, v, userID, func(a *Account) (*Summary, error) {
		n := 0
		for _, d := range a.drafts {
			if a.live(d.expires) {
				n++
			}
		}
		return &Summary{
			Exists: a.exists, Factors: a.Factors(), Drafts: n, Tries: a.Tries(), KeyID: a.keyID, Size: a.size,
		}, nil
	})
}

// Delete removes all that is kept of the user, at once and for good. Deleting
// nobody is no error. A first enrolment whose save is under way elsewhere may land
// behind it: disable the user before.
func (v *Vault) Delete(ctx context.Context, userID string) error {
	if err := store.CheckUserID(userID); err != nil {
		return err
	}
	leave, err := v.queue.enter(ctx, userID)
	if err != nil {
		return err
	}
	defer leave()
	retry := newRetry()
	for {
		rec, err := v.load(ctx, userID)
		if err != nil || rec.Version == 0 {
			return err
		}
		o, err := v.open(userID, rec)
		if err != nil {
			return err
		}
		for _, f := range o.account.factors {
			if f.Key != "" {
				o.account.disown(storeKey(f.Kind, f.Key))
			}
		}
		c := store.Change{UserID: userID, Old: rec.Version, Release: o.account.release}
		switch out, _, err := v.save(ctx, c); out {
		case landed:
			v.cache.drop(userID)
			return nil
		case lost:
		default:
			return err
		}
		if err := retry.pause(ctx); err != nil {
			return err
		}
	}
}

// Owner returns the user whose factor of that kind claimed the key.
// store.ErrNotFound if nobody's did. The user's account confirms it.
func (v *Vault) Owner(ctx context.Context, k Kind, key string) (userID string, err error) {
	userID, err = v.store.Owner(ctx, storeKey(k, key))
	if err != nil {
		return "", fmt.Errorf("vault: owner: %w", err)
	}
	return userID, nil
}

// Users yields every user ID behind the given one, "" for all of them, each once,
// in the order of the store's own, which never changes. The user after need not
// be there any more. errors.ErrUnsupported if the store is no store.Lister.
func (v *Vault) Users(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		lister, ok := v.store.(store.Lister)
		if !ok {
			yield("", fmt.Errorf("vault: the store lists no users: %w", errors.ErrUnsupported))
			return
		}
		for cursor := after; ; {
			ids, next, err := lister.UserIDs(ctx, cursor, 256)
			if err != nil {
				yield("", fmt.Errorf("vault: list: %w", err))
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
			if cursor = next; next == "" {
				return
			}
		}
	}
}

// Seal returns plain as text that only this ring opens, and only for the same
// purpose and subject: URL-safe, of no fixed form, good for as long as the key
// is in the ring. The subject is a user's ID or, where Unseal cannot know it, "".
func (v *Vault) Seal(purpose, subject string, plain []byte) (string, error) {
	var salt []byte
	if subject == "" { // a key of its own for each token, as users have theirs
		salt = make([]byte, saltSize)
		_, _ = rand.Read(salt)
	}
	ring, purpose, subject := v.tokens(purpose, subject, salt)
	sealed, err := ring.seal(purpose, subject, plain)
	if err != nil {
		return "", err
	}
	token := base64.RawURLEncoding.EncodeToString(append(salt, sealed...))
	if len(token) > maxToken {
		return "", ErrFull
	}
	return token, nil
}

const (
	saltSize = 16
	maxToken = 8 << 10 // characters
)

// tokens says with what a token is sealed: a key that is used once is not kept.
func (v *Vault) tokens(purpose, subject string, salt []byte) (ring, string, string) {
	if subject == "" {
		return ring{keys: v.ring.keys}, "token of anybody: " + purpose, string(salt)
	}
	return v.ring, "token: " + purpose, subject
}

// Unseal returns what Seal was given. ErrInvalid if the text is not one that
// it returned for that purpose and subject, to the letter, under a key that is
// in the ring.
func (v *Vault) Unseal(purpose, subject, token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, ErrInvalid
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != token {
		return nil, ErrInvalid
	}
	var salt []byte
	if subject == "" {
		if len(b) < saltSize {
			return nil, ErrInvalid
		}
		salt, b = b[:saltSize], b[saltSize:]
	}
	ring, purpose, subject := v.tokens(purpose, subject, salt)
	plain, err := ring.open(purpose, subject, b)
	if err != nil {
		return nil, ErrInvalid
	}
	return plain, nil
}
