package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// certificateLifetime is longer than a sandbox is used; `up` makes new certificates
// when less than a month is left.
const certificateLifetime = 365 * 24 * time.Hour

// certificate is one key pair of the cluster. Each component has its own, with
// the name and group that Kubernetes's built-in roles are bound to.
type certificate struct {
	file       string
	authority  string // empty: an authority itself
	commonName string
	groups     []string
	hosts      []string // what it serves as; empty: a client only
	kubeconfig bool     // the client gets one
}

// certificates are the cluster's. etcd has an authority of its own, so that no other
// credential of the cluster gives access to its database. The front proxy has one too,
// so that no other client can impersonate the API server to metrics-server.
func certificates() []certificate {
	type list = []string
	return []certificate{
		{"ca", "", "sandbox-ca", nil, nil, false},
		{"etcd-ca", "", "sandbox-etcd-ca", nil, nil, false},
		{"front-proxy-ca", "", "sandbox-front-proxy-ca", nil, nil, false},
		// Its key signs service accounts' tokens.
		{"service-account", "", "service-account", nil, nil, false},
		{"etcd", "etcd-ca", "etcd", nil, list{"127.0.0.1"}, false},
		{"apiserver-etcd-client", "etcd-ca", "kube-apiserver", nil, nil, false},
		{"apiserver", "ca", "kube-apiserver", nil, list{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", apiServiceIP, BridgeAddress,
		}, false},
		{"apiserver-kubelet-client", "ca", "kube-apiserver", list{"system:masters"}, nil, false},
		{"front-proxy-client", "front-proxy-ca", "front-proxy-client", nil, nil, false},
		{"controller-manager", "ca", "system:kube-controller-manager", nil, nil, true},
		{"scheduler", "ca", "system:kube-scheduler", nil, nil, true},
		{"controllers", "ca", "kube-controllers", nil, list{"127.0.0.1"}, false}, // what those two serve as
		{"kubelet", "ca", "system:node:" + nodeName, list{"system:nodes"}, list{nodeName, BridgeAddress}, true},
		{"kube-proxy", "ca", "system:kube-proxy", nil, nil, true},
		{"coredns", "ca", "system:coredns", nil, nil, true},
		{"metrics-server", "ca", "system:metrics-server", nil, list{"metrics-server.kube-system.svc", BridgeAddress}, true},
		{"prometheus", "ca", "system:prometheus", nil, nil, true},
		{"prometheus-adapter", "ca", "system:prometheus-adapter", nil, list{"prometheus-adapter.kube-system.svc", BridgeAddress}, true},
		// The clients of the edge, and what it serves hosts with that have no certificate.
		{"haproxy-ingress", "ca", "system:haproxy-ingress", nil, list{"*.sandbox.test", BridgeAddress}, true},
		{"traefik", "ca", "system:traefik", nil, list{"*.sandbox.test", EdgeAddress}, true},
		{"private-registry", "ca", "private-registry", nil, list{"127.0.0.1"}, false},
		{"admin", "ca", "sandbox-admin", list{"system:masters"}, nil, true},
	}
}

// makeCertificates writes the cluster's key pairs and its clients' kubeconfigs,
// unless they exist and are valid for another month. It adds those that a sandbox of
// an earlier version does not have.
func (s Sandbox) makeCertificates() error {
	ca, err := s.readKeyPair("ca")
	renew := err != nil || !exists(s.Kubeconfig()) || time.Until(ca.Leaf.NotAfter) < 30*24*time.Hour
	for _, c := range certificates() {
		if _, err := s.readKeyPair(c.file); err == nil && !renew {
			continue
		}
		if err := s.issue(c); err != nil {
			return fmt.Errorf("certificate %s: %w", c.file, err)
		}
	}
	return nil
}

func (s Sandbox) readKeyPair(file string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(s.PKI(file+".crt"), s.PKI(file+".key"))
}

func (s Sandbox) issue(c certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signer := tls.Certificate{Leaf: c.template(), PrivateKey: key}
	if c.authority != "" {
		if signer, err = s.readKeyPair(c.authority); err != nil {
			return err
		}
	}
	signed, signErr := x509.CreateCertificate(rand.Reader, c.template(), signer.Leaf, key.Public(), signer.PrivateKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(signErr, err); err != nil {
		return err
	}
	write := func(extension, kind string, der []byte) error {
		return writeFile(s.PKI(c.file+extension), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	err = errors.Join(write(".crt", "CERTIFICATE", signed), write(".key", "PRIVATE KEY", private))
	if err == nil && c.kubeconfig {
		err = s.writeKubeconfig(c.file)
	}
	return err
}

func (c certificate) template() *x509.Certificate {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: c.commonName, Organization: c.groups},
		NotBefore:   time.Now().Add(-time.Minute),
		NotAfter:    time.Now().Add(certificateLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if c.authority == "" {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	}
	for _, host := range c.hosts {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if c.hosts != nil {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return template
}

// kubeconfig has a client's credentials in it. It is JSON, which is valid YAML too. On one
// machine compression only costs CPU time.
const kubeconfig = `{
  "apiVersion": "v1", "kind": "Config", "current-context": "sandbox",
  "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": %[1]q}}],
  "clusters": [{"name": "sandbox", "cluster": {
    "server": %[2]q, "certificate-authority-data": %[3]q, "disable-compression": true}}],
  "users": [{"name": %[1]q, "user": {"client-certificate-data": %[4]q, "client-key-data": %[5]q}}]
}
`

func (s Sandbox) writeKubeconfig(client string) error {
	values := []any{client, apiServerURL}
	for _, file := range []string{"ca.crt", client + ".crt", client + ".key"} {
		content, err := os.ReadFile(s.PKI(file))
		if err != nil {
			return err
		}
		values = append(values, base64.StdEncoding.EncodeToString(content))
	}
	path := s.PKI(client + ".kubeconfig")
	if client == "admin" {
		path = s.Kubeconfig()
	}
	return writeFile(path, fmt.Sprintf(kubeconfig, values...))
}
