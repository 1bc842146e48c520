package stack

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// metricsTimeout is how long the CPU of pods that have just started may stay
// unknown. The slowest metrics-server in common use (minikube's) measures once
// a minute, and the autoscaler looks every 15 s.
const metricsTimeout = 75 * time.Second

// Stopped reports whether someone has scaled the live Deployment to no pods at
// all. That switches its autoscaler off, which then would not start it again.
func (s Settings) Stopped(ctx context.Context) (bool, error) {
	l, err := s.live()
	if err != nil {
		return false, err
	}
	deployment, err := l.deployment(ctx)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && deployment.Spec.Replicas == 0, err
}

// awaitMetrics waits until the autoscaler sees the pods' CPU. To Kubernetes and
// Pulumi it is healthy once it is stored, metrics or not.
func (l live) awaitMetrics(ctx context.Context) error {
	if err := until(ctx, metricsTimeout, l.measured, l.scaling); err != nil {
		return fmt.Errorf("the pods are ready, but the autoscaler cannot see their CPU, so that their number stays as it is: %w, or do without an autoscaler: `pulumi config rm maxReplicas`", err)
	}
	return nil
}

// measured is at fault while the cluster does not know the CPU of any of the
// pods. What the autoscaler says of it may be 15 s old.
func (l live) measured(ctx context.Context) error {
	var metrics struct {
		Items []struct{} `json:"items"`
	}
	err := l.list(ctx, podMetrics, ours, &metrics)
	switch {
	case apierrors.IsForbidden(err):
		return nil // not for every user to see; the autoscaler will tell
	case apierrors.IsNotFound(err):
		return final{fmt.Errorf("the cluster has no metrics API: install metrics-server with `kubectl --context %s apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`", l.Cluster.Context)}
	case err != nil:
		return fmt.Errorf("metrics-server does not answer (%w): see why with `kubectl --context %s describe apiservice v1beta1.metrics.k8s.io`", err, l.Cluster.Context)
	case len(metrics.Items) == 0:
		return fmt.Errorf("metrics-server knows none of these pods: see why with `%s logs deployment/metrics-server`", l.kubectl("kube-system"))
	}
	return nil
}

// scaling is at fault while the autoscaler says that it cannot work.
func (l live) scaling(ctx context.Context) error {
	var autoscaler struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := l.get(ctx, autoscalers, autoscalerName, &autoscaler); err != nil {
		return err
	}
	message := "it has not looked yet"
	for _, condition := range autoscaler.Status.Conditions {
		if condition.Type == "ScalingActive" {
			if condition.Status == metav1.ConditionTrue {
				return nil
			}
			message = condition.Message
		}
	}
	return fmt.Errorf("%s: see more with `%s describe hpa %s`", message, l.kubectl(l.Namespace), autoscalerName)
}
