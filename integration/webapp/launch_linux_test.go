package webapp

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// launches is the one thread that starts programs: the kernel ends them when the
// thread that started them ends, so it must be one that stays.
var launches = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// launch starts a program that ends with this process, however it ends.
func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	launches() <- func() { started <- cmd.Start() }
	return <-started
}
