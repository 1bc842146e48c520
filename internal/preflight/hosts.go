package preflight

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/microservice"
	"user-service/internal/stack"
)

// checkHosts checks that no Ingress or HTTPRoute that others manage serves all paths of a
// host at the same controller. The controller would decide whose pods get the requests, and
// an up would take the answers of others for its own.
func checkHosts(ctx *pulumi.Context, cl *cluster.Cluster, c config.Config) error {
	if len(c.Service.Outside.Hosts) == 0 || c.Adopt {
		return nil
	}
	find := ingressHosts
	if c.Service.Outside.Gateway != nil {
		find = routeHosts
	}
	served, err := find(ctx, cl, c.Service.Outside)
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the Ingresses or HTTPRoutes that serve hosts already: %w", err)
	}
	var errs []error
	for _, host := range c.Service.Outside.Hosts {
		if by := served[host]; by != "" {
			errs = append(errs, fmt.Errorf("host (%q) is served by %s already: choose another with `pulumi config set host <DNS name>`, or serve it too, until that one is deleted, with `pulumi config set adopt true`", host, by))
		}
	}
	return errors.Join(errs...)
}

// ingressHosts returns the hosts of which Ingresses of the same class serve all paths, each
// with its Ingress. Those of this stack are left out.
func ingressHosts(ctx *pulumi.Context, cl *cluster.Cluster, o microservice.Outside) (map[string]string, error) {
	ingresses, err := cl.NetworkingV1().Ingresses(metav1.NamespaceAll).List(ctx.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	served := map[string]string{}
	for _, i := range ingresses.Items {
		if stack.Owns(ctx, i.Annotations) || ptr.Deref(i.Spec.IngressClassName, "") != o.IngressClass {
			continue
		}
		for _, rule := range i.Spec.Rules {
			if rule.HTTP != nil && slices.ContainsFunc(rule.HTTP.Paths, func(p networkingv1.HTTPIngressPath) bool {
				return cmp.Or(p.Path, "/") == "/" && (p.PathType == nil || *p.PathType != networkingv1.PathTypeExact)
			}) {
				served[rule.Host] = fmt.Sprintf("Ingress %s in namespace %s", i.Name, i.Namespace)
			}
		}
	}
	return served, nil
}

// routeHosts is ingressHosts for the HTTPRoutes of the same Gateway.
func routeHosts(ctx *pulumi.Context, cl *cluster.Cluster, o microservice.Outside) (map[string]string, error) {
	routes, err := cl.HTTPRoutes(ctx.Context())
	served := map[string]string{}
	for _, r := range routes {
		if stack.Owns(ctx, r.Annotations) || !slices.ContainsFunc(r.Spec.ParentRefs, func(ref gatewayv1.ParentReference) bool {
			namespace, listener := ptr.Deref(ref.Namespace, gatewayv1.Namespace(r.Namespace)), ptr.Deref(ref.SectionName, "")
			return string(namespace) == o.Gateway.Namespace && string(ref.Name) == o.Gateway.Name &&
				(listener == "" || o.Gateway.Listener == "" || string(listener) == o.Gateway.Listener)
		}) || !slices.ContainsFunc(r.Spec.Rules, servesAllPaths) {
			continue
		}
		for _, host := range r.Spec.Hostnames {
			served[string(host)] = fmt.Sprintf("HTTPRoute %s in namespace %s", r.Name, r.Namespace)
		}
	}
	return served, err
}

func servesAllPaths(rule gatewayv1.HTTPRouteRule) bool {
	return len(rule.Matches) == 0 || slices.ContainsFunc(rule.Matches, func(m gatewayv1.HTTPRouteMatch) bool {
		all := m.Path == nil || ptr.Deref(m.Path.Type, "") == gatewayv1.PathMatchPathPrefix && ptr.Deref(m.Path.Value, "") == "/"
		return all && len(m.Headers) == 0 && len(m.QueryParams) == 0 && m.Method == nil
	})
}
