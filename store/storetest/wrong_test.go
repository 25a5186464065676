// Stores that are wrong on purpose. Each must turn exactly the checks red that
// watch over the rule it breaks; a check that none of them turns red would be
// one that does nothing.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
)

// wrongName names, in a child process, the store to test.
const wrongName = "STORETEST_WRONG"

// A fault is a store that is wrong on purpose.
type fault struct {
	name  string
	open  func() store.Store
	again func(store.Store) store.Store // may be nil
	red   string                        // the subtests that must fail
	may   string                        // those that may as well, by chance of timing or numbers
	says  string                        // the rule that the first of red must name
}

func faults() []fault {
	const (
		fits      = "a change that fits is applied"
		bytewise  = "user IDs are compared as bytes"
		keywise   = "keys are 32 bytes of any kind"
		verbatim  = "0 to 64 KiB of any bytes, kept as they are"
		bound     = "a call that breaks a bound is ErrArgument"
		noFailure = "a failure is never an answer"
		ends      = "a call whose context has ended fails"
		wholly    = "happens wholly or not at all"
		nothing   = "changes nothing: neither the record nor any key"
		shared    = "no slice is shared with the caller"
		secret    = "an error's text holds no user ID, key or data"
		fresh     = "a Load sees every Apply that returned"
		oneSwap   = "of the changes that race for one version exactly one is applied"
		oneCreate = "of the creates that race for one user exactly one is applied"
		oneClaim  = "of the users who race for one key exactly one gets it"
		process   = "nothing is kept in a process"
		behind    = "a listing may begin behind any user ID"
	)
	return []fault{
		// What is compared and kept.
		{name: "folds IDs", open: onIDs(strings.ToLower), red: "users", says: bytewise},
		{name: "trims IDs", open: onIDs(func(id string) string { return id[:1] + strings.TrimRight(id[1:], " ") }), red: "users", says: bytewise},
		{name: "cuts IDs at NUL", open: onIDs(func(id string) string { return id[:1] + before(id[1:], "\x00") }), red: "users", says: bytewise},
		{name: "mends IDs that are no UTF-8", open: onIDs(func(id string) string { return strings.ToValidUTF8(id, "\ufffd") }), red: "users", says: bytewise},
		{name: "normalises IDs", open: onIDs(strings.NewReplacer("e\u0301", "\u00e9").Replace), red: "users", says: bytewise},
		{name: "collates IDs", open: onIDs(strings.NewReplacer("ß", "ss").Replace), red: "users", says: bytewise},
		{name: "cuts IDs at a colon", open: onIDs(func(id string) string { return before(id, ":") }), red: "users", says: bytewise},
		{name: "cuts IDs to 191 bytes", open: onIDs(func(id string) string { return id[:min(len(id), 191)] }), red: "users", says: bytewise},
		{name: "matches patterns", open: onIDs(func(id string) string { return strings.ReplaceAll(id, "%", "_") }), red: "users", says: bytewise},
		{name: "Owner trims IDs", open: onOwner(func(_ context.Context, id string, err error) (string, error) {
			return strings.TrimRight(id, " "), err
		}), red: "users", says: "Owner returns the user ID byte for byte"},
		{name: "folds keys", open: onKeys(lower), red: "key-bytes", says: keywise},
		{name: "trims keys", open: onKeys(trimmed), red: "key-bytes", says: keywise},
		{name: "keeps 65535 bytes", open: onData(func(d []byte) []byte { return d[:min(len(d), 65535)] }), red: "data", says: verbatim},
		{name: "keeps 8000 bytes", open: onData(func(d []byte) []byte { return d[:min(len(d), 8000)] }), red: "data", says: verbatim},
		{name: "cuts data at NUL", open: onData(func(d []byte) []byte { return []byte(before(string(d), "\x00")) }), red: "data", says: verbatim},
		{name: "mends data that is no UTF-8", open: onData(func(d []byte) []byte { return bytes.ToValidUTF8(d, []byte("?")) }), red: "data", says: verbatim},
		{name: "trims data", open: onData(func(d []byte) []byte { return bytes.TrimRight(d, " ") }), red: "data", says: verbatim},
		{name: "loses empty records", open: onLoad(func(_ context.Context, r store.Record, err error) (store.Record, error) {
			if err == nil && len(r.Data) == 0 {
				err = store.ErrNotFound
			}
			return r, err
		}), red: "data", says: verbatim},
		{name: "appends", open: with("appends"), red: "swap aliasing claim data interrupted race-claim race-swap release users versions visible", says: "Load returns what the last change wrote"},
		{name: "compares versions as floats", open: with("compares versions as floats"), red: "versions conflict", may: "precedence all-or-nothing", says: "not as a float"},
		{name: "compares 32 bits of a version", open: with("compares 32 bits of a version"), red: "versions", says: "63-bit number"},

		// One record.
		{name: "create replaces", open: with("create replaces"), red: "create all-or-nothing precedence race-create", says: "only where there is no record"},
		{name: "swap creates", open: with("swap creates"), red: "conflict all-or-nothing precedence stale", says: "a swap where there is no record conflicts"},
		{name: "delete takes any version", open: with("delete takes any version"), red: "conflict all-or-nothing stale", says: "only a change whose Old"},
		{name: "swaps to a greater version", open: with("swaps to a greater version"), red: "conflict versions", may: "race-swap stale precedence all-or-nothing", says: "only a change whose Old"},
		{name: "swaps if already at New", open: with("swaps if already at New"), red: "conflict", says: "only a change whose Old"},
		{name: "writes before it compares", open: with("writes before it compares"), red: "create all-or-nothing conflict precedence race-create race-swap stale", says: "changes nothing"},
		{name: "keeps the version of equal data", open: with("keeps the version of equal data"), red: "swap data", says: "the version moves"},
		{name: "leaves a tombstone", open: with("leaves a tombstone"), red: "delete stale users", says: "a deleted record is not found"},
		{name: "swaps the dead", open: with("swaps the dead"), red: "stale", says: "a version never returns"},
		{name: "swaps by version alone", open: with("swaps by version alone"), red: "isolation", says: "its own user only"},

		// The caller's slices.
		{name: "keeps the caller's data", open: with("keeps the caller's data"), red: "aliasing", says: shared},
		{name: "lends its data", open: with("lends its data"), red: "aliasing", says: shared},
		{name: "wipes the caller's data", open: with("wipes the caller's data"), red: "aliasing data interrupted race-claim swap", says: shared},
		{name: "wipes the caller's keys", open: with("wipes the caller's keys"), red: "aliasing interrupted race-claim users", says: shared},

		// Bounds.
		{name: "looks for any user ID", open: with("looks for any user ID"), red: "bounds", says: bound},
		{name: "looks for any key", open: with("looks for any key"), red: "bounds", says: bound},
		{name: "cuts what is too long", open: func() store.Store {
			return &wrong{Store: memstore.New(), apply: func(ctx context.Context, s store.Store, c store.Change) error {
				c.UserID = c.UserID[:min(len(c.UserID), store.MaxUserID)]
				c.Data = c.Data[:min(len(c.Data), store.MaxData)]
				return s.Apply(ctx, c)
			}}
		}, red: "bounds", says: bound},
		{name: "conflicts where the call is malformed", open: onApply(func(_ context.Context, _ store.Change, err error) error {
			if errors.Is(err, store.ErrArgument) {
				return store.ErrConflict
			}
			return err
		}), red: "bounds", says: bound},

		// Keys.
		{name: "forgets claims", open: with("forgets claims"), red: "claim all-or-nothing bounds cancelled interrupted key-bytes race-claim release users", says: "a create claims its keys"},
		{name: "forgets claims of a create", open: with("forgets claims of a create"), red: "claim all-or-nothing bounds cancelled interrupted key-bytes release users", may: "race-claim", says: "a create claims its keys"},
		{name: "claims any key", open: with("claims any key"), red: "claim all-or-nothing race-claim", says: "cannot be claimed"},
		{name: "claims once", open: with("claims once"), red: "claim", says: "claiming a key that one owns already is no error"},
		{name: "forgets releases", open: with("forgets releases"), red: "release interrupted", says: "a released key has no owner"},
		{name: "forgets releases of a delete", open: with("forgets releases of a delete"), red: "release", says: "a delete releases the keys that it names"},
		{name: "releases any key", open: with("releases any key"), red: "release", says: "releasing a key that one does not own changes nothing"},
		{name: "releases all", open: with("releases all"), red: "release", says: "only the keys in Release are released"},
		{name: "claims first", open: with("claims first"), red: "all-or-nothing", says: nothing},
		{name: "releases first", open: with("releases first"), red: "all-or-nothing", says: nothing},
		{name: "claims what it can", open: with("claims what it can"), red: "all-or-nothing race-claim", says: nothing},
		{name: "swaps though a key is taken", open: with("swaps though a key is taken"), red: "all-or-nothing race-claim", says: nothing},
		{name: "releases though a key is taken", open: with("releases though a key is taken"), red: "all-or-nothing", says: nothing},
		{name: "tells of keys first", open: with("tells of keys first"), red: "precedence", says: "the answer is ErrConflict"},

		// Failures.
		{name: "Load ignores the context", open: deaf("load"), red: "cancelled", says: ends},
		{name: "Owner ignores the context", open: deaf("owner"), red: "cancelled", says: ends},
		{name: "Apply ignores the context", open: deaf("apply"), red: "cancelled", says: ends},
		{name: "a failed Load finds nothing", open: onLoad(func(ctx context.Context, r store.Record, err error) (store.Record, error) {
			if errors.Is(err, store.ErrUnavailable) {
				err = store.ErrNotFound
			}
			return r, err
		}), red: "cancelled", may: "interrupted", says: noFailure},
		{name: "a failed Owner finds nobody", open: onOwner(func(ctx context.Context, id string, err error) (string, error) {
			if errors.Is(err, store.ErrUnavailable) {
				err = fmt.Errorf("%w: %w", err, store.ErrNotFound)
			}
			return id, err
		}), red: "cancelled", may: "interrupted", says: noFailure},
		{name: "a failed Apply conflicts", open: onApply(func(_ context.Context, _ store.Change, err error) error {
			if errors.Is(err, store.ErrUnavailable) {
				err = store.ErrConflict
			}
			return err
		}), red: "cancelled", may: "interrupted", says: noFailure},
		{name: "a failed Apply finds keys taken", open: onApply(func(_ context.Context, c store.Change, err error) error {
			if errors.Is(err, store.ErrUnavailable) && len(c.Claim) != 0 {
				err = store.ErrKeyTaken
			}
			return err
		}), red: "cancelled", may: "interrupted", says: noFailure},
		{name: "claims when cancelled", open: with("claims when cancelled"), red: "cancelled", may: "interrupted", says: wholly},
		{name: "writes data when cancelled", open: with("writes data when cancelled"), red: "cancelled", may: "interrupted", says: wholly},
		{name: "an interrupted Load finds nothing", open: onLoad(func(ctx context.Context, r store.Record, err error) (store.Record, error) {
			if err == nil && within(ctx) {
				return store.Record{}, store.ErrNotFound
			}
			return r, err
		}), red: "interrupted", says: noFailure},
		{name: "an interrupted Owner finds nobody", open: onOwner(func(ctx context.Context, id string, err error) (string, error) {
			if err == nil && within(ctx) {
				return "", store.ErrNotFound
			}
			return id, err
		}), red: "interrupted", says: noFailure},
		{name: "an interrupted Apply conflicts", open: onApply(func(ctx context.Context, _ store.Change, err error) error {
			if err == nil && within(ctx) {
				return store.ErrConflict
			}
			return err
		}), red: "interrupted", says: noFailure},
		{name: "is interrupted after its claims", open: with("is interrupted after its claims"), red: "interrupted", says: wholly},
		{name: "tells IDs", open: func() store.Store {
			tell := func(err error, what string) error {
				if err != nil {
					err = fmt.Errorf("%q: %w", what, err)
				}
				return err
			}
			return &wrong{
				Store: memstore.New(),
				load: func(ctx context.Context, s store.Store, id string) (store.Record, error) {
					r, err := s.Load(ctx, id)
					return r, tell(err, id)
				},
			}
		}, red: "error-text", says: secret},
		{name: "tells keys", open: onApply(func(_ context.Context, c store.Change, err error) error {
			if err != nil && len(c.Claim) != 0 {
				err = fmt.Errorf("%x: %w", c.Claim[0], err)
			}
			return err
		}), red: "error-text", says: secret},
		{name: "tells data", open: onApply(func(_ context.Context, c store.Change, err error) error {
			if err != nil {
				err = fmt.Errorf("%s: %w", c.Data, err)
			}
			return err
		}), red: "error-text", says: secret},

		// Races, and what a process keeps to itself.
		{name: "reads, then swaps", open: with("reads, then swaps"), red: "race-swap", says: oneSwap},
		{name: "reads, then creates", open: with("reads, then creates"), red: "race-create", says: oneCreate},
		{name: "asks, then claims", open: with("asks, then claims"), red: "race-claim", says: oneClaim},
		{name: "lies in a crowd", open: with("lies in a crowd"), red: "race-swap race-create race-claim", says: oneSwap},
		{name: "sends twice in a crowd", open: with("sends twice in a crowd"), red: "race-swap race-create race-claim", says: oneSwap},
		{name: "lies now and then", open: with("lies now and then"), red: "visible", says: fresh},
		{name: "sends twice now and then", open: with("sends twice now and then"), red: "interrupted visible", says: noFailure},
		{name: "lags now and then", open: with("lags now and then"), red: "visible", says: fresh},
		{name: "caches", open: func() store.Store { return newCache(memstore.New()) }, again: func(s store.Store) store.Store {
			return newCache(s.(*cache).Store)
		}, red: "processes visible", says: process},
		{name: "keeps owners to itself", open: func() store.Store { return newOwners(memstore.New()) }, again: func(s store.Store) store.Store {
			return newOwners(s.(*owners).Store)
		}, red: "processes race-claim", may: "interrupted", says: process},

		// Listing.
		{name: "lists pages in any order", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, next, err := s.UserIDs(ctx, cursor, limit)
			slices.Reverse(ids)
			return ids, next, err
		}), red: "list", says: "in an order that never changes"},
		{name: "lists in another order each time", open: func() store.Store {
			var n atomic.Int64
			return &lister{memstore.New(), by(func(id string) string {
				if id == "" {
					n.Add(1) // a listing begins
				}
				return hashed(fmt.Sprint(n.Load(), id))
			})}
		}, red: "list", says: "in an order that never changes"},
		{name: "lists in the order of creation", open: func() store.Store {
			return &chronicle{Store: memstore.New(), list: func(ctx context.Context, l *chronicle, cursor string, limit int) ([]string, string, error) {
				return by(func(id string) string { return fmt.Sprintf("%9d", l.born[id]) })(ctx, l.Store, cursor, limit)
			}}
		}, red: "list", says: "in an order that never changes"},
		{name: "lists the first of each place", open: listing(by(func(id string) string { return fmt.Sprint(hashed(id)[0] % 4) })),
			red: "list", says: "every user is listed"},
		{name: "lists the last of a page again", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, next, err := s.UserIDs(ctx, cursor, limit)
			if next != "" && limit > 1 {
				next = ids[limit-2]
			}
			return ids, next, err
		}), red: "list", says: "listed twice"},
		{name: "skips one behind a user who is gone", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, err := everybody(ctx, s)
			i, _ := slices.BinarySearch(ids, cursor)
			if cursor != "" {
				i = min(i+1, len(ids))
			}
			return page(ids[i:], limit, err)
		}), red: "list", says: behind},
		{name: "ends behind a user who is gone", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, err := everybody(ctx, s)
			i, found := slices.BinarySearch(ids, cursor)
			switch {
			case found:
				i++
			case cursor != "":
				i = len(ids)
			}
			return page(ids[i:], limit, err)
		}), red: "list", says: behind},
		{name: "begins anew behind a user who is gone", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, err := everybody(ctx, s)
			i, found := slices.BinarySearch(ids, cursor)
			if found {
				return page(ids[i+1:], limit, err)
			}
			return page(ids, limit, err)
		}), red: "list", says: behind},
		{name: "begins anew behind who never was there", open: func() store.Store {
			return &chronicle{Store: memstore.New(), list: func(ctx context.Context, l *chronicle, cursor string, limit int) ([]string, string, error) {
				if l.born[cursor] == 0 {
					cursor = ""
				}
				return l.Store.UserIDs(ctx, cursor, limit)
			}}
		}, red: "list", says: behind},
		{name: "lists the cursor again", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, err := everybody(ctx, s)
			i, _ := slices.BinarySearch(ids, cursor)
			return page(ids[i:], limit, err)
		}), red: "list", says: "listed twice"},
		{name: "lists by offset", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, err := everybody(ctx, s)
			i := len(cursor) // of so many points
			if strings.Trim(cursor, ".") != "" {
				var found bool
				if i, found = slices.BinarySearch(ids, cursor); found {
					i++
				}
			}
			i = min(i, len(ids))
			ids, next, err := page(ids[i:], limit, err)
			if next != "" {
				next = strings.Repeat(".", i+limit)
			}
			return ids, next, err
		}), red: "list", says: "a user who is there during the whole listing is listed"},
		{name: "lists one too many", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			return s.UserIDs(ctx, cursor, max(limit, limit+1))
		}), red: "list", says: "at most limit"},
		{name: "takes no limit for one", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			return s.UserIDs(ctx, cursor, max(limit, 1))
		}), red: "list", says: "a page of no users is ErrArgument"},
		{name: "ends at a full page", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, next, err := s.UserIDs(ctx, cursor, limit)
			if len(ids) == limit && limit == 7 {
				next = ""
			}
			return ids, next, err
		}), red: "list", says: "every user is listed"},
		{name: "lists for ever", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, next, err := s.UserIDs(ctx, cursor, limit)
			return ids, cmp.Or(next, "\xff\xff"), err
		}), red: "list", says: "a listing ends"},
		{name: "lists whoever the context", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			return s.UserIDs(context.WithoutCancel(ctx), cursor, limit)
		}), red: "list", says: ends},
		{name: "a failed listing finds nobody", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, next, err := s.UserIDs(ctx, cursor, limit)
			if err != nil && ctx.Err() != nil {
				err = store.ErrNotFound
			}
			return ids, next, err
		}), red: "list", says: noFailure},
		{name: "fails at the second page", open: listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			if cursor != "" {
				return nil, "", store.ErrUnavailable
			}
			return s.UserIDs(ctx, cursor, limit)
		}), red: "list", says: "UserIDs returns pages"},
		{name: "lists the dead", open: func() store.Store {
			return &undead{Store: memstore.New()}
		}, red: "list", says: "nobody who was deleted"},

		// Nothing works.
		{name: "is never there", open: onApply(func(context.Context, store.Change, error) error { return store.ErrUnavailable }), red: all(), says: fits},
	}
}

