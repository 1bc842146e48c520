// Package e2e tests the project with the real pulumi, a real registry and a real
// cluster. The subtests of TestTutorial build on each other, in order, and print the
// figures that they measure.
//
// Tests that kill what all stacks run on, or need all of the machine, come first, one after
// the other. All others run in parallel, and take turns at what they cannot share: see turn.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"user-service/sandbox/internal/cluster"
)

func TestTutorial(t *testing.T) {
	s := newLongStory(t, "tutorial").withPassphrase(t)
	s.compiledByPulumi(t)
	t.Logf("pulumi up from nothing: %.1f s", s.up(t).Seconds())
	s.compile(t)
	s.startProbe(t)

	for _, step := range []struct {
		name string
		test func(story, *testing.T)
	}{
		{"the image is in the registry and the pods run its digest", story.runsTheDigest},
		{"the same source gives the same layer anywhere", story.sameSourceSameLayer},
		{"three pods are ready", story.threeReady},
		{"a killed pod is replaced", story.killedPodIsReplaced},
		{"a crashed container is started again", story.crashedContainerRestarts},
		{"another pod reaches the service by its DNS name", story.foundByName},
		{"requests spread over all pods", story.requestsSpread},
		{"a second up changes nothing", story.secondUpChangesNothing},
		{"other times, a README and a test do not roll the pods", story.untouchedSourceStays},
		{"a changed source line rolls the pods", story.changedSourceRolls},
		{"the commit before brings the digest before back", story.backAgain},
		{"replicas 10 gives ten ready pods that all answer", story.tenReplicas},
		{"invalid settings are rejected before anything is touched", story.invalidSettingsAreRejected},
		{"an unreachable server is named", story.unreachableServerIsNamed},
		{"destroy leaves nothing behind", story.destroyLeavesNothing},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(s, t) }) {
			t.Fatal("the next subtests build on this one")
		}
	}
}

func (s story) runsTheDigest(t *testing.T) {
	image := s.image(t)
	repository, digest, found := strings.Cut(image, "@")
	if !found || repository != s.Image || !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("the output image is %q, want %s@sha256:…", image, s.Image)
	}
	if got := registryDigest(t, s.Image, s.tag(t)); got != digest {
		t.Errorf("the registry has %s under the tag, the stack's output is %s", got, digest)
	}
	for _, pod := range s.pods(t) {
		declared, runs := pod.Spec.Containers[0].Image, pod.Status.ContainerStatuses[0].ImageID
		if declared != image || !strings.HasSuffix(runs, digest) {
			t.Errorf("pod %s is declared as %s and runs %s, want %s", pod.Name, declared, runs, image)
		}
	}
	size := s.run(t, "docker", "image", "inspect", "--format={{.Size}}", s.Image+":"+s.tag(t))
	bytes, err := strconv.Atoi(strings.TrimSpace(size))
	if err != nil || bytes > 15e6 {
		t.Errorf("the image has %s bytes, want at most 15 MB (%v)", size, err)
	}
	t.Logf("%s, %.1f MB, %.1f MB in the registry", image, float64(bytes)/1e6, float64(totalSize(registryLayers(t, s.Image, digest)))/1e6)
}

// sameSourceSameLayer builds a second copy as it may be on another machine: in another
// folder, with another umask and other file times, and without the cache of an earlier
// build.
func (s story) sameSourceSameLayer(t *testing.T) {
	elsewhere := newStory(t, "elsewhere")
	unique := strconv.FormatInt(time.Now().UnixNano(), 36)
	elsewhere.sh(t, "chmod -R go= app && find app -exec touch --date=2001-02-03 {} +")
	// With layers and caches of its own, so that parallel builds keep theirs.
	elsewhere.sh(t, `sed -i 's#type=cache,target=\(\S*\)#type=cache,id=`+unique+`\1,target=\1#; s#^WORKDIR#ENV ELSEWHERE=`+unique+`\n&#' app/Dockerfile`)
	took := elsewhere.up(t, imageAlone...)
	here, there := registryLayers(t, s.Image, s.tag(t)), registryLayers(t, elsewhere.Image, elsewhere.tag(t))
	if !slices.Equal(here, there) {
		t.Errorf("the layers are %v here and %v there", here, there)
	}
	t.Logf("%d layer, %s, built again in %.1f s", len(here), here[0].Digest, took.Seconds())
}

