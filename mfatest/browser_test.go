package mfatest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/seed-f4994bf1/mfa/mfatest"
)

func TestBrowser(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-seen", Value: "yes", Path: "/", Secure: true, HttpOnly: true})
		fmt.Fprint(w, `<form><INPUT type="hidden" name=token value="a&amp;b"><input name="typed" value="x"></form>`)
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("__Host-seen")
		if err != nil || c.Value != "yes" || r.Header.Get("Origin") != "https://acme.example" {
			http.Error(w, "no cookie or origin", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, "/done?token="+r.PostFormValue("token")[:1]+"&typed="+r.PostFormValue("typed"), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<p>it&#39;s %s", r.FormValue("typed"))
	})
	mux.Handle("GET /circle", http.RedirectHandler("/circle", http.StatusFound))
	mux.Handle("GET /out", http.RedirectHandler("https://elsewhere.example/", http.StatusFound))

	// Cross-origin protection lets the browser's own forms pass.
	k := mfatest.New(t)
	b := k.Browser(http.NewCrossOriginProtection().Handler(mux))
	if r := b.Post("/form", "typed", "1"); r.Status != http.StatusForbidden {
		t.Errorf("without the cookie: %d", r.Status)
	}
	if r := b.Get("/form"); r.Status != http.StatusOK {
		t.Fatalf("%d", r.Status)
	}
	r := b.Post("/form", "typed", "123")
	if r.Status != http.StatusOK || r.Path != "/done?token=a&typed=123" || !r.Contains("it's 123") || len(r.Via) != 1 {
		t.Errorf("%+v", r)
	}
	if r := b.Get("/nowhere"); r.Status != http.StatusNotFound {
		t.Errorf("%d", r.Status)
	}
	for name, call := range map[string]func(*mfatest.Kit){
		"a circle":  func(k *mfatest.Kit) { k.Browser(mux).Get("/circle") },
		"out of it": func(k *mfatest.Kit) { k.Browser(mux).Get("/out") },
		"odd form":  func(k *mfatest.Kit) { k.Browser(mux).Post("/form", "typed") },
	} {
		if !ends(t, k, call) {
			t.Errorf("%s: the test went on", name)
		}
	}
}
