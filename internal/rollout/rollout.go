// Package rollout waits until what an up has declared runs, and reports what keeps it
// from running.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// rollout is that of one service.
type rollout struct {
	*cluster.Cluster
	name string
	args microservice.Args
}

// Wait waits until every service has all its pods, of the new revision and ready, and an
// autoscaler that reads their CPU. The error joins those of all services. A preview has
// nothing to wait for.
func Wait(ctx *pulumi.Context, cluster *cluster.Cluster, services []*microservice.Microservice) error {
	if ctx.DryRun() {
		return nil
	}
	results := make(chan error)
	for _, service := range services {
		go func() { results <- waitFor(ctx, cluster, service) }()
	}
	var errs error
	for range services {
		errs = errors.Join(errs, <-results)
	}
	return errs
}

// waitFor waits for one service, unless its declaration failed, which Pulumi reports, or
// it is no target of this up.
func waitFor(ctx *pulumi.Context, cluster *cluster.Cluster, service *microservice.Microservice) error {
	id, err := internals.UnsafeAwaitOutput(ctx.Context(), service.Last.ID())
	if err != nil || !id.Known || id.Value == pulumi.ID("") {
		return nil
	}
	r := rollout{cluster, service.Name, service.Args}
	var shown string
	show := func(progress string) {
		if progress != shown {
			_ = ctx.Log.Info(progress, &pulumi.LogArgs{Resource: service.Last, Ephemeral: true})
		}
		shown = progress
	}
	err = poll(ctx.Context(), r.args.RolloutTimeout, func(ctx context.Context) error {
		err := r.checkDeployment(ctx)
		if err != nil {
			show(err.Error())
		}
		return err
	})
	if err != nil {
		return r.explain(ctx.Context(), err)
	}
	if !r.args.Autoscaled() {
		return nil
	}
	show("waiting for the autoscaler to read the pods' CPU")
	return r.waitForMetrics(ctx.Context())
}

// checkDeployment applies the rule of `kubectl rollout status`, and that of the minimum:
// a raised one takes effect when the autoscaler runs next, every 15 s.
func (r rollout) checkDeployment(ctx context.Context) error {
	d, err := r.deployment(ctx)
	if err != nil {
		return err
	}
	updated, available, want := d.Status.UpdatedReplicas, d.Status.AvailableReplicas, max(*d.Spec.Replicas, int32(r.args.Replicas))
	switch {
	case *d.Spec.Replicas == 0:
		return permanentError{errors.New("the Deployment has been scaled to 0: start it again with `pulumi up --refresh`")}
	case d.Status.ObservedGeneration < d.Generation:
		return errors.New("the Deployment's controller has not processed it yet")
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

// permanentError is one that does not go away by waiting.
type permanentError struct{ error }

// poll runs checks every second until none fails. It returns the last error of a check.
func poll(ctx context.Context, timeout time.Duration, checks ...func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, timeout, true, func(ctx context.Context) (bool, error) {
		for _, check := range checks {
			err := check(ctx)
			if err == nil {
				continue
			}
			if ctx.Err() == nil {
				last = err
			}
			if errors.As(err, &permanentError{}) {
				return false, err
			}
			return false, nil
		}
		return true, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}
