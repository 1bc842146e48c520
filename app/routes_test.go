package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// demoPassword is the password of every user in users.json.
const demoPassword = "open-sesame"

// newTestService is the service as run makes it, with its log in the buffer.
func newTestService(t *testing.T) (*service, *bytes.Buffer) {
	t.Helper()
	users, err := loadDirectory(usersJSON)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return newService("pod-1", logger, users, newVerifier(2)), &log
}

// ask sends one request to handler and returns what a client would see.
func ask(handler http.Handler, r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder.Result()
}

func get(handler http.Handler, path string) *http.Response {
	return ask(handler, httptest.NewRequest("GET", path, nil))
}

func bodyOf(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read the answer's body: %v", err)
	}
	return string(body)
}

// wantError checks that response is a JSON error with that status, and with that
// message unless message is empty.
func wantError(t *testing.T, response *http.Response, status int, message string) {
	t.Helper()
	body := bodyOf(t, response)
	if response.StatusCode != status {
		t.Errorf("got status %d, want %d; the body is %s", response.StatusCode, status, body)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("got Content-Type %q, want application/json", got)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("the body %q is not a JSON error: %v", body, err)
	}
	if len(got) != 1 || got["error"] == "" || message != "" && got["error"] != message {
		t.Errorf("got the body %s, want the error %q", body, message)
	}
}

func TestEveryAnswerNamesThePod(t *testing.T) {
	s, _ := newTestService(t)
	for _, path := range []string{"/users", "/users/1", "/users/none", "/livez", "/readyz", "/metrics", "/login", "/none"} {
		if got := get(s.handler(), path).Header.Get("X-Pod"); got != "pod-1" {
			t.Errorf("%s: got X-Pod %q, want pod-1", path, got)
		}
	}
}

func TestAnUnknownPathIsAJSONError(t *testing.T) {
	s, _ := newTestService(t)
	for _, path := range []string{"/", "/none", "/user", "/users/", "/users/1/", "/users/1/name", "//users", "/users//1", "/./users", "/x/../users", "/LIVEZ"} {
		t.Run(path, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL.Path = path
			wantError(t, ask(s.handler(), r), http.StatusNotFound, "no such path")
		})
	}
}

func TestAWrongMethodIsAJSONErrorThatNamesTheRightOnes(t *testing.T) {
	s, _ := newTestService(t)
	tests := map[string]struct{ method, path, allow string }{
		"delete all users": {"DELETE", "/users", "GET, HEAD, POST"},
		"change a user":    {"PUT", "/users/1", "GET, HEAD"},
		"read the login":   {"GET", "/login", "POST"},
		"post to a probe":  {"POST", "/readyz", "GET, HEAD"},
		"invented method":  {"BREW", "/users", "GET, HEAD, POST"},
		"options":          {"OPTIONS", "/login", "POST"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := ask(s.handler(), httptest.NewRequest(test.method, test.path, nil))
			if got := response.Header.Get("Allow"); got != test.allow {
				t.Errorf("got Allow %q, want %q", got, test.allow)
			}
			wantError(t, response, http.StatusMethodNotAllowed, "method not allowed: use "+test.allow)
		})
	}
}

func TestHeadIsAnsweredLikeGetWithoutTheBody(t *testing.T) {
	s, _ := newTestService(t)
	server := httptest.NewServer(s.handler())
	defer server.Close()
	response, err := server.Client().Head(server.URL + "/users/1")
	if err != nil {
		t.Fatal(err)
	}
	if body := bodyOf(t, response); response.StatusCode != http.StatusOK || body != "" {
		t.Errorf("got %d %q, want 200 and no body", response.StatusCode, body)
	}
}

func TestNoAnswerHoldsAPasswordHash(t *testing.T) {
	s, _ := newTestService(t)
	answers := map[string]string{
		"login":   bodyOf(t, ask(s.handler(), loginRequest(`{"email":"ada@example.com","password":"`+demoPassword+`"}`))),
		"metrics": bodyOf(t, get(s.handler(), "/metrics")),
		"users":   bodyOf(t, get(s.handler(), "/users")),
		"user":    bodyOf(t, get(s.handler(), "/users/1")),
	}
	for name, body := range answers {
		if strings.Contains(body, "$2a$") || strings.Contains(body, "passwordHash") {
			t.Errorf("%s holds a hash: %s", name, body)
		}
	}
}
