package microservice

import (
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// servicePort is where clients inside the cluster connect to.
const servicePort = 80

// newService gives the pods one DNS name and one address inside the cluster. It comes
// last, so that an earlier failure leaves no Service without pods.
func (m *Microservice) newService(ctx *pulumi.Context, deployment pulumi.Resource) (*corev1.Service, error) {
	port := corev1.ServicePortArgs{Port: pulumi.Int(servicePort), TargetPort: m.podPort()}
	if !m.isUnnamed() {
		port.Name = pulumi.String(httpPort)
	}
	return corev1.NewService(ctx, m.Name, &corev1.ServiceArgs{
		Metadata: m.metadata(m.Name),
		Spec: corev1.ServiceSpecArgs{
			Type:     corev1.ServiceSpecTypeClusterIP,
			Selector: m.labels(),
			Ports:    corev1.ServicePortArray{port},
		},
	}, m.child(deployment))
}

// isUnnamed reports whether the Service exists with a port without a name. It stays so: a
// new name leaves a Service without pods for a second.
func (m *Microservice) isUnnamed() bool { return slices.Contains(m.Args.UnnamedPorts, m.Name) }

// podPort is where pods get requests: by name, so that each gets them where it listens,
// also while Args.Port changes. The pods of a Service that others have made may not name
// their port.
func (m *Microservice) podPort() pulumi.Input {
	if m.isUnnamed() {
		return pulumi.Int(m.Args.Port)
	}
	return pulumi.String(httpPort)
}
