package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
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

// coreDNS answers for the cluster's names.
func (l layout) coreDNS() (daemon, error) {
	upstream := ""
	if content, err := os.ReadFile("/etc/resolv.conf"); err == nil && strings.Contains(string(content), "nameserver") {
		upstream = "forward . /etc/resolv.conf"
	}
	config := fmt.Sprintf(`.:%s {
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
`, dnsPort, bridgeAddress, l.pki("coredns.kubeconfig"), upstream)
	if err := writeFile(l.path("config", "Corefile"), config); err != nil {
		return daemon{}, err
	}
	return daemon{
		name:    "coredns",
		program: l.bin("coredns"),
		args:    []string{"-conf", l.path("config", "Corefile")},
		listens: []string{bridgeAddress + ":" + dnsPort, "127.0.0.1:10080", "127.0.0.1:10081"},
		serves:  func(ctx context.Context) error { return get(ctx, "http://127.0.0.1:10081/ready", &http.Transport{}) },
	}, nil
}

// metricsServer tells the autoscaler how busy the pods are.
func (l layout) metricsServer() daemon {
	kubeconfig := l.pki("metrics-server.kubeconfig")
	return daemon{
		name:    "metrics-server",
		program: l.bin("metrics-server"),
		args: []string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=" + bridgeAddress, "--secure-port=" + metricsPort,
			"--tls-cert-file=" + l.pki("metrics-server.crt"),
			"--tls-private-key-file=" + l.pki("metrics-server.key"),
			"--kubelet-certificate-authority=" + l.pki("ca.crt"),
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-use-node-status-port",
			"--metric-resolution=15s",
		},
		listens: []string{bridgeAddress + ":" + metricsPort},
		serves:  l.answers("https://"+bridgeAddress+":"+metricsPort+"/livez", "ca", "admin"),
	}
}

// applyAddons declares the add-ons' objects.
func (l layout) applyAddons(ctx context.Context) error {
	authority, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return err
	}
	manifests := strings.NewReplacer(
		"{bridgeAddress}", bridgeAddress,
		"{dnsServiceIP}", dnsServiceIP,
		"{dnsPort}", dnsPort,
		"{metricsPort}", metricsPort,
		"{caBundle}", base64.StdEncoding.EncodeToString(authority),
	).Replace(addonManifests)
	cmd := l.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	_, err = output(cmd)
	return err
}
