package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startMonitoring starts Prometheus and the adapter for custom metrics, once for all tests.
var startMonitoring = sync.OnceValue(func() error { return startDaemons("monitoring") })

// TestTheReplicasFollowTheRequests scales one service of two in a program from two pods to
// eight with requests that cost next to no CPU, and back. The other one stays.
func TestTheReplicasFollowTheRequests(t *testing.T) {
	takeFirst(t, metrics, prometheus)
	if err := startMonitoring(); err != nil {
		t.Fatal(err)
	}
	s := newStory(t, "requests")
	orders := s.withOrders(t, "")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "10", "scaleDownWindow": "15", "requestsTarget": "5"})
	t.Logf("the first up, with the first metrics of pods without requests: %.1f s", s.up(t).Seconds())
	s.staysAsDeclared(t)
	s.startProbe(t)
	before := names(orders.pods(t))

	start := time.Now()
	stop := s.start(t, 5*time.Minute, attack{Path: "/users", Rate: 40})
	s.followsRequests(t, start, 8)
	load := stop()
	if load.Failed > 0 {
		t.Errorf("of %d requests %d failed: %q", load.Requests, load.Failed, load.Errors)
	}
	s.followsRequests(t, start, 2)
	if after := names(orders.pods(t)); !slices.Equal(before, after) {
		t.Errorf("the pods of the service without requests went from %v to %v", before, after)
	}
}

// TestAnAutoscalerWithoutRequestsFailsTheUp removes the requests that an autoscaler reads,
// in all ways in which they can be missing, and restores them.
func TestAnAutoscalerWithoutRequestsFailsTheUp(t *testing.T) {
	takeFirst(t, append(allPrometheus, metrics, kubelet)...)
	if err := startMonitoring(); err != nil {
		t.Fatal(err)
	}
	s := newStory(t, "no-requests")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "4"})
	s.deploy(t)
	s.startProbe(t)
	s.set(t, map[string]string{"requestsTarget": "5"})
	// These metrics never come: there is no need to wait for the slowest server.
	s.edit(t, "internal/rollout/autoscaler.go", "metricsTimeout = 75 * time.Second", "metricsTimeout = 45 * time.Second")
	s.compile(t)
	const unreadable = "the autoscaler cannot read %s of the pods (requestsMetric) from custom.metrics.k8s.io, so that it removes none: %s"
	t.Run("a metric that nobody has", func(t *testing.T) {
		s.set(t, map[string]string{"requestsMetric": "hits_per_second"})
		s.upWithoutMetricsFails(t, fmt.Sprintf(unreadable, "hits_per_second", "the server could not find the metric hits_per_second for pods"))
		s.set(t, map[string]string{"requestsMetric": "http_requests_per_second"})
		t.Logf("the right one again: %.1f s", s.up(t).Seconds())
	})
	// What the API server says of an adapter that is gone depends on whether it knows already.
	for daemon, want := range map[string]string{"prometheus": "Internal error occurred: unable to fetch metrics", "prometheus-adapter": ""} {
		t.Run("without "+daemon, func(t *testing.T) {
			t.Cleanup(func() {
				if err := startDaemons("monitoring"); err != nil {
					t.Error(err)
				}
			})
			kill(t, daemon)
			s.upWithoutMetricsFails(t, fmt.Sprintf(unreadable, "http_requests_per_second", want))
			s.set(t, map[string]string{"requestsTarget": ""})
			t.Logf("on CPU alone: up in %.1f s", s.up(t).Seconds())
			s.set(t, map[string]string{"requestsTarget": "5"})
		})
		t.Logf("with %s again: up in %.1f s", daemon, s.up(t).Seconds())
	}
	start := time.Now()
	defer s.start(t, 5*time.Minute, attack{Path: "/users", Rate: 40})()
	s.followsRequests(t, start, 4)
}

// followsRequests waits for a number of ready pods, and prints the curve. CPU alone must
// never have asked for more than two.
func (s story) followsRequests(t *testing.T, start time.Time, count int) {
	t.Helper()
	last := -1
	_, _, err := s.waitForPods(t.Context(), 5*time.Minute, func(pods []corev1.Pod) bool {
		ready := len(readyPods(pods))
		if ready != last {
			cpu := s.cpu(t)
			t.Logf("%4.0f s  %5s requests/s per pod  %3d %% CPU  %s %d", time.Since(start).Seconds(), s.requests(t), cpu, strings.Repeat("█", ready), ready)
			if cpu > 70 {
				t.Errorf("CPU is at %d %%, which scales up too", cpu)
			}
			last = ready
		}
		return ready == count && len(pods) == count
	})
	if err != nil {
		t.Fatalf("%d pods: %v", count, err)
	}
}

// requests is the pods' average that the autoscaler read last.
func (s story) requests(t *testing.T) string {
	t.Helper()
	hpa, err := s.cluster.AutoscalingV2().HorizontalPodAutoscalers(s.Namespace).Get(t.Context(), "user-service-hpa", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range hpa.Status.CurrentMetrics {
		if metric.Pods != nil && metric.Pods.Current.AverageValue != nil {
			return metric.Pods.Current.AverageValue.String()
		}
	}
	return "?"
}
