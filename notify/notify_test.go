package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/notify"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	ada      = "ada@example.com"
	settings = "https://acme.example/security"
	firefox  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

func user() mfa.User {
	return mfa.User{ID: "u-1", Name: ada, DisplayName: "Ada", Email: ada, Tenant: "acme", Service: "Acme", Locale: "en"}
}

func event(t mfa.EventType) mfa.Event {
	return mfa.Event{
		Type: t, Time: time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC), UserID: "u-1", Kind: "totp", Name: "Pixel 9",
		Client: mfa.Client{IP: "192.0.2.1", Agent: firefox},
	}
}

func newNotifier(t *testing.T, s mail.Sender, opts *notify.Options) *notify.Notifier {
	t.Helper()
	n, err := notify.New(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// one returns the only mail that telling u of e sends.
func one(t *testing.T, opts *notify.Options, u mfa.User, e mfa.Event) mail.Message {
	t.Helper()
	var out mail.Outbox
	if err := newNotifier(t, &out, opts).Notify(t.Context(), u, e); err != nil {
		t.Fatalf("%s: %v", e.Type, err)
	}
	all := out.All()
	if len(all) != 1 {
		t.Fatalf("%s: %d mails, want 1", e.Type, len(all))
	}
	return all[0].Message
}

func wantIn(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

func wantNotIn(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%s has %q:\n%s", what, part, text)
		}
	}
}

// noticeTypes reads from the source of package mfa which types of event there
// are, without those that its method notice leaves out.
func noticeTypes(t *testing.T) []mfa.EventType {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []mfa.EventType
	values, quiet := map[string]string{}, map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if id, ok := n.Type.(*ast.Ident); ok && id.Name == "EventType" {
				values[n.Names[0].Name], _ = strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
			}
		case *ast.FuncDecl:
			if n.Name.Name != "notice" {
				return false
			}
		case *ast.CaseClause:
			for _, e := range n.List {
				quiet[e.(*ast.Ident).Name] = true
			}
		}
		return true
	})
	for id, v := range values {
		if !quiet[id] {
			types = append(types, mfa.EventType(v))
		}
	}
	slices.Sort(types)
	if len(types) < 16 || len(quiet) < 6 || !slices.Contains(types, mfa.EventPaused) || slices.Contains(types, mfa.EventFailed) {
		t.Fatalf("read %v, without %v", types, quiet)
	}
	return types
}

