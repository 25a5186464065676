package history

// One clock for all processes of the machine.

import "golang.org/x/sys/unix"

// monotonic returns the nanoseconds since the machine was started. All processes
// read the same clock, which nobody sets.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}
