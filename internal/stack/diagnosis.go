package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// explain adds to what a rollout lacks what its pods say.
func (l live) explain(ctx context.Context, lack error) error {
	if errors.As(lack, &final{}) {
		return lack
	}
	lines := []string{fmt.Sprintf("the release is not out after %v (rolloutTimeout): %v", l.RolloutTimeout, lack)}
	troubles, err := l.troubles(ctx)
	if err != nil {
		lines = append(lines, fmt.Sprintf("what its pods say is unknown: %v", err))
	}
	count := map[string]int{}
	log := map[string]string{}
	for _, trouble := range troubles {
		count[trouble.what]++
		log[trouble.what] = trouble.log
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		lines = append(lines, fmt.Sprintf("%d of its pods: %s%s", count[what], what, lastLines(log[what])))
	}
	lines = append(lines, fmt.Sprintf("Mend that and run `pulumi up` again; to look closer: `%s get pods`", l.kubectl(l.Namespace)))
	return errors.New(l.redact(strings.Join(lines, "\n")))
}

// redact takes the stack's secrets out of what a pod has said, the longest first:
// one may be a part of another. One of a few letters would take out half of the
// text, and is no secret.
func (s Settings) redact(text string) string {
	secrets := append(slices.Collect(maps.Values(s.SecretEnv)), s.RegistryLogin.Password)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	return text
}

// pod is what one says of itself.
type pod struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Status struct {
		Phase             string             `json:"phase"`
		Conditions        []metav1.Condition `json:"conditions"`
		ContainerStatuses []struct {
			Ready     bool           `json:"ready"`
			State     containerState `json:"state"`
			LastState containerState `json:"lastState"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

type containerState struct {
	Waiting *struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"waiting"`
	Terminated *struct {
		Reason   string `json:"reason"`
		Message  string `json:"message"` // its last log lines
		ExitCode int    `json:"exitCode"`
	} `json:"terminated"`
}

// trouble is what ails a pod, in words that are the same for all pods that have
// it, and the end of that pod's log.
type trouble struct{ what, log string }

// troubles are those of each pod of the newest release that is not well, or
// those of the Deployment that cannot even make pods.
func (l live) troubles(ctx context.Context) ([]trouble, error) {
	d, err := l.deployment(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range d.Status.Conditions {
		if c.Type == "ReplicaFailure" && c.Status == metav1.ConditionTrue {
			return []trouble{{what: c.Reason + ": " + c.Message}}, nil
		}
	}
	const revision = "deployment.kubernetes.io/revision"
	var sets struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		} `json:"items"`
	}
	if err := l.list(ctx, replicaSets, ours, &sets); err != nil {
		return nil, err
	}
	var all struct {
		Items []pod `json:"items"`
	}
	if err := l.list(ctx, pods, ours, &all); err != nil {
		return nil, err
	}
	var troubles []trouble
	for _, set := range sets.Items {
		if set.Metadata.Annotations[revision] != d.Metadata.Annotations[revision] {
			continue
		}
		for _, p := range all.Items {
			if p.Metadata.Labels["pod-template-hash"] != set.Metadata.Labels["pod-template-hash"] {
				continue
			}
			if trouble := l.trouble(ctx, p); trouble.what != "" {
				troubles = append(troubles, trouble)
			}
		}
	}
	return troubles, nil
}

// trouble says why a pod is not ready, or was not for long. It has no words for
// one that is.
func (l live) trouble(ctx context.Context, p pod) trouble {
	for _, c := range p.Status.Conditions {
		if c.Type == "PodScheduled" && c.Status == metav1.ConditionFalse {
			return trouble{what: c.Reason + ": " + c.Message}
		}
	}
	if len(p.Status.ContainerStatuses) == 0 {
		return trouble{what: p.Status.Phase + l.warning(ctx, p)}
	}
	c := p.Status.ContainerStatuses[0]
	ended, waiting := cmp.Or(c.State.Terminated, c.LastState.Terminated), c.State.Waiting
	switch {
	case ended != nil:
		what := fmt.Sprintf("%s, exit code %d", ended.Reason, ended.ExitCode)
		if waiting != nil {
			what = waiting.Reason + ": " + what
		}
		return trouble{what, ended.Message}
	case waiting != nil && waiting.Message != "":
		return trouble{what: waiting.Reason + ": " + waiting.Message}
	case waiting != nil:
		return trouble{what: waiting.Reason + l.warning(ctx, p)}
	case !c.Ready:
		return trouble{"running and not ready" + l.warning(ctx, p), l.log(ctx, p)}
	}
	return trouble{}
}

// warning is the last one that Kubernetes has for a pod.
func (l live) warning(ctx context.Context, p pod) string {
	var warnings struct {
		Items []struct {
			LastTimestamp metav1.Time `json:"lastTimestamp"`
			Message       string      `json:"message"`
		} `json:"items"`
	}
	of := metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.name=" + p.Metadata.Name}
	if err := l.list(ctx, events, of, &warnings); err != nil || len(warnings.Items) == 0 {
		return ""
	}
	last := warnings.Items[0]
	for _, w := range warnings.Items[1:] {
		if last.LastTimestamp.Before(&w.LastTimestamp) {
			last = w
		}
	}
	return ": " + last.Message
}

// log is the end of a pod's log.
func (l live) log(ctx context.Context, p pod) string {
	text, err := raw(ctx, l.config, fmt.Sprintf("api/v1/namespaces/%s/pods/%s/log", l.Namespace, p.Metadata.Name), "tailLines=5")
	if err != nil {
		return err.Error()
	}
	return text
}

// lastLines sets the end of one pod's log off from the program's own words.
func lastLines(log string) string {
	if log = strings.TrimSpace(log); log == "" {
		return ""
	}
	return "; the last log lines of one:\n    " + strings.ReplaceAll(log, "\n", "\n    ")
}
