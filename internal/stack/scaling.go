package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

// metricsTimeout is how long the CPU of pods that have just started may stay
// unknown. The slowest metrics-server in common use (minikube's) measures once
// a minute, and the autoscaler looks every 15 s.
const metricsTimeout = 80 * time.Second

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	podMetrics  = schema.GroupVersionResource{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods"}
)

// Stopped reports whether someone has scaled the live Deployment to no pods at
// all. That switches its autoscaler off, which then would not start it again.
func (s Settings) Stopped(ctx context.Context) (bool, error) {
	look, err := s.look()
	if err != nil {
		return false, err
	}
	deployment, err := look.deployment(ctx)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && deployment.Spec.Replicas == 0, err
}

// AwaitScaling waits until an autoscaled fleet has its floor of ready pods and
// an autoscaler that sees their CPU. Pulumi waits for neither: to it the
// autoscaler is healthy once it is stored, metrics or not.
//
// It has nothing to wait for in a preview and in a fleet of fixed size, nor
// when the service, the last of the resources, failed or is no target of this up.
func AwaitScaling(ctx *pulumi.Context, s Settings, service pulumi.CustomResource) error {
	if ctx.DryRun() || !s.Autoscaled() {
		return nil
	}
	id, err := internals.UnsafeAwaitOutput(ctx.Context(), service.ID())
	if err != nil || !id.Known || id.Value == pulumi.ID("") {
		return nil
	}
	say := func(what string) {
		_ = ctx.Log.Info(what, &pulumi.LogArgs{Resource: service, Ephemeral: true})
	}
	return s.awaitScaling(ctx.Context(), say)
}

func (s Settings) awaitScaling(ctx context.Context, say func(string)) error {
	look, err := s.look()
	if err != nil {
		return err
	}
	say("waiting for the floor of ready pods")
	if err := until(ctx, s.RolloutTimeout, look.floor); err != nil {
		return err
	}
	say("waiting for the autoscaler to see the pods' CPU")
	if err := until(ctx, metricsTimeout, look.metrics, look.active); err != nil {
		return fmt.Errorf("the pods are ready, but the autoscaler cannot see their CPU, so that their number stays as it is: %w, or do without an autoscaler: `pulumi config rm maxReplicas`", err)
	}
	return nil
}

// final is a fault that no waiting mends.
type final struct{ error }

// until asks every second until no check has a fault. Its error is the last fault.
func until(ctx context.Context, timeout time.Duration, checks ...func(context.Context) error) error {
	var fault error
	err := wait.PollUntilContextTimeout(ctx, time.Second, timeout, true, func(ctx context.Context) (bool, error) {
		for _, check := range checks {
			err := check(ctx)
			if err == nil {
				continue
			}
			if ctx.Err() == nil {
				fault = err
			}
			if errors.As(err, &final{}) {
				return false, err
			}
			return false, nil
		}
		return true, nil
	})
	if err != nil && fault != nil {
		return fault
	}
	return err
}

// scaling looks at what the cluster makes of a stack.
type scaling struct {
	client dynamic.Interface
	Settings
}

func (s Settings) look() (scaling, error) {
	config, err := s.Cluster.client()
	if err != nil {
		return scaling{}, err
	}
	client, err := dynamic.NewForConfig(config)
	return scaling{client, s}, err
}

// floor is at fault while fewer pods are ready than the stack asks for: a
// raised floor arrives when the autoscaler looks next.
func (s scaling) floor(ctx context.Context) error {
	deployment, err := s.deployment(ctx)
	if err != nil {
		return err
	}
	if deployment.Spec.Replicas == 0 {
		return final{errors.New("someone has scaled the Deployment to 0: start it again with `pulumi up --refresh`")}
	}
	if ready := deployment.Status.ReadyReplicas; ready < s.Replicas {
		return fmt.Errorf("replicas is %d, and %d pods are ready after %v: see why with `%s get pods` and `%[4]s describe hpa %s`",
			s.Replicas, ready, s.RolloutTimeout, s.kubectl(s.Namespace), autoscalerName)
	}
	return nil
}

// metrics is at fault while the cluster does not know the CPU of any of the
// pods. What the autoscaler says of it may be 15 s old.
func (s scaling) metrics(ctx context.Context) error {
	pods, err := s.client.Resource(podMetrics).Namespace(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + serviceName})
	switch {
	case apierrors.IsForbidden(err):
		return nil // not for every user to see; the autoscaler will tell
	case apierrors.IsNotFound(err):
		return final{fmt.Errorf("the cluster has no metrics API: install metrics-server with `kubectl --context %s apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`", s.Cluster.Context)}
	case err != nil:
		return fmt.Errorf("metrics-server does not answer (%w): see why with `kubectl --context %s describe apiservice v1beta1.metrics.k8s.io`", err, s.Cluster.Context)
	case len(pods.Items) == 0:
		return fmt.Errorf("metrics-server knows none of these pods: see why with `%s logs deployment/metrics-server`", s.kubectl("kube-system"))
	}
	return nil
}

// active is at fault while the autoscaler says that it cannot work.
func (s scaling) active(ctx context.Context) error {
	var autoscaler struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	err := s.get(ctx, autoscalers, autoscalerName, &autoscaler)
	if err != nil {
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
	return fmt.Errorf("%s: see more with `%s describe hpa %s`", message, s.kubectl(s.Namespace), autoscalerName)
}

// deployment is the part of the live one that tells of its size.
type deployment struct {
	Spec struct {
		Replicas int `json:"replicas"`
	} `json:"spec"`
	Status struct {
		ReadyReplicas int `json:"readyReplicas"`
	} `json:"status"`
}

func (s scaling) deployment(ctx context.Context) (deployment, error) {
	var d deployment
	err := s.get(ctx, deployments, deploymentName, &d)
	return d, err
}

// get reads one of the stack's objects into a struct that has the fields in question.
func (s scaling) get(ctx context.Context, resource schema.GroupVersionResource, name string, into any) error {
	object, err := s.client.Resource(resource).Namespace(s.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

// kubectl is how a command for one of the cluster's namespaces begins.
func (s scaling) kubectl(namespace string) string {
	return fmt.Sprintf("kubectl --context %s --namespace %s", s.Cluster.Context, namespace)
}
