package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// metricsTimeout is how long the CPU of new pods may stay unknown. The slowest
// metrics-server in common use (minikube's) measures once a minute, and the autoscaler
// runs every 15 s.
const metricsTimeout = 75 * time.Second

var podMetrics = schema.GroupVersionResource{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods"}

// waitForMetrics waits until the autoscaler reads the pods' CPU. Kubernetes and Pulumi
// call it healthy as soon as it is stored, with or without metrics.
func (r rollout) waitForMetrics(ctx context.Context) error {
	if err := cluster.Poll(ctx, metricsTimeout, r.checkMetrics, r.checkAutoscaler); err != nil {
		return fmt.Errorf("%s: the pods are ready, but the autoscaler cannot read their CPU, so that their number does not change: %w, or use a fixed number of replicas: `pulumi config rm maxReplicas`", r.name, err)
	}
	return nil
}

// checkMetrics checks that the metrics API has the CPU of any of the pods. What the
// autoscaler knows of it may be 15 s old.
func (r rollout) checkMetrics(ctx context.Context) error {
	metrics, err := r.Dynamic.Resource(podMetrics).Namespace(r.Namespace).List(ctx, r.selector())
	switch {
	case apierrors.IsForbidden(err):
		return nil // this user may not read them; the autoscaler's status tells
	case apierrors.IsNotFound(err):
		return cluster.Permanent(fmt.Errorf("the cluster has no metrics API: install metrics-server with %s",
			r.Kubectl("apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml")))
	case err != nil:
		return fmt.Errorf("metrics-server does not answer (%w): run %s", err, r.Kubectl("describe apiservice v1beta1.metrics.k8s.io"))
	case len(metrics.Items) == 0:
		return fmt.Errorf("metrics-server has none of these pods: run %s", r.Kubectl("--namespace kube-system logs deployment/metrics-server"))
	}
	return nil
}

// checkAutoscaler checks that the autoscaler reports itself able to scale.
func (r rollout) checkAutoscaler(ctx context.Context) error {
	name := microservice.AutoscalerName(r.name)
	hpa, err := r.AutoscalingV2().HorizontalPodAutoscalers(r.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	message := "it has not run yet"
	for _, condition := range hpa.Status.Conditions {
		if condition.Type == autoscalingv2.ScalingActive {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			message = condition.Message
		}
	}
	return errors.New(message + ": run " + r.Kubectl("--namespace "+r.Namespace+" describe hpa "+name))
}
