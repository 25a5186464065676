package redisstore

// Unique keys, each in a slot of its own, so that no step sees both a key and
// the record that it goes with. A claim therefore happens in three:
//
//  1. begin, in the user's slot: an attempt, which lives for half a minute;
//  2. hold, in each key's slot: this user, by this attempt;
//  3. save, in the user's slot: only while the attempt lives, and with the
//     record it lists the keys and the attempt that holds them.
//
// A hold is worth what the holder's own slot says: the key is owned if the user's
// list has it with that attempt, and being claimed if that attempt is under way.
// Otherwise the attempt has ended without its save, which can no longer happen:
// the hold is nobody's, and the next one takes it over. So a writer who is killed
// between hold and save blocks a key for no longer than an attempt lives, and one
// who comes back later cannot save.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
)

const (
	attemptLife = 30 * time.Second
	nameSize    = 12              // random bytes of an attempt, written as hex
	attemptSize = 2*nameSize + 16 // with the server's time in microseconds behind it
	tidyTime    = 1 * time.Second // for taking back what was held
	tidyGrace   = tidyTime / 5    // the same, where the caller's context has ended
	takeovers   = 8               // tries to hold a key that others let go of and hold
	restarts    = 5               // of one change, where others of the same user end them
)

// applyClaims applies a change that claims keys. Where other changes of the same
// user keep ending its attempts, it conflicts with them: what was ended saves
// nothing, and who is told of a conflict comes back after a pause.
func (s *Store) applyClaims(ctx context.Context, c store.Change) error {
	for range restarts {
		if again, err := s.attempt(ctx, c); !again {
			return err
		}
	}
	return store.ErrConflict
}

// attempt goes through the three steps once. again: another change of this user
// began to claim in the meantime.
func (s *Store) attempt(ctx context.Context, c store.Change) (again bool, err error) {
	attempt, wanted, err := s.begin(ctx, c)
	if err != nil {
		return false, err
	}
	var held []string
	for _, key := range wanted {
		if err := s.hold(ctx, key, c.UserID, attempt); err != nil {
			s.retreat(ctx, c.UserID, attempt, held)
			return errors.Is(err, errOvertaken), err
		}
		held = append(held, key)
	}
	out, err := s.save(ctx, c, attempt, wanted)
	switch {
	case err != nil:
		return false, err // it may have landed, or do so yet: what is held stays held
	case out.said == saved, out.said == savedBefore:
		s.free(ctx, c.UserID, c.Release, out.released)
		return false, nil
	}
	s.retreat(ctx, c.UserID, attempt, held)
	if out.said == overtaken {
		return true, nil
	}
	return false, store.ErrConflict
}

// begin begins an attempt. wanted are the keys that the user does not own yet,
// in the order of their bytes, so that of two users who want the same keys one
// gets them all.
func (s *Store) begin(ctx context.Context, c store.Change) (attempt string, wanted []string, err error) {
	u := s.user(c.UserID)
	var name [nameSize]byte
	_, _ = rand.Read(name[:])
	args := []any{versionText(c.Old), hex.EncodeToString(name[:]), attemptLife.Milliseconds()}
	for _, key := range c.Claim {
		args = append(args, key)
	}
	out, err := s.scripts.begin.Run(ctx, s.client, []string{u.record, u.attempt, u.claims}, args...).Slice()
	if err != nil {
		return "", nil, failed(ctx, "claim", err)
	}
	if len(out) == 0 {
		return "", nil, store.ErrConflict
	}
	attempt, ok := out[0].(string)
	if !ok || len(attempt) != attemptSize || len(out) != 1+len(c.Claim) {
		return "", nil, failed(ctx, "claim", errMalformed)
	}
	for i, key := range c.Claim {
		if out[1+i] != int64(1) {
			wanted = append(wanted, key)
		}
	}
	slices.Sort(wanted)
	return attempt, wanted, nil
}

// hold takes hold of a key, also over one whose attempt has ended. ErrKeyTaken
// if another user owns the key, or is claiming it at this moment.
func (s *Store) hold(ctx context.Context, key, userID, attempt string) error {
	instead := ""
	for range takeovers {
		there, err := s.scripts.hold.Run(ctx, s.client, []string{s.claim(key)}, attempt+userID, instead).Text()
		if err != nil {
			return failed(ctx, "claim", err)
		}
		if there == "" {
			return nil
		}
		switch standing, holder, err := s.standing(ctx, key, there); {
		case err != nil:
			return err
		case standing == owned && holder == userID: // by a save since we began
			return store.ErrConflict
		case standing == underWay && holder == userID:
			return errOvertaken
		case standing != ended:
			return store.ErrKeyTaken
		}
		instead = there
	}
	return store.ErrKeyTaken // so many others want it
}

