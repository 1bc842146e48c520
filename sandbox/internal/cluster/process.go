package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command identifies the program, the arguments, the variables and the files of a daemon.
// If it changes, the daemon is restarted.
func (d daemon) command() string {
	program, err := exec.LookPath(d.Program)
	if err != nil {
		program = d.Program // starting it fails with the reason
	}
	return checksum(slices.Concat([]string{program, fileIdentity(program), fmt.Sprint(d.Files)}, d.Args, d.Environ)...)
}

func (s Sandbox) pidFile(name string) string { return s.Path("pids", name) }
func (s Sandbox) logFile(name string) string { return s.Path("logs", name+".log") }

// run makes sure that d runs and serves: it keeps a healthy process, restarts one
// that has exited, hangs or has another command, and waits until it serves.
func (s Sandbox) run(ctx context.Context, d daemon) error {
	for path, content := range d.Files {
		if err := writeFile(path, content); err != nil {
			return err
		}
	}
	if pid, command := s.running(d.Name); pid != 0 {
		probe, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if command == d.command() && s.serves(probe, d) == nil {
			return nil
		}
		if err := s.stop(ctx, d.Name); err != nil {
			return err
		}
	}
	if err := Poll(ctx, "free ports", 5*time.Second, func(context.Context) error { return d.checkPorts() }); err != nil {
		return err
	}
	exited, err := s.start(d)
	if err != nil {
		return err
	}
	return Poll(ctx, d.Name+" to serve", time.Minute, func(ctx context.Context) error {
		select {
		case err := <-exited:
			return permanentError{fmt.Errorf("it exited (%w); the last lines of %s:\n%s", err, s.logFile(d.Name), s.logTail(d.Name))}
		default:
			return s.serves(ctx, d)
		}
	})
}

// checkPorts fails if an address that d listens on is in use.
func (d daemon) checkPorts() error {
	for _, address := range d.Listens {
		if err := checkPort(address); err != nil {
			return err
		}
	}
	return nil
}

// start starts d in a session of its own, so that it outlives this program. The
// channel gets an error if d exits while this program runs.
func (s Sandbox) start(d daemon) (<-chan error, error) {
	if err := os.MkdirAll(s.Path("logs"), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.logFile(d.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(d.Program, d.Args...)
	// The garbage collector runs a third as often, until a daemon uses a GiB.
	cmd.Dir, cmd.Env = s.state, append(os.Environ(), append(d.Environ, "GOGC=300", "GOMEMLIMIT=1GiB")...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", d.Name, err)
	}
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = fmt.Errorf("exit status 0")
		}
		exited <- err
	}()
	if err := joinCgroup(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill() // no later command would find it
		return nil, fmt.Errorf("start %s: %w", d.Name, err)
	}
	identity := fmt.Sprintf("%d %s %s\n", cmd.Process.Pid, startTime(cmd.Process.Pid), d.command())
	return exited, writeFile(s.pidFile(d.Name), identity)
}

// PID is the process of a daemon, or zero when it does not run.
func (s Sandbox) PID(daemon string) int {
	pid, _ := s.running(daemon)
	return pid
}

// running returns the process of a daemon and its command, or zero. The start time has to
// match too, because process IDs are reused.
func (s Sandbox) running(name string) (pid int, command string) {
	content, err := os.ReadFile(s.pidFile(name))
	if err != nil {
		return 0, ""
	}
	fields := strings.Fields(string(content))
	if len(fields) != 3 {
		return 0, ""
	}
	pid, err = strconv.Atoi(fields[0])
	if err != nil || startTime(pid) != fields[1] {
		return 0, ""
	}
	return pid, fields[2]
}

// stop sends a daemon SIGTERM and, if it still runs after ten seconds, SIGKILL.
func (s Sandbox) stop(ctx context.Context, name string) error {
	pid := s.PID(name)
	if pid == 0 {
		return nil
	}
	gone := func(context.Context) error {
		if s.PID(name) != 0 {
			return fmt.Errorf("process %d still runs", pid)
		}
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGTERM) // an error means that it has exited
	if Poll(ctx, name+" to exit", 10*time.Second, gone) == nil {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return Poll(ctx, name+" to be killed", 10*time.Second, gone)
}

// startTime is when a process started, in clock ticks since boot (field 22 of
// /proc/PID/stat); empty if the process does not exist or is a zombie.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field, the name, is in parentheses and may hold anything.
	_, rest, found := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

func (s Sandbox) logTail(name string) string {
	content, err := os.ReadFile(s.logFile(name))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(content), 8)
}

// command runs a program and returns its output. An error has the last lines of
// the output.
func command(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, lastLines(string(out), 8))
	}
	return string(out), nil
}
