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
	"slices"
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
	measures := []measure{
		{"warm `make up`", "make up"},
		{"`make up`, nothing to do", "make up"},
		{"", "go -C sandbox test -run=^$ -bench=. -benchtime=3x -timeout=30m ./e2e"},
		{"`make edge`", "make edge"},
		{"`make monitoring`", "make monitoring"},
		{"`make unit`", "make unit"},
		{"`make unit`, everything built", "make unit"},
		{"`make test`, everything built", "make test"},
	}
	if !warm {
		caches, err := useEmptyCaches()
		defer remove(caches)
		if err != nil {
			return err
		}
		measures = slices.Concat([]measure{
			{"cold `make up`", "make up"},
			{"", "du --summarize --total --block-size=1M .sandbox " + caches},
			{"", "make down"},
		}, measures)
	}
	defer func() { _ = measure{"", "make down"}.run(context.WithoutCancel(ctx)) }()
	for _, m := range measures {
		if err := m.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// useEmptyCaches has Go and the sandbox use caches in a new folder, until it is removed.
func useEmptyCaches() (folder string, err error) {
	folder, err = os.MkdirTemp("", "bench-")
	for _, variable := range []string{"GOCACHE", "GOMODCACHE", "XDG_CACHE_HOME"} {
		err = errors.Join(err, os.Setenv(variable, filepath.Join(folder, variable)))
	}
	return folder, err
}

func remove(caches string) {
	// Go's module cache is read-only, even to its owner.
	_ = exec.Command("chmod", "-R", "u+w", caches).Run()
	_ = os.RemoveAll(caches)
}

// measure is a command, and what its time is the figure of, if of anything.
type measure struct{ what, command string }

// run runs the command, passes on its output, and prints how long it took.
func (m measure) run(ctx context.Context) error {
	start := time.Now()
	command := strings.Fields(m.command)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// Not killed, so that make ends what it has started.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", m.command, err)
	}
	if m.what != "" {
		fmt.Printf("%-48s %8.2f s\n", m.what, time.Since(start).Seconds())
	}
	return nil
}
