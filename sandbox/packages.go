package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// needed are the programs that come from Debian, each with its package.
func (l layout) needed(ctx context.Context) map[string]string {
	programs := map[string]string{
		"containerd":           "containerd",
		"runc":                 "runc",
		"ip":                   "iproute2",
		"iptables":             "iptables",
		"busybox":              "busybox-static",
		cniPlugins + "/bridge": "containernetworking-plugins",
		certificateBundle():    "ca-certificates",
	}
	if _, own := l.engineHost(ctx); own {
		programs["dockerd"] = "docker.io"
	}
	return programs
}

// installPackages installs what is missing with apt.
func (l layout) installPackages(ctx context.Context) (outcome string, err error) {
	missing := map[string]bool{}
	for program, pkg := range l.needed(ctx) {
		if !installed(program) {
			missing[pkg] = true
		}
	}
	if _, err := staticBusybox(); err != nil {
		missing["busybox-static"] = true
	}
	if len(missing) == 0 {
		return "installed", nil
	}
	var packages []string
	for pkg := range missing {
		packages = append(packages, pkg)
	}
	slices.Sort(packages)
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("this machine has no apt-get to install %s with: install them yourself, or %s",
			strings.Join(packages, ", "), ownClusterHint)
	}
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := output(cmd); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("installed %d packages", len(packages)), nil
}

func installed(program string) bool {
	if strings.HasPrefix(program, "/") {
		_, err := os.Stat(program)
		return !errors.Is(err, os.ErrNotExist)
	}
	_, err := exec.LookPath(program)
	return err == nil
}
