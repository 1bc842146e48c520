package preflight

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/microservice"
	"user-service/internal/stack"
)

// checkOwnership checks that no object that is about to be declared exists already and
// belongs to somebody else: Pulumi would overwrite it, and delete it with the stack. A
// namespace may be shared.
func checkOwnership(ctx *pulumi.Context, c config.Config, cl *cluster.Cluster, objects []*unstructured.Unstructured) error {
	var errs []error
	for _, object := range objects {
		if c.Adopt || object.GetKind() == "Namespace" {
			continue
		}
		live, err := objectsLike(cl.Dynamic, object).Get(ctx.Context(), object.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if owner := owner(live); owner != "" && owner != "stack "+stack.Owner(ctx) {
			errs = append(errs, fmt.Errorf("%s %s in namespace %s belongs to %s: choose another namespace or name with `pulumi config set namespace <namespace>` or `pulumi config set name <name>`, or take it over with `pulumi config set adopt true`",
				object.GetKind(), object.GetName(), object.GetNamespace(), owner))
		}
	}
	return errors.Join(errs...)
}

// owner returns whose an object is, or "" for one of a stack that an earlier version of
// this program has deployed, which did not write its name.
func owner(live *unstructured.Unstructured) string {
	if name := live.GetAnnotations()[microservice.OwnerAnnotation]; name != "" {
		return "stack " + name
	}
	if release := live.GetAnnotations()["meta.helm.sh/release-name"]; release != "" {
		return "Helm release " + release
	}
	first := "somebody else"
	for _, fields := range live.GetManagedFields() {
		if strings.HasPrefix(fields.Manager, "pulumi-kubernetes-") {
			return ""
		}
		if fields.Manager != "kube-controller-manager" {
			first = "somebody else, who uses " + fields.Manager
		}
	}
	return first
}
