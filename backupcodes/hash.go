package backupcodes

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// What Argon2id (RFC 9106) takes: the least that the OWASP password storage cheat
// sheet recommends for passwords, which have far fewer bits than a code.
const (
	passes = 2
	memory = 19 << 10 // KiB
	lanes  = 1

	saltSize = 16
	tagSize  = 16

	// patience is how long an attempt waits for its turn to hash.
	patience = time.Second
)

func argon(code, salt []byte) []byte {
	return argon2.IDKey(code, salt, passes, memory, lanes, tagSize)
}

// tags returns what is kept of codes of the same length, given one behind the
// other. Hashes are computed once while a change is tried, however often: they
// are found again by the salt, which says of which set they are, and the codes.
// They take one turn together, so that a new set of codes never gives up half
// done. A MAC is made anew, because it depends on the account.
func (m *Method) tags(ctx context.Context, s *vault.Scope, c card, codes, salt []byte) ([]byte, error) {
	if c.scheme == schemeMAC {
		var tags []byte
		for code := range slices.Chunk(codes, c.chars) {
			tags = append(tags, s.MAC("code", string(salt), string(code))[:tagSize]...)
		}
		return tags, nil
	}
	key := sha256.Sum256(slices.Concat(salt, codes))
	return s.Once("hash "+string(key[:]), func() ([]byte, error) {
		leave, err := m.enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
		var tags []byte
		for code := range slices.Chunk(codes, c.chars) {
			tags = append(tags, m.hash(code, salt)...)
		}
		return tags, nil
	})
}

// enter waits for a turn to hash, for as long as patience says.
func (m *Method) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-m.slots }
	select {
	case m.slots <- struct{}{}: // free: no timer needed
		return leave, nil
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case m.slots <- struct{}{}:
		return leave, nil
	case <-t.C:
		return nil, fmt.Errorf("backupcodes: too many at once: %w", mfa.ErrBusy)
	case <-ctx.Done():
		return nil, fmt.Errorf("backupcodes: %w: %w", mfa.ErrBusy, ctx.Err())
	}
}
