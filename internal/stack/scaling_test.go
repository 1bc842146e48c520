package stack

import (
	"errors"
	"testing"
)

func TestWhatKeepsAnAutoscalerFromSeeingIsNamed(t *testing.T) {
	t.Parallel()
	const hpa = "horizontalpodautoscalers/user-service-hpa"
	for name, test := range map[string]struct {
		api   apiServer
		want  string
		final bool
	}{
		"nothing": {api: healthy},
		"no metrics API": {
			api:   healthy.with("metrics", failure(404, "NotFound", "the server could not find the requested resource")),
			want:  "the cluster has no metrics API: install metrics-server with `kubectl --context here apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`",
			final: true,
		},
		"a metrics-server that is down": {
			api:  healthy.with("metrics", failure(503, "ServiceUnavailable", "the server is currently unable to handle the request")),
			want: "metrics-server does not answer (the server is currently unable to handle the request): see why with `kubectl --context here describe apiservice v1beta1.metrics.k8s.io`",
		},
		"pods that are not measured": {
			api:  healthy.with("metrics", `{"kind": "PodMetricsList", "items": []}`),
			want: "metrics-server knows none of these pods: see why with `kubectl --context here --namespace kube-system logs deployment/metrics-server`",
		},
		"nothing that this user may see": {api: healthy.with("metrics", failure(403, "Forbidden", "not for you"))},
		"an autoscaler that never looked": {
			api:  healthy.with(hpa, `{"kind": "HorizontalPodAutoscaler"}`),
			want: "it has not looked yet: see more with `kubectl --context here --namespace prod describe hpa user-service-hpa`",
		},
		"an autoscaler that cannot compute": {
			api: healthy.with(hpa, `{"kind": "HorizontalPodAutoscaler", "status": {"conditions": [
				{"type": "ScalingActive", "status": "False", "message": "missing request for cpu in container proxy of Pod a"}]}}`),
			want: "missing request for cpu in container proxy of Pod a: see more with `kubectl --context here --namespace prod describe hpa user-service-hpa`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := test.api.live(t)
			expect(t, errors.Join(l.measured(t.Context()), l.scaling(t.Context())), test.want, test.final)
		})
	}
}

func TestAStoppedFleetIsOneOfNoPods(t *testing.T) {
	t.Parallel()
	const deployment = "deployments/user-service-deployment"
	for name, test := range map[string]struct {
		api  apiServer
		want bool
	}{
		"running":   {healthy, false},
		"stopped":   {healthy.with(deployment, `{"kind": "Deployment", "spec": {"replicas": 0}}`), true},
		"not there": {healthy.with(deployment, failure(404, "NotFound", "no such deployment")), false},
	} {
		stopped, err := test.api.live(t).Stopped(t.Context())
		if err != nil || stopped != test.want {
			t.Errorf("a fleet that is %s is stopped: %v (%v)", name, stopped, err)
		}
	}
}
