package cluster

import (
	"context"
	_ "embed"
	"errors"
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
	return "https://" + BridgeAddress, s.runAll(ctx, s.haproxy())
}

// linkEdge makes the link at each `up`: a reboot removes it.
func (s Sandbox) linkEdge(ctx context.Context) error {
	_, err := command(ctx, "ln", "--symbolic", "--force", "--no-dereference", s.Path("edge"), edgeRoot)
	return err
}

// haproxy is haproxy-ingress and its HAProxy, which keeps serving while the controller is
// restarted.
func (s Sandbox) haproxy() []daemon {
	config, master := s.Path("config", "haproxy.cfg"), socket("haproxy")
	return []daemon{{
		name:    "haproxy",
		program: s.bin("haproxy"),
		// The second folder is empty at first: the controller writes the configuration.
		args:    []string{"-W", "-S", master + ",mode,600", "-f", config, "-f", edgeRoot + "/etc/haproxy"},
		files:   map[string]string{config: "defaults\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"},
		listens: []string{BridgeAddress + ":80", BridgeAddress + ":443", "127.0.0.1:1936", "127.0.0.1:10253"},
		serves:  func(ctx context.Context) error { return dial(ctx, "unix", master) },
	}, {
		name:    "haproxy-ingress",
		program: s.bin("haproxy-ingress"),
		args: []string{
			"--kubeconfig=" + s.PKI("haproxy-ingress.kubeconfig"),
			"--configmap=kube-system/haproxy-ingress",
			"--local-filesystem-prefix=" + edgeRoot, "--master-socket=" + master,
			"--healthz-addr=127.0.0.1:10254", "--profiling=false",
			"--default-ssl-certificate=file://" + s.PKI("haproxy-ingress.crt"),
			"--publish-address=" + BridgeAddress, "--update-status-on-shutdown=false",
			"--watch-gateway=false",
			// By default it waits up to two seconds between changes of the endpoints.
			"--rate-limit-update=10", "--wait-before-update=50ms",
		},
		environ: []string{"POD_NAMESPACE=kube-system"}, // where its Lease is
		listens: []string{"127.0.0.1:10254"},
		serves: func(ctx context.Context) error {
			// The first is the controller's. The second is HAProxy's, once it is configured.
			return errors.Join(answers("http://127.0.0.1:10254/healthz")(ctx), answers(EdgeHealth[BridgeAddress])(ctx))
		},
	}}
}
