package mfahttp_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/vault"
)

// post is a factor whose code is sent: always the same one, at most once a
// minute, and kept if the one that is out will do. broken: nothing arrives.
type post struct{ broken *bool }

const (
	posted = "246810"
	hint   = "a…@example.com"
)

func (post) Kind() mfa.Kind           { return "post" }
func (post) Traits() mfa.Traits       { return mfa.Traits{Typed: true, OutOfBand: true} }
func (post) Check() error             { return nil }
func (post) Hint(vault.Factor) string { return hint }

func (p post) send(s *vault.Scope, factorID string) (*mfa.Challenge, error) {
	if wait, ok := s.Allow("post", vault.Limit{N: 1, Per: time.Minute}); !ok {
		return nil, &mfa.LimitError{RetryAfter: wait}
	}
	if *p.broken {
		s.AfterSave(func(context.Context) error { return errors.New("no connection to mail.example") })
	}
	c := vault.Challenge{FactorID: factorID, Secret: []byte(posted), Expires: s.Now().Add(10 * time.Minute)}
	return &mfa.Challenge{Kind: "post", Hint: hint, Resend: s.Now().Add(time.Minute)}, s.Issue(c)
}

func (p post) Enroll(_ context.Context, s *vault.Scope, r mfa.EnrollRequest) (*mfa.Enrollment, error) {
	if !strings.Contains(r.Address, "@") {
		return nil, mfa.ErrArgument
	}
	f, err := s.Draft(vault.Factor{Name: r.Name, Secret: []byte{1}}, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	c, err := p.send(s, f.ID)
	if err != nil {
		return nil, err
	}
	return &mfa.Enrollment{ID: f.ID, Kind: "post", Challenge: c}, nil
}

func (post) Confirm(_ context.Context, s *vault.Scope, r mfa.ConfirmRequest) (*vault.Factor, error) {
	if r.Answer.Code != posted {
		return nil, mfa.ErrInvalid
	}
	return s.Activate(r.EnrollmentID)
}

func (p post) Challenge(_ context.Context, s *vault.Scope, r mfa.ChallengeRequest) (*mfa.Challenge, error) {
	for _, c := range s.Challenges() {
		if r.Keep && c.Flow == r.Flow && c.Purpose == string(r.Purpose) {
			return &mfa.Challenge{Kind: "post", Hint: hint, Resend: c.Expires.Add(-9 * time.Minute), Earlier: true}, nil
		}
	}
	return p.send(s, s.Factors()[0].ID)
}

func (post) Verify(_ context.Context, s *vault.Scope, r mfa.VerifyRequest) (*mfa.Verification, error) {
	if r.Answer.Code != posted {
		return nil, mfa.ErrInvalid
	}
	return &mfa.Verification{FactorID: s.Factors()[0].ID}, nil
}

// S14, R-292: a code goes out with the sign-in, again after a pause, never by a
// GET; a password given anew goes on with the same sign-in.
func TestSentCode(t *testing.T) {
	t.Parallel()
	broken := false
	s := newSite(t, nil, post{&broken}, backup{})
	b := s.browser()
	b.login("ann")
	first := b.get("/mfa/enroll?kind=post").want(200, "Address")
	b.post("/mfa/enroll", set(first.form("/mfa/enroll"), "address", "nowhere")).want(422, "This address cannot be used")
	scan := b.post("/mfa/enroll", set(first.form("/mfa/enroll"), "address", "ann@example.com")).want(200, "We sent a code to ann@example.com")
	scan = b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", pinWrong)).want(422)
	b.post("/mfa/confirm", set(scan.form("/mfa/confirm"), "code", posted)).want(200, "SAVED-1-CODE0")

	s.clock.Advance(2 * time.Minute)
	c := s.browser()
	step := c.login("ann").want(200, "We sent a code to "+hint, "Send again")
	if again := c.get("/mfa/sign-in").want(200); strings.Contains(again.Body, "We sent a code") {
		t.Error("a GET says that it sent something")
	}
	resend := step.forms("/mfa/sign-in/method")[0]
	c.follow(c.post("/mfa/sign-in/method", resend)).want(200, "it is still good", "09:03:00 UTC", `<button class="mfa-primary">`)
	s.clock.Advance(time.Minute)
	c.follow(c.post("/mfa/sign-in/method", resend)).want(200, "We sent a code to "+hint)
	back := c.login("ann").want(200, "it is still good") // the pause; the code at hand is still good
	c.post("/mfa/sign-in/verify", set(back.form("/mfa/sign-in/verify"), "code", posted)).wantRedirect("/")

	// A step-up sends by a form alone, and not where it would be lost.
	s.clock.Advance(10 * time.Minute)
	up := c.get("/mfa/step-up?next=/vault").want(200, "Send a code")
	if strings.Contains(up.Body, "We sent a code") {
		t.Error("sent by a GET")
	}
	sent := c.post("/mfa/step-up/method", up.forms("/mfa/step-up/method")[0]).want(200, "We sent a code to "+hint, "data-wait")
	if r := c.post("/mfa/step-up/method", up.forms("/mfa/step-up/method")[0]).want(429, "it is still good"); r.Header.Get("Retry-After") != "60" {
		t.Error(r.Header)
	}
	// After a wrong code it still says so; loaded again, it would be another step-up.
	wrong := c.post("/mfa/step-up/verify", set(sent.form("/mfa/step-up/verify"), "code", pinWrong)).
		want(422, "We sent a code to "+hint, "data-wait-text", `data-here="/mfa/step-up?`)
	if strings.Contains(wrong.Body, "&amp;sent=") {
		t.Error("another step-up would say that a code went out for it")
	}
	c.post("/mfa/step-up/verify", set(sent.form("/mfa/step-up/verify"), "code", posted)).wantRedirect("/vault")

	// What could not be sent is told, without the reason.
	s.clock.Advance(10 * time.Minute)
	broken = true
	d := s.browser()
	failed := d.login("ann").want(200, "The code could not be sent")
	if strings.Contains(failed.Body, "mail.example") {
		t.Error("the reason is told")
	}
	s.clock.Advance(2 * time.Minute)
	_, o := d.json("/login?user=ann", nil)
	if _, ch := d.json("/mfa/api/sign-in/challenge", map[string]any{"token": o["token"], "kind": "post"}); ch["sent"] != false || ch["hint"] != hint {
		t.Error(ch)
	}
	d.post("/mfa/sign-in/verify", url.Values{"token": {o["token"].(string)}, "kind": {"post"}, "code": {posted}}).wantRedirect("/")
}
