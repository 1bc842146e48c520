package main

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// slowRequest is how long a request takes before it is worth a log line of its
// own. A password comparison takes some 60 ms; a second means a queue.
const slowRequest = time.Second

// answer is a ResponseWriter that remembers its status and, while the service
// drains, asks the client to open its next connection elsewhere.
type answer struct {
	http.ResponseWriter
	health *health
	status int // 0 until the header is written
}

// WriteHeader decides on "Connection: close" as late as possible, so that the
// answer to a request that began before the drain has it too.
//
// http.Server.SetKeepAlivesEnabled(false) would be wrong: it also closes idle
// connections at once, while clients may be sending their next request on
// them.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		if a.health.isDraining() {
			a.Header().Set("Connection", "close")
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(data []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// observe names the pod in every answer, counts the request and logs it.
func (s *service) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, health: s.health}
		a.Header().Set("X-Pod", s.pod)
		begin := time.Now()
		s.health.sees(r, begin)
		s.metrics.inFlight.Inc()
		code := "aborted" // if next panics
		defer func() {
			took := time.Since(begin)
			s.metrics.inFlight.Dec()
			s.metrics.observe(routeOf(r), r.Method, code, took)
			s.logRequest(r, code, took, a.status >= 500)
		}()
		next.ServeHTTP(a, r)
		if a.status == 0 {
			a.WriteHeader(http.StatusOK)
		}
		code = strconv.Itoa(a.status)
	})
}

// logRequest logs failed and slow requests at level info and all others at
// debug, so that a service under load does not spend its CPU on logging. The
// query and the body are left out: they may have secrets.
func (s *service) logRequest(r *http.Request, code string, took time.Duration, failed bool) {
	level := slog.LevelDebug
	if failed || took >= slowRequest {
		level = slog.LevelInfo
	}
	attributes := []any{
		"method", r.Method,
		"path", r.URL.Path,
		"code", code,
		"milliseconds", took.Milliseconds(),
		"remote", r.RemoteAddr,
	}
	// The request's id, by which traces and the logs of others know it:
	// https://www.w3.org/TR/trace-context/#traceparent-header.
	if id := r.Header.Get("Traceparent"); len(id) == len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") {
		attributes = append(attributes, "traceparent", id)
	}
	s.log.Log(r.Context(), level, "request", attributes...)
}

// routeOf is the pattern that matched, such as /users/{id}: with the path itself
// as a label, anyone could fill the pod's memory with time series.
func routeOf(r *http.Request) string {
	_, path, hasMethod := strings.Cut(r.Pattern, " ")
	if !hasMethod {
		path = r.Pattern
	}
	if path == "" || path == "/" {
		return "unmatched"
	}
	return path
}

// recoverPanics turns a panic into a 500 and a log line with the stack.
func (s *service) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			s.log.Error("panic", "cause", cause, "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
			if a, ok := w.(*answer); ok && a.status != 0 {
				// Part of the answer may have been sent. The client can tell that it
				// is incomplete only if the connection is cut.
				panic(http.ErrAbortHandler)
			}
			respondError(w, http.StatusInternalServerError, "internal error")
		}()
		next.ServeHTTP(w, r)
	})
}
