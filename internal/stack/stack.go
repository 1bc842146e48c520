// Package stack declares what a stack consists of. A second service or one more
// resource goes here, where pulumi, `make preview` and the tests find it.
package stack

import (
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
	"user-service/internal/microservice"
)

// Owner is what objects of a stack are marked with. Backends without organizations call
// their own "organization".
func Owner(ctx *pulumi.Context) string {
	return strings.TrimPrefix(ctx.Organization()+"/", "organization/") + ctx.Project() + "/" + ctx.Stack()
}

// Owns reports whether annotations mark an object as the stack's. Earlier versions left the
// organization out.
func Owns(ctx *pulumi.Context, annotations map[string]string) bool {
	owner := annotations[microservice.OwnerAnnotation]
	return owner == Owner(ctx) || owner == ctx.Project()+"/"+ctx.Stack()
}

// Declare declares the stack's resources and outputs, and returns its services.
func Declare(ctx *pulumi.Context, c config.Config) ([]*microservice.Microservice, error) {
	var namespace pulumi.StringInput = pulumi.String(c.Namespace)
	var err error
	if c.CreateNamespace && c.Namespace != "default" { // which every cluster has
		if namespace, err = microservice.NewNamespace(ctx, c.Namespace, Owner(ctx)); err != nil {
			return nil, err
		}
	}
	c.Service.Namespace, c.Service.Owner = namespace, Owner(ctx)
	service, err := microservice.New(ctx, c.Name, c.Service, formerNames())
	if err != nil {
		return nil, err
	}
	ctx.Export("image", service.Image)
	ctx.Export("url", service.URL)
	outside := c.Service.Outside
	if i := slices.IndexFunc(outside.Hosts, func(host string) bool { return !strings.HasPrefix(host, "*") }); i >= 0 {
		ctx.Export("publicURL", pulumi.String(outside.URL(outside.Hosts[i])))
	}
	ctx.Export("namespace", namespace)
	ctx.Export("replicas", pulumi.Int(c.Service.Replicas))
	ctx.Export("maxReplicas", pulumi.Int(c.Service.MaxReplicas))
	return []*microservice.Microservice{service}, nil
}