// standing says what a hold is worth, and whose it is.
func (s *Store) standing(ctx context.Context, key, holder string) (standing int, userID string, err error) {
	if len(holder) <= attemptSize || strings.Trim(holder[:attemptSize], "0123456789abcdef") != "" || store.CheckUserID(holder[attemptSize:]) != nil {
		return 0, "", failed(ctx, "owner", errMalformed)
	}
	attempt, userID := holder[:attemptSize], holder[attemptSize:]
	u := s.user(userID)
	standing, err = s.scripts.standing.Run(ctx, s.client, []string{u.attempt, u.claims}, attempt, key).Int()
	if err != nil {
		return 0, "", failed(ctx, "owner", err)
	}
	return standing, userID, nil
}

// An outcome is what a save said, and the attempts by which the released keys
// were held.
type outcome struct {
	said     int64
	released []string
}

// save swaps the record. attempt is "" if nothing is claimed.
func (s *Store) save(ctx context.Context, c store.Change, attempt string, claimed []string) (outcome, error) {
	u := s.user(c.UserID)
	keys := []string{u.record, u.siblings}
	args := []any{versionText(c.Old), valueOf(c), c.UserID, ""}
	if len(c.Claim)+len(c.Release) > 0 {
		keys = append(keys, u.claims, u.attempt)
		args[3] = attempt
		args = append(args, len(claimed))
		for _, key := range slices.Concat(claimed, c.Release) {
			args = append(args, key)
		}
	}
	reply, err := s.scripts.save.Run(ctx, s.client, keys, args...).Slice()
	if err != nil {
		return outcome{}, failed(ctx, "save", err)
	}
	var out outcome
	ok := len(reply) > 0
	if ok {
		out.said, ok = reply[0].(int64)
	}
	for i := 1; ok && i < len(reply); i++ {
		var was string
		was, ok = reply[i].(string)
		out.released = append(out.released, was)
	}
	if !ok || out.said == saved && len(out.released) != len(c.Release) {
		return outcome{}, failed(ctx, "save", errMalformed)
	}
	return out, nil
}

// retreat takes back an attempt that has no save, and what it holds. If it
// fails, the attempt ends by itself.
func (s *Store) retreat(ctx context.Context, userID, attempt string, held []string) {
	ctx, cancel := tidying(ctx)
	defer cancel()
	if s.drop(ctx, s.user(userID).attempt, attempt) != nil {
		return
	}
	for _, key := range held {
		if s.drop(ctx, s.claim(key), attempt+userID) != nil {
			return
		}
	}
}

// free deletes the holds of keys that the user's list has no more. They are
// nobody's already, so it is no failure if some stay.
func (s *Store) free(ctx context.Context, userID string, keys, held []string) {
	if len(held) == 0 {
		return
	}
	ctx, cancel := tidying(ctx)
	defer cancel()
	for i, attempt := range held {
		if attempt != "" && s.drop(ctx, s.claim(keys[i]), attempt+userID) != nil {
			return
		}
	}
}

// tidying returns a context for what comes behind the decision: the caller's, and
// a moment more where that has ended.
func tidying(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return context.WithTimeout(context.WithoutCancel(ctx), tidyGrace)
	}
	return context.WithTimeout(ctx, tidyTime)
}

func (s *Store) drop(ctx context.Context, key, value string) error {
	return s.scripts.drop.Run(ctx, s.client, []string{key}, value).Err()
}

// Owner implements [store.Store]. Who is only about to claim a key is not its
// owner.
func (s *Store) Owner(ctx context.Context, key string) (string, error) {
	if err := store.CheckKey(key); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", failed(ctx, "owner", err)
	}
	holder, err := s.client.Get(ctx, s.claim(key)).Result()
	if err != nil {
		return "", absent(ctx, "owner", err)
	}
	standing, userID, err := s.standing(ctx, key, holder)
	switch {
	case err != nil:
		return "", err
	case standing != owned:
		return "", store.ErrNotFound
	}
	return userID, nil
}
