package microservice

import (
	"cmp"

	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newIngress has an Ingress controller pass requests for the hosts on to the pods of the
// Service. It is nothing but a rule: what listens outside is the controller.
func (m *Microservice) newIngress(ctx *pulumi.Context, service pulumi.Resource) (*networkingv1.Ingress, error) {
	metadata := m.metadata(m.Name)
	if issuer := m.Args.Outside.ClusterIssuer; issuer != "" {
		annotations := annotations(m.Args.Owner)
		annotations["cert-manager.io/cluster-issuer"] = pulumi.String(issuer)
		metadata.Annotations = annotations
	}
	return networkingv1.NewIngress(ctx, m.Name+"-ingress", &networkingv1.IngressArgs{Metadata: metadata, Spec: m.ingressSpec()}, m.child(service))
}

func (m *Microservice) ingressSpec() (spec networkingv1.IngressSpecArgs) {
	o := m.Args.Outside
	port := networkingv1.ServiceBackendPortArgs{Name: pulumi.String(httpPort)}
	if m.isUnnamed() {
		port = networkingv1.ServiceBackendPortArgs{Number: pulumi.Int(servicePort)}
	}
	all := networkingv1.HTTPIngressPathArgs{
		Path:     pulumi.String("/"),
		PathType: pulumi.String("Prefix"),
		Backend:  networkingv1.IngressBackendArgs{Service: networkingv1.IngressServiceBackendArgs{Name: pulumi.String(m.Name), Port: port}},
	}
	rules := networkingv1.IngressRuleArray{}
	for _, host := range o.Hosts {
		http := networkingv1.HTTPIngressRuleValueArgs{Paths: networkingv1.HTTPIngressPathArray{all}}
		rules = append(rules, networkingv1.IngressRuleArgs{Host: pulumi.String(host), Http: http})
	}
	spec.Rules = rules
	if o.IngressClass != "" { // else the API server writes the default class
		spec.IngressClassName = pulumi.String(o.IngressClass)
	}
	if o.hasCertificate() {
		secret := cmp.Or(o.TLSSecret, m.Name+"-tls") // which cert-manager creates
		spec.Tls = networkingv1.IngressTLSArray{networkingv1.IngressTLSArgs{Hosts: pulumi.ToStringArray(o.Hosts), SecretName: pulumi.String(secret)}}
	}
	return spec
}
