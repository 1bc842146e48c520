package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"
)

// apiServer is one as the waiting sees it: what it answers, by the last part of
// the path that is asked for, or the last two for what is not the service's own.
type apiServer map[string]string

// with is the same but for one answer.
func (a apiServer) with(path, body string) apiServer {
	changed := maps.Clone(a)
	changed[path] = body
	return changed
}

var healthy = apiServer{
	"deployments/user-service-deployment": `{"kind": "Deployment",
		"metadata": {"generation": 4, "annotations": {"deployment.kubernetes.io/revision": "2"}},
		"spec": {"replicas": 2}, "status": {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}}`,
	"prod/replicasets": `{"kind": "ReplicaSetList", "items": [
		{"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}, "labels": {"pod-template-hash": "old"}}},
		{"metadata": {"annotations": {"deployment.kubernetes.io/revision": "2"}, "labels": {"pod-template-hash": "new"}}}]}`,
	"prod/pods":   `{"kind": "PodList", "items": []}`,
	"prod/events": `{"kind": "EventList", "items": []}`,
	"pod/log":     "",
	"metrics":     `{"kind": "PodMetricsList", "items": [{"kind": "PodMetrics"}, {"kind": "PodMetrics"}]}`,
	"horizontalpodautoscalers/user-service-hpa": `{"kind": "HorizontalPodAutoscaler", "status": {"conditions": [
		{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}]}}`,
}

// failure is an API server's answer that is none.
func failure(code int, reason, message string) string {
	return fmt.Sprintf(`{"kind": "Status", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, message)
}

// live is how a stack of 2 to 10 pods sees an API server with these answers.
func (a apiServer) live(t *testing.T) live {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := path.Join(path.Base(path.Dir(r.URL.Path)), path.Base(r.URL.Path))
		if strings.Contains(r.URL.Path, "metrics.k8s.io") {
			key = "metrics"
		}
		body, known := a[key]
		if !known {
			t.Errorf("the program asks for %s", r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		var code int
		if _, err := fmt.Sscanf(body, `{"kind": "Status", "status": "Failure", "code": %d`, &code); err == nil {
			w.WriteHeader(code)
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	kubeconfig := fmt.Sprintf(`{"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u"}],
		"contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}]}`, server.URL)
	l, err := Settings{
		Namespace: "prod", Replicas: 2, MaxReplicas: 10, RolloutTimeout: 25 * time.Second,
		Cluster: Cluster{Context: "here", Kubeconfig: kubeconfig},
	}.live()
	if err != nil {
		t.Fatal(err)
	}
	return l
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

// expect compares what a check finds with the fault it should find, "" for none.
func expect(t *testing.T, fault error, want string, wantFinal bool) {
	t.Helper()
	switch {
	case fault == nil && want == "":
	case fault == nil || fault.Error() != want:
		t.Errorf("the fault is\n%v\nwant\n%s", fault, want)
	case errors.As(fault, &final{}) != wantFinal:
		t.Errorf("that no waiting mends this is said to be %v", !wantFinal)
	}
}
