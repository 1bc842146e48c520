package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"user-service/sandbox/internal/cluster"
)

// startEdge starts what passes requests from outside on, once for all tests.
var startEdge = sync.OnceValue(func() error { return startDaemons("edge") })

// sharedGateway is the Gateway that `make edge` makes.
const sharedGateway = "kube-system/public"

// withHost is the story with a host outside the cluster, on a sandbox with controllers that
// serve it.
func (s story) withHost(t *testing.T) story {
	t.Helper()
	if err := startEdge(); err != nil {
		t.Fatal(err)
	}
	s.Host = s.Namespace + ".sandbox.test"
	s.set(t, map[string]string{"host": s.Host})
	return s
}

// TestTheOutsideReachesTheService takes the service outside through an Ingress, through the
// same Ingress of another controller, and through a Gateway, and changes its host, always
// with an answer under the old settings or the new ones. Then it takes it back inside.
func TestTheOutsideReachesTheService(t *testing.T) {
	s := newParallelStory(t, "outside", edge)
	s = s.withHost(t)
	s.set(t, map[string]string{"ingressClass": "haprxy"})
	s.previewFails(t, "ingressClass (\"haprxy\") is not on the cluster: it has haproxy, traefik: choose one with `pulumi config set --stack dev ingressClass haproxy`")
	s.set(t, map[string]string{"ingressClass": ""})
	haproxy := front{"http", cluster.BridgeAddress, s.Host}
	t.Logf("from nothing to an answer outside: %.1f s", s.up(t).Seconds())
	s.settled(t, 3)
	s.servesOutside(t, haproxy)
	s.leavesOthersTheirHost(t)
	if status := (front{"http", cluster.BridgeAddress, "people.sandbox.test"}).get(t).StatusCode; status != http.StatusNotFound {
		t.Errorf("another host is answered with %d, want 404", status)
	}
	s.staysAsDeclared(t)

	s.set(t, map[string]string{"tlsSecret": "users-tls"})
	s.previewFails(t, `tlsSecret ("users-tls") does not exist in namespace outside: create it with `)
	own := s.createCertificate(t, "users-tls")
	s.up(t)
	haproxy.scheme = "https"
	haproxy.isServedWith(t, own)
	s.servesOutside(t, haproxy)

	traefik := front{"https", cluster.EdgeAddress, s.Host}
	s.set(t, map[string]string{"ingressClass": "traefik"})
	s.up(t)
	traefik.isServedWith(t, own)
	s.servesOutside(t, traefik)
	haproxy.isNotServed(t)
	s.set(t, map[string]string{"ingressClass": ""})
	s.up(t)
	haproxy.isServedWith(t, own)
	s.servesOutside(t, haproxy)

	s.set(t, map[string]string{"tlsSecret": "", "gateway": "kube-system/pubic"})
	s.previewFails(t, `gateway ("kube-system/pubic") is not on the cluster: it has `+sharedGateway+": choose one with `pulumi config set --stack dev gateway "+sharedGateway+"`")
	s.moves(t, haproxy, traefik, map[string]string{"gateway": sharedGateway})
	s.staysAsDeclared(t)
	people := front{"https", cluster.EdgeAddress, "people.sandbox.test"}
	s.moves(t, traefik, people, map[string]string{"host": people.host})

	s.set(t, map[string]string{"host": "", "gateway": ""})
	s.up(t)
	people.isNotServed(t)
	s.staysAsDeclared(t)

	s.set(t, map[string]string{"host": s.Host, "gateway": sharedGateway + "/http"})
	s.up(t)
	traefik.scheme = "http"
	s.servesOutside(t, traefik)
	s.pulumi(t, "destroy", "--stack=dev", "--yes", "--skip-preview")
	traefik.isNotServed(t)
	if left := s.kubectl(t, "get", "ingresses,httproutes", "--output=name"); left != "" {
		t.Errorf("pulumi destroy leaves %s", left)
	}
}

// leavesOthersTheirHost checks that a host that an Ingress of others serves is an error.
func (s story) leavesOthersTheirHost(t *testing.T) {
	t.Helper()
	s.kubectl(t, "create", "ingress", "rival", "--class=haproxy", "--rule=rival.sandbox.test/*=rival:80")
	s.set(t, map[string]string{"host": "rival.sandbox.test"})
	s.previewFails(t, `host ("rival.sandbox.test") is served by Ingress rival in namespace outside already: `)
	s.kubectl(t, "delete", "ingress", "rival")
	s.set(t, map[string]string{"host": s.Host})
}

// TestAnEdgeThatRestarts restarts what passes requests on, under load. haproxy-ingress does
// so without a loss: its HAProxy goes on. Traefik, of which there is one here, does not.
func TestAnEdgeThatRestarts(t *testing.T) {
	s := newParallelStory(t, "edge-restart", allEdge...)
	s = s.withHost(t)
	s.deploy(t)
	s.addRoute(t)
	s.startProbe(t)
	for _, daemon := range []string{"haproxy-ingress", "traefik"} {
		var took time.Duration
		load := s.underLoad(t, func(t *testing.T) {
			start := time.Now()
			kill(t, daemon)
			if err := startDaemons("edge"); err != nil {
				t.Fatal(err)
			}
			took = time.Since(start)
		})
		// A Traefik that loses none was not away, and shows nothing.
		if lossless := daemon == "haproxy-ingress"; lossless != (load.Failed == 0) || load.FailingFor > took+5*time.Second {
			t.Errorf("%s: of %d requests %d failed, over %s, and it ran again after %s: %q", daemon, load.Requests, load.Failed, load.FailingFor, took, load.Errors)
		}
		t.Logf("%s ran again after %.1f s: %d of %d requests lost, over %.1f s", daemon, took.Seconds(), load.Failed, load.Requests, load.FailingFor.Seconds())
	}
}

