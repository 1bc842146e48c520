package main

import (
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
)

// service is what all handlers share. Nothing in it changes with a request,
// except metrics.
type service struct {
	pod      string
	log      *slog.Logger
	users    store
	verifier *verifier
	health   *health
	metrics  *metrics
}

func newService(pod string, log *slog.Logger, users store, verifier *verifier) *service {
	return &service{
		pod: pod, log: log, users: users, verifier: verifier,
		health: &health{check: users.check}, metrics: newMetrics(),
	}
}

// handler serves all routes.
func (s *service) handler() http.Handler {
	routes := []route{
		{"GET", "/users", s.listUsers},
		{"POST", "/users", s.createUser},
		{"GET", "/users/{id}", s.getUser},
		{"POST", "/login", s.login},
		{"GET", "/livez", s.health.livez},
		{"GET", "/readyz", s.health.readyz},
		{"GET", "/metrics", s.metrics.handler(s.log)},
	}
	for _, r := range routes {
		s.metrics.expect(r)
	}
	return s.observe(s.recoverPanics(newRouter(routes)))
}

type route struct {
	method, path string
	handler      http.HandlerFunc
}

// newRouter is an http.ServeMux that answers 404 and 405 in JSON like everything
// else, where the mux itself would use plain text and, for paths that are not
// clean, a redirect in HTML.
func newRouter(routes []route) http.Handler {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, r.handler)
		allowed[r.path] = append(allowed[r.path], r.method)
		if r.method == http.MethodGet {
			allowed[r.path] = append(allowed[r.path], http.MethodHead)
		}
	}
	for pattern, methods := range allowed {
		mux.HandleFunc(pattern, methodNotAllowed(methods))
	}
	mux.HandleFunc("/", notFound)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); !strings.HasPrefix(p, "/") || path.Clean(p) != p {
			notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	respondError(w, http.StatusNotFound, "no such path")
}

func methodNotAllowed(methods []string) http.HandlerFunc {
	allow := strings.Join(slices.Sorted(slices.Values(methods)), ", ")
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		respondError(w, http.StatusMethodNotAllowed, "method not allowed: use "+allow)
	}
}
