package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// mixedLoad is 304 requests a second: on connections that are kept, on new ones, and
// slow ones of which eight are always in flight.
var mixedLoad = []project.Attack{
	{Path: "/users", Rate: 150, Connections: 16},
	{Path: "/users", Rate: 150},
	{Path: "/login", Login: true, Rate: 4, Slow: 2 * time.Second},
}

// TestAReleaseNeverCostsARequest does to a fleet under load all that is done to
// fleets in a day.
func TestAReleaseNeverCostsARequest(t *testing.T) {
	s := newStory(t, "release")
	s.up(t)
	s.startProbe(t)
	all, lost := 0, 0
	for _, disturbance := range []struct {
		name string
		do   func(*testing.T)
		pods int // in the end
	}{
		{"five image rollouts in a row", func(t *testing.T) {
			for i := range 5 {
				s.release(t, i)
			}
		}, 3},
		{"a rollout of settings", func(t *testing.T) { s.configure(t, "memoryLimit", "144Mi") }, 3},
		{"replicas 3 to 10", func(t *testing.T) { s.configure(t, "replicas", "10") }, 10},
		{"replicas 10 to 3", func(t *testing.T) { s.configure(t, "replicas", "3") }, 3},
		{"every pod evicted", s.evictAll, 3},
		{"the only pod evicted", func(t *testing.T) {
			s.configure(t, "replicas", "1")
			s.settled(t, 1)
			s.evictAll(t)
			s.settled(t, 1)
			s.configure(t, "replicas", "3")
		}, 3},
		{"one pod deleted at a time", s.deleteEach, 3},
	} {
		t.Run(disturbance.name, func(t *testing.T) {
			load := s.underLoad(t, func(t *testing.T) {
				disturbance.do(t)
				s.settled(t, disturbance.pods)
			})
			all, lost = all+load.Requests, lost+load.Failed
			if load.Failed > 0 {
				t.Errorf("of %d requests %d failed, over %s: %q", load.Requests, load.Failed, load.FailingFor, load.Errors)
			}
		})
	}
	t.Logf("%d of %d requests lost", lost, all)

	t.Run("a container killed with SIGKILL", func(t *testing.T) {
		load := s.underLoad(t, s.killOne)
		if load.FailingFor > 5*time.Second {
			t.Errorf("requests failed for %s", load.FailingFor)
		}
		t.Logf("%d requests failed, for %.2f s: %q", load.Failed, load.FailingFor.Seconds(), load.Errors)
	})
}

// TestWithoutTheDrainRequestsAreLost proves that the test above can fail: it takes
// the drain out of the pod and of the service.
func TestWithoutTheDrainRequestsAreLost(t *testing.T) {
	s := newStory(t, "undrained")
	s.edit(t, "internal/stack/workload.go", "Seconds: pulumi.Int(preStopSeconds)", "Seconds: pulumi.Int(0)")
	s.edit(t, "app/config.go", `"DRAIN_DELAY", 5*time.Second`, `"DRAIN_DELAY", 0`)
	s.edit(t, "app/config.go", `"SHUTDOWN_TIMEOUT", writeTimeout`, `"SHUTDOWN_TIMEOUT", time.Millisecond`)
	s.up(t)
	s.startProbe(t)
	load := s.underLoad(t, func(t *testing.T) {
		for i := range 2 {
			s.release(t, i)
		}
		s.deleteEach(t)
	})
	if load.Failed == 0 {
		t.Error("no request was lost")
	}
	t.Logf("%d of %d requests lost: %q", load.Failed, load.Requests, load.Errors)
}

// release releases another version of the service.
func (s story) release(t *testing.T, version int) {
	t.Helper()
	s.editSource(t, func(source string) string {
		return strings.Replace(source, "Grace", fmt.Sprintf("Grace %d", version), 1)
	})
	s.up(t)
}

func (s story) configure(t *testing.T, key, value string) {
	t.Helper()
	s.set(t, map[string]string{key: value})
	s.up(t)
}

// evictAll evicts every pod through the Eviction API, as a drain of nodes does:
// where the disruption budget says no, it asks again.
func (s story) evictAll(t *testing.T) {
	refused := 0
	for _, pod := range project.Ready(s.pods(t)) {
		eviction := filepath.Join(t.TempDir(), "eviction.json")
		body := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": %q}}`, pod.Name, s.Namespace)
		if err := os.WriteFile(eviction, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", s.Namespace, pod.Name)
		_, _, err := s.WaitForPods(t.Context(), podDeadline, func([]project.Pod) bool {
			out, err := s.Kubectl(t.Context(), "create", "--raw="+path, "--filename="+eviction)
			if err != nil && !strings.Contains(out, "disruption budget") {
				t.Fatal(err)
			}
			if err != nil {
				refused++
			}
			return err == nil
		})
		if err != nil {
			t.Fatalf("evict %s: %v", pod.Name, err)
		}
	}
	t.Logf("the budget refused %d times", refused)
}

// deleteEach deletes one pod after the other, each when there are three again.
func (s story) deleteEach(t *testing.T) {
	for _, pod := range project.Ready(s.pods(t)) {
		s.kubectl(t, "delete", "pod", pod.Name, "--wait=false")
		_, _, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool {
			return len(project.Ready(pods)) == 3 && !slices.Contains(names(pods), pod.Name)
		})
		if err != nil {
			t.Fatalf("three pods without %s: %v", pod.Name, err)
		}
	}
}

// killOne kills the process of one container, from outside: inside there is no
// shell. It waits until the same pod is ready again.
func (s story) killOne(t *testing.T) {
	victim := s.pods(t)[0]
	pid := processOfPod(t, s, victim.Name)
	if out, err := exec.Command("kill", "-KILL", pid).CombinedOutput(); err != nil {
		t.Fatalf("kill %s: %v: %s", pid, err, out)
	}
	_, took, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool {
		return slices.ContainsFunc(project.Ready(pods), func(p project.Pod) bool {
			return p.Name == victim.Name && p.Restarts > victim.Restarts
		})
	})
	if err != nil {
		t.Fatalf("the same pod ready again: %v", err)
	}
	t.Logf("the same pod ready again %.1f s after the crash", took.Seconds())
}

// underLoad does something under the mixed load, prints how each part of the load
// went, and returns the sum of them.
func (s story) underLoad(t *testing.T, do func(*testing.T)) project.Load {
	t.Helper()
	start := time.Now()
	var stops []func() (project.Load, error)
	for _, attack := range mixedLoad {
		stops = append(stops, s.Start(t.Context(), 10*time.Minute, attack))
	}
	s.allAnswer(t, len(project.Ready(s.pods(t))), 60)
	do(t)
	took := time.Since(start)
	var sum project.Load
	for i, stop := range stops {
		load, err := stop()
		if err != nil {
			t.Fatal(err)
		}
		a := mixedLoad[i]
		t.Logf("%6d requests to %s, %d a second, %d connections kept, sent in %s: %d failed, median %s, longest %s",
			load.Requests, a.Path, a.Rate, a.Connections, a.Slow, load.Failed,
			load.Latencies.P50.Round(time.Millisecond), load.Latencies.Max.Round(time.Millisecond))
		sum.Requests += load.Requests
		sum.Failed += load.Failed
		sum.FailingFor = max(sum.FailingFor, load.FailingFor)
		sum.Errors = append(sum.Errors, load.Errors...)
	}
	sum.Rate = float64(sum.Requests) / took.Seconds()
	t.Logf("%.0f requests a second for %.0f s", sum.Rate, took.Seconds())
	return sum
}
