package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// engineHost is the address of the Docker engine that builds images: the machine's
// own engine if it runs, else the sandbox's.
func (s Sandbox) engineHost(ctx context.Context) (host string, own bool) {
	ownHost := "unix://" + socket("docker")
	for _, host := range []string{os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock"} {
		if host != "" && host != ownHost && enginePing(ctx, host) == nil {
			return host, false
		}
	}
	return ownHost, true
}

// enginePing checks that a Docker engine answers at host, in DOCKER_HOST's notation.
func enginePing(ctx context.Context, host string) error {
	network, address, found := strings.Cut(host, "://")
	if !found {
		return fmt.Errorf("DOCKER_HOST %q has no scheme", host)
	}
	return get(ctx, "http://docker/_ping", &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
}