func (s story) threeReady(t *testing.T) {
	if ready := readyPods(s.pods(t)); len(ready) != 3 {
		t.Fatalf("%d pods are ready after up, want 3: %+v", len(ready), ready)
	}
}

func (s story) killedPodIsReplaced(t *testing.T) {
	victim := s.pods(t)[0].Name
	s.kubectl(t, "delete", "pod", victim, "--wait=false")
	_, took, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool {
		ready := readyPods(pods)
		return len(ready) == 3 && !slices.ContainsFunc(ready, func(p corev1.Pod) bool { return p.Name == victim })
	})
	if err != nil {
		t.Fatalf("three ready pods without the killed one: %v", err)
	}
	t.Logf("three ready again %.1f s after the kill", took.Seconds())
}

func (s story) crashedContainerRestarts(t *testing.T) {
	s.settled(t, 3)
	s.killOne(t)
}

func (s story) foundByName(t *testing.T) {
	for _, host := range []string{
		"user-service",
		"user-service." + s.Namespace,
		"user-service." + s.Namespace + ".svc.cluster.local",
	} {
		answer := s.ask(t, "http://"+host+"/users", 3)
		if answer.Statuses[http.StatusOK] != 3 {
			t.Errorf("3 requests to http://%s/users got %+v", host, answer)
		}
	}
}

func (s story) requestsSpread(t *testing.T) {
	s.settled(t, 3)
	s.allAnswer(t, 3, 60)
}

func (s story) secondUpChangesNothing(t *testing.T) {
	before := s.generations(t)
	took := s.up(t, "--expect-no-changes")
	if after := s.generations(t); after != before {
		t.Errorf("generations of the objects went from %s to %s", before, after)
	}
	t.Logf("took %.1f s", took.Seconds())
}

