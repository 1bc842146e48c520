package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"user-service/sandbox/internal/cluster"
)

// sandbox is the one that the tests run on.
func sandbox(t testing.TB) cluster.Sandbox {
	t.Helper()
	s, err := cluster.Find()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kill ends one of the sandbox's daemons with SIGKILL, like a crash.
func kill(t *testing.T, daemon string) {
	t.Helper()
	pid := sandbox(t).PID(daemon)
	if pid == 0 {
		t.Fatalf("%s does not run", daemon)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s, process %d: %v", daemon, pid, err)
	}
}

// bringUp starts the daemons of the sandbox that do not run.
func bringUp(t *testing.T) {
	t.Helper()
	if err := startDaemons("up"); err != nil {
		t.Fatal(err)
	}
}

// duringTests ends when all tests have ended.
var duringTests, endTests = context.WithCancel(context.Background())

// compileAddons compiles what `make edge` and `make monitoring` start, once.
var compileAddons = sync.OnceValue(func() error {
	s, err := cluster.Find()
	if err != nil {
		return err
	}
	return s.CompileAddons(duringTests)
})

// lasted has how long tests took, by name, without their waits for a turn.
var lasted sync.Map

func printLongest() {
	all := map[string]time.Duration{}
	lasted.Range(func(name, took any) bool { all[name.(string)] = took.(time.Duration); return true })
	longest := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Compare(all[b], all[a]) })
	if len(longest) < 2 {
		return
	}
	fmt.Println("The longest tests, without their waits for a turn:")
	for _, name := range longest[:min(15, len(longest))] {
		fmt.Printf("%5.0f s  %s\n", all[name].Seconds(), name)
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	printLongest()
	endTests()
	_ = compileAddons() // returns once its compilers have exited, in a run that needs none too
	os.Exit(code)
}

// starting is held while one of the sandbox's commands runs: it refuses a second one.
var starting sync.Mutex

// startDaemons starts the daemons of one of the sandbox's commands, unless they run. It has no
// context, because it is also the clean-up of what a test killed.
func startDaemons(command string) error {
	if command != "up" {
		if err := compileAddons(); err != nil {
			return err
		}
	}
	starting.Lock()
	defer starting.Unlock()
	s, err := cluster.Find()
	if err != nil {
		return err
	}
	run := exec.Command(s.Path("sandbox"), command)
	run.Dir = s.Checkout
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", command, err, out)
	}
	return nil
}

// removeNamespace removes everything that the story deployed. It does not wait: every
// story has a namespace of its own.
func (s story) removeNamespace(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), podDeadline)
	defer cancel()
	if _, err := s.try(ctx, "kubectl", "delete", "namespace", s.Namespace, "--ignore-not-found", "--wait=false"); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// newRegistryWithLogin starts a registry that requires a login, and returns its host.
func newRegistryWithLogin(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Www-Authenticate", `Basic realm="users only"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}`)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// unreachableKubeconfig is the sandbox's kubeconfig with a port on which nothing listens.
func (s story) unreachableKubeconfig(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(sandbox(t).Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	unreachable := strings.Replace(string(content), ":6443", ":6444", 1)
	if err := os.WriteFile(file, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// processOfPod returns the process of a pod's container. It is found by the pod's name
// in its environment: Kubernetes sets HOSTNAME to it.
func processOfPod(t *testing.T, s story, pod string) string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		environ, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(environ), "\x00HOSTNAME="+pod+"\x00") {
			return strings.Split(file, "/")[2]
		}
	}
	t.Fatalf("no process has HOSTNAME=%s; pods: %+v", pod, s.pods(t))
	return ""
}

// tag is that of the story's image, which names its content.
func (s story) tag(t *testing.T) string {
	t.Helper()
	var state struct {
		Deployment struct {
			Resources []struct{ Outputs struct{ ImageName string } }
		}
	}
	if err := json.Unmarshal([]byte(s.pulumi(t, "stack", "export", "--stack=dev")), &state); err != nil {
		t.Fatal(err)
	}
	for _, resource := range state.Deployment.Resources {
		if tag, found := strings.CutPrefix(resource.Outputs.ImageName, s.Image+":"); found {
			return tag
		}
	}
	t.Fatalf("the state has no image of %s", s.Image)
	return ""
}

// registryDigest returns the digest of a tag in the registry.
func registryDigest(t *testing.T, repository, tag string) string {
	t.Helper()
	return registryGet(t, repository, "manifests/"+tag, nil).Get("Docker-Content-Digest")
}

// layer is one layer of an image, as the registry stores it: compressed.
type layer struct {
	Digest string
	Size   int64
}

// registryLayers returns the layers of an image in the registry, by tag or digest.
func registryLayers(t *testing.T, repository, reference string) []layer {
	t.Helper()
	var manifest struct{ Layers []layer }
	registryGet(t, repository, "manifests/"+reference, &manifest)
	return manifest.Layers
}

// totalSize is about how many bytes a pull of the layers transfers.
func totalSize(layers []layer) int64 {
	var size int64
	for _, l := range layers {
		size += l.Size
	}
	return size
}

// registryGet gets a part of a repository from the registry, decodes its JSON into
// result unless that is nil, and returns the answer's headers.
func registryGet(t *testing.T, repository, part string, result any) http.Header {
	t.Helper()
	registry, path, _ := strings.Cut(repository, "/")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+registry+"/v2/"+path+"/"+part, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the registry answers %s for %s of %s", response.Status, part, repository)
	}
	if result != nil {
		if err := json.NewDecoder(response.Body).Decode(result); err != nil {
			t.Fatal(err)
		}
	}
	return response.Header
}
