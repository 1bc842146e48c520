package microservice

import (
	"strings"

	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Ingress is how clients outside the cluster reach the service. Without Hosts, they do not.
type Ingress struct {
	Hosts []string // DNS names
	Class string   // whose controller serves them, or "" for the cluster's default class
	// The Secret with the certificate for HTTPS, and the ClusterIssuer that has cert-manager
	// write it. With neither, there is HTTP alone.
	TLSSecret, ClusterIssuer string
}

// Scheme is that of the service's address outside the cluster: http or https.
func (i Ingress) Scheme() string {
	if i.TLSSecret == "" && i.ClusterIssuer == "" {
		return "http"
	}
	return "https"
}

// newIngress has an Ingress controller pass requests for the hosts on to the pods of the
// Service. It is nothing but a rule: what listens outside is the controller.
func (m *Microservice) newIngress(ctx *pulumi.Context, service pulumi.Resource) (*networkingv1.Ingress, error) {
	metadata := m.metadata(m.Name)
	if issuer := m.Args.Ingress.ClusterIssuer; issuer != "" {
		annotations := annotations(m.Args.Owner)
		annotations["cert-manager.io/cluster-issuer"] = pulumi.String(issuer)
		metadata.Annotations = annotations
	}
	return networkingv1.NewIngress(ctx, m.Name+"-ingress", &networkingv1.IngressArgs{Metadata: metadata, Spec: m.ingressSpec()}, m.child(service))
}

func (m *Microservice) ingressSpec() (spec networkingv1.IngressSpecArgs) {
	i := m.Args.Ingress
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
	for _, host := range i.Hosts {
		http := networkingv1.HTTPIngressRuleValueArgs{Paths: networkingv1.HTTPIngressPathArray{all}}
		rules = append(rules, networkingv1.IngressRuleArgs{Host: pulumi.String(host), Http: http})
	}
	spec.Rules = rules
	if i.Class != "" { // else the API server writes the default class
		spec.IngressClassName = pulumi.String(i.Class)
	}
	if i.Scheme() == "https" {
		spec.Tls = networkingv1.IngressTLSArray{networkingv1.IngressTLSArgs{Hosts: pulumi.ToStringArray(i.Hosts), SecretName: pulumi.String(i.secretName(m.Name))}}
	}
	return spec
}

// ExampleOf is a DNS name that a host stands for: itself, unless it has a wildcard.
func ExampleOf(host string) string { return strings.Replace(host, "*", "any", 1) }

// secretName is that of the Secret with the certificate.
func (i Ingress) secretName(service string) string {
	if i.TLSSecret == "" {
		return service + "-tls" // cert-manager creates it
	}
	return i.TLSSecret
}
