package backupcodes_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/backupcodes"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// With a Guard, the factor is one word in the list of methods: sets come and go
// with the other factors.
func ExampleNew() {
	keys, err := vault.NewKey() // kept in the configuration, not drawn at each start
	if err != nil {
		panic(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		panic(err)
	}
	_, err = mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{totp.New(nil), backupcodes.New(nil)}})
	fmt.Println(err)

	// Codes that are too short to be safe are refused.
	err = backupcodes.New(&backupcodes.Options{Chars: 8}).Check()
	fmt.Println(errors.Is(err, mfa.ErrArgument))
	// Output:
	// <nil>
	// true
}

// Below Guard, a factor works over a Scope of one change of an account.
func ExampleMethod_Enroll() {
	keys, err := vault.NewKey()
	if err != nil {
		panic(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		panic(err)
	}
	ctx, method := context.Background(), backupcodes.New(nil)

	set, err := vault.Update(ctx, v, "ada", func(a *vault.Account) (*mfa.Enrollment, error) {
		return method.Enroll(ctx, a.Scope(backupcodes.Kind, "confirm", "session"), mfa.EnrollRequest{})
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(set.Codes), "codes:", set.Codes[0], "and so on")

	use := func(code string) error {
		_, err := vault.Update(ctx, v, "ada", func(a *vault.Account) (struct{}, error) {
			return struct{}{}, a.Guess(backupcodes.Kind, "sign-in", "flow", func(s *vault.Scope) error {
				_, err := method.Verify(ctx, s, mfa.VerifyRequest{Answer: mfa.Answer{Kind: backupcodes.Kind, Code: code}})
				return err
			})
		})
		return err
	}
	fmt.Println("first time:", use(set.Codes[0].Reveal()))
	fmt.Println("second time:", errors.Is(use(set.Codes[0].Reveal()), mfa.ErrReplayed))
	// Output:
	// 10 codes: [redacted] and so on
	// first time: <nil>
	// second time: true
}
