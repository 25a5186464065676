package vault_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/seed-f4994bf1/mfa/store/memstore"
	"github.com/seed-f4994bf1/mfa/vault"
)

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// A process whose random source fails stops before anything is saved or
// answered.
func TestDeadRandomSource(t *testing.T) {
	t.Parallel()
	if os.Getenv("MFA_DEAD_RANDOM") != "" {
		st := memstore.New()
		v, err := vault.Open(st, vault.Keys("k:"+"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), nil)
		must(t, err)
		rand.Reader = brokenReader{}
		fmt.Println("before")
		_, err = vault.Update(t.Context(), v, "u", func(a *vault.Account) (string, error) {
			_, err := a.Scope(kind, "", "").Add(vault.Factor{})
			return "answered", err
		})
		fmt.Println("answered", err)
		return
	}
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestDeadRandomSource$", "-test.v")
	cmd.Env = append(os.Environ(), "MFA_DEAD_RANDOM=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !bytes.Contains(out.Bytes(), []byte("before")) || bytes.Contains(out.Bytes(), []byte("answered")) {
		t.Errorf("%v, after printing %s", err, out.String())
	}
}
