package microservice

import (
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newDisruptionBudget declares how many pods a drain of nodes may evict at a time: a
// quarter, rounded up. A drain thus waits for new pods but never forever: a single pod
// may go, and so may pods that are not ready.
func (m *Microservice) newDisruptionBudget(ctx *pulumi.Context, deployment pulumi.Resource) error {
	name := m.Name + "-pdb"
	_, err := policyv1.NewPodDisruptionBudget(ctx, name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: m.metadata(name),
		Spec: policyv1.PodDisruptionBudgetSpecArgs{
			Selector:                   m.selector(),
			MaxUnavailable:             pulumi.String("25%"),
			UnhealthyPodEvictionPolicy: pulumi.String("AlwaysAllow"),
		},
	}, m.child(deployment))
	return err
}
