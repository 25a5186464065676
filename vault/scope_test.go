package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/vault"
)

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestScopeEndsWithTheChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	var kept []*vault.Scope
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		kept = append(kept, a.Scope(kind, "", ""))
		err := a.Guess(kind, "sign-in", "", func(s *vault.Scope) error { kept = append(kept, s); return nil })
		if !panics(func() { kept[1].Factors() }) {
			t.Error("the Scope of Guess outlives it")
		}
		return err
	}))
	for i, s := range kept {
		for what, f := range map[string]func(){
			"Now":        func() { s.Now() },
			"Factors":    func() { s.Factors() },
			"Add":        func() { _, _ = s.Add(vault.Factor{}) },
			"Draft":      func() { _, _ = s.Draft(vault.Factor{}, time.Minute) },
			"Drafted":    func() { s.Drafted("") },
			"Drafts":     func() { s.Drafts() },
			"Extend":     func() { s.Extend("", time.Minute) },
			"Activate":   func() { _, _ = s.Activate("") },
			"Remove":     func() { s.Remove("") },
			"Issue":      func() { _ = s.Issue(vault.Challenge{}) },
			"Take":       func() { s.Take("", "", "") },
			"Challenges": func() { s.Challenges() },
			"MAC":        func() { s.MAC("") },
			"Taken":      func() { s.Taken("") },
			"Allow":      func() { s.Allow("") },
			"Refund":     func() { s.Refund("", time.Time{}) },
			"AfterSave":  func() { s.AfterSave(nil) },
			"Once":       func() { _, _ = s.Once("", nil) },
		} {
			if !panics(f) {
				t.Errorf("scope %d: %s works after the change returned", i, what)
			}
		}
	}
}

// A factor sees its own kind alone.
func TestScopeSeesItsOwnKind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := enroll(t, b.Vault, "u")
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		mine := a.Scope(kind, "sign-in", "f")
		must(t, mine.Issue(vault.Challenge{FactorID: id, Expires: b.clock.Now().Add(time.Minute)}))
		d, err := mine.Draft(vault.Factor{}, time.Minute)
		must(t, err)
		return a.Guess("other", "sign-in", "f", func(s *vault.Scope) error {
			_, taken := s.Take(id, "f", "sign-in")
			_, err := s.Activate(d.ID)
			if len(s.Factors()) != 0 || s.Factor(id) != nil || s.Drafted(d.ID) != nil || len(s.Challenges()) != 0 ||
				taken || s.Remove(id) || err == nil {
				t.Error("another kind reaches what is not its own")
			}
			if bytes.Equal(s.MAC("x"), mine.MAC("x")) {
				t.Error("two kinds share a MAC")
			}
			return nil
		})
	}))
}

func TestDrafts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	draft := func(flow string) string {
		id, err := vault.Update(t.Context(), b.Vault, "u", func(a *vault.Account) (string, error) {
			f, err := a.Scope(kind, "confirm", flow).Draft(vault.Factor{Secret: []byte("s")}, 10*time.Minute)
			if err != nil {
				return "", err
			}
			return f.ID, nil
		})
		must(t, err)
		return id
	}
	seen := func(flow, id string) (found bool) {
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			found = a.Scope(kind, "confirm", flow).Drafted(id) != nil
			return nil
		}))
		return found
	}
	first := draft("one")
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if len(s.Factors) != 0 || s.Drafts != 1 {
		t.Fatalf("a draft is active: %+v", s)
	}
	if !seen("one", first) || seen("two", first) || seen("", first) || seen("one", "x") {
		t.Error("a draft is not bound to the flow that began it")
	}
	// a second and third leave it, a fourth takes its place
	draft("two")
	draft("one")
	if !seen("one", first) {
		t.Error("a third draft voids the first")
	}
	last := draft("one")
	if seen("one", first) || !seen("one", last) {
		t.Error("more than three drafts are kept")
	}
	b.clock.Advance(10*time.Minute - time.Millisecond)
	if !seen("one", last) {
		t.Error("a draft ended early")
	}
	b.clock.Advance(time.Millisecond)
	if seen("one", last) {
		t.Error("a draft outlives its time")
	}
	wantErr(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		_, err := a.Scope(kind, "confirm", "one").Activate(last)
		return err
	}), vault.ErrExpired)
}

