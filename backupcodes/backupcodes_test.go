package backupcodes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An office is a vault over memory with a clock that stands still.
type office struct {
	t      testing.TB
	m      *Method
	vault  *vault.Vault
	store  *interrupted
	keys   vault.Keys
	now    atomic.Int64 // Unix seconds
	hashes atomic.Int64
}

// interrupted is a store in which another writer can come first.
type interrupted struct {
	store.Store
	lose atomic.Int64 // so many saves conflict
}

func (s *interrupted) Apply(ctx context.Context, c store.Change) error {
	if s.lose.Add(-1) >= 0 {
		return store.ErrConflict
	}
	return s.Store.Apply(ctx, c)
}

// newOffice counts hashes and, unless slow, has quick ones.
func newOffice(t testing.TB, opts *Options, slow bool) *office {
	t.Helper()
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, m: New(opts), store: &interrupted{Store: memstore.New()}, keys: keys}
	o.now.Store(1_800_000_000)
	o.m.hash = func(code, salt []byte) []byte {
		o.hashes.Add(1)
		if slow {
			return argon(code, salt)
		}
		return quick(code, salt)
	}
	o.vault = o.another()
	return o
}

func quick(code, salt []byte) []byte {
	sum := sha256.Sum256(slices.Concat(salt, code))
	return sum[:tagSize]
}

