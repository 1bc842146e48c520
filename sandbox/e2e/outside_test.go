package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"user-service/sandbox/internal/cluster"
)

// startEdge starts the sandbox's Ingress controller, once for all tests.
var startEdge = sync.OnceValue(func() error {
	s, err := cluster.Find()
	if err != nil {
		return err
	}
	edge := exec.Command(s.Path("sandbox"), "edge")
	edge.Dir = s.Checkout
	if out, err := edge.CombinedOutput(); err != nil {
		return fmt.Errorf("make edge: %w\n%s", err, out)
	}
	return nil
})

// withHost is the story with a host outside the cluster, on a sandbox with an Ingress
// controller. That has a certificate for the host.
func (s story) withHost(t *testing.T) story {
	t.Helper()
	if err := startEdge(); err != nil {
		t.Fatal(err)
	}
	s.Host = s.Namespace + ".sandbox.test"
	s.set(t, map[string]string{"host": s.Host})
	return s
}

// TestTheOutsideReachesTheService gives the service a host, a certificate and another
// host, and takes it back inside.
func TestTheOutsideReachesTheService(t *testing.T) {
	s := newParallelStory(t, "outside").withHost(t)
	s.set(t, map[string]string{"ingressClass": "haprxy"})
	s.previewFails(t, "ingressClass (\"haprxy\") is not on the cluster: it has haproxy: choose one with `pulumi config set ingressClass haproxy`")
	s.set(t, map[string]string{"ingressClass": ""})
	t.Logf("from nothing to an answer outside: %.1f s", s.up(t).Seconds())
	s.settled(t, 3)
	s.servesOutside(t, "http://"+s.Host)
	if status := outside(t, "http://people.sandbox.test/users").StatusCode; status != http.StatusNotFound {
		t.Errorf("another host is answered with %d, want 404", status)
	}
	s.staysAsDeclared(t)

	s.set(t, map[string]string{"tlsSecret": "users-tls"})
	s.previewFails(t, `tlsSecret ("users-tls") does not exist in namespace outside: create it with `)
	own := s.createCertificate(t, "users-tls")
	s.up(t)
	s.servesOutside(t, "https://"+s.Host)
	if served := outside(t, "https://"+s.Host+"/users").TLS.PeerCertificates[0]; !served.Equal(own) {
		t.Errorf("the certificate is %s's, want the Secret's", served.Subject)
	}

	stop := oneAnswers(t, "https://"+s.Host+"/users", "https://people.sandbox.test/users")
	s.set(t, map[string]string{"host": "people.sandbox.test"})
	s.up(t)
	stop()
	s.servesOutside(t, "https://people.sandbox.test")
	s.isNotServed(t, s.Host)

	s.set(t, map[string]string{"host": "", "tlsSecret": ""})
	s.up(t)
	s.isNotServed(t, "people.sandbox.test")
	s.staysAsDeclared(t)

	s.set(t, map[string]string{"host": s.Host})
	s.up(t)
	s.servesOutside(t, "http://"+s.Host)
	s.pulumi(t, "destroy", "--stack=dev", "--yes", "--skip-preview")
	s.isNotServed(t, s.Host)
	if left := s.kubectl(t, "get", "ingresses", "--output=name"); left != "" {
		t.Errorf("pulumi destroy leaves %s", left)
	}
}

// createCertificate creates a Secret with a certificate for hosts below sandbox.test, other
// than the controller's, of the sandbox's authority.
func (s story) createCertificate(t *testing.T, secret string) *x509.Certificate {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(sandbox(t).PKI("ca.crt"), sandbox(t).PKI("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(sandbox(t).PKI("haproxy-ingress.crt"), sandbox(t).PKI("haproxy-ingress.key"))
	if err != nil {
		t.Fatal(err)
	}
	template := *pair.Leaf
	template.Subject.CommonName = secret
	signed, err := x509.CreateCertificate(rand.Reader, &template, authority.Leaf, pair.Leaf.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})))
	s.kubectl(t, "create", "secret", "tls", secret, "--cert=tls.crt", "--key="+sandbox(t).PKI("haproxy-ingress.key"))
	certificate, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// oneAnswers sends requests to URLs until it is stopped. At any time, one of them must be
// answered with 200.
func oneAnswers(t *testing.T, urls ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	requests := 0
	sending.Go(func() {
		for ; ctx.Err() == nil; requests++ {
			if !slices.ContainsFunc(urls, func(url string) bool {
				answer, err := tryOutside(t, url)
				return err == nil && answer.StatusCode == http.StatusOK
			}) {
				t.Errorf("none of %v answers", urls)
			}
		}
	})
	return func() {
		cancel()
		sending.Wait()
		if requests == 0 {
			t.Error("no request was sent")
		}
		t.Logf("%d requests to %v, each time one of them answered", requests, urls)
	}
}

// servesOutside checks that the stack's output is a URL, and that all pods answer to it.
func (s story) servesOutside(t *testing.T, url string) {
	t.Helper()
	if output := strings.TrimSpace(s.pulumi(t, "stack", "output", "--stack=dev", "publicURL")); output != url {
		t.Errorf("the output publicURL is %s, want %s", output, url)
	}
	pods := map[string]int{}
	for range 60 {
		answer := outside(t, url+"/users")
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s is answered with %s", url, answer.Status)
		}
		pods[answer.Header.Get("X-Pod")]++
	}
	if len(pods) != 3 {
		t.Errorf("60 requests were answered by %v, want three pods", pods)
	}
	t.Logf("%s: 60 requests, answers per pod: %v", url, pods)
}

// isNotServed waits until the controller has forgotten a host.
func (s story) isNotServed(t *testing.T, host string) {
	t.Helper()
	if err := cluster.Poll(t.Context(), host, 10*time.Second, func(context.Context) error {
		if status := outside(t, "http://"+host+"/users").StatusCode; status != http.StatusNotFound {
			return fmt.Errorf("it is answered with %d, want 404", status)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// outside is tryOutside for a request that must be answered.
func outside(t *testing.T, url string) *http.Response {
	t.Helper()
	response, err := tryOutside(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// tryOutside gets a URL through the Ingress controller, on a connection of its own. The
// certificate must be one for the host, of the sandbox's authority.
func tryOutside(t *testing.T, url string) (*http.Response, error) {
	t.Helper()
	authority, err := os.ReadFile(sandbox(t).PKI("ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			return new(net.Dialer).DialContext(ctx, network, cluster.BridgeAddress+":"+port)
		},
	}}
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response, err
}
