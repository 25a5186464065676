package totp

// QR codes (ISO/IEC 18004). The matrix comes from a library; what is drawn of
// it, with a quiet zone and whole pixels, is ours.

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/seed-f4994bf1/mfa"
)

const (
	quiet     = 4    // modules of white on each side, as the standard demands
	maxPixels = 4096 // of a side

	// Up to so many bytes a URI gets error correction level M (15 %), beyond
	// it L (7 %): on a screen nothing is torn or dirty, and larger modules
	// are worth more to a camera. 213 bytes are what 57 modules hold at M.
	mediumUpTo = 213
)

// A matrix is a QR code with its quiet zone.
type matrix struct {
	size int // modules of a side
	dark []bool
}

func (x *matrix) at(col, row int) bool { return x.dark[row*x.size+col] }

func (k *Key) matrix() (*matrix, error) {
	uri := k.URI().Reveal()
	if uri == "" {
		return nil, ErrKey
	}
	level := qr.M
	if len(uri) > mediumUpTo {
		level = qr.L
	}
	code, err := qr.Encode(uri, level, qr.Unicode) // Unicode: the bytes as they are
	if err != nil {
		return nil, fmt.Errorf("%w: too long for a QR code", ErrKey)
	}
	n := code.Bounds().Dx()
	x := &matrix{size: n + 2*quiet}
	x.dark = make([]bool, x.size*x.size)
	for row := range n {
		for col := range n {
			red, _, _, _ := code.At(col, row).RGBA()
			x.dark[(row+quiet)*x.size+col+quiet] = red == 0
		}
	}
	return x, nil
}

// PNG returns the QR code of the URI, black on white, as a square image of
// exactly so many pixels a side. Each module has a whole number of pixels, the
// largest that fits with the quiet zone; what is left over is white. From 200
// to 300 pixels it has at most 1.2 kB for every URI up to 500 bytes.
//
// pixels is at most 4096. An error that wraps mfa.ErrArgument if it is more, or
// too few for one pixel a module: 200 do for every URI that there is.
func (k *Key) PNG(pixels int) ([]byte, error) {
	x, err := k.matrix()
	if err != nil {
		return nil, err
	}
	if pixels < x.size || pixels > maxPixels {
		return nil, fmt.Errorf("totp: a QR code of %d modules in %d pixels (%w)", x.size, pixels, mfa.ErrArgument)
	}
	return x.png(pixels)
}

// scale is how many pixels a side of a module has. Three do not divide a byte,
// so a large matrix of them compresses half as well as one of two.
func (x *matrix) scale(pixels int) int {
	s := pixels / x.size
	if s == 3 && x.size > 73 {
		return 2
	}
	return s
}

// png writes grey of one bit, the smallest that PNG has.
func (x *matrix) png(pixels int) ([]byte, error) {
	var idat bytes.Buffer
	z, err := zlib.NewWriterLevel(&idat, zlib.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("totp: png: %w", err)
	}
	const none, up = 0, 2 // filters: the row itself, the difference to the one above
	var (
		scale  = x.scale(pixels)
		margin = (pixels - scale*x.size) / 2 &^ 7 // whole bytes compress better than the exact middle
		line   = make([]byte, 1+(pixels+7)/8)
		same   = make([]byte, len(line))
	)
	same[0] = up
	for y := range pixels {
		row := y - margin
		b := same
		if y == 0 || row >= 0 && row%scale == 0 && row/scale <= x.size {
			b = line
			line[0] = none
			for i := range line[1:] {
				line[1+i] = 0xff
			}
			for px := margin; px < margin+scale*x.size; px++ {
				if row >= 0 && row/scale < x.size && x.at((px-margin)/scale, row/scale) {
					line[1+px/8] &^= 0x80 >> (px % 8)
				}
			}
		}
		if _, err := z.Write(b); err != nil {
			return nil, fmt.Errorf("totp: png: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("totp: png: %w", err)
	}

	var header []byte
	header = binary.BigEndian.AppendUint32(header, uint32(pixels))
	header = binary.BigEndian.AppendUint32(header, uint32(pixels))
	header = append(header, 1, 0, 0, 0, 0) // 1 bit, grey; the only compression, filters and order
	png := []byte("\x89PNG\r\n\x1a\n")
	png = appendChunk(png, "IHDR", header)
	png = appendChunk(png, "IDAT", idat.Bytes())
	return appendChunk(png, "IEND", nil), nil
}

func appendChunk(png []byte, name string, data []byte) []byte {
	png = binary.BigEndian.AppendUint32(png, uint32(len(data)))
	begin := len(png)
	png = append(png, name...)
	png = append(png, data...)
	return binary.BigEndian.AppendUint32(png, crc32.ChecksumIEEE(png[begin:]))
}

// SVG returns the QR code of the URI as a document without a size of its own. It
// brings its white background, so it is readable on dark pages too, and needs
// neither style nor script.
func (k *Key) SVG() ([]byte, error) {
	x, err := k.matrix()
	if err != nil {
		return nil, err
	}
	n := strconv.Itoa(x.size)
	b := []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + n + ` ` + n + `" shape-rendering="crispEdges">` +
		`<rect width="` + n + `" height="` + n + `" fill="#fff"/><path stroke="#000" d="`)
	// A line of width 1 through the middle of each run of modules.
	for row := range x.size {
		at := -1
		for col := 0; col < x.size; col++ {
			begin := col
			for col < x.size && x.at(col, row) {
				col++
			}
			switch {
			case col == begin:
				continue
			case at < 0:
				b = fmt.Appendf(b, "M%d %d.5h%d", begin, row, col-begin)
			default:
				b = fmt.Appendf(b, "m%d 0h%d", begin-at, col-begin)
			}
			at = col
		}
	}
	return append(b, `"/></svg>`...), nil
}

// Terminal returns the QR code of the URI as lines of text for a terminal that
// knows UTF-8 and 256 colours: two modules a character, black on white whatever
// the terminal's own colours are.
func (k *Key) Terminal() (string, error) {
	x, err := k.matrix()
	if err != nil {
		return "", err
	}
	const (
		blackOnWhite = "\x1b[38;5;16;48;5;231m"
		reset        = "\x1b[0m"
	)
	var b strings.Builder
	for row := 0; row < x.size; row += 2 {
		b.WriteString(blackOnWhite)
		for col := range x.size {
			upper, lower := x.at(col, row), row+1 < x.size && x.at(col, row+1)
			switch {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(reset + "\n")
	}
	return b.String(), nil
}
