package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// health answers Kubernetes's probes. Liveness and readiness differ on purpose:
// a pod that drains must get no new requests, but must not be restarted either.
type health struct {
	draining atomic.Bool
	// check returns why requests cannot be answered now, or nil.
	check func(context.Context) error
	// lastRequest is when the last one came, other than from Kubernetes and Prometheus.
	lastRequest atomic.Int64 // Unix time in nanoseconds
}

// healthBody is what a probe that succeeds gets.
type healthBody struct {
	Status string `json:"status"`
}

// drain makes the service unready for good.
func (h *health) drain() { h.draining.Store(true) }

func (h *health) isDraining() bool { return h.draining.Load() }

// sees notes when a request came.
func (h *health) sees(r *http.Request, at time.Time) {
	switch r.URL.Path {
	case "/livez", "/readyz", "/metrics":
	default:
		h.lastRequest.Store(at.UnixNano())
	}
}

// waitForQuiet waits until no request has come for the time quiet, and at most for most.
func (h *health) waitForQuiet(most time.Duration) {
	for end := time.Now().Add(most); ; {
		last := time.Unix(0, h.lastRequest.Load())
		left := min(time.Until(last.Add(quiet)), time.Until(end))
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
}

// livez reports that the process answers. It checks nothing else: a restart
// would not fix what is wrong elsewhere.
func (h *health) livez(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, healthBody{Status: "alive"})
}

// readyz reports whether this pod should get new requests.
func (h *health) readyz(w http.ResponseWriter, r *http.Request) {
	if h.isDraining() {
		respondError(w, http.StatusServiceUnavailable, "draining")
		return
	}
	if err := h.check(r.Context()); err != nil {
		respondError(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	respond(w, http.StatusOK, healthBody{Status: "ready"})
}
