package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"user-service/sandbox/internal/cluster"
)

// podDeadline is how long pods may take to come and go: the drain, at most 30
// seconds, is the longest part of it.
const podDeadline = 2 * time.Minute

// story is a copy of the project on the sandbox, with a Pulumi state and a namespace
// of its own, so that nothing touches what the user deployed. Tests run the real
// pulumi and kubectl in it, as a user does.
type story struct {
	Dir       string
	Namespace string
	Image     string // its repository
	Service   string // its name
	Host      string // its name outside the cluster, if it has one

	env      []string
	cluster  kubernetes.Interface
	giveBack func() // its turn, before the test ends
}

// files are the project without tests and sandbox.
var files = []string{".ci", ".gitignore", "main.go", "go.mod", "go.sum", "internal", "app", "testdata", "tools", "Makefile", "Pulumi.yaml"}

// ownStory is the user's own project, with what its stack dev deployed.
func ownStory(t testing.TB) story {
	t.Helper()
	s := sandbox(t)
	if s.PID("kube-apiserver") == 0 {
		t.Fatal("the sandbox is not up: run `make up` first")
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1                                            // no limit: tests poll often
	config.ContentType = "application/vnd.kubernetes.protobuf" // which costs less than JSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	// Programs that run for seconds need not collect their garbage.
	return story{Dir: s.Checkout, Namespace: "default", Service: "user-service", env: append(s.Environ(t.Context()), "GOGC=off", "GOMEMLIMIT=1GiB"), cluster: client}
}

// newStory makes one with a new stack dev, and a namespace that is deleted after the test.
// Its state is what `pulumi stack init dev` makes, and its secrets' key is in the stack's file:
// with a passphrase (withPassphrase) each command would derive it in 0.3 s.
func newStory(t testing.TB, namespace string) story {
	t.Helper()
	start := time.Now()
	t.Cleanup(func() { lasted.Store(t.Name(), time.Since(start)) })
	s := ownStory(t)
	state, copied := t.TempDir(), t.TempDir()
	s.run(t, "cp", "--archive", fixture(t, "state")+"/.", state)
	s.run(t, "cp", slices.Concat([]string{"--archive", "--parents"}, files, []string{copied})...)
	s.Dir = copied
	// The user's own stack files may have any settings.
	s.run(t, "cp", fixture(t, "Pulumi.dev.yaml"), fixture(t, "Pulumi.prod.yaml"), ".")
	s.Namespace = namespace
	s.Image = cluster.Registry + "/" + namespace + "/user-service"
	s = s.with("PULUMI_BACKEND_URL=file://" + state)
	if err := os.Mkdir(filepath.Join(copied, ".build"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.useProgram(t, shipped(t))
	s.set(t, map[string]string{"namespace": namespace, "image": s.Image})
	t.Cleanup(func() { s.removeNamespace(t) })
	return s
}

// withPassphrase has the stack's secrets encrypted with a passphrase, as a user's are.
func (s story) withPassphrase(t testing.TB) story {
	t.Helper()
	s.pulumi(t, "stack", "change-secrets-provider", "passphrase", "--stack=dev")
	return s
}

// fixture is the path of a file or folder that tests deploy.
func fixture(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(sandbox(t).Checkout, "sandbox", "e2e", "testdata", name)
}

// turn is something that only a number of tests may use at a time.
type turn struct {
	left     int
	reserved int // for tests that go first
}

var (
	// busy is most of the machine's CPU, and logins a good part of it.
	busy, logins = &turn{left: 1}, &turn{left: 1}
	// metrics is a share of the cluster's metrics API. A test that removes it takes all.
	metrics    = &turn{left: 3}
	allMetrics = []*turn{metrics, metrics, metrics}
	// edge is a share of what passes requests on from outside. A test that restarts it takes all.
	edge    = &turn{left: 2}
	allEdge = []*turn{edge, edge}
	// prometheus is a share of it. A test that stops it takes all.
	prometheus    = &turn{left: 3}
	allPrometheus = []*turn{prometheus, prometheus, prometheus}
	// waiting is for tests that mostly wait.
	waiting = &turn{left: 7}

	turns = sync.NewCond(new(sync.Mutex))
)

// take waits until all that the test needs is free, and not reserved, so that no test
// holds one turn while it waits for another. Its turns end with the test.
func take(t *testing.T, needs ...*turn) (giveBack func()) {
	t.Helper()
	reserved := func(need *turn) bool { return need.reserved > 0 }
	return hold(t, needs, func() bool { return !slices.ContainsFunc(needs, reserved) && change(needs, -1) })
}

// takeFirst is t.Parallel and take for a test that is long, or that many wait for: others
// leave it its turns. It takes none before t.Parallel: it would hold them there until the
// last test has started.
func takeFirst(t *testing.T, needs ...*turn) (giveBack func()) {
	t.Helper()
	reserve := func(by int) {
		for _, need := range needs {
			need.reserved += by
		}
	}
	turns.L.Lock()
	reserve(1)
	turns.L.Unlock()
	t.Parallel()
	return hold(t, needs, func() bool {
		taken := change(needs, -1)
		if taken {
			reserve(-1)
		}
		return taken
	})
}

// hold waits until taken. The turns end with the test, or are given back before.
func hold(t *testing.T, needs []*turn, taken func() bool) (giveBack func()) {
	t.Helper()
	turns.L.Lock()
	defer turns.L.Unlock()
	start := time.Now()
	for !taken() {
		turns.Wait()
	}
	turns.Broadcast()
	giveBack = sync.OnceFunc(func() {
		turns.L.Lock()
		defer turns.L.Unlock()
		change(needs, 1)
		turns.Broadcast()
	})
	t.Cleanup(giveBack)
	t.Logf("waited %.0f s for its turn", time.Since(start).Seconds())
	return giveBack
}

// change takes turns or gives them back: all of them, or none if too few are left.
func change(needs []*turn, by int) bool {
	for _, need := range needs {
		need.left += by
	}
	if slices.ContainsFunc(needs, func(need *turn) bool { return need.left < 0 }) {
		return !change(needs, -by)
	}
	return true
}

// newParallelStory makes one for a test that mostly waits: its pods request little CPU,
// so that those of other tests fit on the node.
func newParallelStory(t *testing.T, namespace string, needs ...*turn) story {
	t.Helper()
	t.Parallel()
	giveBack := take(t, append(needs, waiting)...)
	s := newSmallStory(t, namespace)
	s.giveBack = giveBack
	return s
}

// newLongStory is newParallelStory for a test that is one of the first.
func newLongStory(t *testing.T, namespace string, needs ...*turn) story {
	t.Helper()
	giveBack := takeFirst(t, append(needs, waiting)...)
	s := newSmallStory(t, namespace)
	s.giveBack = giveBack
	return s
}

func newSmallStory(t *testing.T, namespace string) story {
	t.Helper()
	s := newStory(t, namespace)
	s.set(t, map[string]string{"cpuRequest": "20m"})
	return s
}

// with is the story with other environment variables.
func (s story) with(env ...string) story {
	s.env = append(slices.Clone(s.env), env...)
	return s
}

// command returns a command that runs in the copy.
func (s story) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	// The sandbox's programs are on the story's PATH, not on this process's.
	cmd := exec.CommandContext(ctx, "env", append([]string{program}, args...)...)
	cmd.Dir, cmd.Env = s.Dir, s.env
	return cmd
}

// try runs a command in the copy and returns its output.
func (s story) try(ctx context.Context, program string, args ...string) (string, error) {
	out, err := s.command(ctx, program, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// run runs a command in the copy, which must succeed, and returns its output.
func (s story) run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := s.try(t.Context(), program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryPulumi runs a pulumi command and returns its output.
func (s story) tryPulumi(ctx context.Context, args ...string) (string, error) {
	return s.try(ctx, "pulumi", append(args, "--non-interactive", "--color=never")...)
}

// pulumi is tryPulumi for a command that must succeed.
func (s story) pulumi(t testing.TB, args ...string) string {
	t.Helper()
	return s.run(t, "pulumi", append(args, "--non-interactive", "--color=never")...)
}

// kubectl runs a kubectl command in the story's namespace, which must succeed.
func (s story) kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return s.run(t, "kubectl", append([]string{"--namespace=" + s.Namespace}, args...)...)
}

// tryUp runs pulumi up, as a user does with a preview first, and returns its
// output.
func (s story) tryUp(t testing.TB, args ...string) (string, error) {
	t.Helper()
	return s.tryPulumi(t.Context(), append([]string{"up", "--stack=dev", "--yes"}, args...)...)
}

// up runs pulumi up, which must succeed, and returns how long it took.
func (s story) up(t testing.TB, args ...string) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := s.tryUp(t, args...); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// imageAlone are flags of an up that only builds and pushes the image.
var imageAlone = []string{"--skip-preview", "--target=**::microservice:index:Microservice::user-service", "--target=**::user-service-image"}

// deploy is up without its preview, for tests of what comes after it.
func (s story) deploy(t testing.TB) {
	t.Helper()
	s.up(t, "--skip-preview")
}

// shipped is the program that `make e2e` has compiled.
func shipped(t testing.TB) string {
	t.Helper()
	return filepath.Join(sandbox(t).Checkout, ".build", "program")
}

// useProgram has the story run a program that is compiled already, which is shared. If
// Pulumi checked that its source is the story's, every preview and up would take half as
// long again.
func (s story) useProgram(t testing.TB, program string) {
	t.Helper()
	s.sh(t, "ln --force "+program+" .build/program || cp --remove-destination "+program+" .build/program; sed -i 's/buildTarget: /binary: /' Pulumi.yaml")
}

// compiledByPulumi has Pulumi compile the program, as the project's own Pulumi.yaml
// does. The go command puts a new file in the place of the shared one.
func (s story) compiledByPulumi(t testing.TB) {
	t.Helper()
	s.sh(t, "sed -i 's/binary: /buildTarget: /' Pulumi.yaml")
}

// compile compiles the edited program once, instead of Pulumi at each preview and up.
func (s story) compile(t testing.TB) {
	t.Helper()
	s.run(t, "go", "build", "-o", ".build/program", ".")
	s.sh(t, "sed -i 's/buildTarget: /binary: /' Pulumi.yaml")
}

// staysAsDeclared checks that a preview has no changes.
func (s story) staysAsDeclared(t testing.TB) {
	t.Helper()
	if _, err := s.tryPulumi(t.Context(), "preview", "--stack=dev", "--expect-no-changes"); err != nil {
		t.Error(err)
	}
}

// set sets keys of stack dev's configuration, in its file: `pulumi config set`, which some
// tests run, takes most of a second on a busy machine.
func (s story) set(t testing.TB, settings map[string]string) {
	t.Helper()
	file := filepath.Join(s.Dir, "Pulumi.dev.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stack map[string]any
	if err := yaml.Unmarshal(content, &stack); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for key, value := range settings {
		if !strings.Contains(key, ":") {
			key = "user-service:" + key
		}
		stack["config"].(map[string]any)[key] = value
	}
	if content, err = yaml.Marshal(stack); err == nil {
		err = os.WriteFile(file, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// image is the stack's output image.
func (s story) image(t testing.TB) string {
	t.Helper()
	return strings.TrimSpace(s.pulumi(t, "stack", "output", "--stack=dev", "image"))
}

// commit makes the copy a git repository and commits all its files.
func (s story) commit(t testing.TB, message string) {
	t.Helper()
	s.sh(t, "git init --quiet && git add --all && git -c user.name=me -c user.email=me@example.com commit --quiet --message='"+message+"'")
}

// pods returns the service's pods, terminating ones included; there must be some.
func (s story) pods(t testing.TB) []corev1.Pod {
	t.Helper()
	pods, err := s.tryPods(t.Context())
	if err == nil && len(pods) == 0 {
		err = errors.New("there are no pods")
	}
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

func (s story) tryPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := s.cluster.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + s.Service})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// readyPods returns the pods that are ready and not terminating.
func readyPods(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
}

// waitForPods waits until good returns true for the pods, and returns them and how
// long it took. The error has the last state of the pods.
func (s story) waitForPods(ctx context.Context, timeout time.Duration, good func([]corev1.Pod) bool) (pods []corev1.Pod, took time.Duration, err error) {
	start := time.Now()
	err = cluster.Poll(ctx, "pods", timeout, func(ctx context.Context) error {
		if pods, err = s.tryPods(ctx); err != nil || good(pods) {
			return err
		}
		return fmt.Errorf("%d pods: %s", len(pods), describe(pods))
	})
	return pods, time.Since(start), err
}

// describe returns what a test may wait for, for each pod.
func describe(pods []corev1.Pod) string {
	var all []string
	for _, pod := range pods {
		state := "not ready"
		if len(readyPods([]corev1.Pod{pod})) > 0 {
			state = "ready"
		} else if pod.DeletionTimestamp != nil {
			state = "terminating"
		}
		all = append(all, fmt.Sprintf("%s %s, %s, %d restarts", pod.Name, pod.Status.Phase, state, restarts(pod)))
	}
	return strings.Join(all, "; ")
}

// restarts is the number of restarts of all of a pod's containers.
func restarts(pod corev1.Pod) (count int) {
	for _, status := range pod.Status.ContainerStatuses {
		count += int(status.RestartCount)
	}
	return count
}

// sh runs a line of shell in the project.
func (s story) sh(t testing.TB, line string) {
	t.Helper()
	s.run(t, "sh", "-c", line)
}

// renameAda changes the source, for a release. Tests that rename to the same number share
// the layer, which is compiled once.
func (s story) renameAda(t testing.TB, number int) {
	t.Helper()
	s.rewrite(t, "app/users.json", ada(number))
}

// ada edits a list of users like renameAda.
func ada(number int) func(source string) string {
	return func(source string) string {
		return regexp.MustCompile(`"Ada[^"]*"`).ReplaceAllString(source, fmt.Sprintf(`"Ada %d"`, number))
	}
}

// edit replaces a text in a file of the project, which must have it.
func (s story) edit(t testing.TB, name, old, new string) {
	t.Helper()
	s.rewrite(t, name, func(content string) string {
		if !strings.Contains(content, old) {
			t.Fatalf("%s has no %q", name, old)
		}
		return strings.Replace(content, old, new, 1)
	})
}

// rewrite replaces a file of the project by an edited one.
func (s story) rewrite(t testing.TB, name string, edit func(string) string) {
	t.Helper()
	if strings.HasPrefix(name, "internal/") {
		s.compiledByPulumi(t)
	}
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

// generations shows how often the spec of each declared object has changed.
func (s story) generations(t testing.TB) string {
	t.Helper()
	return s.kubectl(t, "get", "deployments,horizontalpodautoscalers,services", "--output",
		`jsonpath={range .items[*]}{.kind} {.metadata.uid} {.metadata.generation} {.spec.replicas}; {end}`)
}

// settled waits until that many pods are ready and there are no others.
func (s story) settled(t testing.TB, count int) {
	t.Helper()
	if _, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool {
		return len(pods) == count && len(readyPods(pods)) == count
	}); err != nil {
		t.Fatalf("%d ready pods and no others: %v", count, err)
	}
}

// serve waits until that many pods are ready, and all others are terminating.
func (s story) serve(t testing.TB, count int) {
	t.Helper()
	if _, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool {
		return len(readyPods(pods)) == count && len(staying(pods)) == count
	}); err != nil {
		t.Fatalf("%d ready pods and no others but terminating ones: %v", count, err)
	}
}

// staying returns the pods that are not terminating.
func staying(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// allAnswer sends requests, none of which may fail, until each pod has answered one:
// kube-proxy adds a pod a moment after it is ready.
func (s story) allAnswer(t testing.TB, pods, requests int) {
	t.Helper()
	start := time.Now()
	for {
		answer := s.ask(t, "http://"+s.Service+"/users", requests)
		if answer.Statuses[http.StatusOK] != requests {
			t.Fatalf("%d requests: statuses %v, errors %q; want all 200", requests, answer.Statuses, answer.Errors)
		}
		if len(answer.Pods) == pods {
			t.Logf("%d requests, %.1f s after the pods were ready, answers per pod: %v", requests, time.Since(start).Seconds(), answer.Pods)
			return
		}
		if time.Since(start) > time.Minute { // kube-proxy may need two attempts, 30 s apart
			t.Fatalf("%d requests, a minute after the pods were ready, were answered by %v; want %d pods", requests, answer.Pods, pods)
		}
	}
}

func names(pods []corev1.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Name)
	}
	slices.Sort(all)
	return all
}

// write writes a file at a path relative to the copy's folder.
func (s story) write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, path), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
