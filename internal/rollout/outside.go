package rollout

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// unreachable is the error of connecting to an address that clients may reach all the same.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// waitForOutside waits until the Ingress or the Gateway has taken the service on and has an
// address and, if this machine can connect to that, until a request through it reaches a pod.
func (r rollout) waitForOutside(ctx context.Context) error {
	err := cluster.Poll(ctx, r.args.RolloutTimeout, func(ctx context.Context) error {
		err := r.checkOutside(ctx)
		if errors.As(err, &unreachable{}) && !mayComeLater(err) {
			return cluster.Permanent(err)
		}
		return err
	})
	if err == nil || errors.As(err, &unreachable{}) {
		return err
	}
	kind := "ingress"
	if r.args.Outside.Gateway != nil {
		kind = "httproute"
	}
	return fmt.Errorf("%s: the pods are ready, but clients outside the cluster do not reach them within %v (rolloutTimeout): %w: for more: %s",
		r.name, r.args.RolloutTimeout, err, r.Kubectl("--namespace "+r.Namespace+" describe "+kind+" "+r.name))
}

// mayComeLater reports whether an address does not answer as that of a new load balancer,
// which refuses at first, or has no name in DNS yet.
func mayComeLater(err error) bool {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	return errors.Is(err, syscall.ECONNREFUSED) || isDNS && dns.IsNotFound
}

func (r rollout) checkOutside(ctx context.Context) error {
	find := r.ingressAddress
	if r.args.Outside.Gateway != nil {
		find = r.gatewayAddress
	}
	address, err := find(ctx)
	if err != nil {
		return err
	}
	for _, host := range r.args.Outside.Hosts {
		url := microservice.ExampleOf(r.args.Outside.URL(host)) + r.args.ReadinessPath
		if err := request(ctx, clientOf(microservice.ExampleOf(host), address), url); err != nil {
			return fmt.Errorf("at %s: %w", address, err)
		}
	}
	return nil
}

func (r rollout) ingressAddress(ctx context.Context) (string, error) {
	ingress, err := r.NetworkingV1().Ingresses(r.Namespace).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	addresses := ingress.Status.LoadBalancer.Ingress
	if len(addresses) == 0 {
		class := ptr.Deref(ingress.Spec.IngressClassName, "")
		return "", fmt.Errorf("the Ingress %s has no address: the controller of IngressClass %q, which writes it, does not run or does not publish its own", r.name, class)
	}
	return cmp.Or(addresses[0].IP, addresses[0].Hostname), nil
}

// gatewayAddress is that of the Gateway, once it has taken the route on.
func (r rollout) gatewayAddress(ctx context.Context) (string, error) {
	g := r.args.Outside.Gateway
	route, err := r.HTTPRoute(ctx, r.name)
	if err != nil {
		return "", err
	}
	if err := checkRoute(route, g); err != nil {
		return "", err
	}
	gateway, err := r.Gateway(ctx, g.Namespace, g.Name)
	switch {
	case apierrors.IsForbidden(err):
		return "", unreachable{err}
	case err != nil:
		return "", err
	case len(gateway.Status.Addresses) == 0:
		return "", fmt.Errorf("the Gateway %s/%s has no address: its controller, which writes it, does not run or has none to give", g.Namespace, g.Name)
	}
	return gateway.Status.Addresses[0].Value, nil
}

// checkRoute checks that a controller serves the present state of a route for a Gateway.
func checkRoute(route *gatewayv1.HTTPRoute, g *microservice.Gateway) error {
	name := fmt.Sprintf("the HTTPRoute %s", route.Name)
	var errs []error
	for _, parent := range route.Status.Parents {
		ref := parent.ParentRef
		if string(ref.Name) != g.Name || ref.Namespace != nil && string(*ref.Namespace) != g.Namespace {
			continue
		}
		err := checkConditions(name, route.Generation, parent.Conditions)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if errs == nil {
		return fmt.Errorf("no controller has processed %s: that of Gateway %s/%s does not run", name, g.Namespace, g.Name)
	}
	return errors.Join(errs...)
}

func checkConditions(name string, generation int64, conditions []metav1.Condition) error {
	for _, condition := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		c := meta.FindStatusCondition(conditions, string(condition))
		if c == nil || c.ObservedGeneration < generation {
			return fmt.Errorf("the Gateway's controller has not processed %s yet", name)
		}
		if c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s is not %s by the Gateway: %s: %s", name, condition, c.Reason, c.Message)
		}
	}
	return nil
}

// clientOf returns a client for a host that connects to an address. The certificate must be
// for the host; its authority may be one that only the clients outside know.
func clientOf(host, address string) *http.Client {
	return &http.Client{
		Timeout:       cluster.RequestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, hostAndPort string) (net.Conn, error) {
				_, port, _ := net.SplitHostPort(hostAndPort)
				// Within the client's own timeout, which would hide that there is no connection.
				dialer := net.Dialer{Timeout: cluster.RequestTimeout / 2}
				connection, err := dialer.DialContext(ctx, network, net.JoinHostPort(address, port))
				if err != nil {
					return nil, unreachable{err}
				}
				return connection, nil
			},
			TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true,
				VerifyConnection:   func(s tls.ConnectionState) error { return cluster.VerifyCertificate(s.PeerCertificates[0], host) },
			},
		},
	}
}

// request gets a URL, which a ready pod answers with a status below 400.
func request(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s is answered with %s", url, answer.Status)
	}
	return nil
}
