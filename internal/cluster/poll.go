package cluster

import (
	"cmp"
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// permanentError is one that does not go away by waiting.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error at which Poll stops.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent reports whether an error is marked so.
func IsPermanent(err error) bool { return errors.As(err, &permanentError{}) }

// Poll runs a check every second until it passes. It returns the last error of the check,
// and looks once more after the timeout: the machine may have slept through it.
func Poll(ctx context.Context, timeout time.Duration, check func(context.Context) error) (last error) {
	err := wait.PollUntilContextTimeout(ctx, time.Second, timeout, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil || IsPermanent(last), nil
	})
	if err != nil && ctx.Err() == nil {
		return check(ctx)
	}
	return cmp.Or(last, err)
}