func (o *office) another() *vault.Vault {
	o.t.Helper()
	v, err := vault.Open(o.store, o.keys, &vault.Options{Now: func() time.Time { return time.Unix(o.now.Load(), 0) }})
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

func (o *office) enrollIn(ctx context.Context, userID string) (*mfa.Enrollment, error) {
	return vault.Update(ctx, o.vault, userID, func(a *vault.Account) (*mfa.Enrollment, error) {
		return o.m.Enroll(ctx, a.Scope(Kind, vault.PurposeConfirm, "session"), mfa.EnrollRequest{})
	})
}

func (o *office) enroll(userID string) []string {
	o.t.Helper()
	e, err := o.enrollIn(context.Background(), userID)
	if err != nil {
		o.t.Fatal(err)
	}
	if e.Kind != Kind || e.ID == "" || !e.Active || e.URI != "" || e.Secret != "" {
		o.t.Fatalf("%+v", e)
	}
	var codes []string
	for _, c := range e.Codes {
		codes = append(codes, c.Reveal())
	}
	return codes
}

func (o *office) verify(userID, code string) error {
	return o.verifyIn(context.Background(), o.vault, userID, code)
}

func (o *office) verifyIn(ctx context.Context, v *vault.Vault, userID, code string) error {
	_, err := vault.Update(ctx, v, userID, func(a *vault.Account) (id string, err error) {
		err = a.Guess(Kind, string(mfa.PurposeSignIn), "flow", func(s *vault.Scope) error {
			got, err := o.m.Verify(ctx, s, mfa.VerifyRequest{Answer: mfa.Answer{Kind: Kind, Code: code}})
			switch {
			case err == nil && s.Factor(got.FactorID) == nil:
				o.t.Error("success without a factor")
			case err != nil && got != nil:
				o.t.Error("an error with a result")
			case err == nil:
				a.Finished(Kind)
			}
			return err
		})
		return id, err
	})
	return err
}

func (o *office) view(userID string) *vault.Summary {
	o.t.Helper()
	s, err := o.vault.View(context.Background(), userID)
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

func (o *office) left(userID string) int {
	o.t.Helper()
	fs := o.view(userID).Factors
	if len(fs) != 1 {
		o.t.Fatalf("%d sets", len(fs))
	}
	return o.m.Left(fs[0])
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// the form of a set, and what is kept of it.
func TestSet(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, true)
	codes := o.enroll("ada")
	if len(codes) != 10 || o.hashes.Load() != 10 {
		t.Errorf("%d codes, %d hashes", len(codes), o.hashes.Load())
	}
	for _, c := range codes {
		parts := strings.Split(c, "-")
		if len(parts) != 4 || len(c) != 19 || strings.Trim(c, alphabet+"-") != "" {
			t.Errorf("a code of another form: %q", c)
		}
	}
	if o.left("ada") != 10 {
		t.Errorf("%d left", o.left("ada"))
	}
	_, err := vault.Update(context.Background(), o.vault, "ada", func(a *vault.Account) (int, error) {
		return 0, a.Guess(Kind, "look", "", func(s *vault.Scope) error {
			f := s.Factors()[0]
			if len(f.Secret) != 1+saltSize+10*tagSize || len(f.Data) != 6 {
				t.Errorf("%d and %d bytes are kept", len(f.Secret), len(f.Data))
			}
			x, err := decodeSet(f.Secret, 10)
			if err != nil {
				return err
			}
			for i, c := range codes {
				code, _ := canonical(c)
				if tag := argon(code, x.salt); !bytes.Equal(tag, x.tags[i*tagSize:][:tagSize]) {
					t.Errorf("code %d is not kept as Argon2id under the salt of the set", i)
				}
				if bytes.Contains(f.Secret, code) {
					t.Error("a code is kept")
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	other := newOffice(t, nil, false)
	if slices.Equal(other.enroll("ada"), codes) {
		t.Error("the same set twice")
	}
}

// each set has a salt of its own, so equal codes are kept differently.
func TestSaltPerSet(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	salts := map[string]bool{}
	for range 8 {
		o.enroll("ada")
		_, err := vault.Update(context.Background(), o.vault, "ada", func(a *vault.Account) (int, error) {
			return 0, a.Guess(Kind, "look", "", func(s *vault.Scope) error {
				x, err := decodeSet(s.Factors()[0].Secret, 10)
				salts[string(x.salt)] = true
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(salts) != 8 || salts[string(make([]byte, saltSize))] {
		t.Errorf("%d salts for 8 sets", len(salts))
	}
}

// what is too weak is refused; from 112 bits there is no slow hash.
func TestOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts *Options
		bad  bool
	}{
		"nil":            {nil, false},
		"zero":           {&Options{}, false},
		"65 bits":        {&Options{Chars: 13}, false},
		"60 bits":        {&Options{Chars: 12}, true},
		"one character":  {&Options{Chars: 1}, true},
		"-1 characters":  {&Options{Chars: -1}, true},
		"33 characters":  {&Options{Chars: 33}, true},
		"one code":       {&Options{Count: 1}, false},
		"24 codes":       {&Options{Count: 24}, false},
		"25 codes":       {&Options{Count: 25}, true},
		"-1 codes":       {&Options{Count: -1}, true},
		"64 at once":     {&Options{Concurrent: 64}, false},
		"65 at once":     {&Options{Concurrent: 65}, true},
		"-1 at once":     {&Options{Concurrent: -1}, true},
		"160 bits of 24": {&Options{Count: 24, Chars: 32, Concurrent: 1}, false},
	} {
		err := New(c.opts).Check()
		if (err != nil) != c.bad || c.bad && !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for chars, hashes := range map[int]int64{13: 10, 22: 10, 23: 0, 32: 0} {
		o := newOffice(t, &Options{Chars: chars}, false)
		codes := o.enroll("ada")
		if o.hashes.Load() != hashes {
			t.Errorf("%d characters: %d hashes", chars, o.hashes.Load())
		}
		if err := o.verify("ada", codes[3]); err != nil {
			t.Errorf("%d characters: %v", chars, err)
		}
		want(t, "again", o.verify("ada", codes[3]), mfa.ErrReplayed)
		want(t, "a wrong one", o.verify("ada", strings.Repeat("0", chars)), mfa.ErrInvalid)
		if o.left("ada") != 9 {
			t.Errorf("%d characters: %d left", chars, o.left("ada"))
		}
	}
}

// codes are as likely as each other, and none comes twice.
func TestCodesAreUniform(t *testing.T) {
	t.Parallel()
	const n, chars = 10_000, 16
	seen := make(map[string]bool, n)
	var counts [256]int
	for range n {
		code := draw(chars)
		seen[string(code)] = true
		for _, c := range code {
			counts[c]++
		}
	}
	if len(seen) != n {
		t.Errorf("%d different codes of %d", len(seen), n)
	}
	expected := float64(n*chars) / float64(len(alphabet))
	chi := 0.0
	for _, c := range []byte(alphabet) {
		d := float64(counts[c]) - expected
		chi += d * d / expected
		counts[c] = 0
	}
	if chi > 80 { // 31 degrees of freedom: one run in 300,000
		t.Errorf("chi squared is %.1f", chi)
	}
	if counts != [256]int{} {
		t.Error("a character that is not of the alphabet")
	}
}

// a code is good once, in whatever spelling; the others stay.
func TestSingleUse(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	codes := o.enroll("ada")
	for i, c := range codes {
		if err := o.verify("ada", c); err != nil {
			t.Fatalf("code %d: %v", i, err)
		}
		before := o.view("ada").Tries.Day
		want(t, "again", o.verify("ada", strings.ToLower(strings.ReplaceAll(c, "-", ""))), mfa.ErrReplayed)
		if o.view("ada").Tries.Day != before+1 {
			t.Error("a used code is no try")
		}
		if got := o.left("ada"); got != len(codes)-1-i {
			t.Errorf("%d left after %d", got, i+1)
		}
		o.now.Add(int64(2 * time.Hour / time.Second))
	}
	// an exhausted set is there, has none left and accepts nothing.
	o.now.Add(int64(48 * time.Hour / time.Second))
	want(t, "a used code of an exhausted set", o.verify("ada", codes[0]), mfa.ErrReplayed)
	want(t, "a wrong code for an exhausted set", o.verify("ada", strings.Repeat("0", 16)), mfa.ErrInvalid)
}

// of 32 racing requests with one code, over two instances, one
// passes; of ten with different codes all ten.
func TestRace(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	vaults := []*vault.Vault{o.vault, o.another()}
	for round := range 20 {
		user := fmt.Sprint("user ", round)
		codes := o.enroll(user)
		race := codes[:1]
		if round%2 == 1 {
			race = codes
		}
		var passed atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		n := 32
		if len(race) > 1 {
			n = len(race)
		}
		for i := range n {
			wg.Go(func() {
				<-start
				err := o.verifyIn(context.Background(), vaults[i%2], user, race[i%len(race)])
				switch {
				case err == nil:
					passed.Add(1)
				case !errors.Is(err, mfa.ErrRejected):
					t.Errorf("neither right nor rejected: %v", err)
				}
			})
		}
		close(start)
		wg.Wait()
		if int(passed.Load()) != len(race) || o.left(user) != 10-len(race) {
			t.Errorf("round %d: %d of %d codes passed, %d left", round, passed.Load(), len(race), o.left(user))
		}
	}
}

// a code of one user is nothing to another, and is not used up by it.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	ada := o.enroll("ada")
	o.enroll("bob")
	want(t, "ada's code for bob", o.verify("bob", ada[0]), mfa.ErrInvalid)
	if o.left("ada") != 10 || o.left("bob") != 10 {
		t.Error("it was used up")
	}
	if err := o.verify("ada", ada[0]); err != nil {
		t.Errorf("ada's code for ada: %v", err)
	}
	want(t, "nobody", o.verify("carol", ada[1]), mfa.ErrNotEnrolled)
}

// with a new set the old one dies, in the same change.
func TestNewSetEndsOld(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	old := o.enroll("ada")
	if err := o.verify("ada", old[0]); err != nil {
		t.Fatal(err)
	}
	epoch := func() string {
		e, err := vault.Read(context.Background(), o.vault, "ada", func(a *vault.Account) (string, error) { return a.Epoch(), nil })
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	before := epoch()

	// A new set that is not saved changes nothing.
	failure := errors.New("after the new set")
	_, err := vault.Update(context.Background(), o.vault, "ada", func(a *vault.Account) (int, error) {
		if _, err := o.m.Enroll(context.Background(), a.Scope(Kind, "confirm", "s"), mfa.EnrollRequest{}); err != nil {
			return 0, err
		}
		return 0, failure
	})
	want(t, "a change that fails", err, failure)
	if err := o.verify("ada", old[1]); err != nil || o.left("ada") != 8 {
		t.Errorf("the old set after a change that failed: %v, %d left", err, o.left("ada"))
	}

	fresh := o.enroll("ada")
	if len(o.view("ada").Factors) != 1 || o.left("ada") != 10 || epoch() == before {
		t.Error("not one whole set under a new epoch")
	}
	for _, c := range old[:3] {
		want(t, "an old code, used or not", o.verify("ada", c), mfa.ErrInvalid)
	}
	if err := o.verify("ada", fresh[0]); err != nil {
		t.Errorf("a new code: %v", err)
	}
}

// what is accepted for a code, and that nothing else is.
func TestSpelling(t *testing.T) {
	t.Parallel()
	const code = "0123456789ABJKMV"
	for typed, ok := range map[string]bool{
		code:                           true,
		"0123-4567-89AB-JKMV":          true,
		"0123 4567 89ab jkmv":          true,
		" 0123456789abjkmv ":           true,
		"o123456789abjkmv":             true,
		"O123456789ABJKMV":             true,
		"0i23456789ABJKMV":             true,
		"0I23456789ABJKMV":             true,
		"0l23456789ABJKMV":             true,
		"0L23456789ABJKMV":             true,
		"oL23-4567-89ab-jKmV":          true,
		"--0123456789ABJKMV--":         true,
		"0123456789ABJKM":              false, // cut
		"123456789ABJKMV":              false,
		"0123456789ABJKMV0":            false, // longer
		"00123456789ABJKMV":            false,
		code + code:                    false,
		"1023456789ABJKMV":             false, // turned round
		"0123456789ABJKMW":             false, // altered
		"0123456789ABJKMU":             false, // not in the alphabet
		"0123456789ABJKM\u0056\n":      false,
		"0123456789ABJKMV\x00":         false,
		"0123\t4567 89AB JKMV":         false,
		"0123_4567_89AB_JKMV":          false,
		"0123\u20134567-89AB-JKMV":     false, // a dash
		"0123\u00a0456789ABJKMV":       false, // a no-break space
		"０１２３456789ABJKMV":             false, // full-width
		"0123456789ABJ\u212aMV":        false, // the Kelvin sign, which folds to k
		"0123456789АBJKMV":             false, // a Cyrillic A
		"":                             false,
		"----":                         false,
		code + strings.Repeat(" ", 48): true,
		code + strings.Repeat(" ", 49): false, // over 64 bytes
	} {
		got, valid := canonical(typed)
		if (valid && string(got) == code) != ok {
			t.Errorf("%q: %q, %v", typed, got, valid)
		}
	}
	// Each character of a real code matters, and so does its length.
	o := newOffice(t, &Options{Count: 24}, false)
	codes := o.enroll("ada")
	plain := strings.ReplaceAll(codes[0], "-", "")
	for i := range plain {
		altered := []byte(plain)
		altered[i] = alphabet[(strings.IndexByte(alphabet, plain[i])+1)%len(alphabet)]
		want(t, "altered", o.verify("ada", string(altered)), mfa.ErrRejected)
	}
	o.now.Add(int64(25 * time.Hour / time.Second))
	if err := o.verify("ada", plain); err != nil {
		t.Errorf("unaltered: %v", err)
	}
}

// one hash for each attempt, right, wrong or used; none for what cannot
// be a code, which is no try, and none past the limit.
func TestOneHashPerAttempt(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	codes := o.enroll("ada")
	attempt := func(what, code string, target error, hashes int64, tries int) {
		t.Helper()
		before, day := o.hashes.Load(), o.view("ada").Tries.Day
		if err := o.verify("ada", code); !errors.Is(err, target) {
			t.Errorf("%s: %v, want %v", what, err, target)
		}
		if got := o.hashes.Load() - before; got != hashes {
			t.Errorf("%s: %d hashes, want %d", what, got, hashes)
		}
		if got := o.view("ada").Tries.Day - day; got != tries {
			t.Errorf("%s: %d tries, want %d", what, got, tries)
		}
	}
	attempt("right", codes[0], nil, 1, 0)
	attempt("the last of the set", codes[9], nil, 1, 0)
	attempt("used", codes[0], mfa.ErrReplayed, 1, 1)
	attempt("wrong", strings.Repeat("0", 16), mfa.ErrInvalid, 1, 1)
	for _, code := range []string{
		"", "-", codes[1][:18], codes[1] + "0", codes[1] + "\n", "U" + codes[1][1:], "123456",
		codes[1] + strings.Repeat(" ", 60), strings.Repeat("0", 1<<20), strings.Repeat("-", 65),
	} {
		attempt(fmt.Sprintf("%.20q", code), code, mfa.ErrInvalid, 0, 0)
	}
	for range 3 {
		attempt("wrong", strings.Repeat("Z", 16), mfa.ErrInvalid, 1, 1)
	}
	attempt("past the limit", codes[1], mfa.ErrTooMany, 0, 0)
}

// an attempt that is tried again because another writer came
// first hashes no second time, and a new set stays the same.
func TestOneHashUnderConflicts(t *testing.T) {
	t.Parallel()
	for _, chars := range []int{16, 24} {
		o := newOffice(t, &Options{Chars: chars}, false)
		perCode := int64(1)
		if chars >= macChars {
			perCode = 0
		}
		o.store.lose.Store(3)
		codes := o.enroll("ada")
		if got := o.hashes.Load(); got != 10*perCode {
			t.Errorf("%d hashes for a set under conflicts", got)
		}
		for _, c := range []struct {
			code   string
			target error
		}{{codes[0], nil}, {codes[0], mfa.ErrReplayed}, {strings.Repeat("0", chars), mfa.ErrInvalid}, {codes[9], nil}} {
			before := o.hashes.Load()
			o.store.lose.Store(3)
			if err := o.verify("ada", c.code); !errors.Is(err, c.target) {
				t.Errorf("%v, want %v", err, c.target)
			}
			if got := o.hashes.Load() - before; got != perCode {
				t.Errorf("%d hashes under conflicts", got)
			}
			if o.store.lose.Load() > 0 {
				t.Error("there was no conflict")
			}
		}
		if o.left("ada") != 8 {
			t.Errorf("%d left", o.left("ada"))
		}
	}
}

// The first set of a user who has no record yet survives conflicts too, though
// the account's key is another at each try.
func TestFirstSetUnderConflicts(t *testing.T) {
	t.Parallel()
	for _, chars := range []int{16, 24} {
		o := newOffice(t, &Options{Chars: chars}, false)
		o.store.lose.Store(2)
		codes := o.enroll("new")
		if err := o.verify("new", codes[5]); err != nil {
			t.Errorf("%d characters: %v", chars, err)
		}
	}
}

// no more hashes at once than allowed; who gets no turn within two
// seconds, or whose context ends, hears ErrBusy and is not counted.
func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil, false)
		codes := o.enroll("ada")
		var running, most atomic.Int64
		release := make(chan struct{})
		o.m.hash = func(code, salt []byte) []byte {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-release
			return quick(code, salt)
		}
		var wg sync.WaitGroup
		for i := range 5 {
			user := fmt.Sprint("user ", i)
			wg.Go(func() { // a set takes one turn
				_, err := o.enrollIn(context.Background(), user)
				if err != nil && !errors.Is(err, mfa.ErrBusy) {
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		want(t, "no turn", o.verify("ada", codes[0]), mfa.ErrBusy)
		if waited := time.Since(began); waited < patience || waited > 2*patience {
			t.Errorf("it waited %v", waited)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience/2)
		defer cancel()
		began = time.Now()
		err := o.verifyIn(ctx, o.vault, "ada", codes[0])
		want(t, "a context that ends", err, context.DeadlineExceeded)
		if waited := time.Since(began); waited != patience/2 {
			t.Errorf("it waited %v", waited)
		}
		if errors.Is(err, mfa.ErrRejected) || o.view("ada").Tries.Day != 0 {
			t.Error("it was counted")
		}
		close(release)
		wg.Wait()
		if most.Load() != 2 {
			t.Errorf("%d hashes at once", most.Load())
		}
		if err := o.verify("ada", codes[0]); err != nil {
			t.Errorf("later: %v", err)
		}
		if len(o.m.slots) != 0 {
			t.Error("a slot is not given back")
		}
	})
}

// A hash that panics gives its turn back.
func TestSlotAfterPanic(t *testing.T) {
	t.Parallel()
	o := newOffice(t, &Options{Concurrent: 1}, false)
	codes := o.enroll("ada")
	o.m.hash = func([]byte, []byte) []byte { panic("no memory") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = o.verify("ada", codes[0])
	}()
	o.m.hash = quick
	if err := o.verify("ada", codes[0]); err != nil {
		t.Error(err)
	}
}

// A Method with invalid options, or without New, refuses everything.
func TestInvalidMethodRefuses(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	codes := o.enroll("ada")
	for _, bad := range []*Method{New(&Options{Chars: 4}), {}} {
		o.m = bad
		_, err := o.enrollIn(context.Background(), "ada")
		want(t, "Enroll", err, mfa.ErrArgument)
		want(t, "Verify", o.verify("ada", codes[0]), mfa.ErrArgument)
	}
}

// without Account.Guess there is nothing to compare with.
func TestOnlyInsideGuess(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	codes := o.enroll("ada")
	_, err := vault.Update(context.Background(), o.vault, "ada", func(a *vault.Account) (*mfa.Verification, error) {
		return o.m.Verify(context.Background(), a.Scope(Kind, "sign-in", "flow"), mfa.VerifyRequest{Answer: mfa.Answer{Kind: Kind, Code: codes[0]}})
	})
	if !errors.Is(err, errHidden) || errors.Is(err, mfa.ErrRejected) {
		t.Errorf("Verify outside of Guess: %v", err)
	}
}

// A set keeps its length and its hash when the options change, and one that
// cannot be read is a failure.
func TestStoredSet(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	codes := o.enroll("ada")
	o.m = New(&Options{Count: 5, Chars: 24})
	o.m.hash = quick
	if err := o.verify("ada", codes[0]); err != nil {
		t.Errorf("under other options: %v", err)
	}
	for _, edit := range []func(f *vault.Factor){
		func(f *vault.Factor) { f.Data[0]++ },
		func(f *vault.Factor) { f.Data[3]-- },
		func(f *vault.Factor) { f.Data = nil },
	} {
		keep := o.view("ada").Factors[0].Data
		set := func(change func(f *vault.Factor)) {
			if _, err := vault.Update(context.Background(), o.vault, "ada", func(a *vault.Account) (int, error) {
				change(a.Scope(Kind, "", "").Factors()[0])
				return 0, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		set(edit)
		if err := o.verify("ada", codes[1]); !errors.Is(err, errState) || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("a set that cannot be read: %v", err)
		}
		set(func(f *vault.Factor) { f.Data = keep })
	}
	if got := o.view("ada").Tries.Day; got != 0 {
		t.Errorf("%d tries", got)
	}
}

// nothing of a set is printed.
func TestRedacted(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil, false)
	e, err := o.enrollIn(context.Background(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{e, *e, e.Codes, o.m, o.view("ada").Factors} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
	}
	b, err := json.Marshal(e.Codes)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, c := range e.Codes {
		for _, leak := range []string{c.Reveal(), strings.ReplaceAll(c.Reveal(), "-", ""), c.Reveal()[:9], fmt.Sprintf("%x", c.Reveal())} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("a print has a code")
			}
		}
	}
}

func TestMethod(t *testing.T) {
	t.Parallel()
	m := New(nil)
	if m.Kind() != "backup" || m.Traits() != (mfa.Traits{Recovery: true, Typed: true}) || m.Check() != nil {
		t.Errorf("%q, %+v, %v", m.Kind(), m.Traits(), m.Check())
	}
	if m.Left(vault.Factor{}) != 0 {
		t.Error("a factor that cannot be read has codes left")
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"0123-4567-89AB-CDEF", "oil", "ſK", "0123456789abcdefghjkmnpqrstvwxyz", "\xff", "U"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := canonical(typed)
		if !ok {
			if code != nil {
				t.Fatalf("%q: refused, with %q", typed, code)
			}
			return
		}
		if len(typed) > maxTyped || len(code) == 0 || strings.Trim(string(code), alphabet) != "" {
			t.Fatalf("%q became %q", typed, code)
		}
		if again, ok := canonical(grouped(code).Reveal()); len(code) <= maxChars && (!ok || !bytes.Equal(again, code)) {
			t.Fatalf("%q, shown as %q, is read as %q", code, grouped(code).Reveal(), again)
		}
		letters := strings.Map(func(r rune) rune {
			switch r {
			case ' ', '-':
				return -1
			case 'o', 'O':
				return '0'
			case 'i', 'I', 'l', 'L':
				return '1'
			}
			return r
		}, typed)
		if strings.ToUpper(letters) != string(code) {
			t.Fatalf("%q lost more than spelling: %q", typed, code)
		}
	})
}
