package rollout

import (
	"cmp"
	"errors"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	custommetrics "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	customfake "k8s.io/metrics/pkg/client/custom_metrics/fake"
)

const noMetricsAPI = "their CPU, so that their number does not change: the cluster has no metrics API: install metrics-server with `kubectl --context here apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`, or use a fixed number of replicas: `pulumi config rm maxReplicas`"

func TestWhatKeepsAnAutoscalerFromReadingAMetricIsReported(t *testing.T) {
	t.Parallel()
	noCPU := func(why string) string {
		return "their CPU, so that their number does not change: " + why + ", or use a fixed number of replicas: `pulumi config rm maxReplicas`"
	}
	const describe = ": run `kubectl --context here --namespace prod describe hpa orders-hpa`"
	noRequests := func(why string) string {
		return "hits of the pods (requestsMetric) from custom.metrics.k8s.io, so that it removes none: " + why + ": run `kubectl --context here get --raw '/apis/custom.metrics.k8s.io/v1beta1/namespaces/prod/pods/*/hits?labelSelector=app%3Dorders'`, or scale on CPU alone: `pulumi config rm requestsTarget`"
	}
	cpu, requests := autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.PodsMetricSourceType
	none := schema.GroupResource{}
	for name, test := range map[string]struct {
		service string // whose pods have metrics
		metrics error
		hits    error
		read    []autoscalingv2.MetricSourceType
		failed  string // the reason of an event
		want    string
	}{
		"nothing":             {"orders", nil, nil, []autoscalingv2.MetricSourceType{cpu, requests}, "", ""},
		"not for this user":   {"", apierrors.NewForbidden(none, "", errors.New("no")), nil, []autoscalingv2.MetricSourceType{cpu, requests}, "", ""},
		"no metrics API":      {"", apierrors.NewNotFound(none, ""), nil, []autoscalingv2.MetricSourceType{cpu, requests}, "", noMetricsAPI},
		"metrics-server down": {"", apierrors.NewServiceUnavailable("down"), nil, []autoscalingv2.MetricSourceType{cpu, requests}, "", noCPU("metrics-server does not answer (down): run `kubectl --context here describe apiservice v1beta1.metrics.k8s.io`")},
		"metrics of others":   {"users", nil, nil, []autoscalingv2.MetricSourceType{cpu, requests}, "", noCPU("metrics-server has none of these pods: run `kubectl --context here --namespace kube-system logs deployment/metrics-server`")},
		"not run yet":         {"orders", nil, nil, nil, "", noCPU("it has not run yet" + describe)},
		"no CPU":              {"orders", nil, nil, []autoscalingv2.MetricSourceType{"", requests}, "FailedGetContainerResourceMetric", noCPU("no such metric" + describe)},
		"no custom metrics":   {"orders", nil, errors.New("no custom metrics API (custom.metrics.k8s.io) registered"), nil, "", noRequests("no custom metrics API (custom.metrics.k8s.io) registered")},
		"none of these pods":  {"orders", nil, errNone, nil, "", noRequests("it has none of these pods")},
		"no requests":         {"orders", nil, nil, []autoscalingv2.MetricSourceType{cpu, ""}, "FailedGetPodsMetric", noRequests("no such metric")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metadata("orders-hpa")}
			hpa.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: cpu}, {Type: requests, Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "hits"}}}}
			for _, kind := range test.read {
				status := autoscalingv2.MetricStatus{Type: kind}
				if kind == requests {
					status.Pods = &autoscalingv2.PodsMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: "hits"}}
				}
				hpa.Status.CurrentMetrics = append(hpa.Status.CurrentMetrics, status)
			}
			r := withMetrics(newRollout(hpa), test.service, test.metrics)
			// The fake knows no field selectors.
			r.Interface.(*fake.Clientset).PrependReactor("list", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
				list := &corev1.EventList{}
				if test.failed != "" && action.(clienttesting.ListAction).GetListRestrictions().Fields.String() == "involvedObject.name=orders-hpa,reason="+test.failed {
					list.Items = []corev1.Event{{Message: "no such metric"}}
				}
				return true, list, nil
			})
			r.args.RequestsTarget, r.args.RequestsMetric, r.Custom = 50, "hits", withRequests(test.hits)
			checkError(t, cmp.Or(r.checkCPU(t.Context()), r.checkRequests(t.Context()), r.checkAutoscaler(t.Context())), test.want, test.want == noMetricsAPI)
		})
	}
}

func TestWithoutAMetricsAPIWaitingForItEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := withMetrics(newRollout(), "", apierrors.NewNotFound(schema.GroupResource{}, ""))
	checkError(t, r.waitForMetrics(t.Context()), "orders: the pods are ready, but the autoscaler cannot read "+noMetricsAPI, true)
}

// errNone stands for an answer without values.
var errNone = errors.New("none")

// withRequests is a custom metrics API that has a pod, or an error.
func withRequests(err error) *customfake.FakeCustomMetricsClient {
	client := &customfake.FakeCustomMetricsClient{}
	client.AddReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if err == errNone {
			return true, &custommetrics.MetricValueList{}, nil
		}
		return true, &custommetrics.MetricValueList{Items: []custommetrics.MetricValue{{}}}, err
	})
	return client
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
