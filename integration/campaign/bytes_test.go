package campaign

// Every byte of what SQLite keeps, searched for what must not be there
//

import (
	"bytes"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/emailotp"
	"github.com/seed-f4994bf1/mfa/integration/servers"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// needles are what is searched for, by what it is.
type needles map[string][]byte

func (n needles) add(what string, b []byte) {
	if len(b) < 6 {
		panic("a needle so short is found by chance")
	}
	n[what] = bytes.Clone(b)
}

// bytes adds b as it is and in every usual encoding.
func (n needles) bytes(what string, b []byte) {
	n.add(what+" raw", b)
	for name, enc := range map[string]*base32.Encoding{"": base32.StdEncoding, " hex alphabet": base32.HexEncoding} {
		padded := enc.EncodeToString(b)
		bare := strings.TrimRight(padded, "=")
		n.add(what+" base32"+name, []byte(bare))
		n.add(what+" base32 lower"+name, []byte(strings.ToLower(bare)))
		if padded != bare {
			n.add(what+" base32 padded"+name, []byte(padded))
			n.add(what+" base32 padded lower"+name, []byte(strings.ToLower(padded)))
		}
	}
	n.add(what+" hex", []byte(hex.EncodeToString(b)))
	n.add(what+" hex upper", []byte(strings.ToUpper(hex.EncodeToString(b))))
	for name, enc := range map[string]*base64.Encoding{"std": base64.RawStdEncoding, "url": base64.RawURLEncoding} {
		for shift := range 3 { // wherever it begins in something longer
			text := enc.EncodeToString(append(make([]byte, shift), b...))
			n.add(fmt.Sprintf("%s base64 %s at %d", what, name, shift), []byte(text[(shift*8+5)/6:(shift+len(b))*8/6]))
		}
	}
	if padded := base64.StdEncoding.EncodeToString(b); strings.HasSuffix(padded, "=") {
		n.add(what+" base64 padded", []byte(padded))
	}
}

// text adds s as it is, in both cases, and in every usual encoding.
func (n needles) text(what, s string) {
	n.bytes(what, []byte(s))
	n.add(what+" lower", []byte(strings.ToLower(s)))
	n.add(what+" upper", []byte(strings.ToUpper(s)))
}

func (n needles) app(what string, a *mfatest.App, uri, shown string) {
	n.bytes(what+" secret", a.Secret())
	n.text(what+" secret as shown", shown)
	n.text(what+" URI", uri)
	n.add(what+" URI escaped", []byte(url.QueryEscape(uri)))
}

func (n needles) codes(what string, codes []mfa.Secret) {
	for i, c := range codes {
		code := c.Reveal()
		bare := strings.ReplaceAll(code, "-", "")
		n.text(fmt.Sprintf("%s %d", what, i), code)
		n.text(fmt.Sprintf("%s %d ungrouped", what, i), bare)
		raw, err := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(bare))
		if err != nil {
			panic(err)
		}
		n.bytes(fmt.Sprintf("%s %d decoded", what, i), raw)
	}
}

// address adds an address and its parts, of which the first must be in no user
// ID.
func (n needles) address(what, address string) {
	n.text(what, address)
	local, domain, _ := strings.Cut(address, "@")
	n.text(what+", local part", local)
	n.text(what+", domain", domain)
	n.add(what+" URL escaped", []byte(url.QueryEscape(address)))
}

// mails adds the codes that were mailed.
func (n needles) mails(what string, mails []mail.Kept) {
	for i, m := range mails {
		code := mfatest.Code(m.Message)
		n.text(fmt.Sprintf("%s %d", what, i), code)
		n.add(fmt.Sprintf("%s %d grouped", what, i), []byte(code[:3]+" "+code[3:]))
	}
}

func (n needles) token(what, token string) {
	n.text(what, token)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		panic(err)
	}
	n.bytes(what+" decoded", raw)
	n.add(what+" decoded, sealed part", raw[16:])
}

