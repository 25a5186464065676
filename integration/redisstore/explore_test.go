// An explorer of interleavings: several Apply run command by command, in every
// order within a bound of preemptions, and something goes wrong with each
// command in turn. What is stored is looked at after each command.
package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/store/redisstore"
)

// A trouble is what happens to one command of one Apply, or to all.
type trouble string

const (
	fine     trouble = "nothing"
	killed   trouble = "the process ends before it"
	lost     trouble = "its answer is lost"
	belated  trouble = "it fails, and arrives later"
	resent   trouble = "its answer is lost, and the client sends it again"
	repeated trouble = "it arrives again later"
	expired  trouble = "attempts end at some moment"
)

// A scenario is what happens side by side.
type scenario struct {
	name   string
	before []store.Change
	dead   map[string]string // key -> user whose attempt to claim it has ended
	side   []store.Change    // of users "ada" and "bob"; each in a process of its own
	winner bool              // without trouble one of them is applied, whatever the order
}

func scenarios() []scenario {
	ada := func(old, new int64, claim, release []string) store.Change {
		return store.Change{UserID: "ada", Old: old, New: new, Claim: claim, Release: release}
	}
	bob := func(old, new int64, claim, release []string) store.Change {
		return store.Change{UserID: "bob", Old: old, New: new, Claim: claim, Release: release}
	}
	keys := func(names ...int) (all []string) {
		for _, n := range names {
			all = append(all, key(n))
		}
		return all
	}
	owns := []store.Change{ada(0, 1, keys(1), nil), bob(0, 11, nil, nil)}
	both := []store.Change{ada(0, 1, keys(1), nil), bob(0, 11, keys(2), nil)}
	none := []store.Change{ada(0, 1, nil, nil), bob(0, 11, nil, nil)}
	return []scenario{
		{name: "claim and claim", before: none, winner: true,
			side: []store.Change{ada(1, 2, keys(1), nil), bob(11, 12, keys(1), nil)}},
		{name: "creates that claim", winner: true,
			side: []store.Change{ada(0, 2, keys(1), nil), bob(0, 12, keys(1), nil)}},
		{name: "two keys, crosswise", before: none, winner: true,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), bob(11, 12, keys(2, 1), nil)}},
		{name: "claim and release", before: owns, winner: true,
			side: []store.Change{ada(1, 2, nil, keys(1)), bob(11, 12, keys(1), nil)}},
		{name: "claim and delete", before: owns, winner: true,
			side: []store.Change{ada(1, 0, nil, keys(1)), bob(11, 12, keys(1, 2), nil)}},
		{name: "keys that change places", before: both,
			side: []store.Change{ada(1, 2, keys(2), keys(1)), bob(11, 12, keys(1), keys(2))}},
		{name: "a dead hold", before: none, dead: map[string]string{key(1): "carl"}, winner: true,
			side: []store.Change{ada(1, 2, keys(1), nil), bob(11, 12, keys(1), nil)}},
		{name: "dead holds of oneself", before: none, dead: map[string]string{key(1): "ada", key(2): "bob"}, winner: true,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), bob(11, 12, keys(1, 2), nil)}},
		{name: "the same key by one user", before: none, winner: true,
			side: []store.Change{ada(1, 2, keys(1), nil), ada(1, 3, keys(1), nil)}},
		{name: "two keys by one user", before: none, winner: true,
			side: []store.Change{ada(1, 2, keys(1), nil), ada(1, 3, keys(2), nil)}},
		{name: "a claim and a swap by one user", before: none, winner: true,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), ada(1, 3, nil, nil)}},
		{name: "a claim and a delete by one user", before: owns, winner: true,
			side: []store.Change{ada(1, 2, keys(2), nil), ada(1, 0, nil, keys(1))}},
		{name: "a claim of one's own, and its release", before: owns, winner: true,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), ada(1, 3, nil, keys(1))}},
		{name: "a claim, then the release of its first key", before: none,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), ada(2, 3, nil, keys(1))}},
		{name: "a claim, then the release of its last key", before: none,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), ada(2, 3, nil, keys(2))}},
		{name: "a claim, then the delete", before: none,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), ada(2, 0, nil, keys(1, 2))}},
		{name: "a claim, then its release and another's claim", before: none,
			side: []store.Change{ada(1, 2, keys(1, 2), nil), ada(2, 3, keys(3), keys(1)), bob(11, 12, keys(1), nil)}},
		{name: "three who want one key", before: none, winner: true,
			side: []store.Change{ada(1, 2, keys(1), nil), ada(1, 3, keys(1), nil), bob(11, 12, keys(1), nil)}},
	}
}

