package stack

import (
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewImage builds app/ with the machine's own Docker engine and pushes it. What
// pods run is the image's RepoDigest (repository@sha256:…): it changes when, and
// only when, the content does.
func NewImage(ctx *pulumi.Context, s Settings) (*docker.Image, error) {
	return docker.NewImage(ctx, "image", &docker.ImageArgs{
		ImageName: pulumi.String(s.Image + ":" + s.Version),
		Registry:  s.imageRegistry(),
		Build: docker.DockerBuildArgs{
			Context:        pulumi.String("app"),
			Dockerfile:     pulumi.String("app/Dockerfile"),
			Platform:       pulumi.String(s.Platform),
			BuilderVersion: docker.BuilderVersionBuilderBuildKit,
			Args: pulumi.StringMap{
				"GO_IMAGE": pulumi.String(s.GoImage),
				// No build times in the image: the same source, the same digest.
				"SOURCE_DATE_EPOCH": pulumi.String("0"),
			},
		},
	})
}
