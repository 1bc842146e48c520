// Package cluster is the sandbox: a registry, a Docker engine and a real one-node
// Kubernetes on this machine, made of pinned upstream source and Debian's packages.
package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Where the sandbox listens. Everything is on loopback or on the bridge that the
// sandbox makes, so nothing of it can be reached from another machine.
const (
	// BridgeAddress is the node's, the API server's, and the pods' gateway.
	BridgeAddress = "10.244.0.1"
	// PodSubnet is where pods have their addresses.
	PodSubnet = "10.244.0.0/16"
	// Registry needs no login. Only this machine can connect to it.
	Registry = "127.0.0.1:5000"
	// PrivateRegistry has TLS and requires a login.
	PrivateRegistry = "127.0.0.1:5443"

	bridgeName    = "user-service0"
	serviceSubnet = "10.96.0.0/16"
	apiServiceIP  = "10.96.0.1"  // the first address of serviceSubnet, as Kubernetes chooses it
	dnsServiceIP  = "10.96.0.10" // the tenth, by convention

	engineBridgeName    = "user-service1"
	engineBridgeAddress = "10.245.0.1/24"

	nodeName   = "sandbox"
	cgroupName = "user-service-sandbox"
)

const apiServerURL = "https://" + BridgeAddress + ":6443"

// cniPlugins is where Debian installs them.
const cniPlugins = "/usr/lib/cni"

// runDir holds the unix sockets: a socket's path may have at most 107 bytes,
// which a path below the checkout could exceed.
const runDir = "/run/user-service-sandbox"

// OwnClusterHint is the advice where the sandbox cannot run.
const OwnClusterHint = `use your own cluster: see "With your own cluster" in README.md`

// Sandbox has the paths of one checkout's sandbox.
type Sandbox struct {
	Checkout string // the project's root
	state    string // everything the sandbox keeps while it exists; git ignores it
	cache    string // built programs, shared by all checkouts of this user
}

// Find finds the sandbox of the checkout that the working directory is in: the
// closest folder at or above it that has a Pulumi.yaml and a sandbox.
func Find() (Sandbox, error) {
	working, err := os.Getwd()
	if err != nil {
		return Sandbox{}, fmt.Errorf("find the checkout: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Sandbox{}, fmt.Errorf("find the cache folder: %w: set HOME", err)
	}
	for checkout := working; ; checkout = filepath.Dir(checkout) {
		if exists(filepath.Join(checkout, "Pulumi.yaml")) && exists(filepath.Join(checkout, "sandbox", "go.mod")) {
			return sandboxOf(checkout, filepath.Join(cache, "user-service-sandbox")), nil
		}
		if checkout == filepath.Dir(checkout) {
			return Sandbox{}, fmt.Errorf("no Pulumi.yaml at or above %s: run this inside the checkout", working)
		}
	}
}

func sandboxOf(checkout, cache string) Sandbox {
	return Sandbox{Checkout: checkout, state: filepath.Join(checkout, ".sandbox"), cache: cache}
}

// Path is a file or folder of the sandbox's state.
func (s Sandbox) Path(elements ...string) string {
	return filepath.Join(append([]string{s.state}, elements...)...)
}

// PKI is the path of a key, a certificate or a component's kubeconfig.
func (s Sandbox) PKI(file string) string { return s.Path("pki", file) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (s Sandbox) Kubeconfig() string { return s.Path("kubeconfig") }

func (s Sandbox) source(elements ...string) string {
	return filepath.Join(append([]string{s.Checkout, "sandbox"}, elements...)...)
}

// bin is the path of a program that the sandbox built.
func (s Sandbox) bin(name string) string { return s.Path("bin", name) }

func socket(name string) string { return filepath.Join(runDir, name+".sock") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checksum returns one hexadecimal digest of all parts. It includes their lengths,
// so ("ab", "c") and ("a", "bc") differ.
func checksum(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// writeFile writes a file that only its owner can read, and makes the folders above
// it. A file with this content is not touched: kube-proxy exits when its
// configuration is written.
func writeFile(path, content string) error {
	if present, err := os.ReadFile(path); err == nil && string(present) == content {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}
