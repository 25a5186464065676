package mfahttp

// What goes wrong, and how it is told: one classification for pages and JSON.

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-f4994bf1/mfa"
)

// The "type" of a problem (RFC 9457). They do not change.
const (
	problemPrefix = "tag:seed-f4994bf1.github.io,2026:mfa/"

	ProblemRejected       = problemPrefix + "rejected"               // 422: the answer is not accepted, or the sign-in is over
	ProblemTooMany        = problemPrefix + "too-many-attempts"      // 429: retry_after says when
	ProblemSignIn         = problemPrefix + "sign-in-required"       // 401: nobody is signed in
	ProblemStepUp         = problemPrefix + "step-up-required"       // 403: step_up says what is missing
	ProblemSecondFactor   = problemPrefix + "second-factor-required" // 403: the account is protected, the route for programs
	ProblemMustEnroll     = problemPrefix + "enrollment-required"    // 403: the account must be protected first, on the page
	ProblemExempt         = problemPrefix + "exempt-elsewhere"       // 403: the account is exempt, but not here
	ProblemNoMethod       = problemPrefix + "no-method"              // 403: none of the user's methods can be used here
	ProblemRequired       = problemPrefix + "required"               // 403: the policy demands a second factor
	ProblemLast           = problemPrefix + "last-factor"            // 409: remove-all is the call for that
	ProblemLimit          = problemPrefix + "limit-reached"          // 409: the user has as many as one may have
	ProblemNotFound       = problemPrefix + "not-found"              // 404
	ProblemInvalid        = problemPrefix + "invalid-request"        // 400, 405, 413, 415
	ProblemCrossOrigin    = problemPrefix + "cross-origin"           // 403
	ProblemUnavailable    = problemPrefix + "unavailable"            // 503: nothing is known; it is safe to try again
	ProblemFailed         = problemPrefix + "failed"                 // 500
	retryUnavailable      = 3 * time.Second
	retryUnknown          = 30 * time.Second
	longest               = 24 * time.Hour
	mediaTypeProblem      = "application/problem+json"
	mediaTypeJSON         = "application/json"
	headerContentType     = "Content-Type"
	mediaTypeHTML         = "text/html; charset=utf-8"
	mediaTypeText         = "text/plain; charset=utf-8"
	headerRetryAfter      = "Retry-After"
	headerAuthenticate    = "WWW-Authenticate"
	authenticateBySession = "Cookie"
)

var (
	errNotFound     = errors.New("mfahttp: no such page")
	errMethod       = errors.New("mfahttp: method not allowed")
	errCrossOrigin  = errors.New("mfahttp: from another site")
	errInvalidInput = errors.New("mfahttp: malformed request")
	errTooLarge     = errors.New("mfahttp: request too large")
	errMediaType    = errors.New("mfahttp: content type")
	errExempt       = errors.New("mfahttp: exempt, but not here")
	errSignIn       = errors.New("mfahttp: nobody is signed in")
	errSecondFactor = errors.New("mfahttp: a second factor is needed")
	errMustEnroll   = errors.New("mfahttp: a second factor must be set up")
)

// A problem is one thing that can go wrong, as a client sees it.
type problem struct {
	typ    string
	status int
	title  string // English, for programs
	detail string
	retry  time.Duration
	stepUp *mfa.StepUpError
}

