package perf

// Sign-ins over a network, beside the statements that peers send for the same.

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/integration/servers"
)

// A replay sends what two other servers send, in plain SQL over the same
// connection: prepared, and each durable write a transaction of its own. Nothing
// is computed on their side.
type replay struct {
	db *sql.DB
	n  int64 // checks so far

	// one server, an app's code
	configuration, counted, history, log, lastUsed *sql.Stmt

	// another one, an emailed code
	issue, attempt, code, used *sql.Stmt
	returning                  bool // attempt returns a row
}

// tables are theirs. (auto) and (bytes) differ.
const tables = `
CREATE TABLE (p)configuration (username VARCHAR(100) PRIMARY KEY, issuer VARCHAR(100), secret (bytes), created BIGINT, last_used BIGINT);
CREATE TABLE (p)history (id (auto), username VARCHAR(100) NOT NULL, step BIGINT NOT NULL);
CREATE INDEX (p)history_step ON (p)history (username, step);
CREATE TABLE (p)log (id (auto), at BIGINT, successful INTEGER, username VARCHAR(100), kind VARCHAR(20), address VARCHAR(50));
CREATE TABLE (p)code (id BIGINT PRIMARY KEY, username VARCHAR(100), hash (bytes), expires BIGINT, attempts INTEGER, used BIGINT)`

func newReplay(t testing.TB, k servers.Kind, db *sql.DB, prefix string) *replay {
	t.Helper()
	r := &replay{db: db, returning: k == servers.PostgreSQL}
	words := []string{"(p)", prefix + "peer_", "(auto)", "BIGINT AUTO_INCREMENT PRIMARY KEY", "(bytes)", "VARBINARY(64)"}
	if k == servers.PostgreSQL {
		words = []string{"(p)", prefix + "peer_", "(auto)", "BIGSERIAL PRIMARY KEY", "(bytes)", "BYTEA"}
	}
	text := func(s string) string {
		s = strings.NewReplacer(words...).Replace(s)
		for n := 1; k == servers.PostgreSQL && strings.Contains(s, "?"); n++ {
			s = strings.Replace(s, "?", fmt.Sprint("$", n), 1)
		}
		return s
	}
	for _, s := range strings.Split(tables, ";") {
		_, err := db.Exec(text(s))
		must(t, err)
	}
	_, err := db.Exec(text("INSERT INTO (p)configuration VALUES (?, ?, ?, ?, ?)"), userID, "Acme", random(48), 1, 1)
	must(t, err)

	prepare := func(s string) *sql.Stmt {
		st, err := db.Prepare(text(s))
		must(t, err)
		t.Cleanup(func() { st.Close() })
		return st
	}
	r.configuration = prepare("SELECT issuer, secret, last_used FROM (p)configuration WHERE username = ?")
	r.counted = prepare("SELECT COUNT(*) FROM (p)history WHERE username = ? AND step = ?")
	r.history = prepare("INSERT INTO (p)history (username, step) VALUES (?, ?)")
	r.log = prepare("INSERT INTO (p)log (at, successful, username, kind, address) VALUES (?, ?, ?, ?, ?)")
	r.lastUsed = prepare("UPDATE (p)configuration SET last_used = ? WHERE username = ?")
	r.issue = prepare("INSERT INTO (p)code VALUES (?, ?, ?, ?, ?, ?)")
	attempt := "UPDATE (p)code SET attempts = attempts + 1 WHERE id = ? AND attempts < 5"
	if r.returning {
		attempt += " RETURNING attempts"
	}
	r.attempt = prepare(attempt)
	r.code = prepare("SELECT hash, expires, used FROM (p)code WHERE id = ?")
	r.used = prepare("UPDATE (p)code SET used = ? WHERE id = ?")
	return r
}

// app reads the configuration, counts the step in the history, inserts it there,
// inserts a line of the log, and notes the use: five round trips, three durable.
func (r *replay) app() error {
	r.n++
	var issuer string
	var secret []byte
	var last, found int64
	if err := r.configuration.QueryRow(userID).Scan(&issuer, &secret, &last); err != nil {
		return err
	}
	if err := r.counted.QueryRow(userID, r.n).Scan(&found); err != nil {
		return err
	}
	if found != 0 {
		return fmt.Errorf("step %d is there already", r.n)
	}
	if _, err := r.history.Exec(userID, r.n); err != nil {
		return err
	}
	if _, err := r.log.Exec(r.n, 1, userID, "TOTP", "127.0.0.1"); err != nil {
		return err
	}
	_, err := r.lastUsed.Exec(r.n, userID)
	return err
}

// send inserts the code that is sent: one round trip.
func (r *replay) send() error {
	r.n++
	_, err := r.issue.Exec(r.n, userID, random(32), r.n+600, 0, nil)
	return err
}

// mail counts the attempt, begins, reads the code, marks it as used and commits:
// five round trips, two durable.
func (r *replay) mail() error {
	if r.returning {
		var attempts int
		if err := r.attempt.QueryRow(r.n).Scan(&attempts); err != nil {
			return err
		}
	} else if _, err := r.attempt.Exec(r.n); err != nil {
		return err
	}
	ctx := context.Background()
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after the commit
	var hash []byte
	var expires int64
	var used sql.NullInt64
	if err := tx.StmtContext(ctx, r.code).QueryRow(r.n).Scan(&hash, &expires, &used); err != nil {
		return err
	}
	if used.Valid {
		return fmt.Errorf("code %d is used already", r.n)
	}
	if _, err := tx.StmtContext(ctx, r.used).Exec(r.n, r.n); err != nil {
		return err
	}
	return tx.Commit()
}

