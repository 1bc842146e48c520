package microservice

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newNetworkPolicy lets everyone connect to the port of the pods and of their canary, and
// these to DNS and to the service's peers. Nothing else is allowed where the cluster's
// network enforces policies; elsewhere it has no effect.
func (m *Microservice) newNetworkPolicy(ctx *pulumi.Context) error {
	// The addresses of DNS differ between clusters. Its pods listen on 5353 with OpenShift, and
	// it is the pods' port that a policy is about.
	dns := networkingv1.NetworkPolicyPortArray{}
	for _, number := range []int{53, 5353} {
		dns = append(dns, port("UDP", pulumi.Int(number)), port("TCP", pulumi.Int(number)))
	}
	egress := networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{Ports: dns}}
	for _, peer := range m.Args.Egress {
		to := networkingv1.NetworkPolicyPeerArgs{IpBlock: networkingv1.IPBlockArgs{Cidr: pulumi.String(peer.CIDR.String())}}
		egress = append(egress, networkingv1.NetworkPolicyEgressRuleArgs{
			To: networkingv1.NetworkPolicyPeerArray{to}, Ports: networkingv1.NetworkPolicyPortArray{port("TCP", pulumi.Int(peer.Port))},
		})
	}
	pods := m.selector()
	if m.Args.Canary {
		pods = metav1.LabelSelectorArgs{MatchExpressions: metav1.LabelSelectorRequirementArray{metav1.LabelSelectorRequirementArgs{
			Key: pulumi.String("app"), Operator: pulumi.String("In"), Values: pulumi.ToStringArray([]string{m.Name, CanaryName(m.Name)}),
		}}}
	}
	name := m.Name + "-policy"
	_, err := networkingv1.NewNetworkPolicy(ctx, name, &networkingv1.NetworkPolicyArgs{
		Metadata: m.metadata(name),
		Spec: networkingv1.NetworkPolicySpecArgs{
			PodSelector: pods,
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
			Ingress: networkingv1.NetworkPolicyIngressRuleArray{
				networkingv1.NetworkPolicyIngressRuleArgs{Ports: networkingv1.NetworkPolicyPortArray{port("TCP", m.podPort())}},
			},
			Egress: egress,
		},
	}, m.child())
	return err
}

func port(protocol string, port pulumi.Input) networkingv1.NetworkPolicyPortArgs {
	return networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(protocol), Port: port}
}
