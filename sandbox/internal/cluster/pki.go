package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
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
	file         string
	authority    string // empty: an authority itself
	commonName   string
	organization string
	hosts        []string // what it serves as; empty: a client only
	kubeconfig   bool     // the client gets one
}

// certificates are the cluster's. etcd has an authority of its own, so that no other
// credential of the cluster gives access to its database. The front proxy has one too,
// so that no other client can impersonate the API server to metrics-server.
func certificates() []certificate {
	return []certificate{
		{file: "ca", commonName: "sandbox-ca"},
		{file: "etcd-ca", commonName: "sandbox-etcd-ca"},
		{file: "front-proxy-ca", commonName: "sandbox-front-proxy-ca"},
		// The key that signs service accounts' tokens; its certificate is not used.
		{file: "service-account", commonName: "service-account"},
		{file: "etcd", authority: "etcd-ca", commonName: "etcd", hosts: []string{"127.0.0.1"}},
		{file: "apiserver-etcd-client", authority: "etcd-ca", commonName: "kube-apiserver"},
		{file: "apiserver", authority: "ca", commonName: "kube-apiserver", hosts: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			apiServiceIP, BridgeAddress,
		}},
		{file: "apiserver-kubelet-client", authority: "ca", commonName: "kube-apiserver", organization: "system:masters"},
		{file: "front-proxy-client", authority: "front-proxy-ca", commonName: "front-proxy-client"},
		{file: "controller-manager", authority: "ca", commonName: "system:kube-controller-manager", kubeconfig: true},
		{file: "scheduler", authority: "ca", commonName: "system:kube-scheduler", kubeconfig: true},
		{file: "kubelet", authority: "ca", commonName: "system:node:" + nodeName, organization: "system:nodes",
			hosts: []string{nodeName, BridgeAddress}, kubeconfig: true},
		{file: "kube-proxy", authority: "ca", commonName: "system:kube-proxy", kubeconfig: true},
		{file: "coredns", authority: "ca", commonName: "system:coredns", kubeconfig: true},
		{file: "metrics-server", authority: "ca", commonName: "system:metrics-server",
			hosts: []string{"metrics-server.kube-system.svc", BridgeAddress}, kubeconfig: true},
		{file: "prometheus", authority: "ca", commonName: "system:prometheus", kubeconfig: true},
		{file: "prometheus-adapter", authority: "ca", commonName: "system:prometheus-adapter",
			hosts: []string{"prometheus-adapter.kube-system.svc", BridgeAddress}, kubeconfig: true},
		// The clients of the edge, and what it serves hosts with that have no certificate.
		{file: "haproxy-ingress", authority: "ca", commonName: "system:haproxy-ingress",
			hosts: []string{"*.sandbox.test", BridgeAddress}, kubeconfig: true},
		{file: "traefik", authority: "ca", commonName: "system:traefik", hosts: []string{"*.sandbox.test", EdgeAddress}, kubeconfig: true},
		{file: "private-registry", authority: "ca", commonName: "private-registry", hosts: []string{"127.0.0.1"}},
		{file: "admin", authority: "ca", commonName: "sandbox-admin", organization: "system:masters", kubeconfig: true},
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
	template, err := c.template()
	if err != nil {
		return err
	}
	signer := tls.Certificate{Leaf: template, PrivateKey: key}
	if c.authority != "" {
		if signer, err = s.readKeyPair(c.authority); err != nil {
			return err
		}
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, signer.Leaf, key.Public(), signer.PrivateKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	write := func(extension, kind string, der []byte) error {
		return writeFile(s.PKI(c.file+extension), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	err = errors.Join(write(".crt", "CERTIFICATE", signed), write(".key", "PRIVATE KEY", private), write(".pub", "PUBLIC KEY", public))
	if err == nil && c.kubeconfig {
		err = s.writeKubeconfig(c.file)
	}
	return err
}

func (c certificate) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: c.commonName},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(certificateLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if c.organization != "" {
		template.Subject.Organization = []string{c.organization}
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
	return template, nil
}

// writeKubeconfig writes a kubeconfig with the client's credentials in it, as JSON,
// which is valid YAML too.
func (s Sandbox) writeKubeconfig(client string) error {
	var data [3][]byte
	for i, file := range []string{"ca.crt", client + ".crt", client + ".key"} {
		var err error
		if data[i], err = os.ReadFile(s.PKI(file)); err != nil {
			return err
		}
	}
	type object map[string]any
	content, err := json.MarshalIndent(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": contextName,
		"clusters": []object{{"name": contextName, "cluster": object{
			"server": apiServerURL, "certificate-authority-data": data[0]}}},
		"users": []object{{"name": client, "user": object{
			"client-certificate-data": data[1], "client-key-data": data[2]}}},
		"contexts": []object{{"name": contextName, "context": object{
			"cluster": contextName, "user": client}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	path := s.PKI(client + ".kubeconfig")
	if client == "admin" {
		path = s.Kubeconfig()
	}
	return writeFile(path, string(content)+"\n")
}
