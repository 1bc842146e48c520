package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"user-service/sandbox/internal/cluster"
)

// TestFailuresAroundARelease kills what a release needs, in the middle of one.
func TestFailuresAroundARelease(t *testing.T) {
	go compileAddons() // while these tests mostly wait, for later ones
	s := newStory(t, "failures")
	s.set(t, map[string]string{"cpuRequest": "20m"})
	s.deploy(t)
	for _, f := range []failure{
		{
			name: "the Docker engine is killed during the build",
			up: func(t *testing.T) (string, error) {
				if sandbox(t).PID("dockerd") == 0 {
					t.Skip("the Docker engine is the machine's own, which a test may not kill")
				}
				return s.upUntil(t, compiling, func(*os.Process) { kill(t, "dockerd") })
			},
			want: []string{"lost the connection to the Docker engine"},
			fix:  bringUp,
			next: [][]string{{"up"}},
		},
		{
			// As by a crash of the machine, but for the kubelet: at its start, ready pods get unready.
			name: "all daemons but the kubelet are killed during the rollout",
			up: func(t *testing.T) (string, error) {
				s.set(t, map[string]string{"rolloutTimeout": "20"})
				// Late, so that the API server is away for a short time: the kubelet tries to
				// reach it less and less often.
				return s.upUntil(t, s.halfRolledOut(t), func(*os.Process) {
					for _, daemon := range sandbox(t).Daemons(t.Context()) {
						if daemon != "kubelet" {
							kill(t, daemon)
						}
					}
				})
			},
			want: []string{"connection refused"}, // by the API server
			fix: func(t *testing.T) {
				bringUp(t)
				ownStory(t).settled(t, 3)
				s.set(t, map[string]string{"rolloutTimeout": "120"})
			},
			next: [][]string{{"up"}},
		},
	} {
		// Never built before, not even by an earlier run of this test.
		t.Run(f.name, func(t *testing.T) { s.releaseWith(t, int(time.Now().Unix()), f) })
	}
	kill(t, "kubelet") // without load
	bringUp(t)
	s.settled(t, 3)
}

// TestFailuresOfARelease breaks what only one release uses.
func TestFailuresOfARelease(t *testing.T) {
	s := newLongStory(t, "alone")
	s.deploy(t)
	registry := newRegistry(t, t.TempDir())
	for i, f := range []failure{
		{
			name: "the registry is down",
			up: func(t *testing.T) (string, error) {
				s.set(t, map[string]string{"image": registry.address + "/user-service"})
				registry.kill(t)
				return s.tryUp(t)
			},
			want: []string{registry.address, "connection refused"},
			fix:  registry.start,
			next: [][]string{{"up"}},
		},
		{
			name: "the registry is full",
			up: func(t *testing.T) (string, error) {
				s.set(t, map[string]string{"image": newRegistry(t, fullDisk(t)).address + "/user-service"})
				return s.tryUp(t)
			},
			want: []string{"push 127.0.0.1:", "500 Internal Server Error"},
			fix:  func(t *testing.T) { s.set(t, map[string]string{"image": s.Image}) },
			next: [][]string{{"up"}},
		},
		{
			name: "pulumi is killed during the rollout",
			up: func(t *testing.T) (string, error) {
				_, err := s.upUntil(t, s.rollingOut(t), func(up *os.Process) { killUp(t, up) })
				if err == nil {
					t.Error("the killed up succeeds")
				}
				return s.tryUp(t)
			},
			want: []string{"the stack is currently locked", "pulumi cancel"},
			fix:  func(*testing.T) {},
			next: [][]string{{"cancel"}, {"up"}},
		},
	} {
		t.Run(f.name, func(t *testing.T) { s.releaseWith(t, i, f) })
	}
}

// failure is one that makes pulumi up fail.
type failure struct {
	name string
	up   func(*testing.T) (output string, err error) // breaks something and runs pulumi up
	want []string                                    // in the output
	fix  func(*testing.T)                            // repairs what broke
	next [][]string                                  // pulumi's commands that the documentation names
}

