package servers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An account is a user of this machine under whom a server runs.
type account struct{ uid, gid uint32 }

// accountFor returns the account of a server that refuses to run as root. Anybody
// else runs it as themselves, which is nil.
func accountFor(name string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := osuser.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("%w: the user %s, whom its Debian package makes: %w", errMissing, name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &account{uint32(uid), uint32(gid)}, nil
}

// own gives a file to the account.
func (a *account) own(name string) error {
	if a == nil {
		return nil
	}
	return os.Chown(name, int(a.uid), int(a.gid))
}

// attributes: it ends with us, and an interrupt at the terminal is for us alone.
func attributes(as *account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if as != nil {
		a.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return a
}

// children returns those of the process, which is stopped then so that there are
// no more of them.
func (p *process) children() []int {
	pid := p.cmd.Process.Pid
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	var all []int
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range found {
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if fields := stat(child); len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			all = append(all, child)
		}
	}
	return all
}

// stat returns what /proc tells of a process after its name: state, parent, ...
func stat(pid int) [][]byte {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
}

// kill ends the process and its children by SIGKILL, and returns when they are
// gone: PostgreSQL does not start while one of its old children lives.
func (p *process) kill() {
	children := p.children()
	_ = p.cmd.Process.Kill()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.gone
	for _, pid := range children {
		for range 1000 {
			if fields := stat(pid); len(fields) == 0 || bytes.ContainsAny(fields[0], "ZX") {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// pause stops the process and its children as they are.
func (p *process) pause() error {
	for _, pid := range p.children() {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// resume lets what is stopped go on, children first.
func (p *process) resume() {
	for _, pid := range p.children() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
}

// alive: there is a process with this ID.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// mount puts an empty disk of a fixed size (in words of tmpfs) on a folder.
func mount(folder, size string) error {
	return os.NewSyscallError("mount", syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+size))
}

// unmount takes it away, also while it is in use. It is no error if there is none.
func unmount(folder string) { _ = syscall.Unmount(folder, syscall.MNT_DETACH) }

// forgetMemory removes the shared memory that a killed PostgreSQL leaves behind.
// Its number stands in the last-but-one line of postmaster.pid.
func forgetMemory(data string) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return // none, or it ended in good order
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	if fields := strings.Fields(lines[6]); len(fields) == 2 {
		if id, err := strconv.Atoi(fields[1]); err == nil {
			const remove = 0 // IPC_RMID
			_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), remove, 0)
		}
	}
}
