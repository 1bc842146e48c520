package e2e

import (
	"bufio"
	"context"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// One login costs some 50 ms of a core. The autoscaler aims at 70 % of each pod's CPU
// request, so one a second needs about six pods, and three more than ten.
const (
	cpuRequest   = "13m"
	loginsForSix = 1
	loginsForTen = 3
)

// TestTheReplicasFollowTheLoad scales a service of two to ten pods from two to ten with
// real requests and, when they end, back to two.
func TestTheReplicasFollowTheLoad(t *testing.T) {
	takeFirst(t, logins, metrics)
	s := newStory(t, "load")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "10", "scaleDownWindow": "15", "cpuRequest": cpuRequest})
	s.deploy(t)
	s.startProbe(t)

	start := time.Now()
	stop := s.login(t, loginsForTen, 4*time.Minute)
	samples := s.reaches(t, start, loginsForTen, 10, 4*time.Minute)
	load := stop()
	// Until new pods are ready, two get all logins, with what CPU the machine has left,
	// and reject those that are too many.
	if load.Success < 0.5 {
		t.Errorf("of %d logins %.2f %% succeeded: %v, %v", load.Requests, 100*load.Success, load.StatusCodes, load.Errors)
	}
	t.Logf("%d logins, %.1f a second, %v, median %s, 99th percentile %s", load.Requests, load.Rate, load.StatusCodes,
		load.Latencies.P50.Round(time.Millisecond), load.Latencies.P99.Round(time.Millisecond))
	drawPicture(t, "autoscale.svg", append(samples, s.reaches(t, start, 0, 2, 6*time.Minute)...))
}

// reaches waits for a number of ready pods and prints a sample at each change and
// every five seconds.
func (s story) reaches(t *testing.T, start time.Time, load, count int, timeout time.Duration) (samples []sample) {
	t.Helper()
	last := sample{ready: -1}
	_, _, err := s.waitForPods(t.Context(), timeout, func(pods []corev1.Pod) bool {
		now := sample{at: time.Since(start), load: load, ready: len(readyPods(pods))}
		if now.ready != last.ready || now.at-last.at >= 5*time.Second {
			now.cpu, now.requests = s.metrics(t)
			t.Logf("%s  %v", s.Service, now)
			samples, last = append(samples, now), now
		}
		return now.ready == count && len(pods) == count
	})
	if err != nil {
		t.Fatalf("%d pods of %s at %d requests a second: %v", count, s.Service, load, err)
	}
	return samples
}

// metrics are the pods' averages that the autoscaler read last: CPU, in percent of the
// request, and requests a second; -1 for one that it has not read.
func (s story) metrics(t *testing.T) (cpu, requests int) {
	t.Helper()
	hpa, err := s.cluster.AutoscalingV2().HorizontalPodAutoscalers(s.Namespace).Get(t.Context(), s.Service+"-hpa", metav1.GetOptions{})
	if err != nil {
		t.Error(err)
		return -1, -1
	}
	cpu, requests = -1, -1
	for _, metric := range hpa.Status.CurrentMetrics {
		if of := metric.ContainerResource; of != nil && of.Current.AverageUtilization != nil {
			cpu = int(*of.Current.AverageUtilization)
		}
		if of := metric.Pods; of != nil && of.Current.AverageValue != nil {
			requests = int(math.Round(of.Current.AverageValue.AsApproximateFloat64()))
		}
	}
	return cpu, requests
}

