// Package stack declares what one stack consists of: an image, the Secrets that
// its pods need, the autoscaler that owns their number, the Deployment that runs
// them, the budget for disturbing them and the Service in front. Settings come
// first and flow down; nothing else reads configuration, and nothing asks for the
// stack's name.
package stack

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// The names in the cluster are fixed: people and other programs type them.
const (
	serviceName          = "user-service"
	deploymentName       = serviceName + "-deployment"
	autoscalerName       = serviceName + "-hpa"
	disruptionBudgetName = serviceName + "-pdb"
	pullSecretName       = serviceName + "-registry"
	networkPolicyName    = serviceName + "-policy"
)

// httpPort is where the container listens; probes and the Service call it by
// its name.
const (
	httpPort     = 8080
	httpPortName = "http"
)

// labels tell the service's pods from all others. A Deployment's selector
// cannot change once it exists.
func labels() pulumi.StringMap {
	return pulumi.StringMap{"app": pulumi.String(serviceName)}
}
