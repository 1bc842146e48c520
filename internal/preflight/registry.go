package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// checkRegistryLogin checks that the login may push to the repository. The Docker engine
// would find out only after the build, and does not know the keys.
func checkRegistryLogin(ctx context.Context, repository string, login microservice.RegistryLogin) error {
	if login.Username == "" {
		return nil
	}
	// NewRepository would take the host localhost for a user of Docker Hub.
	host, path, _ := strings.Cut(repository, "/")
	registry, err := name.NewRegistry(host)
	if err != nil {
		return fmt.Errorf("image (%q): %w", repository, err)
	}
	repo := registry.Repo(path)
	err = remote.CheckPushPermission(repo.Tag("latest"), keychain{login}, withContext{ctx})
	var answer *transport.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%s rejected registryUsername (%q) and registryPassword: %w: set them with `pulumi config set registryUsername <name>` and `pulumi config set --secret registryPassword`",
			repo.RegistryStr(), login.Username, err)
	case answer != nil:
		return fmt.Errorf("%s refuses a push to image (%q): %w: create the repository there, or correct it with `pulumi config set image <repository>`", repo.RegistryStr(), repository, err)
	}
	return fmt.Errorf("%s, the registry of image, does not answer: %w: start it, or correct the name with `pulumi config set image <repository>`", repo.RegistryStr(), err)
}

// keychain has one login for every registry.
type keychain struct{ microservice.RegistryLogin }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: k.Username, Password: k.Password}, nil
}

// withContext ends requests with a context, and those without an answer after a time:
// CheckPushPermission takes no context, and cancels its upload after it has returned.
type withContext struct{ context.Context }

func (c withContext) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(c, cluster.RequestTimeout)
	response, err := http.DefaultTransport.RoundTrip(request.WithContext(ctx))
	context.AfterFunc(ctx, cancel) // not before: the answer is still to be read
	return response, err
}
