package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
)

// explain adds to a rollout's last error what its pods report, one line for each kind of
// problem.
func (r rollout) explain(ctx context.Context, last error) error {
	if cluster.IsPermanent(last) {
		return fmt.Errorf("%s: %w", r.name, last)
	}
	problems, err := r.problems(ctx)
	return r.report(fmt.Sprintf("the rollout did not finish within %v (rolloutTimeout): %v", r.args.RolloutTimeout, last), problems, err,
		"; for more: "+r.Kubectl("--namespace "+r.Namespace+" get pods"))
}

// report is an error that says what has failed, and which problems the pods have, if that
// is known.
func (r rollout) report(what string, problems []problem, unknown error, more string) error {
	lines := []string{r.name + ": " + what}
	if unknown != nil {
		lines = append(lines, fmt.Sprintf("what its pods report is unknown: %v", unknown))
	}
	count, log := map[string]int{}, map[string]string{}
	for _, p := range problems {
		count[p.what]++
		log[p.what] = p.log
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		lines = append(lines, fmt.Sprintf("%d of its pods: %s%s", count[what], what, indent(log[what])))
	}
	lines = append(lines, "Fix this and run `pulumi up` again"+more)
	return errors.New(r.redact(strings.Join(lines, "\n")))
}

// problem is why a pod is not ready, in words that are the same for all pods with that
// problem, and the end of this pod's log.
type problem struct{ what, log string }

// problems are those of the pods of the new revision, or of the Deployment if it cannot
// create pods.
func (r rollout) problems(ctx context.Context) (problems []problem, err error) {
	d, err := r.deployment(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return []problem{{what: c.Reason + ": " + c.Message}}, nil
		}
	}
	sets, err := r.AppsV1().ReplicaSets(r.Namespace).List(ctx, r.selector())
	if err != nil {
		return nil, err
	}
	const revision, hash = "deployment.kubernetes.io/revision", appsv1.DefaultDeploymentUniqueLabelKey
	current := map[string]bool{}
	for _, set := range sets.Items {
		current[set.Labels[hash]] = set.Annotations[revision] == d.Annotations[revision]
	}
	pods, err := r.CoreV1().Pods(r.Namespace).List(ctx, r.selector())
	if err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		if p := r.podProblem(ctx, pod); current[pod.Labels[hash]] && p.what != "" {
			problems = append(problems, p)
		}
	}
	return problems, nil
}

// podProblem returns why a pod is not ready, or did not stay so, and nothing for one that
// is.
func (r rollout) podProblem(ctx context.Context, pod corev1.Pod) problem {
	if c := condition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return problem{what: fmt.Sprintf("%s, for platform %s: %s (if the cluster is adding nodes, raise rolloutTimeout)", c.Reason, r.args.Build.Platform, c.Message)}
	}
	isOwn := func(c corev1.ContainerStatus) bool { return c.Name == r.name }
	i := slices.IndexFunc(pod.Status.ContainerStatuses, isOwn)
	if i < 0 {
		return problem{what: string(pod.Status.Phase) + r.lastEvent(ctx, pod.Name, "type=Warning")}
	}
	own := pod.Status.ContainerStatuses[i]
	others := slices.DeleteFunc(slices.Clone(pod.Status.ContainerStatuses), isOwn)
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, []corev1.ContainerStatus{own}, others) {
		switch {
		case isOwn(c):
			if p := r.containerProblem(ctx, pod, c); p.what != "" {
				return p
			}
		case !c.Ready:
			p := r.containerProblem(ctx, pod, c)
			return problem{"container " + c.Name + ", which others have added: " + p.what, p.log}
		}
	}
	if c := condition(pod, corev1.PodReady); c.Status == corev1.ConditionFalse { // a readiness gate, such as a load balancer's
		return problem{what: c.Reason + ": " + c.Message}
	}
	return problem{}
}

// condition is one of a pod's conditions, or an empty one.
func condition(pod corev1.Pod, kind corev1.PodConditionType) (found corev1.PodCondition) {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			found = c
		}
	}
	return found
}

// containerProblem is podProblem for one container.
func (r rollout) containerProblem(ctx context.Context, pod corev1.Pod, c corev1.ContainerStatus) problem {
	ended, waiting := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated), c.State.Waiting
	switch {
	case ended != nil:
		what := fmt.Sprintf("%s, exit code %d", ended.Reason, ended.ExitCode)
		if waiting != nil {
			what = waiting.Reason + ": " + what
		}
		return problem{what + r.failedProbe(ctx, pod), r.redactStart(ended.Message)}
	case waiting != nil && waiting.Message != "":
		message, _, _ := strings.Cut(waiting.Message, " (pod: ") // not of this pod alone
		return problem{what: waiting.Reason + ": " + message}
	case waiting != nil:
		return problem{what: waiting.Reason + r.lastEvent(ctx, pod.Name, "type=Warning")}
	case !c.Ready:
		return problem{"running and not ready" + r.lastEvent(ctx, pod.Name, "type=Warning"), r.log(ctx, pod, c.Name)}
	}
	return problem{}
}

// failedProbe says which probe has ended the container, if one did. The kubelet ends it
// as it ends any, so that it may exit with code 0 and without a word.
func (r rollout) failedProbe(ctx context.Context, pod corev1.Pod) string {
	killing := r.lastEvent(ctx, pod.Name, "reason=Killing")
	if !strings.Contains(killing, "probe") {
		return ""
	}
	return killing + r.lastEvent(ctx, pod.Name, "reason=Unhealthy")
}

// lastEvent is the latest event of a kind about an object, with the settings of a failed probe.
func (r rollout) lastEvent(ctx context.Context, name, kind string) string {
	events, err := r.CoreV1().Events(r.Namespace).List(ctx, metav1.ListOptions{FieldSelector: kind + ",involvedObject.name=" + name})
	if err != nil || len(events.Items) == 0 {
		return ""
	}
	last := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	message := ": " + last.Message
	if strings.Contains(message, "probe failed") {
		message += fmt.Sprintf(" (livenessPath is %s, readinessPath %s, port %d)", r.args.LivenessPath, r.args.ReadinessPath, r.args.Port)
	}
	return message
}

// log is the end of the log of a container.
func (r rollout) log(ctx context.Context, pod corev1.Pod, container string) string {
	lines := int64(5)
	log, err := r.CoreV1().Pods(r.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, TailLines: &lines}).DoRaw(ctx)
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// indent sets the end of a pod's log apart from the program's own words.
func indent(log string) string {
	if log = strings.TrimSpace(log); log == "" {
		return ""
	}
	return "; the last log lines of one:\n    " + strings.ReplaceAll(log, "\n", "\n    ")
}
