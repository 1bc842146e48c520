// Package e2e tells the tutorial's story as tests: the real pulumi, a real
// registry, a real cluster. Each subtest is one of its sentences, and prints the
// figures it saw. They build on each other, in order.
//
// Tests that break something which all stacks share, or that count on the machine's
// whole CPU, run one after the other; those that mostly wait run beside each other.
package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// podDeadline is how long pods may take to come and go: the drain, at most 30
// seconds, is the longest part of it.
const podDeadline = 2 * time.Minute

// story is a copy of the project on the sandbox.
type story struct{ *project.Project }

// newStory makes one with a namespace of its own, which goes with the test.
func newStory(t *testing.T, namespace string) story {
	t.Helper()
	p, err := project.Copy(t.Context(), t.TempDir(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	s := story{p}
	t.Cleanup(func() { s.removeNamespace(t) })
	return s
}

// newStoryBesideOthers makes one of a test that runs beside others: its pods leave
// them room on the node.
func newStoryBesideOthers(t *testing.T, namespace string) story {
	t.Helper()
	t.Parallel()
	s := newStory(t, namespace)
	s.set(t, map[string]string{"cpuRequest": "10m"})
	return s
}

func TestTutorial(t *testing.T) {
	t.Parallel()
	s := newStory(t, "tutorial")
	t.Logf("pulumi up from nothing: %.1f s", s.up(t).Seconds())
	s.startProbe(t)

	for _, sentence := range []struct {
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
		{"bad settings are refused before anything is touched", story.badSettingsAreRefused},
		{"what is out of reach is named", story.outOfReachIsNamed},
		{"destroy leaves nothing behind", story.destroyLeavesNothing},
	} {
		if !t.Run(sentence.name, func(t *testing.T) { sentence.test(s, t) }) {
			t.Fatal("the rest of the story builds on this")
		}
	}
}

func (s story) runsTheDigest(t *testing.T) {
	image := s.image(t)
	repository, digest, found := strings.Cut(image, "@")
	if !found || repository != s.Image || !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("the output image is %q, want %s@sha256:…", image, s.Image)
	}
	if got := registryDigest(t, s.Image, "v1.0"); got != digest {
		t.Errorf("the registry has %s under the tag, the stack's output is %s", got, digest)
	}
	for _, pod := range s.pods(t) {
		if pod.Image != image || !strings.HasSuffix(pod.ImageID, digest) {
			t.Errorf("pod %s is declared as %s and runs %s, want %s", pod.Name, pod.Image, pod.ImageID, image)
		}
	}
	size, err := s.Run(t.Context(), "docker", "image", "inspect", "--format={{.Size}}", s.Image+":v1.0")
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.Atoi(strings.TrimSpace(size))
	if err != nil || bytes > 15e6 {
		t.Errorf("the image has %s bytes, want at most 15 MB (%v)", size, err)
	}
	t.Logf("%s, %.1f MB, %.1f MB in the registry", image, float64(bytes)/1e6, float64(totalSize(registryLayers(t, s.Image, digest)))/1e6)
}

// sameSourceSameLayer builds a second copy, as another user on another day might
// have it: in another folder, under another umask, with other file times and
// without the first build's cache.
func (s story) sameSourceSameLayer(t *testing.T) {
	if !strings.HasPrefix(os.Getenv("DOCKER_HOST"), "unix:///run/user-service-sandbox/") {
		t.Log("not tried: it would empty the cache of an engine that is not the sandbox's")
		return
	}
	elsewhere := newStory(t, "elsewhere")
	for _, command := range []string{
		"chmod -R go= app",
		"find app -exec touch --date=2001-02-03 {} +",
		"docker builder prune --all --force",
	} {
		if _, err := elsewhere.Run(t.Context(), "sh", "-c", command); err != nil {
			t.Fatal(err)
		}
	}
	took := elsewhere.up(t, "--target=urn:pulumi:dev::user-service::docker:index/image:Image::image")
	here, there := registryLayers(t, s.Image, "v1.0"), registryLayers(t, elsewhere.Image, "v1.0")
	if !slices.Equal(here, there) {
		t.Errorf("the layers are %v here and %v there", here, there)
	}
	t.Logf("%d layer, %s, built anew in %.1f s", len(here), here[0].Digest, took.Seconds())
}

func (s story) threeReady(t *testing.T) {
	if ready := project.Ready(s.pods(t)); len(ready) != 3 {
		t.Fatalf("%d pods are ready after up, want 3: %+v", len(ready), ready)
	}
}

func (s story) killedPodIsReplaced(t *testing.T) {
	victim := s.pods(t)[0].Name
	s.kubectl(t, "delete", "pod", victim, "--wait=false")
	_, took, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool {
		ready := project.Ready(pods)
		return len(ready) == 3 && !slices.ContainsFunc(ready, func(p project.Pod) bool { return p.Name == victim })
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
	// Written anew with other times and, in its place in the folder, the same lines.
	s.editSource(t, func(source string) string { return source })
	// What is no part of the image.
	s.edit(t, "app/users_test.go", "package main\n", "package main\n\n// A test more.\n")
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
	s.editSource(t, func(source string) string {
		return strings.Replace(source, "Ada Lovelace", "Augusta Ada King", 1)
	})
	took := s.up(t)
	after := project.Ready(s.pods(t))
	if slices.ContainsFunc(names(after), func(name string) bool { return slices.Contains(before, name) }) || len(after) != 3 {
		t.Errorf("ready pods went from %v to %v, want three others", before, names(after))
	}
	if now := s.image(t); now == digest {
		t.Errorf("the image is still %s", now)
	}
	if answer := s.ask(t, "http://user-service/users", 10); !strings.Contains(answer.Body, "Augusta Ada King") {
		t.Errorf("the service does not serve the change: %+v", answer)
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
	if _, err := s.Run(t.Context(), "git", "checkout", "--quiet", "HEAD~1"); err != nil {
		t.Fatal(err)
	}
	s.up(t)
	if now := s.image(t); now != good {
		t.Errorf("the image is %s, that of this commit was %s", now, good)
	}
	t.Logf("%.1f s", time.Since(start).Seconds())
}

func (s story) tenReplicas(t *testing.T) {
	s.set(t, map[string]string{"replicas": "10"})
	took := s.up(t)
	if ready := project.Ready(s.pods(t)); len(ready) != 10 {
		t.Errorf("%d pods are ready after up, want 10", len(ready))
	}
	s.settled(t, 10)
	s.allAnswer(t, 10, 300)
	t.Logf("3 → 10, all ready: %.1f s", took.Seconds())
}

func (s story) badSettingsAreRefused(t *testing.T) {
	before := s.generations(t)
	s.set(t, map[string]string{"replicas": "ten", "replcas": "4"})
	out, err := s.tryUp(t)
	if err == nil {
		t.Fatalf("up accepts them:\n%s", out)
	}
	for _, want := range []string{`replicas ("ten") is not a whole number`, `unknown key "replcas" in Pulumi.dev.yaml: did you mean "replicas"?`} {
		if !strings.Contains(out, want) {
			t.Errorf("up does not say %q but:\n%s", want, out)
		}
	}
	if after := s.generations(t); after != before {
		t.Errorf("generations of the objects went from %s to %s", before, after)
	}
}

func (s story) outOfReachIsNamed(t *testing.T) {
	for _, key := range []string{"replicas", "replcas"} {
		if _, err := s.Pulumi(t.Context(), "config", "rm", "--stack=dev", key); err != nil {
			t.Fatal(err)
		}
	}
	before := s.generations(t)
	// Something to build and push.
	s.editSource(t, func(source string) string {
		return strings.Replace(source, "Augusta Ada King", "Countess of Lovelace", 1)
	})
	registry := refusingRegistry(t)
	for _, fault := range []struct {
		env        string
		key, value string
		want       string
	}{
		{key: "kubernetes:context", value: "sandbocks", want: "kubernetes:context (\"sandbocks\") is not in the kubeconfig: it has sandbox: choose one with `pulumi config set kubernetes:context sandbox`"},
		{env: "KUBECONFIG=" + s.kubeconfigOfNobody(t), want: `the cluster of kubernetes:context ("sandbox") does not answer`},
		{env: "DOCKER_HOST=unix:///nowhere.sock", want: "cannot reach the Docker engine at unix:///nowhere.sock"},
		{key: "image", value: registry + "/user-service", want: "push " + registry + "/user-service:v1.0: no basic auth credentials; no login for " + registry + " was found"},
	} {
		p := s.Project
		if fault.env != "" {
			p = p.With(fault.env)
		}
		if fault.key != "" {
			s.set(t, map[string]string{fault.key: fault.value})
		}
		start := time.Now()
		out, err := p.Pulumi(t.Context(), "up", "--stack=dev", "--yes", "--skip-preview")
		t.Logf("%5.1f s until it says: %s", time.Since(start).Seconds(), fault.want)
		if err == nil || !strings.Contains(out, fault.want) {
			t.Errorf("with %s%s %s up does not end in %q but (%v):\n%s", fault.env, fault.key, fault.value, fault.want, err, out)
		}
		s.set(t, map[string]string{"kubernetes:context": "sandbox", "image": s.Image})
	}
	if after := s.generations(t); after != before {
		t.Errorf("generations of the objects went from %s to %s", before, after)
	}
	s.up(t) // with all in reach
}

func (s story) destroyLeavesNothing(t *testing.T) {
	if _, err := s.Pulumi(t.Context(), "destroy", "--stack=dev", "--yes", "--skip-preview"); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "delete", "pod", "probe", "--now")
	if _, _, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool { return len(pods) == 0 }); err != nil {
		t.Errorf("pods are left: %v", err)
	}
	const kinds = "deployments,replicasets,services,endpointslices,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,secrets"
	if out := s.kubectl(t, "get", kinds, "--output=name"); strings.TrimSpace(out) != "" {
		t.Errorf("destroy left:\n%s", out)
	}
}

func (s story) startProbe(t *testing.T) {
	t.Helper()
	if err := s.StartProbe(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// up runs pulumi up, which must succeed.
func (s story) up(t *testing.T, args ...string) time.Duration {
	t.Helper()
	took, err := s.Up(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// set sets keys of stack dev's configuration.
func (s story) set(t *testing.T, settings map[string]string) {
	t.Helper()
	for key, value := range settings {
		if err := s.Set(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
}

// image is what the stack says that it runs.
func (s story) image(t *testing.T) string {
	t.Helper()
	image, err := s.Output(t.Context(), "image")
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// editSource rewrites the service's list of users.
func (s story) editSource(t *testing.T, edit func(string) string) {
	t.Helper()
	s.rewrite(t, "app/users.json", edit)
}

// edit replaces a text, which must be there, in a file of the project.
func (s story) edit(t *testing.T, name, old, new string) {
	t.Helper()
	s.rewrite(t, name, func(content string) string {
		if !strings.Contains(content, old) {
			t.Fatalf("%s has no %q", name, old)
		}
		return strings.Replace(content, old, new, 1)
	})
}

// rewrite writes a file of the project anew.
func (s story) rewrite(t *testing.T, name string, edit func(string) string) {
	t.Helper()
	file := filepath.Join(s.Dir, name)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(edit(string(content))), 0o644); err != nil {
		t.Fatal(err)
	}
}

// generations tells how often each declared object's spec has changed.
func (s story) generations(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployments,horizontalpodautoscalers,services", "--output",
		`jsonpath={range .items[*]}{.kind} {.metadata.uid} {.metadata.generation} {.spec.replicas}; {end}`)
}

// settled waits until as many pods are ready and none is on its way out.
func (s story) settled(t *testing.T, count int) {
	t.Helper()
	if _, _, err := s.WaitForPods(t.Context(), podDeadline, func(pods []project.Pod) bool {
		return len(pods) == count && len(project.Ready(pods)) == count
	}); err != nil {
		t.Fatalf("%d ready pods and no others: %v", count, err)
	}
}

// allAnswer asks the service, without one failure, until each of its pods has
// answered: kube-proxy learns of a pod a moment after it is ready.
func (s story) allAnswer(t *testing.T, pods, requests int) {
	t.Helper()
	start := time.Now()
	for {
		answer := s.ask(t, "http://user-service/users", requests)
		if answer.Statuses[http.StatusOK] != requests {
			t.Fatalf("%d requests: statuses %v, errors %q; want all 200", requests, answer.Statuses, answer.Errors)
		}
		if len(answer.Pods) == pods {
			t.Logf("%d requests, %.1f s after the pods were ready, answers per pod: %v", requests, time.Since(start).Seconds(), answer.Pods)
			return
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("%d requests, 30 s after the pods were ready, were answered by %v, want %d pods", requests, answer.Pods, pods)
		}
	}
}

// ask asks a URL from inside the cluster.
func (s story) ask(t *testing.T, url string, count int) project.Answers {
	t.Helper()
	answers, err := s.Ask(t.Context(), url, count)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func (s story) pods(t *testing.T) []project.Pod {
	t.Helper()
	pods, err := s.Pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(pods) == 0 {
		t.Fatal("there are no pods")
	}
	return pods
}

func (s story) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(pods []project.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Name)
	}
	slices.Sort(all)
	return all
}
