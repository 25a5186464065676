package history

// Histories that are written by hand, and what the checker has to say of them.

import (
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// told are the records of a user who set up one app (2), with backup codes (3),
// and began three sign-ins (4 to 6). What a test adds happens after that, from
// 100 on.
func told(more ...record) []record {
	rs := []record{
		{ID: "1", Op: begin, Verdict: session, Call: 1, Return: 2},
		{ID: "2", Op: enrol, On: "1", Factor: "app", Call: 3, Return: 4},
		{ID: "3", Op: confirm, On: "1", App: "2", Step: -2, Call: 5, Return: 6},
		{ID: "4", Op: begin, Verdict: pending, Call: 7, Return: 9},
		{ID: "5", Op: begin, Verdict: pending, Call: 8, Return: 10},
		{ID: "6", Op: begin, Verdict: pending, Call: 11, Return: 12},
	}
	rs = append(rs, more...)
	for i := range rs {
		rs[i].User = "ada"
		if rs[i].Verdict == "" {
			rs[i].Verdict = done
		}
	}
	return rs
}

// when sets the time of a record: from 100+call to 100+ret.
func (r record) when(call, ret int64) record {
	r.Call, r.Return = 100+call, 100+ret
	return r
}

func TestHistories(t *testing.T) {
	// A sign-in with a code of the app, or with a backup code; a session by the
	// former; and another app, confirmed in it.
	app := func(id, on string, step int, v verdict) record {
		return record{ID: id, Op: verify, On: on, App: "2", Step: step, Verdict: v}
	}
	code := func(id, on, set string, n int, v verdict) record {
		return record{ID: id, Op: verify, On: on, Set: set, Code: n, Verdict: v}
	}
	signedIn := app("s", "6", -1, done).when(0, 1)
	second := []record{
		signedIn,
		record{ID: "e", Op: enrol, On: "s", Factor: "other"}.when(2, 3),
		record{ID: "c", Op: confirm, On: "s", App: "e", Step: 0}.when(4, 5),
	}
	inTwo := append(second, record{ID: "7", Op: begin, Verdict: pending}.when(6, 7))
	removed := append(inTwo[:len(inTwo):len(inTwo)], record{ID: "r", Op: remove, On: "c", App: "2"})
	renewed := record{ID: "r", Op: regenerate, On: "s"}.when(2, 3)
	fresh := record{ID: "8", Op: begin, Verdict: pending}.when(20, 21)
	out := record{ID: "o", Op: signOut}
	over := record{ID: "x", Op: reset}
	with := func(rs []record, more ...record) []record { return append(rs[:len(rs):len(rs)], more...) }

	for _, c := range []struct {
		name    string
		rs      []record
		explain bool
	}{
		{"a code once, and replayed", []record{app("a", "4", 0, done).when(0, 9), app("b", "5", 0, replayed).when(0, 9)}, true},
		{"a code accepted twice at the same time", []record{app("a", "4", 0, done).when(0, 9), app("b", "5", 0, done).when(0, 9)}, false},
		{"a code accepted twice", []record{app("a", "4", 0, done).when(0, 1), app("b", "5", 0, done).when(2, 3)}, false},
		{"replayed before it was accepted", []record{app("a", "4", 0, replayed).when(0, 1), app("b", "5", 0, done).when(2, 3)}, false},
		{"the confirming code accepted", []record{app("a", "4", -2, done).when(0, 1)}, false},
		{"a later step", []record{app("a", "4", 0, done).when(0, 1), app("b", "5", 1, done).when(2, 3)}, true},
		{"an earlier step after a later one", []record{app("a", "4", 1, done).when(0, 1), app("b", "5", 0, done).when(2, 3)}, false},
		{"an earlier step and a later one at the same time", []record{app("a", "4", 1, done).when(0, 9), app("b", "5", 0, done).when(0, 9)}, true},
		{"a backup code, and another one", []record{code("a", "4", "3", 0, done).when(0, 1), code("b", "5", "3", 1, done).when(2, 3)}, true},
		{"a backup code accepted twice", []record{code("a", "4", "3", 0, done).when(0, 9), code("b", "5", "3", 0, done).when(0, 9)}, false},
		{"a sign-in completed twice", []record{code("a", "4", "3", 0, done).when(0, 9), app("b", "4", 0, done).when(0, 9)}, false},
		{"a sign-in completed once", []record{code("a", "4", "3", 0, done).when(0, 9), app("b", "4", 0, expired).when(0, 9)}, true},

		{"a code of the new set", []record{signedIn, renewed, fresh, code("a", "8", "r", 0, done).when(22, 23)}, true},
		{"a code of the set before", []record{signedIn, renewed, fresh, code("a", "8", "3", 0, done).when(22, 23)}, false},
		{"the same, refused", []record{signedIn, renewed, fresh, code("a", "8", "3", 0, invalid).when(22, 23)}, true},
		{"the same while it is replaced", []record{signedIn, renewed, code("a", "5", "3", 0, done).when(0, 9)}, true},
		{"two sets made in one session", []record{signedIn, renewed, record{ID: "q", Op: regenerate, On: "s"}.when(2, 3)}, false},
		{"both sets good", []record{
			signedIn, renewed, fresh, code("a", "8", "3", 0, done).when(22, 40), {ID: "9", Op: begin, Verdict: pending, Call: 130, Return: 131},
			code("b", "9", "r", 0, done).when(32, 33),
		}, false},

		{"two apps", with(inTwo, app("a", "7", 0, done).when(8, 9)), true},
		{"a removed app accepted", with(removed[:len(removed)-1], removed[len(removed)-1].when(8, 9), fresh, app("a", "8", 0, done).when(22, 23)), false},
		{"the same, refused", with(removed[:len(removed)-1], removed[len(removed)-1].when(8, 9), fresh, app("a", "8", 0, invalid).when(22, 23)), true},
		{"a step-up for nothing", with(inTwo, record{ID: "r", Op: remove, On: "c", App: "2", Verdict: stepUp}.when(8, 9)), false},
		{"a proof by an app that is gone", with(removed[:len(removed)-1], removed[len(removed)-1].when(8, 9),
			record{ID: "q", Op: require, On: "r"}.when(10, 11)), false},
		{"the last app removed", []record{signedIn, record{ID: "r", Op: remove, On: "s", App: "2"}.when(2, 3)}, false},
		{"an app that was not confirmed", []record{signedIn, second[1], {ID: "a", Op: verify, On: "5", App: "e", Step: 0, Verdict: done, Call: 110, Return: 111}}, false},
		{"an enrolment confirmed twice", with(second, record{ID: "d", Op: confirm, On: "s", App: "e", Step: 1}.when(4, 5)), false},
		{"an enrolment that gave way", []record{
			signedIn, record{ID: "e", Op: enrol, On: "s"}.when(2, 3), record{ID: "f", Op: enrol, On: "s"}.when(4, 5),
			record{ID: "g", Op: enrol, On: "s"}.when(6, 7), record{ID: "h", Op: enrol, On: "s"}.when(8, 9),
			record{ID: "c", Op: confirm, On: "s", App: "e"}.when(10, 11),
		}, false},
		{"an enrolment without a second factor", []record{record{ID: "e", Op: enrol, On: "3"}.when(0, 1)}, false},

		{"a confirmed app seen", []record{{ID: "l", Op: look, Factors: []string{"app"}, Left: 10, Call: 100, Return: 101}}, true},
		{"a confirmed app lost", []record{{ID: "l", Op: look, Left: 10, Call: 100, Return: 101}}, false},
		{"nothing set up any more", []record{{ID: "l", Op: begin, Verdict: session, Call: 100, Return: 101}}, false},
		{"a used code back", []record{code("a", "4", "3", 0, done).when(0, 1), {ID: "l", Op: look, Factors: []string{"app"}, Left: 10, Call: 103, Return: 104}}, false},

		{"nothing after a reset", []record{over.when(0, 1), {ID: "l", Op: look, Call: 102, Return: 103}}, true},
		{"an app after a reset", []record{over.when(0, 1), {ID: "l", Op: look, Factors: []string{"app"}, Call: 102, Return: 103}}, false},
		{"codes after a reset", []record{over.when(0, 1), {ID: "l", Op: look, Left: 10, Call: 102, Return: 103}}, false},
		{"a second factor asked for after a reset", []record{over.when(0, 1), fresh}, false},
		{"a sign-in from before a reset", []record{over.when(0, 1), app("a", "4", 0, done).when(2, 3)}, false},

		{"a sign-in while everybody is signed out", []record{out.when(0, 9), app("a", "4", 0, done).when(0, 9)}, true},
		{"the same, refused", []record{out.when(0, 9), app("a", "4", 0, expired).when(0, 9)}, true},
		{"a sign-in from before", []record{out.when(0, 1), app("a", "4", 0, done).when(2, 3)}, false},
		{"a session from before", []record{signedIn, out.when(2, 3), record{ID: "q", Op: require, On: "s"}.when(4, 5)}, false},
		{"a session while everybody is signed out", []record{signedIn, out.when(2, 9), record{ID: "q", Op: require, On: "s"}.when(4, 5)}, true},
		{"refused for nothing", []record{app("a", "4", 0, expired).when(0, 1)}, false},
		{"refused before there was a reason", []record{app("a", "4", 0, expired).when(0, 1), out.when(2, 3)}, false},

		{"an unknown sign-in that happened", []record{app("a", "4", 0, unknown).when(0, 1), app("b", "5", 0, replayed).when(2, 3)}, true},
		{"one that never did", []record{app("a", "4", 0, unknown).when(0, 1), app("b", "5", 0, done).when(2, 3)}, true},
		{"one that happened late", []record{
			app("a", "4", 0, unknown).when(0, 1), {ID: "l", Op: look, Factors: []string{"app"}, Left: 10, Call: 102, Return: 103},
			app("b", "5", 0, replayed).when(4, 5),
		}, true},
		{"one whose code was accepted twice", []record{
			app("a", "4", 0, unknown).when(0, 1), app("b", "5", 0, done).when(2, 3), app("d", "6", 0, done).when(4, 5),
		}, false},
		{"an unknown reset that happened late", []record{over.unknown().when(0, 1), app("a", "4", 0, done).when(2, 3),
			{ID: "l", Op: look, Call: 104, Return: 105}}, true},
		{"one that happened in half", []record{over.unknown().when(0, 1), {ID: "l", Op: look, Left: 10, Call: 104, Return: 105}}, false},
		{"one that happened before it was called", []record{{ID: "l", Op: look, Call: 100, Return: 101}, over.unknown().when(4, 5)}, false},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			ops, err := operations(told(c.rs...))
			if err != nil {
				t.Fatal(err)
			}
			if got := porcupine.CheckOperations(model(), ops); got != c.explain {
				_, info := porcupine.CheckOperationsVerbose(model(), ops, 0)
				t.Errorf("explained: %v, want %v: %s", got, c.explain, stuck(info, ops))
			}
		})
	}
}

func (r record) unknown() record {
	r.Verdict = unknown
	return r
}
