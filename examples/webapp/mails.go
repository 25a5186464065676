package main

// Tenants and their mail. Each partner's mail goes out by a server and from an
// address of its own. Without -smtp it goes nowhere but to the inbox page.

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"os"
	"slices"
	"strings"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mail"
	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// A tenant is a partner with a shop of its own.
type tenant struct {
	ID, Name string
	From     string // without -smtp; "": there is no mail
	Security string // who hears of alarms and resets besides the user, without -smtp; "": nobody
}

// tenants are all of them, first the one for who does not choose.
func tenants() []tenant {
	return []tenant{
		{"acme", "Acme", "tea@acme.example", "security@acme.example"},
		{"globex", "Globex", "shop@globex.example", "security@globex.example"},
		{ID: "initech", Name: "Initech"}, // so codes by email are not offered there
	}
}

// tenantOf finds one. The zero tenant: there is none.
func tenantOf(id string) tenant {
	ts := tenants()
	if i := slices.IndexFunc(ts, func(t tenant) bool { return t.ID == id }); i >= 0 {
		return ts[i]
	}
	return tenant{}
}

// A mailer says how each tenant's mail goes out.
type mailer struct {
	inbox    *inbox // nil with -smtp
	senders  map[string]mail.Sender
	security map[string]string
}

func (m *mailer) pick(_ context.Context, tenant string) (mail.Sender, error) {
	return m.senders[tenant], nil
}

// welcome is what the developer is told of it.
func (m *mailer) welcome(at string) string {
	how := "goes to " + at + "/inbox"
	if m.inbox == nil {
		how = "goes out by SMTP"
	}
	var without []string
	for _, t := range tenants() {
		if m.senders[t.ID] == nil {
			without = append(without, t.Name)
		}
	}
	if len(without) > 0 {
		how += "; none is configured for " + strings.Join(without, ", ") + ", so codes by email are not offered there"
	}
	return "Mail " + how + "."
}

// newMailer returns one that sends by the servers in a file, or keeps all mail in
// an inbox if there is no file.
func newMailer(file string) (*mailer, error) {
	m := &mailer{senders: map[string]mail.Sender{}, security: map[string]string{}}
	if file != "" {
		return m, m.read(file)
	}
	m.inbox = &inbox{}
	for _, t := range tenants() {
		if t.From != "" {
			m.senders[t.ID] = m.inbox.as((&netmail.Address{Name: t.Name, Address: t.From}).String())
			m.security[t.ID] = t.Security
		}
	}
	return m, nil
}

// A mailServer is one tenant's part of the file:
//
//	{
//		"acme": {
//			"addr": "mail.example:587", "tls": "starttls",
//			"from": "tea@acme.example", "name": "Acme tea",
//			"username": "tea", "password": "...",
//			"security": "security@acme.example"
//		}
//	}
//
// addr and from are required. A tenant that is not in the file has no mail.
type mailServer struct {
	Addr     string     `json:"addr"`
	TLS      string     `json:"tls"`   // "starttls", also if it is missing, or "implicit"
	Roots    string     `json:"roots"` // a PEM file: who may have signed the server's certificate; else whom the system trusts
	From     string     `json:"from"`
	Name     string     `json:"name"`
	Username string     `json:"username"`
	Password mfa.Secret `json:"password"`
	Security string     `json:"security"`
}

// read fills m with the servers in a file.
func (m *mailer) read(file string) error {
	b, err := readPrivate(file)
	if err != nil {
		return fmt.Errorf("-smtp: %w", err)
	}
	var servers map[string]mailServer
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&servers); err != nil {
		return fmt.Errorf("-smtp %s: %w", file, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("-smtp %s: there is something behind the settings", file)
	}
	if servers == nil {
		return fmt.Errorf("-smtp %s: there are no settings", file)
	}
	for id, s := range servers {
		err := m.add(id, s)
		if err != nil {
			return fmt.Errorf("-smtp %s: %q: %w", file, id, err)
		}
	}
	return nil
}

func (m *mailer) add(id string, s mailServer) (err error) {
	if tenantOf(id).ID == "" {
		return errors.New("there is no such tenant")
	}
	opts := &smtp.Options{Name: s.Name, Username: s.Username, Password: s.Password.Reveal()}
	switch s.TLS {
	case "", "starttls":
	case "implicit":
		opts.TLS = smtp.Implicit
	default:
		return errors.New(`tls is neither "starttls" nor "implicit"`)
	}
	if s.Roots != "" {
		if opts.Roots, err = readRoots(s.Roots); err != nil {
			return err
		}
	}
	if s.Security != "" {
		if m.security[id], err = mail.Address(s.Security); err != nil {
			return fmt.Errorf("security: %w", err)
		}
	}
	m.senders[id], err = smtp.New(s.Addr, s.From, opts)
	return err
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("roots: there is no certificate in the file")
	}
	return pool, nil
}