// all names every check that a store without Lister and Config.Again fails when
// nothing works.
func all() string {
	var names []string
	for _, c := range checks() {
		if c.name != "list" && c.name != "processes" {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " ")
}

// TestWrongStores runs the suite on every fault, each in a process of its own
// because a suite that fails would fail the test that runs it.
func TestWrongStores(t *testing.T) {
	t.Parallel()
	if os.Getenv(wrongName) != "" {
		return
	}
	failed := regexp.MustCompile(`(?m)^\s+--- FAIL: TestWrongStore/(\S+)`)
	proved := make(map[string]bool)
	var mu sync.Mutex
	t.Run("faults", func(t *testing.T) {
		for _, f := range faults() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongStore$", "-test.v", "-test.timeout=2m")
				cmd.Env = append(os.Environ(), wrongName+"="+f.name)
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 {
					t.Fatalf("the suite on this store: %v, want it to fail\n%s", err, out)
				}
				var red []string
				for _, m := range failed.FindAllSubmatch(out, -1) {
					if name := string(m[1]); !slices.Contains(strings.Fields(f.may), name) {
						red = append(red, name)
					}
				}
				want := strings.Fields(f.red)
				first := want[0]
				slices.Sort(red)
				slices.Sort(want)
				if !slices.Equal(red, want) {
					t.Errorf("red: %q, want %q\n%s", red, want, out)
				}
				if _, text, _ := strings.Cut(string(out), "=== RUN   TestWrongStore/"+first+"\n"); !strings.Contains(before(text, "=== RUN"), f.says) {
					t.Errorf("%s does not name the rule %q\n%s", first, f.says, out)
				}
				mu.Lock()
				defer mu.Unlock()
				proved[first] = true
			})
		}
	})
	for _, c := range checks() {
		if !proved[c.name] {
			t.Errorf("no wrong store proves the check %q", c.name)
		}
	}
}

