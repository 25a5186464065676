package vault_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

func newKey(t testing.TB) vault.Keys {
	t.Helper()
	k, err := vault.NewKey()
	must(t, err)
	return k
}

func TestKeysAreChecked(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("A", 43) + "="
	for _, text := range []string{
		"", ",", "id", "id:", ":" + good, "id:AAAA", "id:" + good + ",", "id:" + good + ",id:" + good,
		"id:" + good[:42] + "=", "id:" + strings.Repeat("A", 42) + "B=", "a b:" + good,
		"id:" + good[:20] + "\n" + good[20:], strings.Repeat("i", 33) + ":" + good, "é:" + good, "id:" + strings.Repeat("_", 43) + "=",
	} {
		_, err := vault.Open(memstore.New(), vault.Keys(text), nil)
		if !errors.Is(err, vault.ErrKeys) {
			t.Errorf("%q: %v", text, err)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Errorf("the error shows a key: %v", err)
		}
	}
	if _, err := vault.Open(nil, newKey(t), nil); err == nil {
		t.Error("a vault without a store")
	}
	_, err := vault.Open(memstore.New(), vault.Keys("a:"+good+", b:"+good), nil)
	must(t, err)
}

// A record is one ciphertext, which opens for its own user alone.
func TestRecordIsSealed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	enroll(t, b.Vault, "v")
	rec, err := b.store.Store.Load(t.Context(), "u")
	must(t, err)
	for _, plain := range []string{"secret", "data", "one", "fake", "u\x00"} {
		if bytes.Contains(rec.Data, []byte(plain)) {
			t.Errorf("%q stands in the record", plain)
		}
	}
	theirs, err := b.store.Store.Load(t.Context(), "v")
	must(t, err)
	must(t, b.store.Store.Apply(t.Context(), store.Change{UserID: "v", Old: theirs.Version, New: rec.Version, Data: rec.Data}))
	_, err = b.View(t.Context(), "v")
	wantErr(t, err, vault.ErrCorrupt)
	wantErr(t, guess(t, b.Vault, "v", "secret"), vault.ErrCorrupt)
	for i := range rec.Data {
		bad := bytes.Clone(rec.Data)
		bad[i] ^= 1
		must(t, b.store.Store.Apply(t.Context(), store.Change{UserID: fmt.Sprint("bad", i), New: 1, Data: bad}))
		if s, err := b.View(t.Context(), fmt.Sprint("bad", i)); err == nil {
			t.Fatalf("byte %d changed, and it opens: %+v", i, s)
		}
	}
	for n := range len(rec.Data) {
		must(t, b.store.Store.Apply(t.Context(), store.Change{UserID: fmt.Sprint("short", n), New: 1, Data: rec.Data[:n]}))
		_, err := b.View(t.Context(), fmt.Sprint("short", n))
		if err == nil || errors.Is(err, vault.ErrRejected) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k1, k2 := b.keys, newKey(t)
	enroll(t, b.Vault, "u")
	keyOf := func(v *vault.Vault) string {
		s, err := v.View(t.Context(), "u")
		must(t, err)
		return s.KeyID
	}
	id := func(k vault.Keys) string { first, _, _ := strings.Cut(string(k), ":"); return first }
	both := b.another(t, k2+","+k1)
	if got := keyOf(both); got != id(k1) {
		t.Errorf("under %q", got)
	}
	must(t, guess(t, both, "u", "secret"))
	must(t, update(t, both, "u", name("again")))
	if got := keyOf(both); got != id(k2) {
		t.Errorf("the first key does not seal: under %q", got)
	}
	_, err := b.View(t.Context(), "u") // knows k1 alone
	wantErr(t, err, vault.ErrUnknownKey)
	for _, err := range []error{guess(t, b.Vault, "u", "secret"), update(t, b.Vault, "u", func(*vault.Account) error { return nil })} {
		if !errors.Is(err, vault.ErrUnknownKey) || errors.Is(err, vault.ErrRejected) {
			t.Errorf("an unknown key: %v", err)
		}
	}
}

func TestReseal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 20 {
		enroll(t, b.Vault, fmt.Sprintf("u%02d", i))
	}
	next := newKey(t)
	old := b.another(t, b.keys+","+next) // after the first step: it knows the new key and seals under the old
	v := b.another(t, next+","+b.keys)
	// a record that nobody can open is counted, and ends nothing
	must(t, b.store.Store.Apply(t.Context(), store.Change{UserID: "u05x", New: 7, Data: []byte("rubbish")}))

	var half vault.Progress
	ctx, cancel := context.WithCancel(t.Context())
	_, err := v.Reseal(ctx, &vault.ResealOptions{Progress: func(p vault.Progress) {
		if half = p; p.Seen == 10 {
			cancel()
		}
	}})
	wantErr(t, err, context.Canceled)
	must(t, update(t, old, "u00", name("by an older process"))) // meanwhile
	p, err := v.Reseal(t.Context(), &vault.ResealOptions{After: half.Last, PerSecond: 1000})
	must(t, err)
	if half.Seen+p.Seen != 21 || half.Resealed+p.Resealed != 20 || half.Failed+p.Failed != 1 {
		t.Errorf("passes: %+v, %+v", half, p)
	}
	if p, err = v.Reseal(t.Context(), nil); err != nil || p.Resealed != 1 {
		t.Errorf("second pass: %+v, %v", p, err)
	}
	if p, err = v.Reseal(t.Context(), nil); err != nil || p.Resealed != 0 {
		t.Errorf("third pass: %+v, %v", p, err)
	}
	alone := b.another(t, next)
	for i := range 20 {
		must(t, guess(t, alone, fmt.Sprintf("u%02d", i), "secret"))
	}
}

