package cluster

import (
	"context"
	_ "embed"
	"os/exec"
	"path/filepath"
	"strings"
)

// haproxyManifests are the API objects of haproxy-ingress: its settings, its class and
// what it may do.
//
//go:embed haproxy-ingress.yaml
var haproxyManifests string

// edgeRoot is a link to the folder of HAProxy's files: haproxy-ingress cannot write its
// maps below a path that has a dot, like .sandbox, and makes sockets there.
const edgeRoot = runDir + "/edge"

// installHAProxy extracts HAProxy and installs the libraries that it needs.
func (s Sandbox) installHAProxy(ctx context.Context) (outcome string, err error) {
	if outcome, err = s.extract(ctx, "haproxy", "usr/sbin/haproxy"); err != nil {
		return "", err
	}
	if _, err := command(ctx, s.bin("haproxy"), "-v"); err == nil {
		return outcome, nil
	}
	depends, err := command(ctx, "sh", "-c", `dpkg-deb --field "$0"/*.deb Depends`, filepath.Join(s.cache, "haproxy"))
	if err != nil {
		return "", err
	}
	return outcome, aptGet(ctx, "/", "satisfy", "-y", "--no-install-recommends", strings.TrimSpace(depends))
}

// startHAProxy copies what haproxy-ingress reads at its start: templates, from a folder
// `rootfs` below its working directory, and HAProxy's Lua scripts.
func (s Sandbox) startHAProxy(ctx context.Context) (outcome string, err error) {
	module, err := s.moduleFolder(ctx, haproxyPart, haproxyIngressModule)
	if err != nil {
		return "", err
	}
	if err := s.apply(ctx, haproxyManifests); err != nil {
		return "", err
	}
	// From here on, `up` starts it too.
	const copyFiles = `cp -r --no-preserve=mode "$0/rootfs" . && mkdir -p edge/etc/haproxy && cp -r rootfs/etc/lua edge/etc/haproxy`
	copying := exec.CommandContext(ctx, "sh", "-c", copyFiles, module)
	copying.Dir = s.state
	if _, err := output(copying); err != nil {
		return "", err
	}
	return "https://" + BridgeAddress, s.runAll(ctx, s.group("edge"))
}

// linkEdge makes the link at each `up`: a reboot removes it.
func (s Sandbox) linkEdge(ctx context.Context) error {
	_, err := command(ctx, "ln", "--symbolic", "--force", "--no-dereference", s.Path("edge"), edgeRoot)
	return err
}
