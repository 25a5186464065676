package mfatest

import "testing"

// SetT makes t the test that k and its people end.
func (k *Kit) SetT(t testing.TB) { k.t = t }
