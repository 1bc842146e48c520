package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"user-service/sandbox/internal/cluster"
)

// TestMonitoringSeesWhatItClaims declares monitoring, tests its alerts with promtool, and
// has Prometheus answer each query of the dashboard under load.
func TestMonitoringSeesWhatItClaims(t *testing.T) {
	s := newLongStory(t, "seen", prometheus)
	if err := startMonitoring(); err != nil {
		t.Fatal(err)
	}
	s.set(t, map[string]string{"monitoring": "true"})
	s.deploy(t)
	s.staysAsDeclared(t)
	s.write(t, "rules.json", s.kubectl(t, "get", "prometheusrule", s.Service, "--output=jsonpath={.spec}"))
	s.run(t, "cp", fixture(t, "alerts-test.yaml"), ".")
	s.sh(t, sandbox(t).Path("bin", "promtool")+" test rules alerts-test.yaml")

	s.startProbe(t)
	stop := s.start(t, 5*time.Minute, attack{Path: "/users", Rate: 40})
	defer stop()
	s.dashboardShows(t, map[string]func(values []float64) bool{
		"Requests per second, by route":         func(values []float64) bool { return within(38, 42, sum(values)) },
		"Failed requests":                       func(values []float64) bool { return within(0, 0, values...) },
		"Time to answer, 99th percentile":       func(values []float64) bool { return within(1e-4, 1, values...) },
		"Requests in flight, by pod":            func(values []float64) bool { return within(1, 40, values...) }, // that of Prometheus at least
		"Pods":                                  func(values []float64) bool { return within(3, 3, values...) },
		"Requests per second of a pod, average": func(values []float64) bool { return within(12, 14, values...) },
		"CPU, by pod":                           func(values []float64) bool { return within(1e-3, 1, values...) },
		"Memory, by pod":                        func(values []float64) bool { return within(5<<20, 128<<20, values...) },
	})
	s.set(t, map[string]string{"monitoring": "false"})
	s.up(t)
	if left := s.kubectl(t, "get", "podmonitors,prometheusrules,configmaps", "--selector=app", "--output=name"); left != "" {
		t.Errorf("without monitoring there is still %s", left)
	}
}

// dashboardShows waits until each query of the dashboard returns what it claims. Rates need
// a minute of load.
func (s story) dashboardShows(t *testing.T, claims map[string]func([]float64) bool) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text := s.kubectl(t, "get", "configmap", s.Service+"-dashboard", `--output=jsonpath={.data.user-service\.json}`)
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		t.Fatalf("the dashboard is not JSON: %v\n%s", err, text)
	}
	if len(dashboard.Panels) != len(claims) {
		t.Errorf("the dashboard has %d panels, want %d", len(dashboard.Panels), len(claims))
	}
	for _, panel := range dashboard.Panels {
		var values []float64
		if err := cluster.Poll(t.Context(), panel.Title, 2*time.Minute, func(ctx context.Context) (err error) {
			if values, err = query(ctx, panel.Targets[0].Expr); err != nil {
				return err
			}
			if claim := claims[panel.Title]; claim == nil || !claim(values) {
				return fmt.Errorf("the values are %v", values)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		t.Logf("%s: %.4g", panel.Title, values)
	}
}

func within(least, most float64, values ...float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return v < least || v > most || math.IsNaN(v) })
}

func sum(values []float64) (sum float64) {
	for _, value := range values {
		sum += value
	}
	return sum
}

// query asks Prometheus. There must be a result.
func query(ctx context.Context, expression string) (values []float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cluster.Prometheus+"/api/v1/query?query="+url.QueryEscape(expression), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if len(answer.Data.Result) == 0 {
		return nil, errors.New("no result: " + answer.Error)
	}
	for _, result := range answer.Data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(result.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}
