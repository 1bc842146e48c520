package main

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is what Prometheus reads from /metrics. The registry is the service's
// own: the library's global one would be shared by every service in a process.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics() *metrics {
	labels := []string{"route", "method", "code"}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Requests answered, by route pattern, method and status code.",
		}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds",
			Help: "Time from the request's header to the end of its answer.",
			// A list takes well under a millisecond, a login some 60 ms alone
			// and up to seconds in a queue.
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, labels),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight",
			Help: "Requests being answered now, this one included.",
		}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.inFlight,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// expect makes the counter of a route begin at 0: without it, a pod that no request has
// reached yet would have no rate of requests, instead of one of 0.
func (m *metrics) expect(r route) {
	m.requests.WithLabelValues(r.path, r.method, "200")
}

// observe counts one answered request. The code "aborted" means that its
// connection was closed before the end of the answer.
func (m *metrics) observe(route, method, code string, took time.Duration) {
	labels := []string{route, methodLabel(method), code}
	m.requests.WithLabelValues(labels...).Inc()
	m.duration.WithLabelValues(labels...).Observe(took.Seconds())
}

// methodLabel prevents a time series for each invented method.
func methodLabel(method string) string {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

func (m *metrics) handler(log *slog.Logger) http.HandlerFunc {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
		// One collector that fails should not hide the metrics of the others.
		ErrorHandling: promhttp.ContinueOnError,
	}).ServeHTTP
}
