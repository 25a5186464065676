package totp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pquerna/otp"

	"github.com/seed-f4994bf1/mfa"
)

// keyOfLength returns a key whose URI has exactly n bytes, 60 or more.
func keyOfLength(t testing.TB, n int) *Key {
	t.Helper()
	noise := sha256.Sum256(fmt.Append(nil, n))
	text := strings.Repeat(hex.EncodeToString(noise[:]), 5)
	k := &Key{spec: spec{SHA1, 6, 30}, account: "a", secret: noise[:minSecret]}
	if n > 300 {
		k.issuer = text[:100]
	}
	k.account = text[:n-len(k.URI().Reveal())+1]
	if got := len(k.URI().Reveal()); got != n {
		t.Fatalf("a URI of %d bytes, want %d", got, n)
	}
	return k
}

// zbar reads QR codes back, one line for each file.
func zbar(t *testing.T, files ...string) []string {
	t.Helper()
	program, err := exec.LookPath("zbarimg")
	if err != nil {
		if os.Getenv("MFA_CI") != "" {
			t.Fatal("zbarimg is missing")
		}
		t.Skip("zbarimg is missing: nothing reads the QR codes back (package zbar-tools)")
	}
	out, err := exec.Command(program, append([]string{"-q", "--nodbus", "--raw"}, files...)...).Output()
	if err != nil {
		t.Errorf("zbarimg: %v", err) // it read less than all: say below what
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// Every length of URI from 60 to 500 bytes reads back, from at most 1,200 bytes
// of PNG. The lengths take turns at 200, 250 and 300 pixels; under MFA_LONG each
// is read at all three.
func TestQRReadsBack(t *testing.T) {
	t.Parallel()
	const from, to, most = 60, 500, 1200
	sizes := []int{200, 250, 300}
	dir := t.TempDir()
	var files, want []string
	largest := 0
	for n := from; n <= to; n++ {
		k := keyOfLength(t, n)
		for i, pixels := range sizes {
			if n%len(sizes) != i && os.Getenv("MFA_LONG") == "" {
				continue
			}
			b, err := k.PNG(pixels)
			if err != nil {
				t.Fatalf("%d bytes, %d pixels: %v", n, pixels, err)
			}
			if largest = max(largest, len(b)); len(b) > most {
				t.Errorf("%d bytes of PNG for a URI of %d at %d pixels, over %d", len(b), n, pixels, most)
			}
			name := filepath.Join(dir, fmt.Sprintf("%d-%d.png", n, pixels))
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			files, want = append(files, name), append(want, k.URI().Reveal())
		}
	}
	t.Logf("%d images, the largest of %d bytes", len(files), largest)
	read := map[string]int{}
	for _, line := range zbar(t, files...) {
		read[line]++
	}
	for i, uri := range want {
		if read[uri]--; read[uri] < 0 {
			t.Errorf("%s does not read back", filepath.Base(files[i]))
		}
	}
}

// square is an image of modules, 4 pixels each, for what is no PNG.
func square(t *testing.T, size int, dark func(col, row int) bool) string {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 4*size, 4*size))
	for y := range 4 * size {
		for x := range 4 * size {
			if !dark(x/4, y/4) {
				img.SetGray(x, y, color.Gray{Y: 0xff})
			}
		}
	}
	name := filepath.Join(t.TempDir(), "drawn.png")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

func wantQuiet(t *testing.T, size int, dark func(col, row int) bool) {
	t.Helper()
	for i := range size {
		for d := range quiet {
			if dark(i, d) || dark(d, i) || dark(i, size-1-d) || dark(size-1-d, i) {
				t.Fatal("the quiet zone is not white")
			}
		}
	}
	if !dark(quiet, quiet) {
		t.Fatal("the quiet zone is wider than four modules")
	}
}

// The lines of Terminal, drawn as a terminal draws them, read back.
func TestTerminalReadsBack(t *testing.T) {
	t.Parallel()
	k, err := GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.Terminal()
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]rune
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(line, "\x1b[38;5;16;48;5;231m")
		line, ends := strings.CutSuffix(line, "\x1b[0m\n")
		if !ok || !ends {
			t.Fatalf("a line does not set its colours: %q", line)
		}
		rows = append(rows, []rune(line))
	}
	size := len(rows[0])
	if size > 80 {
		t.Errorf("%d columns: too wide for a terminal", size)
	}
	dark := func(col, row int) bool {
		switch rows[row/2][col] {
		case '█':
			return true
		case '▀':
			return row%2 == 0
		case '▄':
			return row%2 == 1
		}
		return false
	}
	wantQuiet(t, size, dark)
	if got := zbar(t, square(t, size, dark)); got[0] != k.URI().Reveal() {
		t.Error("the terminal's QR code does not read back")
	}
}

