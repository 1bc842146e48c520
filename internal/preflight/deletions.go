package preflight

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/cluster"
	"user-service/internal/config"
)

// waitForDeletions waits until no object is left that is being deleted, by an earlier
// destroy or by others: what is applied to one goes with it. A preview does not wait.
func waitForDeletions(ctx *pulumi.Context, c config.Config, cl *cluster.Cluster, objects []object) error {
	going := beingDeleted(objects)
	if going == nil {
		return nil
	}
	if ctx.DryRun() {
		return ctx.Log.Info(fmt.Sprintf("%v is being deleted: `pulumi up` waits until it is gone", going), nil)
	}
	return cluster.Poll(ctx.Context(), c.Service.RolloutTimeout, func(ctx context.Context) error {
		if err := observe(ctx, objects); err != nil {
			return err
		}
		if going := beingDeleted(objects); going != nil {
			return fmt.Errorf("%v is still being deleted after %v (rolloutTimeout): run %s to see what it waits for",
				going, c.Service.RolloutTimeout, cl.Kubectl(fmt.Sprintf("get %v --namespace %s --output yaml", going, cl.Namespace)))
		}
		return nil
	})
}

// beingDeleted returns the first object that is, or nil.
func beingDeleted(objects []object) *object {
	for _, o := range objects {
		if o.live.GetDeletionTimestamp() != nil {
			return &o
		}
	}
	return nil
}
