package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// config is what the environment decides. The runtime reads GOMEMLIMIT and
// GOMAXPROCS by itself.
type config struct {
	// port is PORT, where the service listens; 0 lets the system choose a free
	// one, which the first log line names.
	port int
	// drainDelay is DRAIN_DELAY: how long to keep serving after the signal to
	// stop, while every proxy removes this pod. It has to be longer than that
	// takes: connections that still arrive when the listener closes are reset.
	drainDelay time.Duration
	// shutdownTimeout is SHUTDOWN_TIMEOUT: how long the requests still in
	// flight after that have to finish.
	shutdownTimeout time.Duration
	// databaseURL is DATABASE_URL, where PostgreSQL keeps the users; empty for the
	// built-in users.
	databaseURL string
	// logLevel is LOG_LEVEL, the least severe level that is logged.
	logLevel slog.Level
}

// configError names a variable, its value, and the rule that the value violates.
type configError struct {
	Variable, Value, Rule string
}

func (e *configError) Error() string {
	return fmt.Sprintf("%s is %q: it must be %s", e.Variable, e.Value, e.Rule)
}

// loadConfig reads every variable and reports all errors at once, each as a
// *configError. A variable that is unset or empty has its default.
func loadConfig(getenv func(string) string) (config, error) {
	env := environment{getenv: getenv}
	cfg := config{
		port: read(&env, "PORT", 8080, parsePort,
			"a port number from 0 to 65535"),
		drainDelay: read(&env, "DRAIN_DELAY", 5*time.Second, parseDelay,
			"a duration that is not negative, such as 5s"),
		// The default is the server's write timeout: no request takes longer.
		shutdownTimeout: read(&env, "SHUTDOWN_TIMEOUT", writeTimeout, parseTimeout,
			"a duration above zero, such as 15s"),
		logLevel: read(&env, "LOG_LEVEL", slog.LevelInfo, parseLevel,
			"debug, info, warn or error"),
		databaseURL: getenv("DATABASE_URL"),
	}
	return cfg, errors.Join(env.errs...)
}

// environment reads variables and collects the errors.
type environment struct {
	getenv func(string) string
	errs   []error
}

func read[T any](env *environment, name string, fallback T, parse func(string) (T, bool), rule string) T {
	value := env.getenv(name)
	if value == "" {
		return fallback
	}
	parsed, ok := parse(value)
	if !ok {
		env.errs = append(env.errs, &configError{Variable: name, Value: value, Rule: rule})
	}
	return parsed
}

func parsePort(value string) (int, bool) {
	port, err := strconv.ParseUint(value, 10, 16)
	return int(port), err == nil
}

func parseDelay(value string) (time.Duration, bool) {
	delay, err := time.ParseDuration(value)
	return delay, err == nil && delay >= 0
}

func parseTimeout(value string) (time.Duration, bool) {
	timeout, err := time.ParseDuration(value)
	return timeout, err == nil && timeout > 0
}

func parseLevel(value string) (slog.Level, bool) {
	switch value {
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return slog.LevelInfo, false
}
