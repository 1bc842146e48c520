package preflight

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/microservice"
	"user-service/internal/stack"
)

// checkNamespace has the stack declare its namespace only if nobody else has created it:
// pods of others may not meet the Pod Security Standard that it would enforce.
func checkNamespace(ctx *pulumi.Context, c *config.Config, cl *cluster.Cluster) error {
	namespace, err := cl.CoreV1().Namespaces().Get(ctx.Context(), cl.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && c.CreateNamespace:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("namespace (%q) does not exist, and createNamespace is false: create it with %s, or have the stack create it with `pulumi config set createNamespace true`",
			cl.Namespace, cl.Kubectl("create namespace "+cl.Namespace))
	case apierrors.IsForbidden(err): // a user with rights in this namespace only cannot create any
		c.CreateNamespace = false
		return nil
	case err != nil:
		return fmt.Errorf("get namespace %s: %w", cl.Namespace, err)
	}
	isGoing := namespace.DeletionTimestamp != nil
	c.CreateNamespace = c.CreateNamespace && (isGoing || isOwn(namespace, stack.Owner(ctx)))
	return nil
}

// isOwn reports whether a stack has created a namespace. Earlier versions of this program
// did not write their name, but what they did is as specific.
func isOwn(namespace *corev1.Namespace, owner string) bool {
	if name := namespace.Annotations[microservice.OwnerAnnotation]; name != "" {
		return name == owner
	}
	return isPulumis(namespace) && namespace.Labels[microservice.PodSecurityLabel] == microservice.PodSecurityLevel
}