type onlyStore struct{ store.Store }

func TestListingIsOptional(t *testing.T) {
	t.Parallel()
	v, err := vault.Open(onlyStore{memstore.New()}, newKey(t), nil)
	must(t, err)
	_, err = v.Reseal(t.Context(), nil)
	wantErr(t, err, errors.ErrUnsupported)
}

func TestSealedTokens(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"", "u"} {
		t.Run("for "+subject, func(t *testing.T) {
			t.Parallel()
			sealedTokens(t, subject)
		})
	}
}

func sealedTokens(t *testing.T, subject string) {
	b := newBench(t)
	token, err := b.Seal("p", subject, []byte("hello"))
	must(t, err)
	if got, err := b.Unseal("p", subject, token); err != nil || string(got) != "hello" {
		t.Fatalf("%q %v", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	must(t, err)
	bad := []string{
		"", "x", token[1:], token[:len(token)-1], token + "A", token + "=", token + "\n", " " + token, token + token,
		strings.ToUpper(token), strings.ToLower(token), base64.URLEncoding.EncodeToString(raw[:len(raw)-1]),
		base64.StdEncoding.EncodeToString(raw), token[:10] + "\r\n" + token[10:], strings.Repeat("A", 1<<20),
	}
	for i := range raw {
		c := bytes.Clone(raw)
		c[i] ^= 0x80
		bad = append(bad, base64.RawURLEncoding.EncodeToString(c))
	}
	for _, text := range bad {
		if got, err := b.Unseal("p", subject, text); err == nil || !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%.40q gave %q, %v", text, got, err)
		}
	}
	_, err = b.Unseal("q", subject, token)
	wantErr(t, err, vault.ErrInvalid)
	_, err = b.another(t, newKey(t)).Unseal("p", subject, token)
	wantErr(t, err, vault.ErrInvalid)
	for _, other := range []string{"", "u", "v"} {
		if _, err := b.Unseal("p", other, token); (err == nil) != (other == subject) {
			t.Errorf("a token of %q opened for %q: %v", subject, other, err)
		}
	}
	again, err := b.Seal("p", subject, []byte("hello"))
	must(t, err)
	if again == token {
		t.Error("sealing is not random")
	}
}

type xorKMS struct{ fail bool }

func (k xorKMS) Wrap(_ context.Context, key []byte) ([]byte, error) {
	if k.fail {
		return nil, errDown
	}
	out := []byte("wrapped")
	for _, b := range key {
		out = append(out, b^0x5a)
	}
	return out, nil
}

func (k xorKMS) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if k.fail || !bytes.HasPrefix(wrapped, []byte("wrapped")) {
		return nil, errDown
	}
	var out []byte
	for _, b := range wrapped[7:] {
		out = append(out, b^0x5a)
	}
	return out, nil
}

func TestKMS(t *testing.T) {
	t.Parallel()
	keys := newKey(t) + "," + newKey(t)
	text, err := vault.WrapKeys(t.Context(), xorKMS{}, keys)
	must(t, err)
	if strings.Contains(text, string(keys)[9:40]) {
		t.Error("the wrapped ring shows a key")
	}
	got, err := vault.UnwrapKeys(t.Context(), xorKMS{}, text)
	must(t, err)
	if got != keys {
		t.Error("another ring came back")
	}
	if _, err := vault.UnwrapKeys(t.Context(), xorKMS{fail: true}, text); !errors.Is(err, errDown) {
		t.Errorf("a failing key service: %v", err)
	}
	if _, err := vault.UnwrapKeys(t.Context(), xorKMS{}, string(keys)); err == nil {
		t.Error("an unwrapped ring was taken")
	}
	_, err = vault.UnwrapKeys(t.Context(), xorKMS{}, "")
	wantErr(t, err, vault.ErrKeys)
}

// No type of this package shows what it holds, however it is printed.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	const hidden = "s3cr3t"
	b := newBench(t)
	var all []any
	all = append(all, vault.Secret(hidden), vault.Keys("id:"+hidden), b.Vault,
		vault.Factor{ID: "f", Kind: kind, Key: hidden, Data: []byte(hidden), Secret: []byte(hidden)},
		&vault.Factor{Secret: []byte(hidden)}, []*vault.Factor{{Secret: []byte(hidden)}},
		vault.Challenge{Data: []byte(hidden), Secret: []byte(hidden)},
		struct{ S vault.Secret }{hidden}, map[string]vault.Secret{"k": hidden},
		vault.Summary{Factors: []vault.Factor{{Data: []byte(hidden)}}})
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		s := a.Scope(kind, "", "")
		f, err := s.Add(vault.Factor{Secret: []byte(hidden)})
		must(t, err)
		all = append(all, f)
		for _, v := range []any{a, s} {
			look(t, v, hidden)
		}
		return nil
	}))
	for _, v := range all {
		look(t, v, hidden)
	}
	if vault.Secret(hidden).Reveal() != hidden {
		t.Error("Reveal does not reveal")
	}
}

