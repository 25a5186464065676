package mail

import (
	"context"
	"errors"
	"fmt"
)

// A Router is a Sender that sends each tenant's mail by the tenant's own Sender.
type Router struct {
	pick func(ctx context.Context, tenant string) (Sender, error)
}

// Route returns one that asks pick, for each message, who sends for its tenant:
// nil with a nil error, or ErrNoSender, if nobody does.
func Route(pick func(ctx context.Context, tenant string) (Sender, error)) *Router {
	return &Router{pick}
}

// Available returns nil if the tenant's mail can be sent. An error wraps
// ErrNoSender if nobody is configured to, and says else why that cannot be
// found out.
func (r *Router) Available(ctx context.Context, tenant string) error {
	_, err := r.sender(ctx, tenant)
	return err
}

// Send implements Sender.
func (r *Router) Send(ctx context.Context, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	s, err := r.sender(ctx, m.Tenant)
	if err != nil {
		return err
	}
	return s.Send(ctx, m)
}

func (r *Router) sender(ctx context.Context, tenant string) (Sender, error) {
	if r == nil || r.pick == nil {
		return nil, ErrNoSender
	}
	s, err := r.pick(ctx, tenant)
	switch {
	case errors.Is(err, ErrNoSender) || err == nil && s == nil:
		return nil, fmt.Errorf("%w for tenant %q", ErrNoSender, tenant)
	case err != nil:
		return nil, fmt.Errorf("mail: sender of tenant %q: %w", tenant, err)
	}
	return s, nil
}

// Available returns nil if s can send for the tenant, as far as s can tell: a
// Sender may have the method that Router has.
func Available(ctx context.Context, s Sender, tenant string) error {
	if s == nil {
		return ErrNoSender
	}
	if a, ok := s.(interface {
		Available(ctx context.Context, tenant string) error
	}); ok {
		return a.Available(ctx, tenant)
	}
	return nil
}
