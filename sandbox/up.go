package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// daemons names everything that runs, in the order in which it is started.
var daemons = []string{
	"etcd", "containerd", "registry", "private-registry", "dockerd", "kube-apiserver", "controller-manager", "scheduler",
	"kubelet", "kube-proxy", "coredns", "metrics-server",
}

// up brings the sandbox up, from whatever state it was in, and deploys stack dev.
func (l layout) up(ctx context.Context) error {
	release, err := l.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	// There are keys and passwords in it. Make may have made it, for everyone to read.
	if err := errors.Join(os.MkdirAll(l.state, 0o700), os.Chmod(l.state, 0o700)); err != nil {
		return err
	}
	if err := l.diskHasRoom(); err != nil {
		return err
	}
	if err := writeFile(ownerFile, l.checkout); err != nil {
		return err
	}
	steps := slices.Concat(
		[]step{{"Debian packages", l.installPackages}},
		l.buildSteps(),
		[]step{
			{"network", l.network},
			{"storage and engine", l.startStorage},
			{"base images", l.images},
			{"control plane", l.startControlPlane},
			{"node", l.startNode},
			{"Pulumi", l.preparePulumi},
			{"the program", l.compileProgram},
		},
	)
	if err := runSteps(ctx, steps...); err != nil {
		return err
	}
	return l.deploy(ctx)
}

// diskHasRoom refuses to start what would fill the disk: the first build takes
// 18 GiB, 16 of them in Go's own caches; what comes after it less than 2.
func (l layout) diskHasRoom() error {
	const gibibyte = 1 << 30
	need := uint64(2)
	if cached, err := filepath.Glob(filepath.Join(l.cache, "docker-plugin-*")); err == nil && len(cached) == 0 {
		need = 20
	}
	for _, folder := range []string{l.checkout, l.cache} {
		var disk syscall.Statfs_t
		if err := syscall.Statfs(folder, &disk); err != nil {
			return fmt.Errorf("free space at %s: %w", folder, err)
		}
		if free := disk.Bavail * uint64(disk.Bsize); free < need*gibibyte {
			return fmt.Errorf("the disk of %s has %.1f GiB free and the sandbox needs %d: make room first",
				folder, float64(free)/gibibyte, need)
		}
	}
	return nil
}

func (l layout) network(ctx context.Context) (string, error) {
	return bridgeAddress, errors.Join(l.remember(ctx), makeCgroups(), makeBridges(ctx), l.makeCertificates())
}

// startStorage starts what stores and builds images.
func (l layout) startStorage(ctx context.Context) (string, error) {
	containerRuntime, err := l.containerRuntime()
	if err != nil {
		return "", err
	}
	registry, err := l.registry()
	if err != nil {
		return "", err
	}
	private, err := l.privateRegistry()
	if err != nil {
		return "", err
	}
	needed := []daemon{containerRuntime, registry, private}
	host, own := l.engineHost(ctx)
	if own {
		engine, err := l.engine()
		if err != nil {
			return "", err
		}
		needed = append(needed, engine)
	}
	return host, l.runAll(ctx, needed...)
}

func (l layout) images(ctx context.Context) (string, error) {
	pushed, err := l.pushBaseImages(ctx)
	return fmt.Sprintf("%d pushed", pushed), err
}

func (l layout) startControlPlane(ctx context.Context) (string, error) {
	if err := l.runAll(ctx, l.controlPlane()...); err != nil {
		return "", err
	}
	return apiServerURL, l.applyAddons(ctx)
}

// startNode starts what runs on every node of a cluster, and waits until pods can
// run, be found and be measured.
func (l layout) startNode(ctx context.Context) (string, error) {
	kubelet, err := l.kubelet()
	if err != nil {
		return "", err
	}
	kubeProxy, err := l.kubeProxy()
	if err != nil {
		return "", err
	}
	coreDNS, err := l.coreDNS()
	if err != nil {
		return "", err
	}
	if err := l.writeCNI(); err != nil {
		return "", err
	}
	if err := l.runAll(ctx, kubelet, kubeProxy, coreDNS, l.metricsServer()); err != nil {
		return "", err
	}
	err = waitFor(ctx, "the node to be ready", 2*time.Minute, func(ctx context.Context) error {
		_, err := output(l.kubectl(ctx, "wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=5s"))
		return err
	})
	return "ready", err
}

func (l layout) runAll(ctx context.Context, daemons ...daemon) error {
	for _, d := range daemons {
		if err := l.run(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, l.bin("kubectl"), append([]string{"--kubeconfig=" + l.kubeconfig()}, args...)...)
}

// compileProgram compiles what the program imports, all of which the policies do
// too. Pulumi would, but the first time takes minutes, and Pulumi shows none of it.
func (l layout) compileProgram(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "./internal/policy")
	cmd.Dir = l.checkout
	_, err := output(cmd)
	return "compiled", err
}

// deploy runs the program itself, as its user would.
func (l layout) deploy(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "  $ pulumi up --stack dev --yes")
	up := l.pulumi(ctx, "up", "--stack", "dev", "--yes", "--skip-preview")
	up.Stdout, up.Stderr = os.Stdout, os.Stderr
	if err := up.Run(); err != nil {
		return fmt.Errorf("pulumi up: %w", err)
	}
	fmt.Fprint(os.Stderr, strings.TrimLeft(`
The sandbox is up. To use it with pulumi and kubectl:

    eval "$(make -s env)"
    kubectl get pods
`, "\n"))
	return nil
}
