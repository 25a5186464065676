package redisstore

// The store: one script per save, and its answer decides.

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/store"
)

var (
	_ store.Store  = (*Store)(nil)
	_ store.Lister = (*Store)(nil)
)

// Options adjust a store. A nil *Options is the zero value.
type Options struct {
	// Prefix begins every key in Redis: 1 to 40 ASCII letters, digits, points,
	// hyphens, underscores and colons. Zero: "mfa:".
	Prefix string
}

// prefix returns the checked prefix. It has no braces: what a key is
// distributed by is this package's business.
func (o *Options) prefix() (string, error) {
	if o == nil || o.Prefix == "" {
		return "mfa:", nil
	}
	valid := len(o.Prefix) <= 40
	for _, c := range []byte(o.Prefix) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == ':':
		default:
			valid = false
		}
	}
	if !valid {
		return "", fmt.Errorf("%w: key prefix", store.ErrArgument)
	}
	return o.Prefix, nil
}

// A Store keeps records in Redis. It may be used from many goroutines at once.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	scripts scripts
}

// layout is the version of the keys and values that this package writes.
const layout = "1"

// Open returns a store behind client, which stays the caller's to close. It
// notes the version of its layout in the database. opts may be nil.
//
// Errors: [store.ErrArgument] for a nil client, a bad prefix, a client that reads
// from replicas, or a [redis.Ring], which looks elsewhere when a server is away;
// [store.ErrSchema] if the database was set up by a newer version;
// [store.ErrUnavailable] if it does not answer.
func Open(ctx context.Context, client redis.UniversalClient, opts *Options) (*Store, error) {
	prefix, err := opts.prefix()
	if err != nil {
		return nil, err
	}
	switch c := client.(type) {
	case nil:
		return nil, fmt.Errorf("%w: no client", store.ErrArgument)
	case *redis.Ring:
		return nil, fmt.Errorf("%w: a ring forgets records while a server is away", store.ErrArgument)
	case *redis.Client:
		if o := c.Options(); o.ClientSideCache != nil || o.ClientSideCacheConfig != nil {
			return nil, fmt.Errorf("%w: the client answers from a cache", store.ErrArgument)
		}
	case *redis.ClusterClient:
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return nil, fmt.Errorf("%w: the client reads from replicas", store.ErrArgument)
		}
	}
	s := &Store{client: client, prefix: prefix, scripts: newScripts()}
	if err := ctx.Err(); err != nil {
		return nil, failed(ctx, "open", err)
	}
	found, err := client.Get(ctx, prefix+"layout").Result()
	if errors.Is(err, redis.Nil) { // only then: a full server takes no writes, and can be read
		if err := client.SetNX(ctx, prefix+"layout", layout, 0).Err(); err != nil {
			return nil, failed(ctx, "open", err)
		}
		found, err = client.Get(ctx, prefix+"layout").Result()
	}
	switch {
	case err != nil:
		return nil, failed(ctx, "open", err)
	case found != layout:
		return nil, fmt.Errorf("%w: the layout is of another version, known is %s", store.ErrSchema, layout)
	}
	return s, nil
}

// Users are spread over so many buckets, each of which lies in one slot of a
// cluster with all that is kept of its users. The number is part of the layout.
const buckets = 1024

func bucketOf(userID string) int {
	h := sha256.Sum256([]byte(userID))
	return int(binary.BigEndian.Uint16(h[:])) % buckets
}

// The keys of one user, which lie in one slot. What stands in braces is all that
// a cluster looks at.
type user struct {
	record   string // version, data
	claims   string // a hash: unique key -> the attempt that claimed it
	attempt  string // the attempt to claim that is under way; expires
	siblings string // a sorted set: the IDs of the bucket's users
}

func (s *Store) user(id string) user {
	bucket := s.bucket(bucketOf(id))
	encoded := base64.RawURLEncoding.EncodeToString([]byte(id))
	return user{
		record: bucket + "r:" + encoded, claims: bucket + "k:" + encoded, attempt: bucket + "a:" + encoded, siblings: bucket + "u",
	}
}

func (s *Store) bucket(n int) string { return fmt.Sprintf("%s{%03x}", s.prefix, n) }

// claim is where a unique key lies, by itself in any slot.
func (s *Store) claim(key string) string {
	return s.prefix + "k:" + base64.RawURLEncoding.EncodeToString([]byte(key))
}

// versionSize is what a value begins with: the version, big-endian. Scripts
// compare it as bytes, for Lua's numbers have 53 bits.
const versionSize = 8

// versionText is how a version stands in a value, "" for no record.
func versionText(v int64) string {
	if v == 0 {
		return ""
	}
	return string(binary.BigEndian.AppendUint64(nil, uint64(v)))
}

// valueOf returns what a change writes, "" for a delete.
func valueOf(c store.Change) string {
	if c.New == 0 {
		return ""
	}
	return versionText(c.New) + string(c.Data)
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, userID string) (store.Record, error) {
	var none store.Record
	if err := store.CheckUserID(userID); err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, failed(ctx, "load", err)
	}
	value, err := s.client.Get(ctx, s.user(userID).record).Bytes()
	if err != nil {
		return none, absent(ctx, "load", err)
	}
	if len(value) < versionSize {
		return none, failed(ctx, "load", errMalformed)
	}
	return store.Record{Version: int64(binary.BigEndian.Uint64(value)), Data: value[versionSize:]}, nil
}

// Apply implements [store.Store]. Without keys it is a single script; for those
// with keys see claims.go.
func (s *Store) Apply(ctx context.Context, c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return failed(ctx, "save", err)
	}
	switch {
	case len(c.Claim) > 0:
		return s.applyClaims(ctx, c)
	case len(c.Release) == 0 && c.Old != 0 && c.New != 0:
		return s.swap(ctx, c)
	}
	out, err := s.save(ctx, c, "", nil)
	switch {
	case err != nil:
		return err
	case out.said != saved:
		return store.ErrConflict
	}
	s.free(ctx, c.UserID, c.Release, out.released)
	return nil
}

// swap changes a record and nothing else.
func (s *Store) swap(ctx context.Context, c store.Change) error {
	swapped, err := s.scripts.swap.Run(ctx, s.client, []string{s.user(c.UserID).record}, versionText(c.Old), valueOf(c)).Bool()
	switch {
	case err != nil:
		return failed(ctx, "save", err)
	case !swapped:
		return store.ErrConflict
	}
	return nil
}

var (
	errMalformed = errors.New("a malformed value")
	errOvertaken = errors.New("another change of this user began to claim")
)

// absent makes an error of a read: no value is an answer.
func absent(ctx context.Context, what string, err error) error {
	if errors.Is(err, redis.Nil) {
		return store.ErrNotFound
	}
	return failed(ctx, what, err)
}

// failed wraps an error of the client with ErrUnavailable, and with the
// context's error where the client tells its end in words of its own.
func failed(ctx context.Context, what string, err error) error {
	if answer, ok := errors.AsType[redis.Error](err); ok {
		err = refusal{answer}
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %s: %w: %w", store.ErrUnavailable, what, ended, err)
	}
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, what, err)
}

// A refusal is an error that a server answered. It tells its code alone: a server
// that does not know a command repeats the arguments, a user ID among them.
type refusal struct{ answer redis.Error }

func (r refusal) Error() string {
	code, _, _ := strings.Cut(r.answer.Error(), " ")
	return "the server answered " + code
}

func (r refusal) Unwrap() error { return r.answer }
