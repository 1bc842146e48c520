package preflight

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"user-service/internal/cluster"
	"user-service/internal/config"
)

// waitForDeletions waits until no object is left that is being deleted, by an earlier
// destroy or by others: what is applied to one goes with it. A preview does not wait. It
// returns the objects as they are then.
func waitForDeletions(ctx *pulumi.Context, c config.Config, cl *cluster.Cluster, objects []object) ([]object, error) {
	going := beingDeleted(objects)
	if going == nil {
		return objects, nil
	}
	if ctx.DryRun() {
		return objects, ctx.Log.Info(fmt.Sprintf("%v is being deleted: `pulumi up` waits until it is gone", going), nil)
	}
	var declared []*unstructured.Unstructured
	for _, o := range objects {
		declared = append(declared, o.declared)
	}
	err := cluster.Poll(ctx.Context(), c.Service.RolloutTimeout, func(ctx context.Context) (err error) {
		if objects, err = observe(ctx, cl, declared); err != nil {
			return err
		}
		if going = beingDeleted(objects); going != nil {
			return fmt.Errorf("%v is still being deleted after %v (rolloutTimeout): run %s to see what it waits for",
				going, c.Service.RolloutTimeout, cl.Kubectl(fmt.Sprintf("get %v --namespace %s --output yaml", going, cl.Namespace)))
		}
		return nil
	})
	return objects, err
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