// users and all keys that scenarios and what comes after them speak of.
var (
	people  = []string{"ada", "bob", "carl", "dora"}
	allKeys = []string{key(1), key(2), key(3)}
)

// A laboratory is a server in this process, with a client for each that goes on
// at the same time.
type laboratory struct {
	server *miniredis.Miniredis
	view   view
	free   store.Store // commands pass
	actors []*actor
	known  map[string]bool // shapes from which after went well
}

// An actor is one process with one Apply. Each command waits until it may go on.
type actor struct {
	lab     *laboratory
	store   store.Store
	run     *experiment
	waits   chan string // names the command that waits
	may     chan struct{}
	passing bool // the client sends the text of a script that it was not known by
}

func newLaboratory(t *testing.T) *laboratory {
	t.Helper()
	server := miniredis.RunT(t)
	client := func() *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, PoolSize: 4})
		t.Cleanup(func() { c.Close() })
		return c
	}
	on := func(c *redis.Client) store.Store {
		s, err := redisstore.Open(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	l := &laboratory{server: server, view: view{prefix: "mfa:"}, free: on(client()), known: map[string]bool{}}
	for range 3 {
		a := &actor{lab: l, waits: make(chan string), may: make(chan struct{})}
		c := client()
		a.store = on(c)
		c.AddHook(a)
		l.actors = append(l.actors, a)
	}
	return l
}

func (*actor) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*actor) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// errLost is what a client says whose connection breaks.
var errLost = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset")}

func (a *actor) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		send := func() error {
			err := next(ctx, cmd)
			a.passing = redis.HasErrorPrefix(err, "NOSCRIPT")
			return err
		}
		if a.passing {
			return send()
		}
		e := a.run
		turn := func() {
			a.waits <- cmd.Name()
			<-a.may
		}
		turn()
		hit := e.trouble != fine && e.victim == a && e.sent == e.at
		if e.victim == a {
			e.sent++
		}
		if !hit {
			return send()
		}
		e.hit = true
		again := redis.NewCmd(context.WithoutCancel(ctx), cmd.Args()...)
		later := func() { _ = next(context.WithoutCancel(ctx), again) }
		switch e.trouble {
		case killed:
			runtime.Goexit()
		case lost:
			_ = send()
			return errLost
		case belated:
			e.later = later
			return errLost
		case resent:
			_ = send()
			turn()
		case repeated:
			e.later = later
		}
		return send()
	}
}

// An experiment is one run of a scenario in one order.
type experiment struct {
	lab      *laboratory
	scenario scenario
	trouble  trouble
	victim   *actor // whose command it happens to
	at       int    // which of their commands
	sent     int
	hit      bool
	later    func() // arrives at some moment, nil for nothing

	errs    []error
	ended   []bool
	trace   []string
	landed  map[int64]bool  // versions that the users were at
	others  map[string]bool // user and key: somebody else had it or was claiming it
	problem string
}

const stopped = -1

