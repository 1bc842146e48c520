package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAPreviewReportsWhatUpWouldDo previews changes that an up would make, and some that
// it would reject.
func TestAPreviewReportsWhatUpWouldDo(t *testing.T) {
	s := newParallelStory(t, "preview")
	t.Run("before the namespace exists", func(t *testing.T) {
		out := s.preview(t)
		for _, want := range []string{"kubernetes:apps/v1:Deployment user-service-deployment create", "Namespace preview does not exist yet: only `pulumi up` can check what goes into it"} {
			if !strings.Contains(out, want) {
				t.Errorf("the preview does not print %q but:\n%s", want, out)
			}
		}
	})
	s.set(t, map[string]string{"replicas": "1"})
	s.deploy(t)
	before := s.generations(t)
	s.renameAda(t, 1)
	t.Run("an image to be rebuilt", func(t *testing.T) {
		out := s.preview(t)
		if !strings.Contains(out, "kubernetes:apps/v1:Deployment user-service-deployment update") {
			t.Errorf("the preview does not update the Deployment:\n%s", out)
		}
	})
	t.Run("a context that does not exist", func(t *testing.T) {
		s.set(t, map[string]string{"kubernetes:context": "sandbocks"})
		defer s.set(t, map[string]string{"kubernetes:context": "sandbox"})
		s.previewFails(t, "kubernetes:context (\"sandbocks\") is not in the kubeconfig: it has sandbox: choose one with `pulumi config set --stack dev kubernetes:context sandbox`")
	})
	t.Run("a cluster that does not answer", func(t *testing.T) {
		unreachable := s.with("KUBECONFIG=" + s.unreachableKubeconfig(t))
		unreachable.previewFails(t, "configured Kubernetes cluster is unreachable: ", "connection refused")
	})
	t.Run("a value that the API server rejects, beside a field that replaces another", func(t *testing.T) {
		s.edit(t, "internal/microservice/deployment.go", `pulumi.String("100%")`, `pulumi.String("all of them")`)
		s.edit(t, "internal/microservice/pods.go", `HttpGet:          corev1.HTTPGetActionArgs{Path: pulumi.String(path), Port: pulumi.String(httpPort)},`, `TcpSocket: corev1.TCPSocketActionArgs{Port: pulumi.String(httpPort)},`)
		out := s.previewFails(t, "the API server rejects Deployment user-service-deployment: ", "spec.strategy.rollingUpdate.maxSurge: Invalid value")
		if strings.Contains(out, "Probe") {
			t.Errorf("the API server also rejects a probe, as if it had both fields:\n%s", out)
		}
	})
	if after := s.generations(t); after != before {
		t.Errorf("generations of the objects went from %s to %s", before, after)
	}
}

// preview runs pulumi preview, which must succeed.
func (s story) preview(t *testing.T) string {
	t.Helper()
	return s.pulumi(t, "preview", "--stack=dev")
}

// previewFails runs pulumi preview, which must fail with these errors, and returns its output.
func (s story) previewFails(t *testing.T, wants ...string) string {
	t.Helper()
	start := time.Now()
	out, err := s.tryPulumi(t.Context(), "preview", "--stack=dev")
	if err == nil {
		t.Errorf("the preview succeeds:\n%s", out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("the preview does not print %q but:\n%s", want, out)
		}
	}
	t.Logf("failed after %.1f s with: %s", time.Since(start).Seconds(), wants[0])
	return out
}

// TestThePreviewWithoutAClusterNeedsOnlyGit runs it without a network, a home, a Docker
// engine, and any program other than git.
func TestThePreviewWithoutAClusterNeedsOnlyGit(t *testing.T) {
	t.Parallel()
	s := newStory(t, "nothing")
	s.commit(t, "base")
	s.run(t, "make", "golden")
	folder := t.TempDir()
	program := filepath.Join(s.Dir, ".build", "preview")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(git, filepath.Join(folder, "git")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	preview := exec.CommandContext(t.Context(), "unshare", "--net", program, "-out", filepath.Join(folder, "manifests"))
	preview.Dir, preview.Env = s.Dir, []string{"PATH=" + folder, "HOME=" + folder}
	out, err := preview.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("in %.2f s:\n%s", time.Since(start).Seconds(), out)
	for _, want := range []string{"dev: user-service 3 pods, 6 objects", "prod: user-service 2 to 10 pods, 6 objects", "Unknown without a cluster: "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the preview does not print %q", want)
		}
	}
	// kubectl accepts the manifests that it writes.
	for stack, namespace := range map[string]string{"dev": s.Namespace, "prod": "prod"} {
		s.run(t, "kubectl", "--namespace="+namespace, "apply", "--dry-run=client", "--filename="+filepath.Join(folder, "manifests", stack+".yaml"))
	}
}
