package stack

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewService gives the pods one name and one address inside the cluster.
//
// It follows the Deployment, so that what fails before that one leaves no
// Service without pods.
func NewService(ctx *pulumi.Context, namespace pulumi.StringInput, deployment pulumi.Resource) (*corev1.Service, error) {
	return corev1.NewService(ctx, "service", &corev1.ServiceArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:        pulumi.String(serviceName),
			Namespace:   namespace,
			Labels:      labels(),
			Annotations: pulumi.StringMap{skipAwait: pulumi.String("true")},
		},
		Spec: corev1.ServiceSpecArgs{
			Type:     corev1.ServiceSpecTypeClusterIP,
			Selector: labels(),
			Ports: corev1.ServicePortArray{corev1.ServicePortArgs{
				Name:       pulumi.String(httpPortName),
				Port:       pulumi.Int(80),
				TargetPort: pulumi.String(httpPortName),
			}},
		},
	}, pulumi.DependsOn([]pulumi.Resource{deployment}))
}