// do runs the scenario. choose picks one of several that can go on.
func (e *experiment) do(ctx context.Context, budget int, choose func(n int) int) {
	l := e.lab
	l.server.FlushAll()
	for _, c := range e.scenario.before {
		l.put(c)
	}
	for k, user := range e.scenario.dead {
		l.server.Set(l.view.hold(k), strings.Repeat("d", 40)+user)
	}
	e.landed, e.others = map[int64]bool{}, map[string]bool{}
	n := len(e.scenario.side)
	e.errs, e.ended = make([]error, n), make([]bool, n)
	over := make(chan int)
	waiting := make([]string, n)
	// proceed waits until the actor waits again or has ended.
	proceed := func(i int) {
		select {
		case waiting[i] = <-l.actors[i].waits:
		case i := <-over:
			e.ended[i], waiting[i] = true, ""
		}
	}
	for i, c := range e.scenario.side {
		l.actors[i].run = e
		go func() {
			e.errs[i] = errStopped // unless it returns
			defer func() { over <- i }()
			e.errs[i] = l.actors[i].store.Apply(ctx, c)
		}()
		proceed(i)
	}
	e.look()
	const message, clock = -2, -3
	last, spent, ticked := stopped, 0, false
	for e.problem == "" {
		var able []int
		for i := range n {
			// Nobody knows a version before it is there.
			if c := e.scenario.side[i]; !e.ended[i] && (c.Old == 0 || e.landed[c.Old]) {
				able = append(able, i)
			}
		}
		if at := slices.Index(e.ended, false); len(able) == 0 && at >= 0 {
			able = append(able, at)
		}
		if e.later != nil {
			able = append(able, message)
		}
		if e.trouble == expired && !ticked && (len(able) > 0) {
			able = append(able, clock)
		}
		if len(able) == 0 {
			break
		}
		if at := slices.Index(able, last); at >= 0 { // who went on last goes first
			able = slices.Insert(slices.Delete(able, at, at+1), 0, last)
			if spent == budget {
				able = able[:1]
			}
		}
		next := able[choose(len(able))]
		if next != last && last == able[0] {
			spent++
		}
		switch next {
		case message:
			e.trace = append(e.trace, "the message arrives")
			later := e.later
			e.later = nil
			later()
		case clock:
			e.trace = append(e.trace, "attempts end")
			ticked = true
			l.server.FastForward(time.Minute)
		default:
			e.trace = append(e.trace, fmt.Sprintf("%d: %s", next, waiting[next]))
			l.actors[next].may <- struct{}{}
			proceed(next)
			last = next
		}
		e.look()
	}
	for i := range n { // after a problem
		for !e.ended[i] {
			l.actors[i].may <- struct{}{}
			proceed(i)
		}
	}
	if e.problem == "" {
		e.judge()
	}
	if end := l.shape().String(); e.problem == "" && !l.known[end] { // what follows depends on nothing else
		l.known[end] = true
		e.after(ctx)
	}
}

var errStopped = errors.New("the process ended")

// shape is the laboratory's view of what is stored.
func (l *laboratory) shape() shape {
	s := shape{map[string]int64{}, map[string]map[string]string{}, map[string]string{}, map[string]string{}, map[string]bool{}}
	for _, u := range people {
		if record, err := l.server.Get(l.view.record(u)); err == nil {
			for _, b := range []byte(record[:8]) {
				s.versions[u] = s.versions[u]<<8 | int64(b)
			}
		}
		s.attempts[u], _ = l.server.Get(l.view.attempt(u))
		s.lists[u] = map[string]string{}
		if fields, err := l.server.HKeys(l.view.list(u)); err == nil {
			for _, f := range fields {
				s.lists[u][f] = l.server.HGet(l.view.list(u), f)
			}
		}
		_, err := l.server.ZScore(l.view.siblings(u), u)
		s.listed[u] = err == nil
	}
	for _, k := range allKeys {
		s.holds[k], _ = l.server.Get(l.view.hold(k))
	}
	return s
}

// put stores what a create that claims leaves behind.
func (l *laboratory) put(c store.Change) {
	l.server.Set(l.view.record(c.UserID), string(binary.BigEndian.AppendUint64(nil, uint64(c.New))))
	l.server.ZAdd(l.view.siblings(c.UserID), 0, c.UserID)
	for _, k := range c.Claim {
		attempt := strings.Repeat("b", 40)
		l.server.HSet(l.view.list(c.UserID), k, attempt)
		l.server.Set(l.view.hold(k), attempt+c.UserID)
	}
}

