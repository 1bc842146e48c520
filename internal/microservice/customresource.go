package microservice

import (
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// object is one of JSON.
type object = map[string]any

// newCustomResource declares an object of a kind that Pulumi has no types of. `make preview`
// checks its fields against the kind's own Go types.
func (m *Microservice) newCustomResource(ctx *pulumi.Context, suffix, apiVersion, kind string, spec any, after pulumi.Resource) (*apiextensions.CustomResource, error) {
	return apiextensions.NewCustomResource(ctx, m.Name+suffix, &apiextensions.CustomResourceArgs{
		ApiVersion:  pulumi.String(apiVersion),
		Kind:        pulumi.String(kind),
		Metadata:    m.metadata(m.Name),
		OtherFields: kubernetes.UntypedArgs{"spec": spec},
	}, m.child(after))
}
