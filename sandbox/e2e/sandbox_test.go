package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// TestASandboxKilledInEveryPartComesBack kills all daemons at once, as a crash of
// the machine would, and brings the sandbox up again.
func TestASandboxKilledInEveryPartComesBack(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(stateFolder(), "pids", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no daemons in %s (%v)", stateFolder(), err)
	}
	for _, file := range files {
		kill(t, filepath.Base(file))
	}
	start := time.Now()
	bringUp(t)
	t.Logf("%d daemons killed, everything up again in %.1f s", len(files), time.Since(start).Seconds())

	dev := story{&project.Project{Dir: filepath.Dir(stateFolder()), Namespace: "default"}}
	dev.settled(t, 3)
}
