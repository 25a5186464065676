package notify

import (
	"cmp"
	"context"
	_ "embed" // the built-in letter
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
)

// ErrNoRecipient: there was no usable address, so nobody was told.
var ErrNoRecipient = errors.New("notify: no recipient")

// Options of a Notifier. nil and the zero Options tell the user alone.
type Options struct {
	// Texts are what the mails say, by BCP 47 tag, over the built-in "en" and
	// "de" or beside them. The user's Locale chooses, for every recipient. nil:
	// the built-in ones.
	Texts map[string]Texts

	// Letter is the frame that a Notice is put into, in every language. A part
	// that is "" is the built-in one.
	Letter mail.Letter

	// To returns further recipients, such as administrators by role or a
	// second address. It is called after the user was told, once for each
	// notice; addresses that came before are skipped. What it returns beside an
	// error is used. nil: there are none.
	To func(ctx context.Context, u mfa.User, e mfa.Event) ([]string, error)

	// Settings is the absolute URL of the page of security settings: https, or
	// http on localhost or a loopback address. "": no link.
	Settings string

	// Support is whom a user turns to: an address, a telephone number, hours,
	// on one line of at most 256 bytes. "": not said.
	Support string

	// Location is where a user's clocks are. nil, and where it returns nil: UTC.
	// The zone stands beside every time.
	Location func(u mfa.User) *time.Location
}

// A Notifier mails notices. Make one with New.
type Notifier struct {
	sender   mail.Sender
	to       func(context.Context, mfa.User, mfa.Event) ([]string, error)
	location func(mfa.User) *time.Location
	settings string
	support  string
	texts    map[string]*Texts
	letters  *mail.Letters
}

var _ mfa.Notifier = (*Notifier)(nil)

// A Notice is what Options.Letter fills in, for one recipient. Everything in it
// is one line of text, and may be empty but for Lang, Dir, Service, Lead, Title
// and Text.
type Notice struct {
	Lang, Dir string // of the Texts
	Service   string
	Hello     string // "" to others than the user
	Name      string // the user's DisplayName
	Account   string // the account's name
	Own       bool   // to the user
	Alarm     bool   // to be acted on at once
	Lead      string // whose account
	Title     string // what happened, in a few words
	Text      string // what that means
	Rows      []Row  // which method, when, from where
	Advice    string // what to do
	Link      string // Options.Settings; "" to others than the user
	LinkText  string
	Help      string // with Options.Support
	Footer    string
}

// A Row is one detail of a Notice.
type Row struct{ Label, Value string }

// The built-in letter.
var (
	//go:embed letter.txt
	letterText string
	//go:embed letter.html
	letterHTML string
)

const letterSubject = `{{.Service}}: {{.Title}}{{if not .Own}} ({{.Account}}){{end}}`

const (
	maxReason  = 1024            // bytes, of which Guard takes no more
	maxSubject = 256             // bytes, of which mail.Message takes no more
	sendTime   = 4 * time.Second // for one of the mails, so that one mailbox that hangs leaves time for the others
)

// New returns a Notifier that sends by s, or all that is wrong with opts, as an
// error that wraps mfa.ErrArgument. Every text is tried.
func New(s mail.Sender, opts *Options) (*Notifier, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	var errs []error
	if s == nil {
		errs = append(errs, errors.New("no sender"))
	}
	if len(o.Support) > 256 || o.Support != line(o.Support, len(o.Support)) {
		errs = append(errs, errors.New("support is not one short line"))
	}
	if o.Settings != "" {
		link, err := checkLink(o.Settings)
		errs, o.Settings = append(errs, err), link
	}
	n := &Notifier{sender: s, to: o.To, location: o.Location, settings: o.Settings, support: o.Support}
	var err error
	n.texts, err = merge(o.Texts)
	errs = append(errs, err)
	n.letters, err = mail.NewLetters(map[string]mail.Letter{"en": {
		Subject: cmp.Or(o.Letter.Subject, letterSubject),
		Text:    cmp.Or(o.Letter.Text, letterText),
		HTML:    cmp.Or(o.Letter.HTML, letterHTML),
	}}, Notice{Lang: "en", Dir: "ltr", Service: "Acme", Lead: "Lead", Title: "Title", Text: "Text"})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("notify: %w: %w", mfa.ErrArgument, err)
	}
	if err := n.try(); err != nil {
		return nil, fmt.Errorf("notify: %w: %w", mfa.ErrArgument, err)
	}
	return n, nil
}

