// The library itself, over a store in memory that counts: what each call costs,
// and how people live through a day.
package scale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

// A cost is what the store was asked for. Saves that lost are among them.
type cost struct{ loads, saves, owners, claims int64 }

func (c cost) plus(o cost) cost {
	return cost{c.loads + o.loads, c.saves + o.saves, c.owners + o.owners, c.claims + o.claims}
}

func (c cost) times(n int64) cost {
	return cost{c.loads * n, c.saves * n, c.owners * n, c.claims * n}
}

// A counting store counts what it is asked for, and the saves by place.
type counting struct {
	store.Store
	loads, saves, owners, claims atomic.Int64
	buckets                      [buckets]atomic.Int64
	citus, vitess                [shards]atomic.Int64
	listed                       atomic.Int64
}

func (s *counting) Load(ctx context.Context, userID string) (store.Record, error) {
	s.loads.Add(1)
	return s.Store.Load(ctx, userID)
}

func (s *counting) Apply(ctx context.Context, c store.Change) error {
	s.saves.Add(1)
	s.claims.Add(int64(len(c.Claim)))
	p := placeOf([]byte(c.UserID))
	s.buckets[p.bucket].Add(1)
	s.citus[p.citus].Add(1)
	s.vitess[p.vitess].Add(1)
	return s.Store.Apply(ctx, c)
}

func (s *counting) Owner(ctx context.Context, key string) (string, error) {
	s.owners.Add(1)
	return s.Store.Owner(ctx, key)
}

func (s *counting) UserIDs(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	s.listed.Add(1)
	return s.Store.(store.Lister).UserIDs(ctx, cursor, limit)
}

// cost returns what was asked for since the last time.
func (s *counting) cost() cost {
	return cost{s.loads.Swap(0), s.saves.Swap(0), s.owners.Swap(0), s.claims.Swap(0)}
}

// A house is a store with processes of an application over it.
type house struct {
	*mfatest.Kit
	t       testing.TB
	keys    vault.Keys
	count   *counting
	codes   *backupcodes.Options
	enrolls *mfa.Guard // where people enrol
}

// newHouse returns one whose backup codes are those of the defaults, or quick to
// make: the store sees no difference.
func newHouse(t testing.TB, quick bool) *house {
	t.Helper()
	keys, err := vault.NewKey()
	must(t, err)
	h := &house{Kit: mfatest.New(t), t: t, keys: keys}
	if quick {
		h.codes = &backupcodes.Options{Chars: 24}
	}
	h.count = &counting{Store: h.Store}
	h.Vault = h.vault(0)
	h.enrolls = h.guard(h.Vault)
	return h
}

func (h *house) vault(cache int) *vault.Vault {
	h.t.Helper()
	v, err := vault.Open(h.count, h.keys, &vault.Options{Now: h.Clock.Now, Cache: cache})
	must(h.t, err)
	return v
}

func (h *house) guard(v *vault.Vault) *mfa.Guard {
	h.t.Helper()
	g, err := mfa.New(v, mfa.Config{
		Service: mfatest.Service,
		Methods: []mfa.Method{webauthn.New(mfatest.Origin, nil), totp.New(nil), emailotp.New(h.Mail, nil), backupcodes.New(h.codes)},
		Users: func(_ context.Context, id string) (mfa.User, error) {
			return mfa.User{ID: id, Policy: mfa.Policy{PasskeyAlone: true}}, nil
		},
	})
	must(h.t, err)
	return g
}

// settle makes user i, with what the person has.
func (h *house) settle(i int, s person) *mfatest.Person {
	h.t.Helper()
	kinds := [sorts][]mfa.Kind{app: {totp.Kind}, mail: {emailotp.Kind}, keys: {totp.Kind, webauthn.Kind}, passkeys: {webauthn.Kind}}[s]
	p := h.Enroll(h.enrolls, userID(i), kinds...)
	if keysOf[s] == 2 {
		p.StepUp(h.enrolls, kinds[0])
		must(h.t, addKey(h.t.Context(), h.enrolls, p))
	}
	return p
}

// addKey enrols another key, which the person uses from then on.
func addKey(ctx context.Context, g *mfa.Guard, p *mfatest.Person) error {
	p.Use(mfatest.NewAuthenticator(mfatest.Origin))
	e, err := g.Settings(p.Session()).Enroll(ctx, mfa.NewFactor{Kind: webauthn.Kind, Name: "Security key"})
	if err != nil {
		return err
	}
	c, err := g.Settings(p.Session()).Confirm(ctx, e.ID, p.Scan(e))
	if err == nil {
		p.Keep(c.Session)
	}
	return err
}

// A call is one of the library.
type call int

const (
	begin call = iota
	challenge
	wrong
	answer
	enroll
	confirm
	calls
)

var callNames = [calls]string{"Begin", "Challenge", "wrong Verify", "Verify", "Enroll", "Confirm"}

// calls are those of a sign-in, in their order.
func (e signIn) calls() []call {
	c := []call{begin}
	if e.way == byMail || e.way == byKey {
		c = append(c, challenge)
	}
	for range e.wrong {
		c = append(c, wrong)
	}
	c = append(c, answer)
	if e.way == adding {
		c = append(c, enroll, confirm)
	}
	return c
}