// every notice there is has words of its own, in both languages, that say
// what, when, from where and what to do.
func TestEveryNotice(t *testing.T) {
	t.Parallel()
	opts := &notify.Options{Settings: settings, Support: "+49 30 123456"}
	seen := map[string]mfa.EventType{}
	for _, lang := range []string{"en", "de"} {
		u := user()
		u.Locale = lang
		general := one(t, opts, u, event("general"))
		for _, typ := range noticeTypes(t) {
			e := event(typ)
			if typ == mfa.EventAddressChanged {
				e.Old = ada // whose mail has the names
			}
			m := one(t, opts, u, e)
			if err := m.Check(); err != nil {
				t.Errorf("%s %s: %v", lang, typ, err)
			}
			if m.To != ada || m.Tenant != "acme" || !strings.HasPrefix(m.Subject, "Acme: ") {
				t.Errorf("%s %s: to %q of %q: %q", lang, typ, m.To, m.Tenant, m.Subject)
			}
			if m.Subject == general.Subject {
				t.Errorf("%s %s has no words", lang, typ)
			}
			if other, ok := seen[m.Subject]; ok {
				t.Errorf("%s and %s are told in the same words", typ, other)
			}
			seen[m.Subject] = typ
			when, app, advice := "2 March 2026, 09:00 UTC", "Authenticator app (Pixel 9)", regexp.MustCompile(`If |Make `)
			if lang == "de" {
				when, app, advice = "02.03.2026, 09:00 UTC", "Authenticator-App (Pixel 9)", regexp.MustCompile(`Wenn |Erzeugen Sie `)
			}
			for _, part := range []string{m.Text, html.UnescapeString(m.HTML)} {
				wantIn(t, lang+" "+string(typ), part, "Ada", when, app, settings, "+49 30 123456", strings.TrimPrefix(m.Subject, "Acme: "))
				if typ == mfa.EventUserDisabled { // it is an administrator who called
					wantNotIn(t, lang+" "+string(typ), part, "192.0.2.1", "Firefox")
				} else {
					wantIn(t, lang+" "+string(typ), part, "192.0.2.1", "Firefox, Windows")
				}
				if !advice.MatchString(part) {
					t.Errorf("%s %s says nothing of what to do", lang, typ)
				}
			}
			wantIn(t, "HTML", m.HTML, `lang="`+lang+`"`)
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	added := event(mfa.EventFactorAdded)
	paused := event(mfa.EventPaused)
	paused.Name = ""
	german := user()
	german.Locale = "de-AT"
	opts := &notify.Options{Settings: settings, Support: "help@acme.example"}
	for name, m := range map[string]mail.Message{
		"factor-added": one(t, opts, user(), added),
		"paused-de":    one(t, opts, german, paused),
	} {
		for ext, got := range map[string]string{".txt": m.Subject + "\n\n" + m.Text + "\n", ".html": m.HTML + "\n"} {
			file := filepath.Join("testdata", name+ext)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		}
	}
}

// A type that this version does not know is told all the same.
func TestUnknownEvent(t *testing.T) {
	t.Parallel()
	m := one(t, nil, user(), event("device-trusted"))
	wantIn(t, "the notice", m.Text, "device-trusted", "2 March 2026, 09:00 UTC", "If this was not you")
	m = one(t, nil, user(), mfa.Event{Type: mfa.EventType(strings.Repeat("odd\r\n\u202e", 1000))})
	wantIn(t, "the notice", m.Text, "odd odd")
}

// Who did it and why; the administrator's own address is not the user's business.
func TestReset(t *testing.T) {
	t.Parallel()
	e := event(mfa.EventReset)
	e.Actor, e.Reason = "grace@acme.example", "lost \r\n phone, "+strings.Repeat("ü", 2000)
	m := one(t, nil, user(), e)
	wantIn(t, "the notice", m.Text, "Done by: grace@acme.example\n", "Reason: lost phone, üü")
	wantNotIn(t, "the notice", m.Text, "192.0.2.1", "Firefox")
	if n := strings.Count(m.Text, "ü"); n < 400 || n > 512 {
		t.Errorf("%d letters of the reason", n)
	}
}

// a change of address is told to both, and each sees the other masked.
func TestAddressChanged(t *testing.T) {
	t.Parallel()
	const old = "countess@old.example"
	for name, c := range map[string]struct {
		e    mfa.Event
		want []string
	}{
		"in the profile": {mfa.Event{Type: mfa.EventAddressChanged, Address: ada, Old: " Countess@old.example"}, []string{"Countess@old.example", ada}},
		"of a factor": {
			mfa.Event{Type: mfa.EventAddressChanged, Kind: "email", Address: "ada@home.example", Old: old},
			[]string{old, ada, "ada@home.example"},
		},
		"the same":           {mfa.Event{Type: mfa.EventAddressChanged, Address: ada, Old: "ada@EXAMPLE.com"}, []string{ada}},
		"added":              {mfa.Event{Type: mfa.EventFactorAdded, Kind: "email", Address: "ada@home.example"}, []string{ada, "ada@home.example"}},
		"removed":            {mfa.Event{Type: mfa.EventFactorRemoved, Kind: "email", Address: "ada@home.example"}, []string{ada, "ada@home.example"}},
		"a telephone":        {mfa.Event{Type: mfa.EventFactorAdded, Kind: "sms", Address: "+4930123456"}, []string{ada}},
		"of no address":      {mfa.Event{Type: mfa.EventFactorRenamed, Name: "x", Address: "a@b.example", Old: "victim@example.org"}, []string{ada}},
		"of a failed letter": {mfa.Event{Type: mfa.EventDeliveryFailed, Address: "ada@home.example"}, []string{ada}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out mail.Outbox
			if err := newNotifier(t, &out, nil).Notify(t.Context(), user(), c.e); err != nil {
				t.Error(err)
			}
			var got []string
			for _, m := range out.All() {
				got = append(got, m.To)
				for _, other := range append(c.want, c.e.Address, strings.TrimSpace(c.e.Old)) {
					if other != "" && !strings.EqualFold(other, m.To) {
						wantNotIn(t, m.To, m.Subject+m.Text+m.HTML, other)
					}
				}
				wantIn(t, m.To, m.Text, "Account: ")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
		})
	}
	var out mail.Outbox
	_ = newNotifier(t, &out, nil).Notify(t.Context(), user(), mfa.Event{Type: mfa.EventAddressChanged, Address: ada, Old: old})
	wantIn(t, "the old address' mail", out.To(old)[0].Text, "Address: a…@example.com\n", "Address before: "+old+"\n", "Account: a…@example.com")
	wantIn(t, "the new address' mail", out.To(ada)[0].Text, "Address: "+ada+"\n", "Address before: c…@old.example\n", "Account: "+ada)
}

// whoever enters a stranger's address as his new one sends the stranger no
// words of his own; and the owner, to whom the old one belongs, waits for nobody.
func TestNewAddressIsAStrangers(t *testing.T) {
	t.Parallel()
	const old, stranger, profile = "mallory@evil.example", "stranger@victim.example", "profile@example.com"
	u := user()
	u.DisplayName, u.Email = "You won 1000 EUR", profile
	e := mfa.Event{Type: mfa.EventAddressChanged, Kind: "email", Name: "Call us now", Address: stranger, Old: " Mallory@EVIL.example"}
	var out mail.Outbox
	if err := newNotifier(t, &out, nil).Notify(t.Context(), u, e); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{stranger, profile} {
		m := out.To(to)[0]
		wantIn(t, to, m.Text, "Hello,\n")
		wantNotIn(t, to, m.Subject+m.Text+m.HTML, "You won", "Call us")
	}
	all := out.All()
	if len(all) != 3 || !strings.EqualFold(all[0].To, old) {
		t.Fatalf("the old address is not the first of %d", len(all))
	}
	wantIn(t, "the old address' mail", all[0].Text, "Hello You won 1000 EUR,\n", "(Call us now)")

	for _, typ := range []mfa.EventType{mfa.EventFactorAdded, mfa.EventFactorRemoved} {
		out.Clear()
		_ = newNotifier(t, &out, nil).Notify(t.Context(), user(), mfa.Event{Type: typ, Kind: "email", Address: "new@example.com", Old: old})
		if all := out.All(); len(all) != 3 || all[0].To != old {
			t.Errorf("%s: the old address is not the first of %d", typ, len(all))
		}
	}
}

// Others are told in other words, whose account it is, and nothing twice.
func TestFurtherRecipients(t *testing.T) {
	t.Parallel()
	var out mail.Outbox
	n := newNotifier(t, &out, &notify.Options{
		Settings: settings, Support: "+49 30 123456",
		To: func(_ context.Context, u mfa.User, e mfa.Event) ([]string, error) {
			if u.ID != "u-1" || e.Type != mfa.EventFactorAdded || len(out.All()) != 1 {
				t.Errorf("asked for %q and %s after %d mails", u.ID, e.Type, len(out.All()))
			}
			return []string{"ops@acme.example", "ada@EXAMPLE.com ", "boss@acme.example", "ops@acme.example"}, nil
		},
	})
	if err := n.Notify(t.Context(), user(), event(mfa.EventFactorAdded)); err != nil {
		t.Fatal(err)
	}
	if all := out.All(); len(all) != 3 {
		t.Fatalf("%d mails, want 3", len(all))
	}
	wantIn(t, "the user's own", out.To(ada)[0].Text, "your account at Acme", "If this was not you")
	for _, to := range []string{"ops@acme.example", "boss@acme.example"} {
		m := out.To(to)[0]
		wantIn(t, to, m.Subject, "("+ada+")")
		for _, part := range []string{m.Text, m.HTML} {
			wantIn(t, to, part, "This is about the account "+ada+" at Acme.", "Authenticator app (Pixel 9)", "2 March 2026")
			wantNotIn(t, to, part, "your account", "your password", "Hello", settings, "acme.example", "123456")
		}
	}
}

// What somebody may have as the name of an account.
func TestAccountName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		u    mfa.User
		want string
	}{
		"name":          {mfa.User{ID: "u-1", Name: "ada"}, "account ada at"},
		"name is ID":    {mfa.User{ID: "u-1", Name: "u-1", Email: ada}, "account " + ada + " at"},
		"ID alone":      {mfa.User{ID: "u-1", Name: "u-1"}, "account u-1 at"},
		"like a link":   {mfa.User{ID: "u-1", Name: "https://evil.example/x"}, "account https: //evil. example/x at"},
		"two lines":     {mfa.User{ID: "u-1", Name: "a\r\nBcc: b"}, "account a Bcc: b at"},
		"no service":    {mfa.User{ID: "u-1", Name: "ada"}, "at this service"},
		"blank service": {mfa.User{ID: "u-1", Name: "ada", Service: "\u202e"}, "at this service"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out mail.Outbox
			n := newNotifier(t, &out, &notify.Options{To: func(context.Context, mfa.User, mfa.Event) ([]string, error) {
				return []string{"ops@acme.example"}, nil
			}})
			_ = n.Notify(t.Context(), c.u, event(mfa.EventPaused))
			wantIn(t, "the notice", out.To("ops@acme.example")[0].Text, c.want)
		})
	}
}

