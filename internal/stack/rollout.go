package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// skipAwait has Pulumi not wait for an object's pods, which AwaitRollout does.
// Pulumi's own wait ends after its timeout with "unready" for pods that nobody
// can schedule or that never get ready, and with the same story for each pod
// that crashes.
const skipAwait = "pulumi.com/skipAwait"

// AwaitRollout waits until the live fleet is what this up declares, and fails
// with what its pods say if that takes longer than the rollout timeout: every
// pod of this release and ready, no fewer than the floor, and an autoscaler
// that sees their CPU. last is the last of the resources that this is about.
//
// There is nothing to wait for in a preview, and when last failed, which Pulumi
// says, or is no target of this up.
func AwaitRollout(ctx *pulumi.Context, s Settings, last pulumi.CustomResource) error {
	if ctx.DryRun() {
		return nil
	}
	id, err := internals.UnsafeAwaitOutput(ctx.Context(), last.ID())
	if err != nil || !id.Known || id.Value == pulumi.ID("") {
		return nil
	}
	l, err := s.live()
	if err != nil {
		return err
	}
	said := ""
	say := func(what string) {
		if what != said {
			_ = ctx.Log.Info(what, &pulumi.LogArgs{Resource: last, Ephemeral: true})
		}
		said = what
	}
	err = until(ctx.Context(), s.RolloutTimeout, func(ctx context.Context) error {
		err := l.rolledOut(ctx)
		if err != nil {
			say(err.Error())
		}
		return err
	})
	if err != nil {
		return l.explain(ctx.Context(), err)
	}
	if !s.Autoscaled() {
		return nil
	}
	say("waiting for the autoscaler to see the pods' CPU")
	return l.awaitMetrics(ctx.Context())
}

// deployment is what the live Deployment says of itself.
type deployment struct {
	Metadata struct {
		Generation  int               `json:"generation"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Replicas int `json:"replicas"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int                `json:"observedGeneration"`
		Replicas           int                `json:"replicas"`
		UpdatedReplicas    int                `json:"updatedReplicas"`
		AvailableReplicas  int                `json:"availableReplicas"`
		Conditions         []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

func (l live) deployment(ctx context.Context) (deployment, error) {
	var d deployment
	err := l.get(ctx, deployments, deploymentName, &d)
	return d, err
}

// rolledOut is at fault while not every pod is of the newest release and
// available. It is the rule of `kubectl rollout status`, and the floor's: a
// raised one arrives when the autoscaler looks next, every 15 s.
func (l live) rolledOut(ctx context.Context) error {
	d, err := l.deployment(ctx)
	if err != nil {
		return err
	}
	wanted := max(d.Spec.Replicas, l.Replicas)
	switch {
	case d.Spec.Replicas == 0:
		return final{errors.New("someone has scaled the Deployment to 0: start it again with `pulumi up --refresh`")}
	case d.Status.ObservedGeneration < d.Metadata.Generation:
		return errors.New("the Deployment's controller has not seen it yet")
	case d.Status.UpdatedReplicas < wanted:
		return fmt.Errorf("%d of %d pods are of this release", d.Status.UpdatedReplicas, wanted)
	case d.Status.Replicas > d.Status.UpdatedReplicas:
		return fmt.Errorf("%d pods of the last release serve on, beside %d of this one", d.Status.Replicas-d.Status.UpdatedReplicas, d.Status.UpdatedReplicas)
	case d.Status.AvailableReplicas < wanted:
		return fmt.Errorf("%d of %d pods are available", d.Status.AvailableReplicas, wanted)
	}
	return nil
}
