package vault

import (
	"fmt"
	"log/slog"
)

// A Kind names a sort of factor, for example "totp". Each factor's package
// owns its own; it is stored, so it never changes. 1 to 32 bytes of lower-case
// letters, digits and hyphens.
type Kind string

const redacted = "[redacted]"

// A Secret prints as [redacted] in every format, in JSON and in logs. Reveal
// is the only way to its text.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string                { return redacted }
func (s Secret) GoString() string              { return redacted }
func (s Secret) Format(f fmt.State, _ rune)    { _, _ = f.Write([]byte(redacted)) }
func (s Secret) LogValue() slog.Value          { return slog.StringValue(redacted) }
func (s Secret) MarshalText() ([]byte, error)  { return []byte(redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error)  { return []byte(`"` + redacted + `"`), nil }
func (k Keys) String() string                  { return redacted }
func (k Keys) GoString() string                { return redacted }
func (k Keys) Format(f fmt.State, _ rune)      { _, _ = f.Write([]byte(redacted)) }
func (k Keys) LogValue() slog.Value            { return slog.StringValue(redacted) }
func (k Keys) MarshalText() ([]byte, error)    { return []byte(redacted), nil }
func (k Keys) MarshalJSON() ([]byte, error)    { return []byte(`"` + redacted + `"`), nil }
func (f Factor) Format(s fmt.State, _ rune)    { fmt.Fprintf(s, "factor %s %s", f.Kind, f.ID) }
func (f Factor) LogValue() slog.Value          { return slog.StringValue(fmt.Sprint(f)) }
func (f Factor) MarshalJSON() ([]byte, error)  { return []byte(`"` + redacted + `"`), nil }
func (c Challenge) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "challenge %s", c.Purpose) }
func (c Challenge) LogValue() slog.Value       { return slog.StringValue(fmt.Sprint(c)) }
func (c Challenge) MarshalJSON() ([]byte, error) {
	return []byte(`"` + redacted + `"`), nil
}
func (a *Account) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("account " + redacted)) }
func (s *Scope) Format(f fmt.State, _ rune)   { fmt.Fprintf(f, "scope of %s", s.kind) }
func (v *Vault) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("vault " + redacted)) }
