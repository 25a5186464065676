// Command webapp is a small shop with accounts, and the example of how an
// application uses this library: sign up, sign in with a password and a second
// step or with a passkey alone, a Security page, an admin page, a service account. Three
// partners share it, two of them with mail of their own.
//
//	go run ./examples/webapp
//	go run ./examples/webapp -smtp mail.json
//	go run ./examples/webapp -db postgres://shop:secret@localhost:5432/shop
//
// Without -smtp, mail goes to an inbox page. Without -db everything is in one
// SQLite file; with it the factors are where it says. Everything about the second
// factor is in mfa.go, where the factors lie in store.go, how mail goes out in
// mails.go; the rest is what every application has anyway.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "webapp:", err)
		os.Exit(1)
	}
}

const welcome = `
The Acme tea shop is open: %s

  1. Sign up. The first account is the administrator's; take any password of ten characters.
  2. Open "Security" and turn on two-step sign-in: scan the QR code with an authenticator app,
     take codes by email, or add a passkey or security key.%s
  3. Sign out and in again; with a passkey, no password is needed. Then order tea: from there on the second step is required.
     "Admin" shows who has what, resets somebody, and makes a service account.

%s%s
Data: %s   Factors: %s   Sealing key: %s   Stop: Ctrl+C
`

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("webapp", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "where to listen, on loopback")
	db := flags.String("db", "", "where the factors lie (default: in the shop's file):\n"+forms)
	shop := flags.String("shop", "", "the SQLite file of the shop's users and sessions; the sealing key is kept beside it\n"+
		"(default: the file that -db names, or else webapp.db)")
	servers := flags.String("smtp", "", "a JSON file with a mail server for each partner (see mails.go), not readable by others;\n"+
		"without it, mail goes to the page /inbox")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q: there is nothing to give but flags", flags.Arg(0))
	}
	if err := loopback(*addr); err != nil {
		return err
	}
	factors, err := places(flags, db, shop)
	if err != nil {
		return err
	}
	mailer, err := newMailer(*servers)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	at := address(*addr, listener.Addr())
	app, err := open(ctx, *shop, factors, mailer, at)
	if err != nil {
		return err
	}
	defer app.close()
	stop := app.sendNotices(ctx)
	defer stop()
	server := &http.Server{
		Handler: app.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	hint := ""
	if !app.passkeys {
		hint = "\n     (Passkeys belong to a domain: for them, listen on localhost and not on an IP address.)"
	}
	warnings := ""
	for _, w := range app.factors.warnings {
		warnings += "\nWarning: " + w
	}
	fmt.Fprintf(out, welcome, at, hint, mailer.welcome(at), warnings, *shop, factors, keyFile(*shop))

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// What has begun is finished: a code that was accepted is answered.
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(shutdown)
}

// places says where the factors lie, and puts the shop's file into shop if it was not
// given. It comes after flags.Parse, which would repeat a URL that it refuses, with
// the password.
func places(flags *flag.FlagSet, db, shop *string) (factors *place, err error) {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case given["shop"] && looksLikeURL(*shop):
		return nil, errors.New("-shop takes the name of a file, -db a URL")
	case given["db"]:
		if factors, err = parsePlace(*db); err != nil {
			return nil, fmt.Errorf("-db %w", err)
		}
	case given["shop"]:
		factors = &place{scheme: "sqlite", file: *shop}
	default:
		factors = &place{scheme: "sqlite", file: "webapp.db"}
	}
	if !given["shop"] {
		*shop = cmp.Or(factors.file, "webapp.db")
	}
	return factors, nil
}

// sendNotices sends what is in the queues until it is told to stop, and then what is
// left: of the last requests, which outlive ctx.
func (a *app) sendNotices(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var sending sync.WaitGroup
	for _, q := range a.notices {
		sending.Go(func() { q.Run(ctx) })
	}
	return func() {
		cancel()
		sending.Wait()
	}
}

// loopback refuses addresses that others could reach: this program speaks plain
// http.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("-addr %s: this example speaks plain http and listens on loopback alone", addr)
	}
	return nil
}

// address is where to point a browser.
func address(asked string, bound net.Addr) string {
	host, _, _ := net.SplitHostPort(asked)
	_, port, _ := net.SplitHostPort(bound.String())
	return "http://" + net.JoinHostPort(host, port)
}
