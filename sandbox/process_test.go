package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestATakenPortIsReportedWithItsHolder(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	err = portIsFree(address)
	want := fmt.Sprintf("%s is taken by sandbox.test (process %d): stop that, then run this again", address, os.Getpid())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %s…", err, want)
	}
}

func TestADaemonIsKnownByItsProcessAndItsStart(t *testing.T) {
	t.Parallel()
	l := layout{state: t.TempDir()}
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	pid := sleep.Process.Pid
	start := startTime(pid)

	writePidFile(t, l, fmt.Sprint(pid, " ", start, " command"))
	if got, command := l.running("daemon"); got != pid || command != "command" {
		t.Errorf("running is %d %q, want %d %q", got, command, pid, "command")
	}
	writePidFile(t, l, fmt.Sprint(pid, " ", start, "9 command"))
	if got, _ := l.running("daemon"); got != 0 {
		t.Error("a later process with the same id passes for the daemon")
	}

	writePidFile(t, l, fmt.Sprint(pid, " ", start, " command"))
	go func() { _ = sleep.Wait() }() // it ends by a signal
	if err := l.stop(t.Context(), "daemon"); err != nil {
		t.Error(err)
	}
	if got, _ := l.running("daemon"); got != 0 {
		t.Errorf("process %d still runs after stop", got)
	}
}

func TestADaemonStartedOtherwiseIsNotTheSame(t *testing.T) {
	t.Parallel()
	d := daemon{name: "d", program: "/bin/sleep", args: []string{"60"}}
	if other := (daemon{name: "d", program: "/bin/sleep", args: []string{"61"}}); d.command() == other.command() {
		t.Error("other arguments give the same command")
	}
}

func TestWaitingTellsWhatWasSeenLast(t *testing.T) {
	t.Parallel()
	err := waitFor(t.Context(), "spring", 10*time.Millisecond, func(context.Context) error { return fmt.Errorf("snow") })
	if err == nil || err.Error() != "spring: not within 10ms; last seen: snow" {
		t.Errorf("the error is %v", err)
	}
}

func writePidFile(t *testing.T, l layout, content string) {
	t.Helper()
	if err := writeFile(l.pidFile("daemon"), content); err != nil {
		t.Fatal(err)
	}
}
