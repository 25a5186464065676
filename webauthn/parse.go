package webauthn

// Reading what a browser sends. Nothing that could be read in two ways gets
// through: encoding/json takes the last of two members and any case of a name,
// encoding/base64 skips line ends.

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

const (
	maxBody       = 64 << 10
	maxClientData = 8 << 10
	maxID         = 1023 // bytes of a credential ID (WebAuthn section 7.1)
	maxHandle     = 64
)

// A response is what both ceremonies have in common.
type response struct {
	id         []byte
	clientData []byte // as it was signed
	client     clientData
	auth       authData
	rawAuth    []byte // as it was signed

	// of a registration
	format     string
	statement  []byte // CBOR
	object     []byte
	transports []string
	resident   *bool // the browser's word (credProps)

	// of a sign-in
	signature  []byte
	userHandle []byte
}

type clientData struct {
	Type        string  `json:"type"`
	Challenge   string  `json:"challenge"`
	Origin      string  `json:"origin"`
	CrossOrigin bool    `json:"crossOrigin"`
	TopOrigin   *string `json:"topOrigin"`
}

// parse reads the JSON of a registration (create) or a sign-in.
func parse(strict cbor.DecMode, body []byte, create bool) (*response, error) {
	if len(body) > maxBody {
		return nil, ErrMalformed
	}
	var top struct {
		ID, RawID, Type string
		Response        json.RawMessage
		Results         json.RawMessage
	}
	err := object(body, member{"id", &top.ID}, member{"rawId", &top.RawID}, member{"type", &top.Type},
		member{"response", &top.Response}, member{"clientExtensionResults", &top.Results}, member{"authenticatorAttachment", nil})
	if err != nil || top.Type != "public-key" || top.ID != top.RawID {
		return nil, ErrMalformed
	}
	r := &response{}
	var client, auth, attestation, signature string
	var handle *string
	members := []member{{"clientDataJSON", &client}, {"authenticatorData", &auth}}
	if create {
		// The key and its algorithm are the browser's own word: not needed.
		members = append(members, member{"attestationObject", &attestation}, member{"transports", &r.transports},
			member{"publicKey", nil}, member{"publicKeyAlgorithm", nil})
	} else {
		members = append(members, member{"signature", &signature}, member{"userHandle", &handle}, member{"attestationObject", nil})
	}
	if object(top.Response, members...) != nil {
		return nil, ErrMalformed
	}
	ok := decode(&r.id, top.ID, maxID) && len(r.id) > 0 && decode(&r.clientData, client, maxClientData)
	if create {
		ok = ok && decode(&r.object, attestation, maxBody) && r.openObject(strict)
		r.resident = resident(top.Results)
	} else {
		ok = ok && decode(&r.rawAuth, auth, maxBody) && decode(&r.signature, signature, maxBody)
		if handle != nil && *handle != "" {
			ok = ok && decode(&r.userHandle, *handle, maxHandle)
		}
	}
	ok = ok && object(r.clientData, member{"type", &r.client.Type}, member{"challenge", &r.client.Challenge},
		member{"origin", &r.client.Origin}, member{"crossOrigin", &r.client.CrossOrigin}, member{"topOrigin", &r.client.TopOrigin}) == nil
	if !ok {
		return nil, ErrMalformed
	}
	if r.auth, ok = parseAuth(strict, r.rawAuth); !ok {
		return nil, ErrMalformed
	}
	return r, nil
}

// openObject takes an attestation object apart.
func (r *response) openObject(strict cbor.DecMode) bool {
	var parts map[string]cbor.RawMessage
	if strict.Unmarshal(r.object, &parts) != nil || len(parts) != 3 {
		return false
	}
	var whole any // so that what is in it is looked at too
	if strict.Unmarshal(parts["fmt"], &r.format) != nil || strict.Unmarshal(parts["authData"], &r.rawAuth) != nil ||
		strict.Unmarshal(parts["attStmt"], &whole) != nil {
		return false
	}
	r.statement = parts["attStmt"]
	return true
}