// TestWrongStore is what runs in the child processes.
func TestWrongStore(t *testing.T) {
	name := os.Getenv(wrongName)
	if name == "" {
		return // it does its work in the child processes of TestWrongStores
	}
	for _, f := range faults() {
		if f.name != name {
			continue
		}
		config := Config{Open: func(*testing.T) store.Store { return f.open() }}
		if f.again != nil {
			config.Again = func(_ *testing.T, s store.Store) store.Store { return f.again(s) }
		}
		RunWith(t, config)
	}
}

// TestRightStores shows that what the wrong stores are made of is right.
func TestRightStores(t *testing.T) {
	t.Parallel()
	same := func(s string) string { return s }
	for name, open := range map[string]func() store.Store{
		"toy":  with(""),
		"IDs":  onIDs(same),
		"keys": onKeys(same),
		"list": listing(func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
			ids, err := everybody(ctx, s)
			i, found := slices.BinarySearch(ids, cursor)
			if found {
				i++
			}
			return page(ids[i:], limit, err)
		}),
		"list by letters": listing(by(func(id string) string { return strings.ToLower(id) + "\x00" + id })),
		"list by hash":    listing(by(hashed)),
		"list by parts":   listing(parts),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			RunWith(t, Config{
				Open:  func(*testing.T) store.Store { return open() },
				Again: func(_ *testing.T, s store.Store) store.Store { return &wrong{Store: s} },
			})
		})
	}
}

