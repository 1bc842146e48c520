package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// stacks are those that the project ships; the last made is the one selected.
var stacks = []string{"prod", "dev"}

// environment is what makes the ordinary pulumi, kubectl and docker commands work
// on the sandbox.
func (l layout) environment(ctx context.Context) [][2]string {
	engine, _ := l.engineHost(ctx)
	return [][2]string{
		{"PATH", l.path("bin") + ":" + os.Getenv("PATH")},
		{"KUBECONFIG", l.kubeconfig()},
		{"DOCKER_HOST", engine},
		{"PULUMI_HOME", l.path("pulumi")},
		{"PULUMI_BACKEND_URL", "file://" + l.path("pulumi-state")},
		// It protects the sandbox's state, which is worth nothing outside of it.
		{"PULUMI_CONFIG_PASSPHRASE", "sandbox"},
		{"PULUMI_SKIP_UPDATE_CHECK", "true"},
		// The plugins are installed; those on PATH would be used with a warning each.
		{"PULUMI_IGNORE_AMBIENT_PLUGINS", "true"},
	}
}

// printEnv prints the environment as commands for a POSIX shell.
func (l layout) printEnv(ctx context.Context) error {
	if pid, _ := l.running("kube-apiserver"); pid == 0 {
		return errors.New("the sandbox is not up: run `make up` first")
	}
	for _, variable := range l.environment(ctx) {
		fmt.Printf("export %s='%s'\n", variable[0], strings.ReplaceAll(variable[1], "'", `'\''`))
	}
	return nil
}

func (l layout) pulumi(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.bin("pulumi"), args...)
	cmd.Dir = l.checkout
	cmd.Env = os.Environ()
	for _, variable := range l.environment(ctx) {
		cmd.Env = append(cmd.Env, variable[0]+"="+variable[1])
	}
	// Ctrl-C reaches pulumi itself, which then ends in good order.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}

// languageHost stands where Pulumi looks for its language host. The host of this
// version takes as a flag what newer ones read in Pulumi.yaml themselves.
const languageHost = `#!/bin/sh
exec "$(dirname "$0")/pulumi-language-go-host" -buildTarget "$(sed -n 's/^ *buildTarget: *//p' Pulumi.yaml)" "$@"
`

// preparePulumi installs the plugins into the sandbox's own Pulumi home, where
// Pulumi looks before it downloads one, and makes the two stacks.
func (l layout) preparePulumi(ctx context.Context) (string, error) {
	if err := os.MkdirAll(l.path("pulumi-state"), 0o700); err != nil {
		return "", err
	}
	if err := writeProgram(l.bin("pulumi-language-go"), languageHost); err != nil {
		return "", err
	}
	for _, p := range parts() {
		if p.plugin == "" {
			continue
		}
		if err := l.installPlugin(ctx, p); err != nil {
			return "", err
		}
	}
	for _, stack := range stacks {
		if _, err := output(l.pulumi(ctx, "stack", "select", "--create", stack)); err != nil {
			return "", err
		}
	}
	return "stacks dev and prod", nil
}

// installPlugin installs a plugin that the sandbox built, unless that very build
// is installed.
func (l layout) installPlugin(ctx context.Context, p part) error {
	version, err := l.version(p)
	if err != nil {
		return err
	}
	program := l.bin(p.programs[0].name)
	marker := l.path("pulumi", "installed-"+p.plugin)
	if installed, err := os.ReadFile(marker); err == nil && string(installed) == fileIdentity(program) {
		return nil
	}
	if _, err := output(l.pulumi(ctx, "plugin", "install", "resource", p.plugin, version,
		"--file", program, "--reinstall")); err != nil {
		return err
	}
	return writeFile(marker, fileIdentity(program))
}

func (l layout) stackFile(stack string) string {
	return filepath.Join(l.checkout, "Pulumi."+stack+".yaml")
}

// removeSalt takes out of a stack file what Pulumi wrote there to encrypt secrets
// with the sandbox's passphrase. Left in, it would ask everyone for that
// passphrase who deploys the stack elsewhere. A file with secrets keeps it: they
// could not be read without.
func (l layout) removeSalt(stack string) error {
	content, err := os.ReadFile(l.stackFile(stack))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if unsalted, had := withoutSalt(string(content)); had && !strings.Contains(unsalted, "secure:") {
		return os.WriteFile(l.stackFile(stack), []byte(unsalted), 0o644)
	}
	return nil
}

func withoutSalt(stackFile string) (unsalted string, had bool) {
	var kept []string
	for line := range strings.Lines(stackFile) {
		if strings.HasPrefix(line, "encryptionsalt:") {
			had = true
		} else {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, ""), had
}
