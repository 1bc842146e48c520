// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider: upstream's
// library behind a main of our own. Upstream's main cannot be built from the Go
// module, because the schema that it embeds is generated at release.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

// schema is upstream's, copied from the module when the sandbox builds this. The
// provider reads it for `pulumi import`.
//
//go:embed schema.json
var schema []byte

func main() {
	// The last argument, the mapping from Terraform's provider, serves only
	// `pulumi convert --from terraform`.
	provider.Serve("kubernetes", version.Version, schema, nil)
}
