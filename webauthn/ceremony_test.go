package webauthn_test

// What both ceremonies have in common: each row changes one thing in a valid one,
// when it registers, when it signs in as a second factor, and alone.

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-f4994bf1/mfa/mfatest"
	"github.com/seed-f4994bf1/mfa/webauthn"
)

func both(t *testing.T, w *world, changes []change) {
	t.Helper()
	t.Run("registration", func(t *testing.T) { registers(t, w, changes) })
	t.Run("sign-in", func(t *testing.T) { signIns(t, w, changes) })
}

// the type is that of the ceremony.
func TestType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var changes []change
	for _, of := range []string{"", "webauthn", "Webauthn.Create", "WEBAUTHN.GET", "webauthn.create ", "webauthn.get\x00", "payment.get"} {
		changes = append(changes, change{name: of, want: webauthn.ErrType, forge: func(f *mfatest.Forgery) { f.Type = of }})
	}
	both(t, w, append(changes, change{name: "of the other", want: webauthn.ErrType, forge: func(f *mfatest.Forgery) {
		f.Type = map[string]string{"webauthn.get": "webauthn.create", "webauthn.create": "webauthn.get"}[f.Type]
	}}))
}

// the challenge is the one that was given, to the last character.
func TestChallengeText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var changes []change
	for name, f := range map[string]func(string) string{
		"empty":     func(string) string { return "" },
		"another":   func(string) string { return b64(make([]byte, 32)) },
		"shorter":   func(c string) string { return c[:len(c)-1] },
		"longer":    func(c string) string { return c + "A" },
		"padded":    func(c string) string { return c + "=" },
		"line end":  func(c string) string { return c + "\n" },
		"last bits": lastBits,
	} {
		changes = append(changes, change{name: name, want: webauthn.ErrChallenge, forge: func(g *mfatest.Forgery) { g.Challenge = f(g.Challenge) }})
	}
	both(t, w, changes)
}

// lastBits sets bits of base64 that no byte is made of.
func lastBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := len(s) - 1
	return s[:i] + string(alphabet[strings.IndexByte(alphabet, s[i])|1])
}

// the origin is compared exactly.
func TestOrigin(t *testing.T) {
	t.Parallel()
	const app = "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck"
	w := newWorld(t, &webauthn.Options{Origins: []string{"https://login.acme.example", app}})
	var changes []change
	for _, o := range []string{
		"", "null", "https://", "https://evil.example", "http://acme.example", "https://acme.example/", "https://acme.example/login",
		"https://acme.example:443", "https://acme.example:8443", "HTTPS://acme.example", "https://ACME.example", "https://acme.example.",
		"https://www.acme.example", "https://a.login.acme.example", "https://example", "https://acme.example.evil.example",
		"https://evilacme.example", "https://acme.example@evil.example", " https://acme.example", "https://acme.example\x00",
		"https://acme.examp1e", "wss://acme.example", "acme.example", "android:apk-key-hash:other",
	} {
		changes = append(changes, change{name: o, want: webauthn.ErrOrigin, forge: func(f *mfatest.Forgery) { f.Origin = o }})
	}
	for _, o := range []string{origin, "https://login.acme.example", app} {
		changes = append(changes, change{name: "ours " + o, forge: func(f *mfatest.Forgery) { f.Origin = o }})
	}
	both(t, w, changes)
}

