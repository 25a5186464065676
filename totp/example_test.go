package totp_test

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/totp"
	"github.com/seed-f4994bf1/mfa/vault"
)

// With a Guard, the factor is one line.
func ExampleNew() {
	keys, err := vault.NewKey() // kept in the configuration, not drawn at each start
	if err != nil {
		panic(err)
	}
	v, err := vault.Open(memstore.New(), keys, nil)
	if err != nil {
		panic(err)
	}
	_, err = mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{totp.New(nil)}})
	fmt.Println(err)

	// Options that make no sense are told at once.
	_, err = mfa.New(v, mfa.Config{Service: "Acme", Methods: []mfa.Method{totp.New(&totp.Options{Digits: 4})}})
	fmt.Println(errors.Is(err, mfa.ErrArgument))
	// Output:
	// <nil>
	// true
}

// Without accounts, a Key is all: keep URI and last, both as secrets.
func ExampleKey_Verify() {
	key, err := totp.GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		panic(err)
	}
	code := key.Code(time.Now()) // what the user reads in the app

	last, err := key.Verify(code, 0)
	fmt.Println("first time:", err)

	_, err = key.Verify(code, last)
	fmt.Println("second time:", errors.Is(err, mfa.ErrReplayed))
	// Output:
	// first time: <nil>
	// second time: true
}

func ExampleGenerateKey() {
	key, err := totp.GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(key, key.URI()) // nothing of it gets into a log
	u, err := url.Parse(key.URI().Reveal())
	if err != nil {
		panic(err)
	}
	fmt.Println(u.Path, len(u.Query().Get("secret")), "characters")
	// Output:
	// [redacted] [redacted]
	// /Acme:ada@example.com 32 characters
}

func ExampleParseKey() {
	key, err := totp.ParseKey("otpauth://totp/Acme:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme&digits=8")
	if err != nil {
		panic(err)
	}
	fmt.Println(key.Issuer(), key.Account(), key.Algorithm(), key.Digits(), key.Period())

	_, err = totp.ParseKey("otpauth://totp/Acme:ada?secret=GEZDGNBVGY3TQOJQ&issuer=Acme")
	fmt.Println(err)
	// Output:
	// Acme ada SHA1 8 30s
	// totp: not a valid key: the secret is not base32 of 16 to 128 bytes
}

func ExampleKey_PNG() {
	key, err := totp.GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		panic(err)
	}
	png, err := key.PNG(240)
	fmt.Println(string(png[1:4]), len(png) < 1200, err)
	// Output: PNG true <nil>
}
