package rollout

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

func TestAnIngressWithoutAnAddressIsWaitedForAndOneOutOfReachIsNot(t *testing.T) {
	t.Parallel()
	class := "haproxy"
	ingress := &networkingv1.Ingress{ObjectMeta: metadata("orders"), Spec: networkingv1.IngressSpec{IngressClassName: &class}}
	r := newRollout(ingress)
	r.args.Ingress.Hosts, r.args.ReadinessPath, r.args.RolloutTimeout = []string{"*.example.com"}, "/ready", 1
	checkError(t, r.waitForIngress(t.Context()), `orders: the pods are ready, but clients outside the cluster do not reach them within 1ns (rolloutTimeout): `+
		`the Ingress orders has no address: the controller of IngressClass "haproxy", which writes it, does not run or does not publish its own: `+
		"for more: `kubectl --context here --namespace prod describe ingress orders`", false)
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "no host"}}
	r.Interface = newRollout(ingress).Interface
	if err := r.waitForIngress(t.Context()); !errors.As(err, &unreachable{}) || !strings.HasPrefix(err.Error(), `at no host: Get "http://any.example.com/ready": dial tcp: lookup no host: `) {
		t.Errorf("the error is %v", err)
	}
}

func TestARequestThroughAnIngressReachesAPod(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "", 308: "", 404: " is answered with 404 Not Found", 503: " is answered with 503 Service Unavailable"} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example.com/")
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		if want != "" {
			want = server.URL + want
		}
		// The certificate of httptest is for this address, among others.
		checkError(t, request(t.Context(), clientOf("127.0.0.1", "127.0.0.1"), server.URL), want, false)
	}
}

func TestACertificateMustBeForTheHost(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	err := request(t.Context(), clientOf("orders.example.org", "127.0.0.1"), server.URL)
	if !errors.As(err, &x509.HostnameError{}) {
		t.Errorf("the error is %v", err)
	}
}
