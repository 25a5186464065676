package mail_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-f4994bf1/mfa/mail"
)

func TestOutbox(t *testing.T) {
	t.Parallel()
	var box mail.Outbox
	send := func(s mail.Sender, to, subject string) {
		t.Helper()
		if err := s.Send(t.Context(), mail.Message{To: to, Subject: subject, Text: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	send(&box, "anna@example.org", "1")
	send(box.As("no-reply@acme.example"), "bob@example.org", "2")
	send(&box, "anna@example.org", "3")

	all := box.All()
	if len(all) != 3 || all[0].Subject != "1" || all[1].Subject != "2" || all[2].Subject != "3" {
		t.Errorf("%d kept", len(all))
	}
	if all[0].From != "" || all[1].From != "no-reply@acme.example" {
		t.Errorf("from %q and %q", all[0].From, all[1].From)
	}
	all[0].Subject = "changed"
	if to := box.To("anna@example.org"); len(to) != 2 || to[0].Subject != "1" || to[1].Subject != "3" {
		t.Errorf("%d for anna", len(to))
	}
	if len(box.All()) != 3 {
		t.Error("To took something away")
	}

	broken := errors.New("no route")
	box.Fail(broken)
	if err := box.Send(t.Context(), message(nil)); !errors.Is(err, broken) {
		t.Error(err)
	}
	box.Fail(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := box.Send(ctx, message(nil)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(box.All()) != 3 {
		t.Error("what failed was kept")
	}
	box.Clear()
	if len(box.All()) != 0 {
		t.Error("not cleared")
	}
}

func TestOutboxForgetsTheOldest(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	var box mail.Outbox
	for i := range limit + 3 {
		if err := box.Send(t.Context(), mail.Message{To: "anna@example.org", Subject: fmt.Sprint(i), Text: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if all := box.All(); len(all) != limit || all[0].Subject != "3" || all[limit-1].Subject != fmt.Sprint(limit+2) {
		t.Errorf("%d kept, from %s", len(all), all[0].Subject)
	}
}

func TestOutboxRaces(t *testing.T) {
	t.Parallel()
	var box mail.Outbox
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				_ = box.As("x@y.de").Send(t.Context(), message(nil))
				box.Fail(nil)
				box.To("anna@example.org")
			}
		})
	}
	all.Wait()
	if n := len(box.All()); n != 400 {
		t.Errorf("%d of 400 kept", n)
	}
}