func (s story) untouchedSourceStays(t *testing.T) {
	before := s.pods(t)
	// The same content with another file time.
	s.rewrite(t, "app/users.json", func(source string) string { return source })
	// Files that are not in the image.
	s.edit(t, "app/users_test.go", "package main\n", "package main\n\n// One more test.\n")
	if err := os.WriteFile(filepath.Join(s.Dir, "app", "README.md"), []byte("# The service\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.up(t, "--expect-no-changes")
	if after := s.pods(t); !slices.Equal(names(before), names(after)) {
		t.Errorf("the pods went from %v to %v", names(before), names(after))
	}
}

func (s story) changedSourceRolls(t *testing.T) {
	before := names(s.pods(t))
	digest := s.image(t)
	s.renameAda(t, 1)
	took := s.up(t)
	after := readyPods(s.pods(t))
	if slices.ContainsFunc(names(after), func(name string) bool { return slices.Contains(before, name) }) || len(after) != 3 {
		t.Errorf("ready pods went from %v to %v, want three others", before, names(after))
	}
	if now := s.image(t); now == digest {
		t.Errorf("the image is still %s", now)
	}
	// The pods of the previous revision serve until kube-proxy has removed them.
	if err := cluster.Poll(t.Context(), "the changed source", podDeadline, func(context.Context) error {
		if answer := s.ask(t, "http://user-service/users", 10); len(answer.Errors) > 0 || !strings.Contains(answer.Body, `"Ada 1"`) {
			return fmt.Errorf("the service's answers are %+v", answer)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	t.Logf("from the change to all pods rolled: %.1f s", took.Seconds())
}

func (s story) backAgain(t *testing.T) {
	good := s.image(t)
	s.commit(t, "good")
	s.release(t, 2)
	s.commit(t, "regretted")
	if now := s.image(t); now == good {
		t.Fatalf("the image is still %s", now)
	}
	start := time.Now()
	s.run(t, "git", "checkout", "--quiet", "HEAD~1")
	s.up(t)
	if now := s.image(t); now != good {
		t.Errorf("the image is %s, that of this commit was %s", now, good)
	}
	t.Logf("%.1f s", time.Since(start).Seconds())
}

func (s story) tenReplicas(t *testing.T) {
	s.set(t, map[string]string{"replicas": "10"})
	took := s.up(t)
	if ready := readyPods(s.pods(t)); len(ready) != 10 {
		t.Errorf("%d pods are ready after up, want 10", len(ready))
	}
	s.settled(t, 10)
	s.allAnswer(t, 10, 300)
	t.Logf("3 → 10, all ready: %.1f s", took.Seconds())
}

func (s story) invalidSettingsAreRejected(t *testing.T) {
	before := s.generations(t)
	s.set(t, map[string]string{"replicas": "ten", "replcas": "4"})
	out, err := s.tryUp(t)
	if err == nil {
		t.Fatalf("up succeeds:\n%s", out)
	}
	for _, want := range []string{`replicas ("ten") is not an integer`, `unknown key "replcas" in Pulumi.dev.yaml: did you mean "replicas"?`} {
		if !strings.Contains(out, want) {
			t.Errorf("up does not print %q but:\n%s", want, out)
		}
	}
	if after := s.generations(t); after != before {
		t.Errorf("generations of the objects went from %s to %s", before, after)
	}
}

func (s story) unreachableServerIsNamed(t *testing.T) {
	for _, key := range []string{"replicas", "replcas"} {
		s.pulumi(t, "config", "rm", "--stack=dev", key)
	}
	before := s.generations(t)
	// Something to build and push.
	s.renameAda(t, 3)
	registry := newRegistryWithLogin(t)
	s.set(t, map[string]string{"version": "v2.0"})
	for _, failure := range []struct {
		env        string
		key, value string
		want       string
	}{
		{key: "kubernetes:context", value: "sandbocks", want: "kubernetes:context (\"sandbocks\") is not in the kubeconfig: it has sandbox: choose one with `pulumi config set --stack dev kubernetes:context sandbox`"},
		{env: "KUBECONFIG=" + s.unreachableKubeconfig(t), want: "configured Kubernetes cluster is unreachable: "},
		{env: "DOCKER_HOST=unix:///nowhere.sock", want: "cannot reach the Docker engine at unix:///nowhere.sock"},
		{key: "image", value: registry + "/user-service", want: "push " + registry + "/user-service:v2.0: no basic auth credentials; no login for " + registry + " was found"},
	} {
		p := s
		if failure.env != "" {
			p = s.with(failure.env)
		}
		if failure.key != "" {
			s.set(t, map[string]string{failure.key: failure.value})
		}
		start := time.Now()
		out, err := p.tryPulumi(t.Context(), "up", "--stack=dev", "--yes")
		t.Logf("failed after %.1f s with: %s", time.Since(start).Seconds(), failure.want)
		if err == nil || !strings.Contains(out, failure.want) {
			t.Errorf("with %s%s %s up does not fail with %q but (%v):\n%s", failure.env, failure.key, failure.value, failure.want, err, out)
		}
		s.set(t, map[string]string{"kubernetes:context": "sandbox", "image": s.Image})
	}
	if after := s.generations(t); after != before {
		t.Errorf("generations of the objects went from %s to %s", before, after)
	}
	s.up(t) // everything is reachable again
}

func (s story) destroyLeavesNothing(t *testing.T) {
	s.pulumi(t, "destroy", "--stack=dev", "--yes")
	s.kubectl(t, "delete", "pod", "probe", "--now")
	if _, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool { return len(pods) == 0 }); err != nil {
		t.Errorf("pods are left: %v", err)
	}
	const kinds = "deployments,replicasets,services,endpointslices,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,secrets"
	// A Deployment goes when the garbage collector has seen its last pod go.
	if err := cluster.Poll(t.Context(), "what destroy leaves", podDeadline, func(context.Context) error {
		if out := s.kubectl(t, "get", kinds, "--output=name"); strings.TrimSpace(out) != "" {
			return errors.New(out)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
