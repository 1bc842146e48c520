package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"user-service/sandbox/internal/cluster"
)

// gh stands for GitHub's command. It notes how it is called, and answers with what is in
// the folder: the issue that is open, and the deployments of two commits.
const gh = `#!/bin/bash
cd "$(dirname "$0")"
echo "$*" >>calls
case "$*" in
"api repos/acme/users/deployments?environment=dev&"*) cat deployments ;;
"api repos/acme/users/deployments/1/statuses "*) echo true ;;
"api repos/acme/users/deployments/"*"/statuses "*) echo false ;;
"issue list "*) cat issue 2>/dev/null || true ;;
"issue create "*) echo 5 >issue ;;
"issue edit 5 "*) ;;
"issue close 5 "*) rm issue ;;
*) echo "unexpected: gh $*" >&2; exit 1 ;;
esac
`

// newPipeline is a story whose steps run as on GitHub, with gh in a folder.
func newPipeline(t *testing.T, namespace string, needs ...*turn) (s story, values map[string]string, temp, github string) {
	t.Helper()
	s = newParallelStory(t, namespace, needs...)
	kubeconfig, err := os.ReadFile(sandbox(t).Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	temp, github = t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(github, "gh"), []byte(gh), 0o755); err != nil {
		t.Fatal(err)
	}
	values = map[string]string{"KUBECONFIG_CONTENT": string(kubeconfig), "STACK": "dev", "PULUMI_ORGANIZATION": "organization", "GH_REPO": "acme/users"}
	for i, variable := range s.env {
		switch name, value, _ := strings.Cut(variable, "="); name {
		case "PATH":
			s.env[i] = "PATH=" + github + ":" + value
		case "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE":
			values[name] = value
		}
	}
	s.withPassphrase(t)
	s.compiledByPulumi(t)
	s.commit(t, "good")
	return s, values, temp, github
}

// TestAFailedReleaseIsTakenBack releases a good commit and then one that exits at start.
func TestAFailedReleaseIsTakenBack(t *testing.T) {
	s, values, temp, github := newPipeline(t, "back")
	s.onRunner(t, values, temp, releaseStep, 0)
	s.settled(t, 3)
	good, image := strings.TrimSpace(s.run(t, "git", "rev-parse", "HEAD")), s.image(t)
	s.edit(t, "app/main.go", "func main() {\n", "func main() {\n\tos.Exit(3)\n")
	s.set(t, map[string]string{"rolloutTimeout": "45"})
	s.commit(t, "bad")
	bad := strings.TrimSpace(s.run(t, "git", "rev-parse", "HEAD"))
	if err := os.WriteFile(filepath.Join(github, "deployments"), fmt.Appendf(nil, "3 %s\n2 %s\n1 %s\n", bad, bad, good), 0o644); err != nil {
		t.Fatal(err)
	}
	stop := s.loadFromTheNode(t)
	out := s.onRunner(t, values, temp, releaseStep, 1)
	for _, want := range []string{"exit code 3", "Stack dev runs " + good + " again, after "} {
		if !strings.Contains(out, want) {
			t.Errorf("the step does not print %q but:\n%s", want, out)
		}
	}
	s.settled(t, 3)
	if load := stop(); load.Failed > 0 || load.Requests == 0 {
		t.Errorf("of %d requests %d failed: %q", load.Requests, load.Failed, load.Errors)
	} else {
		t.Logf("%d requests meanwhile, none failed; %s", load.Requests, out[strings.LastIndex(out, "Stack dev runs"):])
	}
	if now := s.image(t); now != image {
		t.Errorf("the stack runs %s, want %s", now, image)
	}
}

