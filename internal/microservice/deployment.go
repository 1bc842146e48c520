package microservice

import (
	"slices"
	"time"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newDeployment declares the pods; the autoscaler decides how many there are.
//
// The autoscaler owns spec.replicas, so the count declared here must agree with it or
// stay out of its way:
//   - The Deployment comes after the autoscaler: its bounds change first, and the count
//     follows.
//   - With autoscaling, the minimum is written once, at creation, and again after
//     a scaling to zero. It cannot be left out: Kubernetes would take 1.
//
// The pods of a revision that a canary has proven need not prove the same again.
func (m *Microservice) newDeployment(ctx *pulumi.Context, pods corev1.PodSpecArgs, autoscaler pulumi.Resource) (*appsv1.Deployment, error) {
	name := DeploymentName(m.Name)
	beforeUpdate, err := m.beforeUpdate(ctx)
	if err != nil {
		return nil, err
	}
	options := []pulumi.ResourceOption{m.child(autoscaler), beforeUpdate}
	if m.Args.Autoscaled() && !slices.Contains(m.Args.ScaledToZero, name) {
		options = append(options, pulumi.IgnoreChanges([]string{"spec.replicas"}))
	}
	minReady := ProvingTime
	if m.Args.Canary {
		minReady = 2 * time.Second
	}
	return appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: m.metadata(name),
		Spec: appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(m.Args.Replicas),
			Selector: m.selector(),
			// No pod goes before its successor has been ready for MinReadySeconds. All
			// successors start at once, so that a rollout waits for that once; nodes with
			// less room start them in turns.
			Strategy: appsv1.DeploymentStrategyArgs{
				Type:          pulumi.String("RollingUpdate"),
				RollingUpdate: appsv1.RollingUpdateDeploymentArgs{MaxUnavailable: pulumi.Int(0), MaxSurge: pulumi.String("100%")},
			},
			MinReadySeconds:         seconds(minReady),
			ProgressDeadlineSeconds: seconds(m.Args.RolloutTimeout),
			// For `kubectl rollout undo` only. The way back here is an older commit.
			RevisionHistoryLimit: pulumi.Int(2),
			Template:             corev1.PodTemplateSpecArgs{Metadata: metav1.ObjectMetaArgs{Labels: m.labels()}, Spec: pods},
		},
	}, options...)
}