// A side is one of those that take turns: what each of its calls took, by round.
type side struct {
	name  string
	run   func(call func(name string, do func() error))
	times map[string][]time.Duration
	trips map[string]int64
}

// of returns the median time of these calls together, of one sign-in, and their
// round trips.
func (s *side) of(calls ...string) (time.Duration, int64) {
	var trips int64
	sums := make([]time.Duration, len(s.times[calls[0]]))
	for _, c := range calls {
		trips += s.trips[c]
		for i, d := range s.times[c] {
			sums[i] += d
		}
	}
	return middle(sums), trips
}

// network is what a round trip takes longer than without it: the proxies' own time
// is a part.
const network = time.Millisecond

// ask returns how long the shortest question takes.
func ask(t testing.TB, db *sql.DB) time.Duration {
	t.Helper()
	st, err := db.Prepare("SELECT 1")
	must(t, err)
	defer st.Close()
	var times []time.Duration
	for range size(10, 500) {
		var n int
		began := time.Now()
		must(t, st.QueryRow().Scan(&n))
		times = append(times, time.Since(began))
	}
	return middle(times)
}

// TestNetwork signs in with a millisecond between here and the server, there and
// back, and lets the peers' statements take turns.
func TestNetwork(t *testing.T) {
	var lines table
	defer func() {
		lines.print(t, "answer", "calls of ours", "round trips", "median", "peer's round trips", "median", "ratio", "at least")
	}()
	for _, k := range []servers.Kind{servers.PostgreSQL, servers.MariaDB} {
		t.Run(string(k), func(t *testing.T) {
			cached, uncached := newDistant(t, k, 0), newDistant(t, k, -1)
			theirs := newReplay(t, k, cached.store.DB, cached.prefix)
			peers := &side{name: "peers", run: func(call func(string, func() error)) {
				call("app", theirs.app)
				call("send", theirs.send)
				call("mail", theirs.mail)
			}}
			both := func(d *distant) func(func(string, func() error)) {
				return func(call func(string, func() error)) {
					d.app(func(name string, do func() error) { call("app "+name, do) })
					d.mail(func(name string, do func() error) { call("mail "+name, do) })
				}
			}
			with := &side{name: "with the cache", run: both(cached)}
			without := &side{name: "without the cache", run: both(uncached)}
			sides := []*side{peers, with, without}
			behind := map[*side]*distant{peers: cached, with: cached, without: uncached}
			for _, s := range sides {
				s.times, s.trips = map[string][]time.Duration{}, map[string]int64{}
				for range 2 { // the first prepares
					s.run(func(name string, do func() error) { s.trips[name] = behind[s].trips(t, do) })
				}
			}
			if n := peers.trips; n["app"] != 5 || n["send"] != 1 || n["mail"] != 5 {
				t.Errorf("the peers' round trips are %v", n)
			}
			direct := ask(t, openAt(t, cached.direct).DB)
			for _, d := range []*distant{cached, uncached} {
				proxies := ask(t, d.store.DB) - direct
				d.relay.oneWay.Store(int64(max(0, network-proxies) / 2))
				t.Logf("a question takes %v without a network, %v with one", direct, ask(t, d.store.DB))
			}
			rounds, n := size(1, 21), size(1, 10)
			for round := range rounds {
				order := slices.Clone(sides)
				if round%2 == 1 {
					slices.Reverse(order)
				}
				for _, s := range order {
					runtime.GC()
					sums := map[string]time.Duration{}
					for range n {
						s.run(func(name string, do func() error) {
							began := time.Now()
							err := do()
							sums[name] += time.Since(began)
							must(t, err)
						})
					}
					for name, sum := range sums {
						s.times[name] = append(s.times[name], sum/time.Duration(n))
					}
				}
			}
			app, mail := []string{"app"}, []string{"send", "mail"}
			for _, tt := range []struct {
				what   string
				ours   *side
				calls  string
				peer   []string
				least  float64 // 0: only shown, for the peers' side has no Begin
				judged bool    // false: the round trips alone keep it below
			}{
				{"app", with, "Verify", app, 2.5, true},
				{"app", without, "Verify", app, 1.8, true},
				{"mail", with, "Challenge, Verify", mail, 2.5, true},
				{"mail", without, "Challenge, Verify", mail, 1.8, false},
				{"app", with, "Begin, Verify", app, 0, true},
				{"app", without, "Begin, Verify", app, 0, true},
				{"mail", with, "Begin, Challenge, Verify", mail, 0, true},
				{"mail", without, "Begin, Challenge, Verify", mail, 0, true},
			} {
				calls := strings.Split(tt.calls, ", ")
				for i := range calls {
					calls[i] = tt.what + " " + calls[i]
				}
				ours, trips := tt.ours.of(calls...)
				peer, peerTrips := peers.of(tt.peer...)
				ratio := float64(peer) / float64(ours)
				what := map[string]string{"app": "code of an app", "mail": "emailed code"}[tt.what]
				aim := ""
				if tt.least > 0 {
					aim = fmt.Sprint(tt.least)
				}
				lines.add("| %s: %s, %s | %s | %d | %s | %d | %s | %.2f | %s |", k, what, tt.ours.name, tt.calls, trips, ms(ours), peerTrips, ms(peer), ratio, aim)
				if measuring() && tt.judged && ratio < tt.least {
					t.Errorf("%s, %s: %.2f times faster, want %.1f", what, tt.ours.name, ratio, tt.least)
				}
			}
		})
	}
}
