// Command user-service lists users and checks their passwords. With a DATABASE_URL
// it keeps them in PostgreSQL and creates new ones. It has no state of its own, so
// every replica gives the same answers.
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

// run is the program; what it needs of the process it runs in is passed in. It
// serves until ctx is done, then drains, and returns nil if no request was cut
// off.
func run(ctx context.Context, getenv func(string) string, hostname func() (string, error), stdout io.Writer) error {
	cfg, err := loadConfig(getenv)
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	// In Kubernetes a pod's host name is the pod's name.
	pod, err := hostname()
	if err != nil {
		return fmt.Errorf("get the pod's name: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: cfg.logLevel})).With("pod", pod)

	users, closeStore, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closeStore()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", cfg.port))
	if err != nil {
		return fmt.Errorf("start listening: %w", err)
	}
	return serve(ctx, listener, newService(pod, log, users, newVerifier(runtime.GOMAXPROCS(0))), cfg)
}

// openStore opens the database and migrates it in the background, or loads the
// built-in users if there is no database.
func openStore(ctx context.Context, cfg config, log *slog.Logger) (users store, closeStore func(), err error) {
	if cfg.databaseURL == "" {
		users, err := loadDirectory(usersJSON)
		if err != nil {
			return nil, nil, fmt.Errorf("load users.json: %w", err)
		}
		return users, func() {}, nil
	}
	database, err := openDatabase(cfg.databaseURL)
	if err != nil {
		return nil, nil, err
	}
	go database.migrate(ctx, log)
	return database, database.close, nil
}
