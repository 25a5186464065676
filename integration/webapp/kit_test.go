package webapp

// The application as a process, and a browser without scripts.

import (
	"bufio"
	"bytes"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// build makes the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "webapp")
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", exe, ".")
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..", "examples", "webapp")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the application: %v\n%s", err, out)
	}
	return exe
}

// A site is the program, running.
type site struct {
	t    *testing.T
	url  string
	said string // until it served
	cmd  *exec.Cmd
	logs *bytes.Buffer
}

// start starts the program and waits until it serves.
func start(t *testing.T, exe, addr, shop, db string) *site {
	t.Helper()
	s := &site{t: t, cmd: exec.Command(exe, "-addr", addr, "-shop", shop, "-db", db), logs: &bytes.Buffer{}}
	s.cmd.Stderr = s.logs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := launch(s.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.said += lines.Text() + "\n"
		if _, at, ok := strings.Cut(lines.Text(), "open: "); ok {
			s.url = at
		}
		if strings.Contains(lines.Text(), "Stop:") {
			return s
		}
	}
	_ = s.cmd.Wait()
	t.Fatalf("it did not start:\n%s%s", s.said, s.logs)
	return nil
}

// end ends the program in good order.
func (s *site) end() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the end: %v\n%s", err, s.logs)
	}
}

// A browser keeps cookies, which do not look at the port: it goes from one process
// to another as behind a load balancer.
type browser struct {
	t    *testing.T
	site *site
	http *http.Client
}

func newBrowser(t *testing.T, s *site) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, s, &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// A page is what a request led to.
type page struct {
	t    *testing.T
	code int
	path string
	body string
}

func (b *browser) do(method, path string, form url.Values) *page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.site.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.site.url)
	}
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.site.logs)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &page{b.t, res.StatusCode, res.Request.URL.RequestURI(), html.UnescapeString(string(body))}
}

func (b *browser) get(path string) *page { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) *page {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

// want ends the test unless the page has that status and that text.
func (p *page) want(code int, text string) *page {
	p.t.Helper()
	if p.code != code || !strings.Contains(p.body, text) {
		p.t.Fatalf("%s: %d, want %d and %q:\n%s", p.path, p.code, code, text, p.body)
	}
	return p
}

// fields are the values of the hidden fields of that name.
func (p *page) fields(name string) (values []string) {
	p.t.Helper()
	for _, m := range regexp.MustCompile(`name="`+name+`" value="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
		values = append(values, m[1])
	}
	if len(values) == 0 {
		p.t.Fatalf("no field %s on %s:\n%s", name, p.path, p.body)
	}
	return values
}
