package mail_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/mail"
)

func TestRouter(t *testing.T) {
	t.Parallel()
	var acme, zeta mail.Outbox
	broken := errors.New("the database is away")
	router := mail.Route(func(_ context.Context, tenant string) (mail.Sender, error) {
		switch tenant {
		case "acme":
			return &acme, nil
		case "zeta":
			return &zeta, nil
		case "broken":
			return nil, broken
		case "refusing":
			return nil, mail.ErrNoSender
		}
		return nil, nil
	})
	for tenant, want := range map[string]error{
		"acme": nil, "zeta": nil, "broken": broken, "refusing": mail.ErrNoSender, "unknown": mail.ErrNoSender, "": mail.ErrNoSender,
	} {
		err := router.Send(t.Context(), message(func(m *mail.Message) { m.Tenant = tenant }))
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("Send for %q: %v", tenant, err)
		}
		if err := router.Available(t.Context(), tenant); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("Available for %q: %v", tenant, err)
		}
		if want == broken && errors.Is(err, mail.ErrNoSender) {
			t.Error("a failure looks like nobody being configured")
		}
		if err != nil && strings.Contains(err.Error(), "anna") {
			t.Errorf("the error names the recipient: %v", err)
		}
	}
	for name, box := range map[string]*mail.Outbox{"acme": &acme, "zeta": &zeta} {
		if kept := box.All(); len(kept) != 1 || kept[0].Tenant != name {
			t.Errorf("%s sent %d", name, len(kept))
		}
	}

	for name, r := range map[string]*mail.Router{"nil": nil, "zero": {}, "without pick": mail.Route(nil)} {
		if err := r.Send(t.Context(), message(nil)); !errors.Is(err, mail.ErrNoSender) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type plain struct{}

func (plain) Send(context.Context, mail.Message) error { return nil }

func TestAvailable(t *testing.T) {
	t.Parallel()
	none := mail.Route(nil)
	for name, tt := range map[string]struct {
		s    mail.Sender
		want error
	}{
		"nothing":                   {nil, mail.ErrNoSender},
		"cannot tell":               {plain{}, nil},
		"outbox":                    {&mail.Outbox{}, nil},
		"router":                    {none, mail.ErrNoSender},
		"queue of a router":         {mail.NewQueue(none, 1, nil), mail.ErrNoSender},
		"queue of a queue":          {mail.NewQueue(mail.NewQueue(none, 1, nil), 1, nil), mail.ErrNoSender},
		"queue of an outbox":        {mail.NewQueue(&mail.Outbox{}, 1, nil), nil},
		"queue of nothing, by hand": {mail.NewQueue(nil, 1, nil), mail.ErrNoSender},
	} {
		if err := mail.Available(t.Context(), tt.s, "acme"); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
