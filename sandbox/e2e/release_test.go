package e2e

import (
	"context"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/sandbox/internal/cluster"
)

// mixedLoad is 81 requests a second: on connections that are kept, on new ones, and slow
// ones, of which some are always in flight; half of them from inside the cluster, a quarter
// through an Ingress and a quarter through a Gateway.
var mixedLoad = []attack{
	{Path: "/users", Rate: 20, Connections: 8},
	{Path: "/users", Rate: 20},
	{Path: "/login", Login: true, Rate: 1.0 / 3, Slow: 3 * time.Second},
	{Path: "/users", Rate: 10, Connections: 8, Through: cluster.BridgeAddress},
	{Path: "/users", Rate: 10, Through: cluster.BridgeAddress},
	{Path: "/login", Login: true, Rate: 1.0 / 3, Slow: 3 * time.Second, Through: cluster.BridgeAddress},
	{Path: "/users", Rate: 10, Connections: 8, Through: cluster.EdgeAddress},
	{Path: "/users", Rate: 10, Through: cluster.EdgeAddress},
	{Path: "/login", Login: true, Rate: 1.0 / 3, Slow: 3 * time.Second, Through: cluster.EdgeAddress},
}

// disturbance is a change that must not cost a request.
type disturbance struct {
	name string
	do   func(story, *testing.T)
	pods int         // in the end
	late func() bool // whether no other pod was there in time, so that requests must fail
}

// TestAReleaseNeverCostsARequest makes many changes to two services under load: what
// the owner of a service does to the one, and what a drain of nodes does to the
// other.
func TestAReleaseNeverCostsARequest(t *testing.T) {
	takeFirst(t, busy, edge, waiting)
	var all, lost atomic.Int64
	var successor time.Duration // until another pod could take over from the only one
	t.Run("two services", func(t *testing.T) {
		for namespace, disturbances := range map[string][]disturbance{
			"release": {
				{name: "five image rollouts in a row", do: func(s story, t *testing.T) {
					for i := range 5 {
						s.release(t, i)
					}
				}, pods: 3},
				{name: "a rollout of settings", do: func(s story, t *testing.T) { s.configure(t, "memoryLimit", "144Mi") }, pods: 3},
				{name: "replicas 3 to 10", do: func(s story, t *testing.T) { s.configure(t, "replicas", "10") }, pods: 10},
				{name: "replicas 10 to 3", do: func(s story, t *testing.T) { s.configure(t, "replicas", "3") }, pods: 3},
			},
			"eviction": {
				{name: "every pod evicted", do: story.evictAll, pods: 3},
				{name: "the only pod evicted", do: func(s story, t *testing.T) {
					s.configure(t, "replicas", "1")
					s.settled(t, 1)
					// Otherwise the controllers know no pod between this one and its successor.
					const haproxy, traefik = "haproxy-ingress.github.io/service-upstream", "traefik.io/service.nativelb"
					s.kubectl(t, "annotate", "ingress", s.Service, haproxy+"=true")
					s.kubectl(t, "annotate", "service", s.Service, traefik+"=true")
					defer s.kubectl(t, "annotate", "ingress", s.Service, haproxy+"-")
					defer s.kubectl(t, "annotate", "service", s.Service, traefik+"-")
					start := time.Now()
					s.evictAll(t)
					s.serve(t, 1)
					successor = time.Since(start)
					s.settled(t, 1)
					s.configure(t, "replicas", "3")
				}, pods: 3, late: func() bool { return successor > 8*time.Second }}, // of ten that the evicted one serves
				{name: "one pod deleted at a time", do: story.deleteEach, pods: 3},
			},
		} {
			t.Run(namespace, func(t *testing.T) {
				t.Parallel()
				s := newStory(t, namespace).withHost(t)
				// On a machine without idle CPU, pods get it by their requests. Those of other
				// tests need some too.
				s.set(t, map[string]string{"cpuRequest": "40m"})
				s.deploy(t)
				s.addRoute(t)
				s.startProbe(t)
				for _, d := range disturbances {
					t.Run(d.name, func(t *testing.T) {
						load := s.loseNone(t, d)
						all.Add(int64(load.Requests))
						lost.Add(int64(load.Failed))
					})
				}
				if namespace == "eviction" {
					t.Run("a container killed with SIGKILL", s.killedUnderLoad)
				}
			})
		}
	})
	t.Logf("%d of %d requests lost", lost.Load(), all.Load())
}

// loseNone makes a change to a service under load, which must answer every request.
func (s story) loseNone(t *testing.T, d disturbance) traffic {
	t.Helper()
	load := s.underLoad(t, func(t *testing.T) {
		d.do(s, t)
		s.settled(t, d.pods)
	})
	switch {
	case load.Failed > 0 && d.late != nil && d.late():
		t.Logf("these are not counted: the successor of the only pod was late: %q", load.Errors)
		load.Failed = 0
	case load.Failed > 0:
		t.Errorf("of %d requests %d failed, over %s: %q", load.Requests, load.Failed, load.FailingFor, load.Errors)
	}
	return load
}

// killedUnderLoad kills a container, which loses the requests in flight.
func (s story) killedUnderLoad(t *testing.T) {
	load := s.underLoad(t, s.killOne)
	// The kubelet notices after a second on an idle machine, later while other tests run.
	if load.FailingFor > 30*time.Second {
		t.Errorf("requests failed for %s", load.FailingFor)
	}
	t.Logf("%d of %d requests failed, for %.2f s: %q", load.Failed, load.Requests, load.FailingFor.Seconds(), load.Errors)
}

