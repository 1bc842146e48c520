package microservice

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DeploymentName is the name of a service's Deployment on the cluster.
func DeploymentName(service string) string { return service + "-deployment" }

// AutoscalerName is the name of its HorizontalPodAutoscaler.
func AutoscalerName(service string) string { return service + "-hpa" }

// httpPort is the container's port to probes, Service and NetworkPolicy.
const httpPort = "http"

// labels select the service's pods. A Deployment's selector cannot change later.
func (m *Microservice) labels() pulumi.StringMap {
	return pulumi.StringMap{"app": pulumi.String(m.Name)}
}

func (m *Microservice) selector() metav1.LabelSelectorArgs {
	return metav1.LabelSelectorArgs{MatchLabels: m.labels()}
}

const OwnerAnnotation = "microservice/stack" // on every object, with Args.Owner

// annotations has Pulumi overwrite what others have changed in an object (patchForce) and
// not wait for its pods (skipAwait): internal/rollout does, and reports pods that cannot
// be scheduled or do not become ready.
func annotations(owner string) pulumi.StringMap {
	return pulumi.ToStringMap(map[string]string{"pulumi.com/patchForce": "true", "pulumi.com/skipAwait": "true", OwnerAnnotation: owner})
}

// metadata is that of an object, which Pulumi names if name is "".
func (m *Microservice) metadata(name string) metav1.ObjectMetaArgs {
	metadata := metav1.ObjectMetaArgs{Namespace: m.Args.Namespace, Labels: m.labels(), Annotations: annotations(m.Args.Owner)}
	if name != "" {
		metadata.Name = pulumi.String(name)
	}
	return metadata
}
