package config_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
)

func TestEachErrorIsLoggedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys     keys
		deployed error // what deploy returns
		logged   []string
		status   int
	}{
		"a deployment": {status: 0},
		"two invalid keys": {
			keys:   keys{"replicas": "0", "colour": "blue"},
			logged: []string{"replicas (0) is below 1: set it with `pulumi config set replicas 1`", "unknown key \"colour\" in Pulumi.dev.yaml: remove it with `pulumi config rm colour`"},
			status: 32,
		},
		"one error of deploy":  {deployed: errors.New("no cluster"), logged: []string{"no cluster"}, status: 32},
		"two errors of deploy": {deployed: errors.Join(errors.New("a"), errors.New("b\nand its second line")), logged: []string{"a", "b\nand its second line"}, status: 32},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deployed := false
			program, withKeys := config.Program(func(_ *pulumi.Context, c config.Config) error {
				deployed = c.Name == "orders"
				return test.deployed
			})
			log := &errorLog{}
			err := pulumi.RunErr(func(ctx *pulumi.Context) error {
				log.Log, ctx.Log = ctx.Log, log
				return program(ctx)
			}, run(with(t, test.keys)), withKeys)
			if status := config.ExitStatus(err); status != test.status {
				t.Errorf("the exit status is %d, want %d", status, test.status)
			}
			if !slices.Equal(log.errors, test.logged) {
				t.Errorf("logged %q, want %q", log.errors, test.logged)
			}
			if deployed != (test.keys == nil) {
				t.Errorf("deployed: %t", deployed)
			}
		})
	}
}

func TestAnErrorOfPulumiEndsInItsStatus(t *testing.T) {
	t.Parallel()
	if status := config.ExitStatus(errors.New("missing stack name")); status != 32 {
		t.Errorf("the exit status is %d", status)
	}
}

type errorLog struct {
	pulumi.Log
	errors []string
}

func (l *errorLog) Error(message string, _ *pulumi.LogArgs) error {
	l.errors = append(l.errors, message)
	return nil
}
