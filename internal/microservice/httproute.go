package microservice

import (
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// newHTTPRoute has a Gateway pass requests for the hosts on to the pods of the Service.
// The Gateway, which listens outside, is not the service's.
func (m *Microservice) newHTTPRoute(ctx *pulumi.Context, service pulumi.Resource) (*apiextensions.CustomResource, error) {
	spec, err := untyped(m.httpRouteSpec())
	if err != nil {
		return nil, err
	}
	return m.newCustomResource(ctx, "-route", gatewayv1.SchemeGroupVersion.WithKind("HTTPRoute"), spec, service)
}

// httpRouteSpec has the defaults too. The API server would write them into lists, which
// belong to Pulumi as a whole, and each up would take them out.
func (m *Microservice) httpRouteSpec() (spec gatewayv1.HTTPRouteSpec) {
	g := m.Args.Outside.Gateway
	gateway := gatewayv1.ParentReference{
		Group:     new(gatewayv1.Group(gatewayv1.GroupName)),
		Kind:      new(gatewayv1.Kind("Gateway")),
		Namespace: new(gatewayv1.Namespace(g.Namespace)),
		Name:      gatewayv1.ObjectName(g.Name),
	}
	if g.Listener != "" {
		gateway.SectionName = new(gatewayv1.SectionName(g.Listener))
	}
	spec.ParentRefs = []gatewayv1.ParentReference{gateway}
	for _, host := range m.Args.Outside.Hosts {
		spec.Hostnames = append(spec.Hostnames, gatewayv1.Hostname(host))
	}
	all := gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/")}
	service := gatewayv1.BackendObjectReference{
		Group: new(gatewayv1.Group("")),
		Kind:  new(gatewayv1.Kind("Service")),
		Name:  gatewayv1.ObjectName(m.Name),
		Port:  new(gatewayv1.PortNumber(servicePort)),
	}
	spec.Rules = []gatewayv1.HTTPRouteRule{{
		Matches:     []gatewayv1.HTTPRouteMatch{{Path: &all}},
		BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{BackendObjectReference: service, Weight: new(int32(1))}}},
	}}
	return spec
}