// A visit is a sign-in under way.
type visit struct {
	h          *house
	p          *mfatest.Person
	way        way
	pending    *mfa.Pending
	challenge  *mfa.Challenge
	session    *mfa.Session
	enrollment *mfa.Enrollment
	ready      *mfa.Answer // what will be answered; nil: what the person says then
}

var kindOf = [ways]mfa.Kind{totp.Kind, emailotp.Kind, webauthn.Kind, webauthn.Kind, backupcodes.Kind, totp.Kind}

// do makes one call, in the process of g: what went before may have been in
// another.
func (v *visit) do(ctx context.Context, g *mfa.Guard, c call) (err error) {
	if v.pending != nil && c != begin && c != enroll && c != confirm {
		resume := g.Resume
		if v.way == alone {
			resume = func(token string) (*mfa.Pending, error) { return g.ResumePasskey(token, "") }
		}
		if v.pending, err = resume(v.pending.Token()); err != nil {
			return err
		}
	}
	switch c {
	case begin:
		if v.way == alone {
			v.pending, v.challenge, err = g.BeginPasskey(ctx, mfa.PasskeySignIn{})
			return err
		}
		login, err := g.Begin(ctx, mfa.FirstFactor{UserID: v.p.UserID, By: mfa.ByPassword})
		if err == nil && login.Pending == nil {
			err = errors.New("no second step")
		}
		if err != nil {
			return err
		}
		v.pending = login.Pending
	case challenge:
		v.challenge, err = v.pending.Challenge(ctx, mfa.Offer{Kind: kindOf[v.way]})
		return err
	case wrong:
		_, err = v.pending.Verify(ctx, mfa.Answer{Kind: kindOf[v.way], Code: v.wrongCode()})
		if !errors.Is(err, mfa.ErrInvalid) {
			return fmt.Errorf("a wrong code: %w", err)
		}
		return nil
	case answer:
		login, err := v.pending.Verify(ctx, v.answer())
		if err == nil && login.Session == nil {
			err = errors.New("not signed in")
		}
		if err != nil {
			return err
		}
		v.session = login.Session
	case enroll:
		v.p.Use(mfatest.NewAuthenticator(mfatest.Origin))
		v.enrollment, err = g.Settings(g.Session(v.p.UserID, v.session.Token())).Enroll(ctx, mfa.NewFactor{Kind: webauthn.Kind, Name: "Security key"})
		return err
	case confirm:
		_, err = g.Settings(g.Session(v.p.UserID, v.session.Token())).Confirm(ctx, v.enrollment.ID, v.p.Scan(v.enrollment))
		return err
	}
	return nil
}

func (v *visit) answer() mfa.Answer {
	if v.ready != nil {
		return *v.ready
	}
	switch k := kindOf[v.way]; k {
	case totp.Kind:
		return mfa.Answer{Kind: k, Code: v.p.App().Code(v.h.Clock.Now())}
	case webauthn.Kind:
		return v.p.Answer(k, v.challenge)
	default:
		return v.p.Answer(k)
	}
}

// wrongCode is none that the person could type now.
func (v *visit) wrongCode() string {
	right := map[string]bool{}
	if a := v.p.App(); a != nil {
		for step := -1; step <= 1; step++ {
			right[a.Code(v.h.Clock.Now().Add(time.Duration(step)*a.Period))] = true
		}
	}
	mails := v.h.Mail.To(v.p.Address)
	for _, m := range mails[max(0, len(mails)-1):] {
		right[mfatest.Code(m.Message)] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !right[code] {
			return code
		}
	}
}

// A step is what one call asks of the store: reads that are made in any case,
// and updates, each of which reads besides where the record is not in the cache.
type step struct{ reads, updates, owners, claims int64 }

// prices are what everything costs, by real calls.
type prices struct {
	of     [ways][calls]step
	miss   cost         // an update whose record is not cached, here
	stale  cost         // one whose cached record was overtaken
	blind  cost         // one whose cached record is from before what the update rests on
	hammer [sorts]cost  // 24 hours of attempts by who has the password
	tries  int64        // of one such day
	sizes  [sorts]int64 // bytes of a sealed record
	reseal cost         // of one record
}

var measured struct {
	sync.Mutex
	prices *prices
}

// priced makes each call once with and once without a cache. It does so once.
func priced(t testing.TB) *prices {
	t.Helper()
	measured.Lock()
	defer measured.Unlock()
	if measured.prices == nil {
		measured.prices = measure(t)
	}
	return measured.prices
}

