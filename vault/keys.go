package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Keys is an ordered ring of sealing keys, written "id:base64,id:base64": the
// first seals, all open. An ID has 1 to 32 letters, digits, points, hyphens or
// underscores and is never given to another key; a key has 32 bytes, in
// standard base64 with padding. White space around an entry is ignored. Keys
// prints as [redacted].
//
// A key is replaced in four steps, each deployed everywhere before the next:
//
//  1. add the new one last: nobody seals under it until everybody opens it;
//  2. move it first;
//  3. Reseal until a pass finds nothing left;
//  4. remove the old one.
//
// Reseal reaches what is in the store. What Seal gave out under the old key ends
// with step 4, as if it were forged. In package mfa that is a sign-in or step-up
// under way, good for ten minutes, so let at least as many pass between steps 2
// and 4; and a Session's Token, which has no end of its own and is sealed anew only
// when the session is renewed, by a step-up or a change in Settings. A session that
// is older than step 2 by then proves nothing any more, and its user must
// sign in again: to spare them that, wait for as long as the application's
// sessions last. Nothing that is stored for the user is lost. A key that has become
// known is not waited for.
type Keys string

// ErrKeys: a ring is empty or malformed. The text never shows a key.
var ErrKeys = errors.New("vault: invalid keys")

const keySize = 32

// NewKey returns a ring of one random key under a random ID.
func NewKey() (Keys, error) {
	var key [keySize]byte
	_, _ = rand.Read(key[:])
	return Keys(newID()[:8] + ":" + base64.StdEncoding.EncodeToString(key[:])), nil
}

// A KMS wraps and unwraps keys, so that a ring can be kept in configuration
// without being readable there.
type KMS interface {
	Wrap(ctx context.Context, key []byte) (wrapped []byte, err error)
	Unwrap(ctx context.Context, wrapped []byte) (key []byte, err error)
}

// WrapKeys returns the ring with each key wrapped, as text for UnwrapKeys.
func WrapKeys(ctx context.Context, kms KMS, keys Keys) (string, error) {
	ring, err := parseKeys(string(keys), keySize)
	if err != nil {
		return "", err
	}
	return mapKeys(ctx, ring, kms.Wrap)
}

// UnwrapKeys returns the ring whose keys WrapKeys wrapped.
func UnwrapKeys(ctx context.Context, kms KMS, text string) (Keys, error) {
	ring, err := parseKeys(text, 0)
	if err != nil {
		return "", err
	}
	s, err := mapKeys(ctx, ring, kms.Unwrap)
	if err != nil {
		return "", err
	}
	if _, err := parseKeys(s, keySize); err != nil {
		return "", err
	}
	return Keys(s), nil
}

func mapKeys(ctx context.Context, ring []namedKey, f func(context.Context, []byte) ([]byte, error)) (string, error) {
	parts := make([]string, len(ring))
	for i, k := range ring {
		b, err := f(ctx, k.key)
		if err != nil {
			return "", fmt.Errorf("vault: key service: %w", err)
		}
		parts[i] = k.id + ":" + base64.StdEncoding.EncodeToString(b)
	}
	return strings.Join(parts, ","), nil
}

type namedKey struct {
	id  string
	key []byte
}

// parseKeys reads a ring whose keys have size bytes, any number if size is 0.
func parseKeys(text string, size int) ([]namedKey, error) {
	if text == "" {
		return nil, fmt.Errorf("%w: none given", ErrKeys)
	}
	var ring []namedKey
	for part := range strings.SplitSeq(text, ",") {
		id, encoded, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok || !validKeyID(id) {
			return nil, fmt.Errorf("%w: want id:base64", ErrKeys)
		}
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(key) == 0 || size > 0 && len(key) != size ||
			base64.StdEncoding.EncodeToString(key) != encoded {
			return nil, fmt.Errorf("%w: want %d bytes in base64", ErrKeys, keySize)
		}
		for _, other := range ring {
			if other.id == id {
				return nil, fmt.Errorf("%w: an ID twice", ErrKeys)
			}
		}
		ring = append(ring, namedKey{id, key})
	}
	return ring, nil
}

func validKeyID(id string) bool {
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 32
}

// A ring seals under its first key and opens under any. Each purpose and subject
// has a key of its own, derived by HKDF (RFC 5869), so that no AES-GCM key ever
// sees enough nonces to matter.
type ring struct {
	keys  []ringKey
	boxes *cache[boxName, cipher.AEAD] // derived already; nil: none are kept
}

