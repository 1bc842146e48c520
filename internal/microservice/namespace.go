package microservice

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewNamespace declares a namespace, which services may share, and returns its name. It
// enforces the Pod Security Standard that the pods of a service meet. `pulumi destroy` keeps
// it, because everything in it would go with it.
func NewNamespace(ctx *pulumi.Context, name, owner string) (pulumi.StringInput, error) {
	namespace, err := corev1.NewNamespace(ctx, "namespace", &corev1.NamespaceArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:        pulumi.String(name),
			Labels:      pulumi.StringMap{"pod-security.kubernetes.io/enforce": pulumi.String("restricted")},
			Annotations: annotations(owner),
		},
	}, pulumi.RetainOnDelete(true))
	if err != nil {
		return nil, err
	}
	return namespace.Metadata.Name().Elem(), nil
}
