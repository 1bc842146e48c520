// The program turns the source in app/ into a running, reachable,
// self-scaling service. This file is its table of contents; internal/stack has
// a file for each line of it.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/stack"
)

func main() {
	program, seeKeys := stack.Program(func(ctx *pulumi.Context, settings stack.Settings) error {
		if err := settings.Cluster.Check(ctx.Context()); err != nil {
			return err
		}
		return declare(ctx, settings)
	})
	pulumi.Run(stack.OrExplain(program), seeKeys)
}

func declare(ctx *pulumi.Context, settings stack.Settings) error {
	image, err := stack.NewImage(ctx, settings)
	if err != nil {
		return err
	}
	namespace, err := stack.NewNamespace(ctx, settings)
	if err != nil {
		return err
	}
	autoscaler, err := stack.NewAutoscaler(ctx, settings, namespace, image)
	if err != nil {
		return err
	}
	deployment, err := stack.NewDeployment(ctx, settings, namespace, image.RepoDigest, autoscaler)
	if err != nil {
		return err
	}
	service, err := stack.NewService(ctx, namespace, deployment)
	if err != nil {
		return err
	}

	ctx.Export("image", image.RepoDigest)
	ctx.Export("url", pulumi.Sprintf("http://%s.%s.svc.cluster.local", service.Metadata.Name().Elem(), namespace))
	ctx.Export("namespace", namespace)
	ctx.Export("replicas", pulumi.Int(settings.Replicas))
	ctx.Export("maxReplicas", pulumi.Int(settings.MaxReplicas))
	return nil
}