// releaseWith makes a release during a failure. Pulumi must report what broke, the
// service must answer every request, and the next commands must deploy exactly what is
// declared.
func (s story) releaseWith(t *testing.T, version int, f failure) {
	s.settled(t, 3)
	declared := s.objects(t)
	stop := s.loadFromTheNode(t)
	s.renameAda(t, version)
	// Also if this test fails before.
	fix := sync.OnceFunc(func() { f.fix(t) })
	t.Cleanup(fix)
	start := time.Now()
	out, err := f.up(t)
	took := time.Since(start)
	if err == nil {
		t.Errorf("up succeeds:\n%s", out)
	}
	for _, want := range f.want {
		if !strings.Contains(out, want) {
			t.Errorf("up does not print %q but:\n%s", want, out)
		}
	}
	_, diagnostics, _ := strings.Cut(out, "Diagnostics:")
	diagnostics, _, _ = strings.Cut(diagnostics, "Outputs:")
	t.Logf("failed after %.1f s with:%s", took.Seconds(), diagnostics)

	start = time.Now()
	fix()
	for _, command := range f.next {
		args := append(slices.Clone(command), "--yes", "--stack=dev")
		s.pulumi(t, args...)
	}
	t.Logf("fixed in %.1f s", time.Since(start).Seconds())
	// A kubelet that has lost the API server may notice its return a minute later, and lets
	// the pods of before serve until then.
	s.serve(t, 3)
	if load := stop(); load.Failed > 0 || load.Requests == 0 {
		t.Errorf("of %d requests %d failed, over %s, and one took %s: %q", load.Requests, load.Failed, load.FailingFor, load.Latencies.Max, load.Errors)
	} else {
		t.Logf("%d requests meanwhile, none failed, the longest took %s", load.Requests, load.Latencies.Max.Round(time.Millisecond))
	}
	if now := s.objects(t); now != declared {
		t.Errorf("the objects were\n%s\nand are\n%s", declared, now)
	}
	s.staysAsDeclared(t)
}

// TestASlowRegistryMakesASlowRelease pushes over a connection of 256 KiB a second.
func TestASlowRegistryMakesASlowRelease(t *testing.T) {
	s := newParallelStory(t, "slow")
	registry, _ := forward(t, cluster.Registry, copySlowly)
	s.set(t, map[string]string{"image": registry + "/slow/user-service", "replicas": "1"})
	t.Logf("from nothing: %.1f s", s.up(t).Seconds())
	s.settled(t, 1)
}

// upUntil runs pulumi up and, once reached returns true, does something to
// it.
func (s story) upUntil(t *testing.T, reached func() bool, do func(up *os.Process)) (string, error) {
	t.Helper()
	up := s.command(t.Context(), "pulumi", "up", "--stack=dev", "--yes", "--non-interactive", "--color=never")
	var out bytes.Buffer
	up.Stdout, up.Stderr = &out, &out
	up.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does, for Ctrl-C
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !reached(); <-tick.C {
		if time.Since(start) > podDeadline {
			t.Errorf("up has not come that far within %s:\n%s", podDeadline, out.String())
			break
		}
	}
	do(up.Process)
	err := up.Wait()
	return out.String(), err
}

