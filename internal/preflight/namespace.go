package preflight

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/stack"
)

// checkNamespace has the stack declare its namespace only if it is missing or its own:
// pods of others may not meet the Pod Security Standard that it would enforce.
func checkNamespace(ctx *pulumi.Context, c *config.Config, cl *cluster.Cluster, objects []object) error {
	i := slices.IndexFunc(objects, func(o object) bool { return o.kind() == "Namespace" })
	if i < 0 {
		return nil // it is "default"
	}
	switch o := objects[i]; {
	case o.hidden: // a user with rights in this namespace only cannot create any
		c.CreateNamespace = false
	case !o.exists() && !c.CreateNamespace:
		return fmt.Errorf("namespace (%q) does not exist, and createNamespace is false: create it with %s, or have the stack create it with `pulumi config set createNamespace true`",
			cl.Namespace, cl.Kubectl("create namespace "+cl.Namespace))
	case o.exists() && !stack.Owns(ctx, o.live.GetAnnotations()):
		c.CreateNamespace = false
	}
	return nil
}