// A ringKey holds the extracted half of the derivation, which is the same for
// every purpose and subject.
type ringKey struct {
	id  string
	prk []byte
}

func newRing(keys []namedKey) (ring, error) {
	r := ring{keys: make([]ringKey, len(keys))}
	for i, k := range keys {
		prk, err := hkdf.Extract(sha256.New, k.key, nil)
		if err != nil {
			return r, fmt.Errorf("vault: %w", err)
		}
		r.keys[i] = ringKey{k.id, prk}
	}
	return r, nil
}

// first is the ID of the key that seals.
func (r ring) first() string { return r.keys[0].id }

const (
	formatVersion = 1
	nonceSize     = 12
	tagSize       = 16
)

// A box seals and opens for one purpose and subject under one key.
type box struct {
	boxName
	aead cipher.AEAD
}

type boxName struct{ keyID, purpose, subject string }

func (n boxName) clone() boxName {
	return boxName{strings.Clone(n.keyID), strings.Clone(n.purpose), strings.Clone(n.subject)}
}

// boxCost is what a derived key takes in a cache: AES-GCM's tables, its entry and
// place in the map, measured, and its name.
func boxCost(n boxName, _ cipher.AEAD) int {
	return 1040 + len(n.keyID) + len(n.purpose) + len(n.subject)
}

// box derives the key of that name, or finds it among those of late.
func (r ring) box(name boxName) (box, error) {
	if aead, ok := r.boxes.get(name); ok {
		return box{name, aead}, nil
	}
	i := slices.IndexFunc(r.keys, func(k ringKey) bool { return k.id == name.keyID })
	if i < 0 {
		return box{}, ErrUnknownKey
	}
	info := lengthPrefixed("mfa", name.purpose, name.subject)
	key, err := hkdf.Expand(sha256.New, r.keys[i].prk, string(info), keySize)
	if err != nil {
		return box{}, fmt.Errorf("vault: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return box{}, fmt.Errorf("vault: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return box{}, fmt.Errorf("vault: %w", err)
	}
	r.boxes.put(name, gcm)
	return box{name, gcm}, nil
}

// seal returns format, key ID, nonce and ciphertext. The associated data binds
// purpose, format, key ID and subject, each behind its length.
func (b box) seal(plain []byte) []byte {
	out := make([]byte, 0, 2+len(b.keyID)+nonceSize+len(plain)+tagSize)
	out = append(out, formatVersion, byte(len(b.keyID)))
	out = append(out, b.keyID...)
	out = out[:len(out)+nonceSize]
	nonce := out[len(out)-nonceSize:]
	_, _ = rand.Read(nonce)
	return b.aead.Seal(out, nonce, plain, b.associated())
}

func (b box) associated() []byte {
	return lengthPrefixed(b.purpose, string([]byte{formatVersion}), b.keyID, b.subject)
}

func (r ring) seal(purpose, subject string, plain []byte) ([]byte, error) {
	b, err := r.box(boxName{r.first(), purpose, subject})
	if err != nil {
		return nil, err
	}
	return b.seal(plain), nil
}

func (r ring) open(purpose, subject string, sealed []byte) ([]byte, error) {
	id, rest, err := sealedUnder(sealed)
	if err != nil {
		return nil, err
	}
	b, err := r.box(boxName{id, purpose, subject})
	if err != nil {
		return nil, err
	}
	if len(rest) < nonceSize+tagSize {
		return nil, ErrCorrupt
	}
	plain, err := b.aead.Open(nil, rest[:nonceSize], rest[nonceSize:], b.associated())
	if err != nil {
		return nil, ErrCorrupt
	}
	return plain, nil
}

// sealedUnder returns the ID of the key and what follows it.
func sealedUnder(sealed []byte) (id string, rest []byte, err error) {
	if len(sealed) < 2 {
		return "", nil, ErrCorrupt
	}
	if sealed[0] != formatVersion {
		if sealed[0] > formatVersion {
			return "", nil, ErrTooNew
		}
		return "", nil, ErrCorrupt
	}
	n := int(sealed[1])
	if len(sealed) < 2+n {
		return "", nil, ErrCorrupt
	}
	return string(sealed[2 : 2+n]), sealed[2+n:], nil
}

// lengthPrefixed joins parts so that no two lists give the same bytes.
func lengthPrefixed(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += 4 + len(p)
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}
