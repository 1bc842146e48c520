package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"user-service/sandbox/internal/cluster"
)

// TestTheSandboxLetsNoOneIn checks where its processes listen, what they answer to
// a client without a login, and who can read its files.
func TestTheSandboxLetsNoOneIn(t *testing.T) {
	t.Parallel()
	daemons := sandbox(t).Daemons(t.Context())
	var sockets []string
	for _, daemon := range daemons {
		for _, address := range listeners(t, sandbox(t).PID(daemon)) {
			host, _, _ := strings.Cut(address, ":")
			if host != cluster.BridgeAddress && host != cluster.EdgeAddress && !strings.HasPrefix(host, "127.") {
				t.Errorf("%s listens on %s", daemon, address)
			}
			sockets = append(sockets, address)
		}
	}
	t.Logf("%d daemons listen on %v", len(daemons), sockets)

	anonymous := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, url := range []string{
		"https://" + cluster.BridgeAddress + ":6443/api/v1/secrets", // the API server
		"https://" + cluster.BridgeAddress + ":6443/version",
		"https://" + cluster.BridgeAddress + ":10250/pods",                   // the kubelet
		"https://" + cluster.BridgeAddress + ":10443/metrics",                // metrics-server
		"https://127.0.0.1:10257/metrics", "https://127.0.0.1:10259/metrics", // controllers and scheduler
		"https://" + cluster.PrivateRegistry + "/v2/_catalog",
		"https://127.0.0.1:2379/version", // etcd, which asks for a certificate at once
	} {
		response, err := anonymous.Get(url)
		if err != nil && strings.Contains(err.Error(), "tls: certificate required") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden {
			t.Errorf("%s answers a client without a login with %s", url, response.Status)
		}
	}

	for _, folder := range []string{sandbox(t).Path(), "/run/user-service-sandbox"} {
		info, err := os.Stat(folder)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o700 {
			t.Errorf("%s has mode %o: other users can read it", folder, mode)
		}
	}
}

// listeners are the addresses that a process listens on.
func listeners(t *testing.T, pid int) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric", "--processes").Output()
	if err != nil {
		t.Fatalf("ss: %v", err)
	}
	var addresses []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 6 && strings.Contains(fields[6], fmt.Sprintf("pid=%d,", pid)) {
			addresses = append(addresses, fields[4])
		}
	}
	return addresses
}
