package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// metricsTimeout is how long the metrics of new pods may stay unknown. The slowest
// metrics-server in common use (minikube's) measures once a minute, and the autoscaler
// runs every 15 s.
const metricsTimeout = 75 * time.Second

var podMetrics = schema.GroupVersionResource{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods"}

// waitForMetrics waits until the autoscaler reads all metrics that it steers by. Kubernetes
// and Pulumi call it healthy as soon as it is stored, and while it reads one of them. Its
// status may be 15 s old, so the metrics' APIs are asked first.
func (r rollout) waitForMetrics(ctx context.Context) error {
	err := cluster.Poll(ctx, metricsTimeout, func(ctx context.Context) error {
		return cmp.Or(r.checkCPU(ctx), r.checkRequests(ctx), r.checkAutoscaler(ctx))
	})
	if err != nil {
		return fmt.Errorf("%s: the pods are ready, but the autoscaler cannot read %w", r.name, err)
	}
	return nil
}

// checkCPU checks that the metrics API has the CPU of any of the pods, if the user may ask.
func (r rollout) checkCPU(ctx context.Context) error {
	metrics, err := r.Dynamic.Resource(podMetrics).Namespace(r.Namespace).List(ctx, r.selector())
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		return cluster.Permanent(noCPU("the cluster has no metrics API: install metrics-server with " +
			r.Kubectl("apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml")))
	case err != nil:
		return noCPU(fmt.Sprintf("metrics-server does not answer (%v): run %s", err, r.Kubectl("describe apiservice v1beta1.metrics.k8s.io")))
	case len(metrics.Items) == 0:
		return noCPU("metrics-server has none of these pods: run " + r.Kubectl("--namespace kube-system logs deployment/metrics-server"))
	}
	return nil
}

// checkRequests checks that the custom metrics API has the requests of any of the pods, if
// the user may ask.
func (r rollout) checkRequests(context.Context) error {
	if r.args.RequestsTarget == 0 {
		return nil
	}
	pods := labels.SelectorFromSet(labels.Set{"app": r.name})
	values, err := r.Custom.NamespacedMetrics(r.Namespace).GetForObjects(schema.GroupKind{Kind: "Pod"}, pods, r.args.RequestsMetric, labels.Everything())
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case err != nil:
		return r.noRequests(err.Error())
	case len(values.Items) == 0:
		return r.noRequests("it has none of these pods")
	}
	return nil
}

// checkAutoscaler checks that the autoscaler has read each of its metrics. One that it
// cannot read keeps it from removing pods, and it says so in its events alone.
func (r rollout) checkAutoscaler(ctx context.Context) error {
	name := microservice.AutoscalerName(r.name)
	hpa, err := r.AutoscalingV2().HorizontalPodAutoscalers(r.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, metric := range hpa.Spec.Metrics {
		if slices.ContainsFunc(hpa.Status.CurrentMetrics, func(status autoscalingv2.MetricStatus) bool {
			return status.Type == metric.Type && (status.Pods == nil || status.Pods.Metric.Name == metric.Pods.Metric.Name)
		}) {
			continue
		}
		why := strings.TrimPrefix(r.lastEvent(ctx, name, fmt.Sprintf("reason=FailedGet%sMetric", metric.Type)), ": ")
		why = cmp.Or(why, "it has not run yet")
		if metric.Pods != nil {
			return r.noRequests(why)
		}
		return noCPU(why + ": run " + r.Kubectl("--namespace "+r.Namespace+" describe hpa "+name))
	}
	return nil
}

// noCPU is the error of CPU that is unknown, with the reason.
func noCPU(why string) error {
	return fmt.Errorf("their CPU, so that their number does not change: %s, or use a fixed number of replicas: `pulumi config rm maxReplicas`", why)
}

// noRequests is that of requests that are unknown.
func (r rollout) noRequests(why string) error {
	show := fmt.Sprintf("get --raw '/apis/custom.metrics.k8s.io/v1beta1/namespaces/%s/pods/*/%s?labelSelector=app%%3D%s'", r.Namespace, r.args.RequestsMetric, r.name)
	return fmt.Errorf("%s of the pods (requestsMetric) from custom.metrics.k8s.io, so that it removes none: %s: run %s, or scale on CPU alone: `pulumi config rm requestsTarget`",
		r.args.RequestsMetric, why, r.Kubectl(show))
}
