// Package program wraps what a run does into a Pulumi program: it reads the configuration
// first, and reports each error once.
package program

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/constant"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
)

// New returns the arguments of pulumi.RunErr: the program, which runs deploy with the
// configuration if that is valid, and the option that gives it all keys that are set. A
// pulumi.Context only answers for keys that one names; misspelt ones would go unnoticed.
func New(deploy func(*pulumi.Context, config.Config) error) (pulumi.RunFunc, pulumi.RunOption) {
	var keys []string
	run := func(ctx *pulumi.Context) error {
		c, err := config.Read(ctx, keys)
		if err == nil {
			err = deploy(ctx, c)
		}
		if err == nil {
			return nil
		}
		for _, each := range Errors(err, ctx.Stack()) {
			_ = ctx.Log.Error(each, nil)
		}
		return logged{err}
	}
	return run, func(info *pulumi.RunInfo) { keys = slices.Sorted(maps.Keys(info.Config)) }
}

// logged is an error that Pulumi has shown.
type logged struct{ error }

func (l logged) Unwrap() []error { return []error{l.error} }

// ExitStatus returns the status to exit with after pulumi.RunErr, and prints an error that
// Pulumi has not shown.
func ExitStatus(err error) int {
	if err == nil {
		return 0
	}
	if !errors.As(err, &logged{}) {
		fmt.Fprintln(os.Stderr, err)
	}
	return constant.ExitStatusLoggedError
}

// Errors returns the texts of the errors that one error of a stack joins. Their commands
// name the stack, because another may be selected.
func Errors(err error, stack string) (texts []string) {
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			texts = append(texts, Errors(each, stack)...)
		}
	default:
		command := strings.NewReplacer("`pulumi config set ", "`pulumi config set --stack "+stack+" ", "`pulumi config rm ", "`pulumi config rm --stack "+stack+" ")
		texts = []string{command.Replace(err.Error())}
	}
	return texts
}
