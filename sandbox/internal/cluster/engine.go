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

// engine is the sandbox's own Docker engine. Its containers run in the sandbox's
// containerd.
func (s Sandbox) engine() daemon {
	host := "unix://" + socket("docker")
	config := s.Path("config", "docker.json")
	return daemon{
		name:    "dockerd",
		program: "dockerd",
		// A file of its own: the machine's /etc/docker/daemon.json is for another engine.
		files: map[string]string{config: "{}\n"},
		args: []string{
			"--config-file=" + config,
			"--host=" + host,
			"--data-root=" + s.Path("docker"),
			"--exec-root=" + runDir + "/docker",
			"--pidfile=", // after a kill, the file would be taken for that of a running engine
			"--containerd=" + socket("containerd"),
			"--exec-opt=native.cgroupdriver=cgroupfs",
			"--cgroup-parent=/" + cgroupName + "/docker",
			"--bridge=" + engineBridgeName,
			"--log-level=warn",
		},
		serves: func(ctx context.Context) error { return enginePing(ctx, host) },
	}
}