// Drafts lists what this flow began and can still confirm; Extend prolongs that
// and nothing else.
func TestDraftsOfAFlow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	draft := func(k vault.Kind, flow string, ttl time.Duration) (id string) {
		t.Helper()
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			f, err := a.Scope(k, "confirm", flow).Draft(vault.Factor{Data: []byte(flow), Secret: []byte("s")}, ttl)
			if err == nil {
				id = f.ID
			}
			return err
		}))
		return id
	}
	list := func(k vault.Kind, flow string) (ids []string) {
		t.Helper()
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			ids = nil
			for _, f := range a.Scope(k, "confirm", flow).Drafts() {
				if f.Secret != nil {
					t.Error("a draft shows its secret outside of Guess")
				}
				ids = append(ids, f.ID)
			}
			return nil
		}))
		return ids
	}
	extend := func(k vault.Kind, flow, id string, ttl time.Duration) {
		t.Helper()
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Scope(k, "confirm", flow).Extend(id, ttl); return nil }))
	}
	if list(kind, "one") != nil {
		t.Error("drafts of nobody")
	}
	first, foreign, other := draft(kind, "one", 4*time.Minute), draft("other", "one", 4*time.Minute), draft(kind, "two", 4*time.Minute)
	for _, c := range []struct {
		kind vault.Kind
		flow string
		want []string
	}{{kind, "one", []string{first}}, {"other", "one", []string{foreign}}, {kind, "two", []string{other}}, {kind, "", nil}, {"third", "one", nil}} {
		if got := list(c.kind, c.flow); !slices.Equal(got, c.want) {
			t.Errorf("%s %q: %v, want %v", c.kind, c.flow, got, c.want)
		}
	}
	// neither another kind nor another flow prolongs it, nor an unknown ID
	b.clock.Advance(3 * time.Minute)
	extend("other", "one", first, 10*time.Minute)
	extend(kind, "two", first, 10*time.Minute)
	extend(kind, "one", "unknown", 10*time.Minute)
	extend(kind, "one", first, 2*time.Minute)
	b.clock.Advance(2*time.Minute - time.Millisecond)
	if got := list(kind, "one"); !slices.Equal(got, []string{first}) || list(kind, "two") != nil || list("other", "one") != nil {
		t.Errorf("after five minutes %v, %v, %v", got, list(kind, "two"), list("other", "one"))
	}
	b.clock.Advance(time.Millisecond)
	extend(kind, "one", first, 10*time.Minute) // too late
	if got := list(kind, "one"); got != nil {
		t.Errorf("an expired draft is listed, or came back: %v", got)
	}
	last := draft(kind, "one", time.Minute)
	extend(kind, "one", last, 24*time.Hour)
	b.clock.Advance(vault.MaxDraft - time.Millisecond)
	if got := list(kind, "one"); !slices.Equal(got, []string{last}) {
		t.Errorf("a draft that was extended to MaxDraft: %v", got)
	}
	b.clock.Advance(time.Millisecond)
	if got := list(kind, "one"); got != nil {
		t.Errorf("a draft outlives MaxDraft: %v", got)
	}
	if a, c := draft(kind, "one", time.Minute), draft(kind, "one", time.Minute); !slices.Equal(list(kind, "one"), []string{a, c}) {
		t.Error("not oldest first")
	}
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if len(s.Factors) != 0 {
		t.Error("a draft is a factor")
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	do := func(f func(*vault.Account) error) { t.Helper(); must(t, update(t, b.Vault, "u", f)) }
	issue := func(flow, data string, ttl time.Duration) {
		do(func(a *vault.Account) error {
			return a.Scope(kind, "sign-in", flow).Issue(vault.Challenge{FactorID: "f", Data: []byte(data), Expires: a.Now().Add(ttl)})
		})
	}
	take := func(flow, purpose string) (data string, ok bool) {
		do(func(a *vault.Account) error {
			c, good := a.Scope(kind, "sign-in", flow).Take("f", "", purpose)
			data, ok = string(c.Data), good
			return nil
		})
		return data, ok
	}
	issue("one", "first", time.Minute)
	issue("one", "second", time.Minute) // replaces
	if _, ok := take("one", "step-up"); ok {
		t.Error("taken for another purpose")
	}
	if _, ok := take("two", ""); ok {
		t.Error("taken in another flow")
	}
	if data, ok := take("one", ""); !ok || data != "second" {
		t.Errorf("took %q %t", data, ok)
	}
	if _, ok := take("one", ""); ok {
		t.Error("taken twice")
	}
	issue("one", "late", time.Minute)
	b.clock.Advance(time.Minute)
	if _, ok := take("one", ""); ok {
		t.Error("an expired one was taken")
	}
	issue("long", "x", 24*time.Hour)
	b.clock.Advance(vault.MaxDraft)
	if _, ok := take("long", ""); ok {
		t.Error("a challenge outlives MaxDraft")
	}
	n := 0
	for ; n < 100; n++ {
		err := update(t, b.Vault, "u", func(a *vault.Account) error {
			return a.Scope(kind, "sign-in", fmt.Sprint(n)).Issue(vault.Challenge{Expires: a.Now().Add(time.Minute)})
		})
		if errors.Is(err, vault.ErrFull) {
			break
		}
		must(t, err)
	}
	if n >= 100 {
		t.Error("challenges grow without bound")
	}
	if _, ok := take("0", ""); ok {
		t.Error("of another factor")
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	allow := func() (wait time.Duration, ok bool) {
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			wait, ok = a.Scope(kind, "", "").Allow("send", vault.Limit{N: 1, Per: time.Minute}, vault.Limit{N: 3, Per: time.Hour})
			return nil
		}))
		return wait, ok
	}
	for i := range 3 {
		if wait, ok := allow(); !ok {
			t.Fatalf("use %d refused for %v", i, wait)
		}
		if wait, ok := allow(); ok || wait > time.Hour || wait <= 0 {
			t.Fatalf("use %d twice in a minute: %v %t", i, wait, ok)
		}
		b.clock.Advance(time.Minute)
	}
	if wait, ok := allow(); ok || wait != 57*time.Minute {
		t.Errorf("a fourth use in the hour: %v %t", wait, ok)
	}
	b.clock.Advance(57 * time.Minute)
	if _, ok := allow(); !ok {
		t.Error("refused after the time to wait")
	}
}

