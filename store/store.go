// Package store defines where sealed accounts are kept: opaque bytes under a
// user ID, with a version. A store knows no factor, counts nothing, compares no
// time and holds no lock; it only swaps one version for another.
//
// Ready stores are in the packages below this one; an application can put the
// three methods on its own users table in about sixty lines. Package storetest
// tests any implementation.
package store

import (
	"context"
	"errors"
	"fmt"
)

// Bounds that callers keep and implementations must be able to hold.
const (
	MaxUserID = 255      // bytes of a user ID; at least 1
	MaxData   = 64 << 10 // bytes of a record's data
	KeySize   = 32       // bytes of a unique key, always exactly so many
)

var (
	// ErrNotFound: there is no record for this user, or no owner of this key.
	// It is an answer, not a failure.
	ErrNotFound = errors.New("store: not found")

	// ErrConflict: the record was not at Change.Old, or another change of the
	// same user was under way that kept this one from happening. Nothing was
	// changed.
	ErrConflict = errors.New("store: conflict")

	// ErrKeyTaken: another user owns a key that the change claims. Nothing was
	// changed.
	ErrKeyTaken = errors.New("store: key taken")

	// ErrUnavailable: the store did not answer, or answered with an error of
	// its own. Of an Apply that failed so nobody knows whether it landed.
	ErrUnavailable = errors.New("store: unavailable")

	// ErrSchema: the database was set up by a newer version of this library
	// (or not at all, and the store may not do so).
	ErrSchema = errors.New("store: unknown schema")

	// ErrArgument: the call is malformed (a bound of this package is broken).
	// It is a programming error and is never stored.
	ErrArgument = errors.New("invalid argument")
)

// A Record is what a store keeps for one user.
type Record struct {
	Version int64 // drawn by the caller, above 0; 0 means that there is no record
	Data    []byte
}

// A Change swaps one record. It is one atomic step: either all of it happens
// or nothing does.
type Change struct {
	UserID string

	// Old is the version that is there now, 0 for none: the change creates.
	// New is the version that will be there, 0 for none: the change deletes.
	// Both are at least 0 and differ. The caller draws New at random from 63
	// bits, so that a version never returns, also after a delete.
	Old, New int64

	Data []byte // nil when New is 0

	// Claim and Release name unique keys of KeySize bytes that this user owns
	// from now on, or no more. Claiming a key that one already owns and
	// releasing one that one does not own change nothing and are no error.
	// A key is in at most one of the two lists. A delete claims none, and
	// names every key that it releases: the store does not look for them.
	Claim, Release []string
}

// A Store keeps records.
//
// Callers may use a Store from many goroutines and processes at once. They
// must not take an error other than the ones named here for an answer: after
// one of those nobody knows whether an Apply landed.
//
// Implementations must
//
//   - compare user IDs and keys as bytes (no collation, no trimming, no case);
//   - let a Load see every Apply that returned before it began: no read
//     replica, no cache;
//   - let the affected rows of one conditional statement (or its like) decide
//     in Apply, never a read followed by a write;
//   - keep a version from returning only by not inventing any;
//   - copy: no slice is shared with the caller after the call;
//   - wrap a driver's error and an ended context's with ErrUnavailable, and never
//     report a failure as ErrNotFound, ErrConflict or ErrKeyTaken;
//   - answer ErrArgument where CheckUserID, CheckKey or Change.Check does;
//   - take part in no transaction of the caller;
//   - put neither user IDs nor data into an error's text.
type Store interface {
	// Load returns the user's record. ErrNotFound if there is none.
	Load(ctx context.Context, userID string) (Record, error)

	// Apply swaps the record as c says. ErrConflict if it is not at c.Old,
	// ErrKeyTaken if another user owns a claimed key (ErrConflict goes first
	// where both hold).
	Apply(ctx context.Context, c Change) error

	// Owner returns the user who owns the key. ErrNotFound if nobody does.
	// It is a hint, which the owner's record confirms.
	Owner(ctx context.Context, key string) (userID string, err error)
}

// A Lister is a Store that can list its users, for key rotation and
// administration.
//
// Users come in an order of the store's own, which never changes: of any two
// user IDs the same one comes first in every listing, whoever else is there and
// however often either was deleted and created. It need not be the order of
// their bytes: a store that is partitioned by a hash of the user ID lists
// partition by partition.
//
// Callers may begin behind any user ID, and must not stop at a page that is
// empty or not full.
//
// Implementations must
//
//   - find the place of a cursor from its text alone: it may be a user ID that
//     is not there any more, or never was;
//   - return no next that could be another user's ID than the one whose place
//     it is (the last user ID of the page will do; what is longer than
//     MaxUserID is no user ID);
//   - list a user who is there during the whole listing, and nobody twice,
//     whoever is created and deleted meanwhile.
type Lister interface {
	// UserIDs returns at most limit user IDs, in order, beginning behind cursor:
	// "" at first, then next of the page before, or any user ID. next is "" when
	// there are no more. limit is at least 1, else ErrArgument; a page may hold
	// fewer, also none.
	UserIDs(ctx context.Context, cursor string, limit int) (ids []string, next string, err error)
}

// Check returns an error that wraps ErrArgument if c breaks a bound of this
// package. Implementations call it first in Apply.
func (c Change) Check() error {
	if err := CheckUserID(c.UserID); err != nil {
		return err
	}
	switch {
	case c.Old < 0 || c.New < 0 || c.Old == c.New:
		return fmt.Errorf("%w: versions", ErrArgument)
	case len(c.Data) > MaxData:
		return fmt.Errorf("%w: data of %d bytes", ErrArgument, len(c.Data))
	case c.New == 0 && len(c.Data)+len(c.Claim) != 0:
		return fmt.Errorf("%w: a delete with data or claims", ErrArgument)
	}
	for i, key := range c.Claim {
		if err := CheckKey(key); err != nil {
			return err
		}
		for _, other := range c.Release {
			if key == other {
				return fmt.Errorf("%w: a key both claimed and released", ErrArgument)
			}
		}
		for _, other := range c.Claim[:i] {
			if key == other {
				return fmt.Errorf("%w: a key claimed twice", ErrArgument)
			}
		}
	}
	for _, key := range c.Release {
		if err := CheckKey(key); err != nil {
			return err
		}
	}
	return nil
}

// CheckUserID returns an error that wraps ErrArgument unless id has 1 to
// MaxUserID bytes. Any bytes will do.
func CheckUserID(id string) error {
	if len(id) == 0 || len(id) > MaxUserID {
		return fmt.Errorf("%w: a user ID of %d bytes", ErrArgument, len(id))
	}
	return nil
}

// CheckKey returns an error that wraps ErrArgument unless key has KeySize bytes.
func CheckKey(key string) error {
	if len(key) != KeySize {
		return fmt.Errorf("%w: a key of %d bytes", ErrArgument, len(key))
	}
	return nil
}
