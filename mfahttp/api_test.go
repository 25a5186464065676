package mfahttp_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-f4994bf1/mfa"
	"github.com/seed-f4994bf1/mfa/mfahttp"
)

func TestAPISignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	r, o := b.json("/login?user=ann&next=/orders", nil)
	if r.Code != 200 || o["status"] != mfahttp.StatusComplete || o["skipped"] != "nothing-set-up" || o["next"] != "/orders" {
		t.Fatalf("%d %v", r.Code, o)
	}
	s.browser().enroll("ann")
	_, o = b.json("/login?user=ann", nil)
	token, _ := o["token"].(string)
	offers, _ := o["offers"].([]any)
	if o["status"] != mfahttp.StatusSecondFactor || token == "" || len(offers) != 2 || o["expires"] != "2026-03-02T09:10:00Z" {
		t.Fatal(o)
	}
	if first, last := offers[0].(map[string]any), offers[1].(map[string]any); first["kind"] != "totp" || first["typed"] != true ||
		last["kind"] != "backup" || last["recovery"] != true {
		t.Error(offers)
	}
	if _, o := b.json("/mfa/api/sign-in/offers", map[string]any{"token": token}); o["status"] != mfahttp.StatusSecondFactor {
		t.Error(o)
	}
	if r, _ := b.json("/mfa/api/sign-in/challenge", map[string]any{"token": token, "kind": "totp"}); r.Code != 400 {
		t.Error(r.Code)
	}
	if r, o := b.json("/mfa/api/sign-in/verify", map[string]any{"token": token, "kind": "totp", "code": pinWrong}); r.Code != 422 ||
		o["type"] != mfahttp.ProblemRejected || o["status"] != 422.0 || o["title"] == "" {
		t.Error(o)
	}
	delete(b.cookies, "app")
	if r, o := b.json("/mfa/api/sign-in/verify", map[string]any{"token": token, "kind": "totp", "code": code(1)}); r.Code != 200 ||
		o["status"] != mfahttp.StatusComplete || o["backup_left"] != 10.0 || b.cookies["app"] == "" {
		t.Error(o)
	}
	if r, o := b.json("/mfa/api/sign-in/offers", map[string]any{"token": token}); r.Code != 422 || o["type"] != mfahttp.ProblemRejected {
		t.Error(o) // over: the same body again
	}
	_, o = b.json("/login?user=ann", nil)
	if _, c := b.json("/mfa/api/sign-in/cancel", map[string]any{"token": o["token"]}); c["status"] != mfahttp.StatusCancelled {
		t.Error(c)
	}
	if r, _ := b.json("/mfa/api/sign-in/verify", map[string]any{"token": o["token"], "kind": "totp", "code": code(2)}); r.Code != 422 {
		t.Error(r.Code)
	}
}

func TestAPIForcedEnrollment(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	b := s.browser()
	_, o := b.json("/login?user=ann", nil)
	token := o["token"]
	if o["status"] != mfahttp.StatusEnroll {
		t.Fatal(o)
	}
	if r, _ := b.json("/mfa/api/sign-in/verify", map[string]any{"token": token, "kind": "totp", "code": pinRight}); r.Code != 422 {
		t.Error(r.Code)
	}
	_, e := b.json("/mfa/api/sign-in/enroll", map[string]any{"token": token, "kind": "totp", "name": "my phone"})
	if e["secret"] != secretText || e["uri"] != secretURI || e["qr_svg"] != secretQR || e["active"] != false {
		t.Fatal(e)
	}
	confirm := map[string]any{"token": token, "kind": "totp", "enrollment_id": e["id"], "code": pinWrong}
	if r, _ := b.json("/mfa/api/sign-in/confirm", confirm); r.Code != 422 {
		t.Error(r.Code)
	}
	confirm["code"] = pinRight
	_, o = b.json("/mfa/api/sign-in/confirm", confirm)
	if codes, _ := o["backup_codes"].([]any); o["status"] != mfahttp.StatusComplete || len(codes) != 10 {
		t.Fatal(o)
	}
	b.get("/mfa/").want(200, "my phone")
}

