// Command bench prints the figures of the README, all from one run on one
// machine: nothing is compared with a number from elsewhere.
//
// It brings up a sandbox of its own, from empty caches, which takes a while and
// about 20 GB of disk; -warm uses the caches as they are instead.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"user-service/sandbox/project"
)

func main() {
	warm := flag.Bool("warm", false, "use the machine's caches: leaves out the cold up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *warm); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, warm bool) (err error) {
	scratch, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() {
		// Go's module cache is read-only, even to its owner.
		_ = exec.Command("chmod", "-R", "u+w", scratch).Run()
		_ = os.RemoveAll(scratch)
	}()
	if !warm {
		for _, variable := range []string{"GOCACHE", "GOMODCACHE", "XDG_CACHE_HOME"} {
			if err := os.Setenv(variable, filepath.Join(scratch, variable)); err != nil {
				return err
			}
		}
	}
	b := &bench{scratch: scratch}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() { _, _ = b.timed(context.WithoutCancel(ctx), "down") }()
	if err := b.ups(ctx, warm); err != nil {
		return err
	}
	if err := b.useSandbox(ctx); err != nil {
		return err
	}
	return b.deployments(ctx)
}

// bench is one run.
type bench struct {
	scratch  string
	checkout string
	sandbox  string // the sandbox program
}

// prepare builds the sandbox's program and refuses to disturb a running sandbox.
func (b *bench) prepare(ctx context.Context) error {
	goMod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	b.checkout = filepath.Dir(filepath.Dir(strings.TrimSpace(string(goMod))))
	b.sandbox = filepath.Join(b.scratch, "sandbox")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.sandbox, ".")
	build.Dir = filepath.Join(b.checkout, "sandbox")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the sandbox's program: %w: %s", err, out)
	}
	if exec.CommandContext(ctx, b.sandbox, "env").Run() == nil {
		return fmt.Errorf("the sandbox is up and this would take it down: run `make down` first")
	}
	return nil
}

// ups measures the sandbox itself.
func (b *bench) ups(ctx context.Context, warm bool) error {
	for _, m := range []struct {
		what, target string
		cold         bool
	}{
		{"cold `make up`, empty caches", "30 min", true},
		{"warm `make up`", "90 s", false},
		{"`make up`, nothing to do", "15 s", false},
	} {
		if m.cold && warm {
			continue
		}
		took, err := b.timed(ctx, "up")
		if err != nil {
			return err
		}
		report(m.what, took, m.target)
		if m.cold {
			if _, err := b.timed(ctx, "down"); err != nil {
				return err
			}
		}
	}
	return nil
}

// timed runs a verb of the sandbox's program.
func (b *bench) timed(ctx context.Context, verb string) (time.Duration, error) {
	start := time.Now()
	cmd := exec.CommandContext(ctx, b.sandbox, verb)
	cmd.Dir = b.checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("sandbox %s: %w\n%s", verb, err, out)
	}
	return time.Since(start), nil
}

// useSandbox takes over the shell settings that `make env` prints.
func (b *bench) useSandbox(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, b.sandbox, "env")
	cmd.Dir = b.checkout
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("sandbox env: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		name, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !found {
			return fmt.Errorf("sandbox env prints %q", line)
		}
		if err := os.Setenv(name, strings.Trim(value, "'")); err != nil {
			return err
		}
	}
	return nil
}

// deployments measures what a user does with a deployed service.
func (b *bench) deployments(ctx context.Context) (err error) {
	p, err := project.Copy(ctx, b.scratch, "bench")
	if err != nil {
		return err
	}
	defer func() {
		_, cleanup := p.Kubectl(context.WithoutCancel(ctx), "delete", "namespace", "bench", "--ignore-not-found")
		if err == nil {
			err = cleanup
		}
	}()
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	if err := b.previews(ctx, p); err != nil {
		return err
	}
	took, err := p.Up(ctx, "--expect-no-changes")
	if err != nil {
		return err
	}
	report("`pulumi up`, no changes", took, "")
	if err := sourceChange(ctx, p); err != nil {
		return err
	}
	if err := p.Set(ctx, "replicas", "10"); err != nil {
		return err
	}
	took, err = p.Up(ctx)
	if err != nil {
		return err
	}
	pods, err := p.Pods(ctx)
	if err != nil {
		return err
	}
	report(fmt.Sprintf("replicas 3 → 10, %d ready", len(project.Ready(pods))), took, "20 s")
	if err := b.memory(ctx); err != nil {
		return err
	}
	_, err = p.Pulumi(ctx, "destroy", "--stack=dev", "--yes", "--skip-preview")
	return err
}

// sourceChange measures one change of the service's source on its way to all
// pods, and the same by hand. Both have deployed once, so what they cache is
// cached.
func sourceChange(ctx context.Context, p *project.Project) error {
	hand, err := newByHand(ctx, p)
	if err != nil {
		return err
	}
	if err := edit(p); err != nil {
		return err
	}
	ours, err := p.Up(ctx)
	if err != nil {
		return err
	}
	report("source change → all pods, `pulumi up`", ours, "")
	theirs, err := hand.release(ctx, "v2")
	if err != nil {
		return err
	}
	report("source change → all pods, by hand", theirs, "")
	fmt.Printf("%-48s %8.2f      to reach: 0.50\n", "ratio", ours.Seconds()/theirs.Seconds())
	return imageSizes(ctx, p, hand)
}

func edit(p *project.Project) error {
	file := filepath.Join(p.Dir, "app", "users.json")
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(content), "Ada Lovelace", "Augusta Ada King", 1)
	if changed == string(content) {
		return fmt.Errorf("%s has no line to change", file)
	}
	return os.WriteFile(file, []byte(changed), 0o644)
}

func imageSizes(ctx context.Context, p *project.Project, hand *byHand) error {
	for what, image := range map[string]string{
		"image, unpacked": p.Image + ":v1.0", "image by hand, unpacked": hand.image("v2"),
	} {
		out, err := p.Run(ctx, "docker", "image", "inspect", "--format={{.Size}}", image)
		if err != nil {
			return err
		}
		var bytes float64
		if _, err := fmt.Sscan(out, &bytes); err != nil {
			return err
		}
		fmt.Printf("%-48s %8.1f MB\n", what, bytes/1e6)
	}
	return nil
}

// memory prints what the sandbox takes with ten pods.
func (b *bench) memory(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, b.sandbox, "status")
	cmd.Dir = b.checkout
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("sandbox status: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fmt.Printf("%-48s %s\n", "sandbox's memory, ten pods and dev's three", strings.Join(strings.Fields(lines[len(lines)-1]), " "))
	return nil
}

func report(what string, took time.Duration, target string) {
	if target != "" {
		target = "to reach: " + target
	}
	fmt.Printf("%-48s %8.2f s    %s\n", what, took.Seconds(), target)
}
