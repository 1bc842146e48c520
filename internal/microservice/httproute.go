package microservice

import (
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newHTTPRoute has a Gateway pass requests for the hosts on to the pods of the Service.
// The Gateway, which listens outside, is not the service's.
//
// The route has the defaults too. The API server would write them into lists, which belong
// to Pulumi as a whole, and each up would take them out.
func (m *Microservice) newHTTPRoute(ctx *pulumi.Context, service pulumi.Resource) (*apiextensions.CustomResource, error) {
	g := m.Args.Outside.Gateway
	gateway := object{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": g.Namespace, "name": g.Name}
	if g.Listener != "" {
		gateway["sectionName"] = g.Listener
	}
	return m.newCustomResource(ctx, "-route", "gateway.networking.k8s.io/v1", "HTTPRoute", object{
		"parentRefs": []object{gateway},
		"hostnames":  m.Args.Outside.Hosts,
		"rules": []object{{
			"matches":     []object{{"path": object{"type": "PathPrefix", "value": "/"}}},
			"backendRefs": []object{{"group": "", "kind": "Service", "name": m.Name, "port": servicePort, "weight": 1}},
		}},
	}, service)
}
