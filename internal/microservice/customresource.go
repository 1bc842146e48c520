package microservice

import (
	"encoding/json"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// newCustomResource declares an object of a kind that Pulumi has no types of. Its spec is
// what untyped has made of the kind's own Go type, so that a wrong field does not compile.
func (m *Microservice) newCustomResource(ctx *pulumi.Context, suffix string, kind schema.GroupVersionKind, spec any, after pulumi.Resource) (*apiextensions.CustomResource, error) {
	return apiextensions.NewCustomResource(ctx, m.Name+suffix, &apiextensions.CustomResourceArgs{
		ApiVersion:  pulumi.String(kind.GroupVersion().String()),
		Kind:        pulumi.String(kind.Kind),
		Metadata:    m.metadata(m.Name),
		OtherFields: kubernetes.UntypedArgs{"spec": spec},
	}, m.child(after))
}

func untyped(typed any) (fields map[string]any, err error) {
	text, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	return fields, json.Unmarshal(text, &fields)
}
