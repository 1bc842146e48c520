package stack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWhatThePodsSayIsSaidOnceForAll(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		api  apiServer
		want string // between what is lacking and what to do
	}{
		"crashing": {
			healthy.with("prod/pods", newPods(2, `"containerStatuses": [{"restartCount": 2,
				"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting pod a"}},
				"lastState": {"terminated": {"reason": "Error", "exitCode": 3, "message": "dialing\nno database today\n"}}}]`)),
			"2 of its pods: CrashLoopBackOff: Error, exit code 3; the last log lines of one:\n    dialing\n    no database today\n",
		},
		"ready, after it died once": {
			healthy.with("prod/pods", newPods(1, `"containerStatuses": [{"ready": true, "restartCount": 1, "state": {},
				"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]`)),
			"1 of its pods: OOMKilled, exit code 137\n",
		},
		"without an image": {
			healthy.with("prod/pods", newPods(2, `"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "x: not found"}}}]`)),
			"2 of its pods: ImagePullBackOff: x: not found\n",
		},
		"without a node": {
			healthy.with("prod/pods", newPods(2, `"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
				"reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient memory."}]`)),
			"2 of its pods: Unschedulable: 0/1 nodes are available: 1 Insufficient memory.\n",
		},
		"never ready": {
			healthy.with("prod/pods", newPods(1, `"containerStatuses": [{"state": {"running": {}}}]`)).
				with("prod/events", `{"kind": "EventList", "items": [
					{"message": "Readiness probe failed: 503", "lastTimestamp": "2026-01-01T00:00:02Z"},
					{"message": "an older one", "lastTimestamp": "2026-01-01T00:00:01Z"}]}`).
				with("a/log", "listening\nwaiting for a leader\n"),
			"1 of its pods: running and not ready: Readiness probe failed: 503; the last log lines of one:\n    listening\n    waiting for a leader\n",
		},
		"well": {healthy.with("prod/pods", newPods(2, `"containerStatuses": [{"ready": true, "state": {"running": {}}}]`)), ""},
		"of the last release": {
			healthy.with("prod/pods", strings.ReplaceAll(newPods(2, `"phase": "Pending"`), `"new"`, `"old"`)), "",
		},
		"not even made": {
			healthy.with("deployments/user-service-deployment", `{"kind": "Deployment", "status": {"conditions": [
				{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}}`),
			"1 of its pods: FailedCreate: exceeded quota\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.api.live(t).explain(t.Context(), errors.New("1 of 2 pods are available"))
			want := "the release is not out after 25s (rolloutTimeout): 1 of 2 pods are available\n" + test.want +
				"Mend that and run `pulumi up` again; to look closer: `kubectl --context here --namespace prod get pods`"
			expect(t, err, want, false)
		})
	}
}

func TestWhatThePodsSayIsRepeatedWithoutSecrets(t *testing.T) {
	t.Parallel()
	l := healthy.with("prod/pods", newPods(1, `"containerStatuses": [{
		"state": {"terminated": {"reason": "Error", "exitCode": 1, "message": "dial t0ken-1 and t0ken-1-more as open-sesame, on 12"}}}]`)).live(t)
	l.SecretEnv = map[string]string{"TOKEN": "t0ken-1", "LONGER": "t0ken-1-more", "SHORT": "12"}
	l.RegistryLogin.Password = "open-sesame"
	err := l.explain(t.Context(), errors.New("0 of 2"))
	if want := "dial [secret] and [secret] as [secret], on 12"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("the error does not say %q but\n%v", want, err)
	}
}

// newPods are pods of the newest release, each with this status.
func newPods(count int, status string) string {
	one := fmt.Sprintf(`{"metadata": {"name": "a", "labels": {"pod-template-hash": "new"}}, "status": {%s}}`, status)
	return `{"kind": "PodList", "items": [` + strings.Join(slices.Repeat([]string{one}, count), ",") + `]}`
}
