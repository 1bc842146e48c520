// Package preflight checks, before anything is touched, what an up would fail on later
// and with a worse error. Last of all, it removes what Pulumi would not see.
package preflight

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/render"
)

// Check checks that the cluster answers, that the registry accepts the login, that no
// object is managed by others and, in a preview, that the API server accepts the
// objects. It returns the cluster, and completes the configuration with what the stack
// must know of it: whose the namespace is, what is scaled to zero, which ports have no
// name, and what serves the hosts.
func Check(ctx *pulumi.Context, c *config.Config) (*cluster.Cluster, error) {
	cl, err := cluster.Connect(*c)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(cl); err != nil {
		return nil, err
	}
	err = errors.Join(
		checkRegistryLogin(ctx.Context(), c.Service.Build.Repository, c.Service.RegistryLogin),
		checkOutside(ctx.Context(), cl, c.Name, &c.Service.Outside),
		checkMonitoring(cl, c.Service.Monitoring),
	)
	if err != nil {
		return nil, err
	}
	if err := checkHosts(ctx, cl, *c); err != nil {
		return nil, err
	}
	all := *c
	all.CreateNamespace = true // to see whose it is
	rendered, err := render.Config(ctx, all)
	if err != nil {
		return nil, err
	}
	objects, err := observe(ctx, *c, cl, rendered.Objects())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkNamespace(ctx, c, cl, objects), checkOwnership(ctx, *c, cl, objects)); err != nil {
		return nil, err
	}
	complete(c, objects)
	if ctx.DryRun() {
		err = checkAdmission(ctx, *c, objects)
	}
	return cl, errors.Join(err, removeAdditions(ctx, objects))
}

// checkVersion checks that the cluster answers, with a version that has all fields of the
// manifests. Without a cluster, Pulumi's provider passes every preview, and an up without
// changes. Every user may read the version.
func checkVersion(cl *cluster.Cluster) error {
	oldest := version.MustParseGeneric("1.30") // that of the preStop sleep and of ContainerResource
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

// checkMonitoring checks that the cluster has the kinds of prometheus-operator.
func checkMonitoring(cl *cluster.Cluster, wanted bool) error {
	if !wanted {
		return nil
	}
	for _, resource := range []string{"podmonitors", "prometheusrules"} {
		has, err := discovery.IsResourceEnabled(cl.Discovery(), schema.GroupVersionResource{Group: "monitoring.coreos.com", Version: "v1", Resource: resource})
		if err != nil {
			return fmt.Errorf("look for the cluster's %s: %w", resource, err)
		}
		if !has {
			return fmt.Errorf("monitoring (\"true\") needs prometheus-operator, and the cluster does not have its %s: install it, or do without with `pulumi config rm monitoring`", resource)
		}
	}
	return nil
}

// complete adds to the configuration what others have made of the objects.
func complete(c *config.Config, objects []object) {
	for _, o := range objects {
		replicas, found, _ := unstructured.NestedInt64(o.live.Object, "spec", "replicas")
		if o.kind() == "Deployment" && found && replicas == 0 {
			c.Service.ScaledToZero = append(c.Service.ScaledToZero, o.name())
		}
		ports, _, _ := unstructured.NestedSlice(o.live.Object, "spec", "ports")
		if o.kind() == "Service" && len(ports) == 1 && ports[0].(map[string]any)["name"] == nil {
			c.Service.UnnamedPorts = append(c.Service.UnnamedPorts, o.name())
		}
	}
}