func checkLink(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048 || u.Hostname() == "" || u.User != nil || s != line(s, len(s)):
	case u.Scheme == "https", u.Scheme == "http" && local(u.Hostname()):
		return u.String(), nil
	}
	return "", errors.New("settings is no absolute https URL")
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// try renders every notice there is, so that a text that cannot be sent is found
// at the start and not by an alarm.
func (n *Notifier) try() error {
	const to = "ada@example.com"
	u := mfa.User{ID: "1", Name: to, DisplayName: "Ada", Email: to, Service: "Acme"}
	for _, lang := range slices.Sorted(maps.Keys(n.texts)) {
		u.Locale = lang
		for _, t := range slices.Sorted(maps.Keys(n.texts[lang].Events)) {
			for _, own := range []bool{true, false} {
				m, err := n.message(to, own, u, mfa.Event{Type: t, Left: 3, Actor: "Grace", Reason: "lost", Address: to, Old: to})
				if err == nil && strings.ContainsAny(m.Subject+m.Text, "{}") {
					err = errors.New("unknown placeholder")
				}
				if err != nil {
					return fmt.Errorf("texts %q, event %q: %w", lang, t, err)
				}
			}
		}
	}
	return nil
}

// Notify implements mfa.Notifier: a mail to each recipient, the user first. Its
// error joins what went wrong, and wraps ErrNoRecipient if there was no usable
// address.
func (n *Notifier) Notify(ctx context.Context, u mfa.User, e mfa.Event) error {
	if n == nil || n.sender == nil {
		return fmt.Errorf("notify: %w: a Notifier that New did not make", mfa.ErrArgument)
	}
	var errs []error
	had := map[string]bool{}
	tell := func(own bool, addresses ...string) {
		for _, address := range addresses {
			to, err := mail.Address(address)
			if err == nil && !had[to] {
				had[to] = true
				err = n.send(ctx, to, own, u, e)
			}
			if err != nil {
				errs = append(errs, failed("to tell somebody", err))
			}
		}
	}
	tell(true, owners(u, e)...)
	if n.to != nil {
		var further []string
		err := called(func() (err error) {
			further, err = n.to(ctx, u, e)
			return err
		})
		if err != nil {
			errs = append(errs, failed("to find further recipients", err))
		}
		tell(false, further...)
	}
	if len(had) == 0 {
		errs = append(errs, ErrNoRecipient)
	}
	return errors.Join(errs...)
}

// owners are the addresses of the user's that e concerns. Of other types of
// event Address and Old may be anything, and of other kinds of factor telephone
// numbers.
func owners(u mfa.User, e mfa.Event) (addresses []string) {
	add := func(address string) {
		if strings.Contains(address, "@") {
			addresses = append(addresses, address)
		}
	}
	concerned := e.Type == mfa.EventFactorAdded || e.Type == mfa.EventFactorRemoved || e.Type == mfa.EventAddressChanged
	if concerned {
		add(e.Old) // first: it is the owner's, whoever made the change
	}
	if u.Email != "" {
		addresses = append(addresses, u.Email)
	}
	if concerned {
		add(e.Address)
	}
	return addresses
}

