package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a long-running program of the sandbox: how it is started, and how it
// shows that it serves.
type daemon struct {
	name    string
	program string
	args    []string
	env     []string // added to the caller's
	listens []string // host:port, checked to be free before the start
	serves  func(context.Context) error
}

// command names what a running daemon was started as: a changed flag or a
// rebuilt program means a restart.
func (d daemon) command() string {
	return checksum(append(append([]string{d.program, fileIdentity(d.program)}, d.args...), d.env...)...)
}

func (l layout) pidFile(name string) string { return l.path("pids", name) }
func (l layout) logFile(name string) string { return l.path("logs", name+".log") }

// run makes sure that d runs and serves: it leaves a healthy one alone, restarts
// one that is gone, hung or started differently, and waits until it answers.
func (l layout) run(ctx context.Context, d daemon) error {
	if pid, command := l.running(d.name); pid != 0 {
		probe, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if command == d.command() && d.serves(probe) == nil {
			return nil
		}
		if err := l.stop(ctx, d.name); err != nil {
			return err
		}
	}
	// Of a process with many threads, some may hold its ports for a moment after
	// it counts as ended.
	if waitFor(ctx, "ports", 5*time.Second, d.portsAreFree) != nil {
		return d.portsAreFree(ctx)
	}
	exited, err := l.start(d)
	if err != nil {
		return err
	}
	return waitFor(ctx, d.name+" to serve", time.Minute, func(ctx context.Context) error {
		select {
		case err := <-exited:
			return fatalError{fmt.Errorf("it ended (%w); the end of %s:\n%s", err, l.logFile(d.name), l.logTail(d.name))}
		default:
			return d.serves(ctx)
		}
	})
}

func (d daemon) portsAreFree(context.Context) error {
	for _, address := range d.listens {
		if err := portIsFree(address); err != nil {
			return err
		}
	}
	return nil
}

// start launches d in a session of its own, so that it outlives this program,
// and returns a channel that tells should it end while this program still runs.
func (l layout) start(d daemon) (<-chan error, error) {
	if err := os.MkdirAll(l.path("logs"), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(l.logFile(d.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(d.program, d.args...)
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Dir = l.state
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
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
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	identity := fmt.Sprintf("%d %s %s\n", cmd.Process.Pid, startTime(cmd.Process.Pid), d.command())
	return exited, writeFile(l.pidFile(d.name), identity)
}

// running returns the daemon's process id and the command it was started as, or
// zero. A process counts as the daemon only if it also began when the daemon
// did: process ids are used again.
func (l layout) running(name string) (pid int, command string) {
	content, err := os.ReadFile(l.pidFile(name))
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

// stop ends a daemon: first asked, after ten seconds killed.
func (l layout) stop(ctx context.Context, name string) error {
	pid, _ := l.running(name)
	if pid == 0 {
		return nil
	}
	gone := func(context.Context) error {
		if still, _ := l.running(name); still != 0 {
			return fmt.Errorf("process %d still runs", pid)
		}
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGTERM) // an error means that it is gone
	if waitFor(ctx, name+" to end", 10*time.Second, gone) == nil {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return waitFor(ctx, name+" to be killed", 10*time.Second, gone)
}

// startTime is when a process began, in clock ticks since boot (field 22 of
// /proc/PID/stat); empty when there is no such process, or only its zombie.
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

func (l layout) logTail(name string) string {
	content, err := os.ReadFile(l.logFile(name))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(content), 8)
}

// command runs a program to its end and returns what it printed; its own words
// are part of the error.
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
