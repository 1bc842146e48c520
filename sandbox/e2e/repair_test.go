package e2e

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestTheNextUpRepairsManualChanges changes what a stack has deployed, or interrupts an
// up, and runs the command that the documentation names. From then on there must never
// be fewer ready pods than declared.
func TestTheNextUpRepairsManualChanges(t *testing.T) {
	s := newParallelStory(t, "manual")
	s.deploy(t)
	declared := s.declared(t)
	for _, change := range []struct {
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
		{"an up interrupted during the rollout", func(t *testing.T) {
			s.editSource(t, func(source string) string { return strings.Replace(source, "Ada Lovelace", "Ada King", 1) })
			_, err := s.upUntil(t, s.rollingOut(t), func(up *os.Process) {
				if err := up.Signal(os.Interrupt); err != nil {
					t.Error(err)
				}
			})
			if err == nil {
				t.Error("the interrupted up succeeds")
			}
		}},
		{"an up that failed in the middle", func(t *testing.T) {
			s.set(t, map[string]string{"replicas": "5", "rolloutTimeout": "20", "memoryRequest": "1Ti", "memoryLimit": "1Ti"})
			if out, err := s.tryUp(t); err == nil {
				t.Errorf("up succeeds:\n%s", out)
			}
			s.set(t, map[string]string{"replicas": "3", "rolloutTimeout": "120", "memoryRequest": "64Mi", "memoryLimit": "128Mi"})
		}},
	} {
		t.Run(change.name, func(t *testing.T) {
			change.do(t)
			fewest := s.watchReady(t)
			took := s.up(t, "--refresh")
			s.settled(t, 3)
			if now := s.declared(t); now != declared {
				t.Errorf("the objects are %s, declared are %s", now, declared)
			}
			if seen := fewest(); seen < 3 {
				t.Errorf("only %d pods were ready at one time, want 3", seen)
			} else {
				t.Logf("repaired in %.1f s, never fewer than %d ready", took.Seconds(), seen)
			}
			s.staysAsDeclared(t)
		})
	}
}

// declared are the fields that the changes above affect.
func (s story) declared(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployments,horizontalpodautoscalers", "--output",
		"jsonpath={range .items[*]}{.spec.replicas} {.spec.minReplicas} {.spec.maxReplicas} {.spec.template.spec.containers[0].resources}; {end}")
}

// TestAServiceScaledToZeroStartsAgain scales an autoscaled service to zero, which
// switches its autoscaler off.
func TestAServiceScaledToZeroStartsAgain(t *testing.T) {
	t.Parallel()
	take(t, metrics)
	s := newStory(t, "stopped")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "4"})
	s.deploy(t)
	s.kubectl(t, "scale", "deployment/user-service-deployment", "--replicas=0")
	if _, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool { return len(pods) == 0 }); err != nil {
		t.Fatal(err)
	}
	const want = "the Deployment has been scaled to 0: start it again with `pulumi up --refresh`"
	if out, err := s.tryUp(t); err == nil || !strings.Contains(out, want) {
		t.Errorf("up does not fail with %q but (%v):\n%s", want, err, out)
	}
	took := s.up(t, "--refresh")
	s.settled(t, 2)
	t.Logf("started in %.1f s", took.Seconds())
	s.staysAsDeclared(t)
}