// one that fails keeps nobody else from being told, and what fails does not
// show whom.
func TestOneFails(t *testing.T) {
	t.Parallel()
	further := func(to ...string) func(context.Context, mfa.User, mfa.Event) ([]string, error) {
		return func(context.Context, mfa.User, mfa.Event) ([]string, error) { return to, nil }
	}
	odd := errors.New("550 <ada@example.com>: no such user")
	type send = func(ctx context.Context, m mail.Message) error
	for name, c := range map[string]struct {
		email string
		to    func(context.Context, mfa.User, mfa.Event) ([]string, error)
		send  send // for ada
		want  []string
	}{
		"the user's":      {ada, further("ops@acme.example"), func(context.Context, mail.Message) error { return odd }, []string{"ops@acme.example"}},
		"it panics":       {ada, further("ops@acme.example"), func(context.Context, mail.Message) error { panic(odd) }, []string{"ops@acme.example"}},
		"a hook":          {ada, func(context.Context, mfa.User, mfa.Event) ([]string, error) { return nil, odd }, nil, []string{ada}},
		"a hook that has": {ada, func(context.Context, mfa.User, mfa.Event) ([]string, error) { return []string{"a@b.example"}, odd }, nil, []string{ada, "a@b.example"}},
		"a hook panics":   {ada, func(context.Context, mfa.User, mfa.Event) ([]string, error) { panic(odd) }, nil, []string{ada}},
		"a list":          {ada + ", b@example.com", further("ops@acme.example"), nil, []string{"ops@acme.example"}},
		"a header":        {ada, further("b@example.com\r\nBcc: c@example.com", "ops@acme.example"), nil, []string{ada, "ops@acme.example"}},
		"a name":          {ada, further("Ops <ops@acme.example>", "ops@acme.example"), nil, []string{ada, "ops@acme.example"}},
		"ten megabytes":   {ada, further(strings.Repeat("a", 10<<20)+"@example.com", "ops@acme.example"), nil, []string{ada, "ops@acme.example"}},
		"nothing":         {ada, further("", "ops@acme.example"), nil, []string{ada, "ops@acme.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			n := newNotifier(t, sender(func(ctx context.Context, m mail.Message) error {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("a sender that may hang for ever")
				}
				if m.To == ada && c.send != nil {
					return c.send(ctx, m)
				}
				got = append(got, m.To)
				return nil
			}), &notify.Options{To: c.to})
			u, e := user(), event(mfa.EventReset)
			u.Email, e.Reason = c.email, "the-reason"
			err := n.Notify(t.Context(), u, e)
			if err == nil || errors.Is(err, notify.ErrNoRecipient) {
				t.Errorf("error: %v", err)
			}
			wantNotIn(t, "the error", fmt.Sprintf("%v %+v", err, err), "@", "example", "the-reason")
			if !slices.Equal(got, c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
		})
	}
	err := newNotifier(t, sender(func(context.Context, mail.Message) error { return odd }), nil).Notify(t.Context(), user(), event(mfa.EventPaused))
	if !errors.Is(err, odd) || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("the developer does not learn why: %v", err)
	}
}

