package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const apiServerURL = "https://" + bridgeAddress + ":6443"

// controlPlane is etcd, the API server and its two companions, with the flags
// kubeadm would give them where those differ from the defaults.
func (l layout) controlPlane() []daemon {
	return []daemon{l.etcd(), l.apiServer(), l.controllerManager(), l.scheduler()}
}

func (l layout) pki(file string) string { return l.path("pki", file) }

func (l layout) etcd() daemon {
	return daemon{
		name:    "etcd",
		program: l.bin("etcd"),
		args: []string{
			"--name=" + nodeName,
			"--data-dir=" + l.path("etcd"),
			"--listen-client-urls=https://127.0.0.1:2379",
			"--advertise-client-urls=https://127.0.0.1:2379",
			// A single member has no peers, yet etcd insists on an address for them.
			"--listen-peer-urls=https://127.0.0.1:2380",
			"--initial-advertise-peer-urls=https://127.0.0.1:2380",
			"--initial-cluster=" + nodeName + "=https://127.0.0.1:2380",
			"--client-cert-auth", "--trusted-ca-file=" + l.pki("etcd-ca.crt"),
			"--cert-file=" + l.pki("etcd.crt"), "--key-file=" + l.pki("etcd.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + l.pki("etcd-ca.crt"),
			"--peer-cert-file=" + l.pki("etcd.crt"), "--peer-key-file=" + l.pki("etcd.key"),
			"--log-level=warn",
			// The data is a sandbox's: waiting for the disk at each write buys nothing.
			"--unsafe-no-fsync",
		},
		listens: []string{"127.0.0.1:2379", "127.0.0.1:2380"},
		serves:  l.answers("https://127.0.0.1:2379/health", "etcd-ca", "apiserver-etcd-client"),
	}
}

func (l layout) apiServer() daemon {
	return daemon{
		name:    "kube-apiserver",
		program: l.bin("kube-apiserver"),
		args: []string{
			"--bind-address=" + bridgeAddress, "--secure-port=6443", "--advertise-address=" + bridgeAddress,
			"--etcd-servers=https://127.0.0.1:2379",
			"--etcd-cafile=" + l.pki("etcd-ca.crt"),
			"--etcd-certfile=" + l.pki("apiserver-etcd-client.crt"), "--etcd-keyfile=" + l.pki("apiserver-etcd-client.key"),
			"--client-ca-file=" + l.pki("ca.crt"),
			"--tls-cert-file=" + l.pki("apiserver.crt"), "--tls-private-key-file=" + l.pki("apiserver.key"),
			"--anonymous-auth=false",
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--service-cluster-ip-range=" + serviceSubnet,
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + l.pki("service-account.pub"),
			"--service-account-signing-key-file=" + l.pki("service-account.key"),
			"--kubelet-certificate-authority=" + l.pki("ca.crt"),
			"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
			// The node's name is in nobody's DNS.
			"--kubelet-preferred-address-types=InternalIP",
			// Six flags for the aggregated API of metrics-server.
			"--requestheader-client-ca-file=" + l.pki("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-username-headers=X-Remote-User",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + l.pki("front-proxy-client.crt"),
			"--proxy-client-key-file=" + l.pki("front-proxy-client.key"),
			// Straight to the endpoint: metrics-server is a process, not a pod.
			"--enable-aggregator-routing=true",
			"--profiling=false",
		},
		listens: []string{bridgeAddress + ":6443"},
		serves:  l.answers(apiServerURL+"/readyz", "ca", "admin"),
	}
}

func (l layout) controllerManager() daemon {
	return daemon{
		name:    "controller-manager",
		program: l.bin("kube-controller-manager"),
		args: []string{
			"--kubeconfig=" + l.pki("controller-manager.kubeconfig"),
			"--authentication-kubeconfig=" + l.pki("controller-manager.kubeconfig"),
			"--authorization-kubeconfig=" + l.pki("controller-manager.kubeconfig"),
			"--bind-address=127.0.0.1",
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + l.pki("service-account.key"),
			"--root-ca-file=" + l.pki("ca.crt"),
			"--leader-elect=false",
			"--profiling=false",
		},
		listens: []string{"127.0.0.1:10257"},
		serves:  answersInsecurely("https://127.0.0.1:10257/healthz"),
	}
}

func (l layout) scheduler() daemon {
	return daemon{
		name:    "scheduler",
		program: l.bin("kube-scheduler"),
		args: []string{
			"--kubeconfig=" + l.pki("scheduler.kubeconfig"),
			"--authentication-kubeconfig=" + l.pki("scheduler.kubeconfig"),
			"--authorization-kubeconfig=" + l.pki("scheduler.kubeconfig"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
		},
		listens: []string{"127.0.0.1:10259"},
		serves:  answersInsecurely("https://127.0.0.1:10259/healthz"),
	}
}

// answers returns a check that a TLS endpoint, whose certificate the named
// authority signed, says 200 to the named client.
func (l layout) answers(url, authority, client string) func(context.Context) error {
	return func(ctx context.Context) error {
		config, err := l.tlsConfig(authority, client)
		if err != nil {
			return err
		}
		return get(ctx, url, &http.Transport{TLSClientConfig: config})
	}
}

// answersInsecurely is answers for a loopback endpoint that signs its own certificate.
func answersInsecurely(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		return get(ctx, url, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
	}
}

func (l layout) tlsConfig(authority, client string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(l.pki(client+".crt"), l.pki(client+".key"))
	if err != nil {
		return nil, err
	}
	roots, err := os.ReadFile(l.pki(authority + ".crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}, nil
}

// get asks once and fails unless the answer is 200. The transport has no proxy:
// every address of the sandbox is on this machine.
func get(ctx context.Context, url string, transport *http.Transport) error {
	transport.DisableKeepAlives = true
	client := http.Client{Timeout: 5 * time.Second, Transport: transport}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("%s answers %s: %s", url, response.Status, lastLines(string(body), 3))
	}
	return nil
}
