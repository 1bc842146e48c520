package main

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
	bridgeName    = "user-service0"
	bridgeAddress = "10.244.0.1" // the node, the API server, the pods' gateway
	podSubnet     = "10.244.0.0/16"
	serviceSubnet = "10.96.0.0/16"
	apiServiceIP  = "10.96.0.1"  // the first address of serviceSubnet: Kubernetes takes it itself
	dnsServiceIP  = "10.96.0.10" // by custom the tenth

	engineBridgeName    = "user-service1"
	engineBridgeAddress = "10.245.0.1/24"

	registryAddress        = "127.0.0.1:5000"
	privateRegistryAddress = "127.0.0.1:5443"
	nodeName               = "sandbox"
	contextName            = "sandbox"
	cgroupName             = "user-service-sandbox"
)

// runDir holds the unix sockets: a socket's path may have at most 107 bytes,
// which a path below the checkout could exceed.
const runDir = "/run/user-service-sandbox"

// stateFolder is the folder in the checkout that holds the sandbox's state.
const stateFolder = ".sandbox"

// layout tells where things are on disk.
type layout struct {
	checkout string // the project's root
	state    string // everything the sandbox keeps while it exists; git ignores it
	cache    string // built programs, shared by all checkouts of this user
}

// newLayout finds the checkout: the closest folder at or above the working
// directory that has a Pulumi.yaml.
func newLayout() (layout, error) {
	working, err := os.Getwd()
	if err != nil {
		return layout{}, fmt.Errorf("find the checkout: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return layout{}, fmt.Errorf("find the cache folder: %w: set HOME", err)
	}
	for checkout := working; ; checkout = filepath.Dir(checkout) {
		if _, err := os.Stat(filepath.Join(checkout, "Pulumi.yaml")); err == nil {
			return layout{
				checkout: checkout,
				state:    filepath.Join(checkout, stateFolder),
				cache:    filepath.Join(cache, "user-service-sandbox"),
			}, nil
		}
		if checkout == filepath.Dir(checkout) {
			return layout{}, fmt.Errorf("no Pulumi.yaml at or above %s: run this inside the checkout", working)
		}
	}
}

func (l layout) path(elements ...string) string {
	return filepath.Join(append([]string{l.state}, elements...)...)
}

func (l layout) source(elements ...string) string {
	return filepath.Join(append([]string{l.checkout, "sandbox"}, elements...)...)
}

// bin is the path of a program that the sandbox built.
func (l layout) bin(name string) string { return l.path("bin", name) }

func (l layout) kubeconfig() string { return l.path("kubeconfig") }

func socket(name string) string { return filepath.Join(runDir, name+".sock") }

// checksum joins its parts into one hexadecimal digest; a part's end is marked,
// so ("ab", "c") and ("a", "bc") differ.
func checksum(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// writeFile writes content for the owner's eyes only, and makes the folders above
// it. A file that has it already is not touched: kube-proxy ends when its
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

// writeProgram writes a script, in the place of whatever had its name.
func writeProgram(path, script string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, []byte(script), 0o700)
}
