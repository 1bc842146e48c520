package cluster

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Gateway is one of the Gateway API, which not every cluster has.
func (c *Cluster) Gateway(ctx context.Context, namespace, name string) (*gatewayv1.Gateway, error) {
	gateway := new(gatewayv1.Gateway)
	return gateway, c.get(ctx, "gateways", namespace, name, gateway)
}

// HTTPRoute is one of the stack's namespace.
func (c *Cluster) HTTPRoute(ctx context.Context, name string) (*gatewayv1.HTTPRoute, error) {
	route := new(gatewayv1.HTTPRoute)
	return route, c.get(ctx, "httproutes", c.Namespace, name, route)
}

// HTTPRoutes are those of all namespaces.
func (c *Cluster) HTTPRoutes(ctx context.Context) ([]gatewayv1.HTTPRoute, error) {
	untyped, err := c.Dynamic.Resource(gatewayv1.SchemeGroupVersion.WithResource("httproutes")).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var routes gatewayv1.HTTPRouteList
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(untyped.UnstructuredContent(), &routes)
	return routes.Items, err
}

func (c *Cluster) get(ctx context.Context, resource, namespace, name string, object any) error {
	untyped, err := c.Dynamic.Resource(gatewayv1.SchemeGroupVersion.WithResource(resource)).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(untyped.Object, object)
}
