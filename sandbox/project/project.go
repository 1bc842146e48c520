// Package project drives a copy of the project on the sandbox the way its user
// does: with the real pulumi and kubectl commands. The end-to-end tests and the
// benchmarks share it.
package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Project is a copy of the project with a Pulumi state and a namespace of its
// own, so that nothing touches what the user deployed.
type Project struct {
	Dir       string
	Namespace string
	Image     string // its repository

	env []string
}

// files are what a user has of the program; tests and sandbox stay behind.
var files = []string{".ci", ".gitignore", "main.go", "go.mod", "go.sum", "internal", "app", "testdata", "Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"}

// Copy makes a copy below dir, with a new stack dev that deploys to the namespace.
func Copy(ctx context.Context, dir, namespace string) (*Project, error) {
	checkout, err := checkout()
	if err != nil {
		return nil, err
	}
	p := &Project{
		Dir:       filepath.Join(dir, "project"),
		Namespace: namespace,
		Image:     "127.0.0.1:5000/" + namespace + "/user-service",
		env:       append(os.Environ(), "PULUMI_BACKEND_URL=file://"+filepath.Join(dir, "state")),
	}
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.Dir, 0o755); err != nil {
		return nil, err
	}
	for _, file := range files {
		if out, err := exec.CommandContext(ctx, "cp", "-a", filepath.Join(checkout, file), p.Dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy %s: %w: %s", file, err, out)
		}
	}
	for _, args := range [][]string{
		{"stack", "init", "dev"},
		{"config", "set", "namespace", namespace},
		{"config", "set", "image", p.Image},
	} {
		if out, err := p.Pulumi(ctx, args...); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
	}
	return p, nil
}

// checkout finds the project that this program is part of.
func checkout() (string, error) {
	if os.Getenv("PULUMI_HOME") == "" || os.Getenv("KUBECONFIG") == "" {
		return "", errors.New(`the sandbox's settings are missing: run "make up" and eval "$(make -s env)" first`)
	}
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(filepath.Dir(strings.TrimSpace(string(out)))), nil
}

// Pulumi runs a pulumi command in the copy and returns all that it printed.
func (p *Project) Pulumi(ctx context.Context, args ...string) (string, error) {
	return p.Run(ctx, "pulumi", append(args, "--non-interactive", "--color=never")...)
}

// Kubectl runs a kubectl command in the project's namespace.
func (p *Project) Kubectl(ctx context.Context, args ...string) (string, error) {
	return p.Run(ctx, "kubectl", append([]string{"--namespace=" + p.Namespace}, args...)...)
}

// With returns the project as it is with other environment variables.
func (p *Project) With(env ...string) *Project {
	with := *p
	with.env = append(slices.Clone(p.env), env...)
	return &with
}

// Command is any command in the copy.
func (p *Project) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = p.Dir, p.env
	return cmd
}

// Run runs any command in the copy.
func (p *Project) Run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := p.Command(ctx, program, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Commit commits all that the copy has, and makes it a checkout first.
func (p *Project) Commit(ctx context.Context, message string) error {
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "--all"},
		{"-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "--quiet", "--message=" + message},
	} {
		if _, err := p.Run(ctx, "git", args...); err != nil {
			return err
		}
	}
	return nil
}

// Up runs pulumi up without its preview, and tells how long it took.
func (p *Project) Up(ctx context.Context, args ...string) (time.Duration, error) {
	start := time.Now()
	_, err := p.Pulumi(ctx, append([]string{"up", "--stack=dev", "--yes", "--skip-preview"}, args...)...)
	return time.Since(start), err
}

// Set sets configuration of stack dev.
func (p *Project) Set(ctx context.Context, key, value string) error {
	_, err := p.Pulumi(ctx, "config", "set", "--stack=dev", key, value)
	return err
}

// Output returns one output of stack dev.
func (p *Project) Output(ctx context.Context, name string) (string, error) {
	out, err := p.Pulumi(ctx, "stack", "output", "--stack=dev", name)
	return strings.TrimSpace(out), err
}

// Pod is what the API server says of one pod.
type Pod struct {
	Name        string
	Image       string // as declared
	ImageID     string // as the kubelet runs it
	Ready       bool
	Terminating bool
	Restarts    int
}

// Pods returns the service's pods, those on their way out included.
func (p *Project) Pods(ctx context.Context) ([]Pod, error) {
	out, err := p.Kubectl(ctx, "get", "pods", "--selector=app=user-service", "--output=json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name, DeletionTimestamp string }
			Spec     struct{ Containers []struct{ Image string } }
			Status   struct {
				Conditions        []struct{ Type, Status string }
				ContainerStatuses []struct {
					ImageID      string
					RestartCount int
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read kubectl's answer: %w", err)
	}
	var pods []Pod
	for _, item := range list.Items {
		pod := Pod{Name: item.Metadata.Name, Terminating: item.Metadata.DeletionTimestamp != ""}
		if len(item.Spec.Containers) > 0 {
			pod.Image = item.Spec.Containers[0].Image
		}
		for _, condition := range item.Status.Conditions {
			pod.Ready = pod.Ready || condition.Type == "Ready" && condition.Status == "True"
		}
		for _, status := range item.Status.ContainerStatuses {
			pod.ImageID = status.ImageID
			pod.Restarts += status.RestartCount
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// CPU is the pods' average that the autoscaler last saw, in percent of the request;
// -1 when it has seen none yet.
func (p *Project) CPU(ctx context.Context) (int, error) {
	out, err := p.Kubectl(ctx, "get", "hpa", "user-service-hpa",
		"--output=jsonpath={.status.currentMetrics[0].resource.current.averageUtilization}")
	if err != nil || out == "" {
		return -1, err
	}
	return strconv.Atoi(out)
}

// Ready keeps the pods that serve and stay.
func Ready(pods []Pod) []Pod {
	var ready []Pod
	for _, pod := range pods {
		if pod.Ready && !pod.Terminating {
			ready = append(ready, pod)
		}
	}
	return ready
}

// WaitForPods waits until the pods are as good says, and returns them and how
// long it took. The error tells what was seen last.
func (p *Project) WaitForPods(ctx context.Context, timeout time.Duration, good func([]Pod) bool) ([]Pod, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var seen []Pod
	for {
		pods, err := p.Pods(ctx)
		if err != nil && ctx.Err() == nil {
			return nil, 0, err
		}
		if err == nil {
			if seen = pods; good(pods) {
				return pods, time.Since(start), nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("not within %s; last seen: %+v", timeout, seen)
		case <-ticker.C:
		}
	}
}
