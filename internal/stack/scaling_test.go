package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"
	"time"
)

const (
	twoReady    = `{"kind": "Deployment", "spec": {"replicas": 2}, "status": {"readyReplicas": 2}}`
	twoMeasured = `{"kind": "PodMetricsList", "items": [{"kind": "PodMetrics"}, {"kind": "PodMetrics"}]}`
	active      = `{"kind": "HorizontalPodAutoscaler", "status": {"conditions": [
		{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}]}}`
	noSuchPath = `{"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
		"message": "the server could not find the requested resource"}`
	unavailable = `{"kind": "Status", "status": "Failure", "reason": "ServiceUnavailable", "code": 503,
		"message": "the server is currently unable to handle the request"}`
	forbidden = `{"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "not for you"}`
)

// answers are an API server's, by the last part of the path that is asked for.
type apiAnswers map[string]string

func (a apiAnswers) with(path, body string) apiAnswers {
	changed := apiAnswers{path: body}
	for other, body := range a {
		if other != path {
			changed[other] = body
		}
	}
	return changed
}

var healthy = apiAnswers{"user-service-deployment": twoReady, "pods": twoMeasured, "user-service-hpa": active}

func TestWhatKeepsAFleetFromScalingIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers apiAnswers
		want    string
		final   bool
	}{
		"nothing": {answers: healthy},
		"a floor that has not arrived": {
			answers: healthy.with("user-service-deployment", `{"kind": "Deployment", "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}`),
			want:    "replicas is 2, and 1 pods are ready after 1s: see why with `kubectl --context here --namespace prod get pods` and `kubectl --context here --namespace prod describe hpa user-service-hpa`",
		},
		"a stopped fleet": {
			answers: healthy.with("user-service-deployment", `{"kind": "Deployment", "spec": {"replicas": 0}, "status": {}}`),
			want:    "someone has scaled the Deployment to 0: start it again with `pulumi up --refresh`",
			final:   true,
		},
		"no metrics API": {
			answers: healthy.with("pods", noSuchPath),
			want:    "the cluster has no metrics API: install metrics-server with `kubectl --context here apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`",
			final:   true,
		},
		"a metrics-server that is down": {
			answers: healthy.with("pods", unavailable),
			want:    "metrics-server does not answer (the server is currently unable to handle the request): see why with `kubectl --context here describe apiservice v1beta1.metrics.k8s.io`",
		},
		"pods that are not measured": {
			answers: healthy.with("pods", `{"kind": "PodMetricsList", "items": []}`),
			want:    "metrics-server knows none of these pods: see why with `kubectl --context here --namespace kube-system logs deployment/metrics-server`",
		},
		"a user who may not see metrics": {answers: healthy.with("pods", forbidden)},
		"an autoscaler that never looked": {
			answers: healthy.with("user-service-hpa", `{"kind": "HorizontalPodAutoscaler"}`),
			want:    "it has not looked yet: see more with `kubectl --context here --namespace prod describe hpa user-service-hpa`",
		},
		"an autoscaler that cannot compute": {
			answers: healthy.with("user-service-hpa", `{"kind": "HorizontalPodAutoscaler", "status": {"conditions": [
				{"type": "ScalingActive", "status": "False", "message": "missing request for cpu in container proxy of Pod a"}]}}`),
			want: "missing request for cpu in container proxy of Pod a: see more with `kubectl --context here --namespace prod describe hpa user-service-hpa`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look := test.answers.look(t)
			fault := errors.Join(look.floor(t.Context()), look.metrics(t.Context()), look.active(t.Context()))
			switch {
			case fault == nil && test.want == "":
			case fault == nil || fault.Error() != test.want:
				t.Errorf("the fault is\n%v\nwant\n%s", fault, test.want)
			case errors.As(fault, &final{}) != test.final:
				t.Errorf("that no waiting mends this is said to be %v", !test.final)
			}
		})
	}
}

// look is how a stack of 2 to 10 pods sees an API server with these answers.
func (a apiAnswers) look(t *testing.T) scaling {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := a[path.Base(r.URL.Path)]
		w.Header().Set("Content-Type", "application/json")
		for status, failure := range map[int]string{404: noSuchPath, 503: unavailable, 403: forbidden} {
			if body == failure {
				w.WriteHeader(status)
			}
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	kubeconfig := fmt.Sprintf(`{"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u"}],
		"contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}]}`, server.URL)
	look, err := Settings{
		Namespace: "prod", Replicas: 2, MaxReplicas: 10, RolloutTimeout: time.Second,
		Cluster: Cluster{Context: "here", Kubeconfig: kubeconfig},
	}.look()
	if err != nil {
		t.Fatal(err)
	}
	return look
}

func TestWaitingEndsAtOnceWhenNoWaitingMends(t *testing.T) {
	t.Parallel()
	want := final{errors.New("gone for good")}
	tries := 0
	err := until(t.Context(), time.Hour, func(context.Context) error { tries++; return want })
	if !errors.Is(err, want) || tries != 1 {
		t.Errorf("after %d tries the error is %v", tries, err)
	}
}

func TestWaitingEndsWithTheLastFault(t *testing.T) {
	t.Parallel()
	want := errors.New("not yet")
	err := until(t.Context(), time.Millisecond, func(context.Context) error { return want })
	if !errors.Is(err, want) {
		t.Errorf("the error is %v", err)
	}
}
