// Package v2 refuses the resources of the component kubernetes:yaml/v2:ConfigGroup
// and its like.
package v2

import (
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegisterResource always fails.
func RegisterResource(*pulumi.Context, string, string, string, pulumi.Input, ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	return nil, errors.New("the sandbox's Kubernetes plugin has no ConfigFile, ConfigGroup and Chart: declare typed resources, or use Pulumi's own plugin")
}
