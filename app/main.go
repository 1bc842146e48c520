// Command user-service lists users and checks their passwords. It keeps no
// state, so every copy of it gives the same answers.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal starts the drain. From then on signals have their
	// default effect again, so a second one ends the process at once.
	context.AfterFunc(ctx, stop)

	if err := run(ctx, os.Getenv, os.Hostname, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "user-service: %v\n", err)
		os.Exit(1)
	}
}

// run is the whole program with what it takes from its surroundings passed in.
// It serves until ctx is done, then drains, and returns nil if no request was
// cut off.
func run(ctx context.Context, getenv func(string) string, hostname func() (string, error), stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	// In Kubernetes a pod's host name is the pod's name.
	pod, err := hostname()
	if err != nil {
		return fmt.Errorf("find out the pod's name: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: cfg.logLevel})).With("pod", pod)

	users, err := loadDirectory(usersJSON, newVerifier(runtime.GOMAXPROCS(0)))
	if err != nil {
		return fmt.Errorf("load users.json: %w", err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", cfg.port))
	if err != nil {
		return fmt.Errorf("start listening: %w", err)
	}
	return serve(ctx, listener, newService(pod, log, users), cfg)
}
