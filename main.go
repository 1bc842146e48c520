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
		if err := settings.CheckRegistryLogin(ctx.Context()); err != nil {
			return err
		}
		stopped, err := settings.Stopped(ctx.Context())
		if err != nil {
			return err
		}
		last, err := declare(ctx, settings, stopped)
		if err != nil {
			return err
		}
		return stack.AwaitRollout(ctx, settings, last)
	})
	pulumi.Run(stack.OrExplain(program), seeKeys)
}

// declare declares the stack's resources and returns the last of them: once
// that one is there, all are. stopped is whether someone has stopped the fleet.
func declare(ctx *pulumi.Context, settings stack.Settings, stopped bool) (pulumi.CustomResource, error) {
	image, err := stack.NewImage(ctx, settings)
	if err != nil {
		return nil, err
	}
	namespace, err := stack.NewNamespace(ctx, settings)
	if err != nil {
		return nil, err
	}
	if err := stack.NewNetworkPolicy(ctx, settings, namespace); err != nil {
		return nil, err
	}
	pod := stack.Pod{Image: image.RepoDigest}
	if pod.SecretEnv, err = stack.NewSecretEnv(ctx, settings, namespace); err != nil {
		return nil, err
	}
	if pod.PullSecret, err = stack.NewPullSecret(ctx, settings, namespace); err != nil {
		return nil, err
	}
	autoscaler, err := stack.NewAutoscaler(ctx, settings, namespace, image)
	if err != nil {
		return nil, err
	}
	deployment, err := stack.NewDeployment(ctx, settings, namespace, pod, autoscaler, stopped)
	if err != nil {
		return nil, err
	}
	if _, err := stack.NewDisruptionBudget(ctx, namespace, deployment); err != nil {
		return nil, err
	}
	service, err := stack.NewService(ctx, namespace, deployment)
	if err != nil {
		return nil, err
	}

	ctx.Export("image", image.RepoDigest)
	ctx.Export("url", pulumi.Sprintf("http://%s.%s.svc.cluster.local", service.Metadata.Name().Elem(), namespace))
	ctx.Export("namespace", namespace)
	ctx.Export("replicas", pulumi.Int(settings.Replicas))
	ctx.Export("maxReplicas", pulumi.Int(settings.MaxReplicas))
	return service, nil
}
