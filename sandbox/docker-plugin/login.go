package main

import (
	"context"
	"net"
	"os"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/moby/client"
	"google.golang.org/grpc"
)

// login returns the inputs' own login for the image's registry, and the docker command's for others.
func (i *imageInputs) login(host string) (types.AuthConfig, error) {
	address := loginAddress(host)
	named, err := reference.ParseNormalizedNamed(i.ImageName)
	if err == nil && i.Registry.Username != "" && loginAddress(reference.Domain(named)) == address {
		return types.AuthConfig{Username: i.Registry.Username, Password: i.Registry.Password}, nil
	}
	return config.LoadDefaultConfigFile(os.Stderr).GetAuthConfig(address)
}

// loginAddress accepts a registry's name in any form. A login for Docker Hub is stored under one address.
func loginAddress(server string) string {
	switch host := credentials.ConvertToHostname(server); host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return "https://index.docker.io/v1/"
	default:
		return host
	}
}

// openSession lets BuildKit request the logins for base images. BuildKit reports its errors.
func openSession(ctx context.Context, engine *client.Client, image imageInputs) (*session.Session, error) {
	s, err := session.NewSession(ctx, "")
	if err != nil {
		return nil, err
	}
	s.Allow(loginServer{image: image})
	go func() {
		_ = s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return engine.DialHijack(ctx, "/session", proto, meta)
		})
	}()
	return s, nil
}

type loginServer struct {
	auth.UnimplementedAuthServer
	image imageInputs
}

func (s loginServer) Register(server *grpc.Server) { auth.RegisterAuthServer(server, s) }

func (s loginServer) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	login, err := s.image.login(req.GetHost())
	if login.IdentityToken != "" {
		return &auth.CredentialsResponse{Secret: login.IdentityToken}, err
	}
	return &auth.CredentialsResponse{Username: login.Username, Secret: login.Password}, err
}
