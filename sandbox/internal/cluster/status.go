package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Status prints a line for each daemon, and the memory of all of the sandbox's
// processes, pods included. It fails unless everything runs.
func (s Sandbox) Status(ctx context.Context) error {
	var missing []string
	for _, name := range s.Daemons(ctx) {
		if pid := s.PID(name); pid != 0 {
			fmt.Printf("%-20s process %-8d %6.0f MiB\n", name, pid, residentMiB(pid))
			continue
		}
		fmt.Printf("%-20s not running\n", name)
		missing = append(missing, name)
	}
	if pids, err := cgroupProcesses(); err == nil {
		var total float64
		for _, pid := range pids {
			total += residentMiB(pid)
		}
		fmt.Printf("%-20s %d processes %6.0f MiB\n", "in all", len(pids), total)
	}
	if missing != nil {
		return fmt.Errorf("not running: %s: run `make up`", strings.Join(missing, ", "))
	}
	return nil
}

// residentMiB is a process's proportional set size, from /proc/PID/smaps_rollup:
// what processes share counts once in their sum.
func residentMiB(pid int) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		var kibibytes float64
		if _, err := fmt.Sscanf(line, "Pss: %f kB", &kibibytes); err == nil {
			return kibibytes / 1024
		}
	}
	return 0
}