// TestEveryChangeOfSettingsKeepsTheReplicas changes settings, source and state while
// the service is busy. There must never be fewer ready pods than the lower of both
// settings, and in the end as many as the settings or the autoscaler require.
func TestEveryChangeOfSettingsKeepsTheReplicas(t *testing.T) {
	takeFirst(t, logins, metrics, prometheus)
	if err := startMonitoring(); err != nil {
		t.Fatal(err)
	}
	s := newStory(t, "changes")
	// The autoscaler reads requests too, of which there are always too few to matter.
	s.set(t, map[string]string{"cpuRequest": cpuRequest, "requestsTarget": "1000"})
	s.deploy(t)
	s.startProbe(t)
	stop := s.login(t, loginsForSix, 10*time.Minute)
	defer func() {
		load := stop()
		t.Logf("%d logins meanwhile, %.2f %% succeeded: %v", load.Requests, 100*load.Success, load.StatusCodes)
	}()

	for _, change := range []struct {
		name            string
		settings        map[string]string
		also            func(*testing.T)
		minReady        int // at any time
		atLeast, atMost int // in the end
	}{
		{"fixed, up", map[string]string{"replicas": "6"}, nil, 3, 6, 6},
		{"fixed, down", map[string]string{"replicas": "4"}, nil, 4, 4, 4},
		{"fixed to autoscaled", map[string]string{"replicas": "2", "maxReplicas": "8"}, nil, 2, 5, 8},
		{"an image rollout at the autoscaler's count", nil, func(t *testing.T) {
			s.renameAda(t, 1)
		}, 5, 5, 8},
		{"a rollout of settings at the autoscaler's count", map[string]string{"memoryLimit": "144Mi"}, nil, 5, 5, 8},
		{"a refresh at the autoscaler's count", nil, func(t *testing.T) {
			s.pulumi(t, "refresh", "--stack=dev", "--yes")
		}, 5, 5, 8},
		{"another target", map[string]string{"cpuTarget": "80"}, nil, 4, 4, 8},
		{"minimum above the current count", map[string]string{"replicas": "9", "maxReplicas": "10"}, nil, 4, 9, 10},
		{"minimum lowered", map[string]string{"replicas": "3"}, nil, 3, 4, 10},
		{"maximum below the current count", map[string]string{"replicas": "2", "maxReplicas": "4"}, nil, 2, 4, 4},
		{"autoscaled to fixed, while busy", map[string]string{"replicas": "5", "maxReplicas": "5"}, nil, 4, 5, 5},
		{"two at once: image and minimum", map[string]string{"replicas": "6", "maxReplicas": "8"}, func(t *testing.T) {
			s.renameAda(t, 2)
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
			pods, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool {
				ready := len(readyPods(pods))
				return ready == len(staying(pods)) && change.atLeast <= ready && ready <= change.atMost
			})
			if err != nil {
				t.Fatalf("%d to %d ready pods and no others but terminating ones: %v", change.atLeast, change.atMost, err)
			}
			took := time.Since(start)
			if seen := fewest(); seen < change.minReady {
				t.Errorf("only %d pods were ready at one time, want at least %d", seen, change.minReady)
			} else {
				t.Logf("%d pods in the end, never fewer than %d ready, %.1f s", len(staying(pods)), seen, took.Seconds())
			}
			s.staysAsDeclared(t)
		})
	}
}

// TestAnAutoscalerWithoutMetricsFailsTheUp removes the metrics, in both ways in which
// they can be missing, and restores them.
func TestAnAutoscalerWithoutMetricsFailsTheUp(t *testing.T) {
	takeFirst(t, allMetrics...)
	s := newStory(t, "no-metrics")
	autoscaled := map[string]string{"replicas": "2", "maxReplicas": "4"}
	s.set(t, map[string]string{"cpuRequest": cpuRequest})
	s.set(t, autoscaled)
	t.Logf("the first up of an autoscaled service, its first metrics included: %.1f s", s.up(t).Seconds())
	s.startProbe(t)

	t.Run("without a metrics API", func(t *testing.T) {
		s.deleteForTest(t, "apiservice", "v1beta1.metrics.k8s.io")
		s.upWithoutMetricsFails(t, "the cluster has no metrics API: install metrics-server with `kubectl --context sandbox apply")

		s.set(t, map[string]string{"maxReplicas": "2"})
		t.Logf("a fixed number of replicas needs no metrics: up in %.1f s", s.up(t).Seconds())
		s.set(t, autoscaled)
	})
	t.Run("without metrics of the pods", func(t *testing.T) {
		s.deleteForTest(t, "clusterrolebinding", "system:metrics-server")
		s.waitForPodMetrics(t, func(pods int) bool { return pods == 0 })
		s.upWithoutMetricsFails(t, "the autoscaler cannot read their CPU, so that their number does not change: metrics-server ")
	})
	t.Run("with the metrics again", func(t *testing.T) {
		start := time.Now()
		t.Logf("up: %.1f s", s.up(t).Seconds())
		stop := s.login(t, loginsForSix, 4*time.Minute)
		s.reaches(t, start, loginsForSix, 4, 3*time.Minute)
		stop()
	})
}