// in returns what was found in the files.
func (n needles) in(t *testing.T, files []string) (found []string) {
	t.Helper()
	var all [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for what, needle := range n {
		if slices.ContainsFunc(all, func(b []byte) bool { return bytes.Contains(b, needle) }) {
			found = append(found, what)
		}
	}
	slices.Sort(found)
	return found
}

// databaseFiles returns the file and what lies beside it, and their sizes.
func databaseFiles(t *testing.T, file string) (files []string, sizes map[string]int64) {
	t.Helper()
	files, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	sizes = map[string]int64{}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		sizes[strings.TrimPrefix(f, file)] = info.Size()
	}
	return files, sizes
}

func TestNothingLegibleInTheDatabase(t *testing.T) {
	ctx := t.Context()
	h := houseOn(t, servers.SQLite)
	file := strings.TrimPrefix(h.url, "sqlite:")
	i := h.instance(t)
	all := needles{}
	all.text("sealing keys", string(h.keys))

	signIn := func(userID string, answer mfa.Answer) *mfa.Session {
		t.Helper()
		pending := i.begin(t, userID)
		all.token("pending token of "+userID, pending.Token())
		login, err := pending.Verify(ctx, answer)
		if err != nil {
			t.Fatal(err)
		}
		all.token("session token of "+userID, login.Session.Token())
		all.text("used answer of "+userID, answer.Code)
		return login.Session
	}
	for n := range 3 {
		userID := fmt.Sprintf("user-%d", n)
		login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
		if err != nil {
			t.Fatal(err)
		}
		const name = "Ada's red telephone"
		all.text("factor name", name)
		settings := i.guard.Settings(login.Session)
		e, err := settings.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		app, err := mfatest.NewApp(e.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		all.app("app of "+userID, app, e.URI.Reveal(), e.Secret.Reveal())
		c, err := settings.Confirm(ctx, e.ID, mfa.Answer{Kind: totp.Kind, Code: app.Next(h.Clock)})
		if err != nil {
			t.Fatal(err)
		}
		all.codes("first codes of "+userID, c.BackupCodes)
		signIn(userID, mfa.Answer{Kind: backupcodes.Kind, Code: c.BackupCodes[0].Reveal()})
		session := signIn(userID, mfa.Answer{Kind: totp.Kind, Code: app.Next(h.Clock)})

		// A set that replaces the first, a second app that is confirmed, and
		// one that stays a draft.
		settings = i.guard.Settings(session)
		made, err := settings.Enroll(ctx, mfa.NewFactor{Kind: backupcodes.Kind})
		if err != nil {
			t.Fatal(err)
		}
		all.codes("second codes of "+userID, made.Codes)
		settings = i.guard.Settings(made.Session)
		for _, what := range []string{"second app of ", "draft of "} {
			e, err := settings.Enroll(ctx, mfa.NewFactor{Kind: totp.Kind, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			app, err := mfatest.NewApp(e.URI.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			all.app(what+userID, app, e.URI.Reveal(), e.Secret.Reveal())
			if what == "draft of " {
				break
			}
			if c, err = settings.Confirm(ctx, e.ID, mfa.Answer{Kind: totp.Kind, Code: app.Next(h.Clock)}); err != nil {
				t.Fatal(err)
			}
			settings = i.guard.Settings(c.Session)
		}

		// An address that was confirmed and signs in, one in its place, one that
		// stays a draft, and a code that is out.
		for step, local := range []string{"lovelace.ada", "augusta-ada-king", "countess+mfa"} {
			address := fmt.Sprintf("%s.%d@analytical%d.example", local, n, step)
			all.address("address of "+userID+" "+local, address)
			h.Clock.Advance(time.Minute)
			e, err := settings.Enroll(ctx, mfa.NewFactor{Kind: emailotp.Kind, Name: name, Address: address})
			if err != nil {
				t.Fatal(err)
			}
			if step == 2 {
				break
			}
			latest := func() mfa.Answer {
				mails := h.Mail.To(address)
				return mfa.Answer{Kind: emailotp.Kind, Code: mfatest.Code(mails[len(mails)-1].Message)}
			}
			if c, err = settings.Confirm(ctx, e.ID, latest()); err != nil {
				t.Fatal(err)
			}
			settings = i.guard.Settings(c.Session)
			for _, answered := range []bool{true, false} {
				h.Clock.Advance(time.Minute)
				pending := i.begin(t, userID)
				all.token(fmt.Sprintf("pending token of %s for a code to %s, answered: %v", userID, local, answered), pending.Token())
				if _, err := pending.Challenge(ctx, byMail); err != nil {
					t.Fatal(err)
				}
				if !answered {
					break
				}
				login, err := pending.Verify(ctx, latest())
				if err != nil {
					t.Fatal(err)
				}
				settings = i.guard.Settings(login.Session)
			}
		}
		all.mails("mailed code of "+userID, h.Mail.All())
		h.Mail.Clear()
		i.begin(t, userID).Verify(ctx, mfa.Answer{Kind: totp.Kind, Code: wrongCode(app, h.Clock.Now())})
	}

	files, sizes := databaseFiles(t, file)
	t.Logf("%d needles, files %v", len(all), sizes)
	for _, part := range []string{"", "-wal", "-shm"} {
		if sizes[part] == 0 {
			t.Errorf("no file %q to search: this was no test", part)
		}
	}
	for _, what := range all.in(t, files) {
		t.Errorf("%s is legible", what)
	}

	// The same search finds each of these where it is written in the clear.
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE planted (what BLOB)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, needle := range all {
		if _, err := tx.Exec("INSERT INTO planted VALUES (?)", needle); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	files, _ = databaseFiles(t, file)
	if found := all.in(t, files); len(found) < len(all)*99/100 { // what crosses a page is in two pieces
		t.Errorf("%d of %d planted values were found", len(found), len(all))
	}
}

// A record belongs to one user and one ring: copied to another user it does not
// open, and under a ring that lacks its key it says so. Neither is "nothing set
// up".
func TestRecordOfAnother(t *testing.T) {
	ctx := t.Context()
	h := houseOn(t, servers.SQLite)
	i := h.instance(t)
	ada, bob := h.Enroll(i.guard, "ada"), h.Enroll(i.guard, "bob")
	session, pending := bob.SignIn(i.guard, totp.Kind), i.begin(t, "bob")

	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(h.url, "sqlite:")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(text string, args ...any) {
		t.Helper()
		r, err := db.Exec(text, args...)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := r.RowsAffected(); n != 1 {
			t.Fatalf("%d rows changed", n)
		}
	}
	refuses := func(i *instance, userID string, want error) {
		t.Helper()
		login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: userID, By: mfa.ByPassword})
		if !errors.Is(err, want) || login != nil {
			t.Errorf("Begin: %v, want %v", err, want)
		}
		if _, err := i.guard.Admin("test").Overview(ctx, userID); !errors.Is(err, want) {
			t.Errorf("Overview: %v, want %v", err, want)
		}
		if err := i.guard.Require(ctx, i.guard.Session(userID, session.Token()), mfa.Rule{AllowWithout: true}); !errors.Is(err, want) {
			t.Errorf("Require: %v, want %v", err, want)
		}
	}

	// Ada's record, version and all, in bob's place, and in carol's who had none.
	exec(`UPDATE mfa_record SET (version, data) = (SELECT version, data FROM mfa_record WHERE user_id = ?) WHERE user_id = ?`, []byte("ada"), []byte("bob"))
	exec(`INSERT INTO mfa_record SELECT ?, version, data FROM mfa_record WHERE user_id = ?`, []byte("carol"), []byte("ada"))
	for _, i := range []*instance{i, h.instance(t)} {
		refuses(i, "bob", vault.ErrCorrupt)
		refuses(i, "carol", vault.ErrCorrupt)
	}
	if _, err := pending.Verify(ctx, ada.Answer(totp.Kind)); !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, mfa.ErrInvalid) {
		t.Errorf("ada's code for bob's sign-in: %v", err)
	}

	// Another ring.
	keys, err := vault.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other := *h
	other.keys = keys
	stranger := other.instance(t)
	refuses(stranger, "ada", vault.ErrUnknownKey)

	// A damaged record, in each of its bytes.
	var data []byte
	if err := db.QueryRow(`SELECT data FROM mfa_record WHERE user_id = ?`, []byte("ada")).Scan(&data); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += 1 + len(data)/60 {
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x10
		exec(`UPDATE mfa_record SET data = ? WHERE user_id = ?`, damaged, []byte("ada"))
		if login, err := i.guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword}); err == nil || errors.Is(err, mfa.ErrRejected) || login != nil {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}
