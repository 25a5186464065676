//go:build amd64 || arm64

// What the system is asked for: to forget files, and who computed how long.
package perf

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// forget lets the system drop what it keeps of a file in memory.
func forget(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not written cannot be dropped
		return err
	}
	const dontNeed = 4
	if _, _, failed := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); failed != 0 {
		return failed
	}
	return nil
}

// pause waits, more exactly than time.Sleep.
func pause(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	for d > 0 && syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}

// computed returns how long this process has computed.
func computed() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// computedByAll returns how long the processors of this machine have worked.
func computedByAll() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var user, nice, system, idle, wait, irq, soft int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft); err != nil {
		return 0
	}
	return time.Duration(user+nice+system+irq+soft) * 10 * time.Millisecond
}
