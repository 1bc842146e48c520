package microservice

import (
	"slices"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// minReadySeconds is how long a new pod must stay ready before it replaces an old one.
// This stops a revision that crashes under its first requests.
const minReadySeconds = 10

// newDeployment declares the pods; the autoscaler decides how many there are.
//
// The autoscaler owns spec.replicas, so the count declared here must agree with it or
// stay out of its way:
//   - The Deployment comes after the autoscaler: its bounds change first, and the count
//     follows.
//   - With autoscaling, the minimum is written once, at creation, and again after
//     somebody has scaled to zero. It cannot be left out: Kubernetes would take 1.
func (m *Microservice) newDeployment(ctx *pulumi.Context, pods corev1.PodSpecArgs, autoscaler pulumi.Resource) (*appsv1.Deployment, error) {
	name := DeploymentName(m.Name)
	options := []pulumi.ResourceOption{m.child(autoscaler)}
	if m.Args.Autoscaled() && !slices.Contains(m.Args.ScaledToZero, name) {
		options = append(options, pulumi.IgnoreChanges([]string{"spec.replicas"}))
	}
	return appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: m.metadata(name),
		Spec: appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(m.Args.Replicas),
			Selector: m.selector(),
			// No pod goes before its successor has been ready for minReadySeconds. All
			// successors start at once, so that a rollout waits for that once; nodes with
			// less room start them in turns.
			Strategy: appsv1.DeploymentStrategyArgs{
				Type:          pulumi.String("RollingUpdate"),
				RollingUpdate: appsv1.RollingUpdateDeploymentArgs{MaxUnavailable: pulumi.Int(0), MaxSurge: pulumi.String("100%")},
			},
			MinReadySeconds:         pulumi.Int(minReadySeconds),
			ProgressDeadlineSeconds: seconds(m.Args.RolloutTimeout),
			// For `kubectl rollout undo` only. The way back here is an older commit.
			RevisionHistoryLimit: pulumi.Int(2),
			Template:             corev1.PodTemplateSpecArgs{Metadata: metav1.ObjectMetaArgs{Labels: m.labels()}, Spec: pods},
		},
	}, options...)
}