// a page of ours within another's answers for nobody, but where that is
// allowed, to the exact origin on top.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	framed := func(top string) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) { f.CrossOrigin, f.TopOrigin = true, top }
	}
	never := []change{
		{name: "framed", want: webauthn.ErrCrossOrigin, forge: framed("")},
		{name: "framed by another", want: webauthn.ErrCrossOrigin, forge: framed("https://evil.example")},
		{name: "framed by ours", want: webauthn.ErrCrossOrigin, forge: framed(origin)},
		{name: "a top but no frame", want: webauthn.ErrCrossOrigin, forge: func(f *mfatest.Forgery) { f.TopOrigin = "https://shop.example" }},
		{name: "an empty top", want: webauthn.ErrCrossOrigin, forge: client(`"crossOrigin":true,"topOrigin":""`)},
		{name: "no word of it", forge: client(`"x":1`)},
	}
	const shop = "https://shop.example"
	t.Run("by default", func(t *testing.T) {
		both(t, newWorld(t, nil), append(never, change{name: shop, want: webauthn.ErrCrossOrigin, forge: framed(shop)}))
	})
	t.Run("allowed", func(t *testing.T) {
		both(t, newWorld(t, &webauthn.Options{TopOrigins: []string{shop}}), append(never,
			change{name: shop, forge: framed(shop)},
			change{name: "below it", want: webauthn.ErrCrossOrigin, forge: framed("https://a.shop.example")},
			change{name: "its case", want: webauthn.ErrCrossOrigin, forge: framed("https://SHOP.example")},
			change{name: "its path", want: webauthn.ErrCrossOrigin, forge: framed(shop + "/")},
		))
	})
}

// client is client data with these members besides the honest three.
func client(members string) func(*mfatest.Forgery) {
	return func(f *mfatest.Forgery) {
		f.ClientData = []byte(`{"type":"` + f.Type + `","challenge":"` + f.Challenge + `","origin":"` + f.Origin + `",` + members + `}`)
	}
}

// the credential is for our RP ID.
func TestRPID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var changes []change
	for _, id := range []string{"", "evil.example", "example", "www.acme.example", "ACME.example", "acme.example.", origin} {
		changes = append(changes, change{name: id, want: webauthn.ErrRPID, forge: func(f *mfatest.Forgery) {
			hash := sha256.Sum256([]byte(id))
			f.RPIDHash = hash[:]
		}})
	}
	both(t, w, append(changes, change{name: "one bit", want: webauthn.ErrRPID, forge: func(f *mfatest.Forgery) { f.RPIDHash[31] ^= 1 }}))
}

// somebody was there, and what is backed up may be.
func TestFlags(t *testing.T) {
	t.Parallel()
	both(t, newWorld(t, nil), []change{
		{name: "nobody there", want: webauthn.ErrUserPresence, forge: func(f *mfatest.Forgery) { f.Flags &^= mfatest.FlagUP }},
		{name: "verified though not present", want: webauthn.ErrUserPresence, forge: func(f *mfatest.Forgery) { f.Flags = f.Flags&^mfatest.FlagUP | mfatest.FlagUV }},
		{name: "backed up though it may not be", want: webauthn.ErrBackup, forge: func(f *mfatest.Forgery) { f.Flags |= mfatest.FlagBS }},
		{name: "reserved bits", forge: func(f *mfatest.Forgery) { f.Flags |= 1<<1 | 1<<5 }},
	})
}

