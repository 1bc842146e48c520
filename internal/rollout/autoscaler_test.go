package rollout

import (
	"errors"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

const noMetricsAPI = "the cluster has no metrics API: install metrics-server with `kubectl --context here apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`"

func TestWhatKeepsAnAutoscalerFromReadingCPUIsReported(t *testing.T) {
	t.Parallel()
	const describe = ": run `kubectl --context here --namespace prod describe hpa orders-hpa`"
	none := schema.GroupResource{}
	for name, test := range map[string]struct {
		service string // whose pods have metrics
		metrics error
		active  corev1.ConditionStatus // of the autoscaler; "" before it has run
		want    string
	}{
		"nothing":             {"orders", nil, "True", ""},
		"not for this user":   {"", apierrors.NewForbidden(none, "", errors.New("no")), "True", ""},
		"no metrics API":      {"", apierrors.NewNotFound(none, ""), "True", noMetricsAPI},
		"metrics-server down": {"", apierrors.NewServiceUnavailable("down"), "True", "metrics-server does not answer (down): run `kubectl --context here describe apiservice v1beta1.metrics.k8s.io`"},
		"metrics of others":   {"users", nil, "True", "metrics-server has none of these pods: run `kubectl --context here --namespace kube-system logs deployment/metrics-server`"},
		"not run yet":         {"orders", nil, "", "it has not run yet" + describe},
		"no CPU request":      {"orders", nil, "False", "missing request for cpu in container proxy of Pod a" + describe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metadata("orders-hpa")}
			hpa.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.AbleToScale, Status: "True"}}
			if test.active != "" {
				hpa.Status.Conditions = append(hpa.Status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{
					Type: autoscalingv2.ScalingActive, Status: test.active, Message: "missing request for cpu in container proxy of Pod a"})
			}
			r := withMetrics(newRollout(hpa), test.service, test.metrics)
			checkError(t, errors.Join(r.checkMetrics(t.Context()), r.checkAutoscaler(t.Context())), test.want, test.want == noMetricsAPI)
		})
	}
}

func TestWithoutAMetricsAPIWaitingForItEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := withMetrics(newRollout(), "", apierrors.NewNotFound(schema.GroupResource{}, ""))
	checkError(t, r.waitForMetrics(t.Context()), "orders: the pods are ready, but the autoscaler cannot read their CPU, so that their number does not change: "+
		noMetricsAPI+", or use a fixed number of replicas: `pulumi config rm maxReplicas`", true)
}

// withMetrics adds a metrics API that has a pod of a service, or an error.
func withMetrics(r rollout, service string, err error) rollout {
	pod := unstructured.Unstructured{Object: map[string]any{"kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1"}}
	pod.SetLabels(map[string]string{"app": service})
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{podMetrics: "PodMetricsList"})
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if err != nil {
			return true, nil, err
		}
		return true, &unstructured.UnstructuredList{Items: []unstructured.Unstructured{pod}}, nil
	})
	r.Dynamic = client
	return r
}