// wrong is a store with some methods replaced. It is no Lister.
type wrong struct {
	store.Store
	load  func(ctx context.Context, s store.Store, userID string) (store.Record, error)
	apply func(ctx context.Context, s store.Store, c store.Change) error
	owner func(ctx context.Context, s store.Store, key string) (string, error)
}

func (w *wrong) Load(ctx context.Context, userID string) (store.Record, error) {
	if w.load != nil {
		return w.load(ctx, w.Store, userID)
	}
	return w.Store.Load(ctx, userID)
}

func (w *wrong) Apply(ctx context.Context, c store.Change) error {
	if w.apply != nil {
		return w.apply(ctx, w.Store, c)
	}
	return w.Store.Apply(ctx, c)
}

func (w *wrong) Owner(ctx context.Context, key string) (string, error) {
	if w.owner != nil {
		return w.owner(ctx, w.Store, key)
	}
	return w.Store.Owner(ctx, key)
}

// with is a toy with a flaw.
func with(flaw string) func() store.Store {
	return func() store.Store { return &wrong{Store: newToy(flaw)} }
}

// onIDs is a store that changes the user IDs it is given.
func onIDs(change func(string) string) func() store.Store {
	return func() store.Store {
		var names sync.Map // what Owner has to return
		return &wrong{
			Store: memstore.New(),
			load: func(ctx context.Context, s store.Store, userID string) (store.Record, error) {
				if err := store.CheckUserID(userID); err != nil {
					return store.Record{}, err
				}
				return s.Load(ctx, change(userID))
			},
			apply: func(ctx context.Context, s store.Store, c store.Change) error {
				if err := c.Check(); err != nil {
					return err
				}
				names.Store(change(c.UserID), c.UserID)
				c.UserID = change(c.UserID)
				return s.Apply(ctx, c)
			},
			owner: func(ctx context.Context, s store.Store, key string) (string, error) {
				userID, err := s.Owner(ctx, key)
				if name, ok := names.Load(userID); ok {
					userID = name.(string)
				}
				return userID, err
			},
		}
	}
}