var compileImpatient sync.Once

// upWithoutMetricsFails runs an up that must fail within a minute, with an error that has
// the reason, while the pods serve. Its program waits for the metrics for 15 s: they never
// come, and there is no need to wait for the slowest metrics-server.
func (s story) upWithoutMetricsFails(t *testing.T, want string) {
	t.Helper()
	impatient := sandbox(t).Path("impatient")
	compileImpatient.Do(func() {
		const timeout, short = "metricsTimeout = 75 * time.Second", "metricsTimeout = 15 * time.Second"
		s.edit(t, "internal/rollout/autoscaler.go", timeout, short)
		s.run(t, "go", "build", "-o", impatient, ".")
		s.edit(t, "internal/rollout/autoscaler.go", short, timeout)
	})
	s.useProgram(t, impatient)
	defer s.useProgram(t, shipped(t))
	start := time.Now()
	out, err := s.tryUp(t)
	took := time.Since(start)
	_, diagnostics, _ := strings.Cut(out, "Diagnostics:")
	if err == nil || !strings.Contains(diagnostics, want) {
		t.Errorf("up does not fail with %q but (%v) with:%s", want, err, diagnostics)
	}
	if took > time.Minute {
		t.Errorf("up failed only after %.1f s", took.Seconds())
	}
	s.allAnswer(t, 2, 40)
	t.Logf("failed after %.1f s with:%s", took.Seconds(), diagnostics)
}

// deleteForTest deletes a cluster-scoped object, and creates it again after the test.
func (s story) deleteForTest(t *testing.T, kind, name string) {
	t.Helper()
	object := s.kubectl(t, "get", kind, name, "--output=json")
	s.kubectl(t, "delete", kind, name)
	t.Cleanup(func() {
		create := s.command(context.Background(), "kubectl", "create", "--filename=-")
		create.Stdin = strings.NewReader(object)
		if out, err := create.CombinedOutput(); err != nil {
			t.Errorf("create %s %s again: %v: %s", kind, name, err, out)
		}
	})
}

// waitForPodMetrics waits until good returns true for the number of pods with metrics.
func (s story) waitForPodMetrics(t *testing.T, good func(pods int) bool) {
	t.Helper()
	metrics := s.cluster.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/namespaces", s.Namespace, "pods").
		Param("labelSelector", "app=user-service").SetHeader("Accept", "application/json")
	count := 0
	_, _, err := s.waitForPods(t.Context(), 2*time.Minute, func([]corev1.Pod) bool {
		list, err := metrics.DoRaw(t.Context())
		count = strings.Count(string(list), `"containers"`)
		return err == nil && good(count)
	})
	if err != nil {
		t.Fatalf("metrics-server has metrics of %d pods: %v", count, err)
	}
}

// watchReady watches the Deployment, from its first event on. The function it
// returns stops that and returns the lowest number of ready pods at any event.
func (s story) watchReady(t *testing.T) (fewest func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	watch := s.command(ctx, "kubectl", "--namespace="+s.Namespace, "get", "deployment", "user-service-deployment",
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
