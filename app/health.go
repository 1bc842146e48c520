package main

import (
	"context"
	"net/http"
	"sync/atomic"
)

// health answers Kubernetes's probes. Liveness and readiness differ on purpose:
// a pod that drains must get no new requests, but must not be restarted either.
type health struct {
	leaving atomic.Bool
	// check says why requests cannot be answered now, if they cannot.
	check func(context.Context) error
}

// healthBody is what a probe that succeeds gets.
type healthBody struct {
	Status string `json:"status"`
}

// leave makes the service unready for good.
func (h *health) leave() { h.leaving.Store(true) }

func (h *health) isLeaving() bool { return h.leaving.Load() }

// livez says that the process answers at all. It looks at nothing else: a
// restart cures nothing that is wrong elsewhere.
func (h *health) livez(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, healthBody{Status: "alive"})
}

// readyz says whether new requests should come here.
func (h *health) readyz(w http.ResponseWriter, r *http.Request) {
	if h.isLeaving() {
		respondError(w, http.StatusServiceUnavailable, "draining")
		return
	}
	if err := h.check(r.Context()); err != nil {
		respondError(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	respond(w, http.StatusOK, healthBody{Status: "ready"})
}
