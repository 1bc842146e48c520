package microservice

import (
	"cmp"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Outside is how clients outside the cluster reach the service. Without Hosts, they do not.
type Outside struct {
	Hosts        []string // DNS names
	Gateway      *Gateway // that serves them, or nil for an Ingress
	IngressClass string   // whose controller serves them, or "" for the cluster's default class
	// The Secret with the certificate for HTTPS, and the ClusterIssuer that has cert-manager
	// write it. With neither, an Ingress serves HTTP alone.
	TLSSecret, ClusterIssuer string
}

// newOutside declares what passes requests for the hosts on to the Service, or nothing more.
func (m *Microservice) newOutside(ctx *pulumi.Context, service *corev1.Service) (last pulumi.CustomResource, err error) {
	switch o := m.Args.Outside; {
	case len(o.Hosts) == 0:
		return service, nil
	case o.Gateway != nil:
		return m.newHTTPRoute(ctx, service)
	}
	return m.newIngress(ctx, service)
}

// Gateway is one that others run, for all services of the cluster.
type Gateway struct {
	Namespace, Name string
	Listener        string            // one of its listeners, or "" for each that serves the hosts
	URLs            map[string]string // of the hosts whose scheme and port are known; https otherwise
}

// String is how the key gateway names it.
func (g Gateway) String() string {
	return strings.TrimSuffix(g.Namespace+"/"+g.Name+"/"+g.Listener, "/")
}

// URL is where clients outside the cluster reach one of the hosts.
func (o Outside) URL(host string) string {
	switch {
	case o.Gateway != nil:
		return cmp.Or(o.Gateway.URLs[host], "https://"+host)
	case o.hasCertificate():
		return "https://" + host
	}
	return "http://" + host
}

// ExampleOf is a DNS name that a host stands for, or its URL: itself, unless it has a wildcard.
func ExampleOf(host string) string { return strings.Replace(host, "*", "any", 1) }

// hasCertificate reports whether an Ingress serves HTTPS.
func (o Outside) hasCertificate() bool { return o.TLSSecret != "" || o.ClusterIssuer != "" }
