package main

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

func fakeEnv(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestConfigIsReadFromTheEnvironment(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want config
	}{
		"defaults": {
			env:  nil,
			want: config{port: 8080, drainDelay: 5 * time.Second, shutdownTimeout: 15 * time.Second, logLevel: slog.LevelInfo},
		},
		"everything set": {
			env:  map[string]string{"PORT": "80", "DRAIN_DELAY": "1m", "SHUTDOWN_TIMEOUT": "1.5s", "LOG_LEVEL": "debug", "DATABASE_URL": "postgres://db/users"},
			want: config{port: 80, drainDelay: time.Minute, shutdownTimeout: 1500 * time.Millisecond, logLevel: slog.LevelDebug, databaseURL: "postgres://db/users"},
		},
		"the smallest values": {
			env:  map[string]string{"PORT": "0", "DRAIN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "1ns", "LOG_LEVEL": "error"},
			want: config{shutdownTimeout: 1, logLevel: slog.LevelError},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := loadConfig(fakeEnv(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestConfigNamesTheVariableTheValueAndTheRule(t *testing.T) {
	tests := map[string]struct {
		variable, value, message string
	}{
		"a port that is a word":    {"PORT", "http", `PORT is "http": it must be a port number from 0 to 65535`},
		"a port that is too high":  {"PORT", "65536", `PORT is "65536": it must be a port number from 0 to 65535`},
		"a negative port":          {"PORT", "-1", `PORT is "-1": it must be a port number from 0 to 65535`},
		"a delay without a unit":   {"DRAIN_DELAY", "5", `DRAIN_DELAY is "5": it must be a duration that is not negative, such as 5s`},
		"a negative delay":         {"DRAIN_DELAY", "-1s", `DRAIN_DELAY is "-1s": it must be a duration that is not negative, such as 5s`},
		"a timeout of zero":        {"SHUTDOWN_TIMEOUT", "0s", `SHUTDOWN_TIMEOUT is "0s": it must be a duration above zero, such as 15s`},
		"a timeout that is a word": {"SHUTDOWN_TIMEOUT", "soon", `SHUTDOWN_TIMEOUT is "soon": it must be a duration above zero, such as 15s`},
		"an unknown level":         {"LOG_LEVEL", "INFO+2", `LOG_LEVEL is "INFO+2": it must be debug, info, warn or error`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(fakeEnv(map[string]string{test.variable: test.value}))
			got, ok := errors.AsType[*configError](err)
			if !ok {
				t.Fatalf("got %v, want a *configError", err)
			}
			if got.Variable != test.variable || got.Value != test.value {
				t.Errorf("got variable %q and value %q, want %q and %q", got.Variable, got.Value, test.variable, test.value)
			}
			if err.Error() != test.message {
				t.Errorf("got  %s\nwant %s", err, test.message)
			}
		})
	}
}

func TestConfigReportsAllErrorsAtOnce(t *testing.T) {
	_, err := loadConfig(fakeEnv(map[string]string{"PORT": "x", "DRAIN_DELAY": "5s", "LOG_LEVEL": "loud"}))
	want := `PORT is "x": it must be a port number from 0 to 65535` + "\n" +
		`LOG_LEVEL is "loud": it must be debug, info, warn or error`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