func TestAPISettings(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.header.Set("Accept", "application/json")
	r := b.get("/mfa/api/settings").want(401)
	if o := r.object(); o["type"] != mfahttp.ProblemSignIn || o["sign_in"] != "/login" || r.Header.Get("WWW-Authenticate") == "" {
		t.Error(o)
	}
	b.login("ann")
	o := b.get("/mfa/api/settings").want(200).object()
	if o["enabled"] != false || len(o["factors"].([]any)) != 0 {
		t.Error(o)
	}
	_, e := b.json("/mfa/api/settings/enroll", map[string]any{"kind": "totp", "name": "my phone"})
	_, c := b.json("/mfa/api/settings/confirm", map[string]any{"kind": "totp", "enrollment_id": e["id"], "code": pinRight})
	if codes, _ := c["backup_codes"].([]any); len(codes) != 10 || c["factor"].(map[string]any)["name"] != "my phone" {
		t.Fatal(c)
	}
	id := c["factor"].(map[string]any)["id"]

	// What is missing is machine-readable: prove it, and repeat.
	change := map[string]any{"id": id, "name": "old phone"}
	r, p := b.json("/mfa/api/settings/rename", change)
	missing, _ := p["step_up"].(map[string]any)
	if r.Code != 403 || p["type"] != mfahttp.ProblemStepUp || len(missing["offers"].([]any)) != 2 {
		t.Fatal(p)
	}
	_, up := b.json("/mfa/api/step-up", map[string]any{"rule": missing["rule"]})
	if up["status"] != mfahttp.StatusSecondFactor {
		t.Fatal(up)
	}
	if _, o := b.json("/mfa/api/step-up/verify", map[string]any{"token": up["token"], "kind": "totp", "code": code(1)}); o["status"] != mfahttp.StatusComplete {
		t.Fatal(o)
	}
	if r, _ := b.json("/mfa/api/settings/rename", change); r.Code != 200 {
		t.Error(r.Body)
	}
	if _, o := b.json("/mfa/api/step-up", map[string]any{"rule": missing["rule"]}); o["status"] != mfahttp.StatusComplete {
		t.Error(o)
	}
	if r, o := b.json("/mfa/api/settings/rename", map[string]any{"id": id, "name": "\n"}); r.Code != 400 || o["type"] != mfahttp.ProblemInvalid {
		t.Error(o)
	}
	if r, o := b.json("/mfa/api/settings/rename", map[string]any{"id": "another", "name": "x"}); r.Code != 404 || o["type"] != mfahttp.ProblemNotFound {
		t.Error(o)
	}
	if r, o := b.json("/mfa/api/settings/remove", map[string]any{"id": id}); r.Code != 409 || o["type"] != mfahttp.ProblemLast {
		t.Error(o)
	}
	_, codes := b.json("/mfa/api/settings/codes", nil)
	if got, _ := codes["backup_codes"].([]any); len(got) != 10 || got[0] != "SAVED-2-CODE0" {
		t.Error(codes)
	}
	o = b.get("/mfa/api/settings").want(200).object()
	if o["enabled"] != true || o["backup_left"] != 10.0 || o["factors"].([]any)[0].(map[string]any)["name"] != "old phone" {
		t.Error(o)
	}
	s.mu.Lock()
	s.policy["ann"] = mfa.Policy{Demand: mfa.Required}
	s.mu.Unlock()
	if r, o := b.json("/mfa/api/settings/remove-all", nil); r.Code != 403 || o["type"] != mfahttp.ProblemRequired {
		t.Error(o)
	}
	s.mu.Lock()
	s.policy["ann"] = mfa.Policy{}
	s.mu.Unlock()
	if r, o := b.json("/mfa/api/settings/remove-all", nil); r.Code != 200 {
		t.Error(o)
	}
	s.clock.Advance(6 * time.Minute)
	_, p = b.json("/mfa/api/settings/enroll", map[string]any{"kind": "totp"})
	if p["step_up"].(map[string]any)["first"] != true {
		t.Error(p)
	}
}

// The rule that a problem names satisfies the call that gave it.
func TestAPIStepUpForRequire(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser().enroll("ann").signIn("ann", code(1))
	s.clock.Advance(6 * time.Minute)
	_, p := b.json("/vault", nil)
	_, up := b.json("/mfa/api/step-up", map[string]any{"rule": p["step_up"].(map[string]any)["rule"]})
	form := map[string]any{"token": up["token"], "kind": "totp", "code": code(2)}
	if r, _ := b.json("/mfa/api/sign-in/verify", form); r.Code != 422 {
		t.Error("a step-up answered at the sign-in route (R-285)")
	}
	if r, _ := s.browser().json("/mfa/api/step-up/verify", form); r.Code != 401 {
		t.Error("a step-up of nobody")
	}
	if r, _ := s.browser().signIn("ann", code(3)).json("/mfa/api/step-up/verify", form); r.Code != 422 {
		t.Error("another session's step-up (R-285)")
	}
	form["code"] = code(4)
	if r, _ := b.json("/mfa/api/step-up/verify", form); r.Code != 200 {
		t.Error(r.Body)
	}
	b.get("/vault").want(200, "for ann alone")
	if _, p := b.json("/vault/strong", nil); p["step_up"].(map[string]any)["enroll"] != true {
		t.Error(p)
	}
}

// A program's error stays one, whatever the page would do; the JSON is what the
// documentation says it is.
func TestProblemFormat(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	for at, want := range map[string]int{"/mfa/api/nowhere": 404, "/mfa/api/settings": 401} {
		r := b.get(at).want(want)
		var p struct {
			Type, Title string
			Status      int
		}
		if err := json.Unmarshal([]byte(r.Body), &p); err != nil || p.Status != want || p.Title == "" ||
			!strings.HasPrefix(p.Type, "tag:") || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", at, r.Body)
		}
	}
	if r := b.post("/mfa/api/sign-in/verify", url.Values{}).want(415); r.object()["type"] != mfahttp.ProblemInvalid {
		t.Error(r.Body)
	}
}
