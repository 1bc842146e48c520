package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// TestFaultsAroundARelease breaks what a release needs, in the middle of one.
func TestFaultsAroundARelease(t *testing.T) {
	s := newStory(t, "faults")
	s.up(t)
	for _, f := range []fault{
		{
			name: "the registry is down",
			up: func(t *testing.T) (string, error) {
				kill(t, "registry")
				return s.tryUp(t)
			},
			want: []string{registry, "connection refused"},
			mend: bringUp,
			next: [][]string{{"up"}},
		},
		{
			name: "the Docker engine dies in mid-build",
			up: func(t *testing.T) (string, error) {
				return s.upUntil(t, compiling, func(*os.Process) { kill(t, "dockerd") })
			},
			want: []string{"the Docker engine broke off"},
			mend: bringUp,
			next: [][]string{{"up"}},
		},
		{
			name: "the API server dies in mid-rollout",
			up: func(t *testing.T) (string, error) {
				s.set(t, map[string]string{"rolloutTimeout": "20"})
				return s.upUntil(t, s.rollingOut(t), func(*os.Process) { kill(t, "kube-apiserver") })
			},
			want: []string{"connection refused"},
			// The cluster's controllers may take half a minute to ask again.
			mend: func(t *testing.T) { bringUp(t); s.set(t, map[string]string{"rolloutTimeout": "120"}) },
			next: [][]string{{"up", "--refresh"}},
		},
	} {
		t.Run(f.name, func(t *testing.T) { s.suffers(t, f) })
	}
}

// TestFaultsOfARelease breaks what belongs to one release alone.
func TestFaultsOfARelease(t *testing.T) {
	s := newStoryBesideOthers(t, "alone")
	s.up(t)
	for _, f := range []fault{
		{
			name: "the registry is full",
			up: func(t *testing.T) (string, error) {
				s.set(t, map[string]string{"image": fullRegistry(t) + "/user-service"})
				return s.tryUp(t)
			},
			want: []string{"push 127.0.0.1:", "500 Internal Server Error"},
			mend: func(t *testing.T) { s.set(t, map[string]string{"image": s.Image}) },
			next: [][]string{{"up"}},
		},
		{
			name: "pulumi is killed in mid-rollout",
			up: func(t *testing.T) (string, error) {
				_, err := s.upUntil(t, s.rollingOut(t), func(up *os.Process) {
					// Plugins of this version never miss a pulumi that is gone.
					orphans := children(t, up.Pid)
					_ = up.Kill()
					for _, pid := range orphans {
						_ = syscall.Kill(pid, syscall.SIGTERM)
					}
				})
				if err == nil {
					t.Error("the killed up calls itself a success")
				}
				return s.tryUp(t)
			},
			want: []string{"the stack is currently locked", "pulumi cancel"},
			mend: func(*testing.T) {},
			next: [][]string{{"cancel", "--stack=dev"}, {"up", "--refresh"}},
		},
	} {
		t.Run(f.name, func(t *testing.T) { s.suffers(t, f) })
	}
}

// fault is one that makes pulumi up fail.
type fault struct {
	name string
	up   func(*testing.T) (output string, err error) // breaks something and runs pulumi up
	want []string                                    // that it says
	mend func(*testing.T)                            // what broke
	next [][]string                                  // pulumi's commands that the README names
}

