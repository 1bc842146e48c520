package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLifetime is long enough that nobody's sandbox outlives it; `up`
// makes new certificates when less than a month is left.
const certificateLifetime = 365 * 24 * time.Hour

// certificate is one key pair of the cluster. Each component has its own, with
// the name and group that Kubernetes's built-in roles are bound to.
type certificate struct {
	file         string
	authority    string // empty: an authority itself
	commonName   string
	organization string
	hosts        []string // what it serves as; empty: a client only
}

// certificates lists the cluster's. etcd has an authority of its own, so that no
// credential of the cluster opens its database; so has the front proxy, so that
// none can pose as the API server towards metrics-server.
func certificates() []certificate {
	return []certificate{
		{file: "ca", commonName: "sandbox-ca"},
		{file: "etcd-ca", commonName: "sandbox-etcd-ca"},
		{file: "front-proxy-ca", commonName: "sandbox-front-proxy-ca"},
		{file: "etcd", authority: "etcd-ca", commonName: "etcd", hosts: []string{"127.0.0.1"}},
		{file: "apiserver-etcd-client", authority: "etcd-ca", commonName: "kube-apiserver"},
		{file: "apiserver", authority: "ca", commonName: "kube-apiserver", hosts: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			apiServiceIP, bridgeAddress,
		}},
		{file: "apiserver-kubelet-client", authority: "ca", commonName: "kube-apiserver", organization: "system:masters"},
		{file: "front-proxy-client", authority: "front-proxy-ca", commonName: "front-proxy-client"},
		{file: "admin", authority: "ca", commonName: "sandbox-admin", organization: "system:masters"},
		{file: "controller-manager", authority: "ca", commonName: "system:kube-controller-manager"},
		{file: "scheduler", authority: "ca", commonName: "system:kube-scheduler"},
		{file: "kubelet", authority: "ca", commonName: "system:node:" + nodeName, organization: "system:nodes",
			hosts: []string{nodeName, bridgeAddress}},
		{file: "kube-proxy", authority: "ca", commonName: "system:kube-proxy"},
		{file: "coredns", authority: "ca", commonName: "system:coredns"},
		{file: "metrics-server", authority: "ca", commonName: "system:metrics-server",
			hosts: []string{"metrics-server.kube-system.svc", bridgeAddress}},
		{file: "private-registry", authority: "ca", commonName: "private-registry", hosts: []string{"127.0.0.1"}},
	}
}

// makeCertificates writes the cluster's certificates, the key that signs service
// account tokens and one kubeconfig for each client, unless they are there and
// still good for a month. To a sandbox of an earlier version it adds what is new.
func (l layout) makeCertificates() error {
	ca, err := l.readCertificate("ca")
	_, unfinished := os.Stat(l.kubeconfig()) // which is written last
	anew := err != nil || unfinished != nil || time.Until(ca.certificate.NotAfter) < 30*24*time.Hour
	for _, c := range certificates() {
		if _, err := l.readCertificate(c.file); err == nil && !anew {
			continue
		}
		if err := l.issue(c); err != nil {
			return fmt.Errorf("certificate %s: %w", c.file, err)
		}
	}
	if !anew {
		return nil
	}
	if err := l.makeServiceAccountKey(); err != nil {
		return err
	}
	for _, client := range []string{"controller-manager", "scheduler", "kubelet", "kube-proxy", "coredns", "metrics-server"} {
		if err := l.writeKubeconfig(client, l.pki(client+".kubeconfig")); err != nil {
			return err
		}
	}
	return l.writeKubeconfig("admin", l.kubeconfig())
}

// keyPair is a certificate with its private key.
type keyPair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func (l layout) issue(c certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := c.template()
	if err != nil {
		return err
	}
	signer := keyPair{template, key}
	if c.authority != "" {
		if signer, err = l.readCertificate(c.authority); err != nil {
			return err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.certificate, key.Public(), signer.key)
	if err != nil {
		return err
	}
	if err := writePEM(l.pki(c.file+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}
	return l.writeKey(c.file, key)
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

func (l layout) readCertificate(file string) (keyPair, error) {
	certificateDER, err := readPEM(l.pki(file + ".crt"))
	if err != nil {
		return keyPair{}, err
	}
	keyDER, err := readPEM(l.pki(file + ".key"))
	if err != nil {
		return keyPair{}, err
	}
	parsed, err := x509.ParseCertificate(certificateDER)
	if err != nil {
		return keyPair{}, err
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	return keyPair{parsed, key}, err
}

func (l layout) makeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(l.pki("service-account.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return l.writeKey("service-account", key)
}

func (l layout) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(l.pki(file+".key"), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return writeFile(path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func readPEM(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", filepath.Base(path))
	}
	return block.Bytes, nil
}

// writeKubeconfig writes a kubeconfig that holds the client's credentials
// itself, as JSON, which every reader of kubeconfigs takes for YAML.
func (l layout) writeKubeconfig(client, path string) error {
	var data [3][]byte
	for i, file := range []string{"ca.crt", client + ".crt", client + ".key"} {
		var err error
		if data[i], err = os.ReadFile(l.pki(file)); err != nil {
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
	return writeFile(path, string(content)+"\n")
}
