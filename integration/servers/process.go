package servers

// Processes: how they start, say something, and end.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A process is a program that is started, again and again, on the same data.
type process struct {
	path string
	args []string
	as   *account // nil: as who we are
	dir  string
	log  string // the file that takes what it says

	cmd  *exec.Cmd
	err  error         // of cmd, once gone is closed
	gone chan struct{} // nil before the first start
}

// launches is the one thread that starts processes: the kernel kills them when
// the thread that started them ends, so it must be one that stays.
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

func (p *process) start() error {
	if p.running() {
		return fmt.Errorf("%s runs already", filepath.Base(p.path))
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	// Nothing of ours may adjust it: no PGDATA, no MYSQL_HOME.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "TMPDIR=" + os.TempDir(), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = attributes(p.as)
	started := make(chan error)
	launches() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return err
	}
	gone := make(chan struct{})
	p.cmd, p.err, p.gone = cmd, nil, gone
	go func() {
		p.err = cmd.Wait()
		close(gone)
	}()
	return nil
}

// running: it was started and has not ended.
func (p *process) running() bool {
	if p.gone == nil {
		return false
	}
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// ended says how it ended.
func (p *process) ended() string {
	<-p.gone
	if p.err != nil {
		return p.err.Error()
	}
	return "in good order"
}

// run starts it and waits until it has ended well.
func (p *process) run() error {
	if err := p.start(); err != nil {
		return err
	}
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.kill()
	}
	if <-p.gone; p.err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(p.path), p.err, p.said())
	}
	return nil
}

// end ends it with a signal, and if that does not help in time by force, which is
// an error.
func (p *process) end(signal os.Signal, within time.Duration) error {
	if signal == os.Kill {
		p.kill()
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.gone:
		return nil
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("%s did not end within %v\n%s", filepath.Base(p.path), within, p.said())
	}
}

// said returns the last lines of its log.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return "" // it was never started
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines = lines[max(0, len(lines)-60):]
	return fmt.Sprintf("%s said:\n%s\n", filepath.Base(p.path), bytes.TrimSpace(bytes.Join(lines, nil)))
}

// find returns the path of a program, also where only root's PATH leads.
func find(debian string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		for _, folder := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"} {
			if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%w: %s (Debian: %s)", errMissing, strings.Join(names, " or "), debian)
}
