package cluster

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

const apiServerURL = "https://" + BridgeAddress + ":6443"

// The control plane has the flags that kubeadm would give it where those differ from
// the defaults.

func (s Sandbox) etcd() daemon {
	return daemon{
		name:    "etcd",
		program: s.bin("etcd"),
		args: []string{
			"--name=" + nodeName,
			"--data-dir=" + s.Path("etcd"),
			"--listen-client-urls=https://127.0.0.1:2379",
			"--advertise-client-urls=https://127.0.0.1:2379",
			// A single member has no peers, yet etcd insists on an address for them.
			"--listen-peer-urls=https://127.0.0.1:2380",
			"--initial-advertise-peer-urls=https://127.0.0.1:2380",
			"--initial-cluster=" + nodeName + "=https://127.0.0.1:2380",
			"--client-cert-auth", "--trusted-ca-file=" + s.PKI("etcd-ca.crt"),
			"--cert-file=" + s.PKI("etcd.crt"), "--key-file=" + s.PKI("etcd.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + s.PKI("etcd-ca.crt"),
			"--peer-cert-file=" + s.PKI("etcd.crt"), "--peer-key-file=" + s.PKI("etcd.key"),
			"--log-level=warn",
			// The data is a sandbox's: waiting for the disk at each write buys nothing.
			"--unsafe-no-fsync",
		},
		listens: []string{"127.0.0.1:2379", "127.0.0.1:2380"},
		serves:  s.answersClient("https://127.0.0.1:2379/health", "etcd-ca", "apiserver-etcd-client"),
	}
}

func (s Sandbox) apiServer() daemon {
	return daemon{
		name:    "kube-apiserver",
		program: s.bin("kube-apiserver"),
		args: []string{
			"--bind-address=" + BridgeAddress, "--secure-port=6443", "--advertise-address=" + BridgeAddress,
			"--etcd-servers=https://127.0.0.1:2379",
			"--etcd-cafile=" + s.PKI("etcd-ca.crt"),
			"--etcd-certfile=" + s.PKI("apiserver-etcd-client.crt"), "--etcd-keyfile=" + s.PKI("apiserver-etcd-client.key"),
			"--client-ca-file=" + s.PKI("ca.crt"),
			"--tls-cert-file=" + s.PKI("apiserver.crt"), "--tls-private-key-file=" + s.PKI("apiserver.key"),
			"--anonymous-auth=false",
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--service-cluster-ip-range=" + serviceSubnet,
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + s.PKI("service-account.crt"),
			"--service-account-signing-key-file=" + s.PKI("service-account.key"),
			"--kubelet-certificate-authority=" + s.PKI("ca.crt"),
			"--kubelet-client-certificate=" + s.PKI("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + s.PKI("apiserver-kubelet-client.key"),
			// The node's name is not in DNS.
			"--kubelet-preferred-address-types=InternalIP",
			// Six flags for the aggregated API of metrics-server.
			"--requestheader-client-ca-file=" + s.PKI("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-username-headers=X-Remote-User",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + s.PKI("front-proxy-client.crt"),
			"--proxy-client-key-file=" + s.PKI("front-proxy-client.key"),
			// Straight to the endpoint: metrics-server is a process, not a pod.
			"--enable-aggregator-routing=true",
			"--profiling=false",
		},
		listens: []string{BridgeAddress + ":6443"},
		serves:  s.answersClient(apiServerURL+"/readyz", "ca", "admin"),
	}
}

func (s Sandbox) controllerManager() daemon {
	return s.controller("controller-manager", "127.0.0.1:10257",
		"--use-service-account-credentials",
		"--service-account-private-key-file="+s.PKI("service-account.key"),
		"--root-ca-file="+s.PKI("ca.crt"),
		// The autoscaler runs every 5 s (default: 15 s) and reads the CPU of a pod that
		// has been ready for 10 s (default: 30 s).
		"--horizontal-pod-autoscaler-sync-period=5s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=10s")
}

func (s Sandbox) scheduler() daemon { return s.controller("scheduler", "127.0.0.1:10259") }

// controller is what the controller manager and the scheduler have in common.
func (s Sandbox) controller(name, address string, args ...string) daemon {
	kubeconfig := s.PKI(name + ".kubeconfig")
	return daemon{
		name:    name,
		program: s.bin("kube-" + name),
		args: append([]string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
			// A hundred pods are more than the default of 20 requests a second is meant for.
			"--kube-api-qps=100", "--kube-api-burst=200",
		}, args...),
		listens: []string{address},
		serves:  answers("https://" + address + "/healthz"),
	}
}

// answersClient returns a check that a TLS endpoint, whose certificate the named
// authority signed, answers 200 to the named client.
func (s Sandbox) answersClient(url, authority, client string) func(context.Context) error {
	return func(ctx context.Context) error {
		pair, err := tls.LoadX509KeyPair(s.PKI(client+".crt"), s.PKI(client+".key"))
		if err != nil {
			return err
		}
		roots, err := os.ReadFile(s.PKI(authority + ".crt"))
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(roots)
		return get(ctx, url, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}})
	}
}

// answers is answersClient for an endpoint on loopback, whose certificate, if it
// has one, is self-signed.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		return get(ctx, url, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
	}
}

// get sends one request and fails unless the answer is 200. The transport has no
// proxy: every address of the sandbox is on this machine.
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
