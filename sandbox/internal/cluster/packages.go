package cluster

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// needed are the programs that come from Debian, each with its package.
func (s Sandbox) needed(ctx context.Context) map[string]string {
	programs := map[string]string{
		"containerd":           "containerd",
		"runc":                 "runc",
		"ip":                   "iproute2",
		"iptables":             "iptables",
		"busybox":              "busybox-static",
		"docker":               "docker-cli | docker.io", // the former has it from Debian 13 on
		cniPlugins + "/bridge": "containernetworking-plugins",
		certificateBundle():    "ca-certificates",
	}
	if _, own := s.engineHost(ctx); own {
		programs["dockerd"] = "docker.io"
	}
	return programs
}

// installPackages installs what is missing with apt.
func (s Sandbox) installPackages(ctx context.Context) (outcome string, err error) {
	missing := map[string]bool{}
	for program, pkg := range s.needed(ctx) {
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
	packages := slices.Sorted(maps.Keys(missing))
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("this machine has no apt-get to install %s with: install them yourself, or %s",
			strings.Join(packages, ", "), OwnClusterHint)
	}
	err = aptGet(ctx, "/", append([]string{"satisfy", "-y", "--no-install-recommends"}, packages...)...)
	return fmt.Sprintf("installed %d packages", len(packages)), err
}

// aptGet runs apt-get in a folder, with an up-to-date list of packages.
func aptGet(ctx context.Context, folder string, args ...string) error {
	for _, args := range [][]string{{"update"}, args} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "APT::Sandbox::User=root"}, args...)...)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := output(cmd); err != nil {
			return err
		}
	}
	return nil
}

func installed(program string) bool {
	if strings.HasPrefix(program, "/") {
		return exists(program)
	}
	_, err := exec.LookPath(program)
	return err == nil
}
