// Pulumi-resource-docker stands in for Pulumi's docker plugin (v4.11.2) on machines
// that cannot download it; use that one if you can. It implements what this project
// uses of docker:index/image:Image: the inputs imageName, registry and, of build,
// context, dockerfile, platform, args and builderVersion. It builds with BuildKit
// through the Docker Engine API (20.10 or later), pushes, and returns the pushed
// digest as repoDigest. It rejects every other input, resource, function and provider
// setting (except docker:host) with an error that names it.
//
// Different on purpose: files are sent as 0644 or, with the owner's executable bit,
// as 0755, folders as 0755, all with owner 0 and time 0, so that every clone gives
// the same build.contextDigest and the same layers; pipes and devices are not sent.
// And registry.server must be imageName's registry: no other one gets the password.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	rpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// version is the one that pulumi-docker's SDK requires, set by -ldflags "-X main.version=…".
var version = "4.11.2"

func main() {
	// The engine's address is the last argument, after flags for logging and tracing.
	pulumi, err := grpc.NewClient(os.Args[len(os.Args)-1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	listener, listenErr := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err, listenErr); err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	rpc.RegisterResourceProviderServer(server, newProvider(rpc.NewEngineClient(pulumi)))
	go func() {
		// The engine has the other end: when pulumi is killed, the plugin exits too.
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port) // the engine reads it
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
