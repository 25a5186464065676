package vault

// How an account is written: CBOR (RFC 8949, core deterministic encoding) with
// integer keys, times in Unix milliseconds. A field that this program does not
// know is an error, so that an older program never drops what a newer one
// wrote. The formats are held by golden files in testdata.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

type wire struct {
	MACKey     []byte          `cbor:"1,keyasint"`
	Epoch      []byte          `cbor:"2,keyasint,omitempty"`
	Factors    []wireFactor    `cbor:"3,keyasint,omitempty"`
	Drafts     []wireDraft     `cbor:"4,keyasint,omitempty"`
	Challenges []wireChallenge `cbor:"5,keyasint,omitempty"`
	Tries      *wireTries      `cbor:"6,keyasint,omitempty"`
	Confirms   *wireTries      `cbor:"7,keyasint,omitempty"`
	Fails      []wireFails     `cbor:"8,keyasint,omitempty"`
	Buckets    []wireBucket    `cbor:"9,keyasint,omitempty"`
	Spent      []wireSpent     `cbor:"10,keyasint,omitempty"`
	NotBefore  int64           `cbor:"11,keyasint,omitempty"`
	EpochAt    int64           `cbor:"12,keyasint,omitempty"`
}

type wireFactor struct {
	ID       string `cbor:"1,keyasint"`
	Kind     string `cbor:"2,keyasint"`
	Name     string `cbor:"3,keyasint,omitempty"`
	Added    int64  `cbor:"4,keyasint"`
	LastUsed int64  `cbor:"5,keyasint,omitempty"`
	Key      []byte `cbor:"6,keyasint,omitempty"`
	Data     []byte `cbor:"7,keyasint,omitempty"`
	Secret   []byte `cbor:"8,keyasint,omitempty"`
	Disabled bool   `cbor:"9,keyasint,omitempty"`
}

type wireDraft struct {
	Factor  wireFactor `cbor:"1,keyasint"`
	Flow    string     `cbor:"2,keyasint"`
	Expires int64      `cbor:"3,keyasint"`
}

type wireChallenge struct {
	Kind     string `cbor:"1,keyasint"`
	FactorID string `cbor:"2,keyasint,omitempty"`
	Flow     string `cbor:"3,keyasint,omitempty"`
	Purpose  string `cbor:"4,keyasint,omitempty"`
	Expires  int64  `cbor:"5,keyasint"`
	Data     []byte `cbor:"6,keyasint,omitempty"`
	Secret   []byte `cbor:"7,keyasint,omitempty"`
}

type wireTries struct {
	Run  int     `cbor:"1,keyasint,omitempty"`
	Last int64   `cbor:"2,keyasint,omitempty"`
	Day  []int64 `cbor:"3,keyasint,omitempty"`
}

type wireFails struct {
	Kind string `cbor:"1,keyasint"`
	N    int    `cbor:"2,keyasint"`
}

type wireBucket struct {
	Name string  `cbor:"1,keyasint"`
	Used []int64 `cbor:"2,keyasint"`
}

type wireSpent struct {
	ID      []byte `cbor:"1,keyasint"`
	Until   int64  `cbor:"2,keyasint"`
	Expires int64  `cbor:"3,keyasint"`
}

// codec holds the two modes, which are costly to make.
type codec struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	enc, err := cbor.CoreDetEncOptions().UserBufferEncMode()
	if err != nil {
		return codec{}, fmt.Errorf("vault: %w", err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8DecodeInvalid, // a name may hold any bytes
		MaxNestedLevels:   8,
	}.DecMode()
	if err != nil {
		return codec{}, fmt.Errorf("vault: %w", err)
	}
	return codec{enc, dec}, nil
}

// encode returns what is sealed of a: room for the versions, then the account.
func (c codec) encode(a *Account) ([]byte, error) {
	w := wire{
		MACKey: a.macKey, Epoch: a.epoch, EpochAt: a.epochAt, NotBefore: a.notBefore,
		Tries: a.tries[0].wire(), Confirms: a.tries[1].wire(),
	}
	if len(a.factors) > 0 {
		w.Factors = make([]wireFactor, len(a.factors))
	}
	for i, f := range a.factors {
		w.Factors[i] = f.wire()
	}
	for _, d := range a.drafts {
		w.Drafts = append(w.Drafts, wireDraft{d.wire(), d.flow, d.expires.UnixMilli()})
	}
	for _, c := range a.challenges {
		w.Challenges = append(w.Challenges, wireChallenge{
			string(c.kind), c.FactorID, c.Flow, c.Purpose, c.Expires.UnixMilli(), c.Data, c.hidden,
		})
	}
	for _, f := range a.fails {
		w.Fails = append(w.Fails, wireFails{string(f.kind), f.n})
	}
	for _, b := range a.buckets {
		w.Buckets = append(w.Buckets, wireBucket{b.name, b.used})
	}
	for _, s := range a.spent {
		w.Spent = append(w.Spent, wireSpent{[]byte(s.id), s.until, s.expires})
	}
	var b bytes.Buffer
	b.Grow(a.size + 256)
	b.Write(make([]byte, versionsSize))
	if err := c.enc.MarshalToBuffer(w, &b); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return b.Bytes(), nil
}

