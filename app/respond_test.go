package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAnErrorIsEscapedInItsJSON(t *testing.T) {
	w := httptest.NewRecorder()
	respondError(w, http.StatusTeapot, "a \"quote\" and a <tag>\n")
	want := `{"error":"a \"quote\" and a \u003ctag\u003e\n"}` + "\n"
	if w.Code != http.StatusTeapot || w.Body.String() != want {
		t.Errorf("got  %d %s\nwant 418 %s", w.Code, w.Body, want)
	}
	if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("got X-Content-Type-Options %q, want nosniff", got)
	}
}
