// The program turns the source in app/ into a running, reachable,
// self-scaling service. This file is what it does, in order;
// internal/stack/declare.go lists what it declares.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/offline"
	"user-service/internal/policy"
	"user-service/internal/stack"
)

func main() {
	program, seeKeys := stack.Program(deploy)
	pulumi.Run(stack.OrExplain(program), seeKeys)
}

func deploy(ctx *pulumi.Context, settings stack.Settings) error {
	declared, err := offline.Declared(ctx, settings)
	if err != nil {
		return err
	}
	if err := policy.Check(declared); err != nil {
		return err
	}
	if err := settings.Cluster.Check(ctx.Context()); err != nil {
		return err
	}
	if err := settings.CheckRegistryLogin(ctx.Context()); err != nil {
		return err
	}
	if ctx.DryRun() {
		if err := settings.CheckAdmission(ctx, declared.Manifests()); err != nil {
			return err
		}
	}
	stopped, err := settings.Stopped(ctx.Context())
	if err != nil {
		return err
	}
	last, err := stack.Declare(ctx, settings, stopped)
	if err != nil {
		return err
	}
	return stack.AwaitRollout(ctx, settings, last)
}
