package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAHundredPods scales a service from ten pods to a hundred. Pulumi must not need
// more CPU time because there are more pods. It runs alone, because pods of others would
// wait for them, and first: they terminate while the next test mostly waits.
func TestAHundredPods(t *testing.T) {
	s := newStory(t, "hundred")
	s.set(t, map[string]string{"replicas": "10", "cpuRequest": "5m", "memoryRequest": "16Mi", "rolloutTimeout": "300"})
	s.deploy(t)
	costOfTen := s.costOfNoChange(t)

	s.set(t, map[string]string{"replicas": "100"})
	took := s.up(t)
	if ready := len(readyPods(s.pods(t))); ready != 100 {
		t.Errorf("%d pods are ready after up, want 100", ready)
	}
	t.Logf("10 → 100, all ready: %.1f s", took.Seconds())
	costOfHundred := s.costOfNoChange(t)
	ratio := costOfHundred.Seconds() / costOfTen.Seconds()
	t.Logf("preview and up without changes: %.2f s of CPU with ten pods, %.2f s with a hundred, ratio %.2f",
		costOfTen.Seconds(), costOfHundred.Seconds(), ratio)
	if ratio > 1.5 {
		t.Errorf("preview and up cost %.2f times as much with a hundred pods as with ten", ratio)
	}
	s.waitForPodMetrics(t, func(pods int) bool { return pods == 100 })
	t.Logf("memory per pod: %s", s.memoryPerPod(t))
}

// costOfNoChange is the CPU time of an up without changes, and of its preview: the lower
// of two.
func (s story) costOfNoChange(t *testing.T) time.Duration {
	t.Helper()
	least := time.Hour
	for range 2 {
		up := s.command(t.Context(), "pulumi", "up", "--stack=dev", "--yes", "--expect-no-changes", "--non-interactive")
		if out, err := up.CombinedOutput(); err != nil {
			t.Fatalf("up: %v\n%s", err, out)
		}
		least = min(least, up.ProcessState.UserTime()+up.ProcessState.SystemTime())
	}
	return least
}

// memoryPerPod is the average and the maximum of what metrics-server reports.
func (s story) memoryPerPod(t *testing.T) string {
	t.Helper()
	var sum, largest float64
	lines := strings.Split(strings.TrimSpace(s.kubectl(t, "top", "pods", "--selector=app=user-service", "--no-headers")), "\n")
	for _, line := range lines {
		fields := strings.Fields(line) // name, CPU, memory in Mi
		mebibytes, err := strconv.ParseFloat(strings.TrimSuffix(fields[len(fields)-1], "Mi"), 64)
		if err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		sum, largest = sum+mebibytes, max(largest, mebibytes)
	}
	return fmt.Sprintf("%.1f MiB on average, %.0f MiB at most, of %d pods", sum/float64(len(lines)), largest, len(lines))
}
