package microservice

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newService gives the pods one DNS name and one address inside the cluster. It comes
// last, so that an earlier failure leaves no Service without pods.
func (m *Microservice) newService(ctx *pulumi.Context, deployment pulumi.Resource) (*corev1.Service, error) {
	return corev1.NewService(ctx, m.Name, &corev1.ServiceArgs{
		Metadata: m.metadata(m.Name),
		Spec: corev1.ServiceSpecArgs{
			Type:     corev1.ServiceSpecTypeClusterIP,
			Selector: m.labels(),
			Ports: corev1.ServicePortArray{
				corev1.ServicePortArgs{Name: pulumi.String(httpPort), Port: pulumi.Int(80), TargetPort: pulumi.String(httpPort)},
			},
		},
	}, m.child(deployment))
}
