package e2e

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"user-service/sandbox/project"
)

// TestASandboxKilledInEveryPartComesBack kills all daemons at once, as a crash of
// the machine would, and brings the sandbox up again.
func TestASandboxKilledInEveryPartComesBack(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(stateFolder(), "pids", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no daemons in %s (%v)", stateFolder(), err)
	}
	for _, file := range files {
		kill(t, filepath.Base(file))
	}
	start := time.Now()
	bringUp(t)
	t.Logf("%d daemons killed, everything up again in %.1f s", len(files), time.Since(start).Seconds())

	dev := story{&project.Project{Dir: filepath.Dir(stateFolder()), Namespace: "default"}}
	dev.settled(t, 3)
}

// TestTheSandboxLetsNoOneIn looks at where its processes listen, what they answer
// to nobody, and who may read its files.
func TestTheSandboxLetsNoOneIn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(stateFolder(), "pids", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no daemons in %s (%v)", stateFolder(), err)
	}
	bridge := bridgeAddress(t)
	var sockets []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range listeners(t, strings.Fields(string(content))[0]) {
			host, _, _ := strings.Cut(address, ":")
			if host != bridge && !strings.HasPrefix(host, "127.") {
				t.Errorf("%s listens on %s", filepath.Base(file), address)
			}
			sockets = append(sockets, address)
		}
	}
	t.Logf("%d daemons listen on %v", len(files), sockets)

	nobody := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, url := range []string{
		"https://" + bridge + ":6443/api/v1/secrets", // the API server
		"https://" + bridge + ":6443/version",
		"https://" + bridge + ":10250/pods",                                  // the kubelet
		"https://" + bridge + ":10443/metrics",                               // metrics-server
		"https://127.0.0.1:10257/metrics", "https://127.0.0.1:10259/metrics", // controllers and scheduler
		"https://" + privateRegistry + "/v2/_catalog",
		"https://127.0.0.1:2379/version", // etcd, which asks for a certificate at once
	} {
		response, err := nobody.Get(url)
		if err != nil && strings.Contains(err.Error(), "tls: certificate required") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden {
			t.Errorf("%s answers nobody with %s", url, response.Status)
		}
	}

	for _, folder := range []string{stateFolder(), strings.TrimSuffix(strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://"), "/docker.sock")} {
		info, err := os.Stat(folder)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o700 {
			t.Errorf("%s has mode %o: others can look into it", folder, mode)
		}
	}
}

// listeners are the addresses on which a process takes what comes.
func listeners(t *testing.T, pid string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric", "--processes").Output()
	if err != nil {
		t.Fatalf("ss: %v", err)
	}
	var addresses []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 6 && strings.Contains(fields[6], "pid="+pid+",") {
			addresses = append(addresses, fields[4])
		}
	}
	return addresses
}
