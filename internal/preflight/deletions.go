package preflight

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
	"user-service/internal/config"
)

// waitForDeletions waits until nothing is left that is being deleted, by an earlier
// destroy or by others: what is applied to such an object goes with it. A preview does
// not wait.
func waitForDeletions(ctx *pulumi.Context, c config.Config, cl *cluster.Cluster) error {
	name, err := beingDeleted(ctx.Context(), cl)
	if err != nil || name == "" {
		return err
	}
	if ctx.DryRun() {
		return ctx.Log.Info(name+" is being deleted: `pulumi up` waits until it is gone", nil)
	}
	return cluster.Poll(ctx.Context(), c.Service.RolloutTimeout, func(ctx context.Context) error {
		name, err := beingDeleted(ctx, cl)
		if err == nil && name != "" {
			err = fmt.Errorf("%s is still being deleted after %v (rolloutTimeout): run %s to see what it waits for",
				name, c.Service.RolloutTimeout, cl.Kubectl("get "+name+" --namespace "+cl.Namespace+" --output yaml"))
		}
		return err
	})
}

// beingDeleted returns the namespace or a Deployment in it that is being deleted, or "".
func beingDeleted(ctx context.Context, cl *cluster.Cluster) (name string, err error) {
	namespace, err := cl.CoreV1().Namespaces().Get(ctx, cl.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case apierrors.IsForbidden(err): // the user may only have rights in this namespace
	case err != nil:
		return "", fmt.Errorf("get namespace %s: %w", cl.Namespace, err)
	case namespace.DeletionTimestamp != nil:
		return "namespace " + cl.Namespace, nil
	}
	deployments, err := listDeployments(ctx, cl)
	for _, d := range deployments {
		if d.DeletionTimestamp != nil {
			return "Deployment " + d.Name, nil
		}
	}
	return "", err
}
