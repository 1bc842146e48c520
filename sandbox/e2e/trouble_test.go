package e2e

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestTheNextUpMendsWhatWasDone does to a fleet what happens to fleets, and runs
// the one command that the README names. From then on there must at no time be
// fewer ready pods than declared.
func TestTheNextUpMendsWhatWasDone(t *testing.T) {
	s := newStoryBesideOthers(t, "trouble")
	s.deploy(t)
	declared := s.declared(t)
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
			_, err := s.upUntil(t, s.rollingOut(t), func(up *os.Process) {
				if err := up.Signal(os.Interrupt); err != nil {
					t.Error(err)
				}
			})
			if err == nil {
				t.Error("the interrupted up calls itself a success")
			}
		}},
		{"an up that failed half-way", func(t *testing.T) {
			s.set(t, map[string]string{"replicas": "5", "rolloutTimeout": "20", "memoryRequest": "1Ti", "memoryLimit": "1Ti"})
			if out, err := s.tryUp(t); err == nil {
				t.Errorf("up calls it a success:\n%s", out)
			}
			s.set(t, map[string]string{"replicas": "3", "rolloutTimeout": "120", "memoryRequest": "64Mi", "memoryLimit": "128Mi"})
		}},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			trouble.do(t)
			fewest := s.watchReady(t)
			took := s.up(t, "--refresh")
			s.settled(t, 3)
			if now := s.declared(t); now != declared {
				t.Errorf("the objects are %s, declared are %s", now, declared)
			}
			if seen := fewest(); seen < 3 {
				t.Errorf("only %d pods were ready at one time, want 3", seen)
			} else {
				t.Logf("mended in %.1f s, never fewer than %d ready", took.Seconds(), seen)
			}
			s.staysAsDeclared(t)
		})
	}
}

// declared are the numbers that the rows above change.
func (s story) declared(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployments,horizontalpodautoscalers", "--output",
		"jsonpath={range .items[*]}{.spec.replicas} {.spec.minReplicas} {.spec.maxReplicas} {.spec.template.spec.containers[0].resources}; {end}")
}

// TestAStoppedFleetStartsAgain scales an autoscaled fleet to zero, from where no
// autoscaler would start it.
func TestAStoppedFleetStartsAgain(t *testing.T) {
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
		t.Errorf("up does not say %q but (%v):\n%s", want, err, out)
	}
	took := s.up(t, "--refresh")
	s.settled(t, 2)
	t.Logf("started in %.1f s", took.Seconds())
	s.staysAsDeclared(t)
}