// onKeys is a store that changes the keys it is given.
func onKeys(change func(string) string) func() store.Store {
	return func() store.Store {
		changed := func(keys []string) []string {
			keys = slices.Clone(keys)
			for i := range keys {
				keys[i] = change(keys[i])
			}
			return keys
		}
		return &wrong{
			Store: memstore.New(),
			apply: func(ctx context.Context, s store.Store, c store.Change) error {
				if err := c.Check(); err != nil {
					return err
				}
				c.Claim, c.Release = changed(c.Claim), changed(c.Release)
				return s.Apply(ctx, c)
			},
			owner: func(ctx context.Context, s store.Store, key string) (string, error) {
				if err := store.CheckKey(key); err != nil {
					return "", err
				}
				return s.Owner(ctx, change(key))
			},
		}
	}
}

// onLoad, onApply and onOwner are stores that change an answer; onData changes
// what was kept.
func onLoad(change func(context.Context, store.Record, error) (store.Record, error)) func() store.Store {
	return func() store.Store {
		return &wrong{Store: memstore.New(), load: func(ctx context.Context, s store.Store, userID string) (store.Record, error) {
			r, err := s.Load(ctx, userID)
			return change(ctx, r, err)
		}}
	}
}

func onApply(change func(context.Context, store.Change, error) error) func() store.Store {
	return func() store.Store {
		return &wrong{Store: memstore.New(), apply: func(ctx context.Context, s store.Store, c store.Change) error {
			return change(ctx, c, s.Apply(ctx, c))
		}}
	}
}