func measure(t testing.TB) *prices {
	t.Helper()
	ctx := t.Context()
	var p prices
	h := newHouse(t, true)
	cached, cold := h.guard(h.vault(0)), h.guard(h.vault(-1))
	for w := range ways {
		who := h.settle(int(w), [ways]person{app, mail, keys, passkeys, app, app}[w])
		e := signIn{way: w}
		if w == byApp || w == byMail {
			e.wrong = 1
		}
		sign := func(g *mfa.Guard) (got [calls]cost) {
			v := &visit{h: h, p: who, way: w}
			h.Clock.Advance(25 * time.Hour)
			for _, c := range e.calls() {
				h.count.cost()
				if err := v.do(ctx, g, c); err != nil {
					t.Fatalf("%s, %s: %v", wayNames[w], callNames[c], err)
				}
				got[c] = h.count.cost()
			}
			return got
		}
		sign(cached) // so that the cache has the record also of who signs in by a passkey
		warm := sign(cached)
		for c, without := range sign(cold) {
			with := warm[c]
			p.of[w][c] = step{with.loads, with.saves, with.owners, with.claims}
			with.loads += with.saves // each update reads
			if with != without {
				t.Errorf("%s, %s: %+v without a cache, want %+v", wayNames[w], callNames[c], without, with)
			}
		}
	}

	// An update of a record that is not cached, or that another process changed.
	who := h.settle(100, app)
	update := func(g *mfa.Guard, before func()) cost {
		h.Clock.Advance(25 * time.Hour)
		v := &visit{h: h, p: who}
		must(t, v.do(ctx, g, begin))
		before()
		h.count.cost()
		must(t, v.do(ctx, g, wrong))
		return h.count.cost()
	}
	p.miss = update(cold, func() {})
	p.stale = update(cached, func() {
		v := &visit{h: h, p: who}
		must(t, v.do(ctx, cold, begin))
		must(t, v.do(ctx, cold, wrong))
	})

	who = h.settle(101, mail)
	h.Clock.Advance(25 * time.Hour)
	v := &visit{h: h, p: who, way: byMail}
	must(t, v.do(ctx, cached, begin))
	must(t, v.do(ctx, cold, challenge))
	h.count.cost()
	must(t, v.do(ctx, cached, answer))
	p.blind = h.count.cost()

	for s := range sorts {
		h.Clock.Advance(25 * time.Hour)
		who := h.settle(200+int(s), s)
		h.Clock.Advance(25 * time.Hour)
		h.count.cost()
		p.tries = 0
		for at := time.Duration(0); at < 24*time.Hour; at += hammerPeriod {
			p.tries += h.hammer(cached, who, s)
			h.Clock.Advance(hammerPeriod)
		}
		p.hammer[s] = h.count.cost()
	}

	h = newHouse(t, false)
	for s := range sorts {
		h.settle(int(s), s)
	}
	h.Clock.Advance(25 * time.Hour)
	for s := range sorts {
		p.sizes[s] = int64(h.size(userID(int(s))))
	}

	more, err := vault.NewKey()
	must(t, err)
	h.keys = more + "," + h.keys
	h.count.cost()
	done, err := h.vault(0).Reseal(ctx, nil)
	must(t, err)
	if done.Resealed != int(sorts) || done.Failed != 0 {
		t.Errorf("resealed: %+v, want %d", done, sorts)
	}
	c := h.count.cost()
	p.reseal = cost{loads: c.loads / int64(sorts), saves: c.saves / int64(sorts)}
	return &p
}

func (h *house) size(id string) int {
	h.t.Helper()
	s, err := h.Vault.View(h.t.Context(), id)
	must(h.t, err)
	return s.Size
}

// hammer is one attempt of somebody who has the password and nothing else: every
// kind there is, and then the sign-in is given up. It returns the codes tried.
func (h *house) hammer(g *mfa.Guard, p *mfatest.Person, s person) (tried int64) {
	h.t.Helper()
	ctx := h.t.Context()
	refused := func(err error) {
		h.t.Helper()
		if err == nil || !errors.Is(err, mfa.ErrRejected) {
			h.t.Fatalf("an attempt of an attacker: %v", err)
		}
	}
	v := &visit{h: h, p: p}
	must(h.t, v.do(ctx, g, begin))
	if s == mail {
		if _, err := v.pending.Challenge(ctx, mfa.Offer{Kind: emailotp.Kind}); err != nil {
			refused(err)
		}
	}
	for _, a := range [sorts][]mfa.Answer{
		app: {{Kind: totp.Kind}}, mail: {{Kind: emailotp.Kind}}, keys: {{Kind: totp.Kind}},
	}[s] {
		a.Code = v.wrongCode()
		_, err := v.pending.Verify(ctx, a)
		refused(err)
		tried++
	}
	_, err := v.pending.Verify(ctx, mfa.Answer{Kind: backupcodes.Kind, Code: "0123456789ABCDEFGHJKMNPQ"})
	refused(err)
	if err := v.pending.Cancel(ctx); err != nil {
		refused(err)
	}
	return tried + 1
}

// others is a store in which everybody else has the record of one user. It
// opens for nobody, but takes its place in a cache.
type others struct {
	store.Store
	one  string
	data []byte
}

func (s others) Load(ctx context.Context, userID string) (store.Record, error) {
	if userID == s.one {
		return s.Store.Load(ctx, userID)
	}
	return store.Record{Version: 1, Data: append([]byte(nil), s.data...)}, nil
}
