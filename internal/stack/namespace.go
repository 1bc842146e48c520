package stack

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewNamespace returns the name of the namespace everything else goes into,
// and declares that namespace unless it is the cluster's own "default".
//
// The provider adopts a namespace that exists already, whoever made it, so
// destroy leaves it where it is: deleting one deletes all that anyone put in.
func NewNamespace(ctx *pulumi.Context, s Settings) (pulumi.StringInput, error) {
	if s.Namespace == "default" {
		return pulumi.String(s.Namespace), nil
	}
	namespace, err := corev1.NewNamespace(ctx, "namespace", &corev1.NamespaceArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:   pulumi.String(s.Namespace),
			Labels: pulumi.StringMap{"pod-security.kubernetes.io/enforce": pulumi.String("restricted")},
		},
	}, pulumi.RetainOnDelete(true))
	if err != nil {
		return nil, err
	}
	return namespace.Metadata.Name().Elem(), nil
}
