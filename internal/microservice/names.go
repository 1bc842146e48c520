package microservice

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DeploymentName is the name of a service's Deployment on the cluster.
func DeploymentName(service string) string { return service + "-deployment" }

// AutoscalerName is the name of a service's HorizontalPodAutoscaler on the cluster.
func AutoscalerName(service string) string { return service + "-hpa" }

// httpPort is the name by which probes, Service and NetworkPolicy refer to the
// container's port.
const httpPort = "http"

// labels select the service's pods. A Deployment's selector cannot change later.
func (m *Microservice) labels() pulumi.StringMap {
	return pulumi.StringMap{"app": pulumi.String(m.Name)}
}

func (m *Microservice) selector() metav1.LabelSelectorArgs {
	return metav1.LabelSelectorArgs{MatchLabels: m.labels()}
}

// metadata is that of an object with a name of its own. annotations may be nil.
func (m *Microservice) metadata(name string, annotations pulumi.StringMap) metav1.ObjectMetaArgs {
	return metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: m.Args.Namespace, Labels: m.labels(), Annotations: annotations}
}
