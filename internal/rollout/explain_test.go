package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestWhatKeepsPodsFromBeingReadyIsReportedOncePerProblem(t *testing.T) {
	t.Parallel()
	orders := func(ready bool, waitingReason, waitingMessage string, ended *corev1.ContainerStateTerminated) corev1.PodStatus {
		c := corev1.ContainerStatus{Name: "orders", Ready: ready, LastTerminationState: corev1.ContainerState{Terminated: ended}}
		if waitingReason != "" {
			c.State.Waiting = &corev1.ContainerStateWaiting{Reason: waitingReason, Message: waitingMessage}
		}
		injected := corev1.ContainerStatus{Name: "injected", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{injected, c}}
	}
	crashing := orders(false, "CrashLoopBackOff", "back-off 20s", &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 3, Message: "connecting\nno database\n"})
	exited := orders(false, "", "", nil)
	exited.ContainerStatuses[1].State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed"}
	sidecar := orders(true, "", "", nil)
	sidecar.ContainerStatuses[0].Ready = false
	initializing := orders(false, "PodInitializing", "", nil)
	initializing.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "y: not found"}}}}
	gated := orders(true, "", "", nil)
	gated.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady", Message: "the load balancer has no target"}}
	unscheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "Insufficient memory."}
	for name, test := range map[string]struct {
		revision string
		status   corev1.PodStatus
		want     string
	}{
		"crashing":                 {"2", crashing, "2 of its pods: CrashLoopBackOff: Error, exit code 3; the last log lines of one:\n    connecting\n    no database\n"},
		"of the previous revision": {"1", crashing, ""},
		"exited":                   {"2", exited, "2 of its pods: Completed, exit code 0\n"},
		"ready again":              {"2", orders(true, "", "", &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}), "2 of its pods: OOMKilled, exit code 137\n"},
		"without an image":         {"2", orders(false, "ImagePullBackOff", "x: not found", nil), "2 of its pods: ImagePullBackOff: x: not found\n"},
		"as root":                  {"2", orders(false, "CreateContainerConfigError", `image will run as root (pod: "a", container: orders)`, nil), "2 of its pods: CreateContainerConfigError: image will run as root\n"},
		"being created":            {"2", orders(false, "ContainerCreating", "", nil), "2 of its pods: ContainerCreating: the latest\n"},
		"without containers":       {"2", corev1.PodStatus{Phase: corev1.PodPending}, "2 of its pods: Pending: the latest\n"},
		"without a node":           {"2", corev1.PodStatus{Conditions: []corev1.PodCondition{unscheduled}}, "2 of its pods: Unschedulable, for platform linux/arm64: Insufficient memory. (if the cluster is adding nodes, raise rolloutTimeout)\n"},
		"never ready":              {"2", orders(false, "", "", nil), "2 of its pods: running and not ready: the latest; the last log lines of one:\n    fake logs\n"},
		"beside an unready one":    {"2", sidecar, "2 of its pods: container injected, which others have added: running and not ready: the latest; the last log lines of one:\n    fake logs\n"},
		"being initialized":        {"2", initializing, "2 of its pods: container init, which others have added: ImagePullBackOff: y: not found\n"},
		"behind a readiness gate":  {"2", gated, "2 of its pods: ReadinessGatesNotReady: the load balancer has no target\n"},
		"ready":                    {"2", orders(true, "", "", nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := []runtime.Object{newDeployment("orders", 2), newReplicaSet("1"), newReplicaSet("2"), newWarning("the latest", 2), newWarning("an older", 1)}
			for _, pod := range []string{"a", "b"} {
				labelled := &corev1.Pod{ObjectMeta: metadata(pod), Status: test.status}
				labelled.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "hash-" + test.revision
				objects = append(objects, labelled)
			}
			r := newRollout(objects...)
			checkExplanation(t, r, test.want)
			for _, action := range r.Interface.(*fake.Clientset).Actions() {
				if log, ok := action.(clienttesting.GenericActionImpl); ok && log.Value.(*corev1.PodLogOptions).Container != map[bool]string{true: "injected", false: "orders"}[name == "beside an unready one"] {
					t.Errorf("the log is that of %+v", log.Value)
				}
			}
		})
	}
}

func TestADeploymentThatCannotCreatePodsIsReported(t *testing.T) {
	t.Parallel()
	d := newDeployment("orders", 2)
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota"}}
	checkExplanation(t, newRollout(d), "1 of its pods: FailedCreate: exceeded quota\n")
	checkExplanation(t, newRollout(), "what its pods report is unknown: deployments.apps \"orders-deployment\" not found\n")
}

func TestAProbeThatEndsAContainerIsNamed(t *testing.T) {
	t.Parallel()
	r := newRollout(newEvent("Killing", "Container orders failed startup probe, will be restarted"), newEvent("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 404"))
	r.Interface.(*fake.Clientset).PrependReactor("list", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
		kind := action.(clienttesting.ListAction).GetListRestrictions().Fields
		reason, _ := kind.RequiresExactMatch("reason")
		event, err := r.Interface.(*fake.Clientset).Tracker().Get(corev1.SchemeGroupVersion.WithResource("events"), "prod", reason)
		if err != nil {
			return true, &corev1.EventList{}, nil
		}
		return true, &corev1.EventList{Items: []corev1.Event{*event.(*corev1.Event)}}, nil
	})
	r.args.LivenessPath, r.args.ReadinessPath, r.args.Port = "/livez", "/readyz", 8080
	got := r.failedProbe(t.Context(), corev1.Pod{})
	if want := ": Container orders failed startup probe, will be restarted: Startup probe failed: HTTP probe failed with statuscode: 404 (livenessPath is /livez, readinessPath /readyz, port 8080)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := newRollout(newEvent("Killing", "Stopping container orders")).failedProbe(t.Context(), corev1.Pod{}); got != "" {
		t.Errorf("without a probe, got %q", got)
	}
}

// checkExplanation compares what is between the last error and what to do.
func checkExplanation(t *testing.T, r rollout, want string) {
	t.Helper()
	checkError(t, r.explain(t.Context(), errors.New("1 of 2 pods are available")),
		"orders: the rollout did not finish within 25s (rolloutTimeout): 1 of 2 pods are available\n"+want+
			"Fix this and run `pulumi up` again; for more: `kubectl --context here --namespace prod get pods`", false)
}

func newReplicaSet(revision string) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{ObjectMeta: metadata("orders-deployment-" + revision)}
	set.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "hash-" + revision
	set.Annotations = map[string]string{"deployment.kubernetes.io/revision": revision}
	return set
}

func newWarning(message string, seconds int64) *corev1.Event {
	return &corev1.Event{ObjectMeta: metadata(strings.Fields(message)[1]), Message: message, LastTimestamp: metav1.NewTime(time.Unix(seconds, 0))}
}

func newEvent(reason, message string) *corev1.Event {
	return &corev1.Event{ObjectMeta: metadata(reason), Reason: reason, Message: message}
}
