package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	control "github.com/moby/buildkit/api/services/control"
	buildtypes "github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"github.com/tonistiigi/fsutil"
	"google.golang.org/protobuf/proto"
)

// publish builds and pushes with the engine at host, or else DOCKER_HOST, and returns repository@digest.
func publish(ctx context.Context, host string, image imageInputs, show func(string)) (digest string, err error) {
	host = cmp.Or(host, os.Getenv(client.EnvOverrideHost), client.DefaultDockerHost)
	engine, err := client.New(client.FromEnv, client.WithHost(host))
	if err == nil {
		defer engine.Close()
		_, err = engine.Ping(ctx, client.PingOptions{})
	}
	if err != nil {
		return "", fmt.Errorf("cannot reach the Docker engine at %s: %w; start it, or name another one "+
			"with DOCKER_HOST or `pulumi config set docker:host`", host, err)
	}
	if err := build(ctx, engine, image, show); err != nil {
		return "", fmt.Errorf("build %s: %w", image.ImageName, err)
	}
	if digest, err = push(ctx, engine, image, show); err != nil {
		return "", fmt.Errorf("push %s: %w", image.ImageName, err)
	}
	return digest, nil
}

func build(ctx context.Context, engine *client.Client, image imageInputs, show func(string)) error {
	platform, err := platforms.ParseAll([]string{image.Build.Platform})
	if err != nil {
		return err
	}
	dockerfile := image.dockerfileInContext()
	files, err := openContext(image.Build.Context, image.Build.Dockerfile, "!"+dockerfile)
	if err != nil {
		return err
	}
	s, err := openSession(ctx, engine, image)
	if err != nil {
		return err
	}
	defer s.Close()
	body, w := io.Pipe()
	defer body.Close()
	go func() { w.CloseWithError(fsutil.WriteTar(ctx, files, w)) }()
	response, err := engine.ImageBuild(ctx, body, client.ImageBuildOptions{
		Version: buildtypes.BuilderBuildKit, SessionID: s.ID(), Tags: []string{image.ImageName},
		Dockerfile: dockerfile, Platforms: platform, BuildArgs: image.Build.Args,
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return follow(response.Body, show)
}

// follow shows the steps that start and their output. The engine's error names at
// most the command that failed, so the last lines of output are added to it.
func follow(stream io.Reader, show func(string)) error {
	var lines []string
	err := readStream(stream, func(message jsonstream.Message) {
		var encoded []byte
		var trace control.StatusResponse
		if message.ID != "moby.buildkit.trace" || message.Aux == nil ||
			json.Unmarshal(*message.Aux, &encoded) != nil || proto.Unmarshal(encoded, &trace) != nil {
			return // only progress is lost
		}
		for _, step := range trace.GetVertexes() {
			if step.GetStarted() != nil && step.GetCompleted() == nil {
				show(step.GetName())
			}
		}
		for _, output := range trace.GetLogs() {
			for line := range strings.SplitSeq(strings.TrimSpace(string(output.GetMsg())), "\n") {
				show(line)
				lines = append(lines, line)
			}
		}
	})
	if err == nil || len(lines) == 0 {
		return err
	}
	return fmt.Errorf("%w\n    %s", err, strings.Join(lines[max(0, len(lines)-20):], "\n    "))
}

// loginProblem matches errors of a registry that requires a login. The engine returns only their text.
var loginProblem = regexp.MustCompile(`(?i)denied|unauthorized|no basic auth|authentication required|forbidden`)

func push(ctx context.Context, engine *client.Client, image imageInputs, show func(string)) (string, error) {
	named, err := reference.ParseNormalizedNamed(image.ImageName)
	if err != nil {
		return "", err
	}
	host := reference.Domain(named)
	login, err := image.login(host)
	if err != nil {
		return "", err
	}
	header, _ := json.Marshal(login) // strings only
	options := client.ImagePushOptions{RegistryAuth: base64.URLEncoding.EncodeToString(header)}
	stream, err := engine.ImagePush(ctx, image.ImageName, options)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var pushed struct{ Digest string }
	err = readStream(stream, func(message jsonstream.Message) {
		if message.Aux != nil {
			_ = json.Unmarshal(*message.Aux, &pushed) // one of the messages has the digest
		} else if message.Progress == nil {
			show(strings.TrimPrefix(message.ID+": "+message.Status, ": "))
		}
	})
	if err == nil && pushed.Digest == "" {
		err = errors.New("the Docker engine reported no digest")
	}
	if err != nil && login.Username+login.IdentityToken == "" && loginProblem.MatchString(err.Error()) {
		err = fmt.Errorf("%w; no login for %s was found: set registry.username and registry.password, "+
			"or run `docker login %s`", err, host, host)
	}
	return named.Name() + "@" + pushed.Digest, err
}

// readStream passes the messages of a build or a push to handle, up to the first error.
func readStream(stream io.Reader, handle func(jsonstream.Message)) error {
	for messages := json.NewDecoder(stream); ; {
		var message jsonstream.Message
		switch err := messages.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			return fmt.Errorf("lost the connection to the Docker engine: %w", err)
		case message.Error != nil:
			return message.Error
		}
		handle(message)
	}
}