func onOwner(change func(ctx context.Context, userID string, err error) (string, error)) func() store.Store {
	return func() store.Store {
		return &wrong{Store: memstore.New(), owner: func(ctx context.Context, s store.Store, key string) (string, error) {
			userID, err := s.Owner(ctx, key)
			return change(ctx, userID, err)
		}}
	}
}

func onData(change func([]byte) []byte) func() store.Store {
	return onLoad(func(_ context.Context, r store.Record, err error) (store.Record, error) {
		if err == nil {
			r.Data = change(r.Data)
		}
		return r, err
	})
}

// deaf is a store of which one method does not hear that the context has ended.
func deaf(method string) func() store.Store {
	return func() store.Store {
		w := &wrong{Store: memstore.New()}
		switch method {
		case "load":
			w.load = func(ctx context.Context, s store.Store, userID string) (store.Record, error) {
				return s.Load(context.WithoutCancel(ctx), userID)
			}
		case "apply":
			w.apply = func(ctx context.Context, s store.Store, c store.Change) error {
				return s.Apply(context.WithoutCancel(ctx), c)
			}
		case "owner":
			w.owner = func(ctx context.Context, s store.Store, key string) (string, error) {
				return s.Owner(context.WithoutCancel(ctx), key)
			}
		}
		return w
	}
}

