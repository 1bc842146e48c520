// Package preflight checks, before anything is touched, what an up would fail on later
// and with a worse error.
package preflight

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/render"
)

// Check checks that the cluster answers, that the registry accepts the login, that no
// object belongs to somebody else and, in a preview, that the API server accepts the
// objects. It returns the cluster, and completes the configuration with what somebody has
// scaled to zero there.
func Check(ctx *pulumi.Context, c *config.Config) (*cluster.Cluster, error) {
	cluster, err := cluster.Connect(*c)
	if err != nil {
		return nil, err
	}
	// Without a cluster, Pulumi's provider passes every preview, and an up without
	// changes. Every user may read the version.
	if _, err := cluster.Discovery().ServerVersion(); err != nil {
		return nil, fmt.Errorf("the cluster of kubernetes:context (%q) does not answer: %w: run %s", c.Context, err, cluster.Kubectl("version"))
	}
	if err := waitForDeletions(ctx, *c, cluster); err != nil {
		return nil, err
	}
	if err := checkRegistryLogin(ctx.Context(), c.Service.Build.Repository, c.Service.RegistryLogin); err != nil {
		return nil, err
	}
	if err := checkObjects(ctx, *c, cluster); err != nil {
		return nil, err
	}
	c.Service.ScaledToZero, err = scaledToZero(ctx.Context(), cluster)
	return cluster, err
}

// checkObjects renders what is about to be declared, and checks that it is this stack's to
// declare and, in a preview, that the API server accepts it.
func checkObjects(ctx *pulumi.Context, c config.Config, cluster *cluster.Cluster) error {
	rendered, err := render.Config(ctx, c)
	if err != nil {
		return err
	}
	if err := checkOwnership(ctx, c, cluster, rendered.Objects()); err != nil || !ctx.DryRun() {
		return err
	}
	notes, err := checkAdmission(ctx.Context(), cluster.Dynamic, rendered.Objects())
	for _, note := range notes {
		_ = ctx.Log.Info(note, nil)
	}
	return err
}

// scaledToZero returns the names of Deployments in the stack's namespace that somebody
// has scaled to zero pods.
func scaledToZero(ctx context.Context, cl *cluster.Cluster) (names []string, err error) {
	deployments, err := listDeployments(ctx, cl)
	for _, d := range deployments {
		if d.Spec.Replicas != nil && *d.Spec.Replicas == 0 {
			names = append(names, d.Name)
		}
	}
	return names, err
}

func listDeployments(ctx context.Context, cl *cluster.Cluster) ([]appsv1.Deployment, error) {
	list, err := cl.AppsV1().Deployments(cl.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the Deployments of namespace %s: %w", cl.Namespace, err)
	}
	return list.Items, nil
}
