package outage

// The auditor: what the users of a load were told is compared with what is there.

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/store"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// A memory is what one user was told.
type memory struct {
	user     string
	last     time.Time       // of any request
	there    map[string]bool // IDs of apps that must be there
	absent   map[string]bool // that must not be
	codes    []string        // shown last, and not sent since
	open     map[string]bool // backup codes of which nobody knows whether they were used
	renewing bool            // nobody knows whether there are new ones
	spent    []line          // codes that were accepted
	unknown  []line          // codes of which nobody knows
	failures []line          // guesses that were told to be wrong
	failed   bool            // something failed
	wrong    []string        // that can be seen from what was told
}

// A sending is all that one code was told.
type sending struct {
	user string
	kind mfa.Kind
	code string
	at   int64
}

// remember reads the lines of a load.
func remember(lines []line) map[string]*memory {
	users := map[string]*memory{}
	sent := map[sending][]line{}
	for _, l := range lines {
		m := users[l.User]
		if m == nil {
			m = &memory{user: l.User, there: map[string]bool{}, absent: map[string]bool{}, open: map[string]bool{}}
			users[l.User] = m
		}
		if l.Now.After(m.last) {
			m.last = l.Now
		}
		m.failed = m.failed || l.Verdict.failed()
		m.hear(l)
		if l.Op == "sign-in" {
			s := sending{l.User, l.Kind, l.Code, l.Now.Unix()}
			sent[s] = append(sent[s], l)
		}
	}
	for s, told := range sent {
		users[s.user].sent(s, told)
	}
	return users
}

func (m *memory) complain(format string, args ...any) {
	m.wrong = append(m.wrong, m.user+": "+fmt.Sprintf(format, args...))
}

func (m *memory) hear(l line) {
	want := accepted
	if l.Op == "guess" {
		want = invalid
	}
	switch {
	case l.Op == "sign-in" && l.Verdict == invalid: // see sent
		m.failures = append(m.failures, l)
		return
	case l.Verdict != want && !l.Verdict.failed():
		m.complain("%s: told %q", l.Op, l.Verdict)
		return
	case l.Op == "sign-in":
		return
	}
	switch l.Op {
	case "guess":
		if l.Verdict == invalid {
			m.failures = append(m.failures, l)
		}
	case "confirm":
		switch l.Verdict {
		case accepted:
			m.there[l.FactorID] = true
		case undone:
			m.absent[l.FactorID] = true
		}
	case "remove":
		if l.Verdict != undone {
			delete(m.there, l.FactorID)
		}
		if l.Verdict == accepted {
			m.absent[l.FactorID] = true
		}
	case "regenerate":
		m.renewing = m.renewing || l.Verdict == unknown
	}
	if len(l.Codes) > 0 {
		m.codes, m.open, m.renewing = l.Codes, map[string]bool{}, false
	}
}

// sent judges what a right code was told, wherever it was sent.
func (m *memory) sent(s sending, told []line) {
	count := map[verdict]int{}
	for _, l := range told {
		count[l.Verdict]++
	}
	switch {
	case count[accepted] > 1:
		m.complain("a code was accepted %d times", count[accepted])
	case count[accepted] == 0 && count[invalid] > 0 && count[unknown] == 0:
		m.complain("a right code was told nothing but %q: %v", invalid, count)
	}
	switch {
	case count[accepted] > 0:
		m.spent = append(m.spent, told[0])
	case count[unknown] > 0:
		m.unknown = append(m.unknown, told[0])
	default:
		return
	}
	if s.kind != backupcodes.Kind {
		return
	}
	for i, c := range m.codes {
		if c == s.code {
			m.codes = append(m.codes[:i:i], m.codes[i+1:]...)
			if count[accepted] == 0 {
				m.open[c] = true
			}
			return
		}
	}
}

// An auditor has a vault of its own, straight on the server.
type auditor struct {
	*instance
	clock *mfatest.Clock
}

