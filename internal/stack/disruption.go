package stack

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewDisruptionBudget declares how many pods a drain of nodes may take at a
// time: a quarter of the fleet, and one of a small fleet. It holds a drain up
// until the successors are ready, and never for good: a single pod may go (it
// serves until its successor does), and so may pods that are broken anyway.
func NewDisruptionBudget(ctx *pulumi.Context, namespace pulumi.StringInput, deployment pulumi.Resource) (*policyv1.PodDisruptionBudget, error) {
	return policyv1.NewPodDisruptionBudget(ctx, "disruption-budget", &policyv1.PodDisruptionBudgetArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:      pulumi.String(disruptionBudgetName),
			Namespace: namespace,
			Labels:    labels(),
		},
		Spec: policyv1.PodDisruptionBudgetSpecArgs{
			Selector: metav1.LabelSelectorArgs{MatchLabels: labels()},
			// Kubernetes rounds up.
			MaxUnavailable:             pulumi.String("25%"),
			UnhealthyPodEvictionPolicy: pulumi.String("AlwaysAllow"),
		},
	}, pulumi.DependsOn([]pulumi.Resource{deployment}))
}
