package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTheServiceResistsAbuse sends what bad clients send, all of it at once, to the only
// pod of a service. It must stay ready and within its memory, and answer other clients.
func TestTheServiceResistsAbuse(t *testing.T) {
	s := newParallelStory(t, "abuse")
	s.set(t, map[string]string{"replicas": "1"})
	s.deploy(t)
	s.settled(t, 1)
	address := s.podAddresses(t)[0] + ":8080"
	stop := s.loadFromTheNode(t)
	fewest := s.watchReady(t)

	ctx, cancel := context.WithTimeout(t.Context(), 16*time.Second) // twice what a request may take
	defer cancel()
	abuse := startAbuse(ctx, address)
	most := 0.0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		most = max(most, residentMiB(t, address))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	abuse.clients.Wait()

	load := stop()
	if load.Failed > 0 || load.Requests == 0 {
		t.Errorf("of %d requests of other clients %d failed: %q", load.Requests, load.Failed, load.Errors)
	}
	if seen := fewest(); seen < 1 {
		t.Error("the pod was not ready for a time")
	}
	if pods := readyPods(s.pods(t)); len(pods) != 1 || restarts(pods[0]) > 0 {
		t.Errorf("the pod was restarted: %+v", pods)
	}
	if most > 128 {
		t.Errorf("the pod used %.0f MiB, of 128", most)
	}
	t.Logf("the pod used at most %.0f MiB of memory and answered %d requests of other clients, median %s, longest %s; connections that it closed: %v",
		most, load.Requests, load.Latencies.P50.Round(time.Millisecond), load.Latencies.Max.Round(time.Millisecond), abuse.closed)
	for _, kind := range []string{"slow header", "slow body", "huge header", "huge body", "garbage"} {
		if abuse.closed[kind] == 0 {
			t.Errorf("the pod closed no connection with a %s", kind)
		}
	}
}

// abuse is many bad clients of one pod.
type abuse struct {
	address string
	clients sync.WaitGroup

	mu     sync.Mutex
	closed map[string]int // kind → connections that the pod has closed
}

// startAbuse starts 1,550 clients of six kinds.
func startAbuse(ctx context.Context, address string) *abuse {
	a := &abuse{address: address, closed: map[string]int{}}
	a.start(ctx, 1000, "idle", func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET /users HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, conn) // reads the answer, and sends nothing more
		return err
	})
	a.start(ctx, 200, "slow header", func(conn net.Conn) error {
		return dribble(ctx, conn, "GET /users HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	})
	a.start(ctx, 200, "slow body", func(conn net.Conn) error {
		return dribble(ctx, conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{")
	})
	a.start(ctx, 50, "huge header", func(conn net.Conn) error {
		return flood(conn, "GET /users HTTP/1.1\r\nHost: x\r\nX-Huge: ")
	})
	a.start(ctx, 50, "huge body", func(conn net.Conn) error {
		return flood(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{")
	})
	a.start(ctx, 50, "garbage", func(conn net.Conn) error {
		_, err := io.WriteString(conn, "\x16\x03\x01\x02\x00\r\nGET \x00 HTTP/9\r\nContent-Length: -1\r\n\r\n")
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		return err
	})
	return a
}

// start connects a number of clients of a kind, which do their worst until ctx is done.
func (a *abuse) start(ctx context.Context, count int, kind string, worst func(net.Conn) error) {
	for range count {
		a.clients.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.address)
			if err != nil {
				return
			}
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			defer conn.Close()
			_ = worst(conn) // however it ends
			if ctx.Err() == nil {
				a.mu.Lock()
				a.closed[kind]++
				a.mu.Unlock()
			}
		})
	}
}

// dribble sends a beginning, and then a byte each second until an error.
func dribble(ctx context.Context, conn net.Conn, beginning string) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for next := beginning; ; next = "x" {
		if _, err := io.WriteString(conn, next); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// flood sends a beginning and then a hundred megabytes, until an error.
func flood(conn net.Conn, beginning string) error {
	if _, err := io.WriteString(conn, beginning); err != nil {
		return err
	}
	chunk := strings.Repeat("x", 64<<10)
	for range 1600 {
		if _, err := io.WriteString(conn, chunk); err != nil {
			return err
		}
	}
	return nil
}

var resident = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)

// residentMiB is the memory of the pod's process, from its own metrics.
func residentMiB(t *testing.T, address string) float64 {
	t.Helper()
	response, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v", response.Status, err)
	}
	found := resident.FindSubmatch(metrics)
	if found == nil {
		t.Fatal("the metrics do not include the memory")
	}
	bytes, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(fmt.Errorf("process_resident_memory_bytes: %w", err))
	}
	return bytes / (1 << 20)
}
