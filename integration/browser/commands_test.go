package browser

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The first command of the README, as it stands there but for the address and
// the file: it serves, says where, and stops when it is told to.
func TestCommand(t *testing.T) {
	t.Parallel()
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	const command = "go run ./examples/webapp"
	if !strings.Contains(string(readme), "\n"+command+"\n") {
		t.Fatalf("the README does not say %q", command)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	args := append(strings.Fields(command), "-addr", "localhost:0", "-db", filepath.Join(t.TempDir(), "shop.db"))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run and what it runs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	defer stop()

	address := regexp.MustCompile(`http://localhost:\d+`)
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "Stop:") {
			break
		}
	}
	text := strings.Join(said, "\n")
	at := address.FindString(text)
	if at == "" || !strings.Contains(text, "Sign up") {
		t.Fatalf("it says:\n%s", text)
	}
	res, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("%s answers %s", at, res.Status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // go run reports the signal, not the program's own end
}
