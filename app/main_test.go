package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes this test binary behave as the program itself, for the tests
// that need a process to send signals to.
const asProgram = "USER_SERVICE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// startProcess runs the program with the variables, and ends it with the test.
func startProcess(t *testing.T, variables ...string) (command *exec.Cmd, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	log := &logBuffer{}
	command = exec.CommandContext(ctx, os.Args[0])
	command.Env = append(append(os.Environ(), asProgram+"=1", "PORT=0"), variables...)
	command.Stdout = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if command.ProcessState == nil {
			command.Process.Kill()
			command.Wait()
		}
	})
	return command, log.baseURL(t)
}

func TestASignalDrainsTheProcessAndItExitsWithoutError(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			command, _ := startProcess(t, "DRAIN_DELAY=10ms")
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("got %v, want exit code 0", err)
			}
		})
	}
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	command, url := startProcess(t, "DRAIN_DELAY=1h")
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the drain", func() (bool, string) {
		response, body, err := request(newClient(), url+"/readyz")
		return err == nil && response.StatusCode == http.StatusServiceUnavailable, fmt.Sprint(body, err)
	})
	// The first signal may have been handled only in part: repeat the second one
	// until the process has exited.
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	deadline := time.After(patience)
	for {
		command.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err == nil {
				t.Error("got exit code 0 from a drain that was cut short")
			}
			return
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatalf("the process still runs %s after the second signal", patience)
		}
	}
}

func TestRunDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	named := func() (string, error) { return "pod-1", nil }
	tests := map[string]struct {
		variables map[string]string
		hostname  func() (string, error)
		message   string
	}{
		"with a bad variable": {
			map[string]string{"PORT": "x"}, named,
			`read the environment: PORT is "x": it must be a port number from 0 to 65535`,
		},
		"with an invalid DATABASE_URL": {
			map[string]string{"DATABASE_URL": "mysql://root:open-sesame@db"}, named,
			"DATABASE_URL is not a PostgreSQL connection string, such as postgres://user:password@host:5432/database",
		},
		"without a name": {
			nil, func() (string, error) { return "", errors.New("no name") },
			"get the pod's name: no name",
		},
		"on a port that is taken": {
			map[string]string{"PORT": takenPort}, named,
			"start listening: listen tcp :" + takenPort + ": bind: address already in use",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), fakeEnv(test.variables), test.hostname, io.Discard)
			if err == nil || err.Error() != test.message {
				t.Errorf("got  %v\nwant %s", err, test.message)
			}
		})
	}
}

func TestTheProgramPrintsWhyItDoesNotStart(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), asProgram+"=1", "DRAIN_DELAY=soon")
	output, err := command.CombinedOutput()
	want := `user-service: read the environment: DRAIN_DELAY is "soon": it must be a duration that is not negative, such as 5s`
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit code 1", err)
	}
	if got := strings.TrimSpace(string(output)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
