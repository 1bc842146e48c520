// Command sandbox gives a machine that has nothing but Go, make and Debian's
// packages what the program needs: a registry, a Docker engine and a real
// one-node Kubernetes, built from pinned upstream source.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

const usage = `usage: sandbox up | down | status | env

  up      build what is missing, start what is not running, pulumi up on stack dev
  down    stop everything and put the machine back as it was
  status  what runs, where, and how much memory it takes
  env     the shell settings that make pulumi and kubectl work on the sandbox`

const ownClusterHint = `use a cluster of your own: see "With your own cluster" in README.md`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	verbs := map[string]func(layout, context.Context) error{
		"up": layout.up, "down": layout.down, "status": layout.status, "env": layout.printEnv,
	}
	if len(args) != 1 || verbs[args[0]] == nil {
		return errors.New(usage)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the sandbox needs Linux, and this is %s: %s", runtime.GOOS, ownClusterHint)
	}
	// Debian's `su` leaves these out, and iptables, dockerd and runc are there.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return err
	}
	l, err := newLayout()
	if err != nil {
		return err
	}
	return verbs[args[0]](l, ctx)
}

// ownerFile names the checkout that the machine's sandbox belongs to.
const ownerFile = runDir + "/checkout"

// claim makes sure that this may change the machine, that nobody else does at the
// same time, and that the sandbox, if one is up, is this checkout's; the caller
// releases it.
func (l layout) claim(ctx context.Context) (release func() error, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("the sandbox needs root, to run containers: use sudo, or %s", ownClusterHint)
	}
	// The kubelet makes the longest socket path, and the kernel's limit is 107 bytes.
	const longest = "kubelet/pod-resources/kubelet.sock"
	if length := len(l.path(longest)); length > 107 {
		return nil, fmt.Errorf("the path of this checkout is %d characters too long for the unix sockets in it: move it",
			length-107)
	}
	if err := os.MkdirAll(l.cache, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(l.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another `make up` or `make down` is under way: wait for it to end"), lock.Close())
	}
	return lock.Close, l.displace(ctx)
}

// displace takes down a sandbox whose checkout was deleted, and refuses to touch
// one whose checkout is there.
func (l layout) displace(ctx context.Context) error {
	content, err := os.ReadFile(ownerFile)
	if err != nil || string(content) == l.checkout {
		return nil
	}
	owner := layout{checkout: string(content), state: filepath.Join(string(content), stateFolder), cache: l.cache}
	if _, err := os.Stat(filepath.Join(owner.checkout, "Pulumi.yaml")); err == nil {
		return fmt.Errorf("the sandbox of %s is up: run `make down` there first", owner.checkout)
	}
	return owner.takeDown(ctx)
}
