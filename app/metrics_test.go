package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMetricsCountRequestsByRouteMethodAndCode(t *testing.T) {
	s, _ := newTestService(t)
	for _, path := range []string{"/users", "/users", "/users/1", "/users/2", "/users/none", "/none", "//none"} {
		get(s.handler(), path)
	}
	ask(s.handler(), loginRequest("{"))
	ask(s.handler(), httptest.NewRequest("BREW", "/users", nil))

	got := bodyOf(t, get(s.handler(), "/metrics"))
	for _, line := range []string{
		`http_requests_total{code="200",method="GET",route="/users"} 2`,
		`http_requests_total{code="200",method="GET",route="/users/{id}"} 2`,
		`http_requests_total{code="404",method="GET",route="/users/{id}"} 1`,
		`http_requests_total{code="404",method="GET",route="unmatched"} 2`,
		`http_requests_total{code="400",method="POST",route="/login"} 1`,
		`http_requests_total{code="405",method="other",route="/users"} 1`,
		`http_request_duration_seconds_count{code="200",method="GET",route="/users"} 2`,
		`http_request_duration_seconds_bucket{code="200",method="GET",route="/users",le="+Inf"} 2`,
		`http_requests_in_flight 1`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("the line is missing: %s", line)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(got, "\n"+name) {
			t.Errorf("the metric is missing: %s", name)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestMetricsOfTwoServicesAreApart(t *testing.T) {
	one, _ := newTestService(t)
	two, _ := newTestService(t)
	get(one.handler(), "/users")
	if got := bodyOf(t, get(two.handler(), "/metrics")); !strings.Contains(got, `route="/users"} 0`) {
		t.Errorf("the second service counts the first one's request, or does not begin at 0:\n%s", got)
	}
}