// String is the same for shapes that differ in the attempts' names alone.
func (s shape) String() string {
	names := map[string]string{"": "-"}
	name := func(attempt string) string {
		if names[attempt] == "" {
			names[attempt] = fmt.Sprint("attempt ", len(names))
		}
		return names[attempt]
	}
	var b strings.Builder
	for _, u := range people {
		fmt.Fprintln(&b, u, s.versions[u], s.listed[u], name(s.attempts[u]))
		for _, k := range allKeys {
			if attempt, ok := s.lists[u][k]; ok {
				fmt.Fprintln(&b, u, k, name(attempt))
			}
		}
	}
	for _, k := range allKeys {
		h := s.holds[k]
		fmt.Fprintln(&b, k, name(h[:min(40, len(h))]), h[min(40, len(h)):])
	}
	return b.String()
}

// look checks what must hold at every moment.
func (e *experiment) look() {
	s := e.lab.shape()
	if e.problem = s.whole(); e.problem != "" {
		return
	}
	for i, c := range e.scenario.side {
		u := c.UserID
		if s.versions[u] == c.New && !e.landed[c.New] && !(c.New == 0 && c.Old == 0) {
			for _, k := range c.Claim {
				if s.owner(k) != u {
					e.problem = fmt.Sprintf("change %d is saved, and %q owns %s", i, s.owner(k), k)
				}
			}
			for _, k := range c.Release {
				if s.owner(k) == u {
					e.problem = fmt.Sprintf("change %d is saved, and %s owns %s still", i, u, k)
				}
			}
		}
		for _, k := range c.Claim {
			for _, other := range people {
				_, lists := s.lists[other][k]
				if other != u && (lists || s.attempts[other] != "" && s.holds[k] == s.attempts[other]+other) {
					e.others[u+k] = true
				}
			}
		}
	}
	for _, u := range []string{"ada", "bob"} {
		e.landed[s.versions[u]] = true
	}
}

// judge compares the answers with what happened.
func (e *experiment) judge() {
	resends := e.trouble == resent
	applied := 0
	for i, c := range e.scenario.side {
		err := e.errs[i]
		landed := e.landed[c.New] && (c.New != 0 || e.lab.shape().versions[c.UserID] == 0)
		if landed {
			applied++
		}
		victim := e.victim == e.lab.actors[i] && e.hit
		switch {
		case err == nil:
			if !landed {
				e.problem = fmt.Sprintf("change %d was told nil, and never landed", i)
			}
		case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrKeyTaken):
			if landed && c.New != 0 && !(victim && resends) {
				e.problem = fmt.Sprintf("change %d was told %v, and landed", i, err)
			}
			if errors.Is(err, store.ErrKeyTaken) {
				taken := false
				for _, k := range c.Claim {
					taken = taken || e.others[c.UserID+k]
				}
				if !taken {
					e.problem = fmt.Sprintf("change %d was told that a key is taken, which nobody else had", i)
				}
			}
		case errors.Is(err, store.ErrUnavailable), err == errStopped:
			if !victim && (e.trouble == fine || !strings.Contains(err.Error(), "another change of this user")) {
				e.problem = fmt.Sprintf("change %d, to which nothing happened, was told %v", i, err)
			}
		default:
			e.problem = fmt.Sprintf("change %d was told %v", i, err)
		}
	}
	if e.trouble == fine && e.scenario.winner && applied == 0 {
		e.problem = fmt.Sprintf("nobody won: %v", e.errs)
	}
}

