package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Down stops everything that the sandbox started and removes everything that it
// made, except the cache of built programs.
func (s Sandbox) Down(ctx context.Context) error {
	release, err := s.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.takeDown(ctx)
}

func (s Sandbox) takeDown(ctx context.Context) error {
	_, ownEngine := s.engineHost(ctx)
	return runSteps(ctx,
		gone("daemons", s.stopAll),
		gone("containers", killAll),
		gone("mounts", s.unmountAll),
		gone("network and kernel", func(ctx context.Context) error { return s.restore(ctx, ownEngine) }),
		gone("files", s.removeFiles),
	)
}

func gone(name string, work func(context.Context) error) step {
	return step{name, func(ctx context.Context) (string, error) { return "gone", work(ctx) }}
}

func (s Sandbox) stopAll(ctx context.Context) error {
	for _, d := range slices.Backward(s.daemons(ctx)) {
		if err := s.stop(ctx, d.Name); err != nil {
			return err
		}
	}
	return nil
}

// killAll kills what is left in the sandbox's control groups: containers, their
// shims, and daemons whose PID file is lost.
func killAll(ctx context.Context) error {
	return Poll(ctx, "the last processes to exit", 30*time.Second, func(context.Context) error {
		pids, err := cgroupProcesses()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // an error means that it has exited
		}
		if len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
}

// cgroupProcesses lists the processes in the sandbox's control groups, each once:
// with cgroup v1 a process is in one group of every hierarchy.
func cgroupProcesses() ([]int, error) {
	var pids []int
	err := walkCgroups(func(folder string) error {
		file, err := os.Open(filepath.Join(folder, "cgroup.procs"))
		if err != nil {
			return err
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			pid, err := strconv.Atoi(lines.Text())
			if err != nil {
				return err
			}
			if startTime(pid) != "" {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	slices.Sort(pids)
	return slices.Compact(pids), err
}

// walkCgroups visits the sandbox's control groups, the inner ones first.
func walkCgroups(visit func(folder string) error) error {
	roots, err := cgroupFolders()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var folders []string
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it was removed meanwhile
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, folder := range slices.Backward(folders) {
			if err := visit(folder); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
				return err
			}
		}
	}
	return nil
}

// unmountAll unmounts what is mounted below the sandbox's folders, the last
// mounted first.
func (s Sandbox) unmountAll(ctx context.Context) error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(string(content)), "\n")) {
		point := strings.Fields(line)[4] // proc(5): the fifth field is the mount point
		if !strings.HasPrefix(point, s.state+"/") && !strings.HasPrefix(point, runDir+"/") {
			continue
		}
		if _, err := command(ctx, "umount", "--lazy", point); err != nil {
			return err
		}
	}
	return nil
}

// removeFiles removes the sandbox's folders and control groups.
func (s Sandbox) removeFiles(context.Context) error {
	if err := walkCgroups(syscall.Rmdir); err != nil {
		return fmt.Errorf("remove control groups: %w", err)
	}
	return errors.Join(os.RemoveAll(s.state), os.RemoveAll(runDir))
}