func classify(err error) problem {
	var (
		limit  *mfa.LimitError
		stepUp *mfa.StepUpError
	)
	switch {
	case errors.As(err, &limit):
		return problem{
			typ: ProblemTooMany, status: http.StatusTooManyRequests, title: "Too many attempts",
			detail: "Nothing is looked at or sent until retry_after seconds have passed. A code that is out stays good.", retry: min(limit.RetryAfter, longest),
		}
	case errors.Is(err, mfa.ErrTooMany):
		return problem{
			typ: ProblemTooMany, status: http.StatusTooManyRequests, title: "Too many attempts",
			detail: "Nothing is looked at or sent until retry_after seconds have passed. A code that is out stays good.", retry: retryUnknown,
		}
	case errors.Is(err, mfa.ErrRejected):
		return problem{
			typ: ProblemRejected, status: http.StatusUnprocessableEntity, title: "Not accepted",
			detail: "The answer is not accepted, or what it belongs to is over.",
		}
	case errors.As(err, &stepUp):
		p := problem{
			typ: ProblemStepUp, status: http.StatusForbidden, title: "Step-up required", stepUp: stepUp,
			detail: "Prove a second factor by step-up with step_up.rule, then repeat the request.",
		}
		switch {
		case stepUp.First:
			p.detail = "Sign in again, then repeat the request."
		case stepUp.Enroll:
			p.detail = "Set up a method that satisfies step_up.rule, then repeat the request."
		}
		return p
	case errors.Is(err, errSignIn):
		return problem{typ: ProblemSignIn, status: http.StatusUnauthorized, title: "Sign in first"}
	case errors.Is(err, errSecondFactor):
		return problem{
			typ: ProblemSecondFactor, status: http.StatusForbidden, title: "Protected by a second factor",
			detail: "This account is protected by a second factor, which this route cannot ask for. Sign in with it at sign_in, " +
				"or use a service account that is exempt here.",
		}
	case errors.Is(err, errMustEnroll):
		return problem{
			typ: ProblemMustEnroll, status: http.StatusForbidden, title: "A second factor must be set up",
			detail: "This account must be protected by a second factor first. Sign in at sign_in to set it up, " +
				"or use a service account that is exempt here.",
		}
	case errors.Is(err, errExempt):
		return problem{
			typ: ProblemExempt, status: http.StatusForbidden, title: "Exempt elsewhere",
			detail: "This account is for programs and is exempt only at the routes made for them.",
		}
	case errors.Is(err, mfa.ErrNoMethod):
		return problem{
			typ: ProblemNoMethod, status: http.StatusForbidden, title: "No method can be used here",
			detail: "The account is protected, and none of its methods can be offered here.",
		}
	case errors.Is(err, mfa.ErrRequired):
		return problem{typ: ProblemRequired, status: http.StatusForbidden, title: "A second factor is required of this user"}
	case errors.Is(err, mfa.ErrLastFactor):
		return problem{
			typ: ProblemLast, status: http.StatusConflict, title: "The last method",
			detail: "Add another one first, or remove all.",
		}
	case errors.Is(err, mfa.ErrLimit):
		return problem{typ: ProblemLimit, status: http.StatusConflict, title: "As many as one may have"}
	case errors.Is(err, mfa.ErrNotFound), errors.Is(err, errNotFound):
		return problem{typ: ProblemNotFound, status: http.StatusNotFound, title: "Not found"}
	case errors.Is(err, errMethod):
		return problem{typ: ProblemInvalid, status: http.StatusMethodNotAllowed, title: "Method not allowed"}
	case errors.Is(err, errTooLarge):
		return problem{typ: ProblemInvalid, status: http.StatusRequestEntityTooLarge, title: "Too large"}
	case errors.Is(err, errMediaType):
		return problem{typ: ProblemInvalid, status: http.StatusUnsupportedMediaType, title: "Unsupported content type"}
	case errors.Is(err, errCrossOrigin):
		return problem{typ: ProblemCrossOrigin, status: http.StatusForbidden, title: "From another site"}
	case errors.Is(err, errInvalidInput), errors.Is(err, mfa.ErrArgument):
		return problem{typ: ProblemInvalid, status: http.StatusBadRequest, title: "Invalid request"}
	case errors.Is(err, mfa.ErrUnavailable), errors.Is(err, mfa.ErrBusy), errors.Is(err, mfa.ErrOutcomeUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem{
			typ: ProblemUnavailable, status: http.StatusServiceUnavailable, title: "Unavailable",
			detail: "Nothing is known about the outcome. It is safe to repeat the request.", retry: retryUnavailable,
		}
	}
	return problem{typ: ProblemFailed, status: http.StatusInternalServerError, title: "Failed"}
}

// seconds is d for Retry-After: rounded up, at least one.
func seconds(d time.Duration) int { return max(int(math.Ceil(d.Seconds())), 1) }

// rejected reports whether err is one of the verdicts that share one text, or
// a limit.
func rejected(err error) bool { return errors.Is(err, mfa.ErrRejected) }

// wireProblem is a problem as JSON.
type wireProblem struct {
	Type       string      `json:"type"`
	Title      string      `json:"title"`
	Status     int         `json:"status"`
	Detail     string      `json:"detail,omitempty"`
	RetryAfter int         `json:"retry_after,omitempty"` // seconds
	SignIn     string      `json:"sign_in,omitempty"`     // path of the sign-in page
	StepUp     *wireStepUp `json:"step_up,omitempty"`
}

type wireStepUp struct {
	Rule   *wireRule   `json:"rule"`
	Offers []wireOffer `json:"offers"`
	Enroll bool        `json:"enroll,omitempty"` // a method must be set up first
	First  bool        `json:"first,omitempty"`  // the first factor must be proven again
}

// fail answers with what went wrong.
func (v *visit) fail(err error) {
	p := classify(err)
	if p.status >= http.StatusInternalServerError {
		v.report(err)
	}
	if p.retry > 0 {
		v.w.Header().Set(headerRetryAfter, strconv.Itoa(seconds(p.retry)))
	}
	if !v.api {
		v.drawProblem(p)
		return
	}
	body := wireProblem{Type: p.typ, Title: p.title, Status: p.status, Detail: p.detail}
	if p.retry > 0 {
		body.RetryAfter = seconds(p.retry)
	}
	switch p.typ {
	case ProblemSignIn:
		v.w.Header().Set(headerAuthenticate, authenticateBySession)
		body.SignIn = v.h.opts.Login
	case ProblemSecondFactor, ProblemMustEnroll:
		body.SignIn = v.h.opts.Login
	case ProblemStepUp:
		body.StepUp = &wireStepUp{
			Rule: toWire(p.stepUp.Rule), Offers: toOffers(p.stepUp.Offers), Enroll: p.stepUp.Enroll, First: p.stepUp.First,
		}
	}
	v.writeJSON(p.status, mediaTypeProblem, body)
}

// report tells the application of an error that the user is told no more of than
// that there is one.
func (v *visit) report(err error) {
	if err != nil && v.h.opts.OnError != nil {
		v.h.opts.OnError(v.r, err)
	}
}

func (v *visit) writeJSON(status int, mediaType string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"type":"`+ProblemFailed+`","title":"Failed","status":500}`)
	}
	v.w.Header().Set(headerContentType, mediaType)
	v.w.WriteHeader(status)
	_, _ = v.w.Write(append(b, '\n'))
}

// need sends somebody on to what is missing before next, or says what failed.
func (v *visit) need(err error, next string) {
	var e *mfa.StepUpError
	if v.api || !errors.As(err, &e) {
		v.fail(err)
		return
	}
	at := with(v.h.opts.Path+string(stepUp), "next", next, "rule", toWire(e.Rule).text())
	if e.First {
		at = with(v.h.opts.Path+string(stepUp), "next", next, "first", "1")
	}
	switch {
	case e.Enroll:
		v.redirect(with(v.h.opts.Path, "done", "needed", "next", next))
	case e.First && v.r.Method == http.MethodPost:
		// A form's answer may not be redirected to another site, and the
		// application may ask for the first factor there.
		v.in.Next = next
		v.draw(http.StatusForbidden, page{name: "first", title: v.t.FirstTitle, Continue: at})
	default:
		v.redirect(at)
	}
}

// needSignIn sends somebody to the sign-in page, to come back to next.
func (v *visit) needSignIn(next string) {
	if v.api {
		v.fail(errSignIn)
		return
	}
	v.redirect(with(v.h.opts.Login, "next", next))
}
