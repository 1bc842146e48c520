package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// cgroupFolders are the sandbox's control groups: one with cgroup v2, one in each
// controller's hierarchy with v1.
func cgroupFolders() ([]string, error) {
	const root = "/sys/fs/cgroup"
	if exists(filepath.Join(root, "cgroup.controllers")) {
		return []string{filepath.Join(root, cgroupName)}, nil
	}
	hierarchies, _ := filepath.Glob(filepath.Join(root, "*", "cgroup.procs")) // the pattern is valid
	if len(hierarchies) == 0 {
		return nil, fmt.Errorf("no control groups are mounted at %s: Kubernetes needs them", root)
	}
	var folders []string
	for _, procs := range hierarchies {
		folders = append(folders, filepath.Join(filepath.Dir(procs), cgroupName))
	}
	return folders, nil
}

// makeCgroups makes the group below which the kubelet puts its pods, and beside
// those one for the sandbox's own daemons.
func makeCgroups() error {
	folders, err := cgroupFolders()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(folder, "docker"), 0o755); err != nil {
			return err
		}
		// The maximum of v1 and of v2: pods get CPU before compilers and tests do. And
		// before image builds, which would get as much of it as dozens of pods.
		for file, share := range map[string]string{"cpu.shares": "16384", "cpu.weight": "1600", "docker/cpu.shares": "128"} {
			if !exists(filepath.Join(folder, file)) {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, file), []byte(share), 0o644); err != nil {
				return err
			}
		}
		// With v1 a new cpuset is empty, and nothing may run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			content, err := os.ReadFile(filepath.Join(filepath.Dir(folder), file))
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
				return err
			}
		}
	}
	return os.MkdirAll(daemonCgroup(folders), 0o755)
}

// daemonCgroup is where the daemons are put, only to be found again: with v1 any
// one hierarchy will do.
func daemonCgroup(folders []string) string {
	pids := slices.IndexFunc(folders, func(folder string) bool { return filepath.Base(filepath.Dir(folder)) == "pids" })
	return filepath.Join(folders[max(0, pids)], "daemons")
}

func joinCgroup(pid int) error {
	folders, err := cgroupFolders()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(daemonCgroup(folders), "cgroup.procs"), fmt.Append(nil, pid), 0o644)
}
