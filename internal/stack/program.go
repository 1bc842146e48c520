package stack

import (
	"maps"
	"os"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/constant"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Program returns the two arguments of pulumi.Run: the program, which reads
// the settings and calls declare if they are right, and the option that shows
// it which keys the stack sets. A context answers only for keys one can name;
// a misspelt one would pass unseen.
func Program(declare func(*pulumi.Context, Settings) error) (pulumi.RunFunc, pulumi.RunOption) {
	var keys []string
	program := func(ctx *pulumi.Context) error {
		settings, err := ReadSettings(ctx, keys)
		if err != nil {
			return err
		}
		return declare(ctx, settings)
	}
	seeKeys := func(info *pulumi.RunInfo) { keys = slices.Sorted(maps.Keys(info.Config)) }
	return program, seeKeys
}

// OrExplain makes a program that fails end the process, with each of the errors
// that its error joins on its own. pulumi.Run would wrap them all in one
// "unhandled error".
func OrExplain(program pulumi.RunFunc) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		if err := program(ctx); err != nil {
			for _, fault := range Faults(err) {
				_ = ctx.Log.Error(fault.Error(), nil)
			}
			os.Exit(constant.ExitStatusLoggedError)
		}
		return nil
	}
}

// Faults are the errors that an error joins, or that error alone.
func Faults(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