// within tells whether ctx, which has not ended yet, ends while a slow database
// would work.
func within(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-ctx.Done():
		return true
	case <-time.After(200 * time.Microsecond):
		return false
	}
}

// A cache keeps what it has read until it writes itself.
type cache struct {
	store.Store
	seen sync.Map
}

func newCache(s store.Store) *cache { return &cache{Store: s} }

func (c *cache) Load(ctx context.Context, userID string) (store.Record, error) {
	if r, ok := c.seen.Load(userID); ok && ctx.Err() == nil {
		r := r.(store.Record)
		r.Data = bytes.Clone(r.Data)
		return r, nil
	}
	r, err := c.Store.Load(ctx, userID)
	if err == nil {
		c.seen.Store(userID, store.Record{Version: r.Version, Data: bytes.Clone(r.Data)})
	}
	return r, err
}

func (c *cache) Apply(ctx context.Context, change store.Change) error {
	err := c.Store.Apply(ctx, change)
	c.seen.Delete(change.UserID)
	return err
}

// owners keeps records where they belong, and keys only in its own memory.
type owners struct {
	store.Store
	mu   sync.Mutex
	keys *memstore.Store
}

func newOwners(s store.Store) *owners { return &owners{Store: s, keys: memstore.New()} }

func (o *owners) Owner(ctx context.Context, key string) (string, error) {
	return o.keys.Owner(ctx, key)
}

