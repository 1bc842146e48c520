// Package preflight checks, before anything is touched, what an up would fail on later
// and with a worse error.
package preflight

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/render"
)

// Check checks that the cluster answers, that the registry accepts the login, that no
// object belongs to somebody else and, in a preview, that the API server accepts the
// objects. It returns the cluster, and completes the configuration with what the stack
// must know of it: whose the namespace is, which ports have no name, what is scaled to zero.
func Check(ctx *pulumi.Context, c *config.Config) (*cluster.Cluster, error) {
	cluster, err := cluster.Connect(*c)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(cluster); err != nil {
		return nil, err
	}
	if err := waitForDeletions(ctx, *c, cluster); err != nil {
		return nil, err
	}
	if err := checkNamespace(ctx, c, cluster); err != nil {
		return nil, err
	}
	if err := checkRegistryLogin(ctx.Context(), c.Service.Build.Repository, c.Service.RegistryLogin); err != nil {
		return nil, err
	}
	if err := checkObjects(ctx, *c, cluster); err != nil {
		return nil, err
	}
	if c.Service.UnnamedPorts, err = unnamedPorts(ctx.Context(), cluster); err != nil {
		return nil, err
	}
	c.Service.ScaledToZero, err = scaledToZero(ctx.Context(), cluster)
	return cluster, err
}

// oldest is the first version that has all fields of the manifests: the preStop sleep and
// the autoscaler's ContainerResource came last.
var oldest = version.MustParseGeneric("1.30")

// checkVersion checks that the cluster answers, with a version that has all fields.
// Without a cluster, Pulumi's provider passes every preview, and an up without changes.
// Every user may read the version.
func checkVersion(cl *cluster.Cluster) error {
	info, err := cl.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("the cluster of kubernetes:context (%q) does not answer: %w: run %s", cl.Context, err, cl.Kubectl("version"))
	}
	if running, err := version.ParseGeneric(info.GitVersion); err == nil && running.LessThan(oldest) {
		return fmt.Errorf("the cluster of kubernetes:context (%q) runs Kubernetes %s, and the manifests need %v: upgrade it, or choose another with `pulumi config set kubernetes:context <name>`",
			cl.Context, info.GitVersion, oldest)
	}
	return nil
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

// unnamedPorts returns the names of Services in the stack's namespace whose port has none.
func unnamedPorts(ctx context.Context, cl *cluster.Cluster) (services []string, err error) {
	list, err := cl.CoreV1().Services(cl.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the Services of namespace %s: %w", cl.Namespace, err)
	}
	for _, s := range list.Items {
		if len(s.Spec.Ports) == 1 && s.Spec.Ports[0].Name == "" {
			services = append(services, s.Name)
		}
	}
	return services, nil
}

func listDeployments(ctx context.Context, cl *cluster.Cluster) ([]appsv1.Deployment, error) {
	list, err := cl.AppsV1().Deployments(cl.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the Deployments of namespace %s: %w", cl.Namespace, err)
	}
	return list.Items, nil
}