// A mailbox that hangs leaves time for the next one.
func TestOneHangs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // what Guard gives
	defer cancel()
	var got []time.Duration
	all, _ := ctx.Deadline()
	n := newNotifier(t, sender(func(ctx context.Context, m mail.Message) error {
		until, _ := ctx.Deadline()
		got = append(got, all.Sub(until))
		return context.DeadlineExceeded
	}), nil)
	_ = n.Notify(ctx, user(), mfa.Event{Type: mfa.EventAddressChanged, Address: ada, Old: "b@example.com"})
	if len(got) != 2 || got[0] < 5*time.Second {
		t.Errorf("time left after each: %v", got)
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Parallel()
	for name, email := range map[string]string{"none": "", "bad": "ada"} {
		var out mail.Outbox
		n := newNotifier(t, &out, &notify.Options{To: func(context.Context, mfa.User, mfa.Event) ([]string, error) { return nil, nil }})
		u := user()
		u.Email = email
		if err := n.Notify(t.Context(), u, event(mfa.EventPaused)); !errors.Is(err, notify.ErrNoRecipient) || len(out.All()) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var zero *notify.Notifier
	for _, n := range []*notify.Notifier{zero, {}} {
		if err := n.Notify(t.Context(), user(), event(mfa.EventPaused)); !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("one that New did not make: %v", err)
		}
	}
}

