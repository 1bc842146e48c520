package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestATakenPortIsReportedWithItsHolder(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	err = checkPort(address)
	want := fmt.Sprintf("%s is in use by cluster.test (process %d): stop that, then run this again", address, os.Getpid())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %s…", err, want)
	}
}

func TestADaemonIsIdentifiedByItsProcessIDAndStartTime(t *testing.T) {
	t.Parallel()
	s := Sandbox{state: t.TempDir()}
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	pid := sleep.Process.Pid
	start := startTime(pid)

	writePidFile(t, s, fmt.Sprint(pid, " ", start, " command"))
	if got, command := s.running("daemon"); got != pid || command != "command" {
		t.Errorf("running is %d %q, want %d %q", got, command, pid, "command")
	}
	writePidFile(t, s, fmt.Sprint(pid, " ", start, "9 command"))
	if got, _ := s.running("daemon"); got != 0 {
		t.Error("a later process with the same ID is taken for the daemon")
	}

	writePidFile(t, s, fmt.Sprint(pid, " ", start, " command"))
	go func() { _ = sleep.Wait() }() // a signal ends it
	if err := s.stop(t.Context(), "daemon"); err != nil {
		t.Error(err)
	}
	if got, _ := s.running("daemon"); got != 0 {
		t.Errorf("process %d still runs after stop", got)
	}
}

func TestADaemonWithOtherArgumentsHasAnotherCommand(t *testing.T) {
	t.Parallel()
	d := daemon{Name: "d", Program: "/bin/sleep", Args: []string{"60"}}
	if other := (daemon{Name: "d", Program: "/bin/sleep", Args: []string{"61"}}); d.command() == other.command() {
		t.Error("other arguments give the same command")
	}
	if other := (daemon{Name: "d", Program: "/bin/sleep", Args: []string{"60"}, Environ: []string{"A=b"}}); d.command() == other.command() {
		t.Error("another environment gives the same command")
	}
}

func writePidFile(t *testing.T, s Sandbox, content string) {
	t.Helper()
	if err := writeFile(s.pidFile("daemon"), content); err != nil {
		t.Fatal(err)
	}
}
