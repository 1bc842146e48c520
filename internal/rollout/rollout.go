// Package rollout waits until what an up has declared runs, and reports what keeps it
// from running.
package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// rollout is that of one service.
type rollout struct {
	*cluster.Cluster
	name string
	args microservice.Args
}

// Wait waits until every service has all its pods, of the new revision and ready, an
// autoscaler that reads their CPU, and an Ingress or a Gateway that passes requests on. The
// error joins those of all services. A preview has nothing to wait for.
func Wait(ctx *pulumi.Context, cl *cluster.Cluster, services []*microservice.Microservice) error {
	if ctx.DryRun() {
		return nil
	}
	results := make(chan error)
	for _, service := range services {
		go func() { results <- waitFor(ctx, cl, service) }()
	}
	var errs error
	for range services {
		errs = errors.Join(errs, <-results)
	}
	return errs
}

// waitFor waits for one service, unless its declaration failed, which Pulumi reports, or
// it is no target of this up.
func waitFor(ctx *pulumi.Context, cl *cluster.Cluster, service *microservice.Microservice) error {
	id, err := internals.UnsafeAwaitOutput(ctx.Context(), service.Last.ID())
	if err != nil || !id.Known || id.Value == pulumi.ID("") {
		return nil
	}
	r := rollout{cl, service.Name, service.Args}
	var shown string
	show := func(progress string) {
		if progress != shown {
			_ = ctx.Log.Info(progress, &pulumi.LogArgs{Resource: service.Last, Ephemeral: true})
		}
		shown = progress
	}
	err = cluster.Poll(ctx.Context(), r.args.RolloutTimeout, func(ctx context.Context) error {
		err := r.checkDeployment(ctx)
		if err != nil && ctx.Err() == nil {
			show(err.Error())
		}
		return err
	})
	if err != nil {
		return r.explain(ctx.Context(), err)
	}
	if r.args.Autoscaled() {
		show("waiting for the autoscaler to read the pods' CPU")
		if err := r.waitForMetrics(ctx.Context()); err != nil {
			return err
		}
	}
	if len(r.args.Outside.Hosts) == 0 {
		return nil
	}
	show("waiting for a request from outside to reach a pod")
	err = r.waitForOutside(ctx.Context())
	if errors.As(err, &unreachable{}) {
		return ctx.Log.Warn(fmt.Sprintf("whether clients outside the cluster reach %s is not checked: %v", r.name, err), &pulumi.LogArgs{Resource: service.Last})
	}
	return err
}

// checkDeployment applies the rule of `kubectl rollout status`, and that of the minimum:
// a raised one takes effect when the autoscaler runs next, every 15 s.
func (r rollout) checkDeployment(ctx context.Context) error {
	d, err := r.deployment(ctx)
	if apierrors.IsNotFound(err) {
		return cluster.Permanent(fmt.Errorf("%w: it was deleted meanwhile: run `pulumi up` again, which creates it", err))
	}
	if err != nil {
		return err
	}
	updated, available, want := d.Status.UpdatedReplicas, d.Status.AvailableReplicas, max(*d.Spec.Replicas, int32(r.args.Replicas))
	switch {
	case *d.Spec.Replicas == 0:
		return cluster.Permanent(errors.New("the Deployment was scaled to 0 meanwhile: run `pulumi up` again, which starts it"))
	case d.Status.ObservedGeneration < d.Generation:
		return errors.New("the Deployment's controller has not processed it yet")
	case d.Spec.Paused && updated < want:
		return fmt.Errorf("the Deployment is paused: resume it with %s", r.Kubectl("--namespace "+r.Namespace+" rollout resume deployment "+d.Name))
	case updated < want:
		return fmt.Errorf("%d of %d pods are of the new revision", updated, want)
	case d.Status.Replicas > updated:
		return fmt.Errorf("%d pods of the previous revision are still running, beside %d of the new one", d.Status.Replicas-updated, updated)
	case available < want:
		return fmt.Errorf("%d of %d pods are available", available, want)
	}
	return nil
}

func (r rollout) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return r.AppsV1().Deployments(r.Namespace).Get(ctx, microservice.DeploymentName(r.name), metav1.GetOptions{})
}

// selector selects the service's pods and ReplicaSets.
func (r rollout) selector() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "app=" + r.name}
}
