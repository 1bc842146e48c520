package main

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
	"time"

	"user-service/sandbox/project"
)

// runs is how often a command that takes about a second is timed: the fastest
// counts, for the machine is noisy.
const runs = 5

// phases are those of a preview, each with the words in Pulumi's log that end it.
var phases = []struct{ what, end string }{
	{"pulumi: its start, the stack, the settings", "*** Starting Update("},
	{"language host: which plugins", "langhost[go].Run("},
	{"go build, with nothing to do; program's start", "RegisterResource received: t=pulumi:pulumi:Stack"},
	{"program: policies, cluster, API's judgement", "normalizeProviderRequest("},
	{"docker and kubernetes plugins: start", configured},
	{"resources: check and diff, API calls", "exiting provider canceller"},
}

// configured is logged for each plugin.
const configured = ".Configure() executing"

// previews measures previews that find nothing to change, beside what else tells
// the same of the same manifests.
func (b *bench) previews(ctx context.Context, p *project.Project) error {
	preview := func() error {
		_, err := p.Pulumi(ctx, "preview", "--stack=dev", "--expect-no-changes")
		return err
	}
	ours, err := fastest(preview)
	if err != nil {
		return err
	}
	report("`pulumi preview`, no changes", ours, "2.5 s")
	if err := phasesOfPreview(ctx, p); err != nil {
		return err
	}
	manifests, err := b.manifests(ctx, p)
	if err != nil {
		return err
	}
	diff, err := fastest(func() error {
		_, err := p.Kubectl(ctx, "diff", "--server-side", "--force-conflicts", "--filename="+manifests)
		return err
	})
	if err != nil {
		return err
	}
	reportRatio("`kubectl diff --server-side`", diff, ours)
	return b.helm(ctx, p, manifests, ours)
}

func reportRatio(what string, took, ours time.Duration) {
	report(what, took, "")
	fmt.Printf("%-48s %8.2f\n", "  ratio, `pulumi preview` to that", ours.Seconds()/took.Seconds())
}

// phasesOfPreview prints where a preview's time goes.
func phasesOfPreview(ctx context.Context, p *project.Project) error {
	start := time.Now()
	cmd := p.Command(ctx, "pulumi", "preview", "--stack=dev", "--non-interactive", "--color=never", "--logtostderr", "-v=7")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pulumi preview: %w: %s", err, log.String())
	}
	end := time.Now()
	last := start
	for _, phase := range phases {
		at, err := logged(log.String(), phase.end, start)
		if err != nil {
			return err
		}
		report("  "+phase.what, at.Sub(last), "")
		last = at
	}
	report("  pulumi: its end", end.Sub(last), "")
	return nil
}

// logged is when Pulumi logged some words, on the day of start.
func logged(log, words string, start time.Time) (time.Time, error) {
	const layout = "15:04:05.000000"
	lines := regexp.MustCompile(`(?m)^I\d{4} (\S+) .*`+regexp.QuoteMeta(words)).FindAllStringSubmatch(log, -1)
	if len(lines) == 0 {
		return time.Time{}, fmt.Errorf("pulumi's log does not have %q", words)
	}
	line := lines[0]
	if words == configured {
		line = lines[len(lines)-1]
	}
	at, err := time.ParseInLocation(time.DateOnly+" "+layout, start.Format(time.DateOnly)+" "+line[1], time.Local)
	return at, err
}

// manifests writes what the stack declares, with the image that runs, to a file,
// and measures the preview without a cluster that does so.
func (b *bench) manifests(ctx context.Context, p *project.Project) (string, error) {
	program, folder := filepath.Join(b.scratch, "preview"), filepath.Join(b.scratch, "manifests")
	if _, err := p.Run(ctx, "go", "build", "-o", program, "./internal/preview"); err != nil {
		return "", err
	}
	if err := p.Commit(ctx, "bench"); err != nil {
		return "", err
	}
	took, err := fastest(func() error {
		_, err := p.Run(ctx, program, "-out", folder)
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 2 {
			return nil // the copy deploys elsewhere than testdata says
		}
		return err
	})
	if err != nil {
		return "", err
	}
	report("preview without a cluster, both stacks", took, "1.5 s")
	image, err := p.Output(ctx, "image")
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "dev.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	running := regexp.MustCompile(`\S+@sha256:[0-9a-f]{64}`).ReplaceAllString(string(content), image)
	return file, os.WriteFile(file, []byte(running), 0o644)
}

// helm measures a dry run of a chart that has the same manifests.
func (b *bench) helm(ctx context.Context, p *project.Project, manifests string, ours time.Duration) error {
	helm := filepath.Join(b.scratch, "helm")
	build := exec.CommandContext(ctx, "go", "build", "-o", helm, "helm.sh/helm/v3/cmd/helm")
	build.Dir = filepath.Join(b.checkout, "sandbox/parts/helm")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build helm: %w: %s", err, out)
	}
	chart := filepath.Join(b.scratch, "chart")
	if err := os.MkdirAll(filepath.Join(chart, "templates"), 0o755); err != nil {
		return err
	}
	content, err := os.ReadFile(manifests)
	if err != nil {
		return err
	}
	const namespace = "bench-helm"
	objects := regexp.MustCompile(`(?ms)^---\n(# namespace:\n.*?)(^---\n)`).ReplaceAllString(string(content), "$2")
	objects = strings.ReplaceAll(objects, "namespace: "+p.Namespace, "namespace: "+namespace)
	for name, text := range map[string]string{
		"Chart.yaml":               "apiVersion: v2\nname: user-service\nversion: 1.0.0\n",
		"templates/manifests.yaml": objects,
	} {
		if err := os.WriteFile(filepath.Join(chart, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	upgrade := []string{"upgrade", "--install", "bench", chart, "--namespace=" + namespace}
	defer func() {
		_, _ = p.Run(context.WithoutCancel(ctx), "kubectl", "delete", "namespace", namespace, "--ignore-not-found")
	}()
	if _, err := p.Run(ctx, helm, append(upgrade, "--create-namespace")...); err != nil {
		return err
	}
	took, err := fastest(func() error {
		_, err := p.Run(ctx, helm, append(upgrade, "--dry-run=server")...)
		return err
	})
	if err != nil {
		return err
	}
	reportRatio("`helm upgrade --dry-run=server`", took, ours)
	return nil
}

// fastest times something that is done a few times.
func fastest(do func() error) (time.Duration, error) {
	least := time.Hour
	for range runs {
		start := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		least = min(least, time.Since(start))
	}
	return least, nil
}