// A refund gives back the use at its time, of its own bucket, and no more than there
// is.
func TestRefund(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	limit := vault.Limit{N: 4, Per: time.Hour}
	do := func(f func(s *vault.Scope, a *vault.Account)) {
		t.Helper()
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error { f(a.Scope(kind, "", ""), a); return nil }))
	}
	left := func() (n int) { // how many of four are left
		t.Helper()
		boom := errors.New("look only")
		wantErr(t, update(t, b.Vault, "u", func(a *vault.Account) error {
			for n = 0; n < 4; n++ {
				if _, ok := a.Scope(kind, "", "").Allow("send", limit); !ok {
					break
				}
			}
			return boom
		}), boom)
		return n
	}
	// latest asks when the next use is allowed where one an hour is: an hour after
	// the latest
	latest := func() (at time.Time) {
		t.Helper()
		do(func(s *vault.Scope, _ *vault.Account) {
			wait, ok := s.Allow("send", vault.Limit{N: 1, Per: time.Hour})
			if ok {
				t.Error("nothing is used")
			}
			at = s.Now().Add(wait - time.Hour)
		})
		return at
	}
	start := b.clock.Now()
	saves := b.store.applies.Load()
	do(func(s *vault.Scope, a *vault.Account) { s.Refund("send", start); a.Refund("x", start) })
	must(t, update(t, b.Vault, "nobody", func(a *vault.Account) error {
		a.Refund("x", start)
		a.Scope(kind, "", "").Refund("send", start)
		return nil
	}))
	if n := b.store.applies.Load() - saves; n != 0 || left() != 4 {
		t.Errorf("refunding nothing: %d saves, %d left", n, left())
	}
	for range 3 { // at 0, 1 and 2 minutes
		do(func(s *vault.Scope, _ *vault.Account) { s.Allow("send", limit) })
		b.clock.Advance(time.Minute)
	}
	saves = b.store.applies.Load()
	do(func(s *vault.Scope, a *vault.Account) { // of others, and of times at which there was none
		s.Refund("other", start)
		a.Refund("send", start)
		a.Scope("another", "", "").Refund("send", start)
		s.Refund("send", start.Add(time.Millisecond))
		s.Refund("send", start.Add(-time.Millisecond))
		s.Refund("send", start.Add(90*time.Second))
		s.Refund("send", s.Now())
		s.Refund("send", time.Time{})
	})
	if n := b.store.applies.Load() - saves; n != 0 || left() != 1 {
		t.Errorf("refunds of what was not used: %d saves, %d left of 1", n, left())
	}
	// an older one, and once
	for range 2 {
		do(func(s *vault.Scope, _ *vault.Account) { s.Refund("send", start.Add(time.Minute)) })
		if at := latest(); left() != 2 || !at.Equal(start.Add(2*time.Minute)) {
			t.Errorf("after the second of three was refunded: %d left, the latest at %v", left(), at.Sub(start))
		}
	}
	// the latest: what is left is the oldest
	do(func(s *vault.Scope, _ *vault.Account) { s.Refund("send", start.Add(2*time.Minute)) })
	if at := latest(); left() != 3 || !at.Equal(start) {
		t.Errorf("after the latest was refunded: %d left, the latest at %v", left(), at.Sub(start))
	}
	do(func(s *vault.Scope, _ *vault.Account) { s.Refund("send", start) })
	if left() != 4 {
		t.Errorf("after all were refunded: %d left", left())
	}
	// of two in one millisecond one
	do(func(s *vault.Scope, _ *vault.Account) { s.Allow("send", limit); s.Allow("send", limit) })
	do(func(s *vault.Scope, _ *vault.Account) { s.Refund("send", s.Now()) })
	if left() != 3 {
		t.Errorf("one of two refunded: %d left of 3", left())
	}
	saves = b.store.applies.Load()
	do(func(s *vault.Scope, _ *vault.Account) { s.Allow("new", limit); s.Refund("new", s.Now()) })
	if n := b.store.applies.Load() - saves; n != 0 {
		t.Errorf("a use that is given back at once is written: %d saves", n)
	}
}

func TestUniqueKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	add := func(user, key string) (tries int, err error) {
		err = update(t, b.Vault, user, func(a *vault.Account) error {
			tries++
			s := a.Scope(kind, "", "")
			if s.Taken(key) {
				a.Renew() // the lost claim has its own consequences, which are saved
				return vault.ErrInvalid
			}
			_, err := s.Add(vault.Factor{Key: key})
			return err
		})
		return tries, err
	}
	_, err := add("a", "k")
	must(t, err)
	tries, err := add("b", "k")
	wantErr(t, err, vault.ErrInvalid)
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
	if s, err := b.View(t.Context(), "b"); err != nil || !s.Exists || len(s.Factors) != 0 {
		t.Errorf("the lost claim left %+v, %v", s, err)
	}
	if _, err := add("a", "k"); !errors.Is(err, vault.ErrRejected) {
		t.Errorf("the own key twice: %v", err)
	}
	for what, f := range map[string]func(a *vault.Account){
		"remove": func(a *vault.Account) { a.Remove(a.Factors()[0].ID) },
		"all":    func(a *vault.Account) { a.RemoveAll() },
	} {
		must(t, update(t, b.Vault, "a", func(a *vault.Account) error { f(a); return nil }))
		if _, err := b.Owner(t.Context(), kind, "k"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s leaves the key: %v", what, err)
		}
		_, err = add("a", "k")
		must(t, err)
	}
	// another kind's key of the same text is another key
	must(t, update(t, b.Vault, "c", func(a *vault.Account) error {
		_, err := a.Scope("other", "", "").Add(vault.Factor{Key: "k"})
		return err
	}))
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var last string
	epoch := func(what string, changes bool, f func(*vault.Account)) {
		t.Helper()
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error { f(a); return nil }))
		now, err := vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (string, error) { return a.Epoch(), nil })
		must(t, err)
		if (now != last) != changes {
			t.Errorf("%s: epoch changed %t, want %t", what, now != last, changes)
		}
		last = now
	}
	var id string
	epoch("draft", false, func(a *vault.Account) {
		f, err := a.Scope(kind, "", "").Draft(vault.Factor{}, time.Minute)
		must(t, err)
		id = f.ID
	})
	epoch("activate", true, func(a *vault.Account) { _, err := a.Scope(kind, "", "").Activate(id); must(t, err) })
	epoch("add", true, func(a *vault.Account) { _, err := a.Scope(kind, "", "").Add(vault.Factor{}); must(t, err) })
	epoch("use", false, func(a *vault.Account) { b.clock.Advance(time.Second); a.Used(id) })
	epoch("rename", false, func(a *vault.Account) { _, _ = a.Rename(id, "new") })
	epoch("challenge", false, func(a *vault.Account) {
		_ = a.Scope(kind, "x", "y").Issue(vault.Challenge{Expires: a.Now().Add(time.Minute)})
	})
	epoch("spend", false, func(a *vault.Account) { a.Spend("t", a.Now(), time.Minute) })
	epoch("remove", true, func(a *vault.Account) { a.Remove(id) })
	epoch("renew", true, func(a *vault.Account) { a.Renew() })
	epoch("remove all", true, func(a *vault.Account) { a.RemoveAll() })
}