// Names that somebody chose neither add to a notice nor suppress it.
func TestOddNames(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]string{
		"lines":      "x\r\nBcc: victim@example.org\r\n\r\nYou won",
		"direction":  "\u202egnp.exe\u2066x",
		"huge":       strings.Repeat("\U0001F511", 1<<20),
		"not UTF-8":  "a\xff\xfe\x00b",
		"a script":   `<script>alert(1)</script><a href="https://evil.example">`,
		"a template": `{{.Text}}{service}`,
		"a link":     "http://evil.example/login www.evil.example",
		"empty":      "\u200b\u200b",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := mfa.User{ID: odd, Name: odd, DisplayName: odd, Email: ada, Service: odd, Locale: odd}
			e := mfa.Event{Type: mfa.EventReset, Actor: odd, Reason: odd, Kind: mfa.Kind(odd), Name: odd, Left: 1, Client: mfa.Client{IP: odd, Agent: odd}}
			for _, e.Actor = range []string{odd, ""} {
				var out mail.Outbox
				n := newNotifier(t, &out, &notify.Options{Settings: settings, To: func(context.Context, mfa.User, mfa.Event) ([]string, error) {
					return []string{"ops@acme.example"}, nil
				}})
				if err := n.Notify(t.Context(), u, e); err != nil || len(out.All()) != 2 {
					t.Fatalf("%v, %d mails", err, len(out.All()))
				}
				for _, m := range out.All() {
					if !utf8.ValidString(m.Subject) || len(m.Text) > 8<<10 {
						t.Errorf("subject %q, %d bytes of text", m.Subject, len(m.Text))
					}
					for _, line := range strings.Split(m.Text, "\n") {
						if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "You won") {
							t.Errorf("a line of its own: %q", line)
						}
					}
					wantNotIn(t, "the HTML", m.HTML, "<script", `href="https://evil`)
					wantNotIn(t, "the text", m.Text+m.HTML, "\u202e", "\u2066", "\x00", "\u200b")
				}
			}
		})
	}
}

// An IP address in a name is no link either.
func TestNameWithNumbers(t *testing.T) {
	t.Parallel()
	u, e := user(), event(mfa.EventFactorAdded)
	u.DisplayName, e.Name = "You won: 185.1.2.3/win", "https://185.1.2.3:8443/win"
	m := one(t, nil, u, e)
	for _, part := range []string{m.Text, html.UnescapeString(m.HTML)} {
		wantIn(t, "the notice", part, "You won: 185. 1. 2. 3/win", "https: //185. 1. 2. 3:8443/win")
		wantNotIn(t, "the notice", part, "185.1", "1.2.3")
	}
}

