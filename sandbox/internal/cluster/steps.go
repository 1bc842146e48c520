package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// step is a piece of work that is reported in one line: its name, its outcome in
// a few words, its time.
type step struct {
	name string
	work func(context.Context) (outcome string, err error)
}

// runSteps runs steps one after the other, up to the first error. A long one
// prints a line every half minute.
func runSteps(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		start := time.Now()
		working, ended := context.WithCancel(ctx)
		go func() {
			for ticks := time.Tick(30 * time.Second); working.Err() == nil; {
				select {
				case <-working.Done():
				case <-ticks:
					fmt.Fprintf(os.Stderr, "  %-20s … %s\n", s.name, time.Since(start).Round(time.Second))
				}
			}
		}()
		outcome, err := s.work(ctx)
		ended()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "  %-20s %-44s %6.1fs\n", s.name, outcome, time.Since(start).Seconds())
	}
	return nil
}

// runParallel runs lists of steps in parallel. The first error cancels all of them.
func runParallel(ctx context.Context, lists ...[]step) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, steps := range lists {
		group.Go(func() error { return runSteps(ctx, steps...) })
	}
	return group.Wait()
}

// permanentError is one that does not go away by waiting.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Poll calls check ten times a second until it returns nil. After the timeout, the
// error has what it waited for and the last error of check.
func Poll(ctx context.Context, what string, timeout time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	last := errors.New("the first check did not finish")
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		if permanent := (permanentError{}); errors.As(err, &permanent) {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: timed out after %s: %w", what, timeout, last)
		case <-ticker.C:
		}
	}
}

// lastLines returns the end of a text, for an error message.
func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