// Nothing that was spent is ever good again, however many there are.
func TestSpent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	type token struct {
		id     string
		issued time.Time
	}
	var tokens []token
	live := func(tok token) (ok bool) {
		_, err := vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (struct{}, error) {
			ok = a.Live(tok.id, tok.issued)
			return struct{}{}, nil
		})
		must(t, err)
		return ok
	}
	for i := range 100 {
		tok := token{fmt.Sprint("token", i), b.clock.Now()}
		if !live(tok) {
			t.Fatalf("token %d is dead before it is spent", i)
		}
		must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Spend(tok.id, tok.issued, 10*time.Minute); return nil }))
		tokens = append(tokens, tok)
		for j, old := range tokens {
			if live(old) {
				t.Fatalf("after %d: token %d is good again", i, j)
			}
		}
		b.clock.Advance(time.Second)
	}
	if live(token{"new", b.clock.Now().Add(3 * time.Minute)}) {
		t.Error("a token of the future is live")
	}
	if !live(token{"new", b.clock.Now()}) {
		t.Error("a new token is dead")
	}
	s, err := b.View(t.Context(), "u")
	must(t, err)
	if s.Size > 1200 {
		t.Errorf("the record grew to %d bytes", s.Size)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	long := strings.Repeat("x", vault.MaxName+1)
	wantErr(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		_, err := a.Scope(kind, "", "").Add(vault.Factor{Name: long})
		return err
	}), vault.ErrFull)
	id := enroll(t, b.Vault, "u")
	wantErr(t, update(t, b.Vault, "u", func(a *vault.Account) error { _, err := a.Rename(id, long); return err }), vault.ErrFull)
	for _, user := range []string{"", strings.Repeat("u", 256)} {
		wantErr(t, update(t, b.Vault, user, func(*vault.Account) error { return nil }), store.ErrArgument)
		_, err := b.View(t.Context(), user)
		wantErr(t, err, store.ErrArgument)
		wantErr(t, b.Delete(t.Context(), user), store.ErrArgument)
	}
	// enrolment ends before signing in does
	for _, size := range []int{100, 2000} {
		n, user := 0, fmt.Sprint("u", size)
		for ; n < 100; n++ {
			err := update(t, b.Vault, user, func(a *vault.Account) error {
				_, err := a.Scope(kind, "", "").Add(vault.Factor{Data: make([]byte, size), Secret: []byte("secret")})
				return err
			})
			if errors.Is(err, vault.ErrFull) {
				break
			}
			must(t, err)
		}
		if n == 0 || n > 40 {
			t.Errorf("%d factors of %d bytes", n, size)
		}
		must(t, guess(t, b.Vault, user, "secret"))
		must(t, update(t, b.Vault, user, func(a *vault.Account) error { a.Spend("t", a.Now(), time.Hour); return nil }))
	}
	wantErr(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		a.Scope(kind, "", "").Factors()[0].Data = make([]byte, 17<<10)
		return nil
	}), vault.ErrFull)
	must(t, guess(t, b.Vault, "u", "secret"))
}

func TestMAC(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	enroll(t, b.Vault, "v")
	seen := map[string]string{}
	for _, user := range []string{"u", "v"} {
		for _, k := range []vault.Kind{"a", "ab"} {
			for _, parts := range [][]string{{""}, {"", ""}, {"x"}, {"x", ""}, {"", "x"}, {"xy"}, {"x", "y"}, {"b", "x"}} {
				_, err := vault.Read(t.Context(), b.Vault, user, func(a *vault.Account) (struct{}, error) {
					s := a.Scope(k, "", "")
					m := string(s.MAC(parts[0], parts[1:]...))
					what := fmt.Sprintf("%s %s %q", user, k, parts)
					if other, ok := seen[m]; ok || len(m) != 32 {
						t.Errorf("%s and %s share a MAC of %d bytes", what, other, len(m))
					}
					seen[m] = what
					if !bytes.Equal(s.MAC(parts[0], parts[1:]...), []byte(m)) {
						t.Error("a MAC changes")
					}
					return struct{}{}, nil
				})
				must(t, err)
			}
		}
	}
}

