package webauthn

// Whatever a browser, an authenticator or a store could hand us: what is
// accepted has one reading, which is also the library's, and takes little
// memory.

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

func fuzzCBOR(t testing.TB) cbor.DecMode {
	t.Helper()
	strict, err := newCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return strict
}

// written is the one way to write down what was read.
func (r *response) written(t testing.TB, create bool) []byte {
	t.Helper()
	inner := map[string]any{"clientDataJSON": b64(r.clientData)}
	results := map[string]any{}
	if create {
		inner["attestationObject"], inner["transports"] = b64(r.object), r.transports
		if r.resident != nil {
			results["credProps"] = map[string]bool{"rk": *r.resident}
		}
	} else {
		inner["authenticatorData"], inner["signature"] = b64(r.rawAuth), b64(r.signature)
		if r.userHandle != nil {
			inner["userHandle"] = b64(r.userHandle)
		}
	}
	b, err := json.Marshal(map[string]any{
		"id": b64(r.id), "rawId": b64(r.id), "type": "public-key", "response": inner, "clientExtensionResults": results,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bounded fails unless what was read keeps its bounds, and is read the same once
// it was written.
func (r *response) bounded(t *testing.T, strict cbor.DecMode, create bool) {
	t.Helper()
	if len(r.id) == 0 || len(r.id) > maxID || len(r.clientData) > maxClientData || len(r.userHandle) > maxHandle {
		t.Fatalf("accepted: an ID of %d bytes, client data of %d, a handle of %d", len(r.id), len(r.clientData), len(r.userHandle))
	}
	again, err := parse(strict, r.written(t, create), create)
	if err != nil {
		t.Fatalf("not read again: %v: %s", err, r.written(t, create))
	}
	if !reflect.DeepEqual(again, r) {
		t.Fatalf("read again as %+v, not %+v", again, r)
	}
}

// sameClient fails unless the library reads client data as r does.
func (r *response) sameClient(t *testing.T, c protocol.CollectedClientData) {
	t.Helper()
	ours := r.client.forLibrary()
	if ours.Type != c.Type || ours.Challenge != c.Challenge || ours.Origin != c.Origin || ours.CrossOrigin != c.CrossOrigin || ours.TopOrigin != c.TopOrigin {
		t.Fatalf("%s is read as %+v, and by the library as %+v", r.clientData, ours, c)
	}
}

// same fails unless the library reads authenticator data as a. It keeps the key
// as it would have written it.
func (a authData) same(t *testing.T, strict cbor.DecMode, l protocol.AuthenticatorData) {
	t.Helper()
	if !bytes.Equal(a.rpIDHash, l.RPIDHash) || a.flags != byte(l.Flags) || a.counter != l.Counter {
		t.Fatalf("%+v, and by the library %+v", a, l)
	}
	if !a.attested {
		return
	}
	ours, err := parseKey(strict, a.key)
	theirs, libErr := parseKey(strict, l.AttData.CredentialPublicKey)
	if err != libErr || !reflect.DeepEqual(ours, theirs) || !bytes.Equal(a.aaguid[:], l.AttData.AAGUID) || !bytes.Equal(a.id, l.AttData.CredentialID) {
		t.Fatalf("%+v, and by the library %+v", a, l.AttData)
	}
}

// A fuzzed is what bodies are judged with: the vectors, their challenges and the
// records of those that are accepted.
type fuzzed struct {
	strict     cbor.DecMode
	site       *site
	all        []*vector
	challenges map[string][]byte
	known      map[string]known
}

type known struct {
	*vector
	record
}

func newFuzzed(t testing.TB) *fuzzed {
	t.Helper()
	z := &fuzzed{strict: fuzzCBOR(t), site: vectorSite(), challenges: map[string][]byte{}, known: map[string]known{}}
	z.all, _ = vectors(t)
	for _, v := range z.all {
		z.challenges[b64(v.values["create.challenge"])] = v.values["create.challenge"]
		if rec, err := v.register(t, z.site, demand{}, nil); err == nil {
			z.known[string(v.values["id"])] = known{v, rec}
		}
	}
	return z
}

func (z *fuzzed) registration(t *testing.T, body []byte) {
	r, err := parse(z.strict, body, true)
	if err != nil {
		if r != nil || err != ErrMalformed {
			t.Fatalf("%+v, %v", r, err)
		}
		return
	}
	r.bounded(t, z.strict, true)
	if l, err := protocol.ParseCredentialCreationResponseBytes(body); err == nil {
		r.sameClient(t, l.Response.CollectedClientData)
		o := l.Response.AttestationObject
		r.auth.same(t, z.strict, o.AuthData)
		if !bytes.Equal(l.RawID, r.id) || !bytes.Equal(o.RawAuthData, r.rawAuth) || o.Format != r.format {
			t.Fatalf("the library reads another credential, data or format: %s", body)
		}
	}
	d := demand{challenge: z.challenges[r.client.Challenge]}
	rec, err := z.site.register(func(b []byte) (publicKey, error) { return parseKey(z.strict, b) }, r, d, nil, time.Time{})
	if err != nil {
		return
	}
	if b := rec.encode(); rec.key.check() != nil || len(b) > 600 {
		t.Fatalf("a record of %d bytes", len(b))
	}
	if back, err := decodeRecord(rec.encode()); err != nil || !reflect.DeepEqual(back, rec) {
		t.Fatalf("%+v comes back as %+v, %v", rec, back, err)
	}
}

func (z *fuzzed) signIn(t *testing.T, body []byte) {
	r, err := parse(z.strict, body, false)
	if err != nil {
		if r != nil || err != ErrMalformed {
			t.Fatalf("%+v, %v", r, err)
		}
		return
	}
	r.bounded(t, z.strict, false)
	if l, err := protocol.ParseCredentialRequestResponseBytes(body); err == nil {
		r.sameClient(t, l.Response.CollectedClientData)
		r.auth.same(t, z.strict, l.Response.AuthenticatorData)
		if !bytes.Equal(l.RawID, r.id) || !bytes.Equal(l.Response.Signature, r.signature) || !bytes.Equal(l.Response.UserHandle, r.userHandle) ||
			!bytes.Equal(l.Raw.AssertionResponse.ClientDataJSON, r.clientData) || !bytes.Equal(l.Raw.AssertionResponse.AuthenticatorData, r.rawAuth) {
			t.Fatalf("the library reads another signature: %s", body)
		}
	}
	k, ok := z.known[string(r.id)]
	if !ok {
		return
	}
	_, _, err = z.site.assert(r, demand{challenge: k.values["get.challenge"]}, k.record)
	if err == nil && (!bytes.Equal(r.clientData, k.values["get.client"]) || !bytes.Equal(r.rawAuth, k.values["get.auth"])) {
		t.Fatalf("accepted, and never signed: %s", body)
	}
}

func FuzzRegistration(f *testing.F) {
	z := newFuzzed(f)
	for _, v := range z.all {
		f.Add(v.created(f))
	}
	body := string(z.all[0].created(f))
	f.Add([]byte("\xef\xbb\xbf" + body))
	f.Add([]byte(strings.Replace(body, `Results":{}`, `Results":{"credProps":{"rk":true},"x":[{}]}`, 1)))
	f.Add([]byte(strings.Replace(body, `"type"`, `"Type":"public-key","type"`, 1)))
	f.Add([]byte(strings.Replace(body, `"transports"`, `"publicKey":null,"transports"`, 1)))
	f.Fuzz(z.registration)
}

// FuzzAttestation is FuzzRegistration of what is in base64.
func FuzzAttestation(f *testing.F) {
	z := newFuzzed(f)
	for _, v := range z.all {
		f.Add(v.values["create.client"], v.values["create.object"])
	}
	f.Fuzz(func(t *testing.T, client, object []byte) {
		r := &response{id: []byte{1}, clientData: client, object: object}
		if r.openObject(z.strict) {
			if a, ok := parseAuth(z.strict, r.rawAuth); ok && a.attested {
				r.id = a.id
			}
		}
		z.registration(t, r.written(t, true))
	})
}

func FuzzSignIn(f *testing.F) {
	z := newFuzzed(f)
	for _, v := range z.all {
		f.Add(v.got(f))
	}
	body := string(z.all[0].got(f))
	f.Add([]byte("\xef\xbb\xbf" + body))
	f.Add([]byte(strings.Replace(body, `"signature"`, `"userHandle":"AAAA","signature"`, 1)))
	f.Add([]byte(strings.Replace(body, `"signature"`, `"userHandle":null,"signature"`, 1)))
	f.Add([]byte(strings.Replace(body, `"signature"`, `"Signature":"","signature"`, 1)))
	f.Fuzz(z.signIn)
}

// FuzzAssertion is FuzzSignIn of what is in base64.
func FuzzAssertion(f *testing.F) {
	z := newFuzzed(f)
	for i, v := range z.all {
		f.Add(byte(i), v.values["get.client"], v.values["get.auth"], v.values["get.signature"], []byte(nil))
		f.Add(byte(i), v.values["get.client"], v.values["get.auth"], v.values["get.signature"], []byte{1})
	}
	f.Fuzz(func(t *testing.T, i byte, client, auth, signature, handle []byte) {
		id := z.all[int(i)%len(z.all)].values["id"]
		r := &response{id: id, clientData: client, rawAuth: auth, signature: signature, userHandle: handle}
		z.signIn(t, r.written(t, false))
	})
}

// A sample has a member of each kind that is looked for. Of the names, three have a
// letter that other letters fold to: U+017F to s, U+212A to k.
type sample struct {
	ID        string          `json:"id"`
	Signature string          `json:"signature"`
	Handle    *string         `json:"task"`
	Key       json.RawMessage `json:"publicKey"`
	Cross     bool            `json:"crossOrigin"`
	List      []string        `json:"transports"`
}

func sampleNames() []string {
	return []string{"id", "signature", "task", "publicKey", "crossOrigin", "transports"}
}

func readSample(b []byte) (s sample, err error) {
	err = object(b, member{"id", &s.ID}, member{"signature", &s.Signature}, member{"task", &s.Handle}, member{"publicKey", &s.Key},
		member{"crossOrigin", &s.Cross}, member{"transports", &s.List})
	return s, err
}

func (s sample) same(o sample) bool {
	key := func(b []byte) string { // where it is left out, encoding/json says nothing too
		var out bytes.Buffer
		if len(b) == 0 || json.Compact(&out, b) != nil {
			return string(b)
		}
		return out.String()
	}
	return s.ID == o.ID && s.Signature == o.Signature && reflect.DeepEqual(s.Handle, o.Handle) && key(s.Key) == key(o.Key) &&
		s.Cross == o.Cross && reflect.DeepEqual(s.List, o.List)
}

// ambiguous reports whether somebody could read the members in another way: two
// that differ at most in case, or one that is wanted by another case.
func ambiguous(t *testing.T, b []byte, members map[string]json.RawMessage) bool {
	t.Helper()
	lower := map[string]bool{}
	for name := range members {
		if lower[strings.ToLower(name)] {
			return true
		}
		lower[strings.ToLower(name)] = true
		for _, wanted := range sampleNames() {
			if name != wanted && strings.EqualFold(name, wanted) {
				return true
			}
		}
	}
	return membersOf(t, b) != len(members) // of two equal ones a map keeps one
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{"id":"a","signature":"b"}`, "\xef\xbb\xbf" + `{"id":"a"}`, `{}`, ` { "id" : "\u0061" , "x" : [ { "id" : 1 } , "]\"" ] } `, `{"\u0069d":"a"}`,
		`{"id":"a","id":"b"}`, `{"id":"a","ID":"b"}`, `{"x":1,"X":2}`, `{"\u017fignature":"b"}`, `{"id":null}`, `{"id":1}`, `{"id":"\ud800"}`,
		`{"id":"a"}{}`, `{"id":"a"`, `{"id":"a",}`, `[]`, `null`, `"id"`, ``, `{"a":{"b":{"c":[[[1.5e9,true,false,null]]]}}}`, "{\"id\":\"\xff\"}",
		// What a walk of one's own could trip over.
		`{"task":"h","publicKey":{"a":[{"}":"{"},"\\\"]}"]},"crossOrigin":true,"transports":["usb","\u0041"]}`,
		`{"tas\u212a":"h"}`, `{"ta\u017fk":"h"}`, "{\"tas\u212a\":\"h\"}", "{\"tran\u017fports\":[]}", `{"public\u212aey":1}`, `{"tas\u006B":"h"}`,
		`{"id\u0000":"a"}`, `{"":1,"id":"a"}`, `{"\"id\"":1,"id":"a"}`, `{"\\":1,"\\\\":2,"id":"\\"}`, `{"x":"\\","id":"}"}`, `{"x":"\\\"","id":"{[,:"}`,
		`{"publicKey":["<\\\">"]}`, "{\"publicKey\":\"\u2028&\"}", `{"publicKey":-0.0e-0,"id":"a"}`, `{"publicKey":1}`, "{\"publicKey\":1\n,\"id\":\"a\"}", `{"publicKey":true}`, `{"publicKey":null }`, `{"crossOrigin":null,"transports":null,"task":null}`,
		`{"publicKey":[]}`, `{"publicKey":{}}`, `{"publicKey":[[],{},[[]]],"x":{},"y":[]}`, `{"publicKey":"","id":""}`, `{ }`, "{\r\n\t }", "\n{\t\"id\"\r:\n\"a\"\t,\n\"x\"\n:\n[ ]\n}\n",
		"\xef\xbb\xbf\xef\xbb\xbf{}", "{\"id\":\"\xef\xbb\xbf\"}", "{\"\xef\xbb\xbfid\":\"a\"}", "\xef\xbb\xbf", " ", "{\"id\":\"\u2028\"}", "{\"id\":\"\x7f\"}", "{\"id\":\"\n\"}",
		`{"id":"\ud83d\ude00","\ud83d\ude00":1}`, `{"\ud800":1,"\udfff":2}`, `{"x":1,"\u0130":2,"i\u0307":3}`, `{,"id":"a"}`, `{"id":"a",,"x":1}`, `{"id"::"a"}`, `{"id":"a"}]`,
		`{"transports":["a",null]}`, `{"transports":[1]}`, `{"transports":"usb"}`, `{"crossOrigin":1}`, `{"task":""}`, `{"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `,"id":"a"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readSample(b)
		plain := bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
		var members map[string]json.RawMessage
		var lenient sample // takes any case of a name
		lenientErr := json.Unmarshal(plain, &lenient)
		if err != nil {
			// What can be read in one way only is read.
			if lenientErr == nil && utf8.Valid(plain) && bytes.HasPrefix(bytes.TrimLeft(plain, " \t\r\n"), []byte("{")) {
				if err := json.Unmarshal(plain, &members); err != nil || !ambiguous(t, plain, members) {
					t.Fatalf("%q is refused, and %+v to encoding/json", b, lenient)
				}
			}
			return
		}
		if lenientErr != nil || !got.same(lenient) || !utf8.Valid(b) {
			t.Fatalf("%q: %+v, and leniently %+v, %v", b, got, lenient, lenientErr)
		}
		if err := json.Unmarshal(plain, &members); err != nil || ambiguous(t, plain, members) {
			t.Fatalf("%q can be read in two ways, %v", b, err)
		}
		if key := members["publicKey"]; !bytes.Equal(key, got.Key) { // to the byte
			t.Fatalf("%q: %q, and to encoding/json %q", b, got.Key, key)
		}
		var again bytes.Buffer
		written := json.NewEncoder(&again)
		written.SetEscapeHTML(false) // it would change the bytes of publicKey
		if err := written.Encode(members); err != nil {
			t.Fatal(err)
		}
		if twice, err := readSample(again.Bytes()); err != nil || !twice.same(got) {
			t.Fatalf("%q is written as %q, and read as %+v, %v", b, again.Bytes(), twice, err)
		}
	})
}

// membersOf counts the members of an object by its tokens.
func membersOf(t *testing.T, b []byte) (n int) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	for depth, name := 0, false; ; {
		token, err := d.Token()
		if err != nil {
			return n
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			name = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			name = depth == 1
			continue
		}
		if depth == 1 {
			if name {
				n++
			}
			name = !name
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "AA", "AB", "AAA", "AAAA", "AA==", "A", "-_-_", "+/+/", "AA\nAA", "AA\r\n", "A A", "é", strings.Repeat("A", 100)} {
		f.Add(s, uint16(64))
	}
	f.Fuzz(func(t *testing.T, s string, most uint16) {
		var b []byte
		if !decode(&b, s, int(most)) {
			return
		}
		if b64(b) != s || len(b) > int(most) {
			t.Fatalf("%q is read as %x, which is written as %q", s, b, b64(b))
		}
	})
}

func FuzzAuthData(f *testing.F) {
	strict := fuzzCBOR(f)
	all, _ := vectors(f)
	for _, v := range all {
		f.Add(v.values["get.auth"])
		r, err := parse(strict, v.created(f), true)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.rawAuth)
		extended := append(bytes.Clone(r.rawAuth), 0xa1, 0x6b, 'c', 'r', 'e', 'd', 'P', 'r', 'o', 't', 'e', 'c', 't', 2)
		extended[32] |= flagED
		f.Add(extended)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parseAuth(strict, b)
		if !ok {
			return
		}
		again := binary.BigEndian.AppendUint32(append(bytes.Clone(a.rpIDHash), a.flags), a.counter)
		if a.attested {
			again = binary.BigEndian.AppendUint16(append(again, a.aaguid[:]...), uint16(len(a.id)))
			again = append(append(again, a.id...), a.key...)
		}
		if a.attested != (a.flags&flagAT != 0) || !bytes.HasPrefix(b, again) {
			t.Fatalf("%x is read as %+v", b, a)
		}
		var extensions map[string]any
		rest := b[len(again):]
		if a.flags&flagED == 0 && len(rest) != 0 || a.flags&flagED != 0 && strict.Unmarshal(rest, &extensions) != nil {
			t.Fatalf("%x leaves %x", b, rest)
		}
		var l protocol.AuthenticatorData
		if l.Unmarshal(b) == nil {
			a.same(t, strict, l)
		}
	})
}

