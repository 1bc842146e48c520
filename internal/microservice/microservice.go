// Package microservice declares what one service consists of on Kubernetes. This file
// is its table of contents; every other file holds one part, named for it.
package microservice

import (
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Microservice is an image built from source, the pods that run it, the autoscaler that
// sets their number, the Service in front of them, and the Ingress or the route of a Gateway
// in front of that.
type Microservice struct {
	pulumi.ResourceState

	Name  string
	Args  Args
	Image pulumi.StringOutput // what the pods run: <repository>@sha256:<digest>
	URL   pulumi.StringOutput // for clients inside the cluster
	// Last is declared after everything else: once it exists, all of it does.
	Last pulumi.CustomResource
}

// New declares a service. All names in Pulumi and on the cluster derive from name, so
// that a second service is a second call with another name.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Microservice, error) {
	m := &Microservice{Name: name, Args: args}
	if err := ctx.RegisterComponentResource("microservice:index:Microservice", name, m, opts...); err != nil {
		return nil, err
	}
	image, err := m.newImage(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.newNetworkPolicy(ctx); err != nil {
		return nil, err
	}
	secretEnv, pullSecret, err := m.newSecrets(ctx)
	if err != nil {
		return nil, err
	}
	autoscaler, err := m.newAutoscaler(ctx, image)
	if err != nil {
		return nil, err
	}
	deployment, err := m.newDeployment(ctx, m.podSpec(image.RepoDigest, secretEnv, pullSecret), autoscaler)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(m.newDisruptionBudget(ctx, deployment), m.newMonitoring(ctx, deployment)); err != nil {
		return nil, err
	}
	service, err := m.newService(ctx, deployment)
	if err != nil {
		return nil, err
	}
	if m.Last, err = m.newOutside(ctx, service); err != nil {
		return nil, err
	}
	m.Image = image.RepoDigest
	m.URL = pulumi.Sprintf("http://%s.%s.svc.cluster.local", name, args.Namespace)
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{"image": m.Image, "url": m.URL})
}

// child makes a resource part of the service, created after others.
func (m *Microservice) child(after ...pulumi.Resource) pulumi.ResourceOption {
	return pulumi.Composite(pulumi.Parent(m), pulumi.DependsOn(after))
}