// The only thing in a mail that a mail program can make a link of is the
// configured one, whatever a thief with the password sends along.
func TestOnlyLink(t *testing.T) {
	t.Parallel()
	e := event(mfa.EventPaused)
	e.Name = "see https://evil.example/login or www.evil.example"
	e.Client = mfa.Client{IP: "fe80::1%evil.example", Agent: "Call evil.example at once! Firefox/1 https://evil.example"}
	u := user()
	u.DisplayName, u.Name = "evil.example", "http://evil.example"
	link := regexp.MustCompile(`https?://[^\s"<]+|[\w-]+\.[\pL-]+`)
	for _, want := range []string{"", settings, "http://localhost:8080/security", "http://[::1]/"} {
		m := one(t, &notify.Options{Settings: want}, u, e)
		wantIn(t, "the text", m.Text, "Device: Firefox\n", "IP address: fe80::1\n")
		got := link.FindAllString(m.Subject+m.Text, -1)
		if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("links %q, want %q", got, want)
		}
		hrefs := regexp.MustCompile(`(?:href|src|url)\s*[=(]\s*"?([^"\s>]*)`).FindAllStringSubmatch(m.HTML, -1)
		if len(hrefs) != len(got) || len(hrefs) == 1 && hrefs[0][1] != want {
			t.Errorf("references %q, want %q", hrefs, want)
		}
		wantNotIn(t, "the HTML", m.HTML, "<img", "<script", "@import", "evil.example")
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		firefox: "Firefox, Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                          "Safari, macOS",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":                                          "Chrome, Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0":                  "Edge, Windows",
		"Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":     "Samsung Internet, Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.53 Mobile/15E148 Safari/604.1": "Chrome, iPhone",
		"AcmeApp/3.2 (iPad; iOS 18.5)": "iPad",
		"curl/8.14.1":                  "",
		"":                             "",
	} {
		e := event(mfa.EventPaused)
		e.Client.Agent = agent
		m := one(t, nil, user(), e)
		if _, got, _ := strings.Cut(m.Text, "Device: "); want == "" && got != "" || want != "" && !strings.HasPrefix(got, want+"\n") {
			t.Errorf("%s: %.30q, want %q", agent, got, want)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	for name, c := range map[string]struct {
		location func(mfa.User) *time.Location
		want     string
	}{
		"none":      {nil, "2 March 2026, 09:00 UTC\n"},
		"nil":       {func(mfa.User) *time.Location { return nil }, "2 March 2026, 09:00 UTC\n"},
		"panicking": {func(mfa.User) *time.Location { panic("x") }, "2 March 2026, 09:00 UTC\n"},
		"a zone":    {func(u mfa.User) *time.Location { return berlin }, "2 March 2026, 10:00 CET\n"},
		"no name":   {func(mfa.User) *time.Location { return time.FixedZone("", -12600) }, "2 March 2026, 05:30 -0330\n"},
	} {
		wantIn(t, name, one(t, &notify.Options{Location: c.location}, user(), event(mfa.EventPaused)).Text, c.want)
	}
}

// One sentence, one frame, one language: each alone.
func TestTexts(t *testing.T) {
	t.Parallel()
	opts := &notify.Options{
		Texts: map[string]notify.Texts{
			"en": {Events: map[mfa.EventType]notify.Words{
				mfa.EventReset:   {Advice: "Come to the help desk of {service}."},
				"device-trusted": {Title: "A device is trusted now"},
			}},
			"de-AT": {Hello: "Servus", Kinds: map[mfa.Kind]string{"sms": "SMS"}},
			"he":    {Dir: "rtl", Footer: "סוף"},
		},
	}
	at := func(lang string, e mfa.Event) mail.Message {
		u := user()
		u.Locale = lang
		return one(t, opts, u, e)
	}
	m := at("en-GB", event(mfa.EventReset))
	wantIn(t, "en", m.Text, "Two-step sign-in was reset", "Come to the help desk of Acme.")
	wantIn(t, "en", at("", event("device-trusted")).Text, "A device is trusted now", "If this was not you")
	sms := event(mfa.EventPaused)
	sms.Kind = "sms"
	wantIn(t, "de-AT", at("DE-at", sms).Text, "Servus Ada,", "Jemand hat falsche Codes eingegeben", "SMS (Pixel 9)")
	wantIn(t, "de-CH", at("de-CH", sms).Text, "Guten Tag Ada,", "sms (Pixel 9)")
	m = at("he", event(mfa.EventPaused))
	wantIn(t, "he", m.Text, "סוף", "Somebody entered wrong codes")
	wantIn(t, "he", m.HTML, `dir="rtl"`, `lang="he"`)
	wantIn(t, "a long tag", at(strings.Repeat("de-", 1<<20), sms).Text, "Jemand")

	m = one(t, &notify.Options{Letter: mail.Letter{Subject: `[{{.Service}}] {{.Title}}`, HTML: `<p>{{.Title}}</p>`}}, user(), event(mfa.EventPaused))
	if m.Subject != "[Acme] Somebody entered wrong codes" || m.HTML != "<p>Somebody entered wrong codes</p>" || !strings.Contains(m.Text, "Firefox") {
		t.Errorf("%q, %q", m.Subject, m.HTML)
	}
}

// Whoever has taken the maps back changes nothing any more.
func TestTextsAreCopied(t *testing.T) {
	t.Parallel()
	words := map[mfa.EventType]notify.Words{mfa.EventPaused: {Title: "Before"}}
	all := map[string]notify.Texts{"en": {Events: words}}
	var out mail.Outbox
	n := newNotifier(t, &out, &notify.Options{Texts: all})
	words[mfa.EventPaused], all["en"] = notify.Words{Title: "After"}, notify.Texts{}
	if err := n.Notify(t.Context(), user(), event(mfa.EventPaused)); err != nil || out.All()[0].Subject != "Acme: Before" {
		t.Errorf("%v, %q", err, out.All()[0].Subject)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	words := func(w notify.Words) map[string]notify.Texts {
		return map[string]notify.Texts{"fr": {Events: map[mfa.EventType]notify.Words{mfa.EventReset: w}}}
	}
	for name, o := range map[string]notify.Options{
		"http":            {Settings: "http://acme.example/security"},
		"relative":        {Settings: "/security"},
		"no host":         {Settings: "https:///security"},
		"only a port":     {Settings: "https://:443/"},
		"a password":      {Settings: "https://a:b@acme.example/"},
		"a script":        {Settings: "javascript:alert(1)"},
		"two lines":       {Settings: "https://acme.example/\nx"},
		"a space":         {Settings: " https://acme.example/"},
		"like loopback":   {Settings: "http://127.0.0.1.evil.example/"},
		"long":            {Settings: "https://acme.example/" + strings.Repeat("x", 3000)},
		"support":         {Support: "a\r\nb"},
		"long support":    {Support: strings.Repeat("x", 257)},
		"direction":       {Texts: map[string]notify.Texts{"fr": {Dir: "up"}}},
		"no tag":          {Texts: map[string]notify.Texts{"": {}}},
		"long tag":        {Texts: map[string]notify.Texts{strings.Repeat("x", 65): {}}},
		"placeholder":     {Texts: words(notify.Words{Text: "{acount}"})},
		"subject":         {Texts: words(notify.Words{Title: "a\nb"})},
		"control":         {Texts: words(notify.Words{Text: "a\x00b"})},
		"template":        {Letter: mail.Letter{Text: "{{.Text"}},
		"template field":  {Letter: mail.Letter{HTML: "{{.Nothing}}"}},
		"an empty letter": {Letter: mail.Letter{Text: " "}},
	} {
		n, err := notify.New(new(mail.Outbox), &o)
		if n != nil || !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%s: %v, %v", name, n, err)
		}
	}
	if n, err := notify.New(nil, nil); n != nil || !errors.Is(err, mfa.ErrArgument) {
		t.Errorf("no sender: %v, %v", n, err)
	}
	for _, ok := range []string{"https://acme.example", "HTTPS://acme.example:8443/a?b=c#d", "http://127.0.0.2:80/", "http://localhost/x"} {
		if _, err := notify.New(new(mail.Outbox), &notify.Options{Settings: ok}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
}

// a Notifier prints nothing of what it sends with.
func TestPrintsNothing(t *testing.T) {
	t.Parallel()
	n := newNotifier(t, account{password: "hunter2"}, &notify.Options{Support: "hunter2"})
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "n", n, "v", *n)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "n", n, "v", *n)
	b, _ := json.Marshal([]any{n, *n})
	log.Write(b)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb+verb, n, *n)
	}
	wantNotIn(t, "what is printed", log.String(), "hunter2", fmt.Sprintf("%x", "hunter2"))
}

type account struct{ password string }

func (account) Send(context.Context, mail.Message) error { return nil }

type sender func(context.Context, mail.Message) error

func (s sender) Send(ctx context.Context, m mail.Message) error { return s(ctx, m) }