func (o *owners) Apply(ctx context.Context, c store.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range c.Claim {
		if owner, err := o.keys.Owner(ctx, key); err == nil && owner != c.UserID {
			if r, _ := o.Load(ctx, c.UserID); r.Version == c.Old {
				return store.ErrKeyTaken
			}
		}
	}
	claim, release := c.Claim, c.Release
	c.Claim, c.Release = nil, nil
	err := o.Store.Apply(ctx, c)
	if err == nil && len(claim)+len(release) != 0 {
		r, _ := o.keys.Load(ctx, c.UserID)
		o.keys.Apply(ctx, store.Change{UserID: c.UserID, Old: r.Version, New: r.Version + 1, Claim: claim, Release: release})
	}
	return err
}

// lister is a store whose listing is replaced.
type lister struct {
	*memstore.Store
	list func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error)
}

func (l *lister) UserIDs(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	return l.list(ctx, l.Store, cursor, limit)
}

func listing(list func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error)) func() store.Store {
	return func() store.Store { return &lister{memstore.New(), list} }
}

// everybody returns all users in order.
func everybody(ctx context.Context, s *memstore.Store) ([]string, error) {
	ids, _, err := s.UserIDs(ctx, "", 1<<30)
	return ids, err
}

// by lists in the order of what place returns for each user ID.
func by(place func(userID string) string) func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
	return func(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
		ids, err := everybody(ctx, s)
		after := place(cursor)
		ids = slices.DeleteFunc(ids, func(id string) bool { return cursor != "" && place(id) <= after })
		slices.SortFunc(ids, func(a, b string) int { return strings.Compare(place(a), place(b)) })
		return page(ids, limit, err)
	}
}

func hashed(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:])
}

// parts lists one of 16 parts after the other, each page from one alone. What
// says that a whole part is next is longer than a user ID.
func parts(ctx context.Context, s *memstore.Store, cursor string, limit int) ([]string, string, error) {
	part := func(id string) int { return int(hashed(id)[0] % 16) }
	whole := func(n int) string { return strings.Repeat("p", store.MaxUserID+1+n) }
	n, last := max(0, len(cursor)-store.MaxUserID-1), ""
	if cursor != "" && cursor != whole(n) {
		n, last = part(cursor), cursor
	}
	ids, err := everybody(ctx, s)
	ids = slices.DeleteFunc(ids, func(id string) bool { return part(id) != n || id <= last })
	ids, next, err := page(ids, limit, err)
	if err == nil && next == "" && n < 15 {
		next = whole(n + 1)
	}
	return ids, next, err
}

// page returns the first page of ids.
func page(ids []string, limit int, err error) ([]string, string, error) {
	if limit < 1 {
		return nil, "", store.ErrArgument
	}
	if err != nil || len(ids) <= limit {
		return ids, "", err
	}
	return ids[:limit], ids[limit-1], nil
}

// A chronicle remembers when everybody was created, also of those who are gone.
type chronicle struct {
	*memstore.Store
	list func(ctx context.Context, l *chronicle, cursor string, limit int) ([]string, string, error)
	mu   sync.Mutex
	born map[string]int // from 1
	n    int
}

func (l *chronicle) Apply(ctx context.Context, c store.Change) error {
	err := l.Store.Apply(ctx, c)
	if err == nil && c.Old == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.born == nil {
			l.born = make(map[string]int)
		}
		l.n++
		l.born[c.UserID] = l.n
	}
	return err
}

func (l *chronicle) UserIDs(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list(ctx, l, cursor, limit)
}

// undead lists users who were deleted.
type undead struct {
	*memstore.Store
	mu   sync.Mutex
	dead []string
}

func (u *undead) Apply(ctx context.Context, c store.Change) error {
	err := u.Store.Apply(ctx, c)
	if err == nil && c.New == 0 {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.dead = append(u.dead, c.UserID)
	}
	return err
}

func (u *undead) UserIDs(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	ids, err := everybody(ctx, u.Store)
	u.mu.Lock()
	ids = append(ids, u.dead...)
	u.mu.Unlock()
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id <= cursor })
	return page(ids, limit, err)
}

// before returns what stands before sep.
func before(s, sep string) string {
	s, _, _ = strings.Cut(s, sep)
	return s
}

// lower folds the case of ASCII letters.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// trimmed pads a key anew, as a column of fixed width does.
func trimmed(key string) string {
	b := make([]byte, store.KeySize)
	copy(b, strings.TrimRight(key, "\x00 "))
	return string(b)
}
