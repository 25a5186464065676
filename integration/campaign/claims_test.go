package campaign

// One credential, several users: one of them keeps it, and the others
// are told so, also when a process dies on the way.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

const claimants = 16

// registers begins a registration and returns the request that completes it with
// that credential, as somebody can who makes an authenticator say what it is told
// to.
func registers(t testing.TB, i *instance, p *mfatest.Person, credential []byte) attempt {
	t.Helper()
	e, err := i.guard.Settings(p.Session()).Enroll(t.Context(), mfa.NewFactor{Kind: webauthn.Kind})
	if err != nil {
		t.Fatal(err)
	}
	liar := mfatest.NewAuthenticator(mfatest.Origin) // a new one: the others are excluded
	liar.Forge = func(f *mfatest.Forgery) { f.CredentialID = credential }
	p.Use(liar)
	return attempt{
		Kind: webauthn.Kind, User: p.UserID, Session: p.Session().Token(), Enrollment: e.ID, Credential: p.Scan(e).Credential,
	}
}

// has reports whether the user has a factor with that key.
func (i *instance) has(t testing.TB, userID string, key []byte) bool {
	t.Helper()
	s, err := i.vault.View(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Factors {
		if f.Key == string(key) {
			return true
		}
	}
	return false
}

// contest lets all of them register one credential at once and returns what is
// wrong with the outcome.
func contest(t testing.TB, h *house, i *instance, cs []*mfatest.Person, posts []post, n int) (wrong []string) {
	t.Helper()
	complain := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("round %d: ", n)+fmt.Sprintf(format, args...))
	}
	if n%3 == 0 { // as many drafts as there may be, then others
		h.Clock.Advance(aDay)
		for _, c := range cs {
			c.SignIn(i.guard, totp.Kind)
		}
	}
	credential := fmt.Appendf(nil, "a credential of round %08d", n)
	var attempts []attempt
	for _, c := range cs {
		attempts = append(attempts, registers(t, i, c, credential))
	}
	sum, answers := raceFor(t, posts, attempts, 0)
	if sum.count[accepted] != 1 || sum.count[taken] != len(cs)-1 {
		complain("%v", sum)
	}
	if sum.inside < len(cs) {
		complain("only %d of %d in flight: this was no race", sum.inside, len(cs))
	}
	winner := (*mfatest.Person)(nil)
	for k, c := range cs {
		won := answers[k].Verdict == accepted
		if won {
			winner = c
			c.Keep(i.guard.Session(c.UserID, answers[k].Session))
		}
		if i.has(t, c.UserID, credential) != won {
			complain("%s was told %q and has the key: %v", c.UserID, answers[k].Verdict, !won)
		}
	}
	if winner == nil {
		return wrong
	}
	if owner, err := i.vault.Owner(t.Context(), webauthn.Kind, string(credential)); err != nil || owner != winner.UserID {
		complain("%s has the key, and the store says %q (%v)", winner.UserID, owner, err)
	}

	// What was answered once is used, also when the key is free again.
	loser, again := cs[n%len(cs)], attempts[n%len(cs)]
	if loser == winner {
		loser, again = cs[(n+1)%len(cs)], attempts[(n+1)%len(cs)]
	}
	if v := again.by(t.Context(), i.guard).Verdict; v != expired {
		complain("an answer for the second time: %s", v)
	}
	remove := func(p *mfatest.Person) {
		s, err := i.vault.View(t.Context(), p.UserID)
		if err != nil {
			t.Fatal(err)
		}
		last := s.Factors[len(s.Factors)-1]
		b := attempt{Do: removing, User: p.UserID, Session: p.Session().Token(), Factor: last.ID}.by(t.Context(), i.guard)
		if b.Verdict != accepted || last.Key != string(credential) {
			complain("%s removes the key: %s", p.UserID, b.Verdict)
		}
		p.Keep(i.guard.Session(p.UserID, b.Session))
	}
	remove(winner)
	if v := again.by(t.Context(), i.guard).Verdict; v != expired {
		complain("an answer for the third time, the key being free: %s", v)
	}
	if n%5 == 0 {
		b := registers(t, i, loser, credential).by(t.Context(), i.guard)
		if b.Verdict != accepted {
			complain("a key that is free again: %s", b.Verdict)
			return wrong
		}
		loser.Keep(i.guard.Session(loser.UserID, b.Session))
		remove(loser)
	}
	return wrong
}

