package sentcode_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"regexp"
	"strings"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/sentcode"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

// An sms carries codes to telephones. This is all that a factor of one's own
// takes: the rules are sentcode's.
type sms struct {
	gateway func(ctx context.Context, number, text string) error
}

func (sms) Kind() mfa.Kind { return "sms" }

var number = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164

func (sms) Normalize(address string) (string, error) {
	address = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(address)
	if !number.MatchString(address) {
		return "", errors.New("not a telephone number")
	}
	return address, nil
}

func (sms) Mask(address string) string { return "…" + address[len(address)-3:] }

func (s sms) Available(context.Context, mfa.User) error {
	if s.gateway == nil {
		return mfa.ErrUnavailable
	}
	return nil
}

func (s sms) Send(ctx context.Context, m sentcode.Message) error {
	return s.gateway(ctx, m.To, fmt.Sprintf("%s is your code for %s.", m.Code.Reveal(), m.User.Service))
}

// A factor by text message.
func Example() {
	ctx := context.Background()
	keys, err := vault.NewKey() // in earnest: once, and kept like a password
	if err != nil {
		log.Fatal(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		log.Fatal(err)
	}
	var received string
	phone := sms{func(_ context.Context, number, text string) error {
		received, _, _ = strings.Cut(text, " ")
		fmt.Println("a text message to", number)
		return nil
	}}
	guard, err := mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{sentcode.New(phone, nil)}})
	if err != nil {
		log.Fatal(err)
	}

	login, err := guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	if err != nil {
		log.Fatal(err)
	}
	settings := guard.Settings(login.Session)
	e, err := settings.Enroll(ctx, mfa.NewFactor{Kind: "sms", Address: "+49 30 901820"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := settings.Confirm(ctx, e.ID, mfa.Answer{Kind: "sms", Code: received}); err != nil {
		log.Fatal(err)
	}

	login, err = guard.Begin(ctx, mfa.FirstFactor{UserID: "ada", By: mfa.ByPassword})
	if err != nil {
		log.Fatal(err)
	}
	c, err := login.Pending.Challenge(ctx, mfa.Offer{Kind: "sms"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent to", c.Hint)
	login, err = login.Pending.Verify(ctx, mfa.Answer{Kind: "sms", Code: received})
	fmt.Println("signed in:", err == nil && login.Session != nil)
	// Output:
	// a text message to +4930901820
	// a text message to +4930901820
	// sent to …820
	// signed in: true
}
