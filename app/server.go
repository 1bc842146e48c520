package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// A login takes at most readTimeout until its body has arrived, queryTimeout until the
// account is found, loginWait until there is a slot, and one password comparison. The sum is
// less than writeTimeout, so the server never cuts off an answer that is still to come.
const (
	// readHeaderTimeout closes connections whose header arrives byte by byte to
	// keep them open. A header fits in one or two packets.
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for the body (see restartReadTimeout). 4 KiB arrive in time over any
	// connection that people use to log in.
	readTimeout = 6 * time.Second
	// writeTimeout runs from the end of the header to the end of the answer.
	writeTimeout = 15 * time.Second
	// idleTimeout is longer than the usual clients keep an idle connection (Go
	// 90 s, nginx and AWS 60 s). So the client is the one that closes it, and
	// never sends a request into a connection that is being closed here.
	idleTimeout = 120 * time.Second
	// maxHeaderBytes is what nginx and most proxies allow. Go's default of
	// 1 MiB would let a thousand connections fill the pod's memory.
	maxHeaderBytes = 8 << 10
	// quiet is how long no request must have come before the listener is closed. A busy
	// node takes longer than the drain's delay to learn that this pod is going, and
	// Shutdown drops a request that it meets on a new connection.
	quiet = time.Second
)

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// "OPTIONS *" gets a 404 like any unknown path.
		DisableGeneralOptionsHandler: true,
	}
}

// serve answers requests on listener until ctx is done, then drains: it becomes
// unready, keeps serving for cfg.drainDelay, and then, within cfg.shutdownTimeout, waits
// until no more requests come and lets those in flight finish. An error means that the
// listener failed or that requests had to be cut off.
func serve(ctx context.Context, listener net.Listener, s *service, cfg config) error {
	server := newServer(s.handler(), s.log)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.log.Info("listening", "address", listener.Addr().String())

	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}

	s.log.Info("draining", "reason", context.Cause(ctx).Error(), "delay", cfg.drainDelay.String())
	s.health.drain()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s while draining: %w", listener.Addr(), err)
	case <-time.After(cfg.drainDelay):
	}
	return shutDown(server, s, cfg.shutdownTimeout)
}

func shutDown(server *http.Server, s *service, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s.health.waitForQuiet(timeout / 2)
	s.log.Info("shutting down", "timeout", timeout.String())
	if err := server.Shutdown(ctx); err != nil {
		// The process exits now in any case; closing notifies the clients.
		server.Close()
		return fmt.Errorf("requests still in flight after %s were cut off: %w", timeout, err)
	}
	s.log.Info("stopped, no request was cut off")
	return nil
}