// suffers makes a release that a fault stops. Pulumi must say what broke, the
// service must answer every request all the while, and the next commands must end in
// what is declared and nothing else.
func (s story) suffers(t *testing.T, f fault) {
	s.settled(t, 3)
	declared := s.objects(t)
	stop := s.loadFromTheNode(t)
	s.editSource(t, func(source string) string {
		// Never built before, also by an earlier run of this test.
		return strings.Replace(source, "Ada Lovelace", fmt.Sprintf("Ada Lovelace %d", time.Now().Unix()), 1)
	})
	start := time.Now()
	out, err := f.up(t)
	took := time.Since(start)
	if err == nil {
		t.Errorf("up calls it a success:\n%s", out)
	}
	for _, want := range f.want {
		if !strings.Contains(out, want) {
			t.Errorf("up does not say %q but:\n%s", want, out)
		}
	}
	_, diagnostics, _ := strings.Cut(out, "Diagnostics:")
	diagnostics, _, _ = strings.Cut(diagnostics, "Outputs:")
	t.Logf("failed after %.1f s with:%s", took.Seconds(), diagnostics)

	start = time.Now()
	f.mend(t)
	for _, command := range f.next {
		args := append(slices.Clone(command), "--yes")
		if command[0] == "up" {
			args = append(args, "--stack=dev", "--skip-preview")
		}
		if _, err := s.Pulumi(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("mended in %.1f s", time.Since(start).Seconds())
	s.settled(t, 3)
	if load := stop(); load.Failed > 0 || load.Requests == 0 {
		t.Errorf("of %d requests %d failed: %q", load.Requests, load.Failed, load.Errors)
	} else {
		t.Logf("%d requests meanwhile, none failed", load.Requests)
	}
	if now := s.objects(t); now != declared {
		t.Errorf("the objects were\n%s\nand are\n%s", declared, now)
	}
	if _, err := s.Pulumi(t.Context(), "preview", "--stack=dev", "--refresh", "--expect-no-changes"); err != nil {
		t.Error(err)
	}
}

// TestASlowRegistryMakesASlowRelease pushes through a line of 256 KiB a second.
func TestASlowRegistryMakesASlowRelease(t *testing.T) {
	s := newStoryBesideOthers(t, "slow")
	s.set(t, map[string]string{"image": slowRegistry(t, 256<<10) + "/slow/user-service"})
	t.Logf("from nothing: %.1f s", s.up(t).Seconds())
	s.settled(t, 3)
}

// tryUp runs pulumi up and returns what it printed.
func (s story) tryUp(t *testing.T) (string, error) {
	t.Helper()
	return s.Pulumi(t.Context(), "up", "--stack=dev", "--yes", "--skip-preview")
}

// upUntil runs pulumi up and, once it has come as far as reached says, does
// something to it.
func (s story) upUntil(t *testing.T, reached func() bool, do func(up *os.Process)) (string, error) {
	t.Helper()
	up := s.Command(t.Context(), "pulumi", "up", "--stack=dev", "--yes", "--skip-preview", "--non-interactive", "--color=never")
	var out bytes.Buffer
	up.Stdout, up.Stderr = &out, &out
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !reached(); <-tick.C {
		if time.Since(start) > podDeadline {
			t.Errorf("up has not come that far in %s:\n%s", podDeadline, out.String())
			break
		}
	}
	do(up.Process)
	err := up.Wait()
	return out.String(), err
}

// children are the processes that one has started.
func children(t *testing.T, parent int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil || len(files) == 0 {
		t.Fatalf("process %d is gone (%v)", parent, err)
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

// compiling reports whether a docker build is at the service's own compilation.
func compiling() bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(files, func(file string) bool {
		content, _ := os.ReadFile(file)
		return bytes.Contains(content, []byte("go\x00build\x00-trimpath\x00-buildvcs=false"))
	})
}

// rollingOut reports whether there are more pods than when it was made.
func (s story) rollingOut(t *testing.T) func() bool {
	t.Helper()
	before := len(s.pods(t))
	return func() bool { return len(s.pods(t)) > before }
}

// objects are the stack's, and whatever else there is in its namespace, with what
// names them but not what differs from release to release.
func (s story) objects(t *testing.T) string {
	t.Helper()
	const kinds = "deployments,services,horizontalpodautoscalers,poddisruptionbudgets,secrets,configmaps,jobs,networkpolicies,ingresses"
	return s.kubectl(t, "get", kinds, "--output=name")
}

// kill ends one of the sandbox's daemons as a crash would.
func kill(t *testing.T, daemon string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(stateFolder(), "pids", daemon))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(content))[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s, process %d: %v", daemon, pid, err)
	}
}

// bringUp starts what of the sandbox is not running.
func bringUp(t *testing.T) {
	t.Helper()
	up := exec.CommandContext(t.Context(), filepath.Join(stateFolder(), "sandbox"), "up")
	up.Dir = filepath.Dir(stateFolder())
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("make up: %v\n%s", err, out)
	}
}

// stateFolder is where the sandbox keeps all its state.
func stateFolder() string { return filepath.Dir(os.Getenv("KUBECONFIG")) }

// loadFromTheNode asks the service fifty times a second, from outside any pod: what
// runs in one hangs on the API server by its exec.
func (s story) loadFromTheNode(t *testing.T) (stop func() project.Load) {
	t.Helper()
	address := s.kubectl(t, "get", "service", "user-service", "--output=jsonpath={.spec.clusterIP}")
	probe := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", probe, "user-service/sandbox/project/probe")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v: %s", err, out)
	}
	load := exec.CommandContext(t.Context(), probe, "load", "-rate=50", "-for=10m", "http://"+address+"/users")
	var out bytes.Buffer
	load.Stdout, load.Stderr = &out, &out
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (outcome project.Load) {
		if err := load.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := load.Wait(); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		if err := json.Unmarshal(out.Bytes(), &outcome); err != nil {
			t.Fatalf("read %q: %v", out.String(), err)
		}
		return outcome
	}
}

// fullRegistry is the sandbox's registry once more, on a disk of one megabyte; it
// returns its host.
func fullRegistry(t *testing.T) string {
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
	host := freeAddress(t, "127.0.0.1")
	config := filepath.Join(t.TempDir(), "registry.yaml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", folder, host)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := exec.Command(registryProgram(t), "serve", config)
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = registry.Process.Kill()
		_ = registry.Wait() // it was killed
	})
	return host
}

// registryProgram is the file that the sandbox's registry runs.
func registryProgram(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(stateFolder(), "pids", "registry"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Readlink("/proc/" + strings.Fields(string(content))[0] + "/exe")
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// freeAddress is one of a host that nothing listens on.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// slowRegistry is the way to the sandbox's registry on a slow line, of so many bytes
// a second each way; it returns the host at the near end.
func slowRegistry(t *testing.T, rate int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", registry)
			if err != nil {
				near.Close()
				continue
			}
			context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			go copySlowly(far, near, rate)
			go copySlowly(near, far, rate)
		}
	}()
	return listener.Addr().String()
}

// copySlowly passes on what there is, at most a twentieth of a second's bytes at a
// time.
func copySlowly(to, from net.Conn, rate int) {
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