// TestWithoutTheDrainRequestsAreLost shows that the test above can fail: it removes
// the drain from the pod and from the service.
func TestWithoutTheDrainRequestsAreLost(t *testing.T) {
	s := newParallelStory(t, "undrained")
	s.edit(t, "internal/microservice/drain.go", "preStop         = 5", "preStop = 0")
	s.edit(t, "internal/microservice/drain.go", "drainDelay      = 5", "drainDelay = 0")
	s.edit(t, "internal/microservice/drain.go", "shutdownTimeout = 15 * time.Second", "shutdownTimeout = time.Millisecond")
	s.compile(t)
	s.deploy(t)
	s.startProbe(t)
	load := s.underLoad(t, func(t *testing.T) {
		for _, limit := range []string{"144Mi", "160Mi"} {
			s.configure(t, "memoryLimit", limit)
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
	s.renameAda(t, version)
	s.up(t)
}

func (s story) configure(t *testing.T, key, value string) {
	t.Helper()
	s.set(t, map[string]string{key: value})
	s.up(t)
}

// evictAll evicts every pod through the Eviction API, as a drain of nodes does: it
// tries again if the disruption budget does not allow it.
func (s story) evictAll(t *testing.T) {
	rejected := 0
	for _, pod := range readyPods(s.pods(t)) {
		eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: pod.Name}}
		_, _, err := s.waitForPods(t.Context(), podDeadline, func([]corev1.Pod) bool {
			err := s.cluster.PolicyV1().Evictions(s.Namespace).Evict(t.Context(), eviction)
			if apierrors.IsTooManyRequests(err) {
				rejected++
			} else if err != nil {
				t.Fatal(err)
			}
			return err == nil
		})
		if err != nil {
			t.Fatalf("evict %s: %v", pod.Name, err)
		}
	}
	t.Logf("the disruption budget rejected %d evictions", rejected)
}

// deleteEach deletes one pod after the other, each when three are ready again.
func (s story) deleteEach(t *testing.T) {
	for _, pod := range readyPods(s.pods(t)) {
		s.kubectl(t, "delete", "pod", pod.Name, "--wait=false")
		_, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool {
			return len(readyPods(pods)) == 3 && !slices.Contains(names(pods), pod.Name)
		})
		if err != nil {
			t.Fatalf("three pods without %s: %v", pod.Name, err)
		}
	}
}

// killOne kills the process of one container from the node, because the image has no
// shell. It waits until the same pod is ready again.
func (s story) killOne(t *testing.T) {
	victim := s.pods(t)[0]
	pid := processOfPod(t, s, victim.Name)
	if out, err := exec.Command("kill", "-KILL", pid).CombinedOutput(); err != nil {
		t.Fatalf("kill %s: %v: %s", pid, err, out)
	}
	_, took, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool {
		return slices.ContainsFunc(readyPods(pods), func(p corev1.Pod) bool {
			return p.Name == victim.Name && restarts(p) > restarts(victim)
		})
	})
	if err != nil {
		t.Fatalf("the same pod ready again: %v", err)
	}
	t.Logf("the same pod ready again %.1f s after the crash", took.Seconds())
}

// underLoad does something under the mixed load, prints the result of each part of the
// load, and returns the sum of them.
func (s story) underLoad(t *testing.T, do func(*testing.T)) traffic {
	t.Helper()
	start := time.Now()
	longest := askEdges(t)
	attacks := slices.DeleteFunc(slices.Clone(mixedLoad), func(a attack) bool { return a.Through != "" && s.Host == "" })
	stop := s.startAll(t, 10*time.Minute, attacks...)
	s.allAnswer(t, len(readyPods(s.pods(t))), 60)
	do(t)
	took := time.Since(start)
	stoodStill := longest()
	var sum traffic
	for i, load := range stop() {
		a := attacks[i]
		t.Logf("%6d requests to %s through %q, %.3g a second, %d connections kept, sent in %s: %d failed, median %s, longest %s",
			load.Requests, a.Path, a.Through, a.Rate, a.Connections, a.Slow, load.Failed,
			load.Latencies.P50.Round(time.Millisecond), load.Latencies.Max.Round(time.Millisecond))
		sum.Requests += load.Requests
		if still := stoodStill[a.Through]; load.Failed > 0 && still > longestStandstill {
			t.Logf("these are not counted: %q answered nobody for %s", a.Through, still)
			continue
		}
		sum.Failed += load.Failed
		sum.FailingFor = max(sum.FailingFor, load.FailingFor)
		sum.Errors = append(sum.Errors, load.Errors...)
	}
	sum.Rate = float64(sum.Requests) / took.Seconds()
	t.Logf("%.0f requests a second for %.0f s", sum.Rate, took.Seconds())
	return sum
}

// longestStandstill is how long what passes requests on may answer nobody. Far below a
// drain: one that stands still for as long loses requests, whatever the service does.
const longestStandstill = 2 * time.Second

// askEdges asks haproxy-ingress's HAProxy and Traefik for their own health, ten times a
// second. The function it returns ends that, and returns the longest time that each took.
func askEdges(t *testing.T) (longest func() map[string]time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	var lock sync.Mutex
	took := map[string]time.Duration{}
	client := http.Client{Timeout: time.Minute}
	for edge, url := range cluster.EdgeHealth {
		asking.Go(func() {
			for tick := time.Tick(100 * time.Millisecond); ctx.Err() == nil; <-tick {
				start := time.Now()
				// One that is not running refuses at once.
				if response, err := client.Get(url); err == nil {
					_ = response.Body.Close()
				}
				lock.Lock()
				took[edge] = max(took[edge], time.Since(start))
				lock.Unlock()
			}
		})
	}
	return func() map[string]time.Duration {
		cancel()
		asking.Wait()
		return took
	}
}
