package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/go-units"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
)

// pushImage returns repository@digest, as the registry has it.
func pushImage(
	ctx context.Context, engine *client.Client, name string, logins logins, status func(string),
) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("imageName %q: %w", name, err)
	}
	host := reference.Domain(named)
	login, err := logins.at(host)
	if err != nil {
		return "", err
	}
	// Older engines refuse a push without this header, even when there is no login
	// to tell.
	header, err := authconfig.Encode(login.AuthConfig)
	if err != nil {
		return "", fmt.Errorf("encode the login for %s: %w", host, err)
	}
	stream, err := engine.ImagePush(ctx, name, client.ImagePushOptions{RegistryAuth: header})
	if err != nil {
		return "", pushError(name, host, login, err)
	}
	defer stream.Close()
	var digest string
	progress := newPushProgress(status)
	err = readStream(stream, func(message jsonstream.Message) {
		var result struct{ Digest string }
		if message.Aux != nil && json.Unmarshal(*message.Aux, &result) == nil && result.Digest != "" {
			digest = result.Digest
		}
		progress.show(message)
	})
	if err == nil && digest == "" {
		err = errors.New("the Docker engine reported no digest")
	}
	if err != nil {
		return "", pushError(name, host, login, err)
	}
	return named.Name() + "@" + digest, nil
}

// pushError says what the registry said and what would mend it. The engine
// passes only text on, so the kind of fault has to be read from that.
func pushError(name, host string, login login, err error) error {
	text := strings.ToLower(err.Error())
	mentions := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	}
	err = fmt.Errorf("push %s: %w", name, err)
	switch {
	case mentions("denied", "unauthorized", "no basic auth credentials", "authentication required", "forbidden"):
		if login.from == "" {
			return fmt.Errorf("%w; no login for %s was found: set registry.username and registry.password "+
				"of the Image, or docker:registryAuth, or run `docker login %s`", err, host, host)
		}
		return fmt.Errorf("%w; %s did not accept %q, the login from %s: correct it there",
			err, host, login.Username, login.from)
	case mentions("connection refused", "no such host", "timeout", "deadline exceeded", "no route to host", "eof"):
		return fmt.Errorf("%w; is the registry %s running, and is imageName right?", err, host)
	case mentions("server gave http response to https client", "x509"):
		return fmt.Errorf("%w; list %s among the insecure-registries of the Docker engine's daemon.json, "+
			"or give the engine the registry's CA", err, host)
	}
	return err
}

// pushProgress shows each layer at every tenth of its size, not at every chunk.
type pushProgress struct {
	print func(string)
	last  map[string]string // by layer
}

func newPushProgress(print func(string)) *pushProgress {
	return &pushProgress{print: print, last: map[string]string{}}
}

func (p *pushProgress) show(message jsonstream.Message) {
	if message.Status == "" {
		return
	}
	line, step := message.Status, message.Status
	if message.ID != "" {
		line = message.ID + ": " + line
	}
	if t := message.Progress; t != nil && t.Total > 0 {
		sent := min(t.Current, t.Total) // the tar around a layer counts as sent, but not in the total
		line += fmt.Sprintf(" %s of %s", units.HumanSize(float64(sent)), units.HumanSize(float64(t.Total)))
		step += fmt.Sprint(sent * 10 / t.Total)
	}
	if p.last[message.ID] != step {
		p.last[message.ID] = step
		p.print(line)
	}
}
