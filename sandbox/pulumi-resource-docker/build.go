package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/platforms"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// buildImage builds and tags the image, and returns its ID.
func buildImage(
	ctx context.Context, engine *client.Client, image imageInputs, logins logins, status func(string),
) (string, error) {
	files, err := openContext(image.Build.Context, image.Build.Dockerfile)
	if err != nil {
		return "", err
	}
	platform, err := platforms.Parse(image.Build.Platform)
	if err != nil {
		return "", fmt.Errorf("build.platform: %w", err)
	}
	session, err := openSession(ctx, engine, logins, status)
	if err != nil {
		return "", err
	}
	defer session.Close()

	body, tarred := streamTar(files)
	response, err := engine.ImageBuild(ctx, body, client.ImageBuildOptions{
		Version:     build.BuilderBuildKit,
		SessionID:   session.ID(),
		Tags:        []string{image.ImageName},
		Dockerfile:  files.dockerfile.name,
		BuildArgs:   image.Build.Args,
		Target:      image.Build.Target,
		Platforms:   []ocispec.Platform{platform},
		NetworkMode: image.Build.Network,
		ExtraHosts:  image.Build.AddHosts,
		CacheFrom:   image.Build.CacheFrom.Images,
		Remove:      true, // the client says otherwise unless asked
	})
	if err != nil {
		body.Close()
		return "", fmt.Errorf("build %s: %w", image.ImageName, firstCause(<-tarred, err))
	}
	defer response.Body.Close()
	id, err := followBuild(response.Body, status)
	body.Close()
	if err := firstCause(<-tarred, err); err != nil {
		return "", fmt.Errorf("build %s: %w", image.ImageName, err)
	}
	return id, nil
}

// streamTar sends the context while it is being read. The channel tells how that
// ended, once the reader is closed.
func streamTar(files *buildContext) (*io.PipeReader, <-chan error) {
	body, w := io.Pipe()
	tarred := make(chan error, 1)
	go func() {
		err := files.writeTar(w)
		w.CloseWithError(err)
		tarred <- err
	}()
	return body, tarred
}

// firstCause prefers what stopped the sending: the engine only sees that its
// input ended. A closed pipe says that the engine did not want the rest.
func firstCause(sending, engine error) error {
	if sending != nil && !errors.Is(sending, io.ErrClosedPipe) {
		return sending
	}
	return engine
}

// followBuild shows the build's log and returns the image's ID.
func followBuild(stream io.Reader, status func(string)) (string, error) {
	var id string
	log := newBuildLog(status)
	err := readStream(stream, func(message jsonstream.Message) {
		if message.Aux == nil {
			return
		}
		switch message.ID {
		case "moby.image.id":
			var result build.Result
			if json.Unmarshal(*message.Aux, &result) == nil {
				id = result.ID
			}
		case "moby.buildkit.trace":
			log.add(*message.Aux)
		}
	})
	if err != nil {
		return "", log.explain(err)
	}
	if id == "" {
		return "", errors.New("the Docker engine reported no image")
	}
	return id, nil
}
