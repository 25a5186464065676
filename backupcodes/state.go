package backupcodes

import (
	"errors"
)

// errState is a failure: a set that a newer version wrote, or that is damaged.
// Nothing is concluded from it.
var errState = errors.New("backupcodes: a stored set of an unknown format")

const stateFormat = 1

// A scheme says how a code became its tag. It stands for all parameters.
type scheme byte

const (
	schemeArgon scheme = 1 // Argon2id, 19 MiB, two passes, one lane, 16 bytes
	schemeMAC   scheme = 2 // Scope.MAC("code", salt, code), the first 16 bytes
)

// A card is what every Scope of the kind may read of a set: which codes are
// used. It is written as
//
//	1 byte   format, 1
//	1 byte   scheme
//	1 byte   characters of a code
//	1 byte   codes of the set
//	bits     for each code, 1 if it is used, the lowest bit first
//
// and held by golden tests: 6 bytes for ten codes.
type card struct {
	scheme scheme
	chars  int
	used   []bool
}

func (c card) encode() []byte {
	b := []byte{stateFormat, byte(c.scheme), byte(c.chars), byte(len(c.used))}
	b = append(b, make([]byte, (len(c.used)+7)/8)...)
	for i, used := range c.used {
		if used {
			b[4+i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// decodeCard accepts what encode writes and nothing else.
func decodeCard(b []byte) (card, error) {
	if len(b) < 5 || b[0] != stateFormat {
		return card{}, errState
	}
	c := card{scheme: scheme(b[1]), chars: int(b[2])}
	count := int(b[3])
	if c.scheme != schemeArgon && c.scheme != schemeMAC || c.chars < minChars || c.chars > maxChars ||
		count < 1 || count > maxCount || len(b) != 4+(count+7)/8 {
		return card{}, errState
	}
	for i := range 8 * (len(b) - 4) {
		used := b[4+i/8]>>(i%8)&1 == 1
		if i < count {
			c.used = append(c.used, used)
		} else if used {
			return card{}, errState
		}
	}
	return c, nil
}

func (c card) left() int {
	n := 0
	for _, used := range c.used {
		if !used {
			n++
		}
	}
	return n
}

// A set is what codes are compared with: format, salt, and a tag of 16 bytes
// for each code. It is written once and never changes.
type set struct {
	salt, tags []byte
}

func (x set) encode() []byte {
	b := make([]byte, 0, 1+len(x.salt)+len(x.tags))
	b = append(b, stateFormat)
	b = append(b, x.salt...)
	return append(b, x.tags...)
}

func decodeSet(b []byte, count int) (set, error) {
	if len(b) != 1+saltSize+count*tagSize || b[0] != stateFormat {
		return set{}, errState
	}
	return set{salt: b[1 : 1+saltSize], tags: b[1+saltSize:]}, nil
}
