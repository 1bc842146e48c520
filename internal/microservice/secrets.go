package microservice

import (
	"encoding/base64"
	"errors"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newSecrets declares the Secrets, each of which may be nil.
func (m *Microservice) newSecrets(ctx *pulumi.Context) (env, pull *corev1.Secret, err error) {
	env, err1 := m.newSecretEnv(ctx)
	pull, err2 := m.newPullSecret(ctx)
	return env, pull, errors.Join(err1, err2)
}

// newSecretEnv declares the Secret with the secret environment variables, if there are
// any. Pulumi gives it a new name for each content: a changed value changes the pod
// template, which rolls the pods, and pods of the previous revision keep their Secret.
func (m *Microservice) newSecretEnv(ctx *pulumi.Context) (*corev1.Secret, error) {
	if len(m.Args.SecretEnv) == 0 {
		return nil, nil
	}
	return corev1.NewSecret(ctx, m.Name+"-env", &corev1.SecretArgs{
		Metadata:   m.metadata(""),
		Immutable:  pulumi.Bool(true),
		StringData: pulumi.ToSecret(pulumi.ToStringMap(m.Args.SecretEnv)).(pulumi.StringMapOutput),
	}, m.child())
}

// newPullSecret declares the login with which nodes pull the image, if there is one. It
// keeps its name, so that a new password does not roll the pods: Pulumi changes it in
// place, because of kubernetes:enableSecretMutable in Pulumi.yaml.
func (m *Microservice) newPullSecret(ctx *pulumi.Context) (*corev1.Secret, error) {
	login, host := m.Args.RegistryLogin, m.Args.Build.registry()
	if login.Username == "" {
		return nil, nil
	}
	if host == "docker.io" {
		host = "https://index.docker.io/v1/" // its name in ~/.docker/config.json
	}
	auth := base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)
	name := m.Name + "-registry"
	return corev1.NewSecret(ctx, name, &corev1.SecretArgs{
		Metadata:   m.metadata(name),
		Type:       pulumi.String("kubernetes.io/dockerconfigjson"),
		StringData: pulumi.ToSecret(pulumi.StringMap{".dockerconfigjson": pulumi.String(config)}).(pulumi.StringMapOutput),
	}, m.child())
}