// resident is what the browser says of credProps, nil if nothing.
func resident(results []byte) *bool {
	var props json.RawMessage
	var rk *bool
	if len(results) == 0 || object(results, member{"credProps", &props}) != nil || len(props) == 0 ||
		object(props, member{"rk", &rk}) != nil {
		return nil
	}
	return rk
}

// A member is a member of an object that is looked for, and where it goes.
type member struct {
	name string
	into any
}

// object reads a JSON object strictly: each member once, the wanted ones by
// their exact names. Others are left out.
func object(b []byte, wanted ...member) error {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // UTF-8 decode strips it
	if !utf8.Valid(b) || !json.Valid(b) {
		return ErrMalformed
	}
	if b = bytes.TrimLeft(b, " \t\r\n"); b[0] != '{' {
		return ErrMalformed
	}
	b = b[1:]
	seen := make(map[string]bool, 8)
	for {
		b = bytes.TrimLeft(b, " \t\r\n,")
		if b[0] == '}' {
			return nil
		}
		n := length(b)
		var name string
		if text(b[:n], &name) != nil || seen[strings.ToLower(name)] {
			return ErrMalformed
		}
		seen[strings.ToLower(name)] = true
		b = bytes.TrimLeft(b[n:], " \t\r\n:")
		n = length(b)
		for _, w := range wanted {
			switch {
			case name == w.name:
				if w.take(b[:n]) != nil {
					return ErrMalformed
				}
			case strings.EqualFold(name, w.name):
				return ErrMalformed
			}
		}
		b = b[n:]
	}
}

func (w member) take(value []byte) error {
	switch into := w.into.(type) {
	case nil:
		return nil
	case *json.RawMessage:
		*into = value
		return nil
	case *string:
		return text(value, into)
	}
	return json.Unmarshal(value, w.into)
}

// text reads a JSON string. Most need no more than their quotes taken off.
func text(value []byte, into *string) error {
	if len(value) >= 2 && value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		*into = string(value[1 : len(value)-1])
		return nil
	}
	return json.Unmarshal(value, into)
}

// length is that of the value, or the name, that b begins with. b is known to be
// valid JSON from there on.
func length(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth--; depth <= 0 {
				return i + 1 + min(depth, 0)
			}
		case depth == 0 && (c == ',' || c <= ' '):
			return i
		}
	}
	return len(b)
}

// decode reads base64url without padding as there is only one way to write it.
func decode(into *[]byte, s string, most int) bool {
	if len(s) > base64.RawURLEncoding.EncodedLen(most) || strings.ContainsAny(s, "\r\n") {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	*into = b
	return err == nil && len(b) <= most
}

// authData is WebAuthn's authenticator data (section 6.1).
type authData struct {
	rpIDHash []byte
	flags    byte
	counter  uint32
	attested bool
	aaguid   [16]byte
	id       []byte
	key      []byte // COSE
}

const (
	flagUP = 1 << 0
	flagUV = 1 << 2
	flagBE = 1 << 3
	flagBS = 1 << 4
	flagAT = 1 << 6
	flagED = 1 << 7
)

// parseAuth reads authenticator data to its last byte.
func parseAuth(strict cbor.DecMode, b []byte) (a authData, ok bool) {
	if len(b) < 37 {
		return a, false
	}
	a.rpIDHash, a.flags, a.counter = b[:32], b[32], binary.BigEndian.Uint32(b[33:37])
	b = b[37:]
	if a.flags&flagAT != 0 {
		if len(b) < 18 {
			return a, false
		}
		a.attested, a.aaguid = true, [16]byte(b[:16])
		n := int(binary.BigEndian.Uint16(b[16:18]))
		if b = b[18:]; n == 0 || n > maxID || n > len(b) {
			return a, false
		}
		a.id, b = b[:n], b[n:]
		var key cbor.RawMessage
		rest, err := strict.UnmarshalFirst(b, &key)
		if err != nil {
			return a, false
		}
		a.key, b = key, rest
	}
	if a.flags&flagED != 0 {
		var extensions map[string]any
		rest, err := strict.UnmarshalFirst(b, &extensions)
		if err != nil {
			return a, false
		}
		b = rest
	}
	return a, len(b) == 0
}
