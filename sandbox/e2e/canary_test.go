package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"user-service/sandbox/internal/cluster"
)

const (
	canaryRuns  = "one pod of the new revision, the canary, will have to prove itself first"
	canaryProof = "the canary has stayed ready for 10s"
)

// TestACanaryProvesEachRevision goes through the ups of a stack of one pod with a canary: which
// of them have one, what becomes of it, and what it answers.
func TestACanaryProvesEachRevision(t *testing.T) {
	s := newLongStory(t, "canary")
	s.set(t, map[string]string{"canary": "true", "smokePath": "/users", "replicas": "1"})
	for _, up := range []struct {
		what   string
		change func()
		proven bool
	}{
		{"the first deployment", func() {}, false},
		{"nothing changed", func() {}, false},
		{"another source", func() { s.renameAda(t, 1) }, true},
		{"another number of pods", func() { s.set(t, map[string]string{"replicas": "2"}) }, false},
		{"a secret", func() { s.setSecretEnv(t, map[string]string{"TOKEN": "t0ken"}) }, true},
		{"another value of it", func() { s.setSecretEnv(t, map[string]string{"TOKEN": "t1ken"}) }, true},
	} {
		up.change()
		out, err := s.tryUp(t)
		if err != nil {
			t.Fatalf("%s: %v", up.what, err)
		}
		if announced, proven := strings.Contains(out, canaryRuns), strings.Contains(out, canaryProof); announced != up.proven || proven != up.proven {
			t.Errorf("%s: announced: %t, proven: %t, want %t:\n%s", up.what, announced, proven, up.proven, out)
		}
		s.hasNoCanary(t)
	}
	s.staysAsDeclared(t)

	// The seventh kind of bad release; TestABadReleaseStopsByItself has the others.
	const good, bad = "func (s *service) listUsers(w http.ResponseWriter, r *http.Request) {\n", "\thttp.Error(w, \"no users today\", http.StatusInternalServerError)\n\treturn\n"
	s.settled(t, 2)
	template := s.template(t)
	s.edit(t, "app/users.go", good, good+bad)
	if load := s.upFails(t, []string{"the canary answers /users (smokePath) with 500 Internal Server Error: no users today"}); load.Failed > 0 {
		t.Errorf("%d requests failed: %q", load.Failed, load.Errors)
	}
	if now := s.template(t); now != template {
		t.Errorf("the canary's failure changed the pod template from\n%s\nto\n%s", template, now)
	}
	s.hasNoCanary(t)
	s.edit(t, "app/users.go", good+bad, good)

	s.set(t, map[string]string{"memoryLimit": "144Mi"})
	s.killUpWithCanary(t)
	s.pulumi(t, "cancel", "--stack=dev", "--yes")
	s.up(t)
	s.hasNoCanary(t)

	s.set(t, map[string]string{"memoryLimit": "160Mi"})
	s.killUpWithCanary(t)
	s.pulumi(t, "cancel", "--stack=dev", "--yes")
	s.pulumi(t, "destroy", "--stack=dev", "--yes")
	// The garbage collector removes it after the Deployment.
	s.kubectl(t, "wait", "--for=delete", "jobs,pods", "--selector=app=user-service-canary", "--timeout=3m")
	s.hasNoCanary(t)
}

// TestACanaryWithoutItsUpGoes interrupts an up as Ctrl-C does, and takes the API server away
// from another, both while the canary runs. One goes with the next up, the other by itself.
func TestACanaryWithoutItsUpGoes(t *testing.T) {
	s := newLongStory(t, "left")
	s.set(t, map[string]string{"canary": "true", "replicas": "1"})
	s.deploy(t)
	s.settled(t, 1)
	pod := names(s.pods(t))

	s.set(t, map[string]string{"memoryLimit": "144Mi"})
	out, err := s.upUntil(t, s.runsCanary(t), func(up *os.Process) { _ = syscall.Kill(-up.Pid, syscall.SIGINT) })
	if err == nil {
		t.Errorf("the interrupted up succeeds:\n%s", out)
	}
	s.up(t)
	s.hasNoCanary(t)
	s.settled(t, 1)
	if now := names(s.pods(t)); slices.Equal(now, pod) {
		t.Error("the up after the interrupted one has released nothing")
	}

	kubeconfig, cut := s.kubeconfigToCut(t)
	s.set(t, map[string]string{"memoryLimit": "160Mi", "rolloutTimeout": "40"})
	template := s.template(t)
	out, err = s.with("KUBECONFIG="+kubeconfig).upUntil(t, s.runsCanary(t), func(*os.Process) { cut() })
	if err == nil || !strings.Contains(out, "connection refused") {
		t.Errorf("without the API server up does not fail with its words but (%v):\n%s", err, out)
	}
	t.Logf("without the API server: %s", out[strings.LastIndex(out, "Diagnostics:"):])
	s.giveBack() // all that is left is to wait
	s.kubectl(t, "wait", "--for=delete", "jobs,pods", "--selector=app=user-service-canary", "--timeout=3m")
	s.hasNoCanary(t)
	if now := s.template(t); now != template {
		t.Errorf("the pod template changed from\n%s\nto\n%s", template, now)
	}
}

// kubeconfigToCut is one that reaches the API server until it is cut.
func (s story) kubeconfigToCut(t *testing.T) (file string, cut func()) {
	t.Helper()
	content, err := os.ReadFile(sandbox(t).Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	const server = cluster.BridgeAddress + ":6443"
	address, cut := forward(t, server, func(to, from net.Conn) {
		defer to.Close()
		_, _ = io.Copy(to, from)
	})
	file = filepath.Join(t.TempDir(), "kubeconfig")
	forwarded := strings.Replace(string(content), `"server": "https://`+server, `"tls-server-name": "`+cluster.BridgeAddress+`", "server": "https://`+address, 1)
	if err := os.WriteFile(file, []byte(forwarded), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, cut
}

// killUpWithCanary runs an up and kills it while its canary runs, which then stays.
func (s story) killUpWithCanary(t *testing.T) {
	t.Helper()
	running := s.runsCanary(t)
	if _, err := s.upUntil(t, running, func(up *os.Process) { killUp(t, up) }); err == nil {
		t.Error("the killed up succeeds")
	}
	if !running() {
		t.Error("the canary of the killed up is gone, and would not be missed")
	}
}

// runsCanary returns a function that reports whether a canary's pod is running.
func (s story) runsCanary(t *testing.T) func() bool {
	t.Helper()
	s.Service += "-canary"
	return func() bool {
		pods, err := s.tryPods(t.Context())
		return err == nil && len(pods) == 1 && pods[0].Status.Phase == corev1.PodRunning
	}
}

// canary is what there is of a canary, "" for nothing.
func (s story) canary(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "jobs,pods", "--selector=app="+s.Service+"-canary", "--no-headers", "--ignore-not-found",
		"--output=custom-columns=KIND:.kind,NAME:.metadata.name,PHASE:.status.phase")
}

// hasNoCanary waits until a canary is gone: an up that succeeds leaves that to the cluster. It
// waits for less than the time after which a canary goes by itself.
func (s story) hasNoCanary(t *testing.T) {
	t.Helper()
	if err := cluster.Poll(t.Context(), "the end of the canary", time.Minute, func(context.Context) error {
		if left := s.canary(t); left != "" {
			return errors.New(left)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
