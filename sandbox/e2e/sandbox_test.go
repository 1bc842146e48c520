package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// TestASandboxKilledInEveryPartComesBack kills all daemons at once, as a crash of
// the machine would, and brings the sandbox up again.
func TestASandboxKilledInEveryPartComesBack(t *testing.T) {
	state := filepath.Dir(os.Getenv("KUBECONFIG"))
	files, err := filepath.Glob(filepath.Join(state, "pids", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no daemons in %s (%v)", state, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.Fields(string(content))[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s, process %d: %v", filepath.Base(file), pid, err)
		}
	}
	start := time.Now()
	up := exec.CommandContext(t.Context(), filepath.Join(state, "sandbox"), "up")
	up.Dir = filepath.Dir(state)
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("up after the kill: %v\n%s", err, out)
	}
	t.Logf("%d daemons killed, everything up again in %.1f s", len(files), time.Since(start).Seconds())

	dev := story{&project.Project{Dir: filepath.Dir(state), Namespace: "default"}}
	dev.settled(t, 3)
}
