package main

import (
	"net/http"
	"testing"
)

func TestAServiceThatRunsIsAliveAndReady(t *testing.T) {
	s, _ := newTestService(t)
	for path, want := range map[string]string{"/livez": "alive", "/readyz": "ready"} {
		response := get(s.handler(), path)
		if body := bodyOf(t, response); response.StatusCode != http.StatusOK || body != `{"status":"`+want+`"}`+"\n" {
			t.Errorf("%s: got %d %s", path, response.StatusCode, body)
		}
		if got := response.Header.Get("Connection"); got != "" {
			t.Errorf("%s: got Connection %q, want none", path, got)
		}
	}
}

func TestADrainingServiceIsAliveButNotReady(t *testing.T) {
	s, _ := newTestService(t)
	s.health.drain()
	wantError(t, get(s.handler(), "/readyz"), http.StatusServiceUnavailable, "draining")
	if got := get(s.handler(), "/livez").StatusCode; got != http.StatusOK {
		t.Errorf("/livez: got %d, want 200", got)
	}
}

func TestADrainingServiceSendsItsClientsElsewhere(t *testing.T) {
	s, _ := newTestService(t)
	s.health.drain()
	for _, path := range []string{"/users", "/users/1", "/users/none", "/readyz", "/livez", "/metrics", "/login", "/none"} {
		if got := get(s.handler(), path).Header.Get("Connection"); got != "close" {
			t.Errorf("%s: got Connection %q, want close", path, got)
		}
	}
}

func TestARequestThatBeganBeforeTheDrainSendsItsClientElsewhereToo(t *testing.T) {
	s, _ := newTestService(t)
	response := get(s.observe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.health.drain()
		w.Write([]byte("late"))
	})), "/")
	if got := response.Header.Get("Connection"); got != "close" {
		t.Errorf("got Connection %q, want close", got)
	}
}
