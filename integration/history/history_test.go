package history

// A history: what the workers wrote down, what the checker makes of it.

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/seed-f4994bf1/mfa/mfatest"
)

// A record is one operation as its worker saw it. Records name each other by
// their IDs.
type record struct {
	ID           string
	Worker       int
	Round        int
	User         string
	Op           op
	Call, Return int64 // by the clock of the machine

	On   string `json:",omitempty"` // the record that handed out the sign-in or session
	App  string `json:",omitempty"` // the record of the app's enrolment
	Step int    `json:",omitempty"` // of its code, from the present one
	Set  string `json:",omitempty"` // the record that handed out the backup code
	Code int    `json:",omitempty"` // which of them

	Verdict verdict
	Token   string   `json:",omitempty"` // of a sign-in or session
	Factor  string   `json:",omitempty"` // of an enrolment
	URI     string   `json:",omitempty"` // of its app
	Codes   []string `json:",omitempty"` // that were shown
	Factors []string `json:",omitempty"` // that look saw: apps
	Left    int      `json:",omitempty"` // and backup codes
}

// An entry is a call in a history of several users.
type entry struct {
	user string
	call call
}

// constrains reports whether r says anything about the user's state. A limit is
// not part of the model: who meets one lets an administrator end it, and what it
// refused says nothing. What only reads and failed says nothing either.
func (r record) constrains() bool {
	switch {
	case r.Verdict == tooMany, r.Verdict == busy, r.Op == unlock:
		return false
	case r.Verdict == unknown:
		return r.Op != begin && r.Op != require && r.Op != look
	}
	return true
}

// remembered is how many finished sign-ins an account remembers one by one. When
// it forgets one, the sign-ins that were begun before that one was finished
// expire.
const remembered = 16

// voided reports whether r was refused because what it used was dead, and another
// operation may have killed that in time. Such a refusal is taken as it is, and
// not searched for: which of the changes it was can often be told much later, or
// never, and to try them all is what makes a search long. Where nothing can have
// been the reason, the model has to explain the refusal.
func voided(r record, of func(id string) *record, all []record) bool {
	if r.Verdict != stepUp && r.Verdict != expired {
		return false
	}
	from, finished, enrolled := of(r.On).Call, 0, 0
	gaveWay := r.Op == confirm && r.Verdict == expired // the session was alive, the draft was not
	if gaveWay {
		from = of(r.App).Call
	}
	for _, o := range all {
		switch {
		case o.ID == r.ID, o.ID == r.On, o.ID == r.App:
		case o.Verdict != unknown && (o.Verdict != done || o.Return < from), o.Call > r.Return:
		case gaveWay:
			if o.Op == enrol {
				enrolled++
			}
			if enrolled == maxDrafts {
				return true
			}
		case o.Op == confirm, o.Op == remove, o.Op == regenerate, o.Op == reset, o.Op == signOut:
			return true
		case o.Op == verify && r.Op == verify:
			if finished++; o.On == r.On || finished >= remembered {
				return true
			}
		}
	}
	return false
}

// operations returns the records of one user for the checker.
func operations(rs []record) ([]porcupine.Operation, error) {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b record) int { return cmp.Compare(a.Call, b.Call) })
	byID, byFactor, end := map[string]number{}, map[string]number{}, int64(0)
	if len(rs) >= maxRecords {
		return nil, fmt.Errorf("%d records of one user: no more than %d can be told apart", len(rs), maxRecords-1)
	}
	for i, r := range rs {
		byID[r.ID] = number(i + 1)
		if r.Factor != "" {
			byFactor[r.Factor] = number(i + 1)
		}
		end = max(end, r.Return)
	}
	of := func(id string) *record { return &rs[byID[id]-1] }
	for _, r := range rs {
		for _, id := range []string{r.On, r.App, r.Set} {
			if id != "" && byID[id] == 0 {
				return nil, fmt.Errorf("%s %s: no record %s", r.Op, r.ID, id)
			}
		}
	}
	kept, wanted := make([]bool, len(rs)), make([]bool, len(rs)+1)
	uses, due := make([]records, len(rs)+1), records{}
	for i, r := range rs {
		if kept[i] = r.constrains() && !voided(r, of, rs); !kept[i] || r.On == "" {
			continue
		}
		uses[byID[r.On]].add(byID[r.ID])
		if r.Op == confirm {
			wanted[byID[r.App]] = true
		}
		if r.Verdict != unknown {
			due.add(byID[r.ID])
		}
	}
	var ops []porcupine.Operation
	for i, r := range rs {
		if !kept[i] {
			continue
		}
		c := call{
			op: r.Op, self: byID[r.ID], on: byID[r.On], app: byID[r.App], set: byID[r.Set], step: int8(r.Step), code: uint8(r.Code),
			wanted: wanted[byID[r.ID]], uses: uses[byID[r.ID]], rivals: uses[byID[r.On]], due: due,
		}
		// A session keeps its proof when it is renewed.
		for s := r; s.On != "" && r.Op != verify; {
			if s = *of(s.On); s.Op == verify {
				c.provenApp, c.provenS = byID[s.App], byID[s.Set]
				break
			}
		}
		a := answer{verdict: r.Verdict, left: r.Left}
		if len(r.Factors) > len(a.apps) {
			return nil, fmt.Errorf("%s saw %d apps", r.ID, len(r.Factors))
		}
		for i, f := range r.Factors {
			if a.apps[i] = byFactor[f]; a.apps[i] == 0 {
				a.apps[i] = nobodys
			}
		}
		slices.Sort(a.apps[:len(r.Factors)])
		o := porcupine.Operation{ClientId: r.Worker, Input: entry{r.User, c}, Output: a, Call: r.Call, Return: r.Return}
		if r.Verdict == unknown {
			o.ClientId, o.Return = 1000+int(c.self), end+1
		}
		ops = append(ops, o)
	}
	return ops, nil
}