// Slow work is done once for one answer, however often the change is tried.
func TestOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	other := b.another(t, b.keys)
	ran, tries := 0, 0
	work := func() ([]byte, error) { ran++; return []byte{byte(ran)}, nil }
	var got []byte
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		if tries++; tries < 4 {
			must(t, update(t, other, "u", name(fmt.Sprint(tries))))
		}
		b, err := a.Scope(kind, "", "").Once("hash", work)
		got = append(got, b...)
		a.Spend("x", a.Now(), time.Minute)
		return err
	}))
	if ran != 1 || tries != 4 || slices.Max(got) != 1 {
		t.Errorf("ran %d times in %d tries: %v", ran, tries, got)
	}
	must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
		_, err := a.Scope(kind, "", "").Once("hash", work)
		return err
	}))
	if ran != 2 {
		t.Error("remembered beyond its Update")
	}
}

// what bears no epoch, because nobody knew whose it would be, ends with one
// too, whatever was issued after it is good at once, and the record remembers.
func TestEpochEndsWhatBearsNone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(a *vault.Account, id string){
		"add":        func(a *vault.Account, _ string) { _, _ = a.Scope(kind, "", "").Add(vault.Factor{}) },
		"remove":     func(a *vault.Account, id string) { a.Remove(id) },
		"renew":      func(a *vault.Account, _ string) { a.Renew() },
		"remove all": func(a *vault.Account, _ string) { a.RemoveAll() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := enroll(t, b.Vault, "u")
			live := func(v *vault.Vault, issued time.Time) bool {
				ok, err := vault.Read(t.Context(), v, "u", func(a *vault.Account) (bool, error) { return a.LiveWithoutEpoch("token", issued), nil })
				must(t, err)
				return ok
			}
			issued := b.clock.Now()
			if !live(b.Vault, issued) {
				t.Error("dead in the millisecond of the last one")
			}
			b.clock.Advance(time.Millisecond)
			must(t, update(t, b.Vault, "u", func(a *vault.Account) error {
				end(a, id)
				if a.LiveWithoutEpoch("token", issued) || !a.LiveWithoutEpoch("token", a.Now()) {
					t.Error("not decided by the change itself")
				}
				return nil
			}))
			for where, v := range map[string]*vault.Vault{"here": b.Vault, "in another process": b.another(t, b.keys)} {
				if live(v, issued) {
					t.Errorf("%s: good after it", where)
				}
				for _, later := range []time.Duration{0, time.Millisecond, time.Minute} {
					if !live(v, b.clock.Now().Add(later)) {
						t.Errorf("%s: what was issued %v later is dead", where, later)
					}
				}
			}
			// of everything between, and for good
			b.clock.Advance(20 * time.Minute)
			must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Spend("another", a.Now(), 10*time.Minute); return nil }))
			if live(b.Vault, issued) {
				t.Error("good again after another was spent")
			}
		})
	}
}

// A clock that ran ahead while an epoch began stops nothing that is issued today.
func TestEpochOfAClockThatRanAhead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	enroll(t, b.Vault, "u")
	renew := func() { must(t, update(t, b.Vault, "u", func(a *vault.Account) error { a.Renew(); return nil })) }
	live := func(issued time.Time) bool {
		ok, err := vault.Read(t.Context(), b.Vault, "u", func(a *vault.Account) (bool, error) { return a.LiveWithoutEpoch("token", issued), nil })
		must(t, err)
		return ok
	}
	b.clock.Advance(24 * time.Hour)
	renew()
	b.clock.Advance(-24 * time.Hour)
	issued := b.clock.Now()
	if !live(issued) {
		t.Error("an epoch of the future stops today's tokens")
	}
	b.clock.Advance(time.Second)
	renew()
	if live(issued) {
		t.Error("the clock is right again, and an epoch ends nothing")
	}
	if !live(b.clock.Now()) {
		t.Error("dead in the millisecond of the new one")
	}
}