func contests(t testing.TB, h *house, posts []post, rounds int) (wrong []string) {
	t.Helper()
	i := h.instance(t)
	var cs []*mfatest.Person
	for k := range claimants {
		cs = append(cs, h.Enroll(i.guard, fmt.Sprintf("user-%d", k)))
	}
	for n := range rounds {
		if wrong = contest(t, h, i, cs, posts, n); len(wrong) > 0 {
			return wrong // what comes after it says nothing
		}
	}
	return nil
}

// Sixteen users, one credential, fifty times, from three processes.
func TestOneCredentialOneUser(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		for _, w := range contests(t, h, h.three(t), 50) {
			t.Error(w)
		}
	})
}

// The same on a store that takes no note of claims: several keep it, and are
// seen to.
func TestClaimsSeeAForgetfulStore(t *testing.T) {
	h := newHouse(t, "")
	h.wrap = func(s store.Store) store.Store { return forgetful{s} }
	wrong := contests(t, h, h.locals(t, 3), 2)
	if len(wrong) == 0 {
		t.Error("nothing was seen")
	}
	t.Log(wrong)
}

// A forgetful store keeps no unique keys.
type forgetful struct{ store.Store }

func (s forgetful) Apply(ctx context.Context, c store.Change) error {
	c.Claim, c.Release = nil, nil
	return s.Store.Apply(ctx, c)
}

const counter mfa.Kind = "counter" // of a factor that is only there

// claim adds a factor with that key to the user, in place of the one that has it.
func claim(ctx context.Context, i *instance, userID, key string) error {
	_, err := vault.Update(ctx, i.vault, userID, func(a *vault.Account) (struct{}, error) {
		s := a.Scope(counter, "", "")
		if s.Taken(key) {
			return struct{}{}, webauthn.ErrRegistered
		}
		for _, f := range s.Factors() {
			if f.Key == key {
				s.Remove(f.ID)
			}
		}
		_, err := s.Add(vault.Factor{Key: key})
		return struct{}{}, err
	})
	return err
}

// To claim one's own key is no error: in place of the factor that has it, where
// a backup was restored that does not know of it, and from three instances at
// once.
func TestOwnKeyAgain(t *testing.T) {
	onEachStore(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		i := h.instance(t)
		st := h.open(t)
		if err := claim(ctx, i, "ada", "other"); err != nil {
			t.Fatal(err)
		}
		before, err := st.Load(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := claim(ctx, i, "ada", "key"); err != nil {
				t.Errorf("her own key: %v", err)
			}
		}
		now, err := st.Load(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		err = st.Apply(ctx, store.Change{UserID: "ada", Old: now.Version, New: 1 + now.Version>>1, Data: before.Data})
		if err != nil {
			t.Fatal(err)
		}
		i = h.instance(t)
		if i.has(t, "ada", []byte("key")) {
			t.Fatal("the record before was not restored: this is no test")
		}
		if err := claim(ctx, i, "ada", "key"); err != nil || !i.has(t, "ada", []byte("key")) {
			t.Errorf("her own key, of which a restored record knows nothing: %v", err)
		}
		errs := make(chan error)
		is := []*instance{i, h.instance(t), h.instance(t)}
		for n := range claimants {
			go func() { errs <- claim(context.Background(), is[n%len(is)], "ada", "key") }()
		}
		for range claimants {
			if err := <-errs; err != nil {
				t.Errorf("her own key, many times at once: %v", err)
			}
		}
		if err := claim(ctx, i, "bob", "key"); !errors.Is(err, webauthn.ErrRegistered) {
			t.Errorf("another's key: %v", err)
		}
	})
}

// blocked is the longest that a killed process may keep a key from others.
const blocked = time.Minute

