package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// workflow is what the tests read of a workflow in .github/workflows.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Env         map[string]string
		Concurrency struct {
			CancelInProgress *bool `yaml:"cancel-in-progress"`
		}
		Steps []step
	}
}

type step struct {
	Uses, Run string
	With, Env map[string]string
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sandbox(t).Checkout, ".github", "workflows", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows (%v)", err)
	}
	all := map[string]workflow{}
	for _, file := range files {
		var w workflow
		readYAML(t, file, &w)
		all[filepath.Base(file)] = w
	}
	return all
}

func TestWorkflowsHaveFewPermissionsAndCancelNoUp(t *testing.T) {
	t.Parallel()
	for name, w := range workflows(t) {
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s: all jobs have the permissions %v", name, w.Permissions)
		}
		for _, job := range w.Jobs {
			for permission, level := range job.Permissions {
				if level == "write" && !slices.Contains([]string{"pull-requests", "issues", "id-token"}, permission) {
					t.Errorf("%s: a job may write %s", name, permission)
				}
			}
			for _, step := range job.Steps {
				if cancels := job.Concurrency.CancelInProgress; step.Run == releaseStep && (cancels == nil || *cancels) {
					t.Errorf("%s: a newer commit cancels an up", name)
				}
			}
		}
	}
}

func TestWorkflowsRunPinnedActions(t *testing.T) {
	t.Parallel()
	github := filepath.Join(sandbox(t).Checkout, ".github")
	files, err := filepath.Glob(filepath.Join(github, "*", "*", "action.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no actions (%v)", err)
	}
	var steps []step
	for _, file := range files {
		var action struct{ Runs struct{ Steps []step } }
		readYAML(t, file, &action)
		steps = append(steps, action.Runs.Steps...)
	}
	for _, w := range workflows(t) {
		for _, job := range w.Jobs {
			steps = append(steps, job.Steps...)
		}
	}
	goMod, err := os.ReadFile(filepath.Join(sandbox(t).Checkout, "sandbox/parts/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`^(\./.*|[\w-]+/[\w-]+@[0-9a-f]{40}|)$`)
	versions := 0
	for _, step := range steps {
		if !pinned.MatchString(step.Uses) {
			t.Errorf("%s is not pinned by its commit", step.Uses)
		}
		version, sets := step.With["pulumi-version"]
		if sets && !strings.Contains(string(goMod), "github.com/pulumi/pulumi/pkg/v3 v"+version+" ") {
			t.Errorf("Pulumi %s is not the version that the tests run", version)
		}
		if sets {
			versions++
		}
	}
	if versions != 1 {
		t.Errorf("the version of Pulumi is set %d times, want once", versions)
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// The commands of the workflows.
const (
	previewStep = `.ci/preview "$BASE" "$RUNNER_TEMP/comment.md"`
	commentStep = `.ci/comment preview "$RUNNER_TEMP/comment.md" "$PULL_REQUEST"`
	releaseStep = `.ci/release "$STACK"`
	driftStep   = `.ci/drift "$STACK"`
	reviewStep  = `if [[ $WANTED == true ]]; then .ci/review up "$PULL_REQUEST" "$RUNNER_TEMP/review.md"; else .ci/review down "$PULL_REQUEST"; fi`
)

func TestTheWorkflowsRunTheseCommands(t *testing.T) {
	t.Parallel()
	var commands []string
	for _, w := range workflows(t) {
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if step.Run != "" {
					commands = append(commands, step.Run)
				}
			}
		}
	}
	slices.Sort(commands)
	want := []string{
		commentStep, previewStep, releaseStep, driftStep, reviewStep, `.ci/comment review "$RUNNER_TEMP/review.md" "$PULL_REQUEST"`,
		"make unit", ".ci/kind", ".ci/tutorial kind-kind localhost:5001/user-service",
	}
	if slices.Sort(want); !slices.Equal(commands, want) {
		t.Fatalf("the workflows run %q, the tests below %q", commands, want)
	}
}

// TestOneCommentIsKeptUpToDate posts comments with a stand-in for gh, which answers like
// GitHub's API: first without a comment with the marker, then with two.
func TestOneCommentIsKeptUpToDate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"gh": `#!/bin/bash
set -eu
echo "$*" | sed 's/body=@.*//' >>calls
case "$*" in
*--paginate*issues/7/comments*startswith*user-service:\ preview*) [ ! -e posted ] || printf '41\n42\n' ;;
*--field\ body=@*) all=$*; cp "${all##*body=@}" posted ;;
*) echo "unexpected: gh $*" >&2; exit 1 ;;
esac
`,
		"short.md": "a first comment\n",
		"long.md":  "```diff\n" + strings.Repeat("+ a line of a comment that is far too long for GitHub\n", 2000) + "```\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, post := range []struct{ file, call, ends string }{
		{"short.md", "api --silent --method POST repos/acme/users/issues/7/comments --field ", "a first comment\n"},
		{"long.md", "api --silent --method PATCH repos/acme/users/issues/comments/41 --field ", "far too long for GitHub\n```\n\n… and more: see the log of the job.\n"},
	} {
		comment := exec.CommandContext(t.Context(), filepath.Join(sandbox(t).Checkout, ".ci", "comment"), "preview", post.file, "7")
		comment.Dir = folder
		comment.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "GITHUB_REPOSITORY=acme/users")
		if out, err := comment.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		calls, _ := os.ReadFile(filepath.Join(folder, "calls"))
		posted, _ := os.ReadFile(filepath.Join(folder, "posted"))
		if !strings.HasSuffix(string(calls), post.call+"\n") {
			t.Errorf("%s: gh was called with\n%swant %s last", post.file, calls, post.call)
		}
		if !strings.HasPrefix(string(posted), "<!-- user-service: preview -->\n") || !strings.HasSuffix(string(posted), post.ends) || len(posted) > 65_536 {
			t.Errorf("%s: posted %d bytes, ending in %q", post.file, len(posted), posted[max(0, len(posted)-100):])
		}
	}
}

