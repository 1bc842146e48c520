package cluster

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
)

// addonManifests are the API objects of what runs as a process here and as pods
// on other clusters: the cluster's DNS and metrics-server.
//
//go:embed addons.yaml
var addonManifests string

// Ports on the bridge: not 53 and 443, which the machine may use itself.
const (
	dnsPort     = "10053"
	metricsPort = "10443"
)

// coreDNS resolves the cluster's names.
func (s Sandbox) coreDNS() daemon {
	upstream := ""
	if content, err := os.ReadFile("/etc/resolv.conf"); err == nil && strings.Contains(string(content), "nameserver") {
		upstream = "forward . /etc/resolv.conf"
	}
	config := s.Path("config", "Corefile")
	return daemon{
		name:    "coredns",
		program: s.bin("coredns"),
		args:    []string{"-conf", config},
		files: map[string]string{config: fmt.Sprintf(`.:%s {
    bind %s
    errors
    health 127.0.0.1:10080
    ready 127.0.0.1:10081
    kubernetes cluster.local {
        kubeconfig %s
    }
    %s
    cache 5
}
`, dnsPort, BridgeAddress, s.PKI("coredns.kubeconfig"), upstream)},
		listens: []string{BridgeAddress + ":" + dnsPort, "127.0.0.1:10080", "127.0.0.1:10081"},
		serves:  answers("http://127.0.0.1:10081/ready"),
	}
}

// metricsServer serves the pods' CPU and memory, which the autoscaler reads.
func (s Sandbox) metricsServer() daemon {
	kubeconfig := s.PKI("metrics-server.kubeconfig")
	return daemon{
		name:    "metrics-server",
		program: s.bin("metrics-server"),
		args: []string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=" + BridgeAddress, "--secure-port=" + metricsPort,
			"--tls-cert-file=" + s.PKI("metrics-server.crt"),
			"--tls-private-key-file=" + s.PKI("metrics-server.key"),
			"--kubelet-certificate-authority=" + s.PKI("ca.crt"),
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-use-node-status-port",
			// The shortest possible; metrics-server's own manifest has 15s.
			"--metric-resolution=10s", "--kubelet-request-timeout=5s",
		},
		listens: []string{BridgeAddress + ":" + metricsPort},
		serves:  s.answersClient("https://"+BridgeAddress+":"+metricsPort+"/livez", "ca", "admin"),
	}
}

// addKinds applies the CustomResourceDefinitions in a file or folder, and waits until the
// API server serves their kinds.
func (s Sandbox) addKinds(ctx context.Context, path string) error {
	if _, err := output(s.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--filename="+path)); err != nil {
		return err
	}
	_, err := output(s.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "--filename="+path))
	return err
}

// apply applies manifests with the sandbox's addresses and paths in the place of their names.
func (s Sandbox) apply(ctx context.Context, manifests string) error {
	authority, err := os.ReadFile(s.PKI("ca.crt"))
	if err != nil {
		return err
	}
	manifests = strings.NewReplacer(
		"{bridgeAddress}", BridgeAddress,
		"{dnsServiceIP}", dnsServiceIP,
		"{dnsPort}", dnsPort,
		"{metricsPort}", metricsPort,
		"{adapterPort}", adapterPort,
		"{caBundle}", base64.StdEncoding.EncodeToString(authority),
	).Replace(manifests)
	cmd := s.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	_, err = output(cmd)
	return err
}
