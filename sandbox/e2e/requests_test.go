package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// requestsForSix is the load per second that six pods share at a requestsTarget of 5. Five
// would be more than the autoscaler's tolerance of a tenth above it.
const requestsForSix = 30

// startMonitoring starts Prometheus and the adapter for custom metrics, once for all tests.
var startMonitoring = sync.OnceValue(func() error { return startDaemons("monitoring") })

// TestTheReplicasFollowTheRequests scales two services in one program, one with a database
// and one without, from two pods to six with requests that cost next to no CPU: each on its
// own requests alone. The first is back at two while the second grows.
func TestTheReplicasFollowTheRequests(t *testing.T) {
	takeFirst(t, metrics, prometheus)
	if err := startMonitoring(); err != nil {
		t.Fatal(err)
	}
	users := newStory(t, "requests")
	orders := users.withOrders(t, "orders.SecretEnv = nil")
	users.setSecretEnv(t, map[string]string{"DATABASE_URL": newPostgres(t, "db-s3same").url()})
	users.set(t, map[string]string{"replicas": "2", "maxReplicas": "10", "scaleDownWindow": "15", "requestsTarget": "5"})
	t.Logf("the first up, with the first metrics of pods without requests: %.1f s", users.up(t).Seconds())
	users.staysAsDeclared(t)
	users.startProbe(t)
	for _, s := range []story{users, orders} {
		if body := s.ask(t, "http://"+s.Service+"/users", 1).Body; strings.Contains(body, "Ada") != (s.Service == orders.Service) {
			t.Errorf("the database, which user-service alone has, is empty, and %s answers %s", s.Service, body)
		}
	}

	start, before := time.Now(), names(orders.pods(t))
	stopUsers := users.start(t, 5*time.Minute, attack{Path: "/users", Rate: requestsForSix})
	curve := users.reaches(t, start, requestsForSix, 6, 4*time.Minute)
	usersLoad := stopUsers()
	if after := names(orders.pods(t)); !slices.Equal(before, after) {
		t.Errorf("the pods of orders, without requests, went from %v to %v", before, after)
	}
	stopOrders := orders.start(t, 5*time.Minute, attack{Path: "/users", Rate: requestsForSix})
	curve = append(curve, users.reaches(t, start, 0, 2, 4*time.Minute)...)
	all := append(curve, orders.reaches(t, start, requestsForSix, 6, 4*time.Minute)...)
	ordersLoad := stopOrders()
	for service, load := range map[string]traffic{"user-service": usersLoad, "orders": ordersLoad} {
		if load.Failed > 0 {
			t.Errorf("%s: of %d requests %d failed: %q", service, load.Requests, load.Failed, load.Errors)
		}
	}
	for _, s := range all {
		if s.cpu > 70 {
			t.Errorf("CPU scales up too: %v", s)
		}
	}
	drawPicture(t, "autoscale-requests.svg", curve)
}

// TestAnAutoscalerWithoutRequestsFailsTheUp removes the requests that an autoscaler reads,
// in all ways in which they can be missing, and restores them.
func TestAnAutoscalerWithoutRequestsFailsTheUp(t *testing.T) {
	takeFirst(t, append(allPrometheus, metrics)...)
	if err := startMonitoring(); err != nil {
		t.Fatal(err)
	}
	s := newStory(t, "no-requests")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "4"})
	s.deploy(t)
	s.startProbe(t)
	s.set(t, map[string]string{"requestsTarget": "5"})
	const unreadable = "the autoscaler cannot read %s of the pods (requestsMetric) from custom.metrics.k8s.io, so that it removes none: %s"
	t.Run("a metric that does not exist", func(t *testing.T) {
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
	defer s.start(t, 5*time.Minute, attack{Path: "/users", Rate: requestsForSix})()
	s.reaches(t, start, requestsForSix, 4, 4*time.Minute)
}
