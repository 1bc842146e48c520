package microservice

import (
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newImage builds and pushes the image, on the machine's Docker engine. Its RepoDigest
// changes if and only if its content does.
func (m *Microservice) newImage(ctx *pulumi.Context) (*docker.Image, error) {
	build := m.Args.Build
	tag, err := build.tag()
	if err != nil {
		return nil, err
	}
	args := &docker.ImageArgs{
		ImageName: pulumi.String(build.Repository + ":" + tag),
		Build: docker.DockerBuildArgs{
			Context:        pulumi.String(build.Context),
			Dockerfile:     pulumi.String(build.Context + "/Dockerfile"),
			Platform:       pulumi.String(build.Platform),
			BuilderVersion: docker.BuilderVersionBuilderBuildKit,
			// Without build times in the image, the same source has the same digest, from Docker 24 on.
			Args: pulumi.ToStringMap(map[string]string{"GO_IMAGE": build.GoImage, "SOURCE_DATE_EPOCH": "0"}),
		},
	}
	// Without a login of the stack's own, the machine's `docker login` applies.
	if login := m.Args.RegistryLogin; login.Username != "" {
		args.Registry = docker.RegistryArgs{
			Server:   pulumi.String(build.registry()),
			Username: pulumi.String(login.Username),
			Password: pulumi.ToSecret(pulumi.String(login.Password)).(pulumi.StringOutput),
		}
	}
	return docker.NewImage(ctx, m.Name+"-image", args, m.child())
}

// registry is the host of the repository.
func (b Build) registry() string { return strings.Split(b.Repository, "/")[0] }

// arch is the architecture of the platform, as nodes are labelled.
func (b Build) arch() string { return strings.Split(b.Platform+"/", "/")[1] }
