package stack

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegistryLogin is whom to be at the image's registry: both fields, or neither.
type RegistryLogin struct{ Username, Password string }

// registry is the host of the image's repository.
func (s Settings) registry() string {
	named, _ := reference.ParseNamed(s.Image) // checked with the settings
	return reference.Domain(named)
}

// CheckRegistryLogin fails unless the registry knows the login. The Docker
// engine would ask it after the build, and could not say which keys are wrong.
func (s Settings) CheckRegistryLogin(ctx context.Context) error {
	if s.RegistryLogin.Username == "" {
		return nil
	}
	repository, err := name.NewRepository(s.Image)
	if err != nil {
		return fmt.Errorf("image (%q): %w", s.Image, err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	login := authn.FromConfig(authn.AuthConfig{Username: s.RegistryLogin.Username, Password: s.RegistryLogin.Password})
	registry := repository.Registry
	// A registry that hands out tokens judges the login here, any other below.
	client, err := transport.NewWithContext(ctx, registry, login, http.DefaultTransport, []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return s.refused(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", registry.Scheme(), registry.RegistryStr()), nil)
	if err != nil {
		return err
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		return s.refused(err)
	}
	defer response.Body.Close()
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return s.refused(err)
	}
	return nil
}

// refused says what a registry's error means for the settings.
func (s Settings) refused(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("registryUsername (%q) and registryPassword are no login of %s: %w: set them with `pulumi config set registryUsername <name>` and `pulumi config set --secret registryPassword`",
			s.RegistryLogin.Username, s.registry(), err)
	}
	return fmt.Errorf("%s, the registry of image, does not answer: %w: start it, or correct the name with `pulumi config set image <repository>`", s.registry(), err)
}

// imageRegistry is how the Docker engine logs in, nil for the machine's own login.
func (s Settings) imageRegistry() docker.RegistryPtrInput {
	if s.RegistryLogin.Username == "" {
		return nil
	}
	return docker.RegistryArgs{
		Server:   pulumi.String(s.registry()),
		Username: pulumi.String(s.RegistryLogin.Username),
		Password: pulumi.ToSecret(pulumi.String(s.RegistryLogin.Password)).(pulumi.StringOutput),
	}
}

// NewPullSecret declares the login with which nodes pull the image, or nothing
// when there is none.
//
// Pulumi would replace a Secret that changes. This one keeps its name and is
// changed in place, by a provider that may do so: a new password is no reason
// to roll the pods.
func NewPullSecret(ctx *pulumi.Context, s Settings, namespace pulumi.StringInput) (*corev1.Secret, error) {
	if s.RegistryLogin.Username == "" {
		return nil, nil
	}
	provider, err := kubernetes.NewProvider(ctx, "mutable-secrets", &kubernetes.ProviderArgs{
		Context:             pulumi.String(s.Cluster.Context),
		Kubeconfig:          s.Cluster.kubeconfig(),
		EnableSecretMutable: pulumi.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	config, err := s.dockerConfig()
	if err != nil {
		return nil, err
	}
	return corev1.NewSecret(ctx, "pull-secret", &corev1.SecretArgs{
		Metadata:   metav1.ObjectMetaArgs{Name: pulumi.String(pullSecretName), Namespace: namespace, Labels: labels()},
		Type:       pulumi.String("kubernetes.io/dockerconfigjson"),
		StringData: pulumi.ToSecret(pulumi.StringMap{".dockerconfigjson": pulumi.String(config)}).(pulumi.StringMapOutput),
	}, pulumi.Provider(provider))
}

// dockerConfig is the login as ~/.docker/config.json has it.
func (s Settings) dockerConfig() (string, error) {
	host := s.registry()
	if host == "docker.io" {
		host = "https://index.docker.io/v1/" // its name in such files, for history's sake
	}
	login := map[string]string{
		"username": s.RegistryLogin.Username,
		"password": s.RegistryLogin.Password,
		"auth":     base64.StdEncoding.EncodeToString([]byte(s.RegistryLogin.Username + ":" + s.RegistryLogin.Password)),
	}
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: login}})
	return string(config), err
}

// pullSecrets is how a pod names it.
func pullSecrets(secret *corev1.Secret) corev1.LocalObjectReferenceArray {
	if secret == nil {
		return nil
	}
	return corev1.LocalObjectReferenceArray{corev1.LocalObjectReferenceArgs{Name: secret.Metadata.Name()}}
}