// The lines of SVG, drawn, read back; and there is nothing else in it.
func TestSVGReadsBack(t *testing.T) {
	t.Parallel()
	k, err := GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.SVG()
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
		ViewBox string   `xml:"viewBox,attr"`
		Shape   string   `xml:"shape-rendering,attr"`
		Rect    struct {
			Width string `xml:"width,attr"`
			Fill  string `xml:"fill,attr"`
		} `xml:"rect"`
		Path []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(b, &svg); err != nil {
		t.Fatal(err)
	}
	var size int
	if _, err := fmt.Sscanf(svg.ViewBox, "0 0 %d", &size); err != nil {
		t.Fatal(err)
	}
	if len(svg.Path) != 1 || svg.Shape != "crispEdges" || svg.Rect.Fill != "#fff" || svg.Rect.Width != fmt.Sprint(size) {
		t.Errorf("%d paths, shape %q, background %q", len(svg.Path), svg.Shape, svg.Rect.Fill)
	}
	if bytes.Contains(b, []byte("style")) || bytes.Contains(b, []byte("script")) || bytes.Contains(b, []byte("otpauth")) {
		t.Error("the SVG has more in it than shapes")
	}
	set := map[[2]int]bool{}
	for line := range strings.SplitSeq(svg.Path[0].D[1:], "M") {
		var x, y, run int
		for i, part := range strings.Split(line, "m") {
			var err error
			if i == 0 {
				_, err = fmt.Sscanf(part, "%d %d.5h%d", &x, &y, &run)
			} else {
				var gap int
				_, err = fmt.Sscanf(part, "%d 0h%d", &gap, &run)
				x += gap
			}
			if err != nil {
				t.Fatalf("%q: %v", part, err)
			}
			for range run {
				set[[2]int{x, y}] = true
				x++
			}
		}
	}
	dark := func(col, row int) bool { return set[[2]int{col, row}] }
	wantQuiet(t, size, dark)
	if got := zbar(t, square(t, size, dark)); got[0] != k.URI().Reveal() {
		t.Error("the SVG's QR code does not read back")
	}
}

// A PNG has exactly the size that was asked for, one bit a pixel, whole pixels
// a module and a white margin of four modules.
func TestPNG(t *testing.T) {
	t.Parallel()
	k := keyOfLength(t, 100)
	x, err := k.matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, pixels := range []int{x.size, x.size + 1, 2*x.size - 1, 2 * x.size, 200, 201, 255, 256, 300} {
		b, err := k.PNG(pixels)
		if err != nil {
			t.Fatalf("%d pixels: %v", pixels, err)
		}
		if b[24] != 1 || b[25] != 0 {
			t.Errorf("%d pixels: depth %d, colour type %d", pixels, b[24], b[25])
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%d pixels: %v", pixels, err)
		}
		if img.Bounds() != image.Rect(0, 0, pixels, pixels) {
			t.Errorf("%d pixels: %v", pixels, img.Bounds())
		}
		scale := pixels / x.size
		margin := (pixels - scale*x.size) / 2 &^ 7
		for py := range pixels {
			for px := range pixels {
				r, _, _, _ := img.At(px, py).RGBA()
				want := false
				if c, r := px-margin, py-margin; c >= 0 && r >= 0 && c/scale < x.size && r/scale < x.size {
					want = x.at(c/scale, r/scale)
				}
				if (r == 0) != want {
					t.Fatalf("%d pixels: wrong at %d, %d", pixels, px, py)
				}
			}
		}
	}
	for _, pixels := range []int{-1, 0, 1, x.size - 1, maxPixels + 1, 1 << 40} {
		if _, err := k.PNG(pixels); !errors.Is(err, mfa.ErrArgument) {
			t.Errorf("%d pixels: %v", pixels, err)
		}
	}
	wantQuiet(t, x.size, x.at)
}

// The longest key that there is fits into a QR code of 200 pixels.
func TestLongestKey(t *testing.T) {
	t.Parallel()
	k, err := newKey(strings.Repeat("é", 127)+"&", strings.Repeat("é", 127)+"&", make([]byte, maxSecret), spec{SHA512, 8, 120})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.PNG(200); err != nil {
		t.Errorf("a URI of %d bytes: %v", len(k.URI()), err)
	}
	if _, err := k.SVG(); err != nil {
		t.Error(err)
	}
	if _, err := k.Terminal(); err != nil {
		t.Error(err)
	}
	if back, err := ParseKey(k.URI().Reveal()); err != nil || back.URI() != k.URI() {
		t.Error(err)
	}
}

// BenchmarkQR: a PNG of 200 pixels, side by side with what a peer offers.
func BenchmarkQR(b *testing.B) {
	k, err := GenerateKey("Acme", "ada@example.com", nil)
	if err != nil {
		b.Fatal(err)
	}
	peer, err := otp.NewKeyFromURL(k.URI().Reveal())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out, err := k.PNG(200)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(out)), "bytes")
		}
	})
	b.Run("pquerna", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var out bytes.Buffer
			img, err := peer.Image(200, 200)
			if err != nil {
				b.Fatal(err)
			}
			if err := png.Encode(&out, img); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(out.Len()), "bytes")
		}
	})
}
