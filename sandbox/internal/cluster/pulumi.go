package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// stacks are those that the project ships. The last one is created last, and selected.
var stacks = []string{"prod", "dev"}

// Environment has the variables that point the ordinary pulumi, kubectl and docker
// commands at the sandbox.
func (s Sandbox) Environment(ctx context.Context) []string {
	engine, _ := s.engineHost(ctx)
	return []string{
		"PATH=" + s.Path("bin") + ":" + os.Getenv("PATH"),
		"KUBECONFIG=" + s.Kubeconfig(),
		"DOCKER_HOST=" + engine,
		"PULUMI_HOME=" + s.Path("pulumi"),
		"PULUMI_BACKEND_URL=file://" + s.Path("pulumi-state"),
		// It protects the sandbox's state, which is worth nothing outside of it.
		"PULUMI_CONFIG_PASSPHRASE=sandbox",
		"PULUMI_SKIP_UPDATE_CHECK=true",
		// As for the sandbox's parts, so that shared packages are compiled once.
		"CGO_ENABLED=0",
		"GOFLAGS=" + strings.TrimSpace(strings.ReplaceAll(os.Getenv("GOFLAGS"), goFlags, "")+" "+goFlags),
		// The plugins are installed; those on PATH would be used with a warning each.
		"PULUMI_IGNORE_AMBIENT_PLUGINS=true",
	}
}

var errNotUp = errors.New("the sandbox is not up: run `make up` first")

// PrintEnv prints the environment as commands for a POSIX shell.
func (s Sandbox) PrintEnv(ctx context.Context) error {
	if s.PID("kube-apiserver") == 0 {
		return errNotUp
	}
	for _, variable := range s.Environment(ctx) {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Printf("export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return nil
}

// Environ is the environment of this process with that of the sandbox.
func (s Sandbox) Environ(ctx context.Context) []string {
	return append(os.Environ(), s.Environment(ctx)...)
}

func (s Sandbox) pulumi(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bin("pulumi"), args...)
	cmd.Dir = s.Checkout
	cmd.Env = s.Environ(ctx)
	// Ctrl-C reaches pulumi itself, which then shuts down cleanly.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}

// languageHost is installed where Pulumi looks for its language host. The host of this
// version needs as flags what newer ones read from Pulumi.yaml.
const languageHost = `#!/bin/sh
option() { sed -n "s/^ *$1: *//p" Pulumi.yaml; }
exec "$(dirname "$0")/pulumi-language-go-host" -binary "$(option binary)" -buildTarget "$(option buildTarget)" "$@"
`

// preparePulumi installs the plugins into the sandbox's own Pulumi home, where
// Pulumi looks before it downloads one, and makes the two stacks.
func (s Sandbox) preparePulumi(ctx context.Context) (string, error) {
	if err := os.MkdirAll(s.Path("pulumi-state"), 0o700); err != nil {
		return "", err
	}
	if err := writeFile(s.bin("pulumi-language-go"), languageHost); err != nil {
		return "", err
	}
	if err := os.Chmod(s.bin("pulumi-language-go"), 0o700); err != nil {
		return "", err
	}
	for plugin, sdk := range plugins {
		if err := s.installPlugin(plugin, sdk); err != nil {
			return "", err
		}
	}
	for _, stack := range stacks {
		if _, err := output(s.pulumi(ctx, "stack", "select", "--create", stack)); err != nil {
			return "", err
		}
	}
	return "stacks dev and prod", nil
}

// installPlugin installs a plugin that the sandbox built, in the version that the
// program's SDK requires. Pulumi takes a folder of that name for installed.
func (s Sandbox) installPlugin(plugin, sdk string) error {
	version, err := withVersions("{"+sdk+"}", filepath.Join(s.Checkout, "go.mod"))
	if err != nil {
		return err
	}
	program := "pulumi-resource-" + plugin
	return place(s.bin(program), s.Path("pulumi", "plugins", "resource-"+plugin+"-"+version, program))
}

func (s Sandbox) stackFile(stack string) string {
	return filepath.Join(s.Checkout, "Pulumi."+stack+".yaml")
}

// salt is what Pulumi writes into a stack's file to encrypt secrets with the sandbox's
// passphrase.
var salt = regexp.MustCompile(`(?m)^encryptionsalt:.*\n?`)

// removeSalt removes it: otherwise Pulumi asks for that passphrase wherever the stack is
// deployed. A file with secrets keeps it, because they cannot be decrypted without it.
func (s Sandbox) removeSalt(stack string) error {
	content, err := os.ReadFile(s.stackFile(stack))
	if errors.Is(err, os.ErrNotExist) || bytes.Contains(content, []byte("secure:")) || !salt.Match(content) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(s.stackFile(stack), salt.ReplaceAll(content, nil), 0o644)
}
