// The program turns the source in app/ into a running, reachable, self-scaling service.
package main

import (
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
	"user-service/internal/preflight"
	"user-service/internal/program"
	"user-service/internal/rollout"
	"user-service/internal/stack"
)

func main() { os.Exit(program.ExitStatus(pulumi.RunErr(program.New(deploy)))) }

// deploy is what a run does, in order.
func deploy(ctx *pulumi.Context, c config.Config) error {
	cluster, err := preflight.Check(ctx, &c)
	if err != nil {
		return err
	}
	c.Service.Prove = rollout.Prover(ctx, cluster)
	services, err := stack.Declare(ctx, c)
	if err != nil {
		return err
	}
	return rollout.Wait(ctx, cluster, services)
}
