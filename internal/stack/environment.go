package stack

import (
	"maps"
	"slices"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewSecretEnv declares the Secret that holds the secret part of the container's
// environment, or nothing when there is none.
//
// It has no name of its own: Pulumi gives it one that is new for every content.
// So a changed value is a changed Deployment, which rolls the pods, and the pods
// of the last release keep theirs until they are gone.
func NewSecretEnv(ctx *pulumi.Context, s Settings, namespace pulumi.StringInput) (*corev1.Secret, error) {
	if len(s.SecretEnv) == 0 {
		return nil, nil
	}
	return corev1.NewSecret(ctx, "secret-env", &corev1.SecretArgs{
		Metadata:   metav1.ObjectMetaArgs{Namespace: namespace, Labels: labels()},
		Immutable:  pulumi.Bool(true),
		StringData: pulumi.ToSecret(pulumi.ToStringMap(s.SecretEnv)).(pulumi.StringMapOutput),
	})
}

// env is the plain part of the container's environment.
func env(s Settings) corev1.EnvVarArray {
	var list corev1.EnvVarArray
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		list = append(list, corev1.EnvVarArgs{
			Name: pulumi.String(name),
			// Kubernetes reads $(NAME) as a reference, and $$ as a dollar.
			Value: pulumi.String(strings.ReplaceAll(s.Env[name], "$", "$$")),
		})
	}
	return list
}

// envFrom is the secret part of it, which Kubernetes takes as it is.
func envFrom(secret *corev1.Secret) corev1.EnvFromSourceArray {
	if secret == nil {
		return nil
	}
	return corev1.EnvFromSourceArray{corev1.EnvFromSourceArgs{
		SecretRef: corev1.SecretEnvSourceArgs{Name: secret.Metadata.Name()},
	}}
}