func (c codec) decode(b []byte, a *Account) error {
	var w wire
	if err := c.dec.Unmarshal(b, &w); err != nil {
		var unknown *cbor.UnknownFieldError
		if errors.As(err, &unknown) {
			return ErrTooNew
		}
		return ErrCorrupt
	}
	a.exists, a.made = true, true
	a.macKey, a.epoch, a.epochAt, a.notBefore = w.MACKey, w.Epoch, w.EpochAt, w.NotBefore
	a.tries[0].read(w.Tries)
	a.tries[1].read(w.Confirms)
	factors := make([]Factor, len(w.Factors))
	for i := range w.Factors {
		factors[i] = w.Factors[i].factor()
		a.factors = append(a.factors, &factors[i])
	}
	for i := range w.Drafts {
		d := &w.Drafts[i]
		f := d.Factor.factor()
		a.drafts = append(a.drafts, &draft{&f, d.Flow, time.UnixMilli(d.Expires)})
	}
	for _, c := range w.Challenges {
		a.challenges = append(a.challenges, &challenge{
			Challenge: Challenge{
				FactorID: c.FactorID, Flow: c.Flow, Purpose: c.Purpose,
				Expires: time.UnixMilli(c.Expires), Data: c.Data, hidden: c.Secret,
			},
			kind: Kind(c.Kind),
		})
	}
	for _, f := range w.Fails {
		a.fails = append(a.fails, fails{Kind(f.Kind), f.N})
	}
	for _, b := range w.Buckets {
		a.buckets = append(a.buckets, bucket{b.Name, b.Used})
	}
	for _, s := range w.Spent {
		a.spent = append(a.spent, spent{string(s.ID), s.Until, s.Expires})
	}
	return nil
}

func (f *Factor) wire() wireFactor {
	w := wireFactor{
		ID: f.ID, Kind: string(f.Kind), Name: f.Name, Added: f.Added.UnixMilli(),
		Key: []byte(f.Key), Data: f.Data, Secret: f.hidden, Disabled: f.Disabled,
	}
	if !f.LastUsed.IsZero() {
		w.LastUsed = f.LastUsed.UnixMilli()
	}
	return w
}

func (w *wireFactor) factor() Factor {
	f := Factor{
		ID: w.ID, Kind: Kind(w.Kind), Name: w.Name, Added: time.UnixMilli(w.Added),
		Key: string(w.Key), Data: w.Data, hidden: w.Secret, Disabled: w.Disabled,
	}
	if w.LastUsed != 0 {
		f.LastUsed = time.UnixMilli(w.LastUsed)
	}
	return f
}

func (t *tries) wire() *wireTries {
	if t.run == 0 && t.last == 0 && len(t.day) == 0 {
		return nil
	}
	return &wireTries{t.run, t.last, t.day}
}

func (t *tries) read(w *wireTries) {
	if w != nil {
		*t = tries{w.Run, w.Last, w.Day}
	}
}

// What is sealed of a record: the versions of the latest saves, newest first,
// then the account. The versions stand apart, so that two accounts compare by
// their bytes.
const (
	remembered   = 4
	versionsSize = 8 * remembered
)

type versions [remembered]int64

func (v versions) then(next int64) versions {
	return versions{next, v[0], v[1], v[2]}
}

// put writes v where it stands in plain.
func (v versions) put(plain []byte) {
	for i, n := range v {
		binary.BigEndian.PutUint64(plain[8*i:], uint64(n))
	}
}

func versionsOf(plain []byte) (v versions, err error) {
	if len(plain) < versionsSize {
		return v, ErrCorrupt
	}
	for i := range v {
		v[i] = int64(binary.BigEndian.Uint64(plain[8*i:]))
	}
	return v, nil
}
