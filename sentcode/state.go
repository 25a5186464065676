package sentcode

// What an account keeps of an address, and of a code that is out.

import (
	"encoding/binary"
	"errors"
	"time"
)

// errState is a failure: an account that a newer version wrote, or that is
// damaged. Nothing is concluded from it.
var errState = errors.New("sentcode: a stored address or code of an unknown format")

const stateFormat = 1

// A card is what is kept of a factor: one byte of format, one that is 1 if the
// address was the profile's, and the address.
type card struct {
	profile bool // it was the one in the user's profile when it was confirmed
	address string
}

func (c card) encode() []byte {
	b := []byte{stateFormat, 0}
	if c.profile {
		b[1] = 1
	}
	return append(b, c.address...)
}

func decodeCard(b []byte) (card, error) {
	if len(b) < 3 || len(b) > 2+maxAddress || b[0] != stateFormat || b[1] > 1 {
		return card{}, errState
	}
	return card{profile: b[1] == 1, address: string(b[2:])}, nil
}

// A ticket is what is kept of a code besides its MAC: one byte of format, one of
// wrong tries, one of digits, eight of when it was sent in Unix milliseconds, and the
// address that it went to.
type ticket struct {
	sent          time.Time
	tries, digits int
	address       string
}

const ticketHead = 11 // bytes before the address

func (t ticket) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{stateFormat, byte(t.tries), byte(t.digits)}, uint64(t.sent.UnixMilli()))
	return append(b, t.address...)
}

func decodeTicket(b []byte) (ticket, error) {
	if len(b) <= ticketHead || len(b) > ticketHead+maxAddress || b[0] != stateFormat || b[1] >= maxTries || b[2] < minDigits || b[2] > maxDigits {
		return ticket{}, errState
	}
	return ticket{
		sent: time.UnixMilli(int64(binary.BigEndian.Uint64(b[3:]))), tries: int(b[1]), digits: int(b[2]), address: string(b[ticketHead:]),
	}, nil
}
