package cluster

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPollReportsTheLastErrorAfterItsTimeout(t *testing.T) {
	t.Parallel()
	err := Poll(t.Context(), "spring", 10*time.Millisecond, func(context.Context) error { return errors.New("snow") })
	if err == nil || err.Error() != "wait for spring: timed out after 10ms: snow" {
		t.Errorf("the error is %v", err)
	}
}

func TestPollStopsAtAPermanentError(t *testing.T) {
	t.Parallel()
	start := time.Now()
	err := Poll(t.Context(), "spring", time.Minute, func(context.Context) error { return permanentError{errors.New("a moon without seasons")} })
	if err == nil || err.Error() != "wait for spring: a moon without seasons" || time.Since(start) > 30*time.Second {
		t.Errorf("after %s the error is %v", time.Since(start), err)
	}
}

func TestAnErrorCancelsTheParallelSteps(t *testing.T) {
	t.Parallel()
	failed := errors.New("no room")
	after := false
	err := runParallel(t.Context(),
		[]step{
			{"waits", func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }},
			{"comes after", func(context.Context) (string, error) { after = true; return "", nil }},
		},
		[]step{{"fails", func(context.Context) (string, error) { return "", failed }}},
	)
	if !errors.Is(err, failed) || after {
		t.Errorf("the error is %v, and the step after the one that waited ran: %t", err, after)
	}
}