// runClaimer claims a key. On Redis it stops before one of the commands that this
// takes, to be killed there or to go on when it gets a line.
func runClaimer(s processSetting, in io.Reader, out io.Writer) error {
	ctx := context.Background()
	st, err := servers.Open(ctx, s.URL)
	if err != nil {
		return err
	}
	defer st.Close()
	i, err := newInstance(st, vault.Keys(s.Keys), mfatest.NewClock(mfatest.Start()), 0, nil, totp.New(nil))
	if err != nil {
		return err
	}
	if err := claim(ctx, i, s.Users+" before", s.Users+" before"); err != nil { // so that the server knows the scripts
		return err
	}
	if st.Client != nil {
		st.Client.AddHook(&stopper{before: s.Stop, stop: func() {
			fmt.Fprintln(out, "stopped")
			bufio.NewReader(in).ReadString('\n')
		}})
	}
	if err := claim(ctx, i, s.Users, s.Users); err != nil {
		fmt.Fprintln(out, verdictOf(nil, err))
	} else {
		fmt.Fprintln(out, "done")
	}
	return nil
}

// A stopper stops a client before one of its commands.
type stopper struct {
	before int // so many have passed
	stop   func()
}

func (s *stopper) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *stopper) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *stopper) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s.before--; s.before == -1 {
			s.stop()
		}
		return next(ctx, cmd)
	}
}

// A claimer is a process that runs runClaimer for the key of a name and the user
// of the same name.
type claimer struct {
	*process
	said *bufio.Reader
}

func startClaimer(t *testing.T, h *house, name string, stop int) *claimer {
	t.Helper()
	p := startProcess(t, "claimer", processSetting{URL: h.url, Keys: string(h.keys), Users: name, Stop: stop})
	return &claimer{p, bufio.NewReader(p.stdout)}
}

// says returns what it says next.
func (c *claimer) says(t *testing.T) string {
	t.Helper()
	line, err := c.said.ReadString('\n')
	if err != nil {
		t.Fatalf("from the process: %v", err)
	}
	return strings.TrimSpace(line)
}

func (c *claimer) kill(t *testing.T) {
	t.Helper()
	if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	c.Wait()
}

// lapse ends what ends by itself, at once unless the large numbers are wanted,
// and returns what takes longer than it may.
func lapse(t *testing.T, st *servers.Store, prefix string) (longer []string) {
	t.Helper()
	var mu sync.Mutex
	var last time.Duration
	each := func(ctx context.Context, c *redis.Client) error {
		keys := c.Scan(ctx, 0, prefix+"*", 1000).Iterator()
		for keys.Next(ctx) {
			ttl, err := c.PTTL(ctx, keys.Val()).Result()
			if err != nil {
				return err
			}
			mu.Lock()
			if last = max(last, ttl); ttl > blocked {
				longer = append(longer, keys.Val())
			}
			mu.Unlock()
			if ttl > 0 && !long() {
				if err := c.Del(ctx, keys.Val()).Err(); err != nil {
					return err
				}
			}
		}
		return keys.Err()
	}
	var err error
	switch c := st.Client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), each)
	case *redis.Client:
		err = each(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if long() {
		time.Sleep(min(last, blocked)) // the server's clock is the real one
	}
	return longer
}

// prefix returns what the names begin with that the house's store gives.
func (h *house) prefix(t testing.TB) string {
	t.Helper()
	_, query, _ := strings.Cut(h.url, "?")
	values, err := url.ParseQuery(query)
	if err != nil || values.Get("prefix") == "" {
		t.Fatalf("no prefix (%v)", err)
	}
	return values.Get("prefix")
}