func look(t *testing.T, v any, hidden string) {
	t.Helper()
	var buf bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&buf, format+"\n", v)
	}
	if j, err := json.Marshal(v); err == nil {
		buf.Write(j)
	}
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "v", v)
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "v", v)
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprint([]byte(hidden)), base64.StdEncoding.EncodeToString([]byte(hidden))} {
		if strings.Contains(buf.String(), strings.Trim(form, "[]")) {
			t.Errorf("%T shows %q: %s", v, form, buf.String())
		}
	}
}

func TestClockIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	for _, year := range []int{1, 1970, 2019, 10000} {
		v, err := vault.Open(b.store, b.keys, &vault.Options{Now: func() time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }})
		must(t, err)
		_, err = v.View(t.Context(), "u")
		wantErr(t, err, vault.ErrClock)
		wantErr(t, guess(t, v, "u", "secret"), vault.ErrClock)
	}
}

// A clock that ran a year ahead and was set back leaves nothing that lasts.
func TestClockJump(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	b := newBench(t)
	enroll(t, b.Vault, "u")
	b.clock.Advance(year)
	for range vault.Burst {
		_ = guess(t, b.Vault, "u", "wrong")
	}
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		a.Allow("x", vault.Limit{N: 1, Per: time.Hour})
		for i := range 20 {
			a.Spend(fmt.Sprint(i), a.Now(), 10*time.Minute)
		}
		_, err := a.Scope(kind, "c", "f").Draft(vault.Factor{}, 10*time.Minute)
		must(t, err)
		return a.Scope(kind, "c", "f").Issue(vault.Challenge{Expires: a.Now().Add(time.Minute)})
	}))
	future := b.clock.Now()
	b.clock.Advance(-year)
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if s.Tries.Wait > time.Hour+2*time.Minute || s.Drafts != 0 {
		t.Errorf("after the jump: %+v", s)
	}
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		if a.Live("new", future) {
			t.Error("a token of the future is live")
		}
		if _, ok := a.Scope(kind, "c", "f").Take("", "", ""); ok {
			t.Error("a challenge of the future was taken")
		}
		return nil
	}))
	wantErr(t, guess(t, b.Vault, "u", "wrong"), vault.ErrTooMany) // still paused, from now
	_, err = vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (struct{}, error) {
		if !a.Live("new", a.Now()) {
			t.Error("a watermark of the future stops today's tokens")
		}
		return struct{}{}, nil
	})
	must(t, err)
	b.clock.Advance(31 * time.Second)
	must(t, guess(t, b.Vault, "u", "secret"))
	// the sixteen of the future take no room from those of now
	start := b.clock.Now()
	for i := range 16 {
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			if !a.Live("first", start) {
				t.Errorf("dead after %d others were spent", i)
			}
			a.Spend(fmt.Sprint("now", i), a.Now(), 10*time.Minute)
			return nil
		}))
		b.clock.Advance(time.Second)
	}
	b.clock.Advance(time.Hour)
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		if wait, ok := a.Allow("x", vault.Limit{N: 1, Per: time.Hour}); !ok {
			t.Errorf("refused for %v", wait)
		}
		return nil
	}))
}

// A clock that ran ahead for a while makes nothing good again that was spent.
func TestSpentAcrossAClockJump(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	issued := b.clock.Now()
	spend := func(id string) {
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Spend(id, a.Now(), 10*time.Minute); return nil }))
	}
	b.clock.Advance(time.Minute)
	spend("used")
	b.clock.Advance(24 * time.Hour)
	spend("on the wrong day")
	b.clock.Advance(-24 * time.Hour)
	live := func(id string, issued time.Time) bool {
		ok, err := vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (bool, error) { return a.Live(id, issued), nil })
		must(t, err)
		return ok
	}
	if live("used", issued) {
		t.Error("a spent token is good again")
	}
	b.clock.Advance(time.Second)
	if !live("new", b.clock.Now()) {
		t.Error("a new one is dead")
	}
}

// A ceremony that was resumed has several tokens: when its spent ID is
// forgotten, all of them stay dead.
func TestSpentCeremonyStaysSpent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	first := b.clock.Now()
	b.clock.Advance(3 * time.Minute)
	second := b.clock.Now()
	b.clock.Advance(time.Minute)
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Spend("ceremony", first, 10*time.Minute); return nil }))
	for i := range 20 {
		b.clock.Advance(time.Second)
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			a.Spend(fmt.Sprint(i), a.Now(), 10*time.Minute)
			if a.Live("ceremony", second) {
				t.Errorf("good again after %d more", i+1)
			}
			return nil
		}))
	}
}
