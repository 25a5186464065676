package totp

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// A state is what an account keeps of an app besides the secret. It is written
// as
//
//	1 byte   format, 1
//	1 byte   algorithm: 1 SHA-1, 2 SHA-256, 3 SHA-512
//	1 byte   digits
//	1 byte   period in seconds
//	uvarint  last accepted step, 0 for none
//	varint   learned drift in steps
//
// and held by golden tests: 9 or 10 bytes in this century.
type state struct {
	spec
	last  int64 // the highest step accepted; 0: none
	drift int   // how many steps the app's clock is ahead
}

const stateFormat = 1

// errState is a failure: an account that a newer version wrote, or that is
// damaged. Nothing is concluded from it.
var errState = errors.New("totp: a stored app of an unknown format")

func (st state) encode() []byte {
	b := make([]byte, 0, 12)
	b = append(b, stateFormat, byte(st.algorithm)+1, byte(st.digits), byte(st.period))
	b = binary.AppendUvarint(b, uint64(st.last))
	return binary.AppendVarint(b, int64(st.drift))
}

// decode accepts what encode writes and nothing else.
func decode(b []byte) (state, error) {
	if len(b) < 6 || b[0] != stateFormat {
		return state{}, errState
	}
	st := state{spec: spec{algorithm: Algorithm(int(b[1]) - 1), digits: int(b[2]), period: int64(b[3])}}
	last, n := binary.Uvarint(b[4:])
	if n <= 0 || last > 1<<62 {
		return state{}, errState
	}
	drift, m := binary.Varint(b[4+n:])
	if m <= 0 || drift < -maxDrift || drift > maxDrift || st.check() != nil {
		return state{}, errState
	}
	st.last, st.drift = int64(last), int(drift)
	if !bytes.Equal(st.encode(), b) {
		return state{}, errState
	}
	return st, nil
}