// TestTheWorkflowsStepsRun previews a pull request with a stack on the sandbox.
func TestTheWorkflowsStepsRun(t *testing.T) {
	s, values, temp, _ := newPipeline(t, "workflows")
	// The other stack's state is elsewhere.
	if err := os.Remove(filepath.Join(s.Dir, "Pulumi.prod.yaml")); err != nil {
		t.Fatal(err)
	}
	s.commit(t, "base")
	s.set(t, map[string]string{"replicas": "2"})
	s.sh(t, "git branch --move main")

	t.Run("a preview whose golden files are not up to date", func(t *testing.T) {
		comment := s.step(t, values, temp, previewStep, 1)
		for _, text := range []string{"testdata/dev.yaml is not what the program declares", "run `make golden`"} {
			if !strings.Contains(comment, text) {
				t.Errorf("the comment does not have %q but:\n%s", text, comment)
			}
		}
	})
	t.Run("a preview of a program that does not compile", func(t *testing.T) {
		const good, bad = "image, err := m.newImage(ctx)", "image, err := m.newImag(ctx)"
		s.edit(t, "internal/microservice/microservice.go", good, bad)
		defer s.edit(t, "internal/microservice/microservice.go", bad, good)
		if comment := s.step(t, values, temp, previewStep, 1); !strings.Contains(comment, "m.newImag undefined") {
			t.Errorf("the comment does not name what is undefined but:\n%s", comment)
		}
	})
	t.Run("a preview", func(t *testing.T) {
		golden := func(message string) {
			s.run(t, ".build/preview", "-out", "testdata")
			s.commit(t, message)
		}
		golden("golden files")
		s.sh(t, "git switch --quiet --create=pull-request")
		s.set(t, map[string]string{"replicas": "4"})
		golden("four pods")
		s.sh(t, "git switch --quiet main")
		s.renameAda(t, 1)
		s.commit(t, "what others have merged meanwhile")
		s.sh(t, "git -c user.name=me -c user.email=me@example.com merge --quiet --no-edit pull-request")
		comment := s.step(t, values, temp, previewStep, 0)
		for text, want := range map[string]bool{
			"scales: user-service 4 pods, from user-service 2 pods": true, "builds: ": false,
			"pulumi preview --stack dev": true, "kubernetes:apps/v1:Deployment: (create)": true,
		} {
			if strings.Contains(comment, text) != want {
				t.Errorf("the comment has %q: %t, want %t:\n%s", text, !want, want, comment)
			}
		}
		t.Logf("the comment has %d bytes", len(comment))
	})
	if left, err := filepath.Glob(filepath.Join(temp, "tmp.*")); err != nil || len(left) > 0 {
		t.Errorf("kubeconfigs are left: %v (%v)", left, err)
	}
}

// step runs a command of a workflow, which must exit with a status, and returns the comment
// that it wrote.
func (s story) step(t *testing.T, values map[string]string, temp, command string, status int) string {
	t.Helper()
	s.onRunner(t, values, temp, command, status)
	comment, err := os.ReadFile(filepath.Join(temp, "comment.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(comment)
}

// onRunner runs a command of a workflow with the variables that its job and its step set,
// and no others, and returns its output. The values are those of GitHub.
func (s story) onRunner(t *testing.T, values map[string]string, temp, command string, status int) string {
	t.Helper()
	env := []string{"TMPDIR=" + temp, "RUNNER_TEMP=" + temp, "GITHUB_REPOSITORY=acme/users"}
	for _, variable := range s.env { // of the machine
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "PATH", "HOME", "DOCKER_HOST", "PULUMI_HOME", "GOCACHE", "GOMODCACHE", "GOFLAGS", "CGO_ENABLED", "GOPROXY",
			"PULUMI_SKIP_UPDATE_CHECK", "PULUMI_IGNORE_AMBIENT_PLUGINS":
			env = append(env, variable)
		}
	}
	for _, w := range workflows(t) {
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if step.Run != command {
					continue
				}
				for _, set := range []map[string]string{job.Env, step.Env} {
					for name, value := range set {
						if strings.Contains(value, "${{") {
							value = values[name] // GitHub's, or ""
						}
						env = append(env, name+"="+value)
					}
				}
			}
		}
	}
	s.env = env
	run := s.command(t.Context(), "bash", "-c", command)
	out, err := run.CombinedOutput()
	if got := run.ProcessState.ExitCode(); got != status {
		t.Errorf("%s exits with %d, want %d (%v):\n%s", command, got, status, err, out)
	}
	return string(out)
}
