package microservice

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The Pod Security Standard that the pods of a service meet.
const (
	PodSecurityLabel = "pod-security.kubernetes.io/enforce"
	PodSecurityLevel = "restricted"
)

// NewNamespace declares a namespace, which services may share, and returns its name.
// `pulumi destroy` keeps it, because everything in it would go with it.
func NewNamespace(ctx *pulumi.Context, name, owner string) (pulumi.StringInput, error) {
	namespace, err := corev1.NewNamespace(ctx, "namespace", &corev1.NamespaceArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:        pulumi.String(name),
			Labels:      pulumi.StringMap{PodSecurityLabel: pulumi.String(PodSecurityLevel)},
			Annotations: annotations(owner),
		},
	}, pulumi.RetainOnDelete(true))
	if err != nil {
		return nil, err
	}
	return namespace.Metadata.Name().Elem(), nil
}
