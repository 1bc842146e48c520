package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// storage is what runs pods, and stores and builds images.
func (s Sandbox) storage(ctx context.Context) []daemon {
	if _, own := s.engineHost(ctx); !own {
		return s.group("storage")
	}
	return s.group("storage", "engine")
}

func (s Sandbox) controlPlane() []daemon { return s.group("control plane") }

// node is the rest of what every sandbox has, and the addons that this one has: the folder in
// which an addon keeps its data has its name.
func (s Sandbox) node() []daemon {
	groups := []string{"node"}
	for _, addon := range []string{"edge", "traefik", "prometheus"} {
		if exists(s.Path(addon)) {
			groups = append(groups, addon)
		}
	}
	return s.group(groups...)
}

// daemons returns all daemons, in the order in which they are started.
func (s Sandbox) daemons(ctx context.Context) []daemon {
	return append(append(s.storage(ctx), s.controlPlane()...), s.node()...)
}

// Daemons returns the names of all daemons.
func (s Sandbox) Daemons(ctx context.Context) []string {
	var names []string
	for _, d := range s.daemons(ctx) {
		names = append(names, d.Name)
	}
	return names
}

// Up brings the sandbox up, from any state, and deploys stack dev.
func (s Sandbox) Up(ctx context.Context) error {
	release, err := s.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	// It has keys and passwords. If make has created it, everyone can read it.
	if err := errors.Join(os.MkdirAll(s.state, 0o700), os.Chmod(s.state, 0o700)); err != nil {
		return err
	}
	// A full disk or a port in use is reported before the first compilation.
	if err := errors.Join(s.checkDisk(), s.checkPorts(ctx)); err != nil {
		return err
	}
	if err := writeFile(ownerFile, s.Checkout); err != nil {
		return err
	}
	// The node starts while images are made, and prints no line into Pulumi's.
	controlPlane := make(chan struct{})
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := wait(inGroup, controlPlane); err != nil {
			return err
		}
		return s.startNode(inGroup)
	})
	group.Go(func() error {
		if err := s.buildAndStart(inGroup, controlPlane); err != nil {
			return err
		}
		return s.deploy(inGroup)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprint(os.Stderr, strings.TrimLeft(`
The sandbox is up. To use it with pulumi and kubectl:

    eval "$(make -s env)"
    kubectl get pods
`, "\n"))
	return nil
}

// buildAndStart compiles what is not cached and, in parallel, does what needs no
// compiler. It closes controlPlane when that and containerd run.
func (s Sandbox) buildAndStart(ctx context.Context, controlPlane chan<- struct{}) error {
	// Closed when the network and the keys exist, when containerd runs, which the kubelet does
	// not wait for, and when pulumi is compiled.
	machine, storage, pulumi := make(chan struct{}), make(chan struct{}), make(chan struct{})
	return runParallel(ctx,
		[]step{
			{"Debian packages", s.installPackages},
			{"network and keys", closing(machine, func(ctx context.Context) (string, error) { return BridgeAddress, s.prepareMachine(ctx) })},
			{"registry", s.installRegistry},
			s.build(pausePart),
			{"standard library", s.compileStandardLibrary},
			{"storage and engine", closing(storage, s.startStorage)},
			{"base images", s.importBaseImages},
		},
		[]step{
			s.build(clusterPart),
			{"control plane", closing(controlPlane, func(ctx context.Context) (string, error) {
				close(pulumi)
				if err := wait(ctx, machine); err != nil {
					return "", err
				}
				if err := s.startControlPlane(ctx); err != nil {
					return "", err
				}
				return apiServerURL, wait(ctx, storage)
			})},
		},
		[]step{
			s.build(dockerPluginPart), s.build(languageHostPart),
			{"the program", s.compileProgram},
			{"Pulumi", func(ctx context.Context) (string, error) {
				if err := wait(ctx, pulumi); err != nil {
					return "", err
				}
				return s.preparePulumi(ctx)
			}},
		},
	)
}

// closing closes a channel when what runs has succeeded.
func closing(done chan<- struct{}, run func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		outcome, err := run(ctx)
		if err == nil {
			close(done)
		}
		return outcome, err
	}
}

// wait waits until a channel is closed.
func wait(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkDisk fails if the build would fill the disk: the first one takes 10 GiB, most of
// them in Go's caches, a later one less than 2.
func (s Sandbox) checkDisk() error {
	const gibibyte = 1 << 30
	need := uint64(2)
	if _, programs, err := s.cacheFolder(clusterPart); err != nil || !exists(programs) {
		need = 11
	}
	for _, folder := range []string{s.Checkout, s.cache} {
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

// checkPorts fails if another process uses a port of a daemon that does not run.
func (s Sandbox) checkPorts(ctx context.Context) error {
	var taken error
	check := func(context.Context) error {
		taken = nil
		for _, d := range s.daemons(ctx) {
			if s.PID(d.Name) == 0 {
				taken = errors.Join(taken, d.checkPorts())
			}
		}
		return taken
	}
	// Threads of a process that has exited may hold its ports for a moment.
	if Poll(ctx, "free ports", 5*time.Second, check) != nil {
		return taken
	}
	return nil
}

func (s Sandbox) prepareMachine(ctx context.Context) error {
	return errors.Join(s.remember(ctx), makeCgroups(), makeBridges(ctx), s.linkEdge(ctx), s.makeCertificates(), s.makePrivateLogin())
}

func (s Sandbox) startStorage(ctx context.Context) (string, error) {
	host, _ := s.engineHost(ctx)
	return host, s.runAll(ctx, s.storage(ctx))
}

// startControlPlane stops kube-proxy and the controllers if the API server is not running:
// they would retry after up to a minute. startNode starts them again. The kubelet keeps
// running: at its start, ready pods get unready.
func (s Sandbox) startControlPlane(ctx context.Context) error {
	if s.PID("kube-apiserver") == 0 {
		for _, name := range []string{"controller-manager", "scheduler", "kube-proxy"} {
			if err := s.stop(ctx, name); err != nil {
				return err
			}
		}
	}
	if err := s.runAll(ctx, s.controlPlane()); err != nil {
		return err
	}
	return s.apply(ctx, addonManifests)
}

// startNode waits until pods can run, with DNS and metrics.
func (s Sandbox) startNode(ctx context.Context) error {
	if err := s.runAll(ctx, s.node()); err != nil {
		return err
	}
	return Poll(ctx, "the node to be ready", 2*time.Minute, func(ctx context.Context) error {
		_, err := output(s.kubectl(ctx, "wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=5s"))
		return err
	})
}

func (s Sandbox) runAll(ctx context.Context, daemons []daemon) error {
	for _, d := range daemons {
		if err := s.run(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (s Sandbox) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, s.bin("kubectl"), append([]string{"--kubeconfig=" + s.Kubeconfig()}, args...)...)
}

// compileProgram compiles and links the program as Pulumi's language host would, which
// shows no progress and takes a minute the first time.
func (s Sandbox) compileProgram(ctx context.Context) (string, error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(s.Checkout, ".build", "program"), ".")
	build.Dir, build.Env = s.Checkout, s.Environ(ctx)
	return timed(build)
}

// deploy runs pulumi up, as the user would.
func (s Sandbox) deploy(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "  $ pulumi up --stack dev --yes --skip-preview")
	up := s.pulumi(ctx, "up", "--stack", "dev", "--yes", "--skip-preview")
	up.Stdout, up.Stderr = os.Stdout, os.Stderr
	if err := up.Run(); err != nil {
		return fmt.Errorf("pulumi up: %w", err)
	}
	return nil
}