// the reply is a public key's, and says once and in one way whose.
func TestReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	other := b64(make([]byte, 32))
	id := func(f func(string) string) func(map[string]any) {
		return func(r map[string]any) { r["id"], r["rawId"] = f(r["id"].(string)), f(r["id"].(string)) }
	}
	both(t, w, []change{
		{name: "type", want: webauthn.ErrMalformed, alter: set("type", "password")},
		{name: "no type", want: webauthn.ErrMalformed, alter: func(r map[string]any) { delete(r, "type") }},
		{name: "another id", want: webauthn.ErrMalformed, alter: set("id", other)},
		{name: "another rawId", want: webauthn.ErrMalformed, alter: set("rawId", other)},
		{name: "no rawId", want: webauthn.ErrMalformed, alter: func(r map[string]any) { delete(r, "rawId") }},
		{name: "no id", want: webauthn.ErrMalformed, alter: func(r map[string]any) { delete(r, "id") }},
		{name: "empty id", want: webauthn.ErrMalformed, alter: id(func(string) string { return "" })},
		{name: "padded id", want: webauthn.ErrMalformed, alter: id(func(s string) string { return s + "=" })},
		{name: "id over two lines", want: webauthn.ErrMalformed, alter: id(func(s string) string { return s[:4] + "\n" + s[4:] })},
		{name: "last bits of id", want: webauthn.ErrMalformed, alter: id(lastBits)},
		{name: "id in the other alphabet", want: webauthn.ErrMalformed, alter: id(func(s string) string { return "+/" + s })},
		{name: "id of 1024 bytes", want: webauthn.ErrMalformed, alter: id(func(string) string { return b64(make([]byte, 1024)) })},
		{name: "id is a number", want: webauthn.ErrMalformed, alter: set("id", 7)},
		{name: "no response", want: webauthn.ErrMalformed, alter: set("response", nil)},
		{name: "response is a list", want: webauthn.ErrMalformed, alter: set("response", []any{})},
		{name: "no client data", want: webauthn.ErrMalformed, alter: set("clientDataJSON", "")},
		{name: "padded client data", want: webauthn.ErrMalformed, alter: func(r map[string]any) {
			m := r["response"].(map[string]any)
			m["clientDataJSON"] = m["clientDataJSON"].(string) + "="
		}},
		{name: "unknown members", alter: func(r map[string]any) {
			r["prf"], r["response"].(map[string]any)["new"] = []any{1}, map[string]any{"a": nil}
		}},
	})
}

// R-201 and the trap of encoding/json, which takes the last of two members, in any
// case: JSON is read in one way or not at all.
func TestJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	type edits map[string]func(string) string
	var changes []change
	for name, raw := range (edits{
		"empty":              func(string) string { return "" },
		"null":               func(string) string { return "null" },
		"a list":             func(s string) string { return "[" + s + "]" },
		"a second value":     func(s string) string { return s + "{}" },
		"text after it":      func(s string) string { return s + "x" },
		"cut off":            func(s string) string { return s[:len(s)-1] },
		"not UTF-8":          replace(`"type"`, "\"\xff\":1,\"type\""),
		"a member twice":     replace(`"type":`, `"type":"x","type":`),
		"in another case":    replace(`"type":`, `"TYPE":"x","type":`),
		"only in another":    replace(`"rawId"`, `"rawid"`),
		"by another letter":  replace(`"response":`, `"re\u017fponse":{},"response":`),
		"one within twice":   replace(`"clientDataJSON":`, `"clientDataJSON":"","clientDataJSON":`),
		"one within by case": replace(`"clientDataJSON":`, `"clientdatajson":"","clientDataJSON":`),
		"over 64 KiB":        func(s string) string { return s + bytesOf(" ", 64<<10) },
		"a hundred thousand": func(string) string { return bytesOf("[", 100_000) },
	}) {
		changes = append(changes, change{name: name, want: webauthn.ErrMalformed, raw: raw})
	}
	for name, data := range (edits{
		"client data empty":                  func(string) string { return "" },
		"client data null":                   func(string) string { return "null" },
		"client data with a second value":    func(s string) string { return s + " {}" },
		"client data not UTF-8":              func(s string) string { return s[:1] + "\"\xc3\x28\":1," + s[1:] },
		"client data with its type twice":    func(s string) string { return s[:1] + `"type":"x",` + s[1:] },
		"client data with a TYPE after it":   func(s string) string { return s[:len(s)-1] + `,"TYPE":"webauthn.get"}` },
		"client data with a Type before it":  func(s string) string { return s[:1] + `"Type":"x",` + s[1:] },
		"client data with two challenges":    func(s string) string { return s[:len(s)-1] + `,"challenge":"x"}` },
		"client data with an escaped double": func(s string) string { return s[:len(s)-1] + `,"or\u0069gin":"https://evil.example"}` },
		"client data with two strangers":     func(s string) string { return s[:len(s)-1] + `,"x":1,"x":2}` },
		"client data with a number":          func(s string) string { return s[:len(s)-1] + `,"topOrigin":1}` },
		"client data of 8 KiB and a byte":    func(s string) string { return s + bytesOf(" ", 8<<10+1-len(s)) },
	}) {
		changes = append(changes, change{name: name, want: webauthn.ErrMalformed, forge: clientText(data)})
	}
	changes = append(changes,
		change{name: "client data behind two marks", want: webauthn.ErrMalformed, forge: clientText(func(s string) string { return "\ufeff\ufeff" + s })},
		change{name: "client data behind a byte order mark", forge: clientText(func(s string) string { return "\ufeff" + s })},
		change{name: "client data of 8 KiB", forge: clientText(func(s string) string { return s + bytesOf(" ", 8<<10-len(s)) })},
		change{name: "client data with a member of the future", forge: clientText(func(s string) string { return s[:1] + `"other_keys_can_be_added_here":"x",` + s[1:] })},
		change{name: "client data in another order", forge: func(f *mfatest.Forgery) {
			f.ClientData, _ = json.MarshalIndent(map[string]any{"type": f.Type, "challenge": f.Challenge, "origin": f.Origin, "crossOrigin": false}, "", "\t")
		}},
	)
	both(t, w, changes)
}

