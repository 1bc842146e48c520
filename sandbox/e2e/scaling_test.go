package e2e

import (
	"bufio"
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// One login costs some 50 ms of a core. The autoscaler gives each pod 70 of its
// 100 millicores to use, so eight a second keep about six pods busy, and twenty
// more than ten.
const (
	loginsForSix = 8
	loginsForTen = 20
)

// TestTheFleetFollowsTheLoad takes a fleet of two to ten from two to ten with real
// requests and, when they end, back to two.
func TestTheFleetFollowsTheLoad(t *testing.T) {
	s := newStory(t, "load")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "10", "scaleDownWindow": "15"})
	s.up(t)
	s.startProbe(t)

	start := time.Now()
	stop := s.Login(t.Context(), loginsForTen, 4*time.Minute)
	s.reaches(t, start, loginsForTen, 10, 4*time.Minute)
	load, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	// Until the first new pods are ready two carry it all, and may turn some away.
	if load.Success < 0.95 {
		t.Errorf("of %d logins %.2f %% succeeded: %v, %v", load.Requests, 100*load.Success, load.StatusCodes, load.Errors)
	}
	t.Logf("%d logins, %.1f a second, %v, median %s, 99th percentile %s", load.Requests, load.Rate, load.StatusCodes,
		load.Latencies.P50.Round(time.Millisecond), load.Latencies.P99.Round(time.Millisecond))
	s.reaches(t, start, 0, 2, 6*time.Minute)
}

// reaches waits for a count of ready pods and prints the way there.
func (s story) reaches(t *testing.T, start time.Time, load, count int, timeout time.Duration) {
	t.Helper()
	last := -1
	_, _, err := s.WaitForPods(t.Context(), timeout, func(pods []project.Pod) bool {
		ready := len(project.Ready(pods))
		if ready != last {
			cpu, err := s.CPU(t.Context())
			if err != nil {
				t.Error(err)
			}
			t.Logf("%4.0f s: %2d logins/s, %3d %% CPU, %2d pods ready", time.Since(start).Seconds(), load, cpu, ready)
			last = ready
		}
		return ready == count && len(pods) == count
	})
	if err != nil {
		t.Fatalf("%d pods at %d logins a second: %v", count, load, err)
	}
}