// A process is killed before each of the commands of a claim. Who comes next
// has the key, or is told that it was saved: its own user at once, others
// when a minute has passed. If the process was only slow, it comes too late.
func TestKilledBetweenClaimAndSave(t *testing.T) {
	onStores(t, at(servers.Redis, servers.RedisCluster), func(t *testing.T, h *house) {
		ctx := t.Context()
		i, st := h.instance(t), openAt(t, h.url)
		blocks, done := 0, false
		for n := 0; !done; n++ {
			for _, next := range []string{"herself", "another", "another, and it goes on"} {
				name := fmt.Sprintf("%d, %s", n, next)
				complain := func(format string, args ...any) {
					t.Helper()
					t.Errorf("before command "+name+": "+format, args...)
				}
				has := func(userID string) bool { return i.has(t, userID, []byte(name)) }
				p := startClaimer(t, h, name, n)
				done = p.says(t) == "done"
				if next != "another, and it goes on" {
					p.kill(t)
				}
				if next == "herself" {
					if err := claim(ctx, i, name, name); err != nil || !has(name) {
						complain("%v", err)
					}
					continue
				}
				saved, other := has(name), "other "+name
				if saved != done {
					complain("saved: %v, told so: %v", saved, done)
				}
				soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				err := claim(soon, i, other, name)
				cancel()
				switch {
				case err == nil && !saved, errors.Is(err, webauthn.ErrRegistered) && saved:
				case failure(err): // nothing is decided yet
					if !saved {
						blocks++
					}
				default:
					complain("at once (saved: %v): %v", saved, err)
				}
				for _, what := range lapse(t, st, h.prefix(t)) {
					complain("%q stays for longer than %v", what, blocked)
				}
				if err := claim(ctx, i, other, name); err != nil && !saved || saved && !errors.Is(err, webauthn.ErrRegistered) {
					complain("later (saved: %v): %v", saved, err)
				}
				if next == "another, and it goes on" && !done {
					fmt.Fprintln(p.stdin, "go on")
					if v := verdict(p.says(t)); v != taken && v != busy { // busy after a long time
						complain("it was too late, and was told %q", v)
					}
				}
				want := other
				if saved {
					want = name
				}
				if owner, err := i.vault.Owner(ctx, counter, name); err != nil || has(name) != saved || has(other) == saved || owner != want {
					complain("saved: %v; the first has it: %v, the other: %v; the store says %q (%v)", saved, has(name), has(other), owner, err)
				}
			}
		}
		if blocks == 0 {
			t.Error("it was never stopped between claim and save: this was no test")
		}
	})
}

// A noting store notes the keys that were claimed last.
type noting struct {
	store.Store
	claimed []string
}

func (s *noting) Apply(ctx context.Context, c store.Change) error {
	s.claimed = c.Claim
	return s.Store.Apply(ctx, c)
}

// The same in a transaction, which saves first: the process is killed while it
// waits for a key. Its record was not saved, and the next one has the key.
func TestKilledInTheTransaction(t *testing.T) {
	onStores(t, at(servers.PostgreSQL, servers.MariaDB), func(t *testing.T, h *house) {
		const name = "key"
		ctx := t.Context()
		i, st := h.instance(t), openAt(t, h.url)
		insert := `INSERT INTO ` + h.prefix(t) + `claim (claim_key, user_id) VALUES ($1, $2)`
		waiting := `SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%` + h.prefix(t) + `claim%'`
		if strings.HasPrefix(h.url, "mysql:") {
			insert = strings.NewReplacer("$1", "?", "$2", "?").Replace(insert)
			waiting = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND INFO LIKE '%` + h.prefix(t) + `claim%'`
		}
		elsewhere := newHouse(t, "")
		notes := &noting{Store: elsewhere.Store}
		if err := claim(ctx, elsewhere.instanceOver(t, notes, 0), "somebody", name); err != nil {
			t.Fatal(err)
		}

		tx, err := st.DB.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, insert, []byte(notes.claimed[0]), []byte("nobody yet")); err != nil {
			t.Fatal(err)
		}
		p := startClaimer(t, h, name, 0)
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) { // no server tells
			var n int
			if err := st.DB.QueryRowContext(ctx, waiting).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the process does not wait for the key: this was no test")
			}
		}
		p.kill(t)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = claim(ctx, i, "other", name)
		for errors.Is(err, vault.ErrBusy) && time.Since(began) < blocked {
			err = claim(ctx, i, "other", name)
		}
		if err != nil || !i.has(t, "other", []byte(name)) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if _, err := st.Load(ctx, name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("half of a change was saved (%v)", err)
		}
	})
}