func bytesOf(s string, n int) string { return strings.Repeat(s, n) }

// clientText changes the text of honest client data.
func clientText(change func(string) string) func(*mfatest.Forgery) {
	return func(f *mfatest.Forgery) {
		client(`"crossOrigin":false`)(f)
		f.ClientData = []byte(change(string(f.ClientData)))
	}
}

// what is signed is the text as it came, not what it means.
func TestSignedBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	signIns(t, w, []change{
		{name: "the same client data, a blank more", want: webauthn.ErrSignature, alter: edit("clientDataJSON", func(b []byte) []byte {
			return append([]byte(" "), b...)
		})},
		{name: "a higher counter", want: webauthn.ErrSignature, alter: edit("authenticatorData", func(b []byte) []byte {
			b[36]++
			return b
		})},
		{name: "one bit of the signature", want: webauthn.ErrSignature, alter: edit("signature", func(b []byte) []byte {
			b[len(b)-1] ^= 1
			return b
		})},
		{name: "no signature", want: webauthn.ErrSignature, alter: set("signature", "")},
		{name: "a byte after the signature", want: webauthn.ErrSignature, alter: edit("signature", func(b []byte) []byte { return append(b, 0) })},
		{name: "padded signature", want: webauthn.ErrMalformed, alter: func(r map[string]any) {
			m := r["response"].(map[string]any)
			m["signature"] = m["signature"].(string) + "=="
		}},
		{name: "by another key", want: webauthn.ErrSignature, forge: func(f *mfatest.Forgery) { f.Sign = anotherKey(t) }},
		{name: "over the client data's text", want: webauthn.ErrSignature, forge: func(f *mfatest.Forgery) {
			sign := f.Sign
			f.Sign = func(m []byte) []byte { return sign(m[:37]) }
		}},
	})
}

// anotherKey signs with the key of a credential of somebody else.
func anotherKey(t *testing.T) func([]byte) []byte {
	var sign func([]byte) []byte
	a := mfatest.NewAuthenticator(origin)
	a.Forge = func(f *mfatest.Forgery) { sign = f.Sign }
	if _, err := a.Create([]byte(`{"rp":{"id":"acme.example"},"user":{"id":"AA"},"challenge":"AA","pubKeyCredParams":[{"alg":-8}]}`)); err != nil {
		t.Fatal(err)
	}
	return sign
}

