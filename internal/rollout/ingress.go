package rollout

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// unreachable is the error of connecting to an address that clients may reach all the same.
type unreachable struct{ error }

// waitForIngress waits until the Ingress has an address and, if this machine can connect
// to that, until a request through it reaches a pod.
func (r rollout) waitForIngress(ctx context.Context) error {
	err := cluster.Poll(ctx, r.args.RolloutTimeout, func(ctx context.Context) error {
		err := r.checkIngress(ctx)
		if errors.As(err, &unreachable{}) {
			return cluster.Permanent(err)
		}
		return err
	})
	if err == nil || errors.As(err, &unreachable{}) {
		return err
	}
	return fmt.Errorf("%s: the pods are ready, but clients outside the cluster do not reach them within %v (rolloutTimeout): %w: for more: %s",
		r.name, r.args.RolloutTimeout, err, r.Kubectl("--namespace "+r.Namespace+" describe ingress "+r.name))
}

func (r rollout) checkIngress(ctx context.Context) error {
	ingress, err := r.NetworkingV1().Ingresses(r.Namespace).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	addresses := ingress.Status.LoadBalancer.Ingress
	if len(addresses) == 0 {
		class := ""
		if ingress.Spec.IngressClassName != nil {
			class = *ingress.Spec.IngressClassName
		}
		return fmt.Errorf("the Ingress %s has no address: the controller of IngressClass %q, which writes it, does not run or does not publish its own", r.name, class)
	}
	address := cmp.Or(addresses[0].IP, addresses[0].Hostname)
	for _, host := range r.args.Ingress.Hosts {
		host = microservice.ExampleOf(host)
		err := request(ctx, clientOf(host, address), r.args.Ingress.Scheme()+"://"+host+r.args.ReadinessPath)
		if err != nil {
			return fmt.Errorf("at %s: %w", address, err)
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
				connection, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(address, port))
				if err != nil {
					return nil, unreachable{err}
				}
				return connection, nil
			},
			TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true,
				VerifyConnection:   func(s tls.ConnectionState) error { return s.PeerCertificates[0].VerifyHostname(host) },
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
