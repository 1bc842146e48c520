package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ownerFile names the checkout that the machine's sandbox belongs to.
const ownerFile = runDir + "/checkout"

// claim checks that this process may change the machine, that no other one does at the
// same time, and that the sandbox, if one is up, is this checkout's. The caller
// releases it.
func (s Sandbox) claim(ctx context.Context) (release func() error, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("the sandbox needs root, to run containers: use sudo, or %s", OwnClusterHint)
	}
	// The kubelet makes the longest socket path, and the kernel's limit is 107 bytes.
	const longest = "kubelet/pod-resources/kubelet.sock"
	if length := len(s.Path(longest)); length > 107 {
		return nil, fmt.Errorf("the path of this checkout is %d characters too long for the unix sockets in it: move it",
			length-107)
	}
	if err := os.MkdirAll(s.cache, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(s.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another `make up` or `make down` is running: wait for it to end"), lock.Close())
	}
	return lock.Close, s.displace(ctx)
}

// displace takes down a sandbox whose checkout was deleted, and fails if the checkout
// of the sandbox exists.
func (s Sandbox) displace(ctx context.Context) error {
	content, err := os.ReadFile(ownerFile)
	if err != nil || string(content) == s.Checkout {
		return nil
	}
	owner := sandboxOf(string(content), s.cache)
	if exists(filepath.Join(owner.Checkout, "Pulumi.yaml")) {
		return fmt.Errorf("the sandbox of %s is up: run `make down` there first", owner.Checkout)
	}
	return owner.takeDown(ctx)
}
