package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"user-service/internal/cluster"
)

func TestPollingEndsAtOnceWithAPermanentErrorElseWithTheLastOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		timeout time.Duration
		err     error
	}{
		"permanent": {time.Hour, cluster.Permanent(errors.New("gone"))},
		"not yet":   {time.Millisecond, errors.New("not yet")},
		"none":      {time.Hour, nil},
	} {
		if err := cluster.Poll(t.Context(), test.timeout, func(context.Context) error { return test.err }); !errors.Is(err, test.err) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestPollingLooksOnceMoreAfterItsTimeout(t *testing.T) {
	t.Parallel()
	err := cluster.Poll(t.Context(), time.Millisecond, func(ctx context.Context) error {
		if _, polling := ctx.Deadline(); polling {
			<-ctx.Done() // the machine sleeps
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		t.Errorf("the error is %v", err)
	}
}
