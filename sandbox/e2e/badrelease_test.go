package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// badRelease is one whose rollout must fail.
type badRelease struct {
	name      string
	file      string            // of the project
	good, bad string            // its text before and after
	settings  map[string]string // bad ones
	restored  map[string]string
	service   string   // the source of another service, instead of the app's
	want      []string // in the error
	serves    bool     // for some seconds, so that requests to it fail when it exits
}

// TestABadReleaseStopsByItself makes releases whose rollouts must fail. Each fails within
// the rollout timeout, with an error that has what the pods report, while the previous
// revision serves; and the next good release needs no other step.
func TestABadReleaseStopsByItself(t *testing.T) {
	t.Parallel()
	const mainBegins = "func main() {\n"
	for i, bad := range []badRelease{
		{
			name: "exits at start", file: "app/main.go",
			good: mainBegins, bad: mainBegins + "\tprintln(\"no database today\")\n\tos.Exit(3)\n",
			want: []string{"CrashLoopBackOff", "exit code 3", "no database today"},
		},
		{
			name: "is never ready", file: "app/health.go",
			good: "if h.isDraining() {", bad: "if true {",
			want: []string{"Readiness probe failed", "503"},
		},
		{
			name: "is ready and dies after 5 s", file: "app/server.go",
			good: "\tfailed := make(chan error, 1)\n", bad: "\tfailed := make(chan error, 1)\n\ttime.AfterFunc(6*time.Second, func() { panic(\"out of luck\") })\n",
			want: []string{"exit code 2", "out of luck"}, serves: true,
		},
		{
			name: "is gone from the registry", file: "internal/microservice/microservice.go",
			good: "m.podSpec(image.RepoDigest,", bad: `m.podSpec(pulumi.String(args.Build.Repository + "@sha256:` + strings.Repeat("0", 64) + `"),`,
			// ErrImagePull while the kubelet tries again, ImagePullBackOff in between.
			want: []string{"ImagePull", "not found"},
		},
		{
			name:     "is for another architecture",
			settings: map[string]string{"platform": "linux/arm64"}, restored: map[string]string{"platform": "linux/amd64"},
			// As little as possible to compile for another architecture.
			service: "package main\n\nfunc main() {}\n",
			want:    []string{"Unschedulable, for platform linux/arm64: ", "node affinity/selector"},
		},
		{
			name:     "fits on no node",
			settings: map[string]string{"memoryRequest": "1Ti", "memoryLimit": "1Ti"},
			restored: map[string]string{"memoryRequest": "64Mi", "memoryLimit": "128Mi"},
			want:     []string{"Unschedulable, for platform linux/amd64: ", "Insufficient memory"},
		},
	} {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			take(t, kubelet)
			newSmallStory(t, fmt.Sprintf("bad-%d", i)).releaseFails(t, bad)
		})
	}
}

func (s story) releaseFails(t *testing.T, bad badRelease) {
	// The minimum is 20 s; other tests keep the kubelet busy.
	const timeout = 40 * time.Second
	s.deploy(t)
	s.settled(t, 3)
	s.set(t, map[string]string{"rolloutTimeout": "40"})
	old := names(s.pods(t))
	if bad.file != "" {
		s.edit(t, bad.file, bad.good, bad.bad)
	}
	if strings.HasPrefix(bad.file, "internal/") {
		s.compile(t)
	}
	if bad.service != "" {
		s.sh(t, "cp -a app app.good && rm app/*.go")
		if err := os.WriteFile(filepath.Join(s.Dir, "app", "main.go"), []byte(bad.service), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.set(t, bad.settings)
	stop := s.loadFromTheNode(t)
	start := time.Now()
	out, err := s.tryUp(t)
	took := time.Since(start)
	load := stop()

	_, diagnostics, _ := strings.Cut(out, "Diagnostics:")
	if err == nil {
		t.Fatalf("up succeeds:\n%s", out)
	}
	for _, want := range bad.want {
		if !strings.Contains(diagnostics, want) {
			t.Errorf("the error does not have %q", want)
		}
	}
	// Pulumi's start and the build take longer while other tests run.
	if took > timeout+time.Minute {
		t.Errorf("up failed only after %.1f s, with a rolloutTimeout of %s", took.Seconds(), timeout)
	}
	t.Logf("failed after %.1f s with:%s", took.Seconds(), diagnostics)
	ready := names(readyPods(s.pods(t)))
	if slices.ContainsFunc(old, func(name string) bool { return !slices.Contains(ready, name) }) {
		t.Errorf("the pods of the previous revision were %v, the ready ones are %v", old, ready)
	}
	if load.Requests == 0 || load.Failed > 0 && !bad.serves {
		t.Errorf("of %d requests %d failed, over %s: %q", load.Requests, load.Failed, load.FailingFor, load.Errors)
	}
	t.Logf("%d of %d requests failed meanwhile, the longest took %s", load.Failed, load.Requests, load.Latencies.Max.Round(time.Millisecond))
	declared := s.kubectl(t, "get", "deployment", "user-service-deployment", "--output=jsonpath={.spec.template.spec.containers[0].image}")
	if image := s.image(t); image != declared && !strings.HasPrefix(bad.file, "internal/") {
		t.Errorf("the output image is %s, declared is %s", image, declared)
	}

	if bad.file != "" {
		s.edit(t, bad.file, bad.bad, bad.good)
	}
	if bad.service != "" {
		s.sh(t, "rm -r app && mv app.good app")
	}
	s.set(t, bad.restored)
	s.set(t, map[string]string{"rolloutTimeout": "120"})
	t.Logf("the next good release: %.1f s", s.up(t).Seconds())
}