// after checks that life goes on: the same users at once, others for free keys
// when the attempts have ended, and nobody for those that have an owner.
func (e *experiment) after(ctx context.Context) {
	l := e.lab
	var s shape
	fresh := int64(100)
	claim := func(user string, k string) error {
		fresh++
		return l.free.Apply(ctx, store.Change{UserID: user, Old: l.shape().versions[user], New: fresh, Claim: []string{k}})
	}
	for _, k := range allKeys {
		s = l.shape()
		owner := s.owner(k)
		if got, err := l.free.Owner(ctx, k); got != owner || (err != nil) != (owner == "") {
			e.problem = fmt.Sprintf("Owner says %q, %v; %q lists it", got, err, owner)
			return
		}
		// Another user: at once, unless an attempt is alive that holds it.
		alive := false
		for u, attempt := range s.attempts {
			alive = alive || attempt != "" && s.holds[k] == attempt+u
		}
		err := claim("dora", k)
		switch {
		case owner == "" && !alive && err != nil:
			e.problem = fmt.Sprintf("a free key cannot be claimed by another user: %v", err)
		case owner != "" && !errors.Is(err, store.ErrKeyTaken):
			e.problem = fmt.Sprintf("%s owns a key, and another user who claims it is told %v", owner, err)
		case owner == "" && alive && !errors.Is(err, store.ErrKeyTaken):
			e.problem = fmt.Sprintf("a key is being claimed, and another user who claims it is told %v", err)
		case owner == "" && alive:
			l.server.FastForward(31 * time.Second)
			if err := claim("dora", k); err != nil {
				e.problem = fmt.Sprintf("a key whose attempt has ended cannot be claimed: %v", err)
			}
		}
		if e.problem == "" {
			e.problem = l.shape().whole()
		}
		if e.problem != "" {
			return
		}
	}
	for _, u := range []string{"ada", "bob"} {
		s := l.shape()
		for _, k := range allKeys {
			if s.owner(k) != u {
				continue
			}
			fresh++
			if err := l.free.Apply(ctx, store.Change{UserID: u, Old: s.versions[u], New: fresh, Release: []string{k}}); err != nil {
				e.problem = fmt.Sprintf("a user cannot go on: %v", err)
				return
			}
			if err := claim("dora", k); err != nil {
				e.problem = fmt.Sprintf("a released key cannot be claimed by another user: %v", err)
				return
			}
			s = l.shape()
		}
	}
	e.problem = l.shape().whole()
}

// explore runs a scenario with one trouble in every order.
func (l *laboratory) explore(t *testing.T, sc scenario, what trouble, victim, at, budget int, outcomes map[string]int) (hit bool) {
	t.Helper()
	var path []int
	for {
		e := &experiment{lab: l, scenario: sc, trouble: what, at: at}
		if victim >= 0 {
			e.victim = l.actors[victim]
		}
		var widths []int
		depth := 0
		e.do(t.Context(), budget, func(n int) int {
			if depth == len(path) {
				path = append(path, 0)
			}
			widths = append(widths, n)
			depth++
			return path[depth-1]
		})
		hit = hit || e.hit
		if e.problem != "" {
			t.Errorf("%s; %s: command %d of change %d: %s\n\torder: %s\n\tanswers: %v",
				sc.name, what, at, victim, e.problem, strings.Join(e.trace, ", "), e.errs)
			return hit
		}
		outcomes[fmt.Sprintf("%s %v", what, e.errs)]++
		outcomes["runs"]++
		path = path[:len(widths)]
		for len(path) > 0 && path[len(path)-1]+1 >= widths[len(path)-1] {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return hit
		}
		path[len(path)-1]++
	}
}

func TestInterleavings(t *testing.T) {
	t.Parallel()
	// What ends a process or loses an answer is tried on every server by
	// TestEveryCommand.
	quiet, troubled, troubles := 2, 1, []trouble{belated, resent, repeated}
	if long() {
		quiet, troubled, troubles = 4, 2, []trouble{killed, lost, belated, resent, repeated}
	}
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			l := newLaboratory(t)
			for _, c := range []store.Change{ // so that the scripts are known
				{UserID: "u", New: 1, Claim: []string{key(8)}}, {UserID: "v", New: 1}, {UserID: "u", Old: 1, Release: []string{key(8)}},
			} {
				if err := l.free.Apply(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			outcomes := map[string]int{}
			quiet, troubled := quiet, troubled
			if len(sc.side) > 2 {
				quiet, troubled = quiet-1, 1 // they are many
			}
			l.explore(t, sc, fine, stopped, 0, quiet, outcomes)
			l.explore(t, sc, expired, stopped, 0, troubled, outcomes)
			for victim := range sc.side {
				for _, what := range troubles {
					for at := 0; l.explore(t, sc, what, victim, at, troubled, outcomes); at++ {
					}
				}
			}
			for _, o := range slices.Sorted(maps.Keys(outcomes)) {
				t.Log(outcomes[o], o)
			}
		})
	}
}
