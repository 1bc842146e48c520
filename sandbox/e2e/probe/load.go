package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// attack is one kind of load.
type attack struct {
	URL         string
	Login       bool          // POST a right password, the service's most costly request, instead of GET
	Rate        float64       // requests a second, however slowly they are answered
	Connections int           // that the requests take turns on; 0 for a new one each
	Slow        time.Duration // how long a login takes to be sent
}

// outcome is how an attack went.
type outcome struct {
	*vegeta.Metrics
	Failed     int           `json:"failed"`      // requests without an answer below 400
	FailingFor time.Duration `json:"failing_for"` // from the first of them to the last
}

// load runs attacks at the same time, until the time is over or standard input is closed.
func load(attacks []attack, most time.Duration) []outcome {
	ended, end := context.WithTimeout(context.Background(), most)
	defer end()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	outcomes := make([]outcome, len(attacks))
	var running sync.WaitGroup
	for i, a := range attacks {
		running.Go(func() { outcomes[i] = a.run(ended) })
	}
	running.Wait()
	return outcomes
}

// run sends requests until the context ends.
func (a attack) run(ctx context.Context) outcome {
	target := vegeta.Target{Method: http.MethodGet, URL: a.URL}
	if a.Login {
		target.Method = http.MethodPost
		target.Header = http.Header{"Content-Type": {"application/json"}}
		target.Body = []byte(`{"email": "ada@example.com", "password": "open-sesame"}`)
	}
	attacker := vegeta.NewAttacker(vegeta.Client(&http.Client{
		Timeout:   10 * time.Second,
		Transport: slowly{a.Slow, a.transport()},
	}))
	context.AfterFunc(ctx, func() { attacker.Stop() })
	pacer := vegeta.Rate{Freq: 1, Per: time.Duration(float64(time.Second) / a.Rate)}
	o := outcome{Metrics: &vegeta.Metrics{}}
	var first time.Time
	for result := range attacker.Attack(vegeta.NewStaticTargeter(target), pacer, 0, "load") {
		o.Add(result)
		if result.Error == "" && result.Code < 400 {
			continue
		}
		o.Failed++
		if first.IsZero() || result.Timestamp.Before(first) {
			first = result.Timestamp
		}
		o.FailingFor = max(o.FailingFor, result.End().Sub(first))
	}
	o.Close()
	return o
}

func (a attack) transport() http.RoundTripper {
	if a.Connections == 0 {
		return &http.Transport{DisableKeepAlives: true}
	}
	t := &turns{}
	for range a.Connections {
		t.transports = append(t.transports, &http.Transport{MaxIdleConnsPerHost: 1})
	}
	return t
}

// turns passes each request to the next of its transports, each of which keeps a
// connection: a single one would always use the same connection, and with it the
// same pod.
type turns struct {
	transports []http.RoundTripper
	next       atomic.Uint64
}

func (t *turns) RoundTrip(request *http.Request) (*http.Response, error) {
	return t.transports[t.next.Add(1)%uint64(len(t.transports))].RoundTrip(request)
}

// slowly sends a request's body after a delay.
type slowly struct {
	time.Duration
	http.RoundTripper
}

func (s slowly) RoundTrip(request *http.Request) (*http.Response, error) {
	if s.Duration > 0 && request.Body != nil {
		request = request.Clone(request.Context())
		request.Body = &slowBody{request.Body, s.Duration}
	}
	return s.RoundTripper.RoundTrip(request)
}

// slowBody delays its first bytes. The header of the request is sent at once.
type slowBody struct {
	io.ReadCloser
	delay time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(b.delay)
	b.delay = 0
	return b.ReadCloser.Read(p)
}