// killUp kills pulumi, and ends its plugins: those of this version do not exit then.
func killUp(t *testing.T, up *os.Process) {
	t.Helper()
	orphans := children(t, up.Pid)
	_ = up.Kill()
	for _, pid := range orphans {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
}

// children are the processes that a process has started.
func children(t *testing.T, parent int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil || len(files) == 0 {
		t.Fatalf("process %d has exited (%v)", parent, err)
	}
	var pids []int
	for _, file := range files {
		content, _ := os.ReadFile(file) // a thread may have ended
		for _, field := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// compiling reports whether a docker build compiles the service.
func compiling() bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(files, func(file string) bool {
		content, _ := os.ReadFile(file)
		return bytes.Contains(content, []byte("go\x00build\x00-trimpath\x00-buildvcs=false"))
	})
}

// rollingOut returns a function that reports whether there are more pods than now.
func (s story) rollingOut(t *testing.T) func() bool {
	t.Helper()
	before := len(s.pods(t))
	return func() bool { return len(s.pods(t)) > before }
}

// halfRolledOut returns a function that reports whether there are more ready pods than now.
func (s story) halfRolledOut(t *testing.T) func() bool {
	t.Helper()
	before := len(readyPods(s.pods(t)))
	return func() bool { return len(readyPods(s.pods(t))) > before }
}

// objects are the names of all objects in the stack's namespace, except those that
// change with every release.
func (s story) objects(t *testing.T) string {
	t.Helper()
	const kinds = "deployments,services,horizontalpodautoscalers,poddisruptionbudgets,secrets,configmaps,jobs,networkpolicies,ingresses"
	return s.kubectl(t, "get", kinds, "--output=name")
}

// waitForRoute waits until kube-proxy routes requests for a new Service to its pods, and
// returns a URL with the Service's address.
func (s story) waitForRoute(t testing.TB) (url string) {
	t.Helper()
	url = "http://" + s.kubectl(t, "get", "service", s.Service, "--output=jsonpath={.spec.clusterIP}") + "/users"
	// Each time on a new connection: without kube-proxy's rules, the address is one outside of
	// this machine, and a connection that is kept would go on asking there.
	each := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if err := cluster.Poll(t.Context(), url, podDeadline, func(context.Context) error {
		answer, err := each.Get(url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return url
}

// loadFromTheNode sends twenty requests a second from the node: kubectl exec, which
// would run them in a pod, needs the API server.
func (s story) loadFromTheNode(t *testing.T) (stop func() traffic) {
	t.Helper()
	attacks := asJSON(t, []attack{{URL: s.waitForRoute(t), Rate: 20}})
	load := exec.CommandContext(t.Context(), s.probe(t), "load", "-for=10m", attacks)
	var out bytes.Buffer
	load.Stdout, load.Stderr = &out, &out
	stdin, err := load.StdinPipe()
	if err == nil {
		err = load.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = load.Process.Kill() }) // an error means that it has exited
	return func() traffic {
		if err := errors.Join(stdin.Close(), load.Wait()); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		var outcomes []traffic
		if err := json.Unmarshal(out.Bytes(), &outcomes); err != nil {
			t.Fatalf("read %q: %v", out.String(), err)
		}
		return outcomes[0]
	}
}

// ownRegistry is a registry like the sandbox's, for one test.
type ownRegistry struct {
	address string
	config  string
	process *exec.Cmd
}

// newRegistry starts a registry that stores images in a folder.
func newRegistry(t *testing.T, folder string) *ownRegistry {
	t.Helper()
	r := &ownRegistry{address: freeAddress(t, "127.0.0.1"), config: filepath.Join(t.TempDir(), "registry.yaml")}
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", folder, r.address)
	if err := os.WriteFile(r.config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	t.Cleanup(func() { r.kill(t) })
	return r
}

func (r *ownRegistry) start(t *testing.T) {
	t.Helper()
	r.process = exec.Command(sandbox(t).Path("bin", "docker-registry"), "serve", r.config)
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Poll(context.Background(), "the registry", 10*time.Second, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.address)
		if err == nil {
			err = connection.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func (r *ownRegistry) kill(t *testing.T) {
	t.Helper()
	if err := r.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = r.process.Wait() // it was killed
}

// fullDisk is a folder on a disk of one megabyte.
func fullDisk(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", folder).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return folder
}

// freeAddress is a host's address and a free port.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// forward passes connections on to an address, in both directions, until it is cut or
// the test ends. It returns the address of its own.
func forward(t *testing.T, to string, pass func(to, from net.Conn)) (address string, cut func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cut = func() { cancel(); listener.Close() }
	t.Cleanup(cut)
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			go pass(far, near)
			go pass(near, far)
		}
	}()
	return listener.Addr().String(), cut
}

// copySlowly passes on what arrives, at most 256 KiB a second, in chunks of a twentieth.
func copySlowly(to, from net.Conn) {
	const rate = 256 << 10
	defer to.Close()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	chunk := make([]byte, rate/20)
	for {
		n, err := from.Read(chunk)
		if err != nil {
			return
		}
		if _, err := to.Write(chunk[:n]); err != nil {
			return
		}
		<-ticker.C
	}
}
