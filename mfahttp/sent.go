package mfahttp

// Codes that are sent: what became of the one that a page asks for. The page that
// is loaded again and the one that says "wrong" still tell where it went, and when
// another may be sent.

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// A sending goes from page to page as the field "sent" of addresses and forms.
// What comes back is believed for what a page says, and decides nothing.
type sending struct {
	state string
	next  time.Time // another may be sent then; of a failed one: at once
}

const (
	sentOut    = "sent"
	sentPaused = "paused" // not now: one is out
	sentLater  = "later"  // not now: none is out that this page would take
	sentFailed = "failed"

	// lasts is how long a sign-in or an enrolment is good. No pause between two
	// codes of one that is further off is worth a countdown.
	lasts = 10 * time.Minute
)

func (s sending) text() string {
	switch s.state {
	case sentOut:
		return strconv.FormatInt(s.next.Unix(), 10)
	case sentPaused, sentLater:
		return s.state + "-" + strconv.FormatInt(s.next.Unix(), 10)
	}
	return s.state
}

// parseSending reads what text wrote. What it does not understand, is long over,
// or reaches further than it could, is nothing.
func parseSending(s string, now time.Time) sending {
	if s == sentFailed {
		return sending{state: sentFailed}
	}
	state, far := sentOut, lasts
	for _, refused := range []string{sentPaused, sentLater} {
		if rest, ok := strings.CutPrefix(s, refused+"-"); ok {
			s, state, far = rest, refused, longest
			break
		}
	}
	unix, err := strconv.ParseInt(s, 10, 64)
	next := time.Unix(unix, 0)
	if err != nil || next.Before(now.Add(-lasts)) || next.After(now.Add(far)) {
		return sending{}
	}
	return sending{state, next}
}

// sent is what the page that the visit comes from knew.
func (v *visit) sent() sending { return parseSending(v.in.Sent, v.after(0)) }

// resend has a code sent. Refused, it asks whether one is out for this very page,
// which is then still good: the page's own word would be as good as a stranger's.
func (v *visit) resend(p *mfa.Pending, o mfa.Offer) (sending, error) {
	c, sent, err := v.challenge(p, o)
	if errors.Is(err, mfa.ErrTooMany) && !o.Keep {
		o.Keep = true
		if kept, again, failed := v.challenge(p, o); failed == nil {
			if kept.Earlier {
				return sending{sentPaused, v.after(classify(err).retry)}, nil
			}
			c, sent, err = kept, again, nil // the pause ended meanwhile
		}
	}
	return v.became(c, sent, err)
}

// became is what an attempt to send has come to. A refusal is no error here; that
// a code is out all the same is taken from what the page knew before.
func (v *visit) became(c *mfa.Challenge, sent bool, err error) (sending, error) {
	switch {
	case errors.Is(err, mfa.ErrTooMany):
		state := sentLater
		if before := v.sent().state; before == sentOut || before == sentPaused {
			state = sentPaused
		}
		return sending{state, v.after(classify(err).retry)}, nil
	case err != nil:
		return sending{}, err
	case !sent:
		return sending{state: sentFailed}, nil
	}
	now := v.after(0)
	if c.Earlier && c.Resend.After(now) {
		return sending{sentPaused, v.after(c.Resend.Sub(now))}, nil
	}
	pause := min(max(c.Resend.Sub(now), 0), lasts)
	return sending{sentOut, now.Add(pause + time.Second - 1).Truncate(time.Second)}, nil
}

// tell says on a page that takes a sent code what became of it, and why an answer
// was not accepted. to is where codes go.
func (v *visit) tell(pg *page, status *int, s sending, to string, err error) {
	now := v.after(0)
	pg.CanResend, pg.SentBefore, pg.Sending = true, s.state != "" && s.state != sentLater, s.text()
	if s.next.After(now) {
		pg.Resend = s.next
	}
	switch s.state {
	case sentOut:
		pg.Sent = to
	case sentPaused:
		pg.Paused = !pg.Resend.IsZero()
	case sentLater: // the same note, which must not promise that a code is still good
		t := *v.t
		t.SendPaused = t.SendLater
		v.t, pg.Paused = &t, !pg.Resend.IsZero()
	case sentFailed:
		pg.Alert = v.t.SendFailed
	}
	if pg.Paused && err == nil && v.r.Method == http.MethodPost {
		*status = http.StatusTooManyRequests
		v.w.Header().Set(headerRetryAfter, strconv.Itoa(seconds(pg.Resend.Sub(now))))
	}
	v.alert(pg, status, err, v.t.TooMany)
}

// addressed reports whether a method is one address that codes are sent to: it
// needs no name, and a new one takes the place of the old.
func addressed(t mfa.Traits) bool { return t.OutOfBand && t.Single }
