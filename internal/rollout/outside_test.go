package rollout

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"user-service/internal/microservice"
)

func TestAnIngressWithoutAnAddressIsWaitedForAndOneOutOfReachIsNot(t *testing.T) {
	t.Parallel()
	class := "haproxy"
	ingress := &networkingv1.Ingress{ObjectMeta: metadata("orders"), Spec: networkingv1.IngressSpec{IngressClassName: &class}}
	r := newRollout(ingress)
	r.args.Outside.Hosts, r.args.ReadinessPath, r.args.RolloutTimeout = []string{"*.example.com"}, "/ready", 1
	checkError(t, r.waitForOutside(t.Context()), `orders: the pods are ready, but clients outside the cluster do not reach them within 1ns (rolloutTimeout): `+
		`the Ingress orders has no address: the controller of IngressClass "haproxy", which writes it, does not run or does not publish its own: `+
		"for more: `kubectl --context here --namespace prod describe ingress orders`", false)
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "no host"}}
	r.Interface = newRollout(ingress).Interface
	if err := r.waitForOutside(t.Context()); !errors.As(err, &unreachable{}) || !strings.HasPrefix(err.Error(), `at no host: Get "http://any.example.com/ready": dial tcp: lookup no host: `) {
		t.Errorf("the error is %v", err)
	}
}

func TestAnAddressThatRefusesOrHasNoNameYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	for address, test := range map[string]struct {
		ctx  context.Context
		want bool
	}{
		"127.0.0.1": {t.Context(), true}, // nothing listens on port 1
		"no host":   {t.Context(), true},
		"127.0.0.2": {ended, false},
	} {
		err := request(test.ctx, clientOf("any.example.com", address), "http://any.example.com:1")
		if got := mayComeLater(err); got != test.want {
			t.Errorf("%s may come later: %t, want %t: %v", address, got, test.want, err)
		}
	}
}

func TestAnAddressThatDropsPacketsIsOutOfReach(t *testing.T) {
	t.Parallel()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	err = errors.Join(syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(socket, 0))
	bound, nameErr := syscall.Getsockname(socket)
	if err := errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	port := bound.(*syscall.SockaddrInet4).Port
	for range 2 { // more than it keeps, so that the next one gets no answer
		if connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 100*time.Millisecond); err == nil {
			t.Cleanup(func() { _ = connection.Close() })
		}
	}
	err = request(t.Context(), clientOf("any.example.com", "127.0.0.1"), fmt.Sprintf("http://any.example.com:%d", port))
	if !errors.As(err, &unreachable{}) || mayComeLater(err) {
		t.Errorf("it is not out of reach, or may come later: %v", err)
	}
}

func TestARouteIsWaitedForUntilItsGatewayHasTakenItOn(t *testing.T) {
	t.Parallel()
	condition := func(kind string, status metav1.ConditionStatus, generation int64) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: "Because", Message: "of this", ObservedGeneration: generation}
	}
	kinds := runtime.NewScheme()
	if err := gatewayv1.Install(kinds); err != nil {
		t.Fatal(err)
	}
	accepted, resolved := condition("Accepted", metav1.ConditionTrue, 2), condition("ResolvedRefs", metav1.ConditionTrue, 2)
	const notYet = "the Gateway's controller has not processed the HTTPRoute orders yet"
	for name, test := range map[string]struct {
		gateway    string // that reports the conditions
		conditions []metav1.Condition
		addresses  []gatewayv1.GatewayStatusAddress
		want       string
	}{
		"no controller":       {want: "no controller has processed the HTTPRoute orders: that of Gateway edge/public does not run"},
		"another Gateway's":   {"internal", []metav1.Condition{accepted, resolved}, nil, "no controller has processed the HTTPRoute orders: that of Gateway edge/public does not run"},
		"nothing reported":    {"public", nil, nil, notYet},
		"an earlier state's":  {"public", []metav1.Condition{condition("Accepted", metav1.ConditionFalse, 1)}, nil, notYet},
		"not accepted":        {"public", []metav1.Condition{condition("Accepted", metav1.ConditionFalse, 2)}, nil, "the HTTPRoute orders is not Accepted by the Gateway: Because: of this"},
		"half processed":      {"public", []metav1.Condition{accepted}, nil, notYet},
		"without the Service": {"public", []metav1.Condition{accepted, condition("ResolvedRefs", metav1.ConditionFalse, 2)}, nil, "the HTTPRoute orders is not ResolvedRefs by the Gateway: Because: of this"},
		"without an address":  {"public", []metav1.Condition{accepted, resolved}, nil, "the Gateway edge/public has no address: its controller, which writes it, does not run or has none to give"},
		"with an address":     {"public", []metav1.Condition{accepted, resolved}, []gatewayv1.GatewayStatusAddress{{Value: "10.0.0.1"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route := &gatewayv1.HTTPRoute{ObjectMeta: metadata("orders")}
			route.Generation = 2
			if test.gateway != "" {
				edge := gatewayv1.Namespace("edge")
				route.Status.Parents = []gatewayv1.RouteParentStatus{{ParentRef: gatewayv1.ParentReference{Namespace: &edge, Name: gatewayv1.ObjectName(test.gateway)}, Conditions: test.conditions}}
			}
			gateway := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "edge", Name: "public"}, Status: gatewayv1.GatewayStatus{Addresses: test.addresses}}
			r := newRollout()
			r.args.Outside.Gateway = &microservice.Gateway{Namespace: "edge", Name: "public"}
			client := fake.NewSimpleDynamicClient(kinds, route)
			untyped, err := runtime.DefaultUnstructuredConverter.ToUnstructured(gateway)
			if err != nil {
				t.Fatal(err)
			}
			// The fake takes the plural of Gateway for "gatewaies".
			if err := client.Tracker().Create(gatewayv1.SchemeGroupVersion.WithResource("gateways"), &unstructured.Unstructured{Object: untyped}, "edge"); err != nil {
				t.Fatal(err)
			}
			r.Dynamic = client
			address, err := r.gatewayAddress(t.Context())
			checkError(t, err, test.want, false)
			if test.want == "" && address != "10.0.0.1" {
				t.Errorf("the address is %s", address)
			}
		})
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
