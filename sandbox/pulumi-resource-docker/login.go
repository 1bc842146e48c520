package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	"google.golang.org/grpc"
)

// hubAddress is the name under which every docker login for Docker Hub is kept.
const hubAddress = "https://index.docker.io/v1/"

// providerConfig holds the settings of the provider, keys docker:… in a stack.
type providerConfig struct {
	host   string
	logins []providerLogin
}

type providerLogin struct {
	Address  string `json:"address"`
	Username string `json:"username"`
	Password string `json:"password"`
}

func readConfig(variables map[string]string) (providerConfig, error) {
	get := func(key string) string { return variables["docker:config:"+key] }
	for _, key := range []string{"caMaterial", "certMaterial", "keyMaterial", "certPath", "context", "sshOpts"} {
		if get(key) != "" {
			return providerConfig{}, fmt.Errorf("docker:%s: this plugin does not know it; "+
				"install the official docker plugin, or unset it with `pulumi config rm docker:%s`", key, key)
		}
	}
	result := providerConfig{host: get("host")}
	if list := get("registryAuth"); list != "" {
		if err := json.Unmarshal([]byte(list), &result.logins); err != nil {
			return result, fmt.Errorf("docker:registryAuth must be a list of {address, username, password}: %w", err)
		}
	}
	return result, nil
}

// logins knows whom to be at each registry.
type logins struct {
	image   registryLogin // of the Image itself, for the registry it is pushed to
	target  string        // the address of that registry
	config  []providerLogin
	machine *configfile.ConfigFile // of this machine's docker command
}

// login is whom to be, and where that was found, for the error when it is refused.
type login struct {
	registry.AuthConfig

	from string // empty when no login was found
}

func (p *imageProvider) logins(image imageInputs) (logins, error) {
	named, err := reference.ParseNormalizedNamed(image.ImageName)
	if err != nil {
		return logins{}, fmt.Errorf("imageName %q: %w", image.ImageName, err)
	}
	// Not config.LoadDefaultConfigFile: it hides a file that cannot be read.
	machine, err := config.Load(os.Getenv("DOCKER_CONFIG"))
	if err != nil {
		return logins{}, fmt.Errorf("the docker command's logins: %w", err)
	}
	return logins{
		image:   image.Registry,
		target:  loginAddress(reference.Domain(named)),
		config:  p.config.logins,
		machine: machine,
	}, nil
}

// at returns the login for one registry; most specific first, as in the official
// plugin.
func (l logins) at(host string) (login, error) {
	address := loginAddress(host)
	found := login{AuthConfig: registry.AuthConfig{ServerAddress: address}}
	if address == l.target && l.image.Username != "" && l.image.Password != "" {
		found.Username, found.Password = l.image.Username, l.image.Password
		found.from = "registry.username and registry.password"
		return found, nil
	}
	for _, c := range l.config {
		if loginAddress(c.Address) == address && c.Username != "" {
			found.Username, found.Password = c.Username, c.Password
			found.from = "docker:registryAuth"
			return found, nil
		}
	}
	kept, err := l.machine.GetAuthConfig(address)
	if err != nil {
		return found, fmt.Errorf("look up the login for %s in %s: %w", host, l.machine.Filename, err)
	}
	if kept.Username != "" || kept.IdentityToken != "" || kept.RegistryToken != "" {
		found.Username, found.Password = kept.Username, kept.Password
		found.IdentityToken, found.RegistryToken = kept.IdentityToken, kept.RegistryToken
		found.from = l.machine.Filename
	}
	return found, nil
}

// loginAddress takes a registry's name in any of its forms.
func loginAddress(server string) string {
	host := credentials.ConvertToHostname(server)
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return hubAddress
	}
	return host
}

// loginServer answers BuildKit's questions while it fetches base images. Without
// it BuildKit cannot even be anonymous at a registry that hands out tokens, as
// Docker Hub does: "no active sessions".
type loginServer struct {
	auth.UnimplementedAuthServer

	logins logins
}

func (s loginServer) Register(server *grpc.Server) { auth.RegisterAuthServer(server, s) }

func (s loginServer) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	found, err := s.logins.at(req.GetHost())
	if err != nil {
		return nil, err
	}
	if found.IdentityToken != "" {
		return &auth.CredentialsResponse{Secret: found.IdentityToken}, nil
	}
	return &auth.CredentialsResponse{Username: found.Username, Secret: found.Password}, nil
}

func openSession(
	ctx context.Context, engine *client.Client, logins logins, status func(string),
) (*session.Session, error) {
	s, err := session.NewSession(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("open a BuildKit session: %w", err)
	}
	s.Allow(loginServer{logins: logins})
	go func() {
		err := s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return engine.DialHijack(ctx, "/session", proto, meta)
		})
		if err != nil && ctx.Err() == nil {
			status(fmt.Sprintf("no BuildKit session, base images are fetched without a login: %v", err))
		}
	}()
	return s, nil
}
