package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// step is a piece of work that is reported in one line: its name, its outcome in
// a few words, its time.
type step struct {
	name string
	work func(context.Context) (outcome string, err error)
}

// runSteps runs steps one after the other, up to the first that fails. A long
// one gives a sign of life every half minute.
func runSteps(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		start := time.Now()
		ticker := time.NewTicker(30 * time.Second)
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				case <-ticker.C:
					fmt.Fprintf(os.Stderr, "  %-20s … %s\n", s.name, time.Since(start).Round(time.Second))
				}
			}
		}()
		outcome, err := s.work(ctx)
		ticker.Stop()
		close(done)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "  %-20s %-36s %6.1fs\n", s.name, outcome, time.Since(start).Seconds())
	}
	return nil
}

// waitFor asks check until it returns nil; past the deadline the error says what
// was waited for and what was seen last.
func waitFor(ctx context.Context, what string, timeout time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	seen := errors.New("nothing yet")
	for {
		if err := check(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil {
			seen = err
		}
		if fatal := (fatalError{}); errors.As(seen, &fatal) {
			return fmt.Errorf("%s: %w", what, seen)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s; last seen: %w", what, timeout, seen)
		case <-ticker.C:
		}
	}
}

// fatalError is one that no waiting mends.
type fatalError struct{ error }

func (f fatalError) Unwrap() error { return f.error }

// lastLines returns the end of a text, for an error message.
func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
