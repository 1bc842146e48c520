package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
	"user-service/internal/suggest"
)

// checkGateway checks that the Gateway exists, and that a listener of it serves each host to
// the service's namespace. It completes the settings with the URLs.
func checkGateway(ctx context.Context, cl *cluster.Cluster, o *microservice.Outside) error {
	g := o.Gateway
	gateway, err := cl.Gateway(ctx, g.Namespace, g.Name)
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		gateways := gatewayv1.SchemeGroupVersion.WithResource("gateways")
		return cmp.Or(
			checkExists(ctx, cl, gateways, "gateway", g.String(), "the Gateway API", "have an Ingress serve the host with `pulumi config rm gateway`"),
			fmt.Errorf("gateway (%q) is not on the cluster: %w", g, err),
		)
	case err != nil:
		return fmt.Errorf("get Gateway %s/%s: %w", g.Namespace, g.Name, err)
	}
	listeners, err := listenersOf(gateway, g)
	if err != nil {
		return err
	}
	g.URLs = map[string]string{}
	for _, host := range o.Hosts {
		serving := slices.DeleteFunc(slices.Clone(listeners), func(l gatewayv1.Listener) bool { return !serves(l, host) })
		if len(serving) == 0 {
			return fmt.Errorf("host (%q) is served by no listener of gateway (%q): they serve %s: choose such a host, or ask who runs the Gateway for a listener", host, g, hostsOf(listeners))
		}
		i := slices.IndexFunc(serving, func(l gatewayv1.Listener) bool { return g.Namespace == cl.Namespace || !servesItsOwnNamespace(l) })
		if i < 0 {
			return fmt.Errorf("gateway (%q) serves its own namespace alone (allowedRoutes of listener %s), and the service is in %s: ask who runs the Gateway to allow this one", g, serving[0].Name, cl.Namespace)
		}
		g.URLs[host] = urlOf(serving[i], host)
	}
	return nil
}

func urlOf(l gatewayv1.Listener, host string) string {
	scheme, usual := "http", gatewayv1.PortNumber(80)
	if l.Protocol == gatewayv1.HTTPSProtocolType {
		scheme, usual = "https", 443
	}
	if l.Port == usual {
		return scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, l.Port)
}

// listenersOf returns the listeners that serve HTTP or, first, HTTPS: the named one, or
// all.
func listenersOf(gateway *gatewayv1.Gateway, g *microservice.Gateway) (listeners []gatewayv1.Listener, err error) {
	var names []string
	for _, protocol := range []gatewayv1.ProtocolType{gatewayv1.HTTPSProtocolType, gatewayv1.HTTPProtocolType} {
		for _, l := range gateway.Spec.Listeners {
			if l.Protocol != protocol {
				continue
			}
			names = append(names, fmt.Sprintf("%s/%s/%s", g.Namespace, g.Name, l.Name))
			if g.Listener == "" || g.Listener == string(l.Name) {
				listeners = append(listeners, l)
			}
		}
	}
	if listeners == nil {
		return nil, fmt.Errorf("gateway (%q) has no such listener for HTTP or HTTPS: %s", g, suggest.OneOf("gateway", g.String(), names))
	}
	return listeners, nil
}

// serves reports whether a listener passes requests for a host on, or some of those for a
// host with a wildcard.
func serves(l gatewayv1.Listener, host string) bool {
	return l.Hostname == nil || *l.Hostname == "" || covers(string(*l.Hostname), host) || covers(host, string(*l.Hostname))
}

// servesItsOwnNamespace reports whether a listener takes routes of its Gateway's namespace
// alone, which is the default.
func servesItsOwnNamespace(l gatewayv1.Listener) bool {
	routes := l.AllowedRoutes
	return routes == nil || routes.Namespaces == nil || routes.Namespaces.From == nil || *routes.Namespaces.From == gatewayv1.NamespacesFromSame
}

func covers(pattern, name string) bool {
	below, isWildcard := strings.CutPrefix(pattern, "*")
	return pattern == name || isWildcard && strings.HasSuffix(name, below)
}

// hostsOf lists the hosts that listeners serve, none of which serves all.
func hostsOf(listeners []gatewayv1.Listener) string {
	var hosts []string
	for _, l := range listeners {
		hosts = append(hosts, string(*l.Hostname))
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ", ")
}