// TestEveryChangeOfSettingsKeepsTheFleet changes settings, source and state while
// the service is busy. The fleet must never have fewer ready pods than the smaller
// of two settings asks for, and must end where the settings or the autoscaler say.
func TestEveryChangeOfSettingsKeepsTheFleet(t *testing.T) {
	s := newStory(t, "changes")
	s.up(t)
	s.startProbe(t)
	stop := s.Login(t.Context(), loginsForSix, 10*time.Minute)
	defer func() {
		load, err := stop()
		if err != nil {
			t.Error(err)
		}
		t.Logf("%d logins meanwhile, %.2f %% succeeded: %v", load.Requests, 100*load.Success, load.StatusCodes)
	}()

	for _, change := range []struct {
		name       string
		settings   map[string]string
		also       func(*testing.T)
		floor      int // at no time fewer ready
		least, top int // in the end
	}{
		{"fixed, up", map[string]string{"replicas": "6"}, nil, 3, 6, 6},
		{"fixed, down", map[string]string{"replicas": "4"}, nil, 4, 4, 4},
		{"fixed to autoscaled", map[string]string{"replicas": "2", "maxReplicas": "8"}, nil, 2, 5, 8},
		{"an image rollout at the autoscaler's count", nil, func(t *testing.T) {
			s.editSource(t, func(source string) string { return strings.Replace(source, "Grace Hopper", "Grace Murray Hopper", 1) })
		}, 5, 5, 8},
		{"a rollout of settings at the autoscaler's count", map[string]string{"memoryLimit": "144Mi"}, nil, 5, 5, 8},
		{"a refresh at the autoscaler's count", nil, func(t *testing.T) {
			if _, err := s.Pulumi(t.Context(), "refresh", "--stack=dev", "--yes", "--skip-preview"); err != nil {
				t.Fatal(err)
			}
		}, 5, 5, 8},
		{"another target", map[string]string{"cpuTarget": "80"}, nil, 4, 4, 8},
		{"floor above the live count", map[string]string{"replicas": "8", "maxReplicas": "9"}, nil, 4, 8, 9},
		{"floor lowered", map[string]string{"replicas": "3"}, nil, 3, 4, 9},
		{"ceiling below the live count", map[string]string{"replicas": "2", "maxReplicas": "4"}, nil, 2, 4, 4},
		{"autoscaled to fixed, while busy", map[string]string{"replicas": "5", "maxReplicas": "5"}, nil, 4, 5, 5},
		{"two at once: image and floor", map[string]string{"replicas": "6", "maxReplicas": "8"}, func(t *testing.T) {
			s.editSource(t, func(source string) string { return strings.Replace(source, "Barbara Liskov", "Barbara Jane Liskov", 1) })
		}, 5, 6, 8},
	} {
		t.Run(change.name, func(t *testing.T) {
			fewest := s.watchReady(t)
			start := time.Now()
			s.set(t, change.settings)
			if change.also != nil {
				change.also(t)
			}
			s.up(t)
			pods, _, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool {
				ready := len(project.Ready(pods))
				return ready == len(pods) && change.least <= ready && ready <= change.top
			})
			if err != nil {
				t.Fatalf("%d to %d ready pods and no others: %v", change.least, change.top, err)
			}
			took := time.Since(start)
			if seen := fewest(); seen < change.floor {
				t.Errorf("only %d pods were ready at one time, want %d at least", seen, change.floor)
			} else {
				t.Logf("%d pods in the end, never fewer than %d ready, %.1f s", len(pods), seen, took.Seconds())
			}
			if _, err := s.Pulumi(t.Context(), "preview", "--stack=dev", "--refresh", "--expect-no-changes"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheNextUpMendsWhatWasDone does to a fleet what happens to fleets, and runs
// the one command that the README names. From then on there must at no time be
// fewer ready pods than declared.
func TestTheNextUpMendsWhatWasDone(t *testing.T) {
	s := newStory(t, "trouble")
	s.up(t)
	declared := s.limits(t)
	for _, trouble := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"scaled up by hand", func(t *testing.T) {
			s.kubectl(t, "scale", "deployment/user-service-deployment", "--replicas=6")
		}},
		{"edited by hand", func(t *testing.T) {
			s.kubectl(t, "set", "resources", "deployment/user-service-deployment", "--limits=memory=200Mi")
			s.kubectl(t, "rollout", "status", "deployment/user-service-deployment", "--timeout=60s")
		}},
		{"the autoscaler deleted", func(t *testing.T) {
			s.kubectl(t, "delete", "hpa", "user-service-hpa")
		}},
		{"an up interrupted in mid-rollout", func(t *testing.T) {
			s.editSource(t, func(source string) string { return strings.Replace(source, "Ada Lovelace", "Ada King", 1) })
			s.interruptedUp(t)
		}},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			trouble.do(t)
			fewest := s.watchReady(t)
			took := s.up(t, "--refresh")
			s.settled(t, 3)
			if limits := s.limits(t); limits != declared {
				t.Errorf("the limits are %s, declared are %s", limits, declared)
			}
			if seen := fewest(); seen < 3 {
				t.Errorf("only %d pods were ready at one time, want 3", seen)
			} else {
				t.Logf("mended in %.1f s, never fewer than %d ready", took.Seconds(), seen)
			}
			if _, err := s.Pulumi(t.Context(), "preview", "--stack=dev", "--refresh", "--expect-no-changes"); err != nil {
				t.Error(err)
			}
		})
	}
}

func (s story) limits(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployment", "user-service-deployment",
		"--output=jsonpath={.spec.template.spec.containers[0].resources.limits}")
}

// interruptedUp interrupts pulumi up, as Ctrl-C does, as soon as a pod of the new
// release is there.
func (s story) interruptedUp(t *testing.T) {
	t.Helper()
	before := len(s.pods(t))
	up := s.Command(t.Context(), "pulumi", "up", "--stack=dev", "--yes", "--skip-preview", "--non-interactive")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool { return len(pods) > before }); err != nil {
		t.Errorf("a pod of the new release: %v", err)
	}
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := up.Wait(); err == nil {
		t.Error("the interrupted up calls itself a success")
	}
}

// watchReady watches the Deployment, from its first event on; the function it
// returns ends that and tells the fewest ready pods seen at any event.
func (s story) watchReady(t *testing.T) (fewest func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	watch := s.Command(ctx, "kubectl", "--namespace="+s.Namespace, "get", "deployment", "user-service-deployment",
		"--watch", `--output=jsonpath={.status.readyReplicas}{"\n"}`)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the watch of the Deployment ends without an event: %v", watch.Wait())
	}
	// The field is left out, and the line empty, when no pod is ready.
	ready := func() int { count, _ := strconv.Atoi(lines.Text()); return count }
	least := ready()
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines.Scan() {
			least = min(least, ready())
		}
	})
	return func() int {
		cancel()
		reading.Wait()
		_ = watch.Wait() // it was killed
		return least
	}
}