func FuzzKey(f *testing.F) {
	strict := fuzzCBOR(f)
	all, _ := vectors(f)
	for _, v := range all {
		f.Add(v.values["key"])
	}
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKey(strict, b)
		if err != nil {
			if err != ErrKey {
				t.Fatal(err)
			}
			return
		}
		written := k.cose()
		again, err := parseKey(strict, written)
		if err != nil || again.alg != k.alg || !bytes.Equal(again.raw, k.raw) || !bytes.Equal(again.cose(), written) {
			t.Fatalf("%x is written as %x, and read as %x, %v", b, written, again.raw, err)
		}
		// What the library verifies with is what the authenticator sent.
		theirs, err := webauthncose.ParsePublicKey(b)
		if err != nil {
			return
		}
		ours, err := webauthncose.ParsePublicKey(written)
		if err != nil || !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("%x: %+v, and as we write it %+v, %v", b, theirs, ours, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	all, _ := vectors(f)
	for _, v := range all {
		if rec, err := v.register(f, vectorSite(), demand{}, nil); err == nil {
			f.Add(rec.encode())
			rec.counter, rec.alone, rec.backupUnknown = 1<<32-1, true, true
			f.Add(rec.encode())
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if err != errState || !reflect.DeepEqual(r, record{}) {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		if !bytes.Equal(r.encode(), b) || r.key.check() != nil {
			t.Fatalf("%x reads as %+v, which is written as %x", b, r, r.encode())
		}
		if got := transportBits(transportList(r.transports)); got != r.transports&(1<<len(transportNames())-1) {
			t.Fatalf("transports %08b come back as %08b", r.transports, got)
		}
	})
}

func FuzzCeremony(f *testing.F) {
	challenge := bytes.Repeat([]byte{7}, challengeSize)
	for _, c := range []ceremony{{challenge: challenge}, {true, true, true, challenge}, {verify: true, challenge: challenge}} {
		f.Add(c.encode())
	}
	f.Add(ceremony{challenge: challenge[1:]}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCeremony(b)
		if err != nil {
			if err != errState || !reflect.DeepEqual(c, ceremony{}) {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		if !bytes.Equal(c.encode(), b) || len(c.challenge) != challengeSize {
			t.Fatalf("%x reads as %+v", b, c)
		}
	})
}

// FuzzOrigin: whatever passes is the origin of a page as a browser writes it, so
// that a comparison of bytes is one of origins.
func FuzzOrigin(f *testing.F) {
	for _, o := range []string{
		"https://acme.example", "https://acme.example:8443", "http://localhost:8080", "http://app.localhost", "https://xn--bcher-kva.example",
		"https://acme.example/", "https://ACME.example", "https://acme.example:443", "https://ada@acme.example", "http://acme.example",
		"https://*.acme.example", "https://acme.example:", "https://acme.example:08443", "https://acme.example:99999", "https://bücher.example",
		"https://a,b", "https://.", "https://a..b", "https://[::1]", "https://127.0.0.1", "https://%61cme.example", "https://acme.example?", "//acme.example",
	} {
		f.Add(o)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		host, err := hostOf(origin)
		if err != nil {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.Hostname() != host || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			t.Fatalf("%q is accepted: %+v", origin, u)
		}
		if got, err := protocol.FullyQualifiedOrigin(origin); err != nil || got != origin {
			t.Fatalf("%q is %q to the library, %v", origin, got, err)
		}
		m := New(origin, nil)
		if m.Check() != nil {
			return
		}
		if _, err := netip.ParseAddr(host); err == nil || m.site.rpID != host {
			t.Fatalf("%q has the RP ID %q", origin, m.site.rpID)
		}
	})
}

// TestOriginsThatNoBrowserWrites: they would match nothing, so whoever
// configures one has made a mistake.
func TestOriginsThatNoBrowserWrites(t *testing.T) {
	t.Parallel()
	for _, o := range []string{
		"https://*.acme.example", "https://acme.example:", "https://acme.example:08443", "https://acme.example:0", "https://acme.example:99999",
		"https://bücher.example", "https://a,b", "https://a;b", "https://a\"b", "https://a<b", "https://.", "https://a..b", "https://.acme.example",
		"https://acme.example.", "http://.localhost", "http://localhost:", "https://$", "https://a_b'", "https://(acme).example",
	} {
		if host, err := hostOf(o); err == nil {
			t.Errorf("%q is accepted, with host %q", o, host)
		}
	}
}

// hostile are bodies of at most 64 KiB that are made to be costly.
func hostile(t testing.TB) map[string][]byte {
	t.Helper()
	fill := func(begin, unit, end string, size int) string {
		return begin + strings.Repeat(unit, max(0, size-len(begin)-len(end))/len(unit)) + end
	}
	numbered := func(size int) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := 0; b.Len() < size-16; i++ {
			fmt.Fprintf(&b, `"%x":0,`, i)
		}
		return b.String() + `"z":0}`
	}
	all, _ := vectors(t)
	create, get := string(all[0].created(t)), string(all[0].got(t))
	in := func(body, member, value string) string { // puts value, as it is, in the place of a member's
		at := strings.Index(body, `"`+member+`":`) + len(member) + 3
		end := at + strings.IndexByte(body[at+1:], '"') + 2
		if body[at] == '{' {
			end = at + 2
		}
		return body[:at] + value + body[end:]
	}
	quoted := func(b []byte) string { return `"` + base64.RawURLEncoding.EncodeToString(b) + `"` }
	objectOf := func(auth []byte) string { // an attestation object around authenticator data
		b := append([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"), byte(len(auth)>>8), byte(len(auth)))
		return quoted(append(b, auth...))
	}
	bin := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const inner = 40 << 10 // of bytes that travel in base64
	attested := append(make([]byte, 37+16), 0, 1, 9)
	attested[32] = flagUP | flagAT
	extended := make([]byte, 37)
	extended[32] = flagUP | flagED
	cborBombs := map[string][]byte{
		"arrays":                 bytes.Repeat([]byte{0x81}, inner),
		"maps":                   bytes.Repeat([]byte{0xa1, 0x01}, inner/2),
		"an endless array":       append([]byte{0x9f}, make([]byte, inner)...),
		"an array of 2^32":       append(bin("9affffffff"), make([]byte, inner)...),
		"an array of 2^63":       append(bin("9b7fffffffffffffff"), make([]byte, inner)...),
		"a map of 2^32":          append(bin("baffffffff"), make([]byte, inner)...),
		"text of 2^32":           append(bin("7affffffff"), make([]byte, inner)...),
		"bytes of 2^63":          append(bin("5b7fffffffffffffff"), make([]byte, inner)...),
		"tags":                   bytes.Repeat([]byte{0xc1}, inner),
		"nested arrays of 2^16":  bytes.Repeat(bin("99ffff"), inner/3),
		"a long array":           append(bin("99a000"), make([]byte, inner)...),
		"a map with equal names": append(bin("b95000"), make([]byte, inner)...),
	}
	bodies := map[string]string{
		"objects":          fill("", `{"a":`, "", maxBody),
		"arrays":           fill(`{"a":`, "[", "", maxBody),
		"closed arrays":    `{"a":` + strings.Repeat("[", maxBody/2-8) + strings.Repeat("]", maxBody/2-8) + "}",
		"members":          numbered(maxBody),
		"equal members":    fill("{", `"a":0,`, `"a":0}`, maxBody),
		"escapes":          fill(`{"id":"`, `\u0041`, `"}`, maxBody),
		"escaped names":    fill(`{"`, `\u0041`, `":0}`, maxBody),
		"surrogates":       fill(`{"id":"`, `\ud800`, `"}`, maxBody),
		"capitals":         fill(`{"`, "\u0130", `":0}`, maxBody),
		"white space":      fill("", " ", "{}", maxBody),
		"digits":           fill(`{"id":`, "9", "}", maxBody),
		"numbers":          fill(`{"a":[`, "0,", "0]}", maxBody),
		"small numbers":    fill(`{"id":1e`, "9", "}", maxBody),
		"base64":           in(get, "signature", fill(`"`, "A", `"`, maxBody-len(get))),
		"not quite base64": in(get, "signature", fill(`"`, "A", `\n"`, maxBody-len(get))),
		"transports":       strings.Replace(create, `["internal"]`, fill("[", `"",`, `""]`, maxBody-len(create)), 1),
		"results":          in(create, "clientExtensionResults", numbered(maxBody-len(create))),
		"deep results":     in(create, "clientExtensionResults", `{"credProps":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}`),
		"client data":      in(get, "clientDataJSON", quoted([]byte(numbered(maxClientData)))),
		"deep client data": in(get, "clientDataJSON", quoted([]byte(fill(`{"a":`, "[", "", maxClientData)))),
		"too much":         fill(`{"id":"`, "A", `"}`, maxBody+1),
		"far too much":     fill(`{"id":"`, "A", `"}`, 8<<20),
	}
	for name, b := range cborBombs {
		bodies["an object of "+name] = in(create, "attestationObject", quoted(b))
		bodies["a key of "+name] = in(create, "attestationObject", objectOf(append(slices.Clone(attested), b...)))
		bodies["extensions of "+name] = in(get, "authenticatorData", quoted(append(slices.Clone(extended), b...)))
	}
	out := map[string][]byte{}
	for name, s := range bodies {
		if len(s) > maxBody+1 && !strings.HasPrefix(name, "far") {
			t.Fatalf("%s has %d bytes", name, len(s))
		}
		out[name] = []byte(s)
	}
	return out
}

// allocated is how much f allocates. All of the process is counted, so it is the
// least of three times.
func allocated(f func()) uint64 {
	least := uint64(1<<64 - 1)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// TestHostile: the most that 64 KiB can make us allocate. It runs alone.
func TestHostile(t *testing.T) {
	const most = 64 << 20
	strict := fuzzCBOR(t)
	worst, which := uint64(0), ""
	read := map[string]bool{ // what is only long, or said by the browser and not needed
		"base64 false": true, "transports true": true, "results true": true, "deep results true": true, "client data false": true,
	}
	for name, body := range hostile(t) {
		for _, create := range []bool{true, false} {
			var err error
			used := allocated(func() { _, err = parse(strict, body, create) })
			if (err == nil) != read[fmt.Sprint(name, " ", create)] {
				t.Errorf("%s, create %t: %v", name, create, err)
			}
			if used > worst {
				worst, which = used, name
			}
			if used > most {
				t.Errorf("%s: %d bytes are allocated for %d", name, used, len(body))
			}
			if len(body) > maxBody && used > 4<<10 {
				t.Errorf("%s: %d bytes are allocated for what is too long", name, used)
			}
		}
	}
	for name, key := range map[string]string{"arrays": "81", "maps": "a101", "a map of 2^32": "baffffffff"} {
		b, err := hex.DecodeString(strings.Repeat(key, 64<<10/(len(key)/2)))
		if err != nil {
			t.Fatal(err)
		}
		if used := allocated(func() { _, err = parseKey(strict, b) }); err == nil || used > most {
			t.Errorf("a key of %s: %d bytes, %v", name, used, err)
		}
	}
	t.Logf("at most %d kB, for %s", worst>>10, which)
}
