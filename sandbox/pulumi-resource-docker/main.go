// Pulumi-resource-docker stands in for Pulumi's docker plugin on machines that
// cannot download it. It serves one resource, docker:index/image:Image, with the
// contract of pulumi-docker v4.11.2: a BuildKit build through the Docker Engine
// API, a push, and the pushed digest as repoDigest. Where the official plugin can
// be had, use that one; a stack moves between the two, at the price of one
// rebuild.
//
// Left out, each with an error that says so:
//
//   - every other resource and function of the docker package;
//   - the legacy builder (builderVersion BuilderV1);
//   - the provider settings caMaterial, certMaterial, keyMaterial, certPath,
//     context and sshOpts, and engines at ssh:// addresses. TLS works through the
//     engine's own variables, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.
//
// Done differently, on purpose:
//
//   - build.contextDigest covers only what the build is sent. Of a file's mode
//     that is the owner's executable bit: files are sent as 0644 or 0755, folders
//     as 0755, all with owner 0 and time 0, so that a clone under another umask
//     gives the same digest and the same layers. Links are hashed and sent as the
//     text they hold. Sockets, pipes and devices are not sent.
//   - Images of cacheFrom are handed to BuildKit, which fetches what it needs,
//     and are not pulled beforehand.
//   - With buildOnPreview the image is built, but an image that will be pushed
//     has no repoDigest until it has been.
//   - registry.server must be the registry that imageName is pushed to, so that
//     no password goes to another one.
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi/pkg/v3/resource/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// version is what the plugin reports to the engine. It must satisfy the version
// that pulumi-docker's SDK asks for; the build sets it with -ldflags "-X
// main.version=…".
var version = "4.11.2"

func main() {
	err := provider.Main("docker", func(host *provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
		return newImageProvider(version, host), nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-docker:", err)
		os.Exit(1)
	}
}