// edges are the addresses of haproxy-ingress, which serves Ingresses, and of Traefik, which
// serves a Gateway.
var edges = []string{cluster.BridgeAddress, cluster.EdgeAddress}

// hostAt is the name of the service at one of the edges.
func (s story) hostAt(edge string) string {
	if edge == cluster.EdgeAddress {
		return "gateway." + s.Host
	}
	return s.Host
}

// addRoute gives a service that has an Ingress the HTTPRoute that it would have instead, for
// another host.
func (s story) addRoute(t *testing.T) {
	t.Helper()
	s.write(t, "route.yaml", fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s}
spec:
  hostnames: [%q]
  parentRefs: [{namespace: kube-system, name: public}]
  rules: [{backendRefs: [{name: %[1]s, port: 80}]}]
`, s.Service, s.hostAt(cluster.EdgeAddress)))
	s.kubectl(t, "apply", "--filename=route.yaml")
}

// front is one way to the service from outside.
type front struct{ scheme, address, host string }

func (f front) String() string { return f.scheme + "://" + f.host + " at " + f.address }

// moves changes settings so that another front serves. Meanwhile, one of the two answers.
func (s story) moves(t *testing.T, from, to front, settings map[string]string) {
	t.Helper()
	stop := oneAnswers(t, from, to)
	s.set(t, settings)
	s.up(t)
	stop()
	s.servesOutside(t, to)
	from.isNotServed(t)
}

// createCertificate creates a Secret with a certificate for the host, of the sandbox's
// authority. The controllers' own is for all hosts below sandbox.test.
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
	template.Subject.CommonName, template.DNSNames = secret, []string{s.Host}
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

// oneAnswers sends requests to fronts until it is stopped. At any time, one of them must
// answer with 200.
func oneAnswers(t *testing.T, fronts ...front) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	requests := 0
	sending.Go(func() {
		for tick := time.Tick(20 * time.Millisecond); ctx.Err() == nil; <-tick {
			requests++
			if !slices.ContainsFunc(fronts, func(f front) bool {
				answer, err := f.try(t)
				return err == nil && answer.StatusCode == http.StatusOK
			}) {
				t.Errorf("none of %v answers", fronts)
			}
		}
	})
	return func() {
		cancel()
		sending.Wait()
		if requests == 0 {
			t.Error("no request was sent")
		}
		t.Logf("%d requests, each answered by one of %v", requests, fronts)
	}
}

// servesOutside checks that the stack's output is a front's URL, and that all pods answer
// to it.
func (s story) servesOutside(t *testing.T, f front) {
	t.Helper()
	if output := strings.TrimSpace(s.pulumi(t, "stack", "output", "--stack=dev", "publicURL")); output != f.scheme+"://"+f.host {
		t.Errorf("the output publicURL is %s, want that of %v", output, f)
	}
	pods := map[string]int{}
	for range 60 {
		answer := f.get(t)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%v answers with %s", f, answer.Status)
		}
		pods[answer.Header.Get("X-Pod")]++
	}
	if len(pods) != 3 {
		t.Errorf("60 requests were answered by %v, want three pods", pods)
	}
	t.Logf("%v: 60 requests, answers per pod: %v", f, pods)
}

// isServedWith waits until the controller serves a front with a certificate. An up may end
// before: the Ingress has the former controller's address for a moment, and that answers.
func (f front) isServedWith(t *testing.T, certificate *x509.Certificate) {
	t.Helper()
	if err := cluster.Poll(t.Context(), f.String(), podDeadline, func(context.Context) error {
		answer, err := f.try(t)
		switch {
		case err != nil:
			return err
		case answer.StatusCode != http.StatusOK:
			return errors.New(answer.Status)
		case !answer.TLS.PeerCertificates[0].Equal(certificate):
			return fmt.Errorf("the certificate is %s's, want the Secret's", answer.TLS.PeerCertificates[0].Subject)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// isNotServed waits until the controller has forgotten a front.
func (f front) isNotServed(t *testing.T) {
	t.Helper()
	if err := cluster.Poll(t.Context(), f.String(), podDeadline, func(context.Context) error {
		answer, err := f.try(t)
		if err == nil && answer.StatusCode != http.StatusNotFound {
			err = fmt.Errorf("it is answered with %s, want 404", answer.Status)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// get is try for a request that must be answered.
func (f front) get(t *testing.T) *http.Response {
	t.Helper()
	response, err := f.try(t)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// try gets the users through a front, on a connection of its own. The certificate must be one
// for the host, of the sandbox's authority.
func (f front) try(t *testing.T) (*http.Response, error) {
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
			return new(net.Dialer).DialContext(ctx, network, f.address+":"+port)
		},
	}}
	response, err := client.Get(f.scheme + "://" + f.host + "/users")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response, err
}
