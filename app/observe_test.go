package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// logLines decodes a JSON log.
func logLines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for decoder := json.NewDecoder(bytes.NewReader(log.Bytes())); ; {
		var line map[string]any
		if err := decoder.Decode(&line); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatalf("the log is not JSON: %v\n%s", err, log)
		}
		lines = append(lines, line)
	}
}

func TestAFailedRequestIsLoggedAtInfoAndTheRestAtDebug(t *testing.T) {
	for status, level := range map[int]string{200: "DEBUG", 404: "DEBUG", 500: "INFO", 503: "INFO"} {
		s, log := newTestService(t)
		get(s.observe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
		})), "/some/path?secret=1")
		lines := logLines(t, log)
		if len(lines) != 1 {
			t.Fatalf("%d: got %d lines, want 1:\n%s", status, len(lines), log)
		}
		line := lines[0]
		if line["level"] != level || line["msg"] != "request" || line["method"] != "GET" || line["path"] != "/some/path" {
			t.Errorf("%d: got %v, want level %s", status, line, level)
		}
	}
}

func TestTheIDOfARequestIsLogged(t *testing.T) {
	const id = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for header, want := range map[string]any{id: id, "": nil, "00-0af7": nil, id + id: nil} {
		s, log := newTestService(t)
		request := httptest.NewRequest("GET", "/users", nil)
		request.Header.Set("Traceparent", header)
		ask(s.handler(), request)
		if got := logLines(t, log)[0]["traceparent"]; got != want {
			t.Errorf("traceparent %q is logged as %v, want %v", header, got, want)
		}
	}
}

func TestASlowRequestIsLoggedAtInfo(t *testing.T) {
	for took, level := range map[time.Duration]string{slowRequest - 1: "DEBUG", slowRequest: "INFO"} {
		s, log := newTestService(t)
		s.logRequest(httptest.NewRequest("GET", "/users", nil), "200", took, false)
		if got := logLines(t, log)[0]["level"]; got != level {
			t.Errorf("%s: got level %v, want %s", took, got, level)
		}
	}
}

func TestAPanicIsA500AndTheServerGoesOn(t *testing.T) {
	s, log := newTestService(t)
	router := newRouter([]route{
		{"GET", "/bug", func(http.ResponseWriter, *http.Request) { panic("a bug") }},
		{"GET", "/livez", s.health.livez},
	})
	server := httptest.NewServer(s.observe(s.recoverPanics(router)))
	defer server.Close()

	response, err := server.Client().Get(server.URL + "/bug")
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("X-Pod"); got != "pod-1" {
		t.Errorf("got X-Pod %q, want pod-1", got)
	}
	wantError(t, response, http.StatusInternalServerError, "internal error")

	response, err = server.Client().Get(server.URL + "/livez")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("after the panic: got %v, %v, want 200", response, err)
	}
	server.Close() // so that the log is complete
	line := logLines(t, log)[0]
	if line["level"] != "ERROR" || line["cause"] != "a bug" || !strings.Contains(line["stack"].(string), "observe_test.go") {
		t.Errorf("got the log line %v, want the panic with its stack", line)
	}
	if got := bodyOf(t, get(s.handler(), "/metrics")); !strings.Contains(got, `http_requests_total{code="500",method="GET",route="/bug"} 1`) {
		t.Errorf("the 500 is not counted:\n%s", got)
	}
}

func TestAPanicInMidAnswerCutsTheConnection(t *testing.T) {
	s, _ := newTestService(t)
	server := httptest.NewServer(s.observe(s.recoverPanics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half of the")
		http.NewResponseController(w).Flush()
		panic("a bug")
	}))))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v, want %v", body, err, io.ErrUnexpectedEOF)
	}
	server.Close()
	if got := bodyOf(t, get(s.handler(), "/metrics")); !strings.Contains(got, `http_requests_total{code="aborted",method="GET",route="unmatched"} 1`) {
		t.Errorf("the cut answer is not counted as aborted:\n%s", got)
	}
}

func TestErrAbortHandlerPassesThroughUnlogged(t *testing.T) {
	s, log := newTestService(t)
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got the panic %v, want %v", got, http.ErrAbortHandler)
		}
		if strings.Contains(log.String(), `"msg":"panic"`) {
			t.Errorf("an intended abort was logged as a panic:\n%s", log)
		}
	}()
	get(s.observe(s.recoverPanics(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))), "/")
}