func newAuditor(t testing.TB, st store.Store, keys vault.Keys) *auditor {
	clock := mfatest.NewClock(mfatest.Start())
	return &auditor{mustInstance(t, patient{st}, keys, clock.Now), clock}
}

// audit returns everything that is wrong.
func (a *auditor) audit(t testing.TB, lines []line) (wrong []string) {
	t.Helper()
	users, tried := remember(lines), 0
	latest := map[string]string{} // of each worker
	for _, l := range lines {
		latest[l.Worker] = l.User
	}
	for _, l := range lines {
		m := users[l.User]
		if m == nil {
			continue
		}
		delete(users, l.User)
		// What was acknowledged just before something failed is what could be
		// lost, so it is those users whose codes are tried.
		thorough := m.failed || latest[l.Worker] == l.User
		if thorough {
			tried++
		}
		a.compare(t.Context(), m, thorough)
		wrong = append(wrong, m.wrong...)
	}
	t.Logf("%d requests of %d workers; the codes of %d users were tried", len(lines), len(latest), tried)
	return wrong
}

// compare complains of what is not there of what the user was told.
func (a *auditor) compare(ctx context.Context, m *memory, thorough bool) {
	a.clock.Set(m.last)
	admin := a.guard.Admin("test")
	o, err := admin.Overview(ctx, m.user)
	if err != nil {
		m.complain("overview: %v", err)
		return
	}
	has := map[string]bool{}
	for _, f := range o.Factors {
		has[f.ID] = true
	}
	for id := range m.there {
		if !has[id] {
			m.complain("a confirmed app is lost")
		}
	}
	for id := range m.absent {
		if has[id] {
			m.complain("an app is there that was removed, or never confirmed")
		}
	}
	if len(m.there) == 0 || m.renewing {
		return // nothing is known to be there that could be tried
	}
	left := len(m.codes)
	if o.BackupLeft < left || o.BackupLeft > left+len(m.open) {
		m.complain("%d codes are left, want %d and perhaps %d more", o.BackupLeft, left, len(m.open))
	}
	if !thorough {
		return
	}
	m.counted(a.vault.View(ctx, m.user))
	try := func(kind mfa.Kind, code string, at time.Time) verdict {
		a.clock.Set(m.last) // an unlock in the past would repair what lies in its future
		if err := admin.Unlock(ctx, m.user); err != nil {
			return verdictOf(err)
		}
		if kind == totp.Kind { // good only then; backup codes know no time
			a.clock.Set(at)
		}
		return a.try(ctx, m.user, kind, code)
	}
	if left > 0 {
		if v := try(backupcodes.Kind, m.codes[left-1], m.last); v != accepted {
			m.complain("a code that was shown and is not used: %q", v)
		}
	}
	no := func(v verdict) bool { return v == invalid || v == refused || v == wrongDay }
	for _, l := range m.unknown { // it may have been accepted; it must not be twice
		first, second := try(l.Kind, l.Code, l.Now), try(l.Kind, l.Code, l.Now)
		if first != accepted && !no(first) || !no(second) {
			m.complain("a code of unknown outcome, again and again: %q, %q", first, second)
		}
	}
	for _, l := range m.spent {
		if v := try(l.Kind, l.Code, l.Now); !no(v) {
			m.complain("a used code again (%s, of %v before the last request): %q", l.Kind, m.last.Sub(l.Now), v)
		}
	}
}

// counted complains if a guess that was told to be wrong is not counted.
func (m *memory) counted(s *vault.Summary, err error) {
	if err != nil {
		m.complain("view: %v", err)
		return
	}
	want := 0
	for _, l := range m.failures {
		if l.Now.After(m.last.Add(-24 * time.Hour)) {
			want++
		}
	}
	if s.Tries.Day < want {
		m.complain("%d failures are counted, of at least %d", s.Tries.Day, want)
	}
}
