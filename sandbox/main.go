// Command sandbox starts what the program needs on a machine that has only Go,
// make and Debian's packages: a registry, a Docker engine and a real one-node
// Kubernetes, built from pinned upstream source.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"user-service/sandbox/internal/cluster"
)

const usage = `usage: sandbox up | edge | monitoring | down | status | env

  up          build what is missing, start what is not running, pulumi up on stack dev
  edge        add an Ingress controller and a Gateway to a sandbox that is up
  monitoring  add Prometheus and an adapter for custom metrics to a sandbox that is up
  down        stop everything and restore the machine's state
  status      print each daemon with its process and its memory
  env         print the environment variables that point pulumi and kubectl at the sandbox`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(cluster.Sandbox, context.Context) error{
		"up": cluster.Sandbox.Up, "edge": cluster.Sandbox.Edge, "monitoring": cluster.Sandbox.Monitoring, "down": cluster.Sandbox.Down,
		"status": cluster.Sandbox.Status, "env": cluster.Sandbox.PrintEnv,
	}
	if len(args) != 1 || commands[args[0]] == nil {
		return errors.New(usage)
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the sandbox needs Linux, and this is %s: %s", runtime.GOOS, cluster.OwnClusterHint)
	}
	// Debian's `su` leaves these out of PATH; iptables, dockerd and runc are in them.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return err
	}
	sandbox, err := cluster.Find()
	if err != nil {
		return err
	}
	return commands[args[0]](sandbox, ctx)
}
