package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long tests wait for something that takes milliseconds on an idle
// machine.
const patience = 30 * time.Second

// waitFor calls check until it is done, and reports what it saw last if it never is.
func waitFor(t *testing.T, what string, check func() (done bool, seen string)) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		done, seen := check()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen within %s; last seen: %s", what, patience, seen)
		}
	}
}

// logBuffer has the log of a service that is still writing it.
type logBuffer struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (b *logBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(data)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// baseURL waits for the line that names the address.
func (b *logBuffer) baseURL(t *testing.T) string {
	t.Helper()
	var line struct{ Msg, Address string }
	waitFor(t, "the log line with the address", func() (bool, string) {
		first, _, _ := strings.Cut(b.String(), "\n")
		return json.Unmarshal([]byte(first), &line) == nil && line.Msg == "listening", b.String()
	})
	_, port, err := net.SplitHostPort(line.Address)
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + port
}

// running is the program in a goroutine.
type running struct {
	url    string
	log    *logBuffer
	stop   context.CancelFunc // what the first signal does
	result chan error
}

func start(t *testing.T, variables map[string]string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	r := &running{log: &logBuffer{}, stop: stop, result: make(chan error, 1)}
	variables["PORT"] = "0"
	hostname := func() (string, error) { return "pod-1", nil }
	go func() { r.result <- run(ctx, fakeEnv(variables), hostname, r.log) }()
	r.url = r.log.baseURL(t)
	return r
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.result:
		return err
	case <-time.After(patience):
		t.Fatalf("run did not return within %s; its log:\n%s", patience, r.log)
		return nil
	}
}

// slowLogin is a login whose body has arrived in part.
type slowLogin struct {
	conn net.Conn
	rest string
}

// startLogin sends half of a login and waits until its handler runs.
func (r *running) startLogin(t *testing.T) *slowLogin {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	body := loginBody("ada@example.com", demoPassword)
	fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:10])
	waitFor(t, "the login in flight", func() (bool, string) {
		_, metrics, err := request(newClient(), r.url+"/metrics")
		// The request for the metrics is the other one.
		return strings.Contains(metrics, "\nhttp_requests_in_flight 2\n"), fmt.Sprint(metrics, err)
	})
	return &slowLogin{conn: conn, rest: body[10:]}
}

func (l *slowLogin) finish(t *testing.T) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(l.conn, l.rest); err != nil {
		t.Fatalf("send the rest of the login: %v", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(l.conn), nil)
	if err != nil {
		t.Fatalf("read the answer to the login: %v", err)
	}
	return response, bodyOf(t, response)
}

// newClient opens a new connection for each request.
func newClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
}

func request(client *http.Client, url string) (*http.Response, string, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func TestADrainLosesNoRequest(t *testing.T) {
	t.Parallel()
	// Long enough for the few requests below, on a busy machine too, and shorter
	// than readTimeout, which the slow login must not exceed.
	r := start(t, map[string]string{"DRAIN_DELAY": "3s", "SHUTDOWN_TIMEOUT": "15s"})
	keepAlive := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	if response, _, err := request(keepAlive, r.url+"/readyz"); err != nil || response.StatusCode != http.StatusOK || response.Close {
		t.Fatalf("before the drain: got %v, %v, want 200 on a connection that stays open", response, err)
	}
	login := r.startLogin(t)

	r.stop()

	waitFor(t, "readyz becoming 503", func() (bool, string) {
		response, body, err := request(newClient(), r.url+"/readyz")
		return err == nil && response.StatusCode == http.StatusServiceUnavailable, fmt.Sprint(body, err)
	})
	response, _, err := request(keepAlive, r.url+"/users")
	if err != nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("on the old connection: got %v, %v, want 200 and Connection: close", response, err)
	}
	for _, path := range []string{"/users", "/livez"} {
		if response, body, err := request(newClient(), r.url+path); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s on a new connection: got %s, %v, want 200", path, body, err)
		}
	}
	waitFor(t, "the listener closing after the delay", func() (bool, string) {
		_, body, err := request(newClient(), r.url+"/livez")
		return err != nil, body
	})
	response, body := login.finish(t)
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "Ada Lovelace") {
		t.Errorf("the login in flight: got %d %s, want 200 and the user", response.StatusCode, body)
	}
	if !response.Close {
		t.Error("the login in flight: got an open connection, want Connection: close")
	}
	if err := r.wait(t); err != nil {
		t.Errorf("run: got %v, want nil", err)
	}
}

func TestADrainGoesOnWhileRequestsCome(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"DRAIN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "15s"})
	count := 0
	for stopped := (time.Time{}); stopped.IsZero() || time.Since(stopped) < 2*quiet; count++ {
		if _, body, err := request(newClient(), r.url+"/users"); err != nil {
			t.Fatalf("request %d: %v %s", count, err, body)
		}
		if count == 10 {
			stopped = time.Now()
			r.stop()
		}
	}
	if err := r.wait(t); err != nil {
		t.Errorf("run: got %v, want nil", err)
	}
}

func TestADrainEndsAtItsTimeoutWithAnError(t *testing.T) {
	r := start(t, map[string]string{"DRAIN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "50ms"})
	login := r.startLogin(t)
	r.stop()
	err := r.wait(t)
	if want := "requests still in flight after 50ms were cut off"; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
		t.Errorf("run: got %v, want %s", err, want)
	}
	if data, err := io.ReadAll(login.conn); len(data) > 0 {
		t.Errorf("the login that was cut off got %q, %v", data, err)
	}
}

func TestTheServerLimitsHeaders(t *testing.T) {
	r := start(t, map[string]string{"DRAIN_DELAY": "0s"})
	large, err := http.NewRequest("GET", r.url+"/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	large.Header.Set("X-Large", strings.Repeat("x", 2*maxHeaderBytes))
	response, err := newClient().Do(large)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", response.StatusCode)
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Errorf("run: got %v, want nil", err)
	}
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	s, _ := newTestService(t)
	if err := serve(t.Context(), listener, s, config{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
}