// TestDriftIsAnIssue changes what is deployed by hand, and restores it.
func TestDriftIsAnIssue(t *testing.T) {
	s, values, temp, github := newPipeline(t, "drift")
	s.set(t, map[string]string{"replicas": "1"})
	s.deploy(t)
	for _, look := range []struct {
		change func()
		call   string
	}{
		{func() {}, "issue list"},
		{func() { s.kubectl(t, "delete", "poddisruptionbudget", "user-service-pdb") }, "issue create --title Stack dev is not what is declared --body The next `pulumi up` makes these changes:"},
		{func() {}, "issue edit 5 --body The next `pulumi up` makes these changes:"},
		{func() { s.deploy(t) }, "issue close 5"},
		{func() {
			s.kubectl(t, "patch", "service", "user-service", "--type=merge", `--patch={"spec": {"selector": {"track": "v2"}}}`)
		}, "issue create --title Stack dev is not what is declared"},
	} {
		look.change()
		s.onRunner(t, values, temp, driftStep, 0)
		calls, err := os.ReadFile(filepath.Join(github, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		if last := string(calls)[strings.LastIndex("\n"+string(calls), "\nissue"):]; !strings.HasPrefix(last, look.call) {
			t.Errorf("gh was called last with %q, want %q", last, look.call)
		}
	}
	values["KUBECONFIG_CONTENT"] = "{}"
	s.onRunner(t, values, temp, driftStep, 1)
}

// TestAReviewEnvironmentComesAndGoes gives one pull request a stack of its own, refuses a
// second one, and takes the first away.
func TestAReviewEnvironmentComesAndGoes(t *testing.T) {
	s, values, temp, _ := newPipeline(t, "review", edge)
	s.withHost(t)
	s.set(t, map[string]string{"replicas": "1"})
	values["REVIEW_MOST"], values["PULL_REQUEST"], values["WANTED"] = "1", "7", "true"
	for range 2 { // the second time on another runner, which does not have the stack's file
		s.onRunner(t, values, temp, reviewStep, 0)
		if err := os.Remove(filepath.Join(s.Dir, "Pulumi.pr-7.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	comment, err := os.ReadFile(filepath.Join(temp, "review.md"))
	// The up has reached the service there. It must not get requests for dev's host.
	if want := "runs at `http://pr-7.review.sandbox.test`"; err != nil || !strings.Contains(string(comment), want) {
		t.Errorf("the comment does not have %q (%v): %s", want, err, comment)
	}
	own := s
	own.Namespace = "pr-7"
	own.settled(t, 1)
	s.set(t, map[string]string{"replicas": "0"})
	s.onRunner(t, values, temp, reviewStep, 1)
	if comment, err := os.ReadFile(filepath.Join(temp, "review.md")); err != nil || !strings.Contains(string(comment), "could not be released") {
		t.Errorf("the comment does not report the failed release (%v): %s", err, comment)
	}
	s.set(t, map[string]string{"replicas": "1"})
	values["PULL_REQUEST"] = "8"
	if out := s.onRunner(t, values, temp, reviewStep, 1); !strings.Contains(out, "There are 1 review environments already (REVIEW_MOST): pr-7") {
		t.Errorf("a second one is not refused but:\n%s", out)
	}
	// A run that was cancelled has left the stack locked.
	locks := filepath.Join(strings.TrimPrefix(values["PULUMI_BACKEND_URL"], "file://"), ".pulumi", "locks", "organization", "user-service", "pr-7")
	if err := os.MkdirAll(locks, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(locks, "cancelled.json"), []byte(`{"pid": 1, "username": "runner", "hostname": "gone", "timestamp": "2026-01-01T00:00:00Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	values["PULL_REQUEST"], values["WANTED"] = "7", "false"
	s.onRunner(t, values, temp, reviewStep, 0)
	if left := s.run(t, "kubectl", "get", "namespaces", "--output=name") + s.pulumi(t, "stack", "ls"); strings.Contains(left, "pr-7") {
		t.Errorf("something of pr-7 is left:\n%s", left)
	}
	s.onRunner(t, values, temp, reviewStep, 0) // also if there is nothing to take away
}

// TestTheTutorialScriptRuns runs what the nightly workflow runs on kind.
func TestTheTutorialScriptRuns(t *testing.T) {
	s, _, _, _ := newPipeline(t, "nightly")
	out := s.run(t, ".ci/tutorial", "sandbox", s.Image, "goImage="+cluster.Registry+"/golang:1.26-alpine", "cpuRequest=20m")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "===") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestATagIsNeverMoved builds two contents in a row and pushes them to a registry that does
// not let a tag be moved. A clean-up of what has no tag then leaves both. With a version of
// the stack's own, the registry refuses the second content.
func TestATagIsNeverMoved(t *testing.T) {
	s := newParallelStory(t, "tags")
	registry := newRegistry(t, t.TempDir())
	server := httptest.NewServer(refuseToMoveTags(registry.address))
	t.Cleanup(server.Close)
	s.Image = strings.TrimPrefix(server.URL, "http://") + "/user-service"
	s.set(t, map[string]string{"image": s.Image})
	push := func(number int) (digest string, err error) {
		s.renameAda(t, number)
		_, err = s.tryUp(t, imageAlone...)
		return registryDigest(t, s.Image, s.tag(t)), err
	}
	first, err := push(1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := push(2)
	if err != nil || second == first {
		t.Fatalf("the second content has the digest %s, the first %s (%v)", second, first, err)
	}
	s.run(t, "docker-registry", "garbage-collect", "--delete-untagged", registry.config)
	for _, digest := range []string{first, second} {
		if got := registryDigest(t, s.Image, digest); got != digest {
			t.Errorf("after the clean-up, %s is %q", digest, got)
		}
	}
	s.set(t, map[string]string{"version": "v2"})
	if _, err := push(2); err != nil {
		t.Error(err)
	}
	if _, err := push(1); err == nil || !strings.Contains(err.Error(), "the tag v2 cannot be moved") {
		t.Errorf("a tag is moved: %v", err)
	}
}

// refuseToMoveTags passes requests on to a registry, except those that would move a tag.
func refuseToMoveTags(registry string) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: registry})
		r.Out.Host = r.In.Host // for the addresses in the answers
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			if response, err := http.Head("http://" + registry + r.URL.Path); err == nil && response.StatusCode == http.StatusOK {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"errors": [{"code": "TAG_INVALID", "message": "the tag %s cannot be moved"}]}`, path.Base(r.URL.Path))
				return
			}
		}
		proxy.ServeHTTP(w, r)
	})
}
