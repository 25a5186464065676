package vault

import (
	"reflect"

	"github.com/seed-f4994bf1/mfa/store"
)

// Bare is what is in a stored record, as an attacker sees it who has every sealing
// key: each text and number of it, and apart the account's own key.
type Bare struct {
	Fields [][]byte // without MACKey
	MACKey []byte
	Keys   [][]byte // the ring's, and the one that the record is sealed under
}

// Strip opens a record.
func (v *Vault) Strip(userID string, rec store.Record) (b Bare, err error) {
	plain, err := v.ring.open(purposeRecord, userID, rec.Data)
	if err != nil {
		return b, err
	}
	var w wire
	if err := v.codec.dec.Unmarshal(plain[versionsSize:], &w); err != nil {
		return b, err
	}
	b.MACKey, w.MACKey = w.MACKey, nil
	collect(reflect.ValueOf(w), &b.Fields)
	for _, k := range v.ring.keys {
		b.Keys = append(b.Keys, k.prk, []byte(k.id))
	}
	return b, nil
}

// collect adds every text below x, and in structs and slices whatever is in them.
func collect(x reflect.Value, to *[][]byte) {
	switch x.Kind() {
	case reflect.Pointer:
		if !x.IsNil() {
			collect(x.Elem(), to)
		}
	case reflect.Struct:
		for i := range x.NumField() {
			collect(x.Field(i), to)
		}
	case reflect.String:
		*to = append(*to, []byte(x.String()))
	case reflect.Slice:
		if x.Type().Elem().Kind() == reflect.Uint8 {
			*to = append(*to, x.Bytes())
			return
		}
		for i := range x.Len() {
			collect(x.Index(i), to)
		}
	}
}
