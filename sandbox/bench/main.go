// Command bench prints the figures of docs and README. All of them come from one
// run on one machine.
//
// It starts with empty caches, which takes about 10 GB of disk, and ends with all
// tests; -warm uses the caches as they are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"user-service/sandbox/internal/cluster"
)

func main() {
	warm := flag.Bool("warm", false, "use the caches as they are, and skip what needs empty ones")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *warm); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, warm bool) error {
	sandbox, err := cluster.Find()
	if err != nil {
		return err
	}
	if sandbox.PID("kube-apiserver") != 0 {
		return fmt.Errorf("the sandbox is up, and bench would take it down: run `make down` first")
	}
	if err := os.Chdir(sandbox.Checkout); err != nil {
		return err
	}
	defer func() { _ = measure(context.WithoutCancel(ctx), "", "make", "down") }()
	if !warm {
		removeCaches, err := cold(ctx)
		defer removeCaches()
		if err != nil {
			return err
		}
	}
	for _, m := range []struct{ what, command string }{
		{"warm `make up`", "make up"},
		{"`make up`, nothing to do", "make up"},
		{"", "go -C sandbox test -run=^$ -bench=. -benchtime=3x -timeout=30m ./e2e"},
		{"`make test`, everything built", "make test"},
	} {
		if err := measure(ctx, m.what, strings.Fields(m.command)...); err != nil {
			return err
		}
	}
	return nil
}

// cold measures `make up` with empty caches, which prints the time of each part, and
// the disk space that all of it takes. The caches stay in use.
func cold(ctx context.Context) (removeCaches func(), err error) {
	caches, err := os.MkdirTemp("", "bench-")
	removeCaches = func() {
		// Go's module cache is read-only, even to its owner.
		_ = exec.Command("chmod", "-R", "u+w", caches).Run()
		_ = os.RemoveAll(caches)
	}
	for _, variable := range []string{"GOCACHE", "GOMODCACHE", "XDG_CACHE_HOME"} {
		err = errors.Join(err, os.Setenv(variable, filepath.Join(caches, variable)))
	}
	if err != nil {
		return removeCaches, err
	}
	for _, m := range [][]string{
		{"cold `make up`", "make", "up"},
		{"", "du", "--summarize", "--total", "--block-size=1M", caches, ".sandbox"},
		{"", "make", "down"},
	} {
		if err := measure(ctx, m[0], m[1:]...); err != nil {
			return removeCaches, err
		}
	}
	return removeCaches, nil
}

// measure runs a command, passes on its output, and prints how long it took.
func measure(ctx context.Context, what string, command ...string) error {
	start := time.Now()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	if what != "" {
		fmt.Printf("%-48s %8.2f s\n", what, time.Since(start).Seconds())
	}
	return nil
}
