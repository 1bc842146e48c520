package stack

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/microservice"
)

// formerNames has Pulumi recognize what a program before the component has deployed,
// which was always called user-service, so that nothing is replaced. It can go when no
// such stack is left.
func formerNames() pulumi.ResourceOption {
	former := map[string]string{
		"user-service-image":      "image",
		"user-service-policy":     "network-policy",
		"user-service-env":        "secret-env",
		"user-service-registry":   "pull-secret",
		"user-service-hpa":        "autoscaler",
		"user-service-deployment": "deployment",
		"user-service-pdb":        "disruption-budget",
		"user-service":            "service",
	}
	return pulumi.Transformations([]pulumi.ResourceTransformation{
		func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
			name, known := former[args.Name]
			if _, isComponent := args.Resource.(*microservice.Microservice); !known || isComponent {
				return nil
			}
			alias := pulumi.Aliases([]pulumi.Alias{{Name: pulumi.String(name), NoParent: pulumi.Bool(true)}})
			return &pulumi.ResourceTransformationResult{Props: args.Props, Opts: append(args.Opts, alias)}
		},
	})
}