func byUser(ops []porcupine.Operation) [][]porcupine.Operation {
	users := map[string]int{}
	var parts [][]porcupine.Operation
	for _, o := range ops {
		user := o.Input.(entry).user
		i, ok := users[user]
		if !ok {
			i = len(parts)
			users[user] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], o)
	}
	return parts
}

// ambiguous reports whether two codes of a user's apps are the same by chance: a
// record cannot tell then which of them was meant.
func ambiguous(rs []record) (bool, error) {
	seen := map[string]bool{}
	for _, r := range rs {
		if r.URI == "" {
			continue
		}
		a, err := mfatest.NewApp(r.URI)
		if err != nil {
			return false, err
		}
		for step := -window; step <= window; step++ {
			code := a.Code(codeTime(r.Round, step))
			if seen[code] {
				return true, nil
			}
			seen[code] = true
		}
	}
	return false, nil
}

// patience is for the checker. What it cannot settle by then was too large.
func patience() time.Duration {
	if long() {
		return 2 * time.Minute
	}
	return 15 * time.Second
}

// each returns what the checker takes of each user.
func each(t *testing.T, rs []record) [][]porcupine.Operation {
	t.Helper()
	users := map[string][]record{}
	for _, r := range rs {
		users[r.User] = append(users[r.User], r)
	}
	var all [][]porcupine.Operation
	for user, rs := range users {
		same, err := ambiguous(rs)
		if err != nil {
			t.Fatal(err)
		}
		if same {
			t.Logf("%s: two apps with the same code: not checked", user)
			continue
		}
		ops, err := operations(rs)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		all = append(all, ops)
	}
	return all
}

// check tells whether the records can be explained.
func check(t *testing.T, rs []record) porcupine.CheckResult {
	t.Helper()
	users := each(t, rs)
	all := slices.Concat(users...)
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(model(), all, patience())
	t.Logf("%d records, of which %d operations of %d users are checked: %s after %v",
		len(rs), len(all), len(users), result, time.Since(began).Round(time.Millisecond))
	return result
}

// unexplained says of how many users the records cannot be explained, and of the
// first of them where the longest explanation ends. If draw is set, it draws that
// one's history into a file.
func unexplained(t *testing.T, rs []record, draw bool) {
	t.Helper()
	n, users := 0, each(t, rs)
	for _, ops := range users {
		m := model()
		result, info := porcupine.CheckOperationsVerbose(m, ops, patience())
		if result != porcupine.Illegal {
			continue
		}
		if n++; n > 1 {
			continue
		}
		t.Logf("%s cannot be explained %s", ops[0].Input.(entry).user, stuck(info, ops))
		if !draw {
			continue
		}
		f, err := os.CreateTemp("", "mfa-history-*.html")
		if err == nil {
			err = errors.Join(porcupine.Visualize(m, info, f), f.Close())
		}
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("drawn in %s", f.Name())
	}
	t.Logf("%d of %d users cannot be explained", n, len(users))
}

// stuck tells in words where the longest explanation of one user's history ends.
func stuck(info porcupine.LinearizationInfo, ops []porcupine.Operation) string {
	var longest []porcupine.Operation
	for _, part := range info.PartialLinearizationsOperations() {
		for _, l := range part {
			if len(l) > len(longest) {
				longest = l
			}
		}
	}
	placed := map[number]bool{}
	s := state{}
	for _, o := range longest {
		c := o.Input.(entry).call
		placed[c.self] = true
		_, s = explain(s, c, o.Output.(answer))
	}
	end := int64(1<<63 - 1) // by when the next one must have begun
	for _, o := range ops {
		if !placed[o.Input.(entry).call.self] {
			end = min(end, o.Return)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "after %d of %d: %s\n", len(longest), len(ops), s)
	for _, o := range ops {
		if c := o.Input.(entry).call; !placed[c.self] && o.Call <= end {
			_, a := s.after(c)
			why := "the model: " + a.String()
			if a == o.Output.(answer) {
				why = "it would end what another one found alive later"
			}
			fmt.Fprintf(&b, "  %s (%s)\n", model().DescribeOperation(o.Input, o.Output), why)
		}
	}
	return b.String()
}
