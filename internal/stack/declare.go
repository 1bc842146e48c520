package stack

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Declare declares the stack's resources and returns the last of them: once
// that one is there, all are. stopped is whether someone has stopped the fleet.
// It is the table of contents of this package and asks nobody anything.
func Declare(ctx *pulumi.Context, s Settings, stopped bool) (pulumi.CustomResource, error) {
	image, err := NewImage(ctx, s)
	if err != nil {
		return nil, err
	}
	namespace, err := NewNamespace(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := NewNetworkPolicy(ctx, s, namespace); err != nil {
		return nil, err
	}
	pod := Pod{Image: image.RepoDigest}
	if pod.SecretEnv, err = NewSecretEnv(ctx, s, namespace); err != nil {
		return nil, err
	}
	if pod.PullSecret, err = NewPullSecret(ctx, s, namespace); err != nil {
		return nil, err
	}
	autoscaler, err := NewAutoscaler(ctx, s, namespace, image)
	if err != nil {
		return nil, err
	}
	deployment, err := NewDeployment(ctx, s, namespace, pod, autoscaler, stopped)
	if err != nil {
		return nil, err
	}
	if _, err := NewDisruptionBudget(ctx, namespace, deployment); err != nil {
		return nil, err
	}
	service, err := NewService(ctx, namespace, deployment)
	if err != nil {
		return nil, err
	}

	ctx.Export("image", image.RepoDigest)
	ctx.Export("url", pulumi.Sprintf("http://%s.%s.svc.cluster.local", service.Metadata.Name().Elem(), namespace))
	ctx.Export("namespace", namespace)
	ctx.Export("replicas", pulumi.Int(s.Replicas))
	ctx.Export("maxReplicas", pulumi.Int(s.MaxReplicas))
	return service, nil
}
