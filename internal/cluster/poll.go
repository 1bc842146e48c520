package cluster

import (
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

// Poll runs checks every second until none fails. It returns the last error of a check.
func Poll(ctx context.Context, timeout time.Duration, checks ...func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, timeout, true, func(ctx context.Context) (bool, error) {
		for _, check := range checks {
			err := check(ctx)
			if err == nil {
				continue
			}
			if ctx.Err() == nil {
				last = err
			}
			if IsPermanent(err) {
				return false, err
			}
			return false, nil
		}
		return true, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}