// authenticator data is as long as its flags say.
func TestAuthenticatorData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	raw := func(name string, forge func(*mfatest.Forgery)) change {
		return change{name: name, want: webauthn.ErrMalformed, forge: forge}
	}
	extensions := []byte{0xa1, 0x63, 'x', 'y', 'z', 0xf5}
	changes := []change{
		raw("empty", func(f *mfatest.Forgery) { f.AuthData = []byte{} }),
		raw("36 bytes", func(f *mfatest.Forgery) { f.AuthData = append(bytes.Clone(f.RPIDHash), f.Flags, 0, 0, 0) }),
		raw("a byte behind", func(f *mfatest.Forgery) { f.Trailing = []byte{0} }),
		raw("an empty map behind", func(f *mfatest.Forgery) { f.Trailing = []byte{0xa0} }),
		raw("extensions without their flag", func(f *mfatest.Forgery) { f.Extensions = extensions }),
		raw("the flag without extensions", func(f *mfatest.Forgery) { f.Flags |= mfatest.FlagED }),
		raw("extensions that are no map", func(f *mfatest.Forgery) { f.Flags, f.Extensions = f.Flags|mfatest.FlagED, []byte{0x80} }),
		raw("extensions cut off", func(f *mfatest.Forgery) { f.Flags, f.Extensions = f.Flags|mfatest.FlagED, extensions[:4] }),
		raw("a byte behind the extensions", func(f *mfatest.Forgery) {
			f.Flags, f.Extensions, f.Trailing = f.Flags|mfatest.FlagED, extensions, []byte{0}
		}),
		raw("attested data against the flag", func(f *mfatest.Forgery) { f.Flags ^= mfatest.FlagAT }),
		{name: "extensions nobody asked for", forge: func(f *mfatest.Forgery) { f.Flags, f.Extensions = f.Flags|mfatest.FlagED, extensions }},
	}
	both(t, w, append(changes, bombs(func(b []byte) func(*mfatest.Forgery) {
		return func(f *mfatest.Forgery) { f.Flags, f.Extensions = f.Flags|mfatest.FlagED, b }
	})...))
}

// bombs are CBOR that is small and wants to be large, or can be read in two ways
//
func bombs(put func([]byte) func(*mfatest.Forgery)) []change {
	deep := append([]byte{0xa1, 0x61, 'x'}, bytes.Repeat([]byte{0x81}, 60_000/2)...)
	var changes []change
	for name, b := range map[string][]byte{
		"deep":                       append(deep, 0),
		"five levels":                {0xa1, 0x61, 'x', 0x81, 0x81, 0x81, 0x81, 0x80},
		"a list of 2^32-1":           {0xa1, 0x61, 'x', 0x9a, 0xff, 0xff, 0xff, 0xff},
		"a list of 2^63":             {0xa1, 0x61, 'x', 0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"a map of 2^32-1":            {0xba, 0xff, 0xff, 0xff, 0xff},
		"bytes of 2^32-1":            {0xa1, 0x61, 'x', 0x5a, 0xff, 0xff, 0xff, 0xff},
		"bytes of 2^64-1":            {0xa1, 0x61, 'x', 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"text one longer than it is": {0xa1, 0x61, 'x', 0x62, 'a'},
		"a map without end":          {0xbf, 0x61, 'x', 0xf5, 0xff},
		"a list without end":         {0xa1, 0x61, 'x', 0x9f, 0xff},
		"bytes without end":          {0xa1, 0x61, 'x', 0x5f, 0x41, 0, 0xff},
		"a key twice":                {0xa2, 0x61, 'x', 0xf5, 0x61, 'x', 0xf4},
		"a key twice further in":     {0xa1, 0x61, 'x', 0xa2, 0x61, 'x', 0xf5, 0x61, 'x', 0xf4},
		"text that is not UTF-8":     {0xa1, 0x61, 'x', 0x61, 0xff},
		"a tag":                      {0xa1, 0x61, 'x', 0xc2, 0x41, 1},
	} {
		changes = append(changes, change{name: "CBOR " + name, want: webauthn.ErrMalformed, forge: put(b)})
	}
	return changes
}
