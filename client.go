package mfa

// Who calls, and the application's own limits by that.

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// A Client is who called, as far as the application knows.
type Client struct {
	IP, Agent string
}

type clientKey struct{}

// WithClient returns a context under which events and Config.Limit hear who
// called.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

func clientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}

// Network is what a limit by address should count: the IPv4 address, also where
// it came mapped into IPv6, else the first 64 bits of the IPv6 address, which
// belong to one subscriber. "" if IP is none.
func (c Client) Network() string {
	ip, err := netip.ParseAddr(c.IP)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ""
	}
	return p.String()
}

// A Use is what Config.Limit is asked about: an answer to be judged or, with an
// Address, something to be sent there.
type Use struct {
	UserID  string // "" for PurposeAlone, until it is known whose the answer may be: then it is asked again
	Purpose Purpose
	Kind    Kind
	Client  Client
	Address string
}

func (u Use) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "use of %s", u.Kind) }

// limit asks Config.Limit. What is not a limit is a failure, and refuses too.
func (g *Guard) limit(ctx context.Context, u Use) error {
	if g.cfg.Limit == nil {
		return nil
	}
	u.Client = clientOf(ctx)
	err := called(func() error { return g.cfg.Limit(ctx, u) })
	if err == nil || errors.Is(err, ErrTooMany) {
		return err
	}
	return fmt.Errorf("mfa: limit: %w", err)
}