func (n *Notifier) send(ctx context.Context, to string, own bool, u mfa.User, e mfa.Event) error {
	m, err := n.message(to, own, u, e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return called(func() error { return n.sender.Send(ctx, m) })
}

// message returns what to gets; own: to is the user.
func (n *Notifier) message(to string, own bool, u mfa.User, e mfa.Event) (mail.Message, error) {
	m, err := n.letters.Render("en", n.notice(to, own, u, e))
	if err != nil {
		return mail.Message{}, err
	}
	m.To, m.Tenant = to, u.Tenant
	m.Subject = strings.ToValidUTF8(m.Subject[:min(len(m.Subject), maxSubject)], "")
	return m, m.Check()
}

func (n *Notifier) notice(to string, own bool, u mfa.User, e mfa.Event) Notice {
	lang, t := n.language(u.Locale)
	words, ok := t.Events[e.Type]
	if !ok {
		words = t.Events[""]
	}
	service := cmp.Or(mail.Legible(u.Service), t.Service)
	account := accountName(u)
	if own {
		account = cmp.Or(masked(account, to), account)
	}
	in := strings.NewReplacer("{service}", service, "{account}", account, "{event}", name(string(e.Type)), "{support}", n.support).Replace

	out := Notice{
		Lang: lang, Dir: t.Dir, Service: service, Account: account, Own: own,
		Alarm: e.Type == mfa.EventPaused || e.Type == mfa.EventDisabled,
		Lead:  in(t.Theirs), Title: in(words.Title), Text: in(words.Text), Advice: in(t.TheirAdvice), Footer: in(t.Footer),
		Rows: n.rows(t, to, u, e),
	}
	if own {
		out.Hello = t.Hello
		if known(to, e) {
			out.Name = name(u.DisplayName)
		}
		out.Lead, out.Advice = in(t.Yours), in(words.Advice)
		out.Link, out.LinkText = n.settings, t.Link
		out.Rows = append(out.Rows, row(t.Account, account)...)
		if n.support != "" {
			out.Help = in(t.Help)
		}
	}
	return out
}

// known reports that to was the user's before e. A new address may be a stranger's,
// and then a name that the user has chosen an advertisement.
func known(to string, e mfa.Event) bool {
	old, err := mail.Address(e.Old)
	return e.Type != mfa.EventAddressChanged || err == nil && to == old
}

// rows are what is known of e.
func (n *Notifier) rows(t *Texts, to string, u mfa.User, e mfa.Event) []Row {
	method, title := t.kind(e.Kind), ""
	if known(to, e) {
		title = name(e.Name)
	}
	if method != "" && title != "" {
		title = " (" + title + ")"
	}
	left := ""
	if e.Left > 0 {
		left = fmt.Sprint(e.Left)
	}
	ip, agent := "", ""
	if e.Actor == "" && e.Type != mfa.EventUserDisabled { // else it would be the administrator's
		ip, agent = address(e.Client.IP), program(e.Client.Agent)
	}
	return slices.Concat(
		row(t.Method, method+title),
		row(t.Address, masked(e.Address, to)),
		row(t.Old, masked(e.Old, to)),
		row(t.Left, left),
		row(t.Actor, name(e.Actor)),
		row(t.Reason, line(e.Reason, maxReason)),
		row(t.When, n.when(t, u, e.Time)),
		row(t.IP, ip),
		row(t.Program, agent),
	)
}

func row(label, value string) []Row {
	if value == "" {
		return nil
	}
	return []Row{{label, value}}
}

func (n *Notifier) when(t *Texts, u mfa.User, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	zone := time.UTC
	if n.location != nil {
		_ = called(func() error { // a user is told in UTC rather than not at all
			zone = cmp.Or(n.location(u), zone)
			return nil
		})
	}
	at = at.In(zone)
	return line(at.Format(t.Time)+" "+at.Format("MST"), maxReason)
}

// called returns the error of a callback; a panic is one too. What it panicked
// with is not told: it may be anything.
func called(callback func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it panicked")
		}
	}()
	return callback()
}

// A failure is an error of somebody else's code. Mail servers like to repeat an
// address, so what has an @ in it does not show.
type failure struct {
	to  string
	err error
}

func failed(to string, err error) error { return &failure{to, err} }

func (f *failure) Unwrap() error { return f.err }

func (f *failure) Error() string {
	words := strings.Fields(line(f.err.Error(), maxReason))
	for i, w := range words {
		if strings.Contains(w, "@") {
			words[i] = "[address]"
		}
	}
	return "notify: failed " + f.to + ": " + strings.Join(words, " ")
}

// Format keeps what a Sender knows from being printed.
func (n Notifier) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "notifier") }
