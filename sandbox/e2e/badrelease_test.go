package e2e

import (
	"fmt"
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
			// CrashLoopBackOff too, but for the moment after an exit.
			want: []string{"exit code 3", "no database today"},
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
			// It never runs, and need not be compiled.
			file: "app/Dockerfile",
			good: `go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o /out/user-service .`, bad: "mkdir /out && cp main.go /out/user-service",
			want: []string{"Unschedulable, for platform linux/arm64: ", "node affinity/selector"},
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
			take(t, waiting)
			newSmallStory(t, fmt.Sprintf("bad-%d", i)).releaseFails(t, bad)
		})
	}
}

// releaseFails makes a bad release twice: with a canary, and then without.
func (s story) releaseFails(t *testing.T, bad badRelease) {
	s.set(t, map[string]string{"canary": "true", "replicas": "1"})
	s.deploy(t)
	s.settled(t, 1)
	// The minimum is 20 s; other tests keep the machine busy.
	s.set(t, map[string]string{"rolloutTimeout": "40"})
	if bad.file != "" {
		s.edit(t, bad.file, bad.good, bad.bad)
	}
	if strings.HasPrefix(bad.file, "internal/") {
		s.compile(t)
	}
	s.set(t, bad.settings)

	template := s.template(t)
	if load := s.upFails(t, append(bad.want, "before hook", "canary")); load.Failed > 0 {
		t.Errorf("%d requests failed with a canary, over %s: %q", load.Failed, load.FailingFor, load.Errors)
	}
	if now := s.template(t); now != template {
		t.Errorf("the canary's failure changed the pod template from\n%s\nto\n%s", template, now)
	}
	s.hasNoCanary(t)

	s.set(t, map[string]string{"canary": "false"})
	if load := s.upFails(t, bad.want, "--skip-preview"); load.Failed > 0 && !bad.serves {
		t.Errorf("%d requests failed, over %s: %q", load.Failed, load.FailingFor, load.Errors)
	}
	if declared, image := s.template(t), s.image(t); !strings.Contains(declared, image) && !strings.HasPrefix(bad.file, "internal/") {
		t.Errorf("the output image is %s, declared is %s", image, declared)
	}

	if bad.file != "" {
		s.edit(t, bad.file, bad.bad, bad.good)
		s.useProgram(t, shipped(t))
	}
	s.set(t, bad.restored)
	s.set(t, map[string]string{"rolloutTimeout": "120"})
	t.Logf("the next good release: %.1f s", s.up(t).Seconds())
}

// upFails checks that an up fails with these words, while all pods of before stay ready,
// and returns what the requests met meanwhile.
func (s story) upFails(t *testing.T, wants []string, flags ...string) traffic {
	t.Helper()
	old := names(s.pods(t))
	stop := s.loadFromTheNode(t)
	start := time.Now()
	out, err := s.tryUp(t, flags...)
	took := time.Since(start)
	load := stop()
	if err == nil {
		t.Fatalf("up succeeds:\n%s", out)
	}
	_, diagnostics, _ := strings.Cut(out, "Diagnostics:")
	for _, want := range wants {
		if !strings.Contains(diagnostics, want) {
			t.Errorf("the error does not have %q", want)
		}
	}
	// Pulumi's start and the build take longer while other tests run.
	if took > 2*time.Minute {
		t.Errorf("up failed only after %.1f s", took.Seconds())
	}
	ready := names(readyPods(s.pods(t)))
	if slices.ContainsFunc(old, func(name string) bool { return !slices.Contains(ready, name) }) {
		t.Errorf("the pods of the previous revision were %v, the ready ones are %v", old, ready)
	}
	if load.Requests == 0 {
		t.Error("no requests were sent meanwhile")
	}
	t.Logf("failed after %.1f s, %d of %d requests failed meanwhile, the longest took %s:%s",
		took.Seconds(), load.Failed, load.Requests, load.Latencies.Max.Round(time.Millisecond), diagnostics)
	return load
}

// template is the pod template of the service's Deployment.
func (s story) template(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployment", "user-service-deployment", "--output=jsonpath={.spec.template}")
}
