package mail_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa/mail/smtp"
)

// An exim is Debian's mail server in a folder of its own.
type exim struct {
	dir, startTLS, implicit string // folder and addresses
	roots                   *x509.CertPool
}

// config keeps everything in DIR and everybody else out: it listens on loopback,
// looks nothing up in the DNS, and its one route ends in a folder. What cannot be
// delivered stays in the spool.
const config = `
primary_hostname = house.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT1 : PORT2
tls_on_connect_ports = PORT2
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
spool_directory = DIR/spool
log_file_path = DIR/log/%slog
pid_file_path = DIR/pid
notifier_socket =
host_lookup =
rfc1413_hosts =
keep_environment =
deliver_drop_privilege
acl_smtp_rcpt = rcpt

begin acl
rcpt:
  deny
    message = sign in first, $local_part@$domain
    !authenticated = *
  accept
    domains = example.org
    local_parts = anna
  deny
    message = $local_part@$domain is unknown here

begin routers
local:
  driver = accept
  domains = example.org
  transport = inbox

begin transports
inbox:
  driver = appendfile
  directory = DIR/inbox
  maildir_format
  user = USER

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${if def:tls_in_cipher}
  server_condition = ${if and{{eq{$auth2}{no-reply}}{eq{$auth3}{correct horse}}}}
  server_set_id = $auth2
`

// newExim starts one, or skips the test: in CI it fails.
func newExim(t *testing.T) *exim {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("MFA_CI") != "" {
		missing = t.Fatalf
	}
	path, err := exec.LookPath("exim4")
	if err != nil {
		missing("exim4 is missing (Debian: exim4-daemon-light): nothing to test with")
	}
	account, err := osuser.Lookup("Debian-exim")
	if err != nil || os.Geteuid() != 0 {
		missing("exim4 has to be started by root, and runs as Debian-exim: %v", err)
	}
	e := &exim{dir: t.TempDir(), startTLS: freePort(t), implicit: freePort(t), roots: x509.NewCertPool()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(filepath.Dir(e.dir), 0o711)) // Exim gives up being root
	uid, err := strconv.Atoi(account.Uid)
	must(err)
	gid, err := strconv.Atoi(account.Gid)
	must(err)
	cert := newCertificate(t)
	e.roots.AddCert(cert.Leaf)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(err)
	for name, text := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		file := filepath.Join(e.dir, name)
		must(os.WriteFile(file, text, 0o600))
		must(os.Chown(file, uid, gid))
	}
	for _, name := range []string{"spool", "log", "inbox"} {
		must(os.Mkdir(filepath.Join(e.dir, name), 0o700))
		must(os.Chown(filepath.Join(e.dir, name), uid, gid))
	}
	_, port1, _ := net.SplitHostPort(e.startTLS)
	_, port2, _ := net.SplitHostPort(e.implicit)
	file := filepath.Join(e.dir, "exim.conf")
	text := strings.NewReplacer("DIR", e.dir, "PORT1", port1, "PORT2", port2, "USER", account.Username).Replace(config)
	must(os.WriteFile(file, []byte(text), 0o600))

	var out bytes.Buffer
	cmd := exec.Command(path, "-C", file, "-bdf")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	must(cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("exim said: %s\n%s", out.String(), e.log())
		}
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", e.implicit)
		if err == nil {
			conn.Close()
			return e
		}
		if time.Now().After(end) {
			t.Fatalf("exim does not answer: %v", err)
		}
	}
}

// freePort returns an address on loopback at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (e *exim) log() string {
	text, err := os.ReadFile(filepath.Join(e.dir, "log", "mainlog"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (e *exim) sender(t *testing.T, change func(*smtp.Options)) *smtp.Sender {
	t.Helper()
	o := &smtp.Options{Name: "Müller & Söhne", Username: "no-reply", Password: password, Roots: e.roots}
	if change != nil {
		change(o)
	}
	addr := e.startTLS
	if o.TLS == smtp.Implicit {
		addr = e.implicit
	}
	s, err := smtp.New(addr, from, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inbox returns the files in it, once there are as many.
func (e *exim) inbox(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(e.dir, "inbox", "new", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) >= n {
			return files
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages in the inbox", len(files), n)
		}
	}
}

func TestExim(t *testing.T) {
	t.Parallel()
	e := newExim(t)
	want := letter("anna@example.org")
	var seen []string
	for _, protection := range []smtp.TLS{smtp.StartTLS, smtp.Implicit} {
		s := e.sender(t, func(o *smtp.Options) { o.TLS = protection })
		if err := s.Send(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		files := e.inbox(t, len(seen)+1)
		for _, file := range files {
			if slices.Contains(seen, file) {
				continue
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkArrived(t, string(raw), want, "Received")
		}
		seen = files
	}

	for name, tt := range map[string]struct {
		to   string
		opts func(*smtp.Options)
		want error
	}{
		"wrong password":           {"anna@example.org", func(o *smtp.Options) { o.Password = "wrong" }, smtp.ErrAuth},
		"wrong password, implicit": {"anna@example.org", func(o *smtp.Options) { o.TLS, o.Password = smtp.Implicit, "wrong" }, smtp.ErrAuth},
		"unknown recipient":        {"bob@example.org", nil, smtp.ErrPermanent},
		"another domain":           {"anna@elsewhere.example", nil, smtp.ErrPermanent},
		"not signed in":            {"anna@example.org", func(o *smtp.Options) { o.Username, o.Password = "", "" }, smtp.ErrPermanent},
		"untrusted":                {"anna@example.org", func(o *smtp.Options) { o.Roots = nil }, smtp.ErrTLS},
		"another name":             {"anna@example.org", func(o *smtp.Options) { o.ServerName = "house.example" }, smtp.ErrTLS},
		"plaintext, signing in":    {"anna@example.org", func(o *smtp.Options) { o.TLS = smtp.Plaintext }, smtp.ErrAuth}, // Exim offers it within TLS alone
	} {
		t.Run(name, func(t *testing.T) {
			err := e.sender(t, tt.opts).Send(t.Context(), letter(tt.to))
			if !isKind(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if text := fmt.Sprint(err); strings.Contains(text, "@") || strings.Contains(text, "001234") {
				t.Errorf("the error repeats: %v", err)
			}
		})
	}
	if files := e.inbox(t, 2); len(files) != 2 {
		t.Errorf("%d messages in the inbox, want 2", len(files))
	}
}
