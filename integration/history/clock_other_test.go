//go:build !linux

package history

// One clock for all processes of the machine.

import "time"

// monotonic returns the wall clock, in nanoseconds. All processes read the same
// one. Should it be set back while a load runs, a history may be rejected that
// is none of the store's fault.
func monotonic() int64 { return time.Now().UnixNano() }
