package mail

import (
	"bytes"
	"errors"
	"fmt"
	html "html/template"
	"io"
	"maps"
	"slices"
	"strings"
	text "text/template"
	"unicode"
	"unicode/utf8"
)

// A Letter is the wording of one kind of mail in one language, as templates:
// Subject and Text of text/template, HTML of html/template, which escapes what
// is filled in. HTML "" sends none.
type Letter struct {
	Subject, Text, HTML string
}

// Letters are the wordings of one kind of mail by BCP 47 tag. They never change
// and may be used by many goroutines.
type Letters struct {
	tags map[string]letter
}

type letter struct {
	subject, text *text.Template
	html          *html.Template
}

// fallback is the language of who has none, or one that there is no Letter of.
const fallback = "en"

const (
	maxTag     = 64   // bytes; no tag is as long (RFC 5646 section 4.4.1)
	maxLegible = 64   // characters
	maxName    = 4096 // bytes of a name that are looked at
)

// NewLetters returns them, or what is wrong with one. There has to be one for
// "en". sample is what Render will fill in: each Letter is tried with it, and has
// to give a message that Check accepts. What a template does only for other data
// is not tried.
func NewLetters(byTag map[string]Letter, sample any) (*Letters, error) {
	ls := &Letters{tags: map[string]letter{}}
	var errs []error
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		l, err := parse(byTag[tag])
		if err == nil {
			err = l.try(sample)
		}
		key := strings.ToLower(tag)
		if _, ok := ls.tags[key]; err == nil && (ok || key == "" || len(key) > maxTag) {
			err = errors.New("no language tag, or a second one for the language")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("mail: letter %q: %w", tag, err))
		}
		ls.tags[key] = l
	}
	if _, ok := ls.tags[fallback]; !ok {
		errs = append(errs, fmt.Errorf("mail: no letter for %q", fallback))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ls, nil
}

func parse(l Letter) (out letter, err error) {
	if out.subject, err = text.New("subject").Option("missingkey=error").Parse(l.Subject); err != nil {
		return out, err
	}
	if out.text, err = text.New("text").Option("missingkey=error").Parse(l.Text); err != nil {
		return out, err
	}
	if l.HTML != "" {
		out.html, err = html.New("html").Option("missingkey=error").Parse(l.HTML)
	}
	return out, err
}

// Render returns a message without recipient in the language of a BCP 47 tag, or
// in the nearest that there is: "de-AT", then "de", then English.
func (ls *Letters) Render(tag string, data any) (Message, error) {
	if len(tag) > maxTag {
		tag = ""
	}
	for tag = strings.ToLower(tag); tag != ""; {
		if l, ok := ls.tags[tag]; ok {
			return l.render(data)
		}
		i := max(strings.LastIndexByte(tag, '-'), 0)
		tag = tag[:i]
	}
	return ls.tags[fallback].render(data)
}

func (l letter) try(sample any) error {
	m, err := l.render(sample)
	if err != nil {
		return err
	}
	m.To = "anna@mail.example"
	return m.Check()
}

func (l letter) render(data any) (m Message, err error) {
	if m.Subject, err = fill(l.subject, data); err != nil {
		return Message{}, err
	}
	if m.Text, err = fill(l.text, data); err != nil {
		return Message{}, err
	}
	if l.html != nil {
		if m.HTML, err = fill(l.html, data); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

func fill(t interface {
	Execute(w io.Writer, data any) error
}, data any) (string, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("%w: template", ErrMessage) // without its text, which may quote what was filled in
	}
	return strings.TrimSpace(b.String()), nil
}

// Legible returns a name as a mail may show it, whoever chose it: on one line,
// without control and direction characters, of at most 64 characters, and "" if
// nothing is left. A name must not be able to keep the notice from being sent in
// which it stands.
func Legible(name string) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range name[:min(len(name), maxName)] {
		if unicode.IsSpace(r) {
			space = n > 0
			continue
		}
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			continue
		}
		if space {
			b.WriteByte(' ')
			n, space = n+1, false
		}
		if n >= maxLegible {
			break
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSuffix(b.String(), " ")
}
