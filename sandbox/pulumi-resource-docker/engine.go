package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
)

// connect reaches the engine at host, or, when that is empty, the one the docker
// command would use. It settles on an API version both sides know, down to the
// one of Docker 20.10.
func connect(ctx context.Context, host string) (*client.Client, error) {
	opts := []client.Opt{client.FromEnv}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	engine, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("the Docker engine's address: %w", err)
	}
	if err := ping(ctx, engine); err != nil {
		engine.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("cannot reach the Docker engine at %s: %w; start it, or name another one "+
			"with DOCKER_HOST or `pulumi config set docker:host`", engine.DaemonHost(), err)
	}
	return engine, nil
}

func ping(ctx context.Context, engine *client.Client) error {
	if strings.HasPrefix(engine.DaemonHost(), "ssh://") {
		return errors.New("this plugin does not speak ssh")
	}
	// Dialling first, because the client's own error hides why it failed.
	conn, err := engine.Dialer()(ctx)
	if err != nil {
		return err
	}
	conn.Close()
	_, err = engine.Ping(ctx, client.PingOptions{})
	return err
}

// readStream calls handle for each message of a build or a push. The engine
// reports a failure as a message too.
func readStream(stream io.Reader, handle func(jsonstream.Message)) error {
	messages := json.NewDecoder(stream)
	for {
		var message jsonstream.Message
		err := messages.Decode(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the Docker engine broke off: %w", err)
		}
		if message.Error != nil {
			return errors.New(strings.TrimSpace(message.Error.Message))
		}
		handle(message)
	}
}
